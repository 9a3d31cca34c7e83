"""The range that a curve runs over, and ways between sigmas of one process and of the other.

A formula that speaks of sigma as such (karras, cosine ...) takes the model's two ends, whatever
the process; that is what the host and A1111 do. One that speaks of log-SNR, or of another
process than the model's, is brought to the model at equal log-SNR.
"""

from __future__ import annotations

import math

import numpy as np

from ..process import FLOW
from ..registry import Options, option, option_set
from .spec import ModelSpec


@option_set
class Range(Options):
    """The options of every curve that is given by its two ends (A1111's overrides)."""

    sigma_min: float = option(0.0, 0.0, 20000.0, "last sigma before 0; 0 takes the model's")
    sigma_max: float = option(0.0, 0.0, 20000.0, "first sigma; 0 takes the model's")

    def of(self, spec: ModelSpec) -> tuple[float, float]:
        """(lowest, highest) sigma of the curve on this model."""
        if 0.0 < self.sigma_min < 1e-4:
            raise ValueError(f"sigma_min must be 0 or from 0.0001 on, got {self.sigma_min}")
        low, high = self.sigma_min or spec.sigma_min, self.sigma_max or spec.sigma_max
        if high > spec.sigma_max * (1 + 1e-6):
            top = f"{spec.sigma_max:.6g}"
            raise ValueError(f"sigma_max must not be above the model's {top}, got {high}")
        if low >= high:
            raise ValueError(f"sigma_min {low:.6g} must be below sigma_max {high:.6g}")
        return low, high

    def ratios_of(self, spec: ModelSpec) -> tuple[float, float]:
        """(lowest, highest) sigma / alpha of the curve on this model.

        A FLOW start has none: there the model's last level below 1 stands for it.
        """
        low, high = self.of(spec)
        if spec.process is FLOW and high == 1.0:
            high = float(np.max(spec.sigmas[spec.sigmas < 1.0]))
        return ve(spec, low), ve(spec, high)


def ve(spec: ModelSpec, sigma: float) -> float:
    """sigma / alpha of a level of the model; infinite at a FLOW start."""
    if spec.process is not FLOW:
        return sigma
    return sigma / (1.0 - sigma) if sigma < 1.0 else math.inf


def from_ve(spec: ModelSpec, ratios: np.ndarray, start: float) -> np.ndarray:
    """The model's levels at the log-SNR of VE sigmas [n]; on a FLOW model the first is ``start``.

    No finite sigma / alpha is the pure noise that a FLOW run starts from.
    """
    if spec.process is not FLOW:
        return ratios
    values = ratios / (1.0 + ratios)
    values[0] = start
    return values


def from_flow(spec: ModelSpec, values: np.ndarray) -> np.ndarray:
    """The model's levels for flow sigmas [n] in (0, 1].

    On a FLOW model they are its own. On a VE model they are first scaled to its top, which has
    flow sigma ``sigma_max / (1 + sigma_max)`` (0.936 for SD1.5), and then taken at equal log-SNR.
    """
    top = spec.sigma_max
    if spec.process is FLOW:
        return values * top
    values = values * (top / (1.0 + top))
    return values / (1.0 - values)
