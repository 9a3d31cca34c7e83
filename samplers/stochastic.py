"""Multistep solvers of the reverse SDE: D extrapolated in log-SNR, fresh noise at every step.

With h the step in log-SNR and H = (1 + eta) h, a step with D held still is exact (see
``Process.diffuse``), and the polynomial through the last answers adds

    x' += alpha' H * integral over 0 <= s <= 1 of exp(-H (1 - s)) (D(s) - D_k) ds.

The noise is additive, so every such method has strong order 1 along one path of the noise; more
history makes the error of the drift smaller, and is all that is left of it at eta 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..engine.table import Row, noisy_row
from ..process import Decay, Process
from .entry import Sampler
from .exponential_multistep import Multistep, extrapolated
from .history import History, nodes


def sde_row(
    step: int, sigma: float, sigma_next: float, decay: Decay, x: int, d: Mapping[int, float],
) -> Row:
    """The row that keeps ``decay.keep`` of x_x, takes the answers d and the step's noise."""
    kept = {x: decay.keep} if decay.keep else {}
    return noisy_row(step, sigma, sigma_next, kept, d, decay.std)


def multistep(sigmas: tuple[float, ...], process: Process, options: Multistep) -> Iterator[Row]:
    """DPM-Solver++(1M, 2M, 3M) for the SDE, in k-diffusion's form.

    First order at the start, next to a FLOW start (sigma 1, log-SNR minus infinity) and to
    sigma 0; after a first-order step, second order. The weights of the answers are those of
    ``exponential_multistep`` with H in the place of h.
    """
    history, snr = History(), [process.log_snr(sigma) for sigma in sigmas]
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        decay = process.diffuse(sigma, sigma_next, options.eta)
        history.add(k, snr[k])
        known = history.latest(options.order, decay.h)
        places = nodes(known, snr[k], snr[k + 1] - snr[k])
        d = extrapolated(decay, known, places, options)
        yield sde_row(k, sigma, sigma_next, decay, k, d)


_TWO = Multistep(eta=1.0, noise="path")
_HEUN = replace(_TWO, solver_type="heun")
_THREE = replace(_HEUN, order=3, third="published")
_CFG_PP = "CFG++: Chung et al. 2024, arXiv:2406.08070; "
_LU = "Lu et al. 2022, arXiv:2211.01095"

SAMPLERS = (
    Sampler(
        name="dpmpp_2m_sde", label="DPM++ 2M SDE",
        aliases=("k_dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "CosineDPMSolverMultistepScheduler"),
        source=f"{_LU}, eq. 13-15; k-diffusion sample_dpmpp_2m_sde",
        build=multistep, options=_TWO, order=2,
    ),
    Sampler(
        name="dpmpp_2m_sde_heun", label="DPM++ 2M SDE Heun",
        aliases=("k_dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu"),
        source=f"{_LU}; k-diffusion sample_dpmpp_2m_sde, type heun",
        build=multistep, options=_HEUN, order=2,
    ),
    Sampler(
        name="dpmpp_3m_sde", label="DPM++ 3M SDE",
        aliases=("k_dpmpp_3m_sde", "dpmpp_3m_sde_gpu"),
        source=f"k-diffusion sample_dpmpp_3m_sde; after {_LU}",
        build=multistep, options=_THREE, order=2,
    ),
    Sampler(
        name="dpmpp_2m_sde_cfg_pp", label="DPM++ 2M SDE CFG++",
        aliases=("dpmpp_2m_sde_gpu_cfg_pp",), source=f"{_CFG_PP}{_LU}",
        build=multistep, options=replace(_TWO, cfg_pp=True), order=2,
    ),
    Sampler(
        name="dpmpp_3m_sde_cfg_pp", label="DPM++ 3M SDE CFG++",
        aliases=("dpmpp_3m_sde_gpu_cfg_pp",), source=f"{_CFG_PP}{_LU}",
        build=multistep, options=replace(_THREE, cfg_pp=True), order=2,
    ),
)
