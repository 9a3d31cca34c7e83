"""Multistep solvers of the reverse SDE: D extrapolated in log-SNR, fresh noise at every step.

The tables are made beside those of the ODE, in ``exponential_multistep``. The noise is additive, so
every such method has strong order 1 along one path of the noise; more history makes the error of
the drift smaller, and is all that is left of it at eta 0.
"""

from __future__ import annotations

from dataclasses import replace

from .entry import Sampler
from .exponential_multistep import Multistep, sde

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
        build=sde, options=_TWO, order=2,
    ),
    Sampler(
        name="dpmpp_2m_sde_heun", label="DPM++ 2M SDE Heun",
        aliases=("k_dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu"),
        source=f"{_LU}; k-diffusion sample_dpmpp_2m_sde, type heun",
        build=sde, options=_HEUN, order=2,
    ),
    Sampler(
        name="dpmpp_3m_sde", label="DPM++ 3M SDE",
        aliases=("k_dpmpp_3m_sde", "dpmpp_3m_sde_gpu"),
        source=f"k-diffusion sample_dpmpp_3m_sde; after {_LU}",
        build=sde, options=_THREE, order=2,
    ),
    Sampler(
        name="dpmpp_2m_sde_cfg_pp", label="DPM++ 2M SDE CFG++",
        aliases=("dpmpp_2m_sde_gpu_cfg_pp",), source=f"{_CFG_PP}{_LU}",
        build=sde, options=replace(_TWO, cfg_pp=True), order=2,
    ),
    Sampler(
        name="dpmpp_3m_sde_cfg_pp", label="DPM++ 3M SDE CFG++",
        aliases=("dpmpp_3m_sde_gpu_cfg_pp",), source=f"{_CFG_PP}{_LU}",
        build=sde, options=replace(_THREE, cfg_pp=True), order=2,
    ),
)
