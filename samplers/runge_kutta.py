"""Explicit Runge-Kutta methods in sigma, from their Butcher tableaus, with Karras' churn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from ..engine.table import Row, renoise_row, split_row
from ..process import Process, Split
from ..registry import option, option_set
from .entry import Eta, Sampler


@option_set
class Churn(Eta):
    """Options of the methods in sigma: Karras' churn, and the split of a step."""

    QUIET = {**Eta.QUIET, "s_churn": 0.0}
    s_churn: float = option(
        0.0, 0.0, 1000.0, "each step first adds noise, up to sigma * (1 + s_churn/steps)"
    )
    s_tmin: float = option(0.0, 0.0, 1e6, "no churn in steps from a sigma below this")
    s_tmax: float = option(1e6, 0.0, 1e6, "no churn in steps from a sigma above this")


def churned(sigma: float, steps: int, process: Process, options: Churn) -> float:
    """The level that a step from ``sigma`` first climbs to, ``sigma`` itself without churn.

    Karras et al. 2022, arXiv:2206.00364, algorithm 2: ``sigma (1 + gamma)`` with
    ``gamma = min(s_churn / steps, sqrt(2) - 1)``. On FLOW it is sigma / alpha that grows by that
    factor, so the level stays below 1, and at sigma 1 there is nowhere to climb.
    """
    gamma = min(options.s_churn / steps, math.sqrt(2.0) - 1.0)
    if gamma == 0 or not options.s_tmin <= sigma <= options.s_tmax:
        return sigma
    up = sigma * (1.0 + gamma) / (1.0 + process.fall * gamma * sigma)
    return up if process.alpha(up) > 0 else sigma


class Stage(NamedTuple):
    """From level sigma to sigma_next by weights x of x_j and d of D_j."""

    sigma: float
    sigma_next: float
    x: Mapping[int, float]
    d: Mapping[int, float]


@dataclass(frozen=True)
class Tableau:
    """Nodes c, strictly lower triangular stages a (without the empty first row), weights b.

    embedded: weights of the second solution whose distance from the first estimates the error, if
    there is one. Stages that only it reads come last, with weight 0 in b.
    Raises ValueError where weights do not sum to what they must.
    """

    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    embedded: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        shapes = [len(row) for row in self.a] == list(range(1, len(self.b)))
        sums = [0.0, *map(sum, self.a)]
        if not shapes or len(self.c) != len(self.b) or abs(sum(self.b) - 1.0) > 1e-12:
            raise ValueError("a tableau needs a triangular a and weights b that sum to 1")
        if any(abs(s - c) > 1e-12 * max(1.0, abs(c)) for s, c in zip(sums, self.c)):
            raise ValueError("each row of a tableau's a must sum to its node c")
        second = self.embedded or self.b
        if len(second) != len(self.b) or abs(sum(second) - 1.0) > 1e-12:
            raise ValueError("embedded weights must be as many as b and sum to 1")

    @property
    def calls(self) -> int:
        """Stages that a step of fixed size needs: up to the last one with a weight in b."""
        return max(i for i, weight in enumerate(self.b) if weight) + 1

    def stages(self, k: int, sigma: float, end: float) -> Iterator[Stage]:
        """The stages of one step from x_k at ``sigma`` to level ``end``; row k + i is stage i.

        ``x_{i+1} = x_0 + h sum_j w_j (x_j - D_j) / sigma_j`` with h = end - sigma, where w is
        the row of a for stage i + 1, or b in the last.
        """
        last = self.calls - 1
        levels = [_at(c, sigma, end) for c in self.c[: last + 1]]
        for i, weights in enumerate((*self.a[:last], self.b)):
            x, d = self.weigh(weights, k, sigma, end)
            yield Stage(levels[i], end if i == last else levels[i + 1], x, d)

    def weigh(
        self, weights: Sequence[float], k: int, sigma: float, end: float
    ) -> tuple[dict[int, float], dict[int, float]]:
        """Weights of x_j and of D_j in ``x_k + h sum_j w_j (x_{k+j} - D_{k+j}) / sigma_j``."""
        h = end - sigma
        slopes = {k + j: h * w / _at(self.c[j], sigma, end)
                  for j, w in enumerate(weights) if w != 0}
        return {**slopes, k: 1.0 + slopes.get(k, 0.0)}, {j: -w for j, w in slopes.items()}


def _at(c: float, sigma: float, end: float) -> float:
    """The level at node c of a step; ``end`` itself at its end, however far ``sigma`` is."""
    return end if c == 1.0 else sigma + c * (end - sigma)


EULER = Tableau((0.0,), (), (1.0,))
MIDPOINT = Tableau((0.0, 1 / 2), ((1 / 2,),), (0.0, 1.0))
RALSTON = Tableau((0.0, 2 / 3), ((2 / 3,),), (1 / 4, 3 / 4))
HEUN_EULER = Tableau((0.0, 1.0), ((1.0,),), (1 / 2, 1 / 2), (1.0, 0.0))
HEUN_3 = Tableau((0.0, 1 / 3, 2 / 3), ((1 / 3,), (0.0, 2 / 3)), (1 / 4, 0.0, 3 / 4))
SSP_3 = Tableau((0.0, 1.0, 1 / 2), ((1.0,), (1 / 4, 1 / 4)), (1 / 6, 1 / 6, 2 / 3))
CLASSICAL_4 = Tableau(
    (0.0, 1 / 2, 1 / 2, 1.0), ((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    (1 / 6, 1 / 3, 1 / 3, 1 / 6),
)
BOGACKI_SHAMPINE = Tableau(
    (0.0, 1 / 2, 3 / 4, 1.0), ((1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    (2 / 9, 1 / 3, 4 / 9, 0.0), (7 / 24, 1 / 4, 1 / 3, 1 / 8),
)
DORMAND_PRINCE = Tableau(
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    (
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
    (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40),
)

def staged(
    step: int, stages: Iterable[Stage], sigma_next: float, split: Split, start: float
) -> Iterator[Row]:
    """The rows of a step's stages; the split's noise, from level ``start``, comes with the last.

    start: of the user's own step, since the intervals of two steps' noises must not overlap.
    """
    *inner, last = stages
    for stage in inner:
        yield Row(step, *stage)
    yield split_row(step, last.sigma, sigma_next, split, last.x, last.d, start=start)


Pick = Callable[[tuple[float, ...], int, float, float], Tableau]
SplitRule = Callable[[Process, float, float, float], Split]


def fixed(tableau: Tableau) -> Pick:
    """The same tableau in every step."""
    return lambda sigmas, step, sigma, end: tableau


def dpm_2(sigmas: tuple[float, ...], step: int, sigma: float, end: float) -> Tableau:
    """A midpoint step whose middle is that of log sigma, ``sqrt(sigma end)``.

    Its node is 1/2 only as the step shrinks, fast enough for order 2.
    """
    c = (math.sqrt(sigma * end) - sigma) / (end - sigma)
    return Tableau((0.0, c), ((c,),), (0.0, 1.0))


def heunpp2(sigmas: tuple[float, ...], step: int, sigma: float, end: float) -> Tableau:
    """Heun's step with a look at the step after it: a third node at the list's next sigma.

    The slopes at the 2nd and 3rd node weigh ``sigma_j / (m sigma_0)`` of the m nodes, with sigma_0
    the highest level, the first slope the rest. The second last step has two nodes, the last one is
    Euler's. A split moves the third node down with the second.
    """
    ahead = sigmas[step + 1 : -1][:2]
    if not ahead:
        return EULER
    h, share = end - sigma, (len(ahead) + 1) * max(sigmas[0], sigmas[-1])
    later = tuple(level / share for level in ahead)
    b = (1.0 - sum(later), *later)
    if len(ahead) == 1:
        return Tableau((0.0, 1.0), ((1.0,),), b)
    second = end * (ahead[1] / ahead[0] - 1.0) / h
    return Tableau((0.0, 1.0, 1.0 + second), ((1.0,), (1.0, second)), b)


def build(
    pick: Pick, rule: SplitRule, sigmas: tuple[float, ...], process: Process, options: Churn
) -> Iterator[Row]:
    """The rows of a run: churn, the picked tableau down to the split's lower level, its noise.

    A step to sigma 0 is an Euler step, as in Karras et al.: there is no slope at 0.
    """
    k = 0
    for step, (start, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        sigma = churned(start, len(sigmas) - 1, process, options)
        if sigma > start:
            yield renoise_row(k, step, process, start, sigma)
            k += 1
        split = rule(process, sigma, sigma_next, options.eta)
        tableau = pick(sigmas, step, sigma, split.down) if split.down > 0 else EULER
        stages = tableau.stages(k, sigma, split.down)
        yield from staged(step, stages, sigma_next, split, start)
        k += tableau.calls


def method(pick: Pick, rule: SplitRule = Process.split) -> Callable[..., Iterator[Row]]:
    """A sampler's ``build`` for a choice of tableau and a way to share a step with noise."""
    return partial(build, pick, rule)


SAMPLERS = (
    Sampler(
        name="heun", label="Heun", aliases=("k_heun", "HeunDiscreteScheduler"),
        source="Karras et al. 2022, arXiv:2206.00364, algorithms 1 and 2",
        build=method(fixed(HEUN_EULER)), options=Churn(), order=2, calls=2,
    ),
    Sampler(
        name="heunpp2", label="Heun++ 2", aliases=("Heun++",),
        source="ComfyUI sample_heunpp2, after Carzit's sd-webui-samplers-scheduler",
        build=method(heunpp2), options=Churn(), order=1, calls=3,
    ),
    Sampler(
        name="dpm_2", label="DPM2", aliases=("k_dpm_2", "KDPM2DiscreteScheduler"),
        source="k-diffusion sample_dpm_2, after Karras et al. 2022, arXiv:2206.00364, algorithm 2",
        build=method(dpm_2), options=Churn(), order=2, calls=2,
    ),
    Sampler(
        name="dpm_2_ancestral", label="DPM2 a",
        aliases=("k_dpm_2_a", "k_dpm_2_ancestral", "KDPM2AncestralDiscreteScheduler"),
        source="k-diffusion sample_dpm_2_ancestral",
        build=method(dpm_2), options=Churn(eta=1.0), order=2, calls=2,
    ),
    Sampler(
        name="midpoint", label="Midpoint",
        source="Runge 1895, Math. Ann. 46, doi:10.1007/BF01446807",
        build=method(fixed(MIDPOINT)), options=Churn(), order=2, calls=2,
    ),
    Sampler(
        name="ralston", label="Ralston 2",
        source="Ralston 1962, Math. Comp. 16, doi:10.1090/S0025-5718-1962-0150954-0",
        build=method(fixed(RALSTON)), options=Churn(), order=2, calls=2,
    ),
    Sampler(
        name="heun3", label="Heun 3",
        source="Heun 1900, Z. Math. Phys. 45; Hairer, Norsett, Wanner 1993, section II.1",
        build=method(fixed(HEUN_3)), options=Churn(), order=3, calls=3,
    ),
    Sampler(
        name="ssprk3", label="SSPRK3",
        source="Shu and Osher 1988, J. Comput. Phys. 77, doi:10.1016/0021-9991(88)90177-5",
        build=method(fixed(SSP_3)), options=Churn(), order=3, calls=3,
    ),
    Sampler(
        name="rk4", label="Runge-Kutta 4",
        source="Kutta 1901, Z. Math. Phys. 46; Hairer, Norsett, Wanner 1993, table II.1.2",
        build=method(fixed(CLASSICAL_4)), options=Churn(), order=4, calls=4,
    ),
    Sampler(
        name="bogacki_shampine", label="Bogacki-Shampine 3",
        source="Bogacki and Shampine 1989, doi:10.1016/0893-9659(89)90079-7",
        build=method(fixed(BOGACKI_SHAMPINE)), options=Churn(), order=3, calls=3,
    ),
    Sampler(
        name="dormand_prince", label="Dormand-Prince 5",
        source="Dormand and Prince 1980, doi:10.1016/0771-050X(80)90013-3",
        build=method(fixed(DORMAND_PRINCE)), options=Churn(), order=5, calls=6,
    ),
)
