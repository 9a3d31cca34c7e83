"""A sampler as numbers: rows of coefficients, checked when the table is built.

Row k calls the model once, ``D_k = D(x_k, sigma_k)``, and then sets

    x_{k+1} = sum_j x[j] * x_j  +  sum_j d[j] * D_j  +  noise * s_noise * z,    j <= k.

Every non-adaptive sampler of the field has this form. The weights depend on the sigmas, the
process and the options alone, never on a latent, so they are Python floats (float64).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from .process import Process, Split

Ref = tuple[str, int]  # ("x", j) or ("d", j): what row j started from, what the model answered


@dataclass(frozen=True)
class Row:
    """One model call and the linear combination that follows it.

    step: index of the user's step that the row belongs to (a two-stage method has two rows).
    sigma, sigma_next: noise level of x when the row starts and when it ends.
    x, d: weight of x_j and of D_j by row index j. noise: standard deviation of fresh noise.
    """

    step: int
    sigma: float
    sigma_next: float
    x: Mapping[int, float]
    d: Mapping[int, float]
    noise: float = 0.0

    @property
    def reads(self) -> list[Ref]:
        return [("x", j) for j in self.x] + [("d", j) for j in self.d]


def split_row(
    step: int, sigma: float, sigma_next: float, split: Split,
    x: Mapping[int, float], d: Mapping[int, float],
) -> Row:
    """The row that reaches ``split.down`` with weights x, d and then takes the split's noise."""
    if split.scale != 1.0:
        x = {j: split.scale * w for j, w in x.items()}
        d = {j: split.scale * w for j, w in d.items()}
    return Row(step, sigma, sigma_next, x, d, split.std)


@dataclass(frozen=True)
class Table:
    """The rows of a whole run over ``sigmas``; a wrong coefficient raises when it is built.

    s_noise: multiplier of all fresh noise (1 keeps the marginals).
    """

    sigmas: tuple[float, ...]
    process: Process
    rows: tuple[Row, ...]
    s_noise: float = 1.0
    _last_read: dict[Ref, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        last: dict[Ref, int] = {}
        step, level = 0, self.sigmas[0]
        for k, row in enumerate(self.rows):
            if row.step not in (step, step + 1) or (k == 0 and row.step != 0):
                raise ValueError(f"row {k}: step {row.step} after step {step}")
            if row.sigma != level:
                raise ValueError(f"row {k}: starts at sigma {row.sigma}, x is at {level}")
            if row.step != step and level != self.sigmas[row.step]:
                raise ValueError(f"row {k}: step {row.step} does not start on its sigma")
            self._check_weights(k, row)
            last.update(dict.fromkeys(row.reads, k))
            step, level = row.step, row.sigma_next
        if step != self.steps - 1 or level != self.sigmas[-1]:
            raise ValueError(f"the table ends at step {step}, sigma {level}")
        object.__setattr__(self, "_last_read", last)

    def _check_weights(self, k: int, row: Row) -> None:
        """Signal and noise must arrive in the amounts that the process has at sigma_next.

        If every D_j is the clean latent c and every x_j is ``alpha_j c + sigma_j z``, the new x
        must be ``alpha' c`` plus noise of standard deviation sigma'.
        """
        weights = [*row.x.values(), *row.d.values(), row.noise]
        if not all(map(math.isfinite, weights)) or row.noise < 0:
            raise ValueError(f"row {k}: a weight is not finite or the noise is negative")
        if any(not 0 <= j <= k for _, j in row.reads):
            raise ValueError(f"row {k}: reads a row that has not run")
        levels = {j: self.rows[j].sigma for j in row.x}
        signal = sum(w * self.process.alpha(levels[j]) for j, w in row.x.items())
        signal += sum(row.d.values())
        carried = sum(w * levels[j] for j, w in row.x.items())
        scale = max(1.0, *map(abs, weights))
        if abs(signal - self.process.alpha(row.sigma_next)) > 1e-9 * scale:
            raise ValueError(f"row {k}: weights give the clean latent a factor {signal}")
        reached = math.hypot(carried, row.noise)
        room = 1e-9 * max(scale * max(levels.values(), default=0.0), row.sigma_next)
        if abs(reached - row.sigma_next) > room:
            raise ValueError(f"row {k}: noise level {reached}, wanted {row.sigma_next}")

    @property
    def steps(self) -> int:
        return len(self.sigmas) - 1

    @property
    def calls(self) -> int:
        """Model calls of the whole run."""
        return len(self.rows)

    @cached_property
    def first_rows(self) -> tuple[int, ...]:
        """Row index where each step begins, and the number of rows as the last value."""
        starts = {row.step: k for k, row in reversed(list(enumerate(self.rows)))}
        return (*(starts[i] for i in range(self.steps)), len(self.rows))

    def keeps(self, ref: Ref, k: int) -> bool:
        """Whether a row after k still reads ``ref``."""
        return self._last_read.get(ref, -1) > k

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


def check_sigmas(sigmas: Sequence[float], process: Process) -> tuple[float, ...]:
    """Sigmas as floats, or a ValueError that says which value is wrong and what is accepted."""
    values = tuple(map(float, sigmas.tolist() if hasattr(sigmas, "tolist") else sigmas))
    if len(values) < 2:
        raise ValueError(f"sigmas need at least 2 values (one step), got {len(values)}")
    for i, value in enumerate(values):
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"sigma {i} is {value}; sigmas must be finite and not negative")
    for i, (a, b) in enumerate(zip(values, values[1:])):
        if b >= a:
            raise ValueError(
                f"sigmas must decrease, but sigma {i} is {a:.6g} and sigma {i + 1} is {b:.6g}"
            )
    if process.name == "FLOW" and values[0] > 1.0:
        raise ValueError(
            f"sigma 0 is {values[0]:.6g}; this is a flow model, whose sigmas lie in 0..1"
        )
    return values
