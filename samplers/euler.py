"""One-stage steps along the straight line to the newest denoised latent."""

from __future__ import annotations

from collections.abc import Iterator

from .entry import Eta, Sampler
from .process import Process
from .table import Row, split_row


def euler(sigmas: tuple[float, ...], process: Process, options: Eta) -> Iterator[Row]:
    """Euler steps of ``dx/dsigma = (x - D)/sigma``, to the split's lower level."""
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        split = process.split(sigma, sigma_next, options.eta)
        ratio = split.down / sigma
        yield split_row(k, sigma, sigma_next, split, {k: ratio}, {k: 1.0 - ratio})


SAMPLERS = (
    Sampler(
        name="euler", label="Euler", aliases=("k_euler", "EulerDiscreteScheduler"),
        source="Karras et al. 2022, arXiv:2206.00364, algorithm 1 without the second stage",
        build=euler, options=Eta(), order=1,
    ),
    Sampler(
        name="euler_ancestral", label="Euler a",
        aliases=("k_euler_a", "k_euler_ancestral", "EulerAncestralDiscreteScheduler"),
        source="k-diffusion sample_euler_ancestral; Song et al. 2020, arXiv:2010.02502, eq. 12",
        build=euler, options=Eta(eta=1.0), order=1,
    ),
    Sampler(
        name="ddim", label="DDIM", aliases=("DDIMScheduler",),
        source="Song et al. 2020, arXiv:2010.02502, eq. 12 and 16 (eta)",
        build=euler, options=Eta(), order=1,
    ),
)
