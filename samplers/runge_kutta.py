"""Explicit Runge-Kutta methods in sigma, from their Butcher tableaus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .entry import Eta, Sampler
from .process import Process
from .table import Row, split_row


@dataclass(frozen=True)
class Tableau:
    """Nodes c, strictly lower triangular stages a (without the empty first row), weights b."""

    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]

    def __post_init__(self) -> None:
        shapes = [len(row) for row in self.a] == list(range(1, len(self.b)))
        sums = [0.0, *map(sum, self.a)]
        if not shapes or len(self.c) != len(self.b) or abs(sum(self.b) - 1.0) > 1e-12:
            raise ValueError("a tableau needs a triangular a and weights b that sum to 1")
        if any(abs(s - c) > 1e-12 for s, c in zip(sums, self.c)):
            raise ValueError("each row of a tableau's a must sum to its node c")

    def rows(self, sigmas: tuple[float, ...], process: Process, options: Eta) -> Iterator[Row]:
        """Stages as rows. The step to sigma 0 is an Euler step, as in Karras et al."""
        k = 0
        for step, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
            split = process.split(sigma, sigma_next, options.eta)
            nodes, weights = (self.c, (*self.a, self.b)) if split.down > 0 else ((0.0,), ((1.0,),))
            h = split.down - sigma
            levels = [sigma + c * h for c in nodes]
            for i, stage in enumerate(weights):
                # x_{i+1} = x_0 + h * sum_j w_j (x_j - D_j) / sigma_j
                slopes = {k - i + j: h * w / levels[j] for j, w in enumerate(stage) if w != 0}
                x = {**slopes, k - i: 1.0 + slopes.get(k - i, 0.0)}
                d = {j: -w for j, w in slopes.items()}
                if i + 1 < len(weights):
                    yield Row(step, levels[i], levels[i + 1], x, d)
                else:
                    yield split_row(step, levels[i], sigma_next, split, x, d, start=sigma)
                k += 1


def _method(c: tuple, a: tuple, b: tuple) -> Callable[..., Iterator[Row]]:
    return Tableau(c, a, b).rows


SAMPLERS = (
    Sampler(
        name="heun", label="Heun", aliases=("k_heun", "HeunDiscreteScheduler"),
        source="Karras et al. 2022, arXiv:2206.00364, algorithm 1",
        build=_method((0.0, 1.0), ((1.0,),), (0.5, 0.5)), options=Eta(), order=2, calls=2,
    ),
)
