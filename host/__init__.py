"""The one meeting point with ComfyUI: the only part of the pack that imports comfy or its server.

Everything else asks this package for the host's parts; ``samplers/`` and ``schedules/`` never do.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .. import guidance
from ..a1111.run import Settings as A1111Settings
from . import hires, levels, options, renamed
from .ksample import ksample
from .lists import kinds
from .lists.names import register, sampler_names, schedule_names
from .run import embedding, patches, wrappers
from .sampling import note_on, sampler_object, sigmas_for
from .shown import advise, pictures, report, routes, texts
from .shown.advise import problem_with
from .shown.words import describe, show_on_node

__all__ = [
    "A1111Settings",
    "ComfyExtension",
    "advise",
    "describe",
    "embedding",
    "guidance",
    "hires",
    "io",
    "kinds",
    "ksample",
    "levels",
    "note_on",
    "options",
    "patches",
    "pictures",
    "problem_with",
    "register",
    "renamed",
    "report",
    "routes",
    "sampler_names",
    "sampler_object",
    "schedule_names",
    "show_on_node",
    "sigmas_for",
    "texts",
    "wrappers",
]
