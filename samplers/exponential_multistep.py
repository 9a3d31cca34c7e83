"""Exponential integrators in log-SNR that extrapolate earlier answers: one model call a step.

With h the step in log-SNR lambda and eps = (x - alpha D) / sigma, a step is exactly

    x' = sigma'/sigma x + alpha' integral_0^h exp(s - h) D(lambda + s) ds          (data form)
    x' = alpha'/alpha x - sigma' integral_0^h exp(h - s) eps(lambda + s) ds       (noise form)

and a polynomial through the latest answers stands for D or eps under the integral.

Two nodes at an infinite log-SNR cannot be used: sigma 1 of a FLOW run (minus infinity) and sigma 0.
The steps that touch them are first order, and the step after a FLOW start is as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..engine.table import Row, split_row
from ..process import Process, Split
from ..registry import choice, option, option_set
from .entry import Eta, Sampler
from .phi import apply, moments


@option_set
class Multistep(Eta):
    order: int = option(2, 1, 3, "model answers combined in a step, itself included")
    solver_type: str = choice(
        "midpoint", ("midpoint", "heun"),
        "second-order steps: half of the first-order weight on the slope, or the exact phi_2",
    )
    third: str = choice(
        "exact", ("exact", "published"),
        "third-order steps: the exact phi_3 term, or the halved one of the published code",
    )

    def shape(self, n: int, z: float) -> list[float]:
        """The moments with which a step through n answers weights them; see ``phi.moments``.

        published: the code of DPM-Solver, followed by k-diffusion and diffusers, has half of the
        second difference's weight, which leaves an error of second order.
        """
        exact = moments(n, z)
        if n == 2 and self.solver_type == "midpoint":
            exact[1] = exact[0] / 2
        if n == 3 and self.third == "published":
            exact[2] /= 2
        return exact


class Step(NamedTuple):
    """nodes: when the answers in use were given, newest first, in units of the step h."""

    k: int
    sigma: float
    sigma_next: float
    split: Split
    h: float
    nodes: Sequence[float]


def steps(sigmas: tuple[float, ...], process: Process, options: Multistep) -> Iterator[Step]:
    """The steps with the history that each may use.

    The clock runs along the deterministic parts. With eta 1 they are about twice as long in
    log-SNR as the steps themselves, so that the slope of D is halved, as the reverse SDE has it.
    """
    clock: list[float] = []
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        split = process.split(sigma, sigma_next, options.eta)
        h = process.log_snr(split.down) - process.log_snr(sigma)
        clock = [0.0, *clock][: options.order]
        finite = math.isfinite(h)
        nodes = [t / h for t in clock] if finite else [0.0]
        yield Step(k, sigma, sigma_next, split, h, nodes)
        clock = [t - h for t in clock] if finite else []


def dpmpp(sigmas: tuple[float, ...], process: Process, options: Multistep) -> Iterator[Row]:
    """DPM-Solver++ and RES, multistep: the data form, D extrapolated in log-SNR."""
    for k, sigma, sigma_next, split, h, nodes in steps(sigmas, process, options):
        ratio = split.down / sigma
        move = process.alpha(split.down) - ratio * process.alpha(sigma)
        d = {k: move}
        if len(nodes) > 1:
            shape = options.shape(len(nodes), -h)
            # move is alpha' h phi_1(-h), without its cancellation
            d = {k - j: move * w / shape[0] for j, w in enumerate(apply(shape, nodes))}
        yield split_row(k, sigma, sigma_next, split, {k: ratio}, d)


def dpm_solver(sigmas: tuple[float, ...], process: Process, options: Multistep) -> Iterator[Row]:
    """DPM-Solver, multistep: the noise form, eps extrapolated in log-SNR.

    Written as the first-order step plus what the differences of eps add to it.
    """
    for k, sigma, sigma_next, split, h, nodes in steps(sigmas, process, options):
        ratio = split.down / sigma
        x, d = {k: ratio}, {k: process.alpha(split.down) - ratio * process.alpha(sigma)}
        if len(nodes) > 1:
            _, *differences = options.shape(len(nodes), h)
            for j, w in enumerate(apply([0.0, *differences], nodes)):
                level = sigmas[k - j]
                slope = -split.down * h * w / level
                x[k - j] = x.get(k - j, 0.0) + slope
                d[k - j] = d.get(k - j, 0.0) - slope * process.alpha(level)
        yield split_row(k, sigma, sigma_next, split, x, d)


_RES = "Zhang et al. 2023, arXiv:2308.02157, multistep; phi_2 form"
_DPMPP = "Lu et al. 2022, arXiv:2211.01095"
_RES_OPTIONS = {"order": 2, "solver_type": "heun"}

SAMPLERS = (
    Sampler(
        name="dpmpp_2m", label="DPM++ 2M", aliases=("k_dpmpp_2m", "DPMSolverMultistepScheduler"),
        source=f"{_DPMPP}, algorithm 2", build=dpmpp, options=Multistep(), order=2,
    ),
    Sampler(
        name="dpmpp_2m_cfg_pp", label="DPM++ 2M CFG++",
        source=f"{_DPMPP}, algorithm 2, with Chung et al. 2024, arXiv:2406.08070",
        build=dpmpp, options=Multistep(cfg_pp=True), order=2,
    ),
    Sampler(
        name="dpmpp_3m", label="DPM++ 3M",
        source=f"{_DPMPP}, eq. 8 with three answers; its Euler start caps the order at 2",
        build=dpmpp, options=Multistep(order=3, solver_type="heun"), order=2,
    ),
    Sampler(
        name="res_multistep", label="RES Multistep", source=_RES,
        build=dpmpp, options=Multistep(**_RES_OPTIONS), order=2,
    ),
    Sampler(
        name="res_multistep_ancestral", label="RES Multistep a", source=_RES,
        build=dpmpp, options=Multistep(eta=1.0, **_RES_OPTIONS), order=2,
    ),
    Sampler(
        name="res_multistep_cfg_pp", label="RES Multistep CFG++",
        source=f"{_RES}; CFG++: Chung et al. 2024, arXiv:2406.08070",
        build=dpmpp, options=Multistep(cfg_pp=True, **_RES_OPTIONS), order=2,
    ),
    Sampler(
        name="res_multistep_ancestral_cfg_pp", label="RES Multistep a CFG++",
        source=f"{_RES}; CFG++: Chung et al. 2024, arXiv:2406.08070",
        build=dpmpp, options=Multistep(eta=1.0, cfg_pp=True, **_RES_OPTIONS), order=2,
    ),
    Sampler(
        name="dpm_solver", label="DPM-Solver", aliases=("DPM-Solver-2M", "dpmsolver"),
        source="Lu et al. 2022, arXiv:2206.00927, multistep as in its authors' code",
        build=dpm_solver, options=Multistep(), order=2,
    ),
)
