"""UniPC: multistep exponential integrators whose next model call also corrects the last step.

Both halves of a step from lambda to lambda + h are the data form of ``exponential_multistep``:
the predictor's polynomial goes through the latest answers, the corrector's through the same ones
and the answer at the predicted latent. The corrector costs no model call of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from ..engine.table import Row
from ..process import Decay, Process
from ..registry import choice, option, option_set
from .entry import Deterministic, Sampler
from .history import History, Known, nodes
from .phi import Moments, apply, moments, shares

Mixture = Mapping[int, float]  # an answer made of the model's own: the weight of D by row


@option_set
class UniPC(Deterministic):
    """Options of UniPC."""

    order: int = option(3, 1, 4, "model answers that the predictor combines")
    variant: str = choice("bh1", ("bh1", "bh2"), "B(h) of steps through two answers: h or exp(h)-1")
    corrector: bool = option(True, help="correct each step with the next step's model call")
    lower_order_final: str = choice(
        "zero", ("zero", "always", "never"),
        "lower the order towards the end of the run: one at sigma 0, any, none",
    )


@option_set
class DCSolver(UniPC):
    """Options of DC-Solver."""

    ratio: float = option(
        1.0, 0.0, 2.0, "where the newest answer is read, from the one before (0) to itself (1)"
    )


def _shape(variant: str, n: int, z: float) -> list[float]:
    """The moments with which n answers are weighted; B(h) only matters where n is 2.

    With more answers B(h) cancels and the weights are exact. With two the paper puts 1/2 in the
    place of phi_2 h / B(h).
    """
    exact = moments(n, z)
    if n == 2:
        exact[1] = (1.0 if variant == "bh1" else exact[0]) / 2
    return exact


class Leap(NamedTuple):
    """A step from the latent of row ``start``: its linear part, and the answers in use.

    nodes: when they were given, in units of the step.
    """

    start: int
    decay: Decay
    nodes: Sequence[float]
    answers: Sequence[Mixture]

    def weights(self, shape: Moments) -> tuple[Mixture, Mixture]:
        """Weights of x and of D by row."""
        parts = shares(1.0, shape, -self.decay.h, self.nodes)
        d = _mix([self.decay.move * part for part in parts], self.answers)
        return {self.start: self.decay.keep}, d

    def corrected(self, newest: Mixture) -> Leap:
        """The same step, with the answer at its end."""
        return self._replace(nodes=[*self.nodes, 1.0], answers=[*self.answers, newest])


def _unipc(
    sigmas: tuple[float, ...], process: Process, options: UniPC, ratio: float
) -> Iterator[Row]:
    """The rows of either method.

    A step that log-SNR cannot span (from a FLOW run's sigma 1, or to 0) is first order and is not
    corrected. The last step has no next call, so nothing corrects it. A list that ends above 0
    may be the first part of a run, whose order must not drop in the middle, so that it only does
    where it is asked to.
    """
    steps = len(sigmas) - 1
    taper = options.lower_order_final in ("always", "zero" if sigmas[-1] == 0 else "always")
    history, shape = History(), partial(_shape, options.variant)
    leap: Leap | None = None
    row = 0
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        calls, newest = True, {row: 1.0}
        if leap is not None and math.isfinite(leap.decay.h) and options.corrector:
            yield Row(k, sigma, sigma, *leap.corrected(newest).weights(shape))
            calls, row = False, row + 1
        history.add(_compensated(newest, history.latest(2), ratio))
        decay = process.diffuse(sigma, sigma_next, 0.0)
        order = min(options.order, steps - k) if taper else options.order
        known = history.latest(order, decay.h)
        places = nodes(known, 0.0, decay.h)
        leap = Leap(row, decay, places, [one.answer for one in known])
        yield Row(k, sigma, sigma_next, *leap.weights(shape), calls=calls)
        row += 1
        history.pass_by(decay.h)


def _compensated(newest: Mixture, earlier: Sequence[Known], ratio: float) -> Mixture:
    """The parabola through the last three answers, read at ``ratio`` of the last step.

    The earlier ones are the compensated ones, as in the authors' code, so all answers of the run
    take part; weights below float64's reach are dropped.
    """
    if ratio == 1.0 or len(earlier) < 2:
        return newest
    u = (1.0 - ratio) * earlier[0].time
    times = [0.0, *(one.time for one in earlier)]
    return _mix(apply([1.0, u, u * u], times), [newest, *(one.answer for one in earlier)])


def _mix(factors: Sequence[float], answers: Sequence[Mixture]) -> Mixture:
    """The linear combination of answers, as weights of the model's own."""
    out: dict[int, float] = {}
    for factor, answer in zip(factors, answers):
        for row, weight in answer.items():
            out[row] = out.get(row, 0.0) + factor * weight
    return {row: weight for row, weight in out.items() if abs(weight) > 1e-15}


def uni_pc(sigmas: tuple[float, ...], process: Process, options: UniPC) -> Iterator[Row]:
    """UniPC with B(h) in the data form."""
    return _unipc(sigmas, process, options, 1.0)


def dc_solver(sigmas: tuple[float, ...], process: Process, options: DCSolver) -> Iterator[Row]:
    """UniPC whose newest answer is compensated for the error of its place (DC-Solver)."""
    return _unipc(sigmas, process, options, options.ratio)


_UNIPC = "Zhao et al. 2023, arXiv:2302.04867, algorithms 1 and 2"

SAMPLERS = (
    Sampler(
        name="uni_pc", label="UniPC", aliases=("unipc",),
        source=f"{_UNIPC}, B(h) = h", build=uni_pc, options=UniPC(), order=3,
    ),
    Sampler(
        name="uni_pc_bh2", label="UniPC BH2", aliases=("unipc_bh2", "UniPCMultistepScheduler"),
        source=f"{_UNIPC}, B(h) = exp(h) - 1",
        build=uni_pc, options=UniPC(variant="bh2"), order=3,
    ),
    Sampler(
        name="dc_solver", label="DC-Solver", aliases=("DCSolverMultistepScheduler",),
        source="Zhao et al. 2024, arXiv:2409.03755, algorithm 1",
        build=dc_solver, options=DCSolver(), order=3,
    ),
)
