"""SA-Solver (Xue et al. 2023, arXiv:2309.05019): Adams predictor and corrector of the reverse SDE.

With eta = tau^2 and D replaced by a polynomial in log-SNR through known answers, a step is

    x' = keep x + sum_j w_j D_j + std z,    w_j = alpha' H integral exp(-H (1 - s)) L_j(s) ds,

H = (1 + tau^2) h (eq. 15 and 18). The predictor takes the answers so far. The corrector
takes the same step again, with the same noise, once the answer at its end is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import NamedTuple

from ..engine.table import Row
from ..process import Process
from ..registry import option, option_set
from .entry import Deterministic, Noisy, Sampler
from .phi import apply, moments
from .stochastic import sde_row


@option_set
class Adams(Noisy, Deterministic):
    """Options of SA-Solver. The window is in sigma / alpha, so that flow models have one too."""

    tau: float = option(1.0, 0.0, 2.0, "strength of the fresh noise inside the window; 0 is none")
    # SD1.5 and SDXL have these sigmas at 0.8 and at 0.2 of their training time.
    tau_start: float = option(5.0925, 0.0, 1e6, "noise where sigma/alpha is at most this")
    tau_end: float = option(0.5711, 0.0, 1e6, "noise where sigma/alpha is at least this")
    predictor_order: int = option(3, 1, 4, "answers in a prediction; 2 for large cfg")
    corrector_order: int = option(4, 0, 5, "answers in a correction; 2 for large cfg, 0 is none")
    pece: bool = option(False, help="ask the model again after each correction: two calls a step")
    simple_order_2: bool = option(
        False, help="the paper's short weights where two answers are combined: the trapezoid's"
    )

    def shape(self, n: int, z: float) -> list[float]:
        """The moments with which n answers are weighted (appendix D has the short ones)."""
        exact = moments(n, z)
        if n == 2 and self.simple_order_2:
            exact[1] = 0.5
        return exact

    def eta(self, process: Process, sigma: float) -> float:
        """tau squared for the step that ends at sigma."""
        alpha = process.alpha(sigma)
        inside = self.tau_end * alpha <= sigma <= self.tau_start * alpha
        return self.tau**2 if inside else 0.0


class Known(NamedTuple):
    """An answer of the model: its row, and the log-SNR at which it was given."""

    row: int
    snr: float


@dataclass(frozen=True)
class _Steps:
    """The steps of one run by number, each from any latent and with any answers."""

    sigmas: tuple[float, ...]
    process: Process
    options: Adams

    def take(self, step: int, x: int, known: Sequence[Known]) -> Row:
        """The step from the latent that row x started from, with ``known`` (newest first).

        An answer at a FLOW start, where log-SNR is minus infinity, is only ever used alone: no
        polynomial passes through that node.
        """
        sigma, sigma_next = self.sigmas[step : step + 2]
        eta = self.options.eta(self.process, sigma_next)
        decay = self.process.diffuse(sigma, sigma_next, eta)
        d = {known[0].row: decay.move}
        if math.isfinite(decay.h):
            known = list(takewhile(lambda one: math.isfinite(one.snr), known))
            start, scale = self.process.log_snr(sigma), self.process.alpha(sigma_next) * decay.h
            length = decay.h / (1.0 + eta)
            nodes = [(one.snr - start) / length for one in known]
            parts = apply(self.options.shape(len(known), -decay.h), nodes)
            d = {one.row: scale * w for one, w in zip(known, parts)}
        return sde_row(step, sigma, sigma_next, decay, x, d)


def sa_solver(sigmas: tuple[float, ...], process: Process, options: Adams) -> Iterator[Row]:
    """Predict, evaluate, correct (PEC), and evaluate once more if ``options.pece``.

    As in ComfyUI the orders fall towards a last sigma of 0, and PEC leaves the prediction that
    the last answer is made from as it is.
    """
    steps = _Steps(sigmas, process, options)
    left = len(sigmas) - 1 if sigmas[-1] == 0 else math.inf  # steps that remain, from this one
    known: list[Known] = []  # newest first
    k = base = 0  # the coming row; the row that started from the last corrected latent
    for step, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        known.insert(0, Known(k, process.log_snr(sigma)))
        order = min(options.corrector_order, left) if step else 0
        corrects = order > 0 and (sigma_next > 0 or options.pece)
        if corrects:
            # The step before once more, from where it started, now that its end is answered.
            again = steps.take(step - 1, base, known[:order])
            yield replace(again, step=step, sigma=sigma)
            k += 1
            if options.pece:
                known[0] = known[0]._replace(row=k)
        base = k
        left -= 1
        row = steps.take(step, base, known[: max(min(options.predictor_order, left), 1)])
        yield replace(row, calls=not corrects or options.pece)
        k += 1
        del known[5:]


_SOURCE = "Xue et al. 2023, arXiv:2309.05019, eq. 15 and 18"

SAMPLERS = (
    Sampler(
        name="sa_solver", label="SA-Solver", aliases=("SASolverScheduler",),
        source=_SOURCE, build=sa_solver, options=Adams(), order=3,
    ),
    Sampler(
        name="sa_solver_pece", label="SA-Solver PECE",
        source=_SOURCE + ", evaluated twice a step", build=sa_solver, options=Adams(pece=True),
        order=3, calls=2,
    ),
)
