"""One guided model call as a patch sees it, and sums over one image of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from ..process import Process


@dataclass(frozen=True)
class Call:
    """What is known when the two answers of a model call have been put together.

    x: the noisy latent [B, C, ...], of any rank from 3. sigma: its noise level [B, 1, ...], on the
    same device. denoised: the guided answer so far. cond: the answer to the positive prompt.
    uncond: the one to the negative prompt, None where the model was not asked (cfg 1). scale: the
    cfg of this call. sigmas: the levels of the whole run. sigma_max: the model's largest
    level. memory: what the patch wants to find again at its next call for the same images; it
    ends with the run.
    """

    x: torch.Tensor
    sigma: torch.Tensor
    denoised: torch.Tensor
    cond: torch.Tensor
    uncond: torch.Tensor | None
    scale: float
    process: Process
    sigmas: tuple[float, ...] = ()
    sigma_max: float = float("inf")
    memory: dict[str, Any] = field(default_factory=dict)


def dims(x: torch.Tensor) -> tuple[int, ...]:
    """All dimensions of one image."""
    return tuple(range(1, x.ndim))


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The inner product of each image, [B, 1, ...]."""
    return (a * b).sum(dims(a), keepdim=True)


def deviation(x: torch.Tensor) -> torch.Tensor:
    """The standard deviation of each image, [B, 1, ...]."""
    return x.std(dims(x), keepdim=True)


def tiny(x: torch.Tensor) -> float:
    """The smallest divisor that is safe in x's type."""
    return torch.finfo(x.dtype).tiny
