"""What importing the pack costs over the host: `python3 dev.py bench import`.

Each run is a fresh process that imports torch and the host first and then times the import of the
pack, done the way the host does it. The promise is under 100 ms. In turn with them a fresh process
times `import numpy`, which tells how fast the machine is just then.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
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
NUMPY = r"""
import json, time
begun = time.perf_counter()
import numpy
print("RESULT" + json.dumps(time.perf_counter() - begun))
"""


def measure(child, tree, cache):
    """What a process prints as its result. Of the pack: seconds, the number of its modules, and
    the other modules that came with them. Byte code is kept in the folder ``cache``."""
    env = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # set by dev.py, and a user has it not
    done = subprocess.run(
        [sys.executable, "-c", child, str(ROOT), tree],
        capture_output=True,
        text=True,
        cwd=tree,
        env=env,
    )
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            return json.loads(line[len("RESULT") :])
    sys.exit(f"the import failed:\n{done.stderr[-3000:]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    tree = os.environ["COMFYUI_PATH"]
    times, numpys = [], []
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(runs + 1):
            spent, ours, gained = measure(CHILD, tree, cache)
            times.append(1000 * spent)
            numpys.append(1000 * measure(NUMPY, tree, cache))
    del times[0], numpys[0]  # the first ones wrote the byte code
    middle, beside = statistics.median(times), statistics.median(numpys)
    print(
        f"importing the pack over the host: min {min(times):.1f} ms, median {middle:.1f} ms, "
        f"max {max(times):.1f} ms ({runs} runs), {middle / beside:.2f} times `import numpy`"
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
