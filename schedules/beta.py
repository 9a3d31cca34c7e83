"""The beta schedule: the model's time at quantiles of a Beta distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..registry import Options, option
from .entry import Schedule
from .spec import ModelSpec, between


@dataclass(frozen=True)
class AlphaBeta(Options):
    alpha: float = option(0.6, 0.05, 20.0, "smaller puts more steps at high noise")
    beta: float = option(0.6, 0.05, 20.0, "smaller puts more steps at low noise")


def beta(spec: ModelSpec, steps: int, options: AlphaBeta) -> np.ndarray:
    """Table entries at Beta quantiles, rounded to whole entries while those are distinct."""
    last = len(spec.sigmas) - 1
    time = quantile(1.0 - np.arange(steps) / steps, options.alpha, options.beta) * last
    whole = np.rint(time).astype(int)
    if len(np.unique(whole)) == steps:
        return spec.sigmas[whole]
    return between(spec.sigmas, time)


def quantile(p: np.ndarray, a: float, b: float) -> np.ndarray:
    """The inverse of the Beta(a, b) distribution function at p [n] in 0..1, by bisection."""
    low, high = np.zeros_like(p), np.ones_like(p)
    for _ in range(60):  # 2**-60: below float64's resolution near 1
        middle = 0.5 * (low + high)
        below = distribution(middle, a, b) < p
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(p >= 1.0, 1.0, np.where(p <= 0.0, 0.0, 0.5 * (low + high)))


def distribution(x: np.ndarray, a: float, b: float) -> np.ndarray:
    """The Beta(a, b) distribution function (regularised incomplete beta) at x [n] in 0..1."""
    flip = x > (a + 1.0) / (a + b + 2.0)  # where the fraction converges faster from above
    value = np.where(
        flip, 1.0 - _tail(1.0 - x, b, a, flip), _tail(x, a, b, ~flip)
    )
    return np.where(x <= 0.0, 0.0, np.where(x >= 1.0, 1.0, value))


def _tail(x: np.ndarray, a: float, b: float, wanted: np.ndarray) -> np.ndarray:
    """I_x(a, b) by its continued fraction (DLMF 8.17.22), evaluated with Lentz's method."""
    x = np.where(wanted & (x > 0.0) & (x < 1.0), x, 0.25)
    front = np.exp(
        a * np.log(x) + b * np.log1p(-x)
        + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    ) / a
    c, d = np.ones_like(x), 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    fraction = d
    for m in range(1, 200):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / (1.0 + numerator * d)
            c = 1.0 + numerator / c
            fraction = fraction * c * d
        if np.all(np.abs(c * d - 1.0) < 1e-15):
            break
    return front * fraction


SCHEDULES = (
    Schedule(
        name="beta", label="Beta", curve=beta, options=AlphaBeta(),
        source="Lee et al. 2024, arXiv:2407.12173, section 4 (timesteps by Beta quantiles)",
    ),
)
