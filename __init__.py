"""Stride: samplers and noise schedules for ComfyUI, and a plain torch library without it."""

import sys
from importlib.util import find_spec

from . import advice, names, samplers, schedules
from .library import sample, stepper
from .names import resolve
from .schedules import ModelSpec

__version__ = "0.1.0"
__all__ = [
    "ModelSpec", "advice", "names", "resolve", "sample", "samplers", "schedules", "stepper",
]

# The host loads a pack under the path of its folder; libraries import it by its name.
_twin = sys.modules.get("stride_samplers")
_twice = _twin is not None and _twin.__name__ not in ("stride_samplers", __name__)

if find_spec("comfy") is not None and _twice:
    # A second copy: the first one has registered, and what a workflow runs must be of one kind.
    import logging

    NODE_CLASS_MAPPINGS: dict = {}  # so that the host takes this for a pack, with nothing in it
    logging.getLogger("stride").warning(
        "Stride is installed twice: %s is used, %s is not; remove one of the two folders",
        _twin.__path__[0], __path__[0],
    )
elif find_spec("comfy") is not None:
    from . import host
    from .nodes import comfy_entrypoint

    WEB_DIRECTORY = "./web"
    host.register()
    host.routes.add()
    host.renamed.add()
    host.blame.add()
    __all__ += ["WEB_DIRECTORY", "comfy_entrypoint"]
    # The host names this module after its folder; other custom nodes import it by this name.
    for _name, _module in list(sys.modules.items()):
        if _name == __name__ or _name.startswith(f"{__name__}."):
            sys.modules.setdefault("stride_samplers" + _name[len(__name__) :], _module)
