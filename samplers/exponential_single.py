"""Exponential integrators that forget: every step starts anew, with stages in log-SNR.

With h = (1 + eta) times the step in log-SNR, z = -h and s stages, the ODE (eta 0) and the SDE
have the linear part of ``Process.diffuse`` exact and

    x' = keep x_0 + alpha' h sum_j b_j(z) D_j + noise,    sum_j b_j = phi_1(z),

and likewise each stage at its node c_i, with weights a_ij(z) that sum to c_i phi_1(c_i z)
(Hochbruck and Ostermann 2005, doi:10.1137/040611434, section 2, with L = -1). What the presets
differ in is the tableau and the way in which the noise arrives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..engine.table import Draw, Row
from ..process import Decay, Process
from ..registry import choice, option, option_set
from .entry import Eta, Sampler
from .phi import apply, moments, phi
from .runge_kutta import Stage, staged

_FAR = 1e15  # steps in log-SNR as good as infinite

# Weights of D_1, D_2 ... for stage 1, stage 2 ..., the result. D_0 always gets the rest.
Weights = tuple[tuple[float, ...], ...]
Nodes = tuple[float, ...]  # of all stages, in units of the step; the first is 0
Coefficients = Callable[[Nodes, float], Weights]  # a tableau that depends on z


@option_set
class TwoStage(Eta):
    """Options of the two-stage methods."""

    r: float = option(0.5, 0.01, 1.0, "where in the step's log-SNR the second model call is made")
    solver_type: str = choice(
        "phi_1", ("phi_1", "phi_2"),
        "weight of the second call: phi_1/2r (DPM-Solver++), or phi_2/r, exact for a linear D",
    )


@option_set
class Beyond(TwoStage):
    """Options of the SDE's two stages, which see one noise each wherever they end."""

    r: float = option(
        0.5, 0.01, 100.0,
        "where in the step's log-SNR the second model call is made; above 1 past its end",
    )


def one_stage(c: Nodes, z: float) -> Weights:
    """Exponential Euler (DDIM): D_0 alone."""
    return ((),)


def midpoint(c: Nodes, z: float) -> Weights:
    """DPM-Solver-2: order 2 as h shrinks, but not for a stiff D, since b_1 c_1 is phi_1 / 2."""
    return (), (phi(1, z) / (2.0 * c[1]),)


def linear(c: Nodes, z: float) -> Weights:
    """The stiff order 2: sum_j b_j c_j = phi_2 (Hochbruck and Ostermann 2005, eq. 5.3)."""
    return (), (phi(2, z) / c[1],)


def three_stage(c: Nodes, z: float, gamma: float) -> Weights:
    """Three stages with b_1 = gamma b_2 (Hochbruck and Ostermann 2005, eq. 5.8).

    They have order 2 for any nodes, and the stiff order 3 where
    ``2 (gamma c_1 + c_2) = 3 (gamma c_1^2 + c_2^2)``.
    """
    a = gamma * c[1] * phi(2, c[1] * z) + c[2] ** 2 / c[1] * phi(2, c[2] * z)
    b = phi(2, z) / (gamma * c[1] + c[2])
    return (), (a,), (gamma * b, b)


def combine(k: int, rest: Sequence[float], total: float) -> dict[int, float]:
    """The weights by row from k on: ``rest`` for the later ones, what ``total`` leaves for k."""
    return {k: total - sum(rest), **{k + j: w for j, w in enumerate(rest, 1) if w != 0}}


# Noise: how a stage goes from marks[0] to marks[-1], past the nodes between, and what it draws.
Rule = Callable[[Process, Sequence[float], float], tuple[Decay, tuple[Draw, ...]]]


def disjoint(
    process: Process, marks: Sequence[float], eta: float
) -> tuple[Decay, tuple[Draw, ...]]:
    """One noise for each interval between nodes, so that all stages see the same path (SEEDS)."""
    end = marks[-1]
    draws = []
    for start, stop in zip(marks, marks[1:]):
        if std := process.diffuse(start, stop, eta).std:
            draws.append(Draw(std * process.diffuse(stop, end, eta).keep, start, stop))
    return process.diffuse(marks[0], end, eta), tuple(draws)


def overlapping(
    process: Process, marks: Sequence[float], eta: float
) -> tuple[Decay, tuple[Draw, ...]]:
    """One noise from the step's start to the stage, with the DDIM variance (DPM++ SDE).

    At eta 1 that is the variance of the SDE.
    """
    start, end = marks[0], marks[-1]
    split = process.ddim_split(start, end, eta)
    keep = split.scale * split.down / start
    # Where eta leaves no noise of x's own, down is 0; _FAR keeps h * phi(-h) at its limit.
    h = min(process.log_snr(split.down) - process.log_snr(start), _FAR)
    decay = Decay(keep, process.alpha(end) - keep * process.alpha(start), split.std, h)
    return decay, (Draw(split.std, start, end),) if split.std else ()


@dataclass(frozen=True)
class Step:
    """One step from x_k at ``sigma`` to ``end``: its nodes, its tableau and its noise."""

    k: int
    sigma: float
    end: float
    nodes: Nodes
    tableau: Coefficients
    rule: Rule
    eta: float

    def stages(self, process: Process) -> Iterator[tuple[Stage, tuple[Draw, ...]]]:
        """Each stage with the noise that arrives at its end.

        First order where the log-SNR step is infinite: from a FLOW start (sigma 1) and to 0.
        """
        start = process.log_snr(self.sigma)
        length = process.log_snr(self.end) - start
        nodes, tableau = self.nodes, self.tableau
        if not math.isfinite(length):
            nodes, tableau = (0.0,), one_stage
        inner = [self.end if c == 1 else process.sigma_at(start + c * length) for c in nodes[1:]]
        levels = [self.sigma, *inner, self.end]
        h = self.rule(process, (self.sigma, self.end), self.eta)[0].h
        for i, weights in enumerate(tableau(nodes, -h)):
            target = levels[i + 1]
            low, high = sorted((self.sigma, target))
            marks = sorted({s for s in levels if low <= s <= high}, reverse=target < self.sigma)
            decay, draws = self.rule(process, marks, self.eta)
            rest = [process.alpha(target) * h * w for w in weights]
            d = combine(self.k, rest, decay.move)
            yield Stage(levels[i], target, {self.k: decay.keep}, d), draws


@dataclass(frozen=True)
class Method:
    """What makes a sampler. rule None: the ODE to a split's lower level, then the split's noise."""

    nodes: Callable[[Any], Nodes]  # of the options
    tableau: Callable[[Any], Coefficients]
    rule: Rule | None

    def build(
        self, sigmas: tuple[float, ...], process: Process, options: Eta
    ) -> Iterator[Row]:
        """The rows of a run."""
        nodes, tableau = self.nodes(options), self.tableau(options)
        rule, eta = self.rule or disjoint, options.eta if self.rule else 0.0
        k = 0
        for i, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
            split = process.split(sigma, sigma_next, 0.0 if self.rule else options.eta)
            step = Step(k, sigma, split.down, nodes, tableau, rule, eta)
            stages, noises = zip(*step.stages(process))
            for row, draws in zip(staged(i, stages, sigma_next, split, sigma), noises):
                yield replace(row, noise=draws) if draws else row
            k += len(stages)


def two(rule: Rule | None) -> Method:
    """A two-stage method."""
    tableaus = {"phi_1": midpoint, "phi_2": linear}
    return Method(lambda o: (0.0, o.r), lambda o: tableaus[o.solver_type], rule)


def three(c: float, d: float, gamma: float) -> Method:
    """A three-stage method with nodes 0, c, d."""
    tableau = partial(three_stage, gamma=gamma)
    return Method(lambda o: (0.0, c, d), lambda o: tableau, disjoint)


def published(c: Nodes, z: float) -> Weights:
    """The three stages of DPM-Solver's published code: two answers at a time, the first and the
    newest; order 2."""
    second = phi(1, c[2] * z) * c[2] ** 2 / (2.0 * c[1])
    return (), (second,), (0.0, phi(2, z) / c[2])


def interpolated(c: Nodes, z: float) -> Weights:
    """Stages and result from the polynomial through all answers, integrated exactly."""
    second = c[2] ** 2 * phi(2, c[2] * z) / c[1]
    return (), (second,), tuple(apply(moments(3, z), c)[1:])


def listed(
    sigmas: tuple[float, ...], process: Process, orders: Sequence[int], exact: bool, eta: float
) -> Iterator[Row]:
    """One model call a step: what other codes call single-step, with the list's own levels as
    the stages.

    orders: 1 where a method begins anew, 2 and 3 for the stages that go on from there; lower
    where the run has begun too late for it. exact: the exact weights instead of the published
    midpoint ones. Each step lands where the method would after its last stage so far.
    """
    snr = [*map(process.log_snr, sigmas)]
    two, three_ = (linear, interpolated) if exact else (midpoint, published)
    for k, order in enumerate(orders):
        order = min(order, k + 1)
        first, end = k + 1 - order, sigmas[k + 1]
        c = tuple((snr[j] - snr[first]) / (snr[k + 1] - snr[first]) for j in range(first, k + 1))
        tableau = (one_stage, two, three_)[order - 1]
        step = Step(first, sigmas[first], end, c, tableau, overlapping, eta)
        *_, (stage, noise) = step.stages(process)
        yield Row(k, sigmas[k], end, stage.x, stage.d, noise=noise)


_TWO = "Lu et al. 2022, arXiv:2211.01095, algorithm 1"
_THREE = three(1 / 3, 2 / 3, 0.0)
_RES = "Zhang et al. 2023, arXiv:2308.02157, section 3"
_SEEDS = "Gonzalez et al. 2023, arXiv:2305.14267"
_HEUN = f"{_SEEDS}, with the second call at the step's end; ComfyUI sample_exp_heun_2_x0"

SAMPLERS = (
    Sampler(
        name="dpmpp_2s", label="DPM++ 2S", source=_TWO,
        build=two(disjoint).build, options=TwoStage(), order=2, calls=2,
    ),
    Sampler(
        name="dpmpp_2s_ancestral", label="DPM++ 2S a",
        aliases=("k_dpmpp_2s_a", "k_dpmpp_2s_ancestral"),
        source=f"{_TWO}; k-diffusion sample_dpmpp_2s_ancestral",
        build=two(None).build, options=TwoStage(eta=1.0), order=2, calls=2,
    ),
    Sampler(
        name="dpmpp_2s_ancestral_cfg_pp", label="DPM++ 2S a CFG++",
        source=f"{_TWO}; Chung et al. 2024, arXiv:2406.08070, algorithm 2",
        build=two(None).build, options=TwoStage(eta=1.0, cfg_pp=True), order=2, calls=2,
    ),
    Sampler(
        name="dpmpp_3s", label="DPM++ 3S",
        source="Lu et al. 2022, arXiv:2211.01095 (3S); the tableau of arXiv:2206.00927, alg. 2",
        build=_THREE.build, options=Eta(), order=3, calls=3,
    ),
    Sampler(
        name="dpmpp_sde", label="DPM++ SDE",
        aliases=("k_dpmpp_sde", "dpmpp_sde_gpu", "DPMSolverSDEScheduler"),
        source=f"{_TWO}; k-diffusion sample_dpmpp_sde",
        build=two(overlapping).build, options=Beyond(eta=1.0, noise="path"), order=2, calls=2,
    ),
    Sampler(
        name="res_2s", label="RES 2S", source=_RES,
        build=two(disjoint).build, options=TwoStage(solver_type="phi_2"), order=2, calls=2,
    ),
    Sampler(
        name="res_3s", label="RES 3S", source=f"{_RES}, with nodes 1/2 and 1",
        build=three(1 / 2, 1.0, 4.0).build, options=Eta(), order=3, calls=3,
    ),
    Sampler(
        name="seeds_2", label="SEEDS-2", source=f"{_SEEDS}, SEEDS-2",
        build=two(disjoint).build, options=TwoStage(eta=1.0), order=2, calls=2,
    ),
    Sampler(
        name="seeds_3", label="SEEDS-3", source=f"{_SEEDS}, SEEDS-3",
        build=_THREE.build, options=Eta(eta=1.0), order=3, calls=3,
    ),
    Sampler(
        name="exp_heun_2_x0", label="Exponential Heun", source=_HEUN,
        build=two(disjoint).build, options=TwoStage(r=1.0, solver_type="phi_2"), order=2, calls=2,
    ),
    Sampler(
        name="exp_heun_2_x0_sde", label="Exponential Heun SDE", source=_HEUN,
        build=two(disjoint).build, options=TwoStage(eta=1.0, r=1.0, solver_type="phi_2"),
        order=2, calls=2,
    ),
)
