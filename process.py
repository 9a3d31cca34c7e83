"""The two ways in which a noisy latent mixes data and noise.

Both are written ``x = alpha(sigma) * x0 + sigma * eps`` and share the probability-flow ODE
``dx/dsigma = (x - D) / sigma``, so a sampler needs nothing of a process but ``alpha``,
``log_snr`` and the ways to share a step with fresh noise.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import NamedTuple


class Undefined(ValueError):
    """A formula has no value there: log-SNR above sigma 1 of FLOW, fresh noise on the way up."""


class Split(NamedTuple):
    """A stochastic step: go to ``down`` without noise, then ``x = scale * x + std * noise``."""

    down: float
    scale: float
    std: float


class Decay(NamedTuple):
    """A step of the reverse SDE with D held still: ``x' = keep * x + move * D + std * z``.

    h: (1 + eta) times the step in log-SNR, the h of every phi function of the D integral.
    """

    keep: float
    move: float
    std: float
    h: float


class Process(Enum):
    """How x mixes data and noise.

    VE: EPS, V and EDM models as the host presents them. FLOW: SD3, Flux, Wan.
    fall: what alpha loses per sigma, 0 or 1: all in which the two differ. ``Process("VE")`` is
    VE, and ValueError for any other name. All levels are sigmas in the process' own space, from 0
    up. Above 1 of FLOW the clean latent has a negative weight: the ODE goes on there, but there is
    no log-SNR, and what asks for it raises ``Undefined``.
    """

    VE = "VE", 0.0
    FLOW = "FLOW", 1.0

    fall: float

    def __new__(cls, name: str, fall: float) -> Process:
        self = object.__new__(cls)
        self._value_, self.fall = name, fall
        return self

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ValueError(f"a process is {' or '.join(cls.__members__)}, got {value!r:.80}")

    def alpha(self, sigma: float) -> float:
        """Weight of the clean latent at noise level ``sigma`` (VE: 1; FLOW: 1 - sigma)."""
        return 1.0 - self.fall * sigma

    def ratio(self, sigma: float) -> float:
        """``sigma / alpha``, the VE sigma of the same log-SNR; +inf at a FLOW start (sigma 1)."""
        alpha = 1.0 - self.fall * sigma
        return sigma / alpha if alpha > 0 else -self._nothing_left(sigma)

    def log_snr(self, sigma: float) -> float:
        """``log(alpha / sigma)``; +inf at sigma 0 and -inf at a FLOW start (sigma 1)."""
        if sigma == 0:
            return math.inf
        alpha = 1.0 - self.fall * sigma
        return math.log(alpha / sigma) if alpha > 0 else self._nothing_left(sigma)

    def _nothing_left(self, sigma: float) -> float:
        """The log-SNR where alpha is not above 0: -inf at a FLOW start, and none beyond."""
        if sigma > 1.0:
            raise Undefined(
                f"log-SNR, which has no value above sigma 1 of a flow model (here {sigma:.6g})"
            )
        return -math.inf

    def sigma_at(self, log_snr: float) -> float:
        """The inverse of ``log_snr``."""
        if not self.fall or log_snr >= 700:  # exp would overflow; 1 no longer counts beside it
            return math.exp(-log_snr)
        return 1.0 / (1.0 + math.exp(log_snr))

    def split(self, sigma: float, sigma_next: float, eta: float) -> Split:
        """Share a step between a deterministic part and fresh noise; ``eta`` 0 is the ODE.

        VE: the DDIM variance, which is k-diffusion's ancestral step. FLOW: the rectified-flow
        form used by ComfyUI, ``down = sigma' * (1 + (sigma'/sigma - 1) * eta)``. Either way the
        marginal at ``sigma_next`` is kept: ``alpha' x0`` plus noise of standard deviation
        ``sigma'``.
        """
        if eta == 0 or sigma_next == 0 or self is VE:
            return self.ddim_split(sigma, sigma_next, eta)
        down = max(sigma_next * (1.0 + (sigma_next / sigma - 1.0) * eta), 0.0)
        scale = _over(self.alpha(sigma_next), self.alpha(down))
        return Split(down, scale, root(sigma_next**2 - (scale * down) ** 2, sigma_next))

    def ddim_split(self, sigma: float, sigma_next: float, eta: float) -> Split:
        """The split with the DDIM variance (Song et al. 2020, arXiv:2010.02502, eq. 16).

        With s = sigma / alpha the fresh noise is ``eta sigma' sqrt(1 - (s'/s)^2)`` on either
        process; eta 1 is DDPM's posterior (Ho et al. 2020, arXiv:2006.11239, eq. 6 and 7), which
        from a FLOW start (s infinite) keeps nothing of x.
        """
        if eta == 0 or sigma_next == 0:
            return Split(sigma_next, 1.0, 0.0)
        alpha = self.alpha(sigma_next)
        ratio = _over(sigma_next * self.alpha(sigma), alpha * sigma)
        std = min(eta * sigma_next * root(1.0 - ratio**2, 1.0), sigma_next)
        down = math.sqrt(sigma_next**2 - std**2) / alpha  # in s, where alpha is 1 / (1 + fall s)
        inverse = 1.0 + self.fall * down
        return Split(down / inverse, alpha * inverse, std)

    def diffuse(self, sigma: float, sigma_next: float, eta: float) -> Decay:
        """The exact linear part of a step of the reverse SDE ``(1 + eta)`` times the ODE's drift.

        With h the step in log-SNR: x keeps ``sigma'/sigma exp(-eta h)`` of itself, D gets what
        the signal then lacks, and fresh noise of standard deviation
        ``sigma' sqrt(1 - exp(-2 eta h))`` arrives. eta 0 is the ODE. h is infinite from a FLOW
        start (sigma 1) and to sigma 0. (Lu et al. 2022, arXiv:2211.01095, eq. 13 for eta 1.)
        """
        if sigma_next == 0:
            return Decay(0.0, 1.0, 0.0, math.inf)
        h = self.log_snr(sigma_next) - self.log_snr(sigma)
        damp = math.exp(-eta * h) if eta else 1.0
        keep = sigma_next / sigma * damp
        move = 1.0 - self.fall * sigma_next - keep * (1.0 - self.fall * sigma)
        std = sigma_next * root(-math.expm1(-2.0 * eta * h), 1.0) if eta else 0.0
        return Decay(keep, move, std, (1.0 + eta) * h)

    def renoise(self, sigma: float, up: float) -> tuple[float, float]:
        """(scale, std) with which ``scale * x + std * z`` lifts x from sigma to a higher level."""
        if up == sigma:
            return 1.0, 0.0
        scale = _over(self.alpha(up), self.alpha(sigma))
        return scale, root(up**2 - (scale * sigma) ** 2, up)


def root(variance: float, unit: float) -> float:
    """The standard deviation of fresh noise; there is none where noise would have to go.

    unit: a deviation beside which the rounding of ``variance`` is measured.
    """
    if variance < -1e-12 * unit**2:
        raise Undefined(
            "room for fresh noise, which a step up has not, nor one above sigma 1 of a flow model"
        )
    return math.sqrt(max(variance, 0.0))


def _over(signal: float, before: float) -> float:
    """What the clean latent is multiplied by; from sigma 1 of FLOW, where it is gone, nothing."""
    if before == 0:
        raise Undefined("a clean latent to add noise to, and a flow model's is gone at sigma 1")
    return signal / before


VE, FLOW = Process.VE, Process.FLOW
