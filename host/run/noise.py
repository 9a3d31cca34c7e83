"""Fresh noise of a run in the host."""

from __future__ import annotations

import comfy.k_diffusion.sampling
import torch

from ...engine.run import Noise
from ...engine.streams import Stream
from ...engine.table import Draw


class _Refused:
    """The noise of one image of a batch, which the host's stream has not."""

    def __call__(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        raise ValueError(
            "noise 'host' is drawn for a whole batch, and this sampler takes its images one "
            "by one; choose another noise, or a batch of one"
        )

    def of(self, k: int) -> Noise:
        return self


class HostNoise(Stream):
    """The host's own stream of fresh noise, for pictures that were made with it.

    One generator, or one Brownian tree, for the whole batch: drawn in order, so it depends on
    batch size and on where a run is cut, as the host's does. A list of seeds makes one tree for
    each image.
    """

    def __init__(
        self, x: torch.Tensor, sigmas: torch.Tensor, seed: int | list[int], brownian: bool,
        on_device: bool,
    ) -> None:
        super().__init__()
        functions = comfy.k_diffusion.sampling  # looked up now: other packs reload this module
        if brownian:
            low, high = sigmas[sigmas > 0].min(), sigmas.max()
            self.stream = functions.BrownianTreeNoiseSampler(
                x, low, high, seed=seed, cpu=not on_device
            )
        else:
            self.stream = functions.default_noise_sampler(x, seed=seed)

    def of(self, k: int) -> Noise:
        """There is no noise for one image of a batch; a run without fresh noise never asks."""
        return _Refused()

    def fresh(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        return self.stream(like.new_tensor(draw.start), like.new_tensor(draw.end))
