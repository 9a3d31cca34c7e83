"""Guidance rescale: the guided answer with the deviation of the conditional one."""

from __future__ import annotations

import torch

from ..process import VE, Process
from ..registry import Options, option, option_set
from .call import Call, deviation, tiny


def rescale(
    denoised: torch.Tensor, cond: torch.Tensor, x: torch.Tensor, sigma: torch.Tensor,
    process: Process, phi: float,
) -> torch.Tensor:
    """``denoised`` with its velocity brought to the deviation of ``cond``'s, by the share phi.

    Lin et al. 2024, arXiv:2305.08891, eq. 14-16: ``v' = phi v std(v_cond) / std(v) + (1 - phi) v``
    for each image. v is what the paper's models predict: ``v = a eps - s D`` with a and s the
    weights of data and noise on the unit circle (VE), ``v = eps - D`` (FLOW).
    """
    # Both velocities are (x - k D) / c; c cancels out of the ratio and out of the way back.
    k = 1.0 + sigma**2 if process is VE else 1.0
    v = x - k * denoised
    ratio = deviation(x - k * cond) / deviation(v).clamp_min(tiny(v))
    return denoised - v * (phi * (ratio - 1.0)) / k


@option_set
class Rescale(Options):
    """Guidance rescale."""

    phi: float = option(0.7, 0.0, 1.0, "share of the rescaled answer; 0 is none, 0.7 the paper's")

    @property
    def neutral(self) -> bool:
        """Whether nothing of the rescaled answer is taken."""
        return self.phi == 0

    def __call__(self, call: Call) -> torch.Tensor:
        """The answer so far by ``rescale`` (arXiv:2305.08891, eq. 14-16), [B, C, ...]."""
        return rescale(call.denoised, call.cond, call.x, call.sigma, call.process, self.phi)
