"""Models distilled for a few steps: the noise levels that their trainers gave, and no others.

Each preset knows some step counts and refuses the rest: a distilled model has learned to jump
between these levels only. They are levels of the model, so its own shift does not enter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..process import FLOW
from .entry import NoOptions, Schedule
from .published import Origin, at_times
from .spec import ModelSpec, time_shift

Trained = Callable[[int], np.ndarray]  # steps to the sigmas [steps] of such a run


def _preset(origin: Origin, levels: Trained, **facts: Any) -> Schedule:
    """The entry of a preset; facts: its other fields."""

    def curve(spec: ModelSpec, steps: int, options: NoOptions) -> np.ndarray:
        return origin.place(levels(steps), spec)

    def remark(spec: ModelSpec, steps: int, options: NoOptions) -> str | None:
        return origin.remark(spec)

    return Schedule(curve=curve, remark=remark, **facts)


def _even_times(shift: float) -> Trained:
    """Times 1, (n - 1) / n, ... 1 / n, shifted."""
    return lambda steps: time_shift(np.arange(steps, 0, -1) / steps, shift)


def sd_trailing(steps: int) -> np.ndarray:
    """SD's sigmas at round(1000 k / n) - 1, k = n ... 1: diffusers' spacing 'trailing'."""
    return at_times(np.round(np.arange(1000, 0, -1000 / steps)) - 1)


def hyper(steps: int) -> np.ndarray:
    """``sd_trailing``; the one-step model starts at timestep 800."""
    return at_times([800]) if steps == 1 else sd_trailing(steps)


def turbo(steps: int) -> np.ndarray:
    """SD's sigmas at timesteps 999, 899, 799 ..."""
    return at_times(999 - 100 * np.arange(steps))


def lcm(steps: int) -> np.ndarray:
    """SD's sigmas at n of the 50 timesteps 999, 979 ... 19 of the distillation.

    The k-th of n is the one with index floor(50 k / n), as in diffusers' LCMScheduler. A1111 and
    ComfyUI's 'normal' on its LCM sampling spread the n over all 50 instead, so that their last
    step starts at timestep 19.
    """
    return at_times(999 - 20 * np.floor(np.linspace(0, 50, steps, endpoint=False)))


def given(*levels: float) -> Trained:
    """The sigmas of the one number of steps that there is."""
    return lambda steps: np.array(levels)


FLUX2_TURBO = (1.0, 0.6509, 0.4374, 0.2932, 0.1893, 0.1108, 0.0495, 0.00031)
QWEN_TURBO = (1.0, 0.978453, 0.95418, 0.926626, 0.89508, 0.845148, 0.704534, 0.414568)


def _flow(family: str) -> Origin:
    """A flow model's whole range."""
    return Origin((family,), FLOW, 1.0, 0.001)


SCHEDULES = (
    _preset(
        Origin(("sd15", "sdxl")), lcm,
        name="lcm_timesteps", label="LCM timesteps", counts=tuple(range(1, 51)),
        source="Luo et al. 2023, arXiv:2310.04378; diffusers LCMScheduler",
    ),
    _preset(
        Origin(("sd2", "sdxl")), turbo,
        name="sd_turbo", label="SD Turbo", counts=tuple(range(1, 11)),
        aliases=("SDTurboScheduler",),
        source="Sauer et al. 2023, arXiv:2311.17042; ComfyUI's SDTurboScheduler",
    ),
    _preset(
        Origin(("sdxl",)), sd_trailing,
        name="sdxl_lightning", label="SDXL Lightning", counts=(1, 2, 4, 8),
        source="Lin et al. 2024, arXiv:2402.13929; model card: Euler, 'trailing' timesteps",
    ),
    _preset(
        Origin(("sd15", "sdxl")), hyper,
        name="hyper_sd", label="Hyper-SD", counts=(1, 2, 4, 8, 12),
        source="Ren et al. 2024, arXiv:2404.13686; model card: DDIM, 'trailing' timesteps",
    ),
    _preset(
        _flow("flux_schnell"), _even_times(1.0),
        name="flux_schnell", label="FLUX.1 schnell", counts=(1, 2, 3, 4),
        source="Black Forest Labs, flux/sampling.py get_schedule with shift=False",
    ),
    _preset(
        _flow("flux2"), given(*FLUX2_TURBO),
        name="flux2_turbo", label="FLUX.2 dev Turbo", counts=(8,),
        source="fal/FLUX.2-dev-Turbo, model card (usage)",
    ),
    _preset(
        _flow("wan"), _even_times(5.0),
        name="wan_lightning", label="Wan Lightning", counts=(4, 8),
        source="LightX2V-Wan2.2-Lightning, issue 3 (its authors): shift 5",
    ),
    _preset(
        _flow("qwen"), given(*QWEN_TURBO),
        name="qwen_turbo", label="Qwen-Image Turbo", counts=(8,),
        source="ComfyUI's template image_qwen_image_2_1_turbo_t2i",
    ),
)
