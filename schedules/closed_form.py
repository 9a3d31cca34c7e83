"""Schedules given by a formula in the smallest and the largest sigma.

They hold for any model as they stand: the two ends are the model's own, in its own sigma (a flow
model's included, as in the host and A1111), unless ``sigma_min`` and ``sigma_max`` say otherwise.
Tensor arithmetic has the precision of the model's table: beside the host and A1111, whose tables
are float32, every bit is theirs.
"""

from __future__ import annotations

import math

import torch

from ..registry import option, option_set
from .entry import Schedule
from .spec import ModelSpec, Range


@option_set
class Rho(Range):
    """Options of Karras' curve."""

    rho: float = option(7.0, 0.1, 100.0, "curvature; larger spends more steps at low noise")


@option_set
class LogRho(Range):
    """Options of the polyexponential curve."""

    rho: float = option(1.0, 0.1, 100.0, "1 is exponential; larger goes down faster at first")


def _ramp(spec: ModelSpec, steps: int, start: float = 0.0, end: float = 1.0) -> torch.Tensor:
    """Even values [steps] from start to end, in the precision of the model's table."""
    return torch.linspace(start, end, steps, dtype=spec.dtype)


def karras(spec: ModelSpec, steps: int, options: Rho) -> torch.Tensor:
    """Even in ``sigma ** (1 / rho)``."""
    return even_power(spec, steps, *spec.ends(options), options.rho)


def even_power(
    spec: ModelSpec, steps: int, low: float, high: float, rho: float
) -> torch.Tensor:
    """Values [steps] from high to low (both above 0), even in their power 1 / rho."""
    top, bottom = high ** (1 / rho), low ** (1 / rho)
    values = top + _ramp(spec, steps) * (bottom - top)
    if rho < 1.0:  # then bottom may be below the rounding of top
        values = values.clamp(min=bottom)
    return values**rho


def exponential(spec: ModelSpec, steps: int, options: Range) -> torch.Tensor:
    """Even in log sigma."""
    low, high = spec.ends(options)
    return _ramp(spec, steps, math.log(high), math.log(low)).exp()


def polyexponential(spec: ModelSpec, steps: int, options: LogRho) -> torch.Tensor:
    """``log sigma = log low + r ** rho * log(high / low)``, r even from 1 to 0."""
    low, high = spec.ends(options)
    ramp = _ramp(spec, steps, 1.0, 0.0) ** options.rho
    return torch.exp(ramp * (math.log(high) - math.log(low)) + math.log(low))


def kl_optimal(spec: ModelSpec, steps: int, options: Range) -> torch.Tensor:
    """Even in arctan sigma from the largest sigma to the smallest (the host's form).

    The host divides 0 by 0 for one step; here that step starts at the largest sigma.
    """
    low, high = spec.ends(options)
    x = torch.arange(steps, dtype=spec.dtype) / max(steps - 1, 1)
    return (x * math.atan(low) + (1 - x) * math.atan(high)).tan()


def kl_optimal_a1111(spec: ModelSpec, steps: int, options: Range) -> torch.Tensor:
    """Even in arctan sigma, one interval short of the smallest sigma.

    A1111's list has ``steps + 1`` such values and ends at sigma_min, not at 0: its picture keeps
    that noise. All but that last value are A1111's; the last one here is 0.
    """
    low, high = (torch.tensor(end, dtype=spec.dtype).atan() for end in spec.ends(options))
    x = torch.arange(steps + 1, dtype=spec.dtype) / steps
    return torch.tan(x * low + (1.0 - x) * high)[:-1]


def cosine(spec: ModelSpec, steps: int, options: Range) -> torch.Tensor:
    """``low + (high - low) (1 - cos(pi (1 - sqrt(x)))) / 2``, x even from 0 to 1."""
    low, high = spec.ends(options)
    # 1 - cos(2 a) = 2 sin(a)^2 keeps its digits near the end, where 1 - cos has none.
    half = torch.sin(0.5 * math.pi * (1.0 - _ramp(spec, steps).sqrt()))
    return low + (high - low) * half**2


SCHEDULES = (
    Schedule(
        name="karras", label="Karras", curve=karras, options=Rho(),
        source="Karras et al. 2022, arXiv:2206.00364, eq. 5",
    ),
    Schedule(
        name="exponential", label="Exponential", curve=exponential, options=Range(),
        source="k-diffusion get_sigmas_exponential",
    ),
    Schedule(
        name="polyexponential", label="Polyexponential", curve=polyexponential, options=LogRho(),
        source="k-diffusion get_sigmas_polyexponential",
    ),
    Schedule(
        name="kl_optimal", label="KL Optimal", curve=kl_optimal, options=Range(),
        source="Sabour et al. 2024, arXiv:2404.14507, section 3.1, with ComfyUI's end points",
    ),
    Schedule(
        name="kl_optimal_a1111", label="KL Optimal (A1111)", curve=kl_optimal_a1111,
        options=Range(),
        source="Sabour et al. 2024, arXiv:2404.14507, section 3.1, with A1111 1.10's end points",
    ),
    Schedule(
        name="cosine", label="Cosine", curve=cosine, options=Range(),
        source="the cosine of DualSTA's webUI_ExtraSchedulers and reForge",
    ),
)
