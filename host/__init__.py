"""The one meeting point with ComfyUI: the only part of the pack that imports comfy or its server.

Everything else asks this package for the host's parts; ``samplers/`` and ``schedules/`` never do.
"""

from __future__ import annotations

import comfy.latent_formats
import comfy.model_base
import comfy.model_patcher
import comfy.model_sampling
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
from comfy_api.latest import ComfyExtension, io

from .. import guidance
from ..interop.a1111_run import Settings as A1111Settings
from . import (
    advise,
    embedding,
    hires,
    kinds,
    levels,
    options,
    patches,
    pictures,
    renamed,
    report,
    routes,
    texts,
    wrappers,
)
from .advise import problem_with
from .ksample import ksample
from .names import register, sampler_names, schedule_names
from .sampling import note_on, sampler_object, sigmas_for
from .words import describe, show_on_node

__all__ = [
    "A1111Settings",
    "ComfyExtension",
    "advise",
    "comfy",
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
