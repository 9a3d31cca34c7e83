"""Schedules that walk along the model's own time grid."""

from __future__ import annotations

import numpy as np

from .entry import NoOptions, Schedule
from .spec import ModelSpec, between


def simple(spec: ModelSpec, steps: int, options: NoOptions) -> np.ndarray:
    """Every (n / steps)-th table entry from the top; beyond n steps, fractions of entries."""
    n = len(spec.sigmas)
    if steps <= n:
        return spec.sigmas[n - 1 - np.floor(np.arange(steps) * (n / steps)).astype(int)]
    return between(spec.sigmas, (n - 1) * (1.0 - np.arange(steps) / steps))


def normal(spec: ModelSpec, steps: int, options: NoOptions) -> np.ndarray:
    """Even in the model's time, from sigma_max to sigma_min."""
    start, end = spec.timestep(spec.sigma_max), spec.timestep(spec.sigma_min)
    if spec.sigma(np.array([end]))[0] < 1e-5:  # the grid ends at 0 by itself: do not go there twice
        return spec.sigma(np.linspace(start, end, steps + 1)[:-1])
    return spec.sigma(np.linspace(start, end, steps))


def sgm_uniform(spec: ModelSpec, steps: int, options: NoOptions) -> np.ndarray:
    """Even in the model's time, stopping one interval short of sigma_min."""
    start, end = spec.timestep(spec.sigma_max), spec.timestep(spec.sigma_min)
    return spec.sigma(np.linspace(start, end, steps + 1)[:-1])


SCHEDULES = (
    Schedule(
        name="simple", label="Simple", curve=simple,
        source="ComfyUI simple_scheduler; diffusers' 'trailing' spacing",
    ),
    Schedule(
        name="sgm_uniform", label="SGM Uniform", aliases=("SGMUniform",), curve=sgm_uniform,
        source="Stability-AI generative-models, as in ComfyUI and A1111",
    ),
    Schedule(
        name="normal", label="Normal", curve=normal,
        source="k-diffusion DiscreteSchedule.get_sigmas; diffusers' 'linspace' spacing",
    ),
)
