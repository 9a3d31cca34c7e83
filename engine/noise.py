"""Fresh noise as a pure function of (seed, image, interval of sigma): no stream, no global state.

The generator is Philox4x64 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3")
with the seed and the image as its key and the interval in its counter, so two different names
never share a draw, and the order in which noise is asked for cannot matter. Its 16-bit words
index a table of the normal quantiles: a Gaussian of 65 536 levels, cut at 4.3 standard
deviations, the same bits on every machine.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .table import Draw

if TYPE_CHECKING:
    from .run import Noise

KEYED = ("independent", "path")  # what the option noise calls the sources of this file
_WORD = 0xFFFFFFFFFFFFFFFF
_NODE = 1 << 63  # marks the counters of the path's tree


@cache
def _quantiles() -> torch.Tensor:
    """The normal quantiles of (i + 1/2) / 65536, scaled to a variance of exactly 1."""
    middle = (torch.arange(65536, dtype=torch.float64) + 0.5) / 65536
    values = torch.special.ndtri(middle)
    return (values / values.square().mean().sqrt()).float()


def _bits(value: float) -> int:
    """The 64 bits of a float64."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    return int(bits)


class KeyedNoise:
    """Independent unit Gaussian noise for one run: every draw is a fresh one.

    seed: any int, used modulo 2**64. images: the index that each image of the batch has in the
    seed's batch; image 2 drawn alone gets the noise of image 2 of a larger batch.
    """

    def __init__(self, seed: int, images: Sequence[int]) -> None:
        self.seed = int(seed) & _WORD
        self.images = [*map(int, images)]

    def of(self, k: int) -> KeyedNoise:
        """The noise of image k of the batch alone."""
        return KeyedNoise(self.seed, [self.images[k]])

    def __call__(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Noise shaped, placed and typed like ``like`` [images, ...] for ``draw``'s interval.

        It is drawn on the CPU in float32 whatever the device, so that all devices agree.
        """
        counter = (0, draw.index, _bits(draw.start), _bits(draw.end))
        return self.normals(like.shape, counter).to(device=like.device, dtype=like.dtype)

    def normals(self, shape: Sequence[int], counter: tuple[int, int, int, int]) -> torch.Tensor:
        """float32 unit normals [images, ...] on the CPU for one counter."""
        if shape[0] != len(self.images):
            raise ValueError(
                f"noise for {len(self.images)} images was asked to fill a batch of {shape[0]}"
            )
        count = math.prod(shape[1:])
        index = np.empty((len(self.images), count), dtype=np.int32)
        for image, out in zip(self.images, index):
            key = np.array([self.seed, image & _WORD], dtype=np.uint64)
            philox = np.random.Philox(counter=np.array(counter, dtype=np.uint64), key=key)
            out[:] = philox.random_raw(-(-count // 4)).view(np.uint16)[:count]
        return _quantiles().index_select(0, torch.from_numpy(index).view(-1)).view(tuple(shape))


class PathNoise:
    """Increments of one Brownian path in log2(sigma): the same path at every step count.

    The path W over 2**-32 <= sigma <= 2**32 is Levy's dyadic construction, written as a sum of
    tents: one normal for each dyadic interval that holds the query, times the tent's height there.
    It is linear below 2**-10 octaves. Where a run asks for it does not change it: the increments
    over two halves of an interval sum to that of the whole. The normals of the intervals around
    the last query are kept, so a walk down in sigma costs about ten draws of normals a step.
    Intervals that go up, and repeated ones, are independent draws.

    seed, images: as for ``KeyedNoise``.
    """

    HALF, DEPTH = 32.0, 16  # log2(sigma) is within +-HALF; the tree has DEPTH levels
    LEAVES = 1 << DEPTH
    WIDTH = 2.0 * HALF / LEAVES  # of a leaf, in octaves

    def __init__(self, seed: int, images: Sequence[int]) -> None:
        self.independent = KeyedNoise(seed, images)
        self._nodes: dict[int, tuple[int, torch.Tensor]] = {}  # by level: place, its normals
        self._known: dict[float, torch.Tensor] = {}  # W at the ends of the last interval

    def of(self, k: int) -> PathNoise:
        """The noise of image k of the batch alone."""
        return PathNoise(self.independent.seed, [self.independent.images[k]])

    def __call__(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Unit noise like ``like`` [images, ...]: W's increment over the standard deviation."""
        if not draw.start > draw.end > 0 or draw.index:
            return self.independent(like, draw)
        std = math.sqrt(self.variance(draw.start, draw.end))
        if std == 0:  # two levels that float64 cannot tell apart in log2, or beyond the tree
            return self.independent(like, draw)
        step = self.increment(like, draw.start, draw.end).mul_(1.0 / std)
        return step.to(device=like.device, dtype=like.dtype)

    def increment(self, like: torch.Tensor, start: float, end: float) -> torch.Tensor:
        """W(end) - W(start), float32 on the CPU, before any scaling."""
        known = {}
        for sigma in (start, end):
            value = self._known.get(sigma)
            if value is None or value.shape != like.shape:
                value = self._at(like.shape, sigma)
            known[sigma] = value
        self._known = known
        return known[end] - known[start]

    def variance(self, start: float, end: float) -> float:
        """The variance of W(end) - W(start), in octaves; exact, the linear leaves included."""
        (top, f), (bottom, g) = self._leaf(start), self._leaf(end)
        if top == bottom:
            return (f - g) ** 2 * self.WIDTH
        return (f**2 + (top - bottom - 1) + (1 - g) ** 2) * self.WIDTH

    def _leaf(self, sigma: float) -> tuple[int, float]:
        """The leaf that holds sigma, and where in it (0 to 1)."""
        place = (math.log2(sigma) + self.HALF) / self.WIDTH
        leaf = min(max(math.floor(place), 0), self.LEAVES - 1)
        return leaf, min(max(place - leaf, 0.0), 1.0)

    def _at(self, shape: torch.Size, sigma: float) -> torch.Tensor:
        """W(sigma): the straight line to the root's end, plus one tent a level."""
        leaf, fraction = self._leaf(sigma)
        place, whole = leaf + fraction, math.sqrt(2.0 * self.HALF)
        # (level, place in it, weight); level 0 is the root's end.
        tents = [(0, 1, whole * place / self.LEAVES)]
        for level in range(self.DEPTH):
            size = 2 ** (self.DEPTH - level)
            inside = place - leaf // size * size
            height = min(inside, size - inside) / size * math.sqrt(2.0**-level)
            if height:
                tents.append((level + 1, leaf // size, whole * height))
        out = torch.zeros(shape, dtype=torch.float32)
        for level, interval, weight in tents:
            held, normals = self._nodes.get(level, (None, None))
            if normals is None or held != interval or normals.shape != shape:
                counter = (0, _NODE | level, interval, 0)
                normals = self.independent.normals(shape, counter)
                self._nodes[level] = interval, normals
            out.add_(normals, alpha=weight)
        return out


class Scaled:
    """Another source's noise, ``scale`` times as strong: for models trained on stronger noise."""

    def __init__(self, noise: Noise, scale: float) -> None:
        self.noise, self.scale = noise, scale

    def of(self, k: int) -> Scaled:
        """The noise of image k of the batch alone."""
        return Scaled(self.noise.of(k), self.scale)

    def __call__(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Noise of standard deviation ``scale`` like ``like`` [images, ...]."""
        return self.noise(like, draw) * self.scale


class Clipped:
    """Another source's noise, cut at ``times`` its own standard deviation.

    together: that of the whole batch, as the host takes it; else of each image.
    """

    def __init__(self, noise: Noise, times: float, together: bool = False) -> None:
        self.noise, self.times, self.together = noise, times, together

    def of(self, k: int) -> Clipped:
        """The noise of image k of the batch alone."""
        return Clipped(self.noise.of(k), self.times, self.together)

    def __call__(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        """The noise like ``like`` [images, ...], no value beyond the cut."""
        drawn = self.noise(like, draw)
        axes = [*range(0 if self.together else 1, drawn.ndim)]
        limit = self.times * drawn.std(axes, keepdim=True)
        return drawn.clamp(-limit, limit)


def source(
    options: Any, seed: int, images: Sequence[int], brownian: bool = False
) -> Noise:
    """The fresh noise that a sampler's ``options`` ask for, independent draws if they do not.

    brownian: whether A1111 and the host draw this sampler's noise from a Brownian tree.
    """
    noise = _stream(options, seed, images, brownian)
    clip = getattr(options, "noise_clip_std", 0.0)
    return Clipped(noise, clip) if clip else noise


def _stream(options: Any, seed: int, images: Sequence[int], brownian: bool) -> Noise:
    """``source`` before any cut."""
    kind = getattr(options, "noise", KEYED[0])
    if kind in KEYED:
        return (PathNoise if kind == "path" else KeyedNoise)(seed, images)
    from .streams import GENERATORS, A1111Noise  # other programs' noise, for who asks for it

    if kind not in GENERATORS:
        raise ValueError(
            f"noise '{kind}' needs ComfyUI; here there are independent, path, "
            + ", ".join(GENERATORS)
        )
    if brownian:
        raise ValueError(
            f"noise '{kind}' of this sampler is a Brownian tree of torchsde in A1111; in ComfyUI "
            "'a1111' gives it, elsewhere take 'path' or 'independent'"
        )
    return A1111Noise(kind, seed, images, options.ensd)
