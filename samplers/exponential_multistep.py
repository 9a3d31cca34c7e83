"""Exponential integrators in log-SNR: the linear part exact, the denoised latent extrapolated."""

from __future__ import annotations

import math
from collections.abc import Iterator

from .entry import Eta, Sampler
from .process import Process
from .table import Row, split_row


def dpmpp_2m(sigmas: tuple[float, ...], process: Process, options: Eta) -> Iterator[Row]:
    """DPM-Solver++(2M): D extrapolated linearly in log-SNR, first order where it cannot be.

    A FLOW run starts at sigma 1, where log-SNR is minus infinity: no line passes through that
    node, so the step after it is first order as well. So are the first step and the last one,
    to sigma 0 (and any step whose split goes all the way down).
    """
    snr = [process.log_snr(sigma) for sigma in sigmas]
    for k, (sigma, sigma_next) in enumerate(zip(sigmas, sigmas[1:])):
        split = process.split(sigma, sigma_next, options.eta)
        ratio = split.down / sigma
        move = process.alpha(split.down) - ratio * process.alpha(sigma)
        h = process.log_snr(split.down) - snr[k]
        d = {k: move}
        if k > 0 and math.isfinite(snr[k - 1]) and math.isfinite(h):
            lean = 0.5 * h / (snr[k] - snr[k - 1])
            d = {k: move * (1.0 + lean), k - 1: -move * lean}
        yield split_row(k, sigma, sigma_next, split, {k: ratio}, d)


SAMPLERS = (
    Sampler(
        name="dpmpp_2m", label="DPM++ 2M", aliases=("k_dpmpp_2m", "DPMSolverMultistepScheduler"),
        source="Lu et al. 2022, arXiv:2211.01095, algorithm 2",
        build=dpmpp_2m, options=Eta(), order=2,
    ),
)
