"""One-stage steps along the straight line to the newest denoised latent.

The tableau of one stage: ``x' = x + (sigma' - sigma) (x - D) / sigma``. What the presets differ
in is how a step shares its noise: ``Process.split`` or, where the name is DDIM's or DDPM's, the
DDIM variance on either process.
"""

from __future__ import annotations

from ..process import Process
from ..registry import choice, option_set
from .entry import VERSIONS, Sampler
from .runge_kutta import EULER, Churn, fixed, method

_EULER = method(fixed(EULER))
_DDIM = method(fixed(EULER), Process.ddim_split)
_CFG_PP = "Chung et al. 2024, arXiv:2406.08070, algorithm 2"



@option_set
class Versions(Churn):
    """Options of Euler CFG++."""

    version: str = choice(
        VERSIONS[0], VERSIONS,
        "what the unconditional answer U gives: the noise, or, in alternative, D + (D - U) for D",
    )


SAMPLERS = (
    Sampler(
        name="euler", label="Euler", aliases=("k_euler", "EulerDiscreteScheduler"),
        source="Karras et al. 2022, arXiv:2206.00364, algorithm 2 without the second stage",
        build=_EULER, options=Churn(), order=1,
    ),
    Sampler(
        name="euler_ancestral", label="Euler a",
        aliases=("k_euler_a", "k_euler_ancestral", "EulerAncestralDiscreteScheduler"),
        source="k-diffusion sample_euler_ancestral; Song et al. 2020, arXiv:2010.02502, eq. 12",
        build=_EULER, options=Churn(eta=1.0), order=1,
    ),
    Sampler(
        name="ddim", label="DDIM", aliases=("DDIMScheduler",),
        source="Song et al. 2020, arXiv:2010.02502, eq. 12 and 16 (eta)",
        build=_DDIM, options=Churn(), order=1,
    ),
    Sampler(
        name="ddpm", label="DDPM", aliases=("DDPMScheduler",),
        source="Ho et al. 2020, arXiv:2006.11239, eq. 6 and 7 (fixed small variance)",
        build=_DDIM, options=Churn(eta=1.0), order=1,
    ),
    Sampler(
        name="euler_cfg_pp", label="Euler CFG++", source=_CFG_PP,
        build=_EULER, options=Versions(cfg_pp=True), order=1,
    ),
    Sampler(
        name="euler_ancestral_cfg_pp", label="Euler a CFG++",
        source=f"{_CFG_PP}, with the variance of Song et al. 2020, arXiv:2010.02502, eq. 16",
        build=_DDIM, options=Churn(eta=1.0, cfg_pp=True), order=1,
    ),
    Sampler(
        name="ddim_cfg_pp", label="DDIM CFG++", aliases=("ddim_cfgpp",), source=_CFG_PP,
        build=_DDIM, options=Churn(cfg_pp=True), order=1,
    ),
)
