"""A run on its way from the node to the host: what was asked for, and what can start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .choice import Choice
from .run.watch import Box


@dataclass(frozen=True)
class Asked:
    """What a KSampler node was asked for, beside the model, the prompts and the latent.

    window: (first step, step to stop before) of KSampler Advanced. leftover: stop there with the
    noise that is left instead of going straight to sigma 0. box, warn: see ``watch.Duties``.
    """

    seed: int
    steps: int
    cfg: float
    choice: Choice
    denoise: float = 1.0
    add_noise: bool = True
    window: tuple[int, int] | None = None
    leftover: bool = False
    box: Box | None = None
    warn: Callable[[str], object] | None = None


def _as_it_is(noise: torch.Tensor) -> torch.Tensor:
    return noise


@dataclass(frozen=True)
class Setup:
    """A run that can start: all that ``ksample`` needs of it.

    sigmas: its levels; fewer than two where there is nothing to do. sampler: the host's SAMPLER,
    or None if there is nothing to do. noise: what becomes of the host's initial noise. guidance:
    what cfg is multiplied by. notes: for whoever looks.
    """

    model: Any
    sigmas: torch.Tensor
    sampler: Any
    noise: Callable[[torch.Tensor], torch.Tensor] = _as_it_is
    notes: tuple[str | None, ...] = ()
    guidance: float = 1.0
