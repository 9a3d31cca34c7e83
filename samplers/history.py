"""The answers that a multistep method remembers: which of them a step may use, and where they lie.

Methods put a polynomial through earlier answers of the model, in log-SNR or in sigma / alpha. Two
levels lie at infinity there: sigma 1 of a FLOW run and sigma 0. An answer given at infinity is no
node of a polynomial, and a step from or to it is of first order. Needed by samplers alone: the
loop knows nothing of it, its memory is by row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

_LONGEST = 6  # answers that any method here combines


class Known(NamedTuple):
    """An answer, whatever its method calls it by (its row, or weights of several), and its time."""

    answer: Any
    time: float


class History:
    """The latest answers and when they were given, newest first.

    Time is log-SNR, or whatever variable a method's polynomial is in. A method whose steps are not
    as long in it as the levels lie apart counts from where the coming step starts instead: there
    time is 0 for the newest answer, and ``pass_by`` takes the step.
    """

    def __init__(self) -> None:
        self._known: list[Known] = []

    def add(self, answer: Any, time: float = 0.0) -> None:
        """Remember an answer given at ``time``, later than all the others."""
        self._known = [Known(answer, time), *self._known[: _LONGEST - 1]]

    def recall(self, answer: Any, time: float, most: int, h: float) -> list[Known]:
        """Remember an answer; what a step of length h from there may combine, see ``latest``."""
        self.add(answer, time)
        return self.latest(most, h)

    def renew(self, answer: Any) -> None:
        """Put ``answer`` in the place of the newest one: the model was asked there once more."""
        self._known[0] = Known(answer, self._known[0].time)

    def pass_by(self, h: float) -> None:
        """Count all times from h later on."""
        self._known = [Known(answer, time - h) for answer, time in self._known]

    def latest(self, most: int, h: float = 1.0) -> list[Known]:
        """The newest answers, at most ``most``, that a step of length h may combine.

        From the first one at infinity on there are none; where h is infinite or 0, the newest
        alone.
        """
        if h == 0 or not math.isfinite(h):
            return self._known[:1]
        finite: list[Known] = []
        for known in self._known[:most]:
            if not math.isfinite(known.time):
                break
            finite.append(known)
        return finite


def nodes(known: Sequence[Known], start: float, h: float) -> list[float]:
    """Where answers lie in a step of length h from time ``start``: 0 at its start, 1 at its end.

    A step of no length has the newest alone, at its start.
    """
    if h == 0:
        return [0.0] * len(known)
    return [(time - start) / h for _, time in known]
