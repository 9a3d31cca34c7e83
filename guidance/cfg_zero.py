"""CFG-Zero*: the negative answer scaled to fit the positive one, and a start that waits."""

from __future__ import annotations

import torch

from ..process import VE
from ..registry import Options, option, option_set
from .call import Call, dot, tiny


def fitted_change(
    cond: torch.Tensor, uncond: torch.Tensor, x: torch.Tensor, scale: float
) -> torch.Tensor:
    """What the scale of CFG-Zero* adds to plain guidance.

    Fan et al. 2025, arXiv:2503.18886: with the velocities c and u of the two answers,
    ``v = s u + w (c - s u)``, ``s = <c, u> / <u, u>`` for each image. ``v = (x - D) / sigma``, so
    the denoised latent moves by ``(w - 1) (s - 1) (x - U)``. (VE: v is the predicted noise.)
    """
    c, u = x - cond, x - uncond
    s = dot(c, u) / dot(u, u).clamp_min(tiny(u))
    return (scale - 1.0) * (s - 1.0) * u


@option_set
class CFGZero(Options):
    """CFG-Zero*, for flow models.

    The first steps of a run that starts from pure noise have velocity 0: where
    sigma is above the level that ends them, D is x.
    """

    fit: bool = option(True, help="scale the negative prompt's velocity to fit the positive one's")
    zero_steps: int = option(
        1, 0, 100, "first steps from pure noise that leave the latent as it is (flow models only)"
    )

    @property
    def neutral(self) -> bool:
        """Whether it neither fits the negative answer nor waits."""
        return not self.fit and not self.zero_steps

    def __call__(self, call: Call) -> torch.Tensor:
        """The answer so far plus ``fitted_change``, or x itself in the first steps, [B, C, ...].

        A run that does not start from 0.99 of the model's sigma_max or above has no steps that
        wait. Raises ValueError for zero_steps on a VE model.
        """
        denoised = call.denoised
        if self.fit and call.uncond is not None:
            denoised = denoised + fitted_change(call.cond, call.uncond, call.x, call.scale)
        if self.zero_steps:
            if call.process is VE:
                raise ValueError(
                    "zero_steps is for flow models: on this one the noise that a step leaves in "
                    "place is not what the next level stands for. Set zero_steps to 0."
                )
            sigmas = call.sigmas
            if sigmas and sigmas[0] >= 0.99 * call.sigma_max:
                end = sigmas[min(self.zero_steps, len(sigmas) - 1)]
                denoised = torch.where(call.sigma > end, call.x, denoised)
        return denoised
