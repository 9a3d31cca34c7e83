"""Linear multistep methods that extrapolate eps (VE) or velocity (FLOW) in sigma.

``(x - D) / sigma`` is eps on VE and the velocity on FLOW, so one formula serves both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..registry import option
from .entry import Eta, Sampler
from .process import Process
from .table import Row, split_row

# Adams-Bashforth on a uniform grid, newest first.
_FIXED = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12),
          (55 / 24, -59 / 24, 37 / 24, -9 / 24))


@dataclass(frozen=True)
class Order(Eta):
    order: int = option(4, 1, 4, "model answers combined in a step, itself included")


def ipndm(sigmas: tuple[float, ...], process: Process, options: Order) -> Iterator[Row]:
    """Adams-Bashforth with fixed weights whatever the spacing; the order ramps up from 1."""
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        split = process.split(sigma, sigma_next, options.eta)
        if split.down == 0:
            yield split_row(k, sigma, sigma_next, split, {}, {k: 1.0})
            continue
        h = split.down - sigma
        weights = _FIXED[min(k, options.order - 1)]
        slopes = {k - j: h * w / sigmas[k - j] for j, w in enumerate(weights)}
        x = {**slopes, k: 1.0 + slopes[k]}
        yield split_row(k, sigma, sigma_next, split, x, {j: -w for j, w in slopes.items()})


SAMPLERS = (
    Sampler(
        name="ipndm", label="iPNDM", aliases=("IPNDMScheduler",),
        source="Zhang and Chen 2022, arXiv:2204.13902, eq. 29 (improved PNDM)",
        build=ipndm, options=Order(), order=1,
    ),
)
