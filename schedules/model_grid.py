"""Schedules that walk along the model's own time grid or its table of noise levels."""

from __future__ import annotations

import numpy as np
import torch

from .entry import NoOptions, Schedule
from .spec import ModelSpec, Range, between, interpolate


def simple(spec: ModelSpec, steps: int, options: NoOptions) -> np.ndarray:
    """Every (n / steps)-th table entry from the top; beyond n steps, fractions of entries."""
    n = len(spec.sigmas)
    if steps <= n:
        return spec.sigmas[n - 1 - np.floor(np.arange(steps) * (n / steps)).astype(int)]
    return between(spec.sigmas, (n - 1) * (1.0 - np.arange(steps) / steps))


def normal(spec: ModelSpec, steps: int, options: Range) -> np.ndarray:
    """Even in the model's time, from the largest sigma to the smallest."""
    low, high = spec.ends(options)
    start, end = spec.timestep(high), spec.timestep(low)
    if spec.sigma(np.array([end]))[0] < 1e-5:  # the grid ends at 0 by itself: do not go there twice
        return spec.sigma(_line(spec, start, end, steps + 1)[:-1])
    return spec.sigma(_line(spec, start, end, steps))


def sgm_uniform(spec: ModelSpec, steps: int, options: Range) -> np.ndarray:
    """Even in the model's time, stopping one interval short of the smallest sigma."""
    low, high = spec.ends(options)
    return spec.sigma(_line(spec, spec.timestep(high), spec.timestep(low), steps + 1)[:-1])


def uniform(spec: ModelSpec, steps: int, options: NoOptions) -> np.ndarray:
    """Even along the table, from its last entry to its first, linear in log sigma between.

    A1111's list for ``Uniform``, and for ``Automatic`` where the sampler has no schedule of its
    own. It is ``normal`` on models whose time is the table's index; on a flow model with a shift
    ``normal`` applies the shift to the last sigma once more, and this does not.
    """
    return interpolate(spec.sigmas, _line(spec, len(spec.sigmas) - 1, 0, steps))


def _line(spec: ModelSpec, start: float, end: float, count: int) -> np.ndarray:
    # torch's linspace, whose bits the host and A1111 have.
    return torch.linspace(start, end, count, dtype=spec.dtype).numpy()


def ddim_uniform(spec: ModelSpec, steps: int, options: NoOptions) -> np.ndarray:
    """Table entries ``1 + i n / steps``, rounded down; beyond n steps, fractions of entries.

    The host and A1111 go up from entry 1 in whole strides of ``n // steps`` until the table ends,
    which is the same where ``steps`` divides n and one or more steps too long elsewhere (30 steps
    of 1000 entries give 31, 600 give 999).
    """
    n = len(spec.sigmas)
    if steps < n:
        return spec.sigmas[1 + np.floor(np.arange(steps)[::-1] * (n / steps)).astype(int)]
    return between(spec.sigmas, np.linspace(n - 1, min(1, n - 2), steps))


SCHEDULES = (
    Schedule(
        name="simple", label="Simple", curve=simple,
        source="ComfyUI simple_scheduler; diffusers' 'trailing' spacing",
    ),
    Schedule(
        name="sgm_uniform", label="SGM Uniform", aliases=("SGMUniform",), curve=sgm_uniform,
        options=Range(), source="Stability-AI generative-models, as in ComfyUI and A1111",
    ),
    Schedule(
        name="normal", label="Normal", curve=normal, options=Range(),
        source="k-diffusion DiscreteSchedule.get_sigmas; diffusers' 'linspace' spacing",
    ),
    Schedule(
        name="uniform", label="Uniform", curve=uniform,
        source="k-diffusion DiscreteSchedule.get_sigmas, as in A1111",
    ),
    Schedule(
        name="ddim_uniform", label="DDIM Uniform", aliases=("ddim",), curve=ddim_uniform,
        source="Song et al. 2020, arXiv:2010.02502, appendix D.2, 'linear'; ComfyUI, A1111's DDIM",
    ),
)
