"""ER-SDE-Solver (Cui et al. 2023, arXiv:2309.06169): a reverse SDE with a chosen amount of noise.

In y = x / alpha and s = sigma / alpha, with a noise scaler f(s) that rises at least as fast as s,
a step is, D expanded in s,

    y' = r y + (1 - r) D + A_1 D' + A_2 D'' + sqrt(s'^2 - r^2 s^2) z,        r = f(s') / f(s),
    A_1 = s' - s + I_0,    A_2 = (s' - s)^2 / 2 + I_1,    I_n = integral f(s') (q - s)^n / f(q) dq

from s' to s. f(s) = s is the ODE and f(s) = s^2 the reverse-time SDE.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..engine.table import Row, noisy_row
from ..process import Process, root
from ..registry import choice, option, option_set
from .entry import ETA, Eta, Sampler
from .history import History
from .quadrature import integrate


@option_set
class Extended(Eta):
    """Options of ER-SDE: f(s) = s g(s)^eta, so that eta 0 is the ODE."""

    eta: float = option(0.0, 0.0, 10.0, ETA)
    max_stage: int = option(3, 1, 3, "terms of the expansion of D")
    scaler: str = choice(
        "er_sde", ("er_sde", "sde"), "g(s): the paper's exp(s^0.3) + 10, or s, the reverse-time SDE"
    )
    points: int = option(
        200, 0, 1000, "points of the sum that stands for an integral, as in the host; 0: exact"
    )


def _log_gain(options: Extended, s: np.ndarray | float) -> np.ndarray | float:
    """eta log g(s): a logarithm, because g itself overflows near a FLOW start."""
    if options.eta == 0:
        return 0.0
    if options.scaler == "sde":
        return options.eta * np.log(s)
    return options.eta * np.logaddexp(s**0.3, math.log(10.0))


def _integrals(options: Extended, s: float, s_next: float) -> tuple[float, float]:
    """I_0 and I_1, by a left Riemann sum or by Gauss-Legendre in log s."""
    def ratio(q: np.ndarray) -> np.ndarray:
        """f(s') / f(q)."""
        return s_next / q * np.exp(_log_gain(options, s_next) - _log_gain(options, q))

    if options.points:
        width = (s - s_next) / options.points
        q = s_next + np.arange(options.points) * width
        parts = ratio(q) * width
        return float(parts.sum()), float((parts * (q - s)).sum())
    ends = math.log(s_next), math.log(s)
    whole = integrate([0.0], *ends, kernel=lambda u: ratio(np.exp(u)) * np.exp(u))
    first = integrate(
        [0.0], *ends, kernel=lambda u: ratio(np.exp(u)) * np.exp(u) * (np.exp(u) - s)
    )
    return whole[0], first[0]


def er_sde(sigmas: tuple[float, ...], process: Process, options: Extended) -> Iterator[Row]:
    """Stages 1 to 3; D' and D'' are the backward differences of the answers.

    Stage 1 holds D still and is exact whatever the noise scaler. It is all there is to sigma 0 and
    next to sigma 1 of FLOW (s infinite), where an answer gives no difference.
    """
    history = History()
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        s, s_next = process.ratio(sigma), process.ratio(sigma_next)
        alpha, keep, std = process.alpha(sigma_next), 0.0, 0.0
        if sigma_next > 0:
            fall = float(_log_gain(options, s) - _log_gain(options, s_next))
            std = sigma_next * root(-math.expm1(-2.0 * max(fall, -1.0)), 1.0)  # up: none
            keep = sigma_next / sigma * math.exp(-fall)
        d = {k: alpha - keep * process.alpha(sigma)}
        history.add(k, s)
        known = history.latest(options.max_stage if 0 < s_next < math.inf else 1)
        if len(known) > 1:
            step, (mean, lean) = s_next - s, _integrals(options, s, s_next)
            # Weights of D' and of D'', then of the first differences that they are made from.
            first, second = alpha * (step + mean), alpha * (0.5 * step**2 + lean)
            near = s - known[1].time
            if len(known) > 2:
                far = known[1].time - known[2].time
                curve = second * 2.0 / (near + far)
                first += curve
                d[k - 1], d[k - 2] = -curve / far, curve / far
            d[k] += first / near
            d[k - 1] = d.get(k - 1, 0.0) - first / near
        yield noisy_row(k, sigma, sigma_next, {k: keep} if keep else {}, d, std)


SAMPLERS = (
    Sampler(
        name="er_sde", label="ER-SDE-Solver", aliases=("er_sde_solver_3",),
        source="Cui et al. 2023, arXiv:2309.06169, ER-SDE-Solver-3",
        build=er_sde, options=Extended(eta=1.0), order=1,
    ),
)
