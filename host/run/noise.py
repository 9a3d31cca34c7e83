"""Fresh noise of a run in the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import comfy.k_diffusion.sampling
import comfy.sample
import comfy.samplers
import torch

from ...engine.noise import Scaled
from ...engine.run import Noise
from ...engine.streams import Stream
from ...engine.table import Draw
from ...registry import Options
from ..lists.model import noise_scale_of, process_of, sampling_of

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
    size = x[0].numel() if count else 0
    if not isinstance(noise, torch.Tensor) or noise.shape != x.shape or size < _HEAD:
        return tuple(range(count))
    heads = noise.reshape(count, size)[:, :_HEAD].float().cpu()

    def draws(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float32)[..., :_HEAD]

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


_WINDOW = {"tau_start": 0.2, "tau_end": 0.8}  # SA-Solver's in the host, in parts of a run


def with_their_window(options: Options, model_sampling: Any) -> Options:
    """The options of a run on the host's stream: noise comes in the steps where the host's does.

    That is SA-Solver's window, 20 to 80 % of the model's own way, where nobody set another one.
    """
    known = options.OPTIONS
    if getattr(options, "noise", "") != "host" or not _WINDOW.keys() <= known.keys():
        return options
    if model_sampling is None:  # a wrapper hides it
        return options
    if any(getattr(options, name) != known[name].default for name in _WINDOW):
        return options
    ratio = process_of(model_sampling).ratio
    start, end = (ratio(float(model_sampling.percent_to_sigma(p))) for p in _WINDOW.values())
    # A level on the window's edge is inside, whatever the last digit of a ratio.
    return replace(options, tau_start=min(start * (1 + 1e-12), 1e6), tau_end=end * (1 - 1e-12))


# Samplers for which the host draws a fixed number of times in every step, used or not.
_A_STEP = {"seeds_2": 2, "seeds_3": 3, "exp_heun_2_x0_sde": 2}


class Spares(NamedTuple):
    """The host's draws that a sampler of ours has no use for, and passes over.

    levels: the run's, falling. count: draws of each step. last: which of them is the one that ends
    a step; the others come in order.
    """

    levels: tuple[float, ...]
    count: int
    last: int

    @classmethod
    def of(cls, sampler: str, options: Options, levels: Sequence[float]) -> Spares | None:
        """Those of a run; None where every draw is used.

        The host draws for each part of a step between two model calls, and adds all. From sigma 1
        of a flow model nothing but the last part's is left. Where the second call is at the step's
        end (r 1), no time is left after it and the draw for that is multiplied by 0.
        """
        if sampler not in _A_STEP:
            return None
        count = _A_STEP[sampler]
        return cls(tuple(levels), count, 0 if getattr(options, "r", 0.5) == 1 else count - 1)

    def place(self, draw: Draw, drawn: int) -> int:
        """Which of the run's draws is ``draw``, after ``drawn`` ones."""
        step = min(sum(level >= draw.start for level in self.levels), len(self.levels) - 1) - 1
        first = self.count * step
        ends = draw.end <= self.levels[step + 1]
        return first + self.last if ends else max(first, drawn)


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
    each image. spares: see there.
    """

    whose = "noise 'host'"

    def __init__(
        self, x: torch.Tensor, sigmas: torch.Tensor, seed: int | list[int], brownian: bool,
        on_device: bool, spares: Spares | None = None,
    ) -> None:
        self.spares, self.drawn = spares, 0
        functions = comfy.k_diffusion.sampling  # looked up now: other packs reload this module
        if brownian:
            low, high = sigmas[sigmas > 0].min(), sigmas.max()
            super().__init__(functions.BrownianTreeNoiseSampler(
                x, low, high, seed=seed, cpu=not on_device
            ))
        else:
            super().__init__(functions.default_noise_sampler(x, seed=seed))

    def fresh(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        """The host's draw for the interval; those that nobody uses are drawn before it."""
        start, end = like.new_tensor(draw.start), like.new_tensor(draw.end)
        place = self.drawn if self.spares is None else self.spares.place(draw, self.drawn)
        while self.drawn < place:
            self.stream(start, end)
            self.drawn += 1
        self.drawn += 1
        return self.stream(start, end)
