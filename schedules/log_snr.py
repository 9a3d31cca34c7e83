"""Schedules given by a formula in log-SNR or, the same thing, in the sigma of a VE model.

On a FLOW model they are taken at equal log-SNR, ``sigma = s / (1 + s)`` with s the formula's
sigma, and start at sigma 1.
"""

from __future__ import annotations

import math

import numpy as np

from ..registry import Options, option, option_set
from .closed_form import even_power
from .entry import Schedule
from .mapping import from_ve
from .spec import ModelSpec, Range


@option_set
class Laplace(Range):
    """Options of the Laplace curve."""

    mu: float = option(0.0, -10.0, 10.0, "log sigma where the steps are densest")
    beta: float = option(0.5, 0.05, 10.0, "width of the peak; smaller gathers more steps there")


@option_set
class VP(Options):
    """Options of the linear VP process."""

    beta_d: float = option(19.9, 0.01, 5000.0, "growth of the noise rate")
    beta_min: float = option(0.1, 0.0, 5000.0, "noise rate at time 0")
    eps_s: float = option(0.001, 0.00001, 0.5, "time at which the last step starts")


@option_set
class EDM(Options):
    """Options of EDM's curve."""

    sigma_min: float = option(0.002, 0.0001, 10.0, "last sigma / alpha before 0")
    sigma_max: float = option(80.0, 1.0, 20000.0, "first sigma / alpha")
    rho: float = option(7.0, 0.1, 100.0, "curvature; larger spends more steps at low noise")


def laplace(spec: ModelSpec, steps: int, options: Laplace) -> np.ndarray:
    """Log sigma at even quantiles x of a Laplace(mu, beta) distribution, within the range.

    ``log sigma = mu - beta sgn(1/2 - x) log(1 - 2 |1/2 - x| + 1e-5)``, clamped to the range as in
    k-diffusion, with a final 0 that k-diffusion and the host leave out. Where the clamp would
    hold more than one value at an end, the quantiles are those of the distribution cut to the
    range.
    """
    start = spec.ends(options)[1]
    low, high = (math.log(end) for end in spec.ratios(options))
    x = np.linspace(0.0, 1.0, steps)
    fall = np.sign(0.5 - x) * np.log(1.0 - 2.0 * np.abs(0.5 - x) + 1e-5)
    value = options.mu - options.beta * fall
    if np.sum(value >= high) > 1 or np.sum(value <= low) > 1:
        value = _cut_laplace(x, low, high, options)
    return from_ve(spec, np.exp(np.clip(value, low, high)), start)


def _cut_laplace(x: np.ndarray, low: float, high: float, options: Laplace) -> np.ndarray:
    """Quantiles, from above, of the Laplace distribution between low and high."""
    # A tail of it has one shape wherever it begins, so the peak may be moved to the range's end.
    peak = min(max(options.mu, low), high)
    first = 0.5 * math.exp((peak - high) / options.beta)  # probability above high, below low
    last = 0.5 * math.exp((low - peak) / options.beta)
    inside = 1.0 - first - last
    above, below = first + x * inside, last + (1.0 - x) * inside
    z = np.where(above < 0.5, -np.log(2.0 * above), np.log(2.0 * below))
    return peak + options.beta * z


def vp(spec: ModelSpec, steps: int, options: VP) -> np.ndarray:
    """``sigma = sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1)``, t even from 1 to eps_s.

    A time at which the formula leaves the model's range is replaced by the one at the range's
    end, so that the curve starts at the model's sigma_max where the formula goes higher.
    """

    def time(sigma: float) -> float:
        rate = math.log1p(sigma**2)
        root = math.sqrt(options.beta_min**2 + 2.0 * options.beta_d * rate)
        return 2.0 * rate / (options.beta_min + root)

    low, high = spec.ratios()
    start, end = min(1.0, time(high)), max(options.eps_s, time(low))
    if end >= start:
        raise ValueError(f"eps_s must be below {start:.6g} on this model, got {options.eps_s}")
    t = np.linspace(start, end, steps)
    rate = options.beta_d * t**2 / 2.0 + options.beta_min * t
    # sqrt(exp(r) - 1) without the overflow that a large beta_d brings.
    values = np.exp(rate / 2.0) * np.sqrt(-np.expm1(-rate))
    return from_ve(spec, values, spec.sigma_max)


def edm(spec: ModelSpec, steps: int, options: EDM) -> np.ndarray:
    """Karras' curve in sigma / alpha from 80 to 0.002, as far as the model goes."""
    low, high = spec.ratios()
    low, high = max(options.sigma_min, low), min(options.sigma_max, high)
    if low >= high:
        raise ValueError(f"sigma_min must be below {high:.6g} on this model, got {low:.6g}")
    values = even_power(spec, steps, low, high, options.rho).numpy()
    return from_ve(spec, values, spec.sigma_max)


def log_snr(spec: ModelSpec, steps: int, options: Range) -> np.ndarray:
    """Even in log-SNR.

    On VE models that is even in log sigma. A FLOW start has no log-SNR: the steps are even from
    the model's last level below 1 on, and the first one is then moved up to 1.
    """
    low, high = spec.ratios(options)
    values = np.exp(np.linspace(math.log(high), math.log(low), steps))
    return from_ve(spec, values, spec.ends(options)[1])


SCHEDULES = (
    Schedule(
        name="laplace", label="Laplace", curve=laplace, options=Laplace(),
        source="Hang and Gu 2024, arXiv:2407.03297, table 1; k-diffusion get_sigmas_laplace",
    ),
    Schedule(
        name="vp", label="VP", curve=vp, options=VP(),
        source="Song et al. 2021, arXiv:2011.13456, eq. 33; k-diffusion get_sigmas_vp",
    ),
    Schedule(
        name="edm", label="EDM", curve=edm, options=EDM(),
        source="Karras et al. 2022, arXiv:2206.00364, eq. 5 and table 1; Cosmos 1 and 2",
    ),
    Schedule(
        name="log_snr", label="Log-SNR uniform", curve=log_snr, options=Range(),
        aliases=("lu", "lu_lambdas"),
        source="Lu et al. 2022, arXiv:2206.00927, section 3.4; diffusers use_lu_lambdas",
    ),
)
