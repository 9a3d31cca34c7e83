"""Good neighbours: lists are appended to in place, once, and what others own stays theirs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]

# Runs in a process of its own, since it plays other packs that change the host's lists.
BEGIN = """
import importlib.util, json, sys
tree, devtools, root, folder = sys.argv[1:]
sys.path.insert(0, devtools)
import standins
standins.install()
sys.path[0] = tree
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import comfy.samplers, comfy.k_diffusion.sampling as functions
from comfy.samplers import KSampler, SAMPLER_NAMES, SCHEDULER_HANDLERS, SCHEDULER_NAMES

def load(name, root=root):
    spec = importlib.util.spec_from_file_location(
        name, root + "/__init__.py", submodule_search_locations=[root])
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""
SCRIPT = BEGIN + """
stock_samplers, stock_schedules = list(SAMPLER_NAMES), list(SCHEDULER_NAMES)
stock = {name: getattr(functions, name) for name in dir(functions)}
handlers = dict(SCHEDULER_HANDLERS)
# Another pack was here: it owns a name of ours, and it has rebound one alias of a list.
functions.sample_stride_heun = theirs = lambda *args, **kwargs: None
KSampler.SCHEDULERS = KSampler.SCHEDULERS + ["theirs"]

pack = load(folder)
after_once = list(SAMPLER_NAMES), list(SCHEDULER_NAMES), list(KSampler.SCHEDULERS)
shadowed = pack.host.register()
load("loaded_again")
once = after_once == (SAMPLER_NAMES, SCHEDULER_NAMES, KSampler.SCHEDULERS)

# A third pack adds a sampler and a schedule of its own, later and by the documented name.
import stride_samplers
from stride_samplers.samplers.entry import Deterministic
euler = stride_samplers.samplers.get("euler")
made_up = stride_samplers.samplers.Sampler(
    name="made_up", label="Made up", source="a test", order=1, options=Deterministic(),
    build=lambda sigmas, process, options: euler.build(sigmas, process, euler.options))
line = stride_samplers.schedules.Schedule(
    name="line", label="Line", source="a test",
    curve=lambda spec, n, o: [spec.sigma_max * (1 - i / n) for i in range(n)])
for _ in range(2):
    stride_samplers.samplers.register(made_up)
    stride_samplers.schedules.register(line)
print(json.dumps({
    "entries": [hasattr(pack, "comfy_entrypoint"), pack.WEB_DIRECTORY],
    "stock_first": SAMPLER_NAMES[: len(stock_samplers)] == stock_samplers
        and SCHEDULER_NAMES[: len(stock_schedules)] == stock_schedules,
    "same_objects": KSampler.SAMPLERS is SAMPLER_NAMES,
    "once": once,
    "both_aliases": "stride_karras" in SCHEDULER_NAMES and "stride_karras" in KSampler.SCHEDULERS,
    "untouched": all(getattr(functions, k) is v for k, v in stock.items())
        and all(SCHEDULER_HANDLERS[k] is v for k, v in handlers.items()),
    "theirs": functions.sample_stride_heun is theirs,
    "third": SAMPLER_NAMES[-1] == "stride_made_up" and SCHEDULER_NAMES[-1] == "stride_line"
        and pack.host.sampler_names().count("made_up") == 1 and stride_samplers is pack,
    "runs": [float(functions.sample_stride_made_up.stride == "made_up"),
             SCHEDULER_HANDLERS["stride_line"].handler.stride == "line"],
    "shadowed": shadowed,
    "added": [[n for n in names if n.startswith("stride_")]
              for names in (SAMPLER_NAMES, SCHEDULER_NAMES)],
}))
"""


def played(script, folder, root=ROOT):
    """What a script of a process of its own has printed last, and its log."""
    args = [os.environ["COMFYUI_PATH"], ROOT / "devtools", root, folder]
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, args)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.parametrize("folder", ["stride_samplers", "some-clone of it"])
def test_registration(comfy, folder):
    found, _ = played(SCRIPT, folder)
    assert found.pop("entries") == [True, "./web"]
    assert found.pop("shadowed") == ["stride_heun"]
    added = found.pop("added")
    assert all(found.values()), found
    for names in added:
        assert "stride_heun" not in names and len(names) == len(set(names))
        # Other packs read a meaning into names that begin so.
        assert not [n for n in names if n.upper().startswith(("AYS", "GITS"))]


TWICE = BEGIN + """
first = load(folder)
before = list(SAMPLER_NAMES), functions.sample_stride_euler
second = load("/other/Stride-old", root[:-3] + "old")
print(json.dumps({
    "names": [first.__path__[0], second.__path__[0]],
    "nodes": [hasattr(second, "comfy_entrypoint"), second.NODE_CLASS_MAPPINGS],
    "web": hasattr(second, "WEB_DIRECTORY"),
    "kept": before == (list(SAMPLER_NAMES), functions.sample_stride_euler),
}))
"""


def test_a_second_copy_of_the_pack_stays_out(comfy, tmp_path):
    """One line of the log names both folders, and the first one alone registers."""
    for name in ("new", "old"):
        (tmp_path / name).symlink_to(ROOT, target_is_directory=True)
    found, log = played(TWICE, "/custom_nodes/Stride", tmp_path / "new")
    (said,) = [line for line in log.splitlines() if "installed twice" in line]
    assert all(name in said for name in found["names"]) and len(set(found["names"])) == 2
    assert found["nodes"] == [False, {}] and not found["web"] and found["kept"]
