"""What importing the pack costs over the host: `python3 dev.py bench import`.

Each run is a fresh process that imports torch and the host first and then times the import of the
pack, done the way the host does it. The promise is under 100 ms.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("scipy", "matplotlib", "sympy", "transformers", "torchsde", "einops", "kornia")

CHILD = r"""
import asyncio, importlib.util, json, os, sys, time
root, tree = sys.argv[1:3]
sys.path.insert(0, os.path.join(root, "devtools"))
import standins
standins.install()
sys.path[0] = tree
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import torch, numpy, safetensors.torch
import folder_paths, utils.extra_config, comfy.utils, execution, server, nodes
import comfy.model_management, comfy.samplers, comfy.sd, comfy_api.latest, latent_preview
before = set(sys.modules)
begun = time.perf_counter()
name = os.path.join(root, "").replace(".", "_x_")
path = os.path.join(root, "__init__.py")
spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[root])
module = importlib.util.module_from_spec(spec)
sys.modules[name] = module
spec.loader.exec_module(module)
extension = module.comfy_entrypoint()
if asyncio.iscoroutine(extension):
    extension = asyncio.run(extension)
for node in asyncio.run(extension.get_node_list()):
    node.GET_SCHEMA()
spent = time.perf_counter() - begun
def own(m):  # also under the name that other packs import it by
    return (getattr(sys.modules[m], "__file__", None) or "").startswith(os.path.join(root, ""))
gained = sorted(m for m in set(sys.modules) - before if not own(m))
ours = sum(m.startswith(name) for m in sys.modules)
print("RESULT" + json.dumps([spent, ours, gained]))
"""


def measure(tree):
    """Seconds, the number of the pack's modules, and the other modules that came with them."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(ROOT), str(tree)],
        capture_output=True,
        text=True,
        cwd=str(tree),
    )
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            return json.loads(line[len("RESULT") :])
    sys.exit(f"the pack did not load:\n{done.stderr[-3000:]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    tree = os.environ["COMFYUI_PATH"]
    measure(tree)  # the first one writes the byte code
    results = [measure(tree) for _ in range(runs)]
    times = [1000 * spent for spent, _, _ in results]
    _, ours, gained = results[-1]
    print(
        f"importing the pack over the host: min {min(times):.1f} ms, "
        f"median {statistics.median(times):.1f} ms, max {max(times):.1f} ms ({runs} runs)"
    )
    others = ", ".join(gained) or "none"
    print(f"modules gained: {ours} of the pack, {len(gained)} others: {others}")
    heavy = sorted({name.partition(".")[0] for name in gained} & set(HEAVY))
    if heavy:
        print(f"heavy ones among them: {', '.join(heavy)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
