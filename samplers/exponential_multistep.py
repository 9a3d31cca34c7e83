"""Exponential integrators in log-SNR that extrapolate earlier answers: one model call a step.

With h the step in log-SNR lambda and eps = (x - alpha D) / sigma, a step is exactly

    x' = sigma'/sigma x + alpha' integral_0^h exp(s - h) D(lambda + s) ds          (data form)
    x' = alpha'/alpha x - sigma' integral_0^h exp(h - s) eps(lambda + s) ds       (noise form)

and a polynomial through the latest answers stands for D or eps under the integral.

Two nodes at an infinite log-SNR cannot be used, see ``history``: the steps that touch sigma 1 of a
FLOW run or sigma 0 are first order, and the step after a FLOW start is as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter

from ..engine.table import Row, noisy_row, split_row
from ..process import Decay, Process, Split
from ..registry import choice, option, option_set
from .entry import Eta, Sampler
from .history import History, Known, nodes
from .phi import apply, moments, phi, shares


@option_set
class Multistep(Eta):
    """Options of the multistep methods in log-SNR."""

    order: int = option(2, 1, 3, "model answers combined in a step, itself included")
    solver_type: str = choice(
        "midpoint", ("midpoint", "heun"),
        "second-order steps: half of the first-order weight on the slope, or the exact phi_2",
    )
    third: str = choice(
        "exact", ("exact", "published"),
        "third-order steps: the exact phi_3 term, or the halved one of the published code",
    )


def shape(options: Multistep, n: int, z: float) -> list[float]:
    """The moments with which a step through n answers weighs them; see ``phi.moments``.

    published: the code of DPM-Solver, followed by k-diffusion and diffusers, has half of the
    second difference's weight, which leaves an error of second order.
    """
    if n == 2 and options.solver_type == "midpoint":
        first = phi(1, z)
        return [first, first / 2]
    exact = moments(n, z)
    if n == 3 and options.third == "published":
        exact[2] /= 2
    return exact


def tapered(order: int, left: int, taper: int) -> int:
    """The order of a step with ``left`` steps to go, itself included.

    The last ``taper`` steps combine no more answers than there are steps left.
    """
    return min(order, left) if left <= taper else order


def steps(
    sigmas: tuple[float, ...], process: Process, options: Multistep, taper: int
) -> Iterator[tuple[Split, Decay, list[Known]]]:
    """Each step's split, the linear part of its way down, and the rows whose answers it may use.

    The clock runs along the deterministic parts. With eta 1 they are about twice as long in
    log-SNR as the steps themselves, so that the slope of D is halved, as the reverse SDE has it.
    """
    history = History()
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        split = process.split(sigma, sigma_next, options.eta)
        decay = process.diffuse(sigma, split.down, 0.0)
        order = tapered(options.order, len(sigmas) - 1 - k, taper)
        yield split, decay, history.recall(k, 0.0, order, decay.h)
        history.pass_by(decay.h)


def extrapolated(
    decay: Decay, known: Sequence[Known], places: Sequence[float], options: Multistep
) -> dict[int, float]:
    """Weights by row of the ``known`` answers, given at ``places``, in a step of the data form."""
    weights = shares(decay.move, partial(shape, options), -decay.h, places)
    return dict(zip(map(itemgetter(0), known), weights))


def dpmpp(
    sigmas: tuple[float, ...], process: Process, options: Multistep, taper: int = 0
) -> Iterator[Row]:
    """DPM-Solver++ and RES, multistep: the data form, D extrapolated in log-SNR."""
    for k, (split, decay, known) in enumerate(steps(sigmas, process, options, taper)):
        d = extrapolated(decay, known, nodes(known, 0.0, decay.h), options)
        yield split_row(k, sigmas[k], sigmas[k + 1], split, {k: decay.keep}, d)


def sde_row(
    step: int, sigma: float, sigma_next: float, decay: Decay, x: int, d: Mapping[int, float],
) -> Row:
    """The row that keeps ``decay.keep`` of x_x, takes the answers d and the step's noise."""
    kept = {x: decay.keep} if decay.keep else {}
    return noisy_row(step, sigma, sigma_next, kept, d, decay.std)


def sde(
    sigmas: tuple[float, ...], process: Process, options: Multistep, taper: int = 0
) -> Iterator[Row]:
    """DPM-Solver++(1M, 2M, 3M) for the SDE, in k-diffusion's form: fresh noise at every step.

    With h the step in log-SNR and H = (1 + eta) h, a step with D held still is exact (see
    ``Process.diffuse``), and the polynomial through the last answers adds

        x' += alpha' H * integral over 0 <= s <= 1 of exp(-H (1 - s)) (D(s) - D_k) ds.

    First order at the start, next to a FLOW start (sigma 1, log-SNR minus infinity) and to
    sigma 0; after a first-order step, second order. The weights of the answers are those of
    ``dpmpp`` with H in the place of h.
    """
    history, snr = History(), [*map(process.log_snr, sigmas)]
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        decay = process.diffuse(sigma, sigma_next, options.eta)
        order = tapered(options.order, len(sigmas) - 1 - k, taper)
        known = history.recall(k, snr[k], order, decay.h)
        places = nodes(known, snr[k], snr[k + 1] - snr[k])
        d = extrapolated(decay, known, places, options)
        yield sde_row(k, sigma, sigma_next, decay, k, d)


def dpm_solver(
    sigmas: tuple[float, ...], process: Process, options: Multistep, taper: int = 0
) -> Iterator[Row]:
    """DPM-Solver, multistep: the noise form, eps extrapolated in log-SNR.

    Written as the first-order step plus what the differences of eps add to it.
    """
    for k, (split, decay, known) in enumerate(steps(sigmas, process, options, taper)):
        x, d = {k: decay.keep}, {k: decay.move}
        if len(known) > 1:
            _, *differences = shape(options, len(known), decay.h)
            weights = apply([0.0, *differences], nodes(known, 0.0, decay.h))
            for (row, _), w in zip(known, weights):
                slope = -split.down * decay.h * w / sigmas[row]
                x[row] = x.get(row, 0.0) + slope
                d[row] = d.get(row, 0.0) - slope * process.alpha(sigmas[row])
        yield split_row(k, sigmas[k], sigmas[k + 1], split, x, d)


_RES = "Zhang et al. 2023, arXiv:2308.02157, multistep; phi_2 form"
_DPMPP = "Lu et al. 2022, arXiv:2211.01095"
_EXACT = Multistep(solver_type="heun")

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
        build=dpmpp, options=replace(_EXACT, order=3), order=2,
    ),
    Sampler(
        name="res_multistep", label="RES Multistep", source=_RES,
        build=dpmpp, options=_EXACT, order=2,
    ),
    Sampler(
        name="res_multistep_ancestral", label="RES Multistep a", source=_RES,
        build=dpmpp, options=replace(_EXACT, eta=1.0), order=2,
    ),
    Sampler(
        name="res_multistep_cfg_pp", label="RES Multistep CFG++",
        source=f"{_RES}; CFG++: Chung et al. 2024, arXiv:2406.08070",
        build=dpmpp, options=replace(_EXACT, cfg_pp=True), order=2,
    ),
    Sampler(
        name="res_multistep_ancestral_cfg_pp", label="RES Multistep a CFG++",
        source=f"{_RES}; CFG++: Chung et al. 2024, arXiv:2406.08070",
        build=dpmpp, options=replace(_EXACT, eta=1.0, cfg_pp=True), order=2,
    ),
    Sampler(
        name="dpm_solver", label="DPM-Solver", aliases=("DPM-Solver-2M", "dpmsolver"),
        source="Lu et al. 2022, arXiv:2206.00927, multistep as in its authors' code",
        build=dpm_solver, options=Multistep(), order=2,
    ),
)
