"""Restart (Xu et al. 2023, arXiv:2306.14878): go down, noise up again, go down once more.

Noise added over a large interval forgets the errors made below it, while the way down stays that
of an ODE.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..engine.levels import rises
from ..engine.table import Row, renoise_row
from ..process import Process, Undefined
from ..registry import option, option_set
from .entry import Deterministic, Noisy, Sampler
from .runge_kutta import EULER, HEUN_EULER


@option_set
class Intervals(Noisy, Deterministic):
    """Options of Restart; low and high are sigma / alpha, so that flow models have them too."""

    QUIET = {"times": 0}
    low: float = option(0.1, 0.0, 1e6, "restart from the level of the schedule nearest to this")
    high: float = option(2.0, 0.0, 1e6, "up to the level of the schedule nearest to this")
    restart_steps: int = option(
        0, 0, 1000, "steps of each way back down; 0: 9, or a quarter of the steps from 36 steps on"
    )
    times: int = option(
        -1, -1, 100, "restarts; -1: none below 20 steps, 1 below 36, then 2; 1 if steps are given"
    )


def _rounds(options: Intervals, steps: int) -> tuple[int, int]:
    """(times, steps of each) in a run of ``steps``: A1111's rule where nothing is given."""
    times, length = (2, steps // 4) if steps >= 36 else (int(steps >= 20), 9)
    if options.times >= 0:
        times = options.times
    elif options.restart_steps:
        times = max(times, 1)
    return times, options.restart_steps or length


def restart(sigmas: tuple[float, ...], process: Process, options: Intervals) -> Iterator[Row]:
    """Heun steps of the user's schedule; the step that reaches ``low`` also does the restarts.

    The way back down has Karras' levels (rho 7). A1111 replaces the whole schedule by Karras'
    and takes the steps of the restarts from the number asked for; here they come on top, and any
    schedule is honoured.
    """
    times, length = _rounds(options, len(sigmas) - 1)
    nowhere: tuple[int, list[float]] = (0, [])
    low, levels = _way_back(sigmas, process, options, length) if times else nowhere
    k = 0
    for step, pair in enumerate(zip(sigmas, sigmas[1:])):
        for row in _heun(k, step, *pair):
            yield row
            k += 1
        for index in range(times if levels and step + 1 == low else 0):
            yield renoise_row(k, step, process, levels[-1], levels[0], index)
            k += 1
            for pair in zip(levels, levels[1:]):
                for row in _heun(k, step, *pair):
                    yield row
                    k += 1


def _heun(k: int, step: int, sigma: float, sigma_next: float) -> Iterator[Row]:
    """The rows of one Heun step from row k; an Euler step to sigma 0."""
    tableau = HEUN_EULER if sigma_next > 0 else EULER
    for stage in tableau.stages(k, sigma, sigma_next):
        yield Row(step, *stage)


def _way_back(
    sigmas: tuple[float, ...], process: Process, options: Intervals, steps: int
) -> tuple[int, list[float]]:
    """Index of the level to restart from, and the levels of the way back down to it.

    They are the user's nearest to ``low`` and ``high``, but for the last 0; no way where that is
    one level.
    """
    if rises(sigmas):
        raise Undefined("a way down")
    ratios = [process.ratio(sigma) for sigma in sigmas if sigma > 0]

    def nearest(level: float) -> int:
        return min(range(len(ratios)), key=lambda i: abs(ratios[i] - level))

    low, high = nearest(options.low), nearest(options.high)
    return low, _karras(sigmas[high], sigmas[low], steps, process) if high < low else []


def _karras(top: float, bottom: float, steps: int, process: Process) -> list[float]:
    """Levels from top to bottom, even in (sigma / alpha)^(1/7) (Karras et al. 2022, eq. 5)."""
    first, last = (process.ratio(sigma) ** (1 / 7) for sigma in (top, bottom))
    ratios = [(first + (last - first) * i / steps) ** 7 for i in range(1, steps)]
    return [top, *(process.sigma_at(-math.log(ratio)) for ratio in ratios), bottom]


SAMPLERS = (
    Sampler(
        name="restart", label="Restart",
        source="Xu et al. 2023, arXiv:2306.14878, algorithm 1; A1111's intervals",
        build=restart, options=Intervals(), order=2, calls=2,
    ),
)
