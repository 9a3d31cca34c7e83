"""What the loop asks of a model: the one contract between it and whatever predicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

Parts = tuple[tuple[str, torch.Tensor], ...]  # what an answer was made of, by name; may be empty
# A function of (x [B, ...], sigma [B]) that returns D, or (D, U) where CFG++ wants U as well.
Denoise = Callable[
    [torch.Tensor, torch.Tensor], torch.Tensor | tuple[torch.Tensor, torch.Tensor]
]


class Answer(NamedTuple):
    """A model's answer to a noisy latent [B, ...].

    denoised: D, its estimate of the clean latent [B, ...]. uncond: U, that of the unconditional
    model, which CFG++ renoises with; None where nobody asked. parts: what D was made of, for
    whoever looks for the cause of a NaN.
    """

    denoised: torch.Tensor
    uncond: torch.Tensor | None = None
    parts: Parts = ()


class Model:
    """A denoiser. A subclass says what it answers; the rest is as simple as it can be.

    computes_in: the dtype of its own arithmetic, where it is known.
    """

    computes_in: torch.dtype | None = None

    def __call__(self, x: torch.Tensor, level: float) -> Answer:
        """The answer to x [B, ...] at noise level ``level``, which is sigma for every image."""
        raise NotImplementedError

    def some(self, images: Sequence[int]) -> Model:
        """The model for some images of the batch, by index."""
        return self

    def alone(self, image: int) -> Model:
        """The model for one image of the batch, which is run from the start by itself."""
        return self.some([image])


class Function(Model):
    """A plain function (x [B, ...], sigma [B]) -> D, or (D, U), as a model."""

    def __init__(self, function: Denoise) -> None:
        self.function = function

    def __call__(self, x: torch.Tensor, level: float) -> Answer:
        answer = self.function(x, x.new_full((x.shape[0],), level))
        return Answer(*answer) if isinstance(answer, tuple) else Answer(answer)
