"""How strong guidance is at a noise level: a factor on ``cfg - 1``, in Python floats alone."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from ..registry import Options, choice, option, option_set, shown

SHAPES = ("linear", "cosine", "constant")
MOST_POINTS = 10_000  # of a curve typed by hand, as a run has steps at most


def position(sigma: float, sigmas: Sequence[float]) -> float:
    """Where sigma lies in a run, in steps: i at sigmas[i], linear in sigma between two levels.

    sigmas: the levels of the run, the last one its end. Levels outside are its ends. A run that
    rises counts from its lowest level; one that turns has each level's place in falling order.
    """
    levels = sorted(sigmas, reverse=True)  # as most of them are
    i = bisect_left(levels, -sigma, key=lambda level: -level)  # the first level not above sigma
    if i == 0 or i == len(levels):
        place = float(min(i, len(levels) - 1))
    else:
        place = i - (sigma - levels[i]) / (levels[i - 1] - levels[i])
    return len(levels) - 1 - place if sigmas[-1] > sigmas[0] else place


def progress(sigma: float, sigmas: Sequence[float]) -> float:
    """The same from 0 at the first step to 1 at the last step's start; 0 if there is one step."""
    last = len(sigmas) - 2
    return min(position(sigma, sigmas) / last, 1.0) if last > 0 else 0.0


@option_set
class Interval(Options):
    """Guidance for ``sigma_low < sigma <= sigma_high``, elsewhere the conditional answer alone.

    Kynkaanniemi et al. 2024, arXiv:2404.07724, section 3.
    """

    sigma_low: float = option(0.0, 0.0, 10000.0, "no guidance at this sigma and below; 0 is none")
    sigma_high: float = option(10000.0, 0.0, 10000.0, "no guidance above this sigma")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma_low >= self.sigma_high:
            raise ValueError(
                f"sigma_low must be below sigma_high, got {self.sigma_low:g} and "
                f"{self.sigma_high:g}"
            )

    @property
    def neutral(self) -> bool:
        """Whether the interval holds every level that a model has."""
        return self.sigma_low == 0 and self.sigma_high == 10000

    def factor(self, sigma: float, sigmas: Sequence[float]) -> float:
        """1 within the interval, else 0; sigmas, the levels of the run, do not matter."""
        return 1.0 if self.sigma_low < sigma <= self.sigma_high else 0.0


@option_set
class Curve(Options):
    """Guidance that goes from one factor to another over the steps of a run."""

    shape: str = choice("linear", SHAPES, "how it goes from start to end; constant is start alone")
    start: float = option(1.0, 0.0, 10.0, "factor on cfg - 1 at the first step; 0 is no guidance")
    end: float = option(1.0, 0.0, 10.0, "the same at the last step")

    @property
    def neutral(self) -> bool:
        """Whether the factor is 1 at every step."""
        return self.start == 1 and (self.end == 1 or self.shape == "constant")

    def factor(self, sigma: float, sigmas: Sequence[float]) -> float:
        """The factor on ``cfg - 1`` at a level of the run over ``sigmas``, from 0 to 10.

        With t the ``progress``: ``start + (end - start) t``, cosine with ``(1 - cos(pi t)) / 2``
        for t.
        """
        if self.shape == "constant":
            return self.start
        t = progress(sigma, sigmas)
        if self.shape == "cosine":
            t = (1.0 - math.cos(math.pi * t)) / 2.0
        return self.start + (self.end - self.start) * t


@dataclass(frozen=True)
class Points:
    """The same by hand: factors spread evenly over the steps, with straight lines between.

    values: one to ``MOST_POINTS``, each from 0 to 10; others raise ValueError.
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.values) <= MOST_POINTS or not all(0 <= v <= 10 for v in self.values):
            raise ValueError(
                f"a curve by hand is 1 to {MOST_POINTS} numbers from 0 to 10, got "
                f"{shown(self.values)}"
            )

    @classmethod
    def parse(cls, text: str) -> Points:
        """Numbers parted by commas or spaces; raises ValueError for any other text."""
        try:
            words = text.replace(",", " ").split(maxsplit=MOST_POINTS)
            return cls(tuple(map(float, words)))
        except ValueError:
            raise ValueError(
                f"a curve by hand is 1 to {MOST_POINTS} numbers from 0 to 10, parted by commas or "
                "spaces, got "
                f"{shown(text)}"
            ) from None

    @property
    def neutral(self) -> bool:
        """Whether every factor is 1."""
        return all(v == 1 for v in self.values)

    def factor(self, sigma: float, sigmas: Sequence[float]) -> float:
        """The factor on ``cfg - 1`` at a level of the run over ``sigmas``, from 0 to 10."""
        place = progress(sigma, sigmas) * (len(self.values) - 1)
        i = min(int(place), max(len(self.values) - 2, 0))
        a, b = self.values[i], self.values[min(i + 1, len(self.values) - 1)]
        return a + (b - a) * (place - i)
