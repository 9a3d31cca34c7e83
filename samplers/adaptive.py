"""Samplers that choose their own steps, image by image.

A step is tried with an embedded pair of methods: the higher order goes on, and the distance of
the lower one tells the error, by which a controller accepts the step and sizes the next. Step
sizes are in log sigma. The latent decides, so there is no table: the rows are made on the way,
for each image of a batch by itself, and the model is called on one image at a time. The user's
sigmas give the first and the last level alone; to a final 0 goes one last step, from the last
positive sigma.

A run that is cut in two is not the run in one piece: the cut is a level where it must arrive, and
the second part begins again with ``h_init``. Both solve the same ODE to the same tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from ..engine.levels import rises, stretches
from ..engine.run import Machine
from ..engine.table import Draw, Ref, Row
from ..process import Process
from ..registry import choice, option, option_set
from .entry import ETA, MOST_ETA, UPWARDS, Noisy, Sampler
from .exponential_single import three_stage
from .runge_kutta import BOGACKI_SHAMPINE, DORMAND_PRINCE, HEUN_EULER, Tableau


@option_set
class Adaptive(Noisy):
    """Options of step control; the defaults are k-diffusion's for DPM adaptive."""

    eta: float = option(0.0, 0.0, MOST_ETA, ETA)
    rtol: float = option(0.05, 1e-12, 100.0, "accepted error of a step, relative to the latent")
    atol: float = option(0.0078, 1e-12, 100.0, "accepted error of a step; the larger of both holds")
    h_init: float = option(0.05, 1e-6, 100.0, "first step to try, in log sigma")
    pcoeff: float = option(0.0, -10.0, 100.0, "step control: proportional part")
    icoeff: float = option(1.0, 0.0, 100.0, "step control: integral part")
    dcoeff: float = option(0.0, -10.0, 100.0, "step control: differential part")
    accept_safety: float = option(0.81, 0.0, 2.5, "a step is kept if the next may be this long")
    max_calls: int = option(1000, 1, 10**6, "model calls for one image after which it is an error")


@option_set
class DpmAdaptive(Adaptive):
    """Options of DPM-Solver-12 and DPM-Solver-23."""

    order: int = option(3, 2, 3, "order of the method that goes on: 2 (pair 1, 2) or 3 (pair 2, 3)")


PAIRS = {
    "heun_euler": (HEUN_EULER, 2),
    "bogacki_shampine": (BOGACKI_SHAMPINE, 3),
    "dormand_prince": (DORMAND_PRINCE, 5),
}


@option_set
class AdaptiveSteps(Adaptive):
    """Options of the Runge-Kutta pairs."""

    pair: str = choice("bogacki_shampine", tuple(PAIRS), "orders 2 and 1, 3 and 2, or 5 and 4")


class TooManyCalls(RuntimeError):
    """An adaptive run reached its bound on model calls."""


@dataclass
class Taken:
    """What one image cost: steps kept and thrown away, model calls, the levels it went through."""

    accepted: int = 0
    rejected: int = 0
    calls: int = 0
    sigmas: list[float] = field(default_factory=list)


class StepControl:
    """A PID controller of the step size h (Soderlind 2003, doi:10.1145/641876.641877).

    With e_0 the error of this step in units of the tolerance, and e_1, e_2 those of the accepted
    ones before, h is multiplied by ``1 + atan(f - 1)``,
    ``f = e_0^-(P+I+D)/order e_1^(P+2D)/order e_2^-D/order``.
    """

    def __init__(self, options: Adaptive, order: float) -> None:
        p, i, d = options.pcoeff, options.icoeff, options.dcoeff
        self.h, self._safety = options.h_init, options.accept_safety
        self._powers = ((p + i + d) / order, -(p + 2.0 * d) / order, d / order)
        self._past: tuple[float, float] | None = None

    def accepts(self, error: float) -> bool:
        """Whether a step with this error is kept; h becomes the size to try next."""
        now = 1.0 / (error + 1e-8)
        past = self._past = self._past or (now, now)
        factor = math.prod(e**power for e, power in zip((now, *past), self._powers))
        factor = 1.0 + math.atan(factor - 1.0)
        self.h *= factor
        if factor >= self._safety:
            self._past = (now, past[0])
            return True
        return False


Pair = Callable[[float, float], Tableau]  # from level sigma to another: with embedded weights


@dataclass
class AdaptivePlan:
    """The rows of a run, made while it is under way; see ``run.Plan``.

    pair: the two methods. order: power of the step size that the lower order's error has.
    taken: filled as images are run, one entry for each.
    """

    sigmas: tuple[float, ...]
    process: Process
    options: Adaptive
    pair: Pair
    order: int
    taken: list[Taken] = field(default_factory=list)
    _start: int = field(default=0, init=False)  # the first row of the try that is under way
    _base: int = field(default=0, init=False)  # the row that holds its latent and its first answer
    guided, grows, alone, peak_memory, caution = False, False, True, None, None

    def gain(self, row: Row) -> float:
        """Multiplier of all fresh noise."""
        return self.options.s_noise

    @property
    def stochastic(self) -> bool:
        """Whether any row may add fresh noise."""
        return self.options.eta > 0

    def forget(self, memory: dict[Ref, torch.Tensor], k: int) -> None:
        """Keep the start of the step that is tried, and all of this try."""
        for ref in [*memory]:
            if self._base != ref[1] < self._start:
                del memory[ref]

    def walk(self, machine: Machine, past: int, steps: int) -> Iterator[tuple[int, Row]]:
        """Tries, one after the other, from the first level of these steps to the last."""
        levels = self.sigmas[past : past + steps + 1]
        sigma, floor = levels[0], min((s for s in levels if s > 0), default=0.0)
        taken = Taken(sigmas=[sigma])
        self.taken.append(taken)
        control = StepControl(self.options, 1.5 if self.options.eta else self.order)
        before, known, k = machine.x, None, 0  # known: the row whose answer is that at x
        self._base = self._start = 0
        while sigma > floor:
            target = sigma * math.exp(-control.h)
            target = target if target > floor * (1.0 + 1e-5) else floor
            split = self.process.split(sigma, target, self.options.eta)
            end = max(split.down, floor) if split.std else target
            tableau = self.pair(sigma, end)
            closing = len(tableau.b) > tableau.calls  # a call at the end, for the error alone
            cost = tableau.calls + closing - (known is not None)
            self._check(taken, cost, sigma, floor, control.h)
            start, step = k, self._step(sigma)
            self._start, self._base = start, start if known is None else known
            for i, stage in enumerate(tableau.stages(start, sigma, end)):
                yield k, self._row(step, *stage, calls=i > 0 or known is None)
                k += 1
            high = machine.x
            if closing:
                yield k, Row(step, end, end, {k: 1.0}, {})
                k += 1
            taken.calls += cost
            known = self._base
            x, d = tableau.weigh(tableau.embedded, start, sigma, end)
            low = machine.combined(self._row(step, sigma, end, x, d))
            if not control.accepts(self._error(machine, before, low, high)):
                taken.rejected += 1
                continue
            taken.accepted += 1
            known = k - 1 if closing and end == target else None
            if end < target:
                scale, std = self.process.renoise(end, target)
                noise = (Draw(std, sigma, target),)
                yield k, Row(step, end, target, {k: scale}, {}, noise=noise, calls=False)
                k += 1
            before, sigma = low, target
            taken.sigmas.append(sigma)
        if sigma > levels[-1]:
            self._check(taken, known is None, sigma, 0.0)
            self._start = k
            answer = k if known is None else known
            row = Row(self._step(floor), floor, 0.0, {}, {answer: 1.0}, calls=known is None)
            yield k, row
            taken.calls += known is None
        machine.memory.clear()

    def _step(self, sigma: float) -> int:
        """The user's step that a level belongs to."""
        return sum(level >= sigma for level in self.sigmas) - 1

    def _row(
        self, step: int, sigma: float, sigma_next: float, x: Mapping[int, float],
        d: Mapping[int, float], calls: bool = True,
    ) -> Row:
        """A row of this try, whose first stage may have been answered in an earlier one."""
        x, d = (
            {self._base if j == self._start else j: w for j, w in part.items()} for part in (x, d)
        )
        return Row(step, sigma, sigma_next, x, d, calls=calls)

    def _error(
        self, machine: Machine, before: torch.Tensor, low: torch.Tensor, high: torch.Tensor
    ) -> float:
        """Root mean square of low - high, in units of what is accepted element by element."""
        size = torch.maximum(low.abs(), before.abs())
        room = (self.options.rtol * size).clamp_(min=self.options.atol)
        error = float(torch.linalg.vector_norm((low - high) / room)) / math.sqrt(low.numel())
        if not math.isfinite(error):
            machine.guard.finish()  # the model's fault, if it is in an answer
            return 1e8
        return error

    def _check(
        self, taken: Taken, cost: int, sigma: float, floor: float, h: float = 1.0
    ) -> None:
        """Refuse to go on beyond the bound, or with a step that no longer moves."""
        allowed, stuck = self.options.max_calls, h < 1e-9
        if taken.calls + cost <= allowed and not stuck:
            return
        why = "the step size fell to nothing" if stuck else f"max_calls is {allowed}"
        raise TooManyCalls(
            f"{why}: sigma {sigma:.6g} was reached, {floor:.6g} is the aim, after {taken.calls} "
            f"model calls ({taken.accepted} steps accepted, {taken.rejected} rejected). Raise "
            "max_calls, rtol or atol, or take a sampler with fixed steps."
        )


@dataclass(frozen=True, kw_only=True)
class AdaptiveSampler(Sampler):
    """A sampler without a table. build: (sigmas, process, options) -> a fresh plan."""

    build: Callable[[tuple[float, ...], Process, Any], AdaptivePlan]  # type: ignore[assignment]
    adaptive = True

    def planned(
        self, levels: tuple[float, ...], process: Process, options: Any
    ) -> AdaptivePlan:
        """A plan for one run; ValueError for levels that rise."""
        for stretch in stretches(levels):
            if rises(stretch.levels):
                raise ValueError(
                    f"'{self.name}' chooses its own steps, and only down: it cannot go up in sigma "
                    f"({stretch.levels[0]:.6g} to {stretch.levels[-1]:.6g}); use "
                    + ", ".join(UPWARDS)
                )
        return self.build(levels, process, options)


def dpm_pair(order: int, sigma: float, end: float) -> Tableau:
    """DPM-Solver-12 or -23 as one step in sigma: nodes even in log sigma, weights for its h.

    Lu et al. 2022, arXiv:2206.00927, algorithms 1, 2 and 4 with r_1 = 1/2, or 1/3 and 2/3. On
    VE (x - D) / sigma is eps; on FLOW it is the velocity, and the step is the same.
    """
    h, width = math.log(sigma / end), end - sigma
    nodes: tuple[float, ...] = (0.0, 1 / 2) if order == 2 else (0.0, 1 / 3, 2 / 3)
    c = tuple(sigma * math.expm1(-r * h) / width for r in nodes)
    if order == 2:
        return Tableau(c, (c[1:],), (0.0, 1.0), (1.0, 0.0))
    _, (a,), (_, b) = three_stage(nodes, h, gamma=0.0)
    a *= -sigma * math.exp(-nodes[2] * h) * h / width
    b *= -end * h / width
    return Tableau(c, (c[1:2], (c[2] - a, a)), (1.0 - b, 0.0, b), (-1 / 2, 3 / 2, 0.0))


def dpm_adaptive(
    sigmas: tuple[float, ...], process: Process, options: DpmAdaptive
) -> AdaptivePlan:
    """Steps of DPM-Solver-12 or -23."""
    pair = partial(dpm_pair, options.order)
    return AdaptivePlan(sigmas, process, options, pair, options.order)


def adaptive_steps(
    sigmas: tuple[float, ...], process: Process, options: AdaptiveSteps
) -> AdaptivePlan:
    """Steps of a Runge-Kutta pair in sigma."""
    tableau, order = PAIRS[options.pair]
    return AdaptivePlan(sigmas, process, options, lambda sigma, end: tableau, order)


SAMPLERS = (
    AdaptiveSampler(
        name="dpm_adaptive", label="DPM adaptive", aliases=("k_dpm_ad", "k_dpm_adaptive"),
        source="Lu et al. 2022, arXiv:2206.00927, appendix C (DPM-Solver-12 and -23)",
        build=dpm_adaptive, options=DpmAdaptive(), order=None, calls=3,
    ),
    AdaptiveSampler(
        name="adaptive_steps", label="Adaptive Runge-Kutta",
        source="Hairer, Norsett, Wanner 1993, section II.4",
        build=adaptive_steps, options=AdaptiveSteps(rtol=0.01), order=None, calls=3,
    ),
)
