"""What a run in the host comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from ...engine.run import Carry
from ...registry import Options
from ...samplers.adaptive import Taken


class Stopped(NamedTuple):
    """A run that stopped before sigma 0, as a LATENT carries it to the next node.

    masked: the noise and picture that an inpainting mask keeps in place, or None. guidance: what
    the patches on the MODEL remember. latent: the samples that the node gave out; if they were
    changed since, the run is over.
    """

    sampler: str
    options: Options
    carry: Carry
    masked: tuple[torch.Tensor, torch.Tensor] | None
    guidance: Mapping[Any, Any]
    latent: torch.Tensor | None = None


@dataclass(frozen=True)
class Result:
    """calls: model calls. notes: what a person should know. taken: what an adaptive sampler's
    steps were, image by image. stopped: where a run is to be gone on with, if it is. stochastic:
    whether it may have drawn fresh noise.
    """

    x: torch.Tensor
    calls: int
    notes: tuple[str, ...] = ()
    taken: tuple[Taken, ...] = ()
    stopped: Stopped | None = None
    stochastic: bool = False


Tell = Callable[[Result], object] | None  # who wants to know; a run keeps nothing of itself
