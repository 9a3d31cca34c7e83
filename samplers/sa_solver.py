"""SA-Solver (Xue et al. 2023, arXiv:2309.05019): Adams predictor and corrector of the reverse SDE.

With eta = tau^2 and D replaced by a polynomial in log-SNR through known answers, a step is

    x' = keep x + sum_j w_j D_j + std z,    w_j = alpha' H integral exp(-H (1 - s)) L_j(s) ds,

H = (1 + tau^2) h (eq. 15 and 18). The predictor takes the answers so far. The corrector
takes the same step again, with the same noise, once the answer at its end is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from ..engine.table import Row
from ..process import Process
from ..registry import option, option_set
from .entry import Deterministic, Noisy, Sampler
from .exponential_multistep import sde_row
from .history import History, nodes
from .phi import apply, moments

Tau = Callable[[float, float], float]


@option_set
class SASolver(Noisy, Deterministic):
    """Options of SA-Solver. The window is in sigma / alpha, so that flow models have one too."""

    QUIET = {"tau": 0.0}
    tau: float = option(1.0, 0.0, 10.0, "strength of the fresh noise inside the window; 0 is none")
    # SD1.5 and SDXL have these sigmas at 0.8 and at 0.2 of their training time.
    tau_start: float = option(5.0925, 0.0, 1e6, "noise where sigma/alpha is at most this")
    tau_end: float = option(0.5711, 0.0, 1e6, "noise where sigma/alpha is at least this")
    predictor_order: int = option(3, 1, 6, "answers in a prediction; 2 for large cfg")
    corrector_order: int = option(4, 0, 6, "answers in a correction; 2 for large cfg, 0 is none")
    pece: bool = option(False, help="ask the model again after each correction: two calls a step")
    simple_order_2: bool = option(
        False, help="the paper's short weights where two answers are combined: the trapezoid's"
    )


def _shape(options: SASolver, n: int, z: float) -> list[float]:
    """The moments with which n answers are weighted (appendix D has the short ones)."""
    exact = moments(n, z)
    if n == 2 and options.simple_order_2:
        exact[1] = 0.5
    return exact


def sa_solver(sigmas: tuple[float, ...], process: Process, options: SASolver) -> Iterator[Row]:
    """Predict, evaluate, correct (PEC), and evaluate once more if ``options.pece``.

    As in ComfyUI the orders fall towards a last sigma of 0, and PEC leaves the prediction that
    the last answer is made from as it is.
    """

    def tau(sigma: float, sigma_next: float) -> float:
        alpha = process.alpha(sigma_next)
        inside = options.tau_end * alpha <= sigma_next <= options.tau_start * alpha
        return options.tau if inside else 0.0

    return steps(sigmas, process, options, tau, 0 if sigmas[-1] == 0 else None)


def steps(
    sigmas: tuple[float, ...], process: Process, options: SASolver, tau: Tau, spare: int | None
) -> Iterator[Row]:
    """The rows for a strength of the noise by step, ``tau(sigma, sigma_next)``.

    spare: how many answers more than steps are left after it a prediction may take; a correction
    may take two of them more than are left before it. None sets no limit.
    """
    history, snr = History(), [process.log_snr(sigma) for sigma in sigmas]

    def take(step: int, x: int, order: int) -> Row:
        """The step from the latent that row x started from, with the latest answers."""
        sigma, sigma_next = sigmas[step : step + 2]
        eta = tau(sigma, sigma_next) ** 2
        decay = process.diffuse(sigma, sigma_next, eta)
        known = history.latest(order, decay.h)
        d = {known[0].answer: decay.move}
        if decay.h and math.isfinite(decay.h):
            places = nodes(known, snr[step], decay.h / (1.0 + eta))
            weights = apply(_shape(options, len(known), -decay.h), places)
            scale = process.alpha(sigma_next) * decay.h
            d = {row: scale * w for (row, _), w in zip(known, weights)}
        return sde_row(step, sigma, sigma_next, decay, x, d)

    def lowered(order: int, left: int, times: int = 1) -> int:
        return order if spare is None else min(order, left + times * spare)

    k = base = 0  # the coming row; the row that started from the last corrected latent
    for step, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        history.add(k, snr[step])
        left = len(sigmas) - 1 - step
        order = lowered(options.corrector_order, left, 2) if step else 0
        corrects = order > 0 and (sigma_next > 0 or options.pece)
        if corrects:
            # The step before once more, from where it started, now that its end is answered.
            yield replace(take(step - 1, base, order), step=step, sigma=sigma)
            k += 1
            if options.pece:
                history.renew(k)
        base = k
        row = take(step, base, max(lowered(options.predictor_order, left - 1), 1))
        yield replace(row, calls=not corrects or options.pece)
        k += 1


_SOURCE = "Xue et al. 2023, arXiv:2309.05019, eq. 15 and 18"

SAMPLERS = (
    Sampler(
        name="sa_solver", label="SA-Solver", aliases=("SASolverScheduler",),
        source=_SOURCE, build=sa_solver, options=SASolver(), order=3,
    ),
    Sampler(
        name="sa_solver_pece", label="SA-Solver PECE",
        source=_SOURCE + ", evaluated twice a step", build=sa_solver, options=SASolver(pece=True),
        order=3, calls=2,
    ),
)
