"""Stride: samplers and noise schedules for ComfyUI, and a plain torch library without it."""

import sys
from importlib.util import find_spec

from . import advice, names, samplers, schedules
from .library import sample, stepper
from .names import resolve

__version__ = "0.1.0"
__all__ = ["advice", "names", "resolve", "sample", "samplers", "schedules", "stepper"]

if find_spec("comfy") is not None:
    from . import host
    from .nodes import comfy_entrypoint

    WEB_DIRECTORY = "./web"
    host.register()
    host.routes.add()
    host.renamed.add()
    __all__ += ["WEB_DIRECTORY", "comfy_entrypoint"]
    # The host names this module after its folder; other custom nodes import it by this name.
    for _name, _module in list(sys.modules.items()):
        if _name == __name__ or _name.startswith(f"{__name__}."):
            sys.modules.setdefault("stride_samplers" + _name[len(__name__) :], _module)
