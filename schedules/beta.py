"""The beta schedules: the model's time, or sigma itself, at quantiles of a Beta distribution."""

from __future__ import annotations

import math

import numpy as np

from ..registry import Options, option, option_set
from .entry import Schedule
from .spec import ModelSpec, Range, between


@option_set
class AlphaBeta(Options):
    """The shape of the Beta distribution."""

    alpha: float = option(0.6, 0.05, 20.0, "smaller puts more steps at high noise")
    beta: float = option(0.6, 0.05, 20.0, "smaller puts more steps at low noise")


@option_set
class AlphaBetaRange(AlphaBeta, Range):
    """The shape and the two ends."""


def beta(spec: ModelSpec, steps: int, options: AlphaBeta) -> np.ndarray:
    """Table entries at Beta quantiles, rounded to whole entries while those are distinct.

    The host drops the duplicates instead, and its list comes out too short.
    """
    last = len(spec.sigmas) - 1
    time = quantile(1.0 - np.arange(steps) / steps, options.alpha, options.beta) * last
    whole = np.rint(time).astype(int)
    if len(np.unique(whole)) == steps:
        return spec.sigmas[whole]
    return between(spec.sigmas, time)


def beta_a1111(spec: ModelSpec, steps: int, options: AlphaBetaRange) -> np.ndarray:
    """``low + (high - low) q(1 - x)``: sigma itself at Beta quantiles, x even from 0 to 1.

    A1111's and diffusers' reading of the paper, which speaks of the model's time: on the wide
    range of a VE model it spends most steps at high noise.
    """
    low, high = spec.ends(options)
    x = quantile(1.0 - np.linspace(0.0, 1.0, steps), options.alpha, options.beta)
    return low + x * (high - low)


def quantile(p: np.ndarray, a: float, b: float) -> np.ndarray:
    """The inverse of the Beta(a, b) distribution function at p [n] in 0..1.

    Newton's method within a bracket, which is halved where a Newton step would leave it.
    """
    # Even in the angle: dense at the ends, where the distribution is steep for a, b < 1.
    grid = np.sin(np.linspace(0.0, math.pi / 2, 65)) ** 2
    k = np.clip(np.searchsorted(distribution(grid, a, b), p), 1, len(grid) - 1)
    low, high = grid[k - 1], grid[k]
    x, left = 0.5 * (low + high), np.flatnonzero((p > 0.0) & (p < 1.0))
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(80):
        now = x[left]
        excess = distribution(now, a, b) - p[left]
        low[left] = np.where(excess < 0.0, now, low[left])
        high[left] = np.where(excess < 0.0, high[left], now)
        with np.errstate(all="ignore"):
            density = np.exp(scale + (a - 1.0) * np.log(now) + (b - 1.0) * np.log1p(-now))
            step = now - excess / density
        inside = (step >= low[left]) & (step <= high[left])
        x[left] = np.where(inside, step, 0.5 * (low[left] + high[left]))
        # Errors square from step to step: a small one was the last that shows in float64.
        exact = inside & (np.abs(step - now) <= 1e-9 * now * (1.0 - now))
        left = left[~exact & (high[left] - low[left] > 2.3e-16 * now)]
        if not len(left):
            break
    return np.where(p >= 1.0, 1.0, np.where(p <= 0.0, 0.0, x))


def distribution(x: np.ndarray, a: float, b: float) -> np.ndarray:
    """The Beta(a, b) distribution function (regularised incomplete beta) at x [n] in 0..1."""
    value = np.where(x >= 1.0, 1.0, 0.0)
    flip = x > (a + 1.0) / (a + b + 2.0)  # where the fraction converges faster from above
    for from_above in (False, True):
        here = np.flatnonzero((x > 0.0) & (x < 1.0) & (flip == from_above))
        if len(here):
            part = _tail(1.0 - x[here], b, a) if from_above else _tail(x[here], a, b)
            value[here] = 1.0 - part if from_above else part
    return value


def _tail(x: np.ndarray, a: float, b: float) -> np.ndarray:
    """I_x(a, b) by its continued fraction (DLMF 8.17.22), evaluated with Lentz's method."""
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
    Schedule(
        name="beta57", label="Beta 57", curve=beta, options=AlphaBeta(alpha=0.5, beta=0.7),
        source="RES4LYF beta57: the beta schedule with alpha 0.5 and beta 0.7",
    ),
    Schedule(
        name="beta_a1111", label="Beta (A1111)", curve=beta_a1111, options=AlphaBetaRange(),
        source="A1111 1.10 and diffusers use_beta_sigmas, after arXiv:2407.12173",
    ),
)
