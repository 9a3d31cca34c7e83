"""The levels of a run: what a list of them may be, and the stretches in which it goes one way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from ..process import Process
from .table import Row

HIGHEST = 1e6  # from far above it the weights of a step down are lost to rounding
_SAME = 1e-9  # of log-SNR: a slope over less than this is nothing but rounding


def check_sigmas(sigmas: Iterable[float], process: Process) -> tuple[float, ...]:
    """Levels as floats, or a ValueError that says which one is wrong and what is accepted.

    They are from 0 to 1e6, in any order; none may come after 0 but 0 itself. Neighbours whose
    log-SNR is the same to nine digits are set equal.
    """
    values = [*map(float, sigmas.tolist() if hasattr(sigmas, "tolist") else sigmas)]
    for k, value in enumerate(values):
        if not math.isfinite(value) or value < 0:
            raise ValueError(
                f"sigma {k + 1} of {len(values)} is {value}; sigmas must be finite and not negative"
            )
        if value > HIGHEST:
            raise ValueError(
                f"sigma {k + 1} of {len(values)} is {value:.6g}; the highest that can be computed "
                f"with is {HIGHEST:.0f}"
            )
        before = values[k - 1] if k else value
        if before == 0 < value:
            raise ValueError(
                f"sigma {k} of {len(values)} is 0 and the next one is {value:.6g}; no way leads up "
                "from 0, start a little above it (ComfyUI's FlipSigmas takes 0.0001)"
            )
        if abs(value - before) <= _SAME * before * min(abs(process.alpha(before)), 1.0):
            values[k] = before
    return tuple(values)


class Stretch(NamedTuple):
    """Steps that all go down or all go up.

    levels: those that they go over, one more. steps: the user's number of each.
    """

    levels: tuple[float, ...]
    steps: tuple[int, ...]


def rises(levels: Sequence[float]) -> bool:
    """Whether levels that go one way go up."""
    return levels[-1] > levels[0]


def stretches(sigmas: Sequence[float]) -> Iterator[Stretch]:
    """The stretches of a list; steps between equal levels are in none."""
    moving = [k for k, (a, b) in enumerate(zip(sigmas, sigmas[1:])) if a != b]
    for _, group in groupby(moving, lambda k: sigmas[k + 1] > sigmas[k]):
        steps = tuple(group)
        yield Stretch((*(sigmas[k] for k in steps), sigmas[steps[-1] + 1]), steps)


def rows_over(
    sigmas: tuple[float, ...], build: Callable[[tuple[float, ...]], Iterable[Row]]
) -> list[Row]:
    """The rows of a run over any list, from what ``build`` makes of levels that go one way.

    Where the way turns, the method starts anew. A step between equal levels leaves x as it is and
    asks nobody; the method does not know of it.
    """
    out: list[Row] = []
    begun = 0  # steps

    def stay_until(step: int) -> None:
        """The rows of the steps before ``step`` that no stretch has."""
        for k in range(begun, step):
            out.append(Row(k, sigmas[k], sigmas[k], {len(out): 1.0}, {}, calls=False))

    for levels, steps in stretches(sigmas):
        places: list[int] = []  # of the stretch's rows in the run
        for row in build(levels):
            step = steps[row.step]
            stay_until(step)
            begun = step + 1
            places.append(len(out))
            out.append(_placed(row, step, places))
    stay_until(len(sigmas) - 1)
    return out


def _placed(row: Row, step: int, places: Sequence[int]) -> Row:
    """The row as one of the run's: its step and what it reads by the run's numbers."""
    here = len(places) - 1
    if step == row.step and places[here] == here:  # nothing stands before it but its own rows
        return row
    x, d, u = ({places[j]: w for j, w in part.items()} for part in (row.x, row.d, row.u))
    return replace(row, step=step, x=x, d=d, u=u)
