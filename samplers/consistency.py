"""Samplers of consistency models: a jump to clean, then fresh noise for the next level.

D is then not the mean of what x may be but the end of x's path, so that little or nothing of x
is kept. With the D of an ordinary model they lose variance at every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import numpy as np

from ..engine.table import Draw, Row, split_row
from ..process import FLOW, Process, Split
from ..registry import choice, option, option_set
from .entry import Deterministic, Noisy, Sampler

METHODS = ("bislerp", "nearest-exact", "bilinear", "area", "bicubic")  # of enlarging a latent


@option_set
class Jump(Noisy, Deterministic):
    """Options of a sampler that renoises from clean."""


@option_set
class Growing(Jump):
    """Options of LCM: how its fresh noise changes on the way, and whether the latent grows."""

    s_noise_end: float = option(
        -1.0, -1.0, 100.0,
        "multiplier of the last step's noise, a straight line from s_noise; below 0: s_noise",
    )
    noise_clip_std: float = option(
        0.0, 0.0, 10.0, "cut fresh noise at so many standard deviations; 0 does not"
    )
    scale_ratio: float = option(
        1.0, 0.1, 20.0, "the latent grows on the way, to so many times its height and width"
    )
    scale_steps: int = option(
        -1, -1, 1000, "steps at whose ends it grows, the first ones; -1: half of them"
    )
    upscale_method: str = choice("bislerp", METHODS, "how it grows")


@option_set
class Strategic(Jump):
    """Options of TCD."""

    QUIET = {"gamma": 0.0}
    gamma: float = option(0.3, 0.0, 1.0, "fresh noise per step: 0 is DDIM, 1 is LCM's renoising")
    clock: str = choice(
        "time", ("time", "sigma"), "what (1 - gamma) multiplies: SD's time on VE models, or sigma"
    )


def _sizes(steps: int, options: Growing) -> list[float]:
    """The size after each step, as a share of the first: even steps up to the ratio, then it."""
    count = options.scale_steps if options.scale_steps >= 0 else max((steps + 1) // 2, 1)
    count = min(count, steps + 1)  # as in the host, where more steps than there are end below it
    grown = np.linspace(1.0, options.scale_ratio, count + 1)[1 : steps + 1].tolist()
    return grown + [grown[-1] if grown else 1.0] * (steps - len(grown))


def lcm(sigmas: tuple[float, ...], process: Process, options: Growing) -> Iterator[Row]:
    """x' = alpha' D + sigma' z, D enlarged where the latent grows."""
    sizes = _sizes(len(sigmas) - 1, options)
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        noise = (Draw(sigma_next, sigma, sigma_next),) if sigma_next else ()
        d = {k: process.alpha(sigma_next)}
        yield Row(k, sigma, sigma_next, {}, d, noise=noise, size=sizes[k])


@cache
def _log_sigmas() -> np.ndarray:
    """log sigma by training time of the scaled-linear schedule of SD1.5 and SDXL."""
    bar = np.cumprod(1.0 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    return 0.5 * np.log((1.0 - bar) / bar)


def _down(sigma: float, process: Process, options: Strategic) -> float:
    """The level that TCD goes to without noise on its way to sigma."""
    part = 1.0 - options.gamma
    if options.gamma == 0:
        return sigma  # even between two training times
    if process is FLOW or options.clock == "sigma":
        return part * sigma  # a flow model's time is its sigma
    logs = _log_sigmas()
    time = int(np.abs(logs - math.log(sigma)).argmin())
    # 0.7 * 310 is just below 217 in binary.
    return min(math.exp(logs[math.floor(part * time + 1e-9)]), sigma)


def tcd(sigmas: tuple[float, ...], process: Process, options: Strategic) -> Iterator[Row]:
    """Strategic stochastic sampling: DDIM to the time (1 - gamma) t', then noise up to t'.

    Times are the whole training steps of the model, as in diffusers' TCDScheduler. The last
    step goes to sigma 0, so x = D there (that scheduler stops at training time 0, sigma 0.029).
    """
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        down = _down(sigma_next, process, options) if sigma_next else 0.0
        scale, std = process.renoise(down, sigma_next)
        ratio = down / sigma
        split = Split(down, scale, std)
        yield split_row(k, sigma, sigma_next, split, {k: ratio}, {k: 1.0 - ratio})


SAMPLERS = (
    Sampler(
        name="lcm", label="LCM",
        aliases=("k_lcm", "pingpong", "LCMScheduler", "FlowMatchLCMScheduler"),
        source="Luo et al. 2023, arXiv:2310.04378; Song et al. 2023, arXiv:2303.01469, algorithm 1",
        build=lcm, options=Growing(), order=None,
    ),
    Sampler(
        name="tcd", label="TCD", aliases=("TCDScheduler",),
        source="Zheng et al. 2024, arXiv:2402.19159, strategic stochastic sampling",
        build=tcd, options=Strategic(), order=1,
    ),
)
