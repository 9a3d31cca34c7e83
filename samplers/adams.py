"""Linear multistep methods that extrapolate eps (VE) or velocity (FLOW).

``(x - D) / sigma`` is eps on VE and the velocity on FLOW, and ``dx/dsigma`` on both, so one
formula serves both:

    x' = x_k + sum_j w_j e_{k-j},    e_i = (x_i - D_i) / sigma_i,    sum_j w_j = sigma' - sigma_k

Only the weights differ. A run that starts with an Euler step is of order 2, whatever the order of
its later steps. So is one with fixed weights: its neighbouring steps become equal only as the
grid is refined, and on a grid where they never do it is of order 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..engine.table import Row
from ..process import Process
from ..registry import choice, option, option_set
from .entry import Eta, Sampler
from .exponential_multistep import tapered
from .quadrature import Curve, integrate
from .runge_kutta import CLASSICAL_4, HEUN_EULER, Stage, Tableau, staged

# Adams-Bashforth on a uniform grid, newest first.
_FIXED = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12),
          (55 / 24, -59 / 24, 37 / 24, -9 / 24))

Weigh = Callable[[int, float], Sequence[float]]  # (step, sigma it goes to) to w, newest first


@option_set
class Order(Eta):
    """Options of the methods that combine a chosen number of answers."""

    order: int = option(4, 1, 4, "model answers combined in a step, itself included")


@option_set
class Adams(Order):
    """Options of Adams-Bashforth with exact weights."""

    order: int = option(
        4, 1, 100, "model answers combined in a step, itself included; above 8 the weights run wild"
    )
    ending: str = choice(
        "denoise", ("denoise", "multistep"),
        "step to sigma 0: the denoised latent, or the formula of the other steps (A1111)",
    )


@option_set
class Deis(Order):
    """Options of DEIS."""

    variable: str = choice(
        "time", ("time", "log_sigma", "sigma"),
        "what the polynomial is in: the time of a linear VP process, log sigma (diffusers), sigma",
    )


@option_set
class Gamma(Eta):
    """Options of gradient estimation."""

    gamma: float = option(2.0, 1.0, 4.0, "weight of the newest answer; 1 is Euler, 1.5 is AB2")


def _multistep(
    sigmas: tuple[float, ...], process: Process, eta: float, weigh: Weigh,
    start: tuple[Tableau, ...] = (),
) -> Iterator[Row]:
    """Rows of any method of this file; the first steps may be Runge-Kutta steps, ``start``."""
    k, heads = 0, []  # the row to come, the row that each step began with
    for step, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        split = process.split(sigma, sigma_next, eta)
        heads.append(k)
        if step < len(start) and split.down > 0:
            stages = list(start[step].stages(k, sigma, split.down))
        else:
            past = zip(reversed(heads), sigmas[step::-1], weigh(step, split.down))
            d = {j: -w / level for j, level, w in past if w}
            x = {j: -w for j, w in d.items()}
            x[k] = 1.0 + x.get(k, 0.0)
            if x[k] == 0:  # to sigma 0
                del x[k]
            stages = [Stage(sigma, split.down, x, d)]
        yield from staged(step, stages, sigma_next, split, sigma)
        k += len(stages)


def _latest(sigmas: tuple[float, ...], k: int, order: int) -> tuple[float, ...]:
    """The levels of the last ``order`` answers up to step k, newest first."""
    return sigmas[max(k + 1 - order, 0) : k + 1][::-1]


def _fixed(sigmas: tuple[float, ...], order: int, ending: str = "denoise") -> Weigh:
    """Adams-Bashforth weights of even steps whatever the spacing; Euler to sigma 0, unless the
    ending is "multistep"."""

    def weigh(k: int, down: float) -> list[float]:
        euler = down == 0 and ending == "denoise"
        weights = _FIXED[0] if euler else _FIXED[min(k, order - 1)]
        return [(down - sigmas[k]) * w for w in weights]

    return weigh


def ipndm(sigmas: tuple[float, ...], process: Process, options: Order) -> Iterator[Row]:
    """Adams-Bashforth with fixed weights whatever the spacing; the order ramps up from 1."""
    return _multistep(sigmas, process, options.eta, _fixed(sigmas, options.order))


def plms(sigmas: tuple[float, ...], process: Process, options: Eta) -> Iterator[Row]:
    """Pseudo linear multistep: the improved Euler method once, then iPNDM of orders 2, 3, 4."""
    return _multistep(sigmas, process, options.eta, _fixed(sigmas, 4), (HEUN_EULER,))


def pndm(sigmas: tuple[float, ...], process: Process, options: Eta) -> Iterator[Row]:
    """Three pseudo Runge-Kutta steps of four calls each, then iPNDM of order 4.

    The paper halves a step in the model's timestep. A list of sigmas has no timesteps (and on
    FLOW sigma is the time), so a step is halved in sigma, where its weights 1/6, 1/3, 1/3, 1/6
    make the classical Runge-Kutta method of order 4.
    """
    return _multistep(sigmas, process, options.eta, _fixed(sigmas, 4), (CLASSICAL_4,) * 3)


def fixed(
    sigmas: tuple[float, ...], process: Process, start: tuple[Tableau, ...], ending: str
) -> Iterator[Row]:
    """PLMS and PNDM with other first steps, or another last one (see ``Adams``)."""
    return _multistep(sigmas, process, 0.0, _fixed(sigmas, 4, ending), start)


def adams(sigmas: tuple[float, ...], process: Process, options: Adams) -> Iterator[Row]:
    """Adams-Bashforth: the polynomial in sigma through the last slopes, integrated exactly."""

    def weigh(k: int, down: float) -> list[float]:
        if down == 0 and options.ending == "denoise":
            return [-sigmas[k]]
        return integrate(_latest(sigmas, k, options.order), sigmas[k], down)

    return _multistep(sigmas, process, options.eta, weigh)


def vp_time(sigma: np.ndarray) -> np.ndarray:
    """Time of the linear VP process that has ``sigma``: ``log(1 + sigma^2) = b t^2 / 2 + c t``.

    Karras et al. 2022, table 1 (VP). b and c are such that sigma is 0.002 at t = 0.001 and 80 at
    t = 1, which DEIS codes take for every model.
    """
    low, high = np.log1p(0.002**2), np.log1p(80.0**2)
    b = 2.0 * (high - low / 1e-3) / (1.0 - 1e-3)
    c = high - 0.5 * b  # slightly negative
    return (np.sqrt(c**2 + 2.0 * b * np.log1p(sigma**2)) - c) / b


_VARIABLES: dict[str, Curve] = {"time": vp_time, "log_sigma": np.log, "sigma": np.asarray}


def deis(
    sigmas: tuple[float, ...], process: Process, options: Deis, taper: int = 0
) -> Iterator[Row]:
    """DEIS: the polynomial through the last slopes is in t(sigma), its integral in sigma.

    ``w_j = int L_j(t(sigma)) dsigma``, integrated over log sigma, in which both are smooth. Euler
    to sigma 0, as the other methods do. taper: how many of the last steps combine no more answers
    than there are steps left.
    """
    variable = _VARIABLES[options.variable]

    def weigh(k: int, down: float) -> list[float]:
        if down == 0:
            return [-sigmas[k]]
        left = len(sigmas) - 1 - k
        order = tapered(options.order, left, taper)
        nodes = np.log(_latest(sigmas, k, order))
        return integrate(
            nodes, nodes[0], np.log(down), kernel=np.exp, variable=lambda q: variable(np.exp(q))
        )

    return _multistep(sigmas, process, options.eta, weigh)


def gradient_estimation(
    sigmas: tuple[float, ...], process: Process, options: Gamma
) -> Iterator[Row]:
    """Euler along ``gamma e_k + (1 - gamma) e_{k-1}``; plain Euler in the first and last step."""

    def weigh(k: int, down: float) -> list[float]:
        gamma = options.gamma if k > 0 and down > 0 else 1.0
        return [(down - sigmas[k]) * w for w in (gamma, 1.0 - gamma)]

    return _multistep(sigmas, process, options.eta, weigh)


_BASHFORTH = "Bashforth and Adams 1883; Hairer, Norsett, Wanner, Solving ODEs I, section III.5"

SAMPLERS = (
    Sampler(
        name="lms", label="LMS", aliases=("k_lms", "LMSDiscreteScheduler"),
        source="k-diffusion sample_lms; " + _BASHFORTH, build=adams, options=Adams(), order=2,
    ),
    Sampler(
        name="ipndm", label="iPNDM", aliases=("IPNDMScheduler",),
        source="Zhang and Chen 2022, arXiv:2204.13902, eq. 29 (improved PNDM)",
        build=ipndm, options=Order(), order=2,
    ),
    Sampler(
        name="ipndm_v", label="iPNDM, variable step",
        source="diff-sampler ipndm_v, with the coefficients of orders 3 and 4 put right; "
        + _BASHFORTH,
        build=adams, options=Adams(), order=2,
    ),
    Sampler(
        name="adams_2", label="Adams-Bashforth 2", source=_BASHFORTH,
        build=adams, options=Adams(order=2), order=2,
    ),
    Sampler(
        name="adams_3", label="Adams-Bashforth 3", source=_BASHFORTH,
        build=adams, options=Adams(order=3), order=2,
    ),
    Sampler(
        name="deis", label="DEIS", aliases=("DEISMultistepScheduler",),
        source="Zhang and Chen 2022, arXiv:2204.13902, section 3.3 (tAB-DEIS)",
        build=deis, options=Deis(order=3), order=2,
    ),
    Sampler(
        name="plms", label="PLMS",
        source="Liu et al. 2022, arXiv:2202.09778 (S-PNDM's start, F-PNDM's weights)",
        build=plms, options=Eta(), order=2,
    ),
    Sampler(
        name="pndm", label="PNDM", aliases=("PNDMScheduler",),
        source="Liu et al. 2022, arXiv:2202.09778 (F-PNDM)",
        build=pndm, options=Eta(), order=2,
    ),
    Sampler(
        name="gradient_estimation", label="Gradient estimation",
        source="Permenter and Yuan 2024, arXiv:2306.04848 (gradient-estimation sampler)",
        build=gradient_estimation, options=Gamma(), order=1,
    ),
    Sampler(
        name="gradient_estimation_cfg_pp", label="Gradient estimation CFG++",
        source="Permenter and Yuan 2024, arXiv:2306.04848; Chung et al. 2024, arXiv:2406.08070",
        build=gradient_estimation, options=Gamma(cfg_pp=True), order=1,
    ),
)
