"""Schedules given by a formula in the model's smallest and largest sigma."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..registry import Options, option
from .entry import NoOptions, Schedule
from .spec import ModelSpec


def _ramp(steps: int) -> np.ndarray:
    return np.linspace(0.0, 1.0, steps)


@dataclass(frozen=True)
class Rho(Options):
    rho: float = option(7.0, 0.1, 100.0, "curvature; larger spends more steps at low noise")


def karras(spec: ModelSpec, steps: int, options: Rho) -> np.ndarray:
    """Even in ``sigma ** (1 / rho)`` from sigma_max to sigma_min."""
    top, bottom = spec.sigma_max ** (1 / options.rho), spec.sigma_min ** (1 / options.rho)
    return (top + _ramp(steps) * (bottom - top)) ** options.rho


def exponential(spec: ModelSpec, steps: int, options: NoOptions) -> np.ndarray:
    """Even in log sigma from sigma_max to sigma_min."""
    top, bottom = np.log(spec.sigma_max), np.log(spec.sigma_min)
    return np.exp(top + _ramp(steps) * (bottom - top))


SCHEDULES = (
    Schedule(
        name="karras", label="Karras", curve=karras, options=Rho(),
        source="Karras et al. 2022, arXiv:2206.00364, eq. 5",
    ),
    Schedule(
        name="exponential", label="Exponential", curve=exponential,
        source="k-diffusion get_sigmas_exponential",
    ),
)
