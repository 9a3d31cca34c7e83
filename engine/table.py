"""A sampler as numbers: rows of coefficients, checked when the table is built.

Row k calls the model once, ``D_k = D(x_k, sigma_k)``, and then sets

    x_{k+1} = sum_j x[j] * x_j  +  sum_j d[j] * D_j  +  sum_j u[j] * U_j  +  noise,    j <= k,

where U is the unconditional answer that CFG++ needs. A row may also leave the model alone (to
add noise, or to correct a prediction). Every non-adaptive sampler of the field has this form.
The weights depend on the sigmas, the process and the options alone, never on a latent, so they
are Python floats (float64).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ..process import Process, Split

if TYPE_CHECKING:
    import torch

    from .run import Machine

# What no method multiplies its answers by on an even curve: see ``Table.amplification``.
PLAIN = 25.0

Ref = tuple[str, int]  # ("x", j): what row j started from; ("d", j), ("u", j): what was answered
Term = tuple[Ref, float]  # what is read, and its weight


class Draw(NamedTuple):
    """Fresh noise of standard deviation ``weight``, standing for the interval start to end.

    The interval (in sigma) and the index name the draw: the same name is the same noise, which
    is how a corrector reuses its predictor's. index tells repeated passes over one interval apart.
    """

    weight: float
    start: float
    end: float
    index: int = 0  # type: ignore[assignment]  # nobody asks where in the tuple something is


_weight = attrgetter("weight")  # of a Draw


@dataclass(frozen=True)
class Row:
    """At most one model call and the linear combination that follows it.

    step: index of the user's step that the row belongs to (a two-stage method has two rows).
    sigma, sigma_next: noise level of x when the row starts and when it ends.
    x, d, u: weight of x_j, of D_j and of U_j by row index j. noise: draws added, over disjoint
    intervals. excess: noise beyond what the process has at sigma_next, which the model is not told
    of. calls: whether the row asks the model. size: height and width of x after the row, as a
    share of those that the run began with; x is resized before noise comes.
    """

    step: int
    sigma: float
    sigma_next: float
    x: Mapping[int, float]
    d: Mapping[int, float]
    u: Mapping[int, float] = field(default_factory=dict)
    noise: tuple[Draw, ...] = ()
    calls: bool = True
    excess: tuple[Draw, ...] = ()
    size: float = 1.0

    @cached_property
    def reads(self) -> tuple[Term, ...]:
        """What the row reads, with the weight of each; a weight of 0 reads nothing."""
        terms: list[Term] = []
        for kind, weights in (("x", self.x), ("d", self.d), ("u", self.u)):
            for j, weight in weights.items():
                if weight != 0:
                    terms.append(((kind, j), weight))
        return tuple(terms)


def noisy_row(
    step: int, sigma: float, sigma_next: float, x: Mapping[int, float], d: Mapping[int, float],
    std: float, start: float | None = None,
) -> Row:
    """The row with weights x, d that ends with fresh noise of standard deviation ``std``, if any.

    start: where the noise's interval begins, if not at the row's own sigma (a last stage).
    """
    begin = sigma if start is None else start
    noise = (Draw(std, begin, sigma_next),) if std else ()
    return Row(step, sigma, sigma_next, x, d, noise=noise)


def split_row(
    step: int, sigma: float, sigma_next: float, split: Split,
    x: Mapping[int, float], d: Mapping[int, float], start: float | None = None,
) -> Row:
    """``noisy_row`` that reaches ``split.down`` with weights x, d and takes the split's noise."""
    if split.scale != 1.0:
        x = {j: split.scale * w for j, w in x.items()}
        d = {j: split.scale * w for j, w in d.items()}
    return noisy_row(step, sigma, sigma_next, x, d, split.std, start)


def alike(some: Sequence[Row], others: Sequence[Row]) -> bool:
    """Whether two runs would be the same to the last step, whatever they are called."""
    return len(some) == len(others) and all(
        a.calls == b.calls and a.sigma == b.sigma and _same(a.reads, b.reads)
        and a.noise == b.noise and a.excess == b.excess
        for a, b in zip(some, others)
    )


def _same(some: Sequence[Term], others: Sequence[Term]) -> bool:
    return len(some) == len(others) and all(
        ref == other and math.isclose(weight, theirs, rel_tol=1e-9, abs_tol=1e-12)
        for (ref, weight), (other, theirs) in zip(some, others)
    )


def renoise_row(
    k: int, step: int, process: Process, sigma: float, up: float, index: int = 0
) -> Row:
    """Row k without a model call: from sigma up to the higher level ``up`` by fresh noise.

    index: tells the draws of several rows over this interval apart.
    """
    scale, std = process.renoise(sigma, up)
    return Row(step, sigma, up, {k: scale}, {}, noise=(Draw(std, sigma, up, index),), calls=False)


def cfg_pp(rows: Iterable[Row], process: Process) -> Iterator[Row]:
    """CFG++ (Chung et al. 2024, arXiv:2406.08070) for any rows.

    A latent is its clean part and its noise part, ``x = alpha D + sigma eps``. CFG++ takes the
    clean part from the guided answer and the noise part from the unconditional one, so every x_j
    that a method reads becomes ``x_j + alpha_j (D_j - U_j)``.
    """
    levels: list[float] = []
    answers: list[int | None] = []  # the row whose answer belongs to x_j, if any does
    for k, row in enumerate(rows):
        same = row.sigma == levels[-1] if levels else False
        levels.append(row.sigma)
        answers.append(k if row.calls else answers[-1] if same else None)
        d, u = dict(row.d), dict(row.u)
        for j, weight in row.x.items():
            answer = answers[j]
            if answer is not None:
                shift = weight * process.alpha(levels[j])
                d[answer] = d.get(answer, 0.0) + shift
                u[answer] = u.get(answer, 0.0) - shift
        yield replace(row, d=d, u=u)


def away(rows: Iterable[Row]) -> Iterator[Row]:
    """The host's other CFG++: every D_j that a method reads becomes ``D_j + (D_j - U_j)``."""
    for row in rows:
        yield replace(row, d={j: 2.0 * w for j, w in row.d.items()},
                      u={j: -w for j, w in row.d.items()})


@dataclass(frozen=True)
class Table:
    """The rows of a whole run over ``sigmas``; a wrong coefficient raises when it is built.

    s_noise: multiplier of all fresh noise (1 keeps the marginals), in the first step where
    s_noise_end has another one for the last; between them it goes in a straight line.
    """

    sigmas: tuple[float, ...]
    process: Process
    rows: tuple[Row, ...]
    s_noise: float = 1.0
    s_noise_end: float | None = None
    # The rows do not depend on the latent: no image has its own, and no step size is told.
    alone: ClassVar[bool] = False
    taken: ClassVar[tuple[()]] = ()
    guided: bool = field(init=False)  # whether the unconditional answer is read (CFG++)
    grows: bool = field(init=False)  # whether x changes its size
    # Row index where each step begins, and the number of rows as the last value.
    first_rows: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _last_read: dict[Ref, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.sigmas:
            raise ValueError("a table is over one level at least")
        last: dict[Ref, int] = {}
        first: list[int] = []
        guided = False
        step, level, size, sized = -1, self.sigmas[0], 1.0, 0  # sized: the first row at that size
        alphas = [self.process.alpha(level)]  # where each row starts
        for k, row in enumerate(self.rows):
            if row.step not in (max(step, 0), step + 1):
                raise ValueError(f"row {k}: step {row.step} after step {step}")
            if row.sigma != level:
                raise ValueError(f"row {k}: starts at sigma {row.sigma}, x is at {level}")
            if row.step != step and level != self.sigmas[row.step]:
                raise ValueError(f"row {k}: step {row.step} does not start on its sigma")
            alphas.append(self.process.alpha(row.sigma_next))
            self._check_weights(k, row, alphas)
            for ref, _ in row.reads:
                if ref[1] < sized:
                    raise ValueError(f"row {k}: reads what row {ref[1]} has at another size")
                last[ref] = k
            if row.size != size:
                size, sized = row.size, k + 1
            if row.step != step:
                first.append(k)
            guided = guided or bool(row.u)
            step, level = row.step, row.sigma_next
        if step != len(self.sigmas) - 2 or level != self.sigmas[-1]:
            raise ValueError(f"the table ends at step {step}, sigma {level}")
        object.__setattr__(self, "guided", guided)
        object.__setattr__(self, "grows", sized > 0)
        object.__setattr__(self, "first_rows", (*first, len(self.rows)))
        object.__setattr__(self, "_last_read", last)

    def _check_weights(self, k: int, row: Row, alphas: Sequence[float]) -> None:
        """Signal and noise must arrive in the amounts that the process has at sigma_next.

        If every D_j is the clean latent c and every x_j is ``alpha_j c + sigma_j z``, the new x
        must be ``alpha' c`` plus noise of standard deviation sigma'.
        """
        fresh = [*map(_weight, row.noise)]
        weights = [*fresh, *map(_weight, row.excess), *map(itemgetter(1), row.reads)]
        if not all(map(math.isfinite, weights)):
            raise ValueError(f"row {k}: a weight is not finite")
        signal, carried, highest = 0.0, 0.0, 0.0
        for (kind, j), weight in row.reads:
            if not 0 <= j <= k or (kind != "x" and not self.rows[j].calls):
                raise ValueError(f"row {k}: reads what row {j} has not made")
            if kind != "x":
                signal += weight
                continue
            level = self.rows[j].sigma
            signal += weight * alphas[j]
            carried += weight * level
            highest = max(highest, level)
        scale = max([1.0, *map(abs, weights)])
        if abs(signal - alphas[k + 1]) > 1e-9 * scale:
            raise ValueError(f"row {k}: weights give the clean latent a factor {signal}")
        reached = math.hypot(carried, *fresh)
        if abs(reached - row.sigma_next) > 1e-9 * max(scale * highest, row.sigma_next):
            raise ValueError(f"row {k}: noise level {reached}, wanted {row.sigma_next}")

    @property
    def steps(self) -> int:
        """The user's steps."""
        return len(self.sigmas) - 1

    @property
    def calls(self) -> int:
        """Model calls of the whole run."""
        return sum(map(attrgetter("calls"), self.rows))

    @property
    def stochastic(self) -> bool:
        """Whether any row adds fresh noise."""
        return any(row.noise or row.excess for row in self.rows)

    def gain(self, row: Row) -> float:
        """Multiplier of the fresh noise that comes with ``row``."""
        if self.s_noise_end is None or self.steps == 1:
            return self.s_noise
        return self.s_noise + (self.s_noise_end - self.s_noise) * row.step / (self.steps - 1)
    @cached_property
    def amplification(self) -> float:
        """The most by which a row multiplies what the model's answers are off, 1 or less for Euler.

        Every x_j that it reads is ``alpha_j D_j + sigma_j eps``. What the absolute weights of the
        clean parts then sum to, over what a latent at the row's end amounts to, alpha' + sigma'.
        """
        return max((self._amplified(row) for row in self.rows), default=0.0)

    def _amplified(self, row: Row) -> float:
        clean: dict[int, float] = {}
        for (kind, j), weight in row.reads:
            part = self.process.alpha(self.rows[j].sigma) if kind == "x" else 1.0
            clean[j] = clean.get(j, 0.0) + part * weight
        whole = abs(self.process.alpha(row.sigma_next)) + row.sigma_next
        return sum(map(abs, clean.values())) / whole

    @property
    def caution(self) -> str | None:
        """What a person should know before the run; None on most curves."""
        if self.amplification <= PLAIN:
            return None
        worst = max(self.rows, key=self._amplified)
        return (
            f"step {worst.step + 1} of {self.steps} (sigma {worst.sigma:.4g} to "
            f"{worst.sigma_next:.4g}) multiplies what the model's answers are off by up to "
            f"{self.amplification:.0f}; more even steps, more of them or a lower order do not"
        )

    def walk(self, machine: Machine, past: int, steps: int) -> Iterator[tuple[int, Row]]:
        """Rows, by number, of ``steps`` steps after the first ``past``; see ``run.Plan``."""
        first, last = self.first_rows[past], self.first_rows[past + steps]
        if past and (missing := self.needed_after(first - 1) - machine.memory.keys()):
            raise ValueError(f"the carried run did not keep {sorted(missing)}: another sampler?")
        for k in range(first, last):
            yield k, self.rows[k]

    def keeps(self, ref: Ref, k: int) -> bool:
        """Whether a row after k still reads ``ref``."""
        return self._last_read.get(ref, -1) > k

    def forget(self, memory: dict[Ref, torch.Tensor], k: int) -> None:
        """Let go of what no row after k reads; see ``run.Plan``."""
        for ref in [*memory]:
            if self._last_read.get(ref, -1) <= k:
                del memory[ref]

    def needed_after(self, k: int) -> set[Ref]:
        """What rows after k still read of rows up to k: all that has to be remembered."""
        return {ref for ref, last in self._last_read.items() if last > k >= ref[1]}

    @cached_property
    def peak_memory(self) -> int:
        """Most tensors remembered between two rows, beside x itself."""
        change = [0] * (len(self.rows) + 1)
        for (_, first), last in self._last_read.items():
            change[first] += 1
            change[last] -= 1
        return max(accumulate(change))
