"""Our samplers' time beside the host's own functions: `python3 dev.py bench samplers`.

Both run with a model that costs almost nothing, so that what is left is the samplers' own work.
The two take turns in one process; the ratio of the medians is what counts (below 1: ours is
faster). A real model call costs a thousand times more than either.
"""

import argparse
import importlib.util
import os
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("euler", "euler_ancestral", "heun", "dpmpp_2m", "ipndm")


def load(tree):
    """(the pack's samplers, the host's functions, its model sampling) in this process."""
    sys.path.insert(0, str(ROOT / "devtools"))
    import standins

    standins.install()
    spec = importlib.util.spec_from_file_location(
        "stride", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    stride = sys.modules["stride"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stride)  # before the host is on the path: numerics alone
    sys.path.append(str(tree))
    import comfy.options

    comfy.options.args_parsing = False
    from comfy.cli_args import args

    args.cpu = True
    import comfy.k_diffusion.sampling
    import comfy.model_sampling

    return stride, comfy.k_diffusion.sampling, comfy.model_sampling.ModelSamplingDiscrete()


class Model:
    """Almost free, and with the attributes that the host's functions ask for."""

    def __init__(self, sampling):
        inner = SimpleNamespace(model_sampling=sampling)
        self.inner_model = SimpleNamespace(inner_model=inner)

    def __call__(self, x, sigma, **kwargs):
        return x * 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--runs", type=int, default=40)
    args = parser.parse_args()
    import torch

    stride, functions, sampling = load(os.environ["COMFYUI_PATH"])
    model = Model(sampling)
    spec = stride.schedules.ModelSpec.discrete()
    sigmas = stride.schedules.get("karras").sigmas(spec, args.steps)
    print(f"milliseconds for {args.steps} steps, median of {args.runs} runs")
    print(f"{'':18}{'latent':>18}{'host':>9}{'ours':>9}{'ratio':>8}")
    for shape in ((1, 4, 64, 64), (1, 4, 128, 128), (4, 4, 128, 128)):
        x = torch.randn(shape) * sigmas[0]
        for name in NAMES:
            theirs = getattr(functions, f"sample_{name}")
            spent = {"host": [], "ours": []}
            with torch.inference_mode():
                for run in range(args.runs + 3):
                    begun = time.perf_counter()
                    theirs(model, x, sigmas, extra_args={"seed": 1}, disable=True)
                    middle = time.perf_counter()
                    stride.samplers.sample(name, model, x, sigmas, seed=1)
                    if run >= 3:  # the first few warm up
                        spent["host"].append(1000 * (middle - begun))
                        spent["ours"].append(1000 * (time.perf_counter() - middle))
            host, ours = (statistics.median(spent[k]) for k in ("host", "ours"))
            size = "x".join(map(str, shape))
            print(f"{name:18}{size:>18}{host:9.2f}{ours:9.2f}{ours / host:8.2f}")


if __name__ == "__main__":
    main()
