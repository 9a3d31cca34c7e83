"""UniPC: multistep exponential integrators whose next model call also corrects the last step.

Both halves of a step from lambda to lambda + h are the data form of ``exponential_multistep``:
the predictor's polynomial goes through the latest answers, the corrector's through the same ones
and the answer at the predicted latent. The corrector costs no model call of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..engine.table import Row
from ..process import Process
from ..registry import choice, option, option_set
from .entry import Deterministic, Sampler
from .phi import apply, moments

Answer = Mapping[int, float]  # weights, by row, of the D that it is made of


@option_set
class UniPC(Deterministic):
    order: int = option(3, 1, 4, "model answers that the predictor combines")
    variant: str = choice("bh1", ("bh1", "bh2"), "B(h) of steps through two answers: h or exp(h)-1")
    corrector: bool = option(True, help="correct each step with the next step's model call")
    lower_order_final: str = choice(
        "zero", ("zero", "always", "never"),
        "lower the order towards the end of the run: one at sigma 0, any, none",
    )

    def shape(self, n: int, z: float) -> list[float]:
        """The moments with which n answers are weighted; B(h) only matters where n is 2.

        With more answers B(h) cancels and the weights are exact. With two the paper puts 1/2 in
        the place of phi_2 h / B(h).
        """
        exact = moments(n, z)
        if n == 2:
            exact[1] = (1.0 if self.variant == "bh1" else exact[0]) / 2
        return exact

    def answer(self, clock: list[float], answers: list[Answer]) -> Answer:
        """What stands for the newest answer; a subclass may compensate it."""
        return answers[0]


@option_set
class DCSolver(UniPC):
    ratio: float = option(
        1.0, 0.0, 2.0, "where the newest answer is read, from the one before (0) to itself (1)"
    )

    def answer(self, clock: list[float], answers: list[Answer]) -> Answer:
        """The parabola through the last three answers, read at ``ratio`` of the last step.

        The earlier ones are the compensated ones, as in the authors' code, so all answers of the
        run take part; weights below float64's reach are dropped.
        """
        if self.ratio == 1.0 or len(answers) < 3:
            return answers[0]
        u = (1.0 - self.ratio) * clock[1]
        return _mix(apply([1.0, u, u * u], clock[:3]), answers)


def _mix(factors: list[float], answers: list[Answer]) -> Answer:
    """The linear combination of answers, as weights of the model's own."""
    out: dict[int, float] = {}
    for factor, answer in zip(factors, answers):
        for row, weight in answer.items():
            out[row] = out.get(row, 0.0) + factor * weight
    return {row: weight for row, weight in out.items() if abs(weight) > 1e-15}


class Leap(NamedTuple):
    """A step in the making: x of row ``start`` at sigma, to sigma_next, with the answers in use.

    nodes: when they were given, in units of the step h in log-SNR.
    """

    start: int
    sigma: float
    sigma_next: float
    h: float
    nodes: list[float]
    answers: list[Answer]

    def weights(self, process: Process, options: UniPC) -> tuple[dict[int, float], Answer]:
        """Weights of x and of D by row."""
        ratio = self.sigma_next / self.sigma
        move = process.alpha(self.sigma_next) - ratio * process.alpha(self.sigma)
        shares = [1.0]
        if len(self.nodes) > 1:
            shape = options.shape(len(self.nodes), -self.h)
            shares = [w / shape[0] for w in apply(shape, self.nodes)]
        return {self.start: ratio}, _mix([move * w for w in shares], self.answers)

    def corrected(self, newest: Answer) -> Leap:
        """The same step, with the answer at its end."""
        return self._replace(nodes=[*self.nodes, 1.0], answers=[*self.answers, newest])


def uni_pc(sigmas: tuple[float, ...], process: Process, options: UniPC) -> Iterator[Row]:
    """UniPC with B(h) in the data form.

    A step that log-SNR cannot span (from a FLOW run's sigma 1, or to 0) is first order and is not
    corrected. The last step has no next call, so nothing corrects it. A list that ends above 0
    may be the first part of a run, whose order must not drop in the middle, so that it only does
    where it is asked to.
    """
    steps = len(sigmas) - 1
    taper = options.lower_order_final in ("always", "zero" if sigmas[-1] == 0 else "always")
    clock: list[float] = []
    answers: list[Answer] = []
    leap: Leap | None = None
    row = 0
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        calls, newest = True, {row: 1.0}
        if leap is not None and math.isfinite(leap.h) and options.corrector:
            yield Row(k, sigma, sigma, *leap.corrected(newest).weights(process, options))
            calls, row = False, row + 1
        h = process.log_snr(sigma_next) - process.log_snr(sigma)
        clock, answers = [0.0, *clock][:4], [newest, *answers][:4]
        answers[0] = options.answer(clock, answers)
        order = min(options.order, steps - k if taper else options.order) if math.isfinite(h) else 1
        nodes = [t / h for t in clock[:order]] if order > 1 else [0.0]
        leap = Leap(row, sigma, sigma_next, h, nodes, answers[:order])
        yield Row(k, sigma, sigma_next, *leap.weights(process, options), calls=calls)
        row += 1
        clock = [t - h for t in clock] if math.isfinite(h) else []
        answers = answers if clock else []


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
        build=uni_pc, options=DCSolver(), order=3,
    ),
)
