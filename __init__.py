"""Stride: samplers and noise schedules for ComfyUI, and a plain torch library without it."""

from importlib.util import find_spec

from . import samplers, schedules

__version__ = "0.1.0"
__all__ = ["samplers", "schedules"]

if find_spec("comfy") is not None:
    from . import host
    from .nodes import comfy_entrypoint

    WEB_DIRECTORY = "./web"
    host.register()
    __all__ += ["WEB_DIRECTORY", "comfy_entrypoint"]
