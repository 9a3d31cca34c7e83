"""Dynamic thresholding: large values of the answer cut off and scaled back, image by image."""

from __future__ import annotations

import math

import torch

from ..registry import Options, option, option_set
from .call import Call, tiny


def quantile(values: torch.Tensor, p: float) -> torch.Tensor:
    """The p-quantile of each row [..., n], interpolated linearly; for rows of any length."""
    # torch.quantile sorts everything and refuses more than 2**24 values.
    n = values.shape[-1]
    place = p * (n - 1)
    below = min(math.floor(place), n - 1)
    low = values.kthvalue(below + 1, dim=-1).values
    if place == below:
        return low
    return torch.lerp(low, values.kthvalue(below + 2, dim=-1).values, place - below)


def threshold(denoised: torch.Tensor, percentile: float, limit: float) -> torch.Tensor:
    """``clip(D, -s, s) limit / s`` with s the percentile of ``|D|`` of the image, at least limit.

    Saharia et al. 2022, arXiv:2205.11487, section 2.3, where limit is 1, the range of pixels.
    """
    s = quantile(denoised.flatten(1).abs(), percentile).clamp_min(limit)
    s = s.reshape(-1, *[1] * (denoised.ndim - 1))
    return torch.clamp(denoised, -s, s) * (limit / s)


def mimic(
    denoised: torch.Tensor, cond: torch.Tensor, uncond: torch.Tensor, scale: float,
    percentile: float,
) -> torch.Tensor:
    """``denoised`` with each channel's range brought down to what the cfg ``scale`` would give.

    With R the plain guided answer at that cfg and m a channel's mean over its positions: r is the
    largest ``|R - m_R|``, g the percentile of ``|D - m_D|``, s the larger of both;
    ``m_D + clip(D - m_D, -s, s) r / s``. The dynamic thresholding of A1111's and ComfyUI's
    extension of that name (A. Goodwin, 2023), its channels apart, means zeroed, "MEAN" and "AD"
    off.
    """
    def centred(t: torch.Tensor) -> torch.Tensor:
        flat = t.flatten(2)
        return flat - flat.mean(-1, keepdim=True)

    d = centred(denoised)
    r = centred(torch.lerp(uncond, cond, scale)).abs().amax(-1, keepdim=True)
    s = torch.maximum(quantile(d.abs(), percentile).unsqueeze(-1), r).clamp_min(tiny(d))
    change = torch.clamp(d, -s, s) * (r / s) - d  # exactly 0 where nothing reaches beyond r
    return denoised + change.reshape(denoised.shape)


_SHARE = "share of the change; 0 is none, 1 is all of it"


@option_set
class Threshold(Options):
    """Dynamic thresholding by a percentile."""

    percentile: float = option(0.995, 0.5, 1.0, "share of an image's values that may stay as is")
    limit: float = option(
        1.0, 0.01, 100.0,
        "values up to here are never touched: 1 for pixels, more for latents (about 4 where their "
        "deviation is 1)",
    )
    strength: float = option(1.0, 0.0, 1.0, _SHARE)

    @property
    def neutral(self) -> bool:
        """Whether nothing of the change is taken."""
        return self.strength == 0

    def __call__(self, call: Call) -> torch.Tensor:
        """The answer so far, by the share ``strength`` changed by ``threshold``, [B, C, ...]."""
        d = call.denoised
        return torch.lerp(d, threshold(d, self.percentile, self.limit), self.strength)


@option_set
class Mimic(Options):
    """Dynamic thresholding to the range of a lower cfg. Where cfg is 1 it does nothing."""

    mimic_cfg: float = option(4.0, 0.0, 100.0, "the cfg whose range of values is kept")
    percentile: float = option(1.0, 0.5, 1.0, "share of a channel's values that are not cut off")
    strength: float = option(1.0, 0.0, 1.0, _SHARE)

    @property
    def neutral(self) -> bool:
        """Whether nothing of the change is taken."""
        return self.strength == 0

    def __call__(self, call: Call) -> torch.Tensor:
        """The answer so far, by the share ``strength`` changed by ``mimic``, [B, C, ...]."""
        d = call.denoised
        if call.uncond is None:
            return d
        changed = mimic(d, call.cond, call.uncond, self.mimic_cfg, self.percentile)
        return torch.lerp(d, changed, self.strength)
