"""A latent at another size, for methods that let it grow on the way."""

from __future__ import annotations

from collections.abc import Callable

import torch

# A latent [B, C, ..., H, W] at another (H, W).
Resize = Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]


def interpolation(method: str) -> Resize:
    """torch's interpolation by name; every channel, and of a video every frame, by itself.

    Raises ValueError, when it is used, for ComfyUI's own bislerp.
    """

    def resize(x: torch.Tensor, extent: tuple[int, int]) -> torch.Tensor:
        if method == "bislerp":
            raise ValueError("upscale_method 'bislerp' needs ComfyUI; here choose bilinear or area")
        planes = x.flatten(1, -3)
        out: torch.Tensor = torch.nn.functional.interpolate(planes, size=extent, mode=method)
        return out.reshape(*x.shape[:-2], *extent)

    return resize
