"""Fresh noise of a run in the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.k_diffusion.sampling
import comfy.sample
import comfy.samplers
import torch

from ...engine.noise import Scaled
from ...engine.run import Noise
from ...engine.streams import Stream
from ...engine.table import Draw
from ..lists.model import noise_scale_of, sampling_of

NoiseSampler = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # k-diffusion's
_HEAD = 16  # values that torch's generator makes at once, and that tell two images apart
_SEARCHED = 64, 1 << 24  # images, and values in all, that are drawn to find an index


def images_of(host: Any, x: torch.Tensor, seed: int) -> tuple[int, ...]:
    """The index of each image of a run in its seed's batch, as its initial noise shows it.

    The host tells a sampler no index, but it draws the noise of image k of a batch behind that of
    the images before it. Where the noise is not to be seen, or was drawn otherwise, the images
    are those from 0 on. Reads a few values from the device, once, before the first step.
    """
    count, noise = x.shape[0], getattr(host, "noise", None)
    if not isinstance(noise, torch.Tensor) or noise.shape != x.shape or noise[0].numel() < _HEAD:
        return tuple(range(count))
    size = noise[0].numel()
    heads = noise.reshape(count, size)[:, :_HEAD].float().cpu()

    def draws(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)[..., :_HEAD]

    generator = torch.Generator().manual_seed(seed)
    if not heads.any() or torch.equal(heads, draws(count, size if count > 1 else _HEAD)):
        return tuple(range(count))
    generator.manual_seed(seed)
    found: dict[int, int] = {}
    for k in range(min(_SEARCHED[0], _SEARCHED[1] // size)):
        same = (heads == draws(1, size)).all(1)
        found.update((row, k) for row in same.nonzero().flatten().tolist())
        if len(found) == count:
            return tuple(found[row] for row in range(count))
    return tuple(range(count))


def trained(noise: Noise, host: Any) -> Noise:
    """``noise`` as strong as the model was trained on it. host: what a sampler function is given.

    The host does the same to the initial noise, and within its own samplers to most fresh noise.
    """
    scale = noise_scale_of(sampling_of(host))  # 1 where a wrapper hides it
    return noise if scale == 1 else Scaled(noise, scale)


def of_the_kept(
    sampler: str, noise: torch.Tensor, seed: int, images: tuple[int, ...]
) -> torch.Tensor:
    """The noise of what a mask keeps, like ``noise`` [B, ...], the run's own.

    The host has other noise there than the run's for the samplers that it says so of: ``ddim``.
    images: their indices. As in the host, the global generator is left where the draw ends.
    """
    known = comfy.samplers.SAMPLER_NAMES
    theirs = comfy.samplers.sampler_object(sampler) if sampler in known else None
    if not getattr(theirs, "inpaint_options", {}).get("random", False):
        return noise
    several = None if images == tuple(range(len(images))) else images  # else all at once
    drawn: torch.Tensor = comfy.sample.prepare_noise(noise, seed + 1, several)
    return drawn.to(noise.device)


class _Refused:
    """The noise of one image of a batch, which a stream for all of them has not."""

    def __init__(self, whose: str) -> None:
        self.whose = whose

    def __call__(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        raise ValueError(
            f"{self.whose} is drawn for a whole batch, and this sampler takes its images one by "
            "one; choose another noise, or a batch of one"
        )

    def of(self, k: int) -> Noise:
        return self


class GivenNoise(Stream):
    """What the caller of a sampler function draws: (sigma, sigma_next) -> unit noise [B, ...]."""

    whose = "the noise_sampler that another pack gave"

    def __init__(self, stream: NoiseSampler) -> None:
        super().__init__()
        self.stream = stream

    def of(self, k: int) -> Noise:
        """There is no noise for one image of a batch; a run without fresh noise never asks."""
        return _Refused(self.whose)

    def fresh(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        """The caller's next draw for the interval."""
        return self.stream(like.new_tensor(draw.start), like.new_tensor(draw.end))


class HostNoise(GivenNoise):
    """The host's own stream of fresh noise, for pictures that were made with it.

    One generator, or one Brownian tree, for the whole batch: drawn in order, so it depends on
    batch size and on where a run is cut, as the host's does. A list of seeds makes one tree for
    each image.
    """

    whose = "noise 'host'"

    def __init__(
        self, x: torch.Tensor, sigmas: torch.Tensor, seed: int | list[int], brownian: bool,
        on_device: bool,
    ) -> None:
        functions = comfy.k_diffusion.sampling  # looked up now: other packs reload this module
        if brownian:
            low, high = sigmas[sigmas > 0].min(), sigmas.max()
            super().__init__(functions.BrownianTreeNoiseSampler(
                x, low, high, seed=seed, cpu=not on_device
            ))
        else:
            super().__init__(functions.default_noise_sampler(x, seed=seed))
