"""Load the pack under one fixed package name, whatever its folder is called.

The repository's root never goes on sys.path: its nodes/ folder would shadow the host's nodes.py.
"""

import importlib.util
import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent


def load_pack():
    """The pack as package ``stride``, numerics only unless comfy is importable."""
    if "stride" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "stride", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules["stride"] = module
        spec.loader.exec_module(module)
    return sys.modules["stride"]


load_pack()
# How fast a busy machine is decides no test; what hypothesis checks of the examples stays. In CI
# the examples are always the same ones; elsewhere every run looks at others.
settings.register_profile(
    "stride", deadline=None, suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("stride")
