"""The noise that diffusion models were trained with: tables of betas."""

from __future__ import annotations

import math

import numpy as np

from ..registry import shown

# What a table starts and ends at unless said: (start, end) of beta. Two curves have no start.
BETAS: dict[str, tuple[float | None, float]] = {
    "scaled_linear": (0.00085, 0.012),
    "linear": (0.0001, 0.02),
    "sigmoid": (0.0001, 0.02),
    "squared_cosine": (None, 0.999),  # these two are cut off there whatever is said
    "exponential": (None, 0.999),
}
_SYNONYMS = {"quadratic": "scaled_linear", "quad": "scaled_linear", "cosine": "squared_cosine",
             "squaredcos_cap_v2": "squared_cosine", "exp": "exponential"}


def betas(name: str, start: float | None, end: float | None, count: int) -> np.ndarray:
    """Variances of the noise added at each of ``count`` times, float64.

    scaled_linear (also called quadratic): even in sqrt(beta); Stable Diffusion.
    linear: Ho et al. 2020, arXiv:2006.11239, section 4. sigmoid: a logistic curve from -6 to 6;
    Xu et al. 2022, arXiv:2203.02923 (GeoDiff). squared_cosine: Nichol and Dhariwal 2021,
    arXiv:2102.09672, eq. 17. exponential: ``alpha_bar = exp(-12 t)``. The last two have neither
    start nor end, and ones that are given change nothing, as in every program: beta stays below
    0.999.
    start, end: the first and the last beta, as published where None. Raises ValueError for an
    unknown name and for betas that do not rise within 0 <= beta < 1.
    """
    name = _SYNONYMS.get(name, name)
    if name not in BETAS:
        known = ", ".join([*BETAS, *_SYNONYMS])
        raise ValueError(f"unknown beta schedule {shown(name)}; known: {known}")
    first, last = BETAS[name]
    low, high = (first or 0.0) if start is None else start, last if end is None else end
    if first is None:
        low, high = 0.0, last
    if not 0.0 <= low <= high < 1.0:
        raise ValueError(f"betas must rise within 0 <= beta < 1, got {low} to {high}")
    if name == "scaled_linear":
        return np.linspace(low**0.5, high**0.5, count) ** 2
    if name == "linear":
        return np.linspace(low, high, count)
    if name == "sigmoid":
        return low + (high - low) / (1.0 + np.exp(-np.linspace(-6.0, 6.0, count)))
    t = np.arange(count + 1) / count
    if name == "squared_cosine":
        bar = np.array([cosine(x) for x in t])
    else:
        bar = np.exp(-12.0 * t)
    return np.minimum(1.0 - bar[1:] / bar[:-1], high)


def cosine(t: float) -> float:
    """alpha_bar of the squared cosine at time t in 0..1."""
    return math.cos((t + 0.008) / 1.008 * math.pi / 2.0) ** 2


def zero_terminal_snr(bar: np.ndarray) -> np.ndarray:
    """alpha_bar shifted and scaled to end without signal (arXiv:2305.08891, algorithm 1).

    The last value is the host's 4.8973e-08 instead of 0, so that sigma stays finite (4518.8).
    """
    root = np.sqrt(bar)
    bar = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    bar[-1] = 4.8973451890853435e-08
    return bar
