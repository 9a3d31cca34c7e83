"""Fresh noise as a pure function of (seed, image, sigma): no stream, no global state.

The generator is Philox4x64 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3")
with the seed and the image as its key and sigma's bits in its counter, so two different
triples can never share a draw, and the order in which noise is asked for cannot matter.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import torch

_WORD = 0xFFFFFFFFFFFFFFFF


class KeyedNoise:
    """Unit Gaussian noise for one run.

    seed: any int, used modulo 2**64. images: the index that each image of the batch has in the
    seed's batch; image 2 drawn alone gets the noise of image 2 of a larger batch.
    """

    def __init__(self, seed: int, images: Sequence[int]) -> None:
        self.seed = int(seed) & _WORD
        self.images = [int(i) for i in images]

    def __call__(self, like: torch.Tensor, sigma: float) -> torch.Tensor:
        """Noise shaped, placed and typed like ``like`` [images, ...] for arrival at ``sigma``.

        It is drawn on the CPU in float32 whatever the device, so that all devices agree.
        """
        if like.shape[0] != len(self.images):
            raise ValueError(
                f"noise for {len(self.images)} images was asked to fill a batch of {like.shape[0]}"
            )
        bits = struct.unpack("<Q", struct.pack("<d", sigma))[0]
        draws = np.empty(tuple(like.shape), dtype=np.float32)
        for image, out in zip(self.images, draws):
            key = np.array([self.seed, image & _WORD], dtype=np.uint64)
            counter = np.array([0, 0, 0, bits], dtype=np.uint64)
            philox = np.random.Generator(np.random.Philox(counter=counter, key=key))
            philox.standard_normal(dtype=np.float32, out=out)
        return torch.from_numpy(draws).to(device=like.device, dtype=like.dtype)
