"""DPM-Solver-fast on any schedule: noise-prediction steps whose inner nodes are the user's own.

In s = sigma / alpha and y = x / alpha the ODE is ``dy/ds = eps``. With h the step in log-SNR a
step of the paper is, in the form of ``exponential_single`` with z = +h,

    y' = y_0 - s' h sum_j b_j(h) eps_j,    sum_j b_j = phi_1(h),    eps = (x - alpha D) / sigma.

Its third order needs the nodes 0, 1/3, 2/3 of the paper, which a list even in log-SNR has; with
others it is of second order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

from ..engine.table import Row, split_row
from ..process import Process, Split
from ..registry import option, option_set
from .entry import Eta, Sampler
from .exponential_single import Coefficients, combine, midpoint, one_stage, three_stage

_STAGES: dict[int, Coefficients] = {1: one_stage, 2: midpoint, 3: partial(three_stage, gamma=0.0)}


@option_set
class Blocks(Eta):
    """Options of DPM-Solver-fast."""

    longest: float = option(
        3.0, 0.0, 100.0,
        "longest block in log-SNR; a longer one is taken in single steps, since a block multiplies "
        "what its inner answers are off by up to exp(its length)",
    )


def orders(steps: int, endless: bool) -> list[int]:
    """The orders of the paper's blocks, which sum to the steps: 3, 3, ... and then 2, 1 or 2 or 1.

    endless: whether the last step is infinite in log-SNR, to sigma 0 or up to sigma 1 of FLOW; it
    is then a block by itself.
    """
    threes, rest = divmod(steps, 3)
    if rest == 0 and threes:
        return [3] * (threes - 1) + [2, 1]
    tail = [1, 1] if rest == 2 and endless else [rest] * (rest > 0)
    return [3] * threes + tail


def blocks(
    sigmas: tuple[float, ...], process: Process, options: Blocks
) -> Iterator[tuple[float, ...]]:
    """The levels of each block, both ends included. From a FLOW start (sigma 1) it is one step."""
    steps, k = len(sigmas) - 1, 0
    first = [1] if math.isinf(process.log_snr(sigmas[0])) else []
    endless = math.isinf(process.log_snr(sigmas[-1]))
    for order in first + orders(steps - len(first), endless):
        levels = sigmas[k : k + order + 1]
        k += order
        down = process.split(levels[0], levels[-1], options.eta).down
        if order > 1 and abs(process.log_snr(down) - process.log_snr(levels[0])) > options.longest:
            yield from zip(levels, levels[1:])
        else:
            yield levels


def dpm_fast(sigmas: tuple[float, ...], process: Process, options: Blocks) -> Iterator[Row]:
    """Blocks of steps, one model call a step. Fresh noise arrives where a block ends."""
    k = 0
    for levels in blocks(sigmas, process, options):
        *starts, end = levels
        split = process.split(levels[0], end, options.eta)
        yield from _rows(k, range(k, k + len(starts)), starts, end, split, process)
        k += len(starts)


def whole_blocks(
    calls: int, sigmas: tuple[float, ...], process: Process, options: Blocks
) -> Iterator[Row]:
    """Each step of ``sigmas`` is a block, in ``calls`` model calls in all; as k-diffusion has it.

    The inner calls are even in log-SNR on the way to the level that the fresh noise starts from,
    which is never below the last of the list.
    """
    k = 0
    for step, (start, end, order) in enumerate(zip(sigmas, sigmas[1:], orders(calls, False))):
        down = max(process.split(start, end, options.eta).down, sigmas[-1])
        split = Split(down, *process.renoise(down, end))
        first, last = process.log_snr(start), process.log_snr(down)
        inner = [process.sigma_at(first + (last - first) * i / order) for i in range(1, order)]
        yield from _rows(k, [step] * order, [start, *inner], end, split, process)
        k += order


def _rows(
    k: int, steps: Sequence[int], starts: Sequence[float], end: float, split: Split,
    process: Process,
) -> Iterator[Row]:
    """The rows of one block from row k on, by the step and the level of each."""
    levels = [*starts, split.down]
    *inner, (x_last, d_last) = _block(k, levels, process)
    for i, (x, d) in enumerate(inner):
        yield Row(steps[i], levels[i], levels[i + 1], x, d)
    yield split_row(steps[-1], starts[-1], end, split, x_last, d_last, start=starts[0])


def _block(
    k: int, levels: Sequence[float], process: Process
) -> Iterator[tuple[dict[int, float], dict[int, float]]]:
    """Weights of x and of D by row: one step over ``levels``, whose inner ones are its nodes."""
    start, order = levels[0], len(levels) - 1
    if order == 1:
        decay = process.diffuse(start, levels[1], 0.0)
        yield {k: decay.keep}, {k: decay.move}
        return
    s = [process.ratio(level) for level in levels]
    h = math.log(s[0] / s[-1])
    nodes = tuple(math.log(s[0] / level) / h for level in s[:-1])
    for weights, level, s_next in zip(_STAGES[order](nodes, h), levels[1:], s[1:]):
        alpha = process.alpha(level)
        rest = [alpha * s_next * h * w for w in weights]
        slopes = combine(k, rest, alpha * (s[0] - s_next))
        d = {k + j: slopes[k + j] / s[j] for j in range(order) if k + j in slopes}
        x = {j: -w / process.alpha(levels[j - k]) for j, w in d.items()}
        x[k] += alpha / process.alpha(start)
        yield x, d


SAMPLERS = (
    Sampler(
        name="dpm_fast", label="DPM fast", aliases=("k_dpm_fast",),
        source="Lu et al. 2022, arXiv:2206.00927, DPM-Solver-fast",
        build=dpm_fast, options=Blocks(), order=2,
    ),
)
