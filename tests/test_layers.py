"""Imports point one way: nodes -> host -> a1111, names, advice, guidance -> samplers, schedules ->
engine -> registry, process -> torch, numpy, stdlib."""

import ast
import importlib.util
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
HOST = {"comfy", "comfy_api", "comfy_extras", "server", "folder_paths", "latent_preview",
        "execution", "nodes", "node_helpers"}
GROUND = {"registry", "process"}
BELOW = GROUND | {"engine", "samplers", "schedules"}
# What each part of the pack may import from the pack itself.
MAY = {
    "registry.py": set(),
    "process.py": set(),
    "engine": GROUND | {"engine"},
    "samplers": GROUND | {"engine", "samplers"},
    "schedules": GROUND | {"schedules"},
    "guidance": GROUND | {"guidance"},
    "advice": {"advice"},
    "names": BELOW | {"names"},
    "a1111": BELOW | {"names", "a1111"},
    "library.py": BELOW | {"names"},
    "demo": {"demo"},
    "host": BELOW | {"advice", "names", "a1111", "guidance", "demo", "host"},
    "nodes": {"host", "nodes"},
    "__init__.py": {"advice", "names", "samplers", "schedules", "library", "host", "nodes"},
}
FILES = [p for part in MAY for p in ([ROOT / part] if part.endswith(".py") else
                                     sorted((ROOT / part).rglob("*.py")))]


def imports(path):
    """(outside modules, parts of the pack) that a file imports, anywhere in it."""
    outside, inside = set(), set()
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            outside.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            full = (*base, *(node.module.split(".") if node.module else ()))
            inside |= {full[0]} if full else {alias.name for alias in node.names}
    return outside, inside


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    outside, inside = imports(path)
    part = path.relative_to(ROOT).parts[0]
    assert inside <= MAY[part]
    if part != "host":
        assert not outside & HOST, "only host/ may import the host"
    if part not in ("host", "demo"):
        # typing_extensions: asked for by a type checker alone, which always has it.
        libraries = {"torch", "numpy", "typing_extensions"}
        assert outside <= libraries | set(sys.stdlib_module_names)


def test_files_are_ascii():
    for path in FILES:
        assert path.read_bytes().isascii(), path


NUMERICS = [path for path in FILES
            if path.relative_to(ROOT).parts[0] not in ("host", "nodes", "demo", "__init__.py")]


def random_states():
    numpys = np.random.get_state()
    return torch.get_rng_state().tolist(), [numpys[1].tolist(), *numpys[2:]], random.getstate()


@pytest.fixture
def anew(monkeypatch):
    """Imports a module of the pack once more, under another name, as if it had not been loaded."""
    # Without the host, which would take the second copy in.
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "comfy" else found(n))

    def load(path=ROOT / "__init__.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(("stride_anew", *parts)).removesuffix(".__init__")
        if name != "stride_anew":
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location(
            name, path, submodule_search_locations=[str(ROOT)]
        )
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
        return sys.modules[name]

    yield load
    for name in [name for name in sys.modules if name.partition(".")[0] == "stride_anew"]:
        del sys.modules[name]


def test_importing_and_sampling_touch_no_random_state(anew):
    """The global generators of torch, numpy and the standard library stay as another pack's."""
    torch.rand(3), np.random.rand(3), random.random()  # no state that a seed alone leaves
    before = random_states()
    pack = anew()
    assert random_states() == before
    for path in NUMERICS:
        anew(path)
        assert random_states() == before, path
    spec = pack.schedules.ModelSpec.discrete()
    for name in ("karras", "beta"):
        sigmas = pack.schedules.get(name).sigmas(spec, 4)
        assert random_states() == before, name
    for name in ("euler_ancestral", "dpmpp_2m_sde"):
        out = pack.samplers.sample(name, lambda x, sigma: 0.5 * x, torch.ones(2, 3), sigmas, seed=1)
        assert out.isfinite().all() and random_states() == before, name
