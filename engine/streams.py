"""Noise that is drawn in order from a stream.

A1111 webui draws for image i from a generator of its own, seeded with seed + i: first the initial
noise, then one draw for every time that the sampler adds noise. With an eta noise seed delta
(ENSD) the generators are made anew after the initial noise, with seed + i + ENSD.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from .table import Draw

_SEEDS = 1 << 64
_CELL = 2.0**-32
_TURN = float(np.float32(2.0 * math.pi))


class Stream:
    """Draws of a stream by name: a name that comes again soon is the same noise, not a new draw.

    Draws come in the order in which a run asks for them, so they depend on where it is cut.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[float, float, int], torch.Tensor] = {}

    def __call__(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Noise shaped, placed and typed like ``like`` [images, ...]."""
        name = draw[1:]
        if name not in self._last:
            fresh = self.fresh(like, draw).to(device=like.device, dtype=like.dtype)
            self._last = dict([*self._last.items()][-3:]) | {name: fresh}
        return self._last[name]

    def fresh(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        """The stream's next draw."""
        raise NotImplementedError


class CpuGenerator:
    """torch's generator on the CPU: A1111 with "Random number generator source: CPU"."""

    def __init__(self, seed: int) -> None:
        self._torch = torch.Generator().manual_seed(seed % _SEEDS)

    def draw(self, shape: Sequence[int]) -> torch.Tensor:
        """The next float32 normals of that shape."""
        return torch.randn(tuple(shape), generator=self._torch, dtype=torch.float32)


class NvGenerator:
    """The normals of torch on an NVIDIA GPU, on any device: A1111 with source "NV".

    Element i of draw t is Philox4x32-10 at counter (t, 0, i, 0) with the seed as its key; its
    first two words make one normal by Box and Muller.
    """

    def __init__(self, seed: int) -> None:
        self._key, self._draws = seed % _SEEDS, 0

    def draw(self, shape: Sequence[int]) -> torch.Tensor:
        """The next float32 normals of that shape."""
        counter = np.zeros((4, math.prod(shape)), dtype=np.uint32)
        counter[0], counter[2] = self._draws, np.arange(counter.shape[1])
        self._draws += 1
        first, second = philox_4x32(counter, self._key)[:2]
        # Words to the middle of their 2**32 cells, so that no logarithm of 0 is taken. A1111 has
        # the cell's size and 2 pi in float32 and computes with them in float64.
        u = (first + 0.5) * _CELL
        v = (second + 0.5) * (_CELL * _TURN)
        normals = np.sqrt(-2.0 * np.log(u)) * np.sin(v)
        return torch.from_numpy(normals.astype(np.float32)).view(*shape)


def philox_4x32(counter: np.ndarray, key: int) -> np.ndarray:
    """Ten rounds of Philox4x32 on uint32 counters [4, n] with one 64-bit key, low word first.

    Salmon et al. 2011, doi:10.1145/2063384.2063405, section 3.3.
    """
    a, b, c, d = counter.astype(np.uint64)
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for r in range(10):
        keys = [np.uint64(((key >> s) + r * w) & 0xFFFFFFFF) for s, w in (
            (0, 0x9E3779B9), (32, 0xBB67AE85)  # the golden ratio and sqrt(3) - 1, times 2**32
        )]
        p, q = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (q >> shift) ^ b ^ keys[0], q & low, (p >> shift) ^ d ^ keys[1], p & low
    return np.stack([a, b, c, d]).astype(np.uint32)


Generator = CpuGenerator | NvGenerator
GENERATORS: dict[str, type[Generator]] = {"a1111": CpuGenerator, "a1111_nv": NvGenerator}


class Start(NamedTuple):
    """What A1111 mixes into the initial noise, beside the seed's own.

    subseed, strength: the variation seed, and how much of its noise (0..1); from a strength on,
    all images of a batch share the seed and differ in the variation seed. size: (height, width)
    that the noise is drawn for and then put in the middle of the picture's own; None: the same.
    """

    subseed: int = 0
    strength: float = 0.0
    size: tuple[int, int] | None = None


PLAIN = Start()


class A1111Noise(Stream):
    """A1111's noise for one run. kind: "a1111" or "a1111_nv". images: see ``KeyedNoise``.

    levels: of a sampler for which A1111 draws at every step, used or not, the level that each step
    starts from; draws that this run does not ask for are then passed over.
    """

    def __init__(
        self, kind: str, seed: int, images: Sequence[int], ensd: int = 0,
        start: Start = PLAIN, levels: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.kind, self.seed, self.images, self.ensd = kind, seed, list(images), ensd
        self.start, self.levels = start, list(levels)
        self._generators: list[Generator] = []
        self._drawn = 0

    def of(self, k: int) -> A1111Noise:
        """The noise of image k of the batch alone."""
        return A1111Noise(
            self.kind, self.seed, [self.images[k]], self.ensd, self.start, self.levels
        )

    @property
    def seeds(self) -> list[int]:
        """The seed of each image."""
        return [self.seed + (0 if self.start.strength else image) for image in self.images]

    def first(self, shape: Sequence[int]) -> torch.Tensor:
        """The initial noise [images, ...], float32 on the CPU; later draws follow it."""
        self._seeded(0)
        size = self.start.size or tuple(shape[-2:])
        if size == tuple(shape[-2:]):
            noise = self._varied(self._draw(shape))
        else:
            small = [GENERATORS[self.kind](seed).draw((*shape[1:-2], *size)) for seed in self.seeds]
            noise = _centred(self._varied(torch.stack(small)), self._draw(shape))
        if self.ensd:
            self._seeded(self.ensd)
        return noise

    def fresh(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        """The next draw; the initial noise is taken as drawn, by us or by the host."""
        if not self._generators:
            self.first(like.shape)
        step = self._drawn
        if self.levels:
            step = min(range(len(self.levels)), key=lambda k: abs(self.levels[k] - draw.start))
        while self._drawn < step:
            self._draw(like.shape)
            self._drawn += 1
        self._drawn += 1
        return self._draw(like.shape)

    def _seeded(self, delta: int) -> None:
        self._generators = [GENERATORS[self.kind](seed + delta) for seed in self.seeds]

    def _draw(self, shape: Sequence[int]) -> torch.Tensor:
        if shape[0] != len(self.images):
            raise ValueError(
                f"noise for {len(self.images)} images was asked to fill a batch of {shape[0]}"
            )
        return torch.stack([generator.draw(shape[1:]) for generator in self._generators])

    def _varied(self, noise: torch.Tensor) -> torch.Tensor:
        if not self.start.strength:
            return noise
        others = (GENERATORS[self.kind](self.start.subseed + image) for image in self.images)
        return torch.stack([
            slerp(self.start.strength, a, other.draw(a.shape)) for a, other in zip(noise, others)
        ])


def slerp(part: float, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Spherical interpolation from a to b [channels, height, ...], as A1111 does it.

    Each line along the height is a vector by itself. Where they hardly differ the weights are
    the other way round, as there.
    """
    along: torch.Tensor = a / a.norm(dim=1, keepdim=True) * (b / b.norm(dim=1, keepdim=True))
    cosine = along.sum(1)
    if cosine.mean() > 0.9995:
        return a * part + b * (1.0 - part)
    angle = cosine.acos().unsqueeze(1)
    sine = angle.sin()
    return ((1.0 - part) * angle).sin() / sine * a + (part * angle).sin() / sine * b


def _centred(noise: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
    """``noise`` [..., h, w] in the middle of ``ground``, cut where it is the larger one."""
    to, of = [], []
    for size, full in zip(noise.shape[-2:], ground.shape[-2:]):
        offset = (full - size) // 2  # an odd one is rounded down, also where it is negative
        count = size + min(2 * offset, 0)
        to.append(slice(max(offset, 0), max(offset, 0) + count))
        of.append(slice(max(-offset, 0), max(-offset, 0) + count))
    ground[..., to[0], to[1]] = noise[..., of[0], of[1]]
    return ground
