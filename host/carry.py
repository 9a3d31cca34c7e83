"""The stopped run that a LATENT carries from one node to the next."""

from __future__ import annotations

from typing import Any

import torch

from ..samplers import Carry
from .lists.names import canonical
from .run.ours import Stopped

KEY = "stride"  # where a LATENT keeps a stopped run


def resumable(
    latent: dict[str, Any], sampler: str, sigmas: torch.Tensor, options: dict[str, Any]
) -> tuple[Stopped | None, str | None]:
    """The stopped run that a LATENT carries, or None with the reason why it cannot go on."""
    stopped = latent.get(KEY)
    if stopped is None:
        return None, None
    if stopped.sampler != canonical("sampler", sampler):
        return None, f"new start: the latent was made by {stopped.sampler}"
    if stopped.options != options:
        return None, f"new start: the latent was made with options {stopped.options or 'unset'}"
    if stopped.carry.sigmas[-1] != float(sigmas[0]):
        return None, (
            f"new start: the latent stopped at sigma {stopped.carry.sigmas[-1]:.6g}, "
            f"this run begins at {float(sigmas[0]):.6g}"
        )
    if not _equal(latent["samples"], stopped.latent):
        return None, "new start: the latent was changed between the two nodes"
    return stopped, None


def anew(stopped: Stopped) -> Stopped:
    """The same latent, bit for bit, and what a mask keeps, without the answers of the model."""
    sigmas, x = stopped.carry.sigmas, stopped.carry.x
    return stopped._replace(carry=Carry(sigmas[-1:], x, {}), guidance={})


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two latents hold the same bits; newer hosts nest several tensors in one."""
    if a is b:
        return True
    if a.is_nested != b.is_nested:
        return False
    return all(map(torch.equal, a.unbind(), b.unbind())) if a.is_nested else torch.equal(a, b)
