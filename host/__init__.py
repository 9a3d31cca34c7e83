"""The one meeting point with ComfyUI: the only part of the pack that imports comfy or its server.

The nodes ask this package for the host's parts; no numerics do.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .. import guidance
from ..a1111.settings import Settings as A1111Settings
from . import blame, choice, hires, levels, options, renamed
from .asked import Asked
from .choice import AUTOMATIC, DISTILLED, Wishes, choose
from .lists import kinds
from .lists.names import register, sampler_names, schedule_names
from .run import embedding, patches, wrappers
from .run.watch import Box, Duties, RunSettings
from .sampling import canvas_for, ksample, note_on, sampler_of, sigmas_for
from .shown import pictures, report, routes, texts
from .shown.words import show_on_node, show_report, told

__all__ = [
    "AUTOMATIC", "DISTILLED", "A1111Settings", "Asked", "Box", "ComfyExtension", "Duties",
    "RunSettings", "Wishes", "blame", "canvas_for", "choice", "choose", "embedding", "guidance",
    "hires", "io", "kinds", "ksample", "levels", "note_on", "options", "patches", "pictures",
    "register", "renamed", "report", "routes", "sampler_names", "sampler_of", "schedule_names",
    "show_on_node", "show_report", "sigmas_for", "texts", "told", "wrappers",
]
