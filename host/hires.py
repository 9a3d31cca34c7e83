"""The second pass of a "hires fix": a finished latent made larger, and sampled again.

The rules are A1111's: the run keeps its number of steps at any denoise (the schedule is planned
for ``int(steps / denoise)`` and its end is taken), its noise is drawn anew from the first pass's
seeds, and what is not chosen is the first pass's. What that was stands in the latent
(``latents.Record``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import comfy.utils
import torch

from ..registry import shown
from . import latents
from .asked import Asked
from .choice import DISTILLED, Wishes, choose, wishes
from .latents import Record
from .lists.model import ratio_of
from .sampling import ksample

SAME = "use same"
IN_LATENT = ("bilinear", "nearest-exact", "area", "bicubic", "bislerp")
METHODS = (*IN_LATENT, "lanczos")  # the last one is for pictures only

@dataclass(frozen=True)
class Size:
    """How large the second pass is: ``by`` times the first; or, where one is not 0, pixels.

    With a width or a height alone the other follows; with both, what the new shape has no room
    for is cut off evenly at the sides.
    """

    by: float = 2.0
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Settings:
    """What the second pass is asked for; SAME, 0 and None stand for the first pass's.

    held: connected options. distilled: see ``choice.choose``.
    """

    sampler: str = SAME
    schedule: str = SAME
    steps: int = 0
    cfg: float = 0.0
    seed: int | None = None
    denoise: float = 0.7
    held: Wishes | None = None
    distilled: str = DISTILLED[0]


def second_pass(
    model: Any, latent: dict[str, Any], positive: Any, negative: Any, settings: Settings,
    size: Size = Size(), method: str = IN_LATENT[0], vae: Any = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Enlarge ``latent`` and sample it: returns (LATENT, report) as ``ksample`` does.

    vae: enlarge the picture instead of the latent. Raises ValueError where a setting is to be the
    first pass's and the latent has no record of one.
    """
    asked = _asked(model, latents.checked(latent), settings)
    large = enlarge(model, latent, size, method, vae)
    before, after = _extent(latent["samples"]), _extent(large["samples"])
    choice = asked.choice
    notes = [
        f"latent {before[1]} x {before[0]} to {after[1]} x {after[0]}: {choice.sampler.called} on "
        f"{choice.schedule.called}, cfg {asked.cfg:g}, seed {asked.seed}", *choice.notes,
    ]
    if latents.stopped_in(latent):
        notes.append("warning: the first pass stopped early, its latent still holds noise")
    asked = replace(asked, choice=replace(choice, notes=tuple(notes)))
    return ksample(model, asked, positive, negative, large)


def _asked(model: Any, latent: dict[str, Any], settings: Settings) -> Asked:
    """The second pass's run, with the first pass's settings filled in.

    The first pass's sampler and schedule come with the options that they had there, unless this
    node was given other ones.
    """
    given = {
        "sampler": settings.sampler != SAME, "schedule": settings.schedule != SAME,
        "steps": settings.steps > 0, "cfg": settings.cfg > 0, "seed": settings.seed is not None,
    }
    first = latents.record_in(latent)
    held = wishes(settings.held)
    if first is None:
        if missing := [name for name, is_given in given.items() if not is_given]:
            raise ValueError(
                f"the latent does not tell how it was made, so {' and '.join(missing)} cannot be "
                "the first pass's: connect the latent of a KSampler (Stride) (a VAE or a file in "
                "between drops its record), or choose sampler and schedule by hand, steps and cfg "
                "above 0, and seed_from 'new_seed'"
            )
        first = Record(0, 0, 0.0, None)
    names = {kind: getattr(settings, kind) for kind in ("sampler", "schedule")}
    for kind in names:
        if not given[kind]:
            theirs = getattr(first.choice, kind)
            names[kind] = theirs.called
            if getattr(held, kind) is None:
                held = replace(held, **{kind: theirs})
    theirs = held.a1111 or (first.choice and first.choice.a1111)
    if theirs:  # there all steps are run, whatever denoise is
        held = replace(held, a1111=replace(theirs, fixed_steps=True))
    steps, cfg = settings.steps or first.steps, settings.cfg or first.cfg
    choice = choose(
        model, steps, cfg, **names, held=held, distilled=settings.distilled,
        denoise=settings.denoise,
    )
    seed = first.seed if settings.seed is None else settings.seed
    return Asked(seed, steps, cfg, choice, settings.denoise)


def enlarge(
    model: Any, latent: dict[str, Any], size: Size, method: str, vae: Any = None
) -> dict[str, Any]:
    """The LATENT at its new size; of a video [B, C, T, H, W] every frame.

    Its mask needs no scaling, since the host fits any mask to the latent that it samples, and is
    only cut where the picture is.
    """
    samples = latent["samples"]
    if samples.is_nested or samples.ndim < 4 or latent.get("type") == "audio":
        raise ValueError(
            "a latent of pictures [batch, channels, height, width] or of a video [batch, "
            "channels, frames, height, width] can be enlarged, this is another kind"
        )
    if method not in (METHODS if vae is not None else IN_LATENT):
        raise ValueError(
            f"upscale_method {shown(method)} is for pictures: connect a vae, or choose one of "
            f"{', '.join(IN_LATENT)}"
        )
    extent = _target(model, samples, size)
    margins = _margins(samples, extent) if size.width and size.height else (0.0, 0.0)
    out = {key: value for key, value in latent.items() if key != latents.STOPPED}
    if vae is None:
        out["samples"] = scale(_cut(samples, margins), extent, method)
    else:
        out["samples"] = _through_pictures(vae, samples, extent, margins, method)
    if out.get("noise_mask") is not None:
        out["noise_mask"] = _cut(out["noise_mask"], margins)
    return out


def scale(tensor: torch.Tensor, extent: tuple[int, int], method: str) -> torch.Tensor:
    """The last two axes of [B, C, ..., H, W] scaled to (height, width) by the host."""
    return comfy.utils.common_upscale(tensor, extent[1], extent[0], method, "disabled")


def _through_pictures(
    vae: Any, samples: torch.Tensor, extent: tuple[int, int], margins: tuple[float, float],
    method: str,
) -> torch.Tensor:
    """Decoded, scaled and encoded again; ``extent`` is that of the latent."""
    pictures = vae.decode(samples).movedim(-1, 1)  # [B, 3, H, W], of a video [B, 3, T, H, W]
    ratio = [pixels // cells for pixels, cells in zip(_extent(pictures), _extent(samples))]
    pixels = extent[0] * ratio[0], extent[1] * ratio[1]
    large = scale(_cut(pictures, margins), pixels, method).movedim(1, -1)
    # The host encodes pictures as one batch, but one video at a time.
    encoded = vae.encode(large) if large.ndim == 4 else torch.cat([vae.encode(v) for v in large])
    expected = (*samples.shape[:-2], *extent)
    if encoded.shape != expected:
        raise ValueError(
            f"the vae made a latent {list(encoded.shape)} of the enlarged picture, expected "
            f"{list(expected)}: is it the model's own?"
        )
    return encoded


def _extent(tensor: torch.Tensor) -> tuple[int, int]:
    return tensor.shape[-2], tensor.shape[-1]


def _target(model: Any, samples: torch.Tensor, size: Size) -> tuple[int, int]:
    """(height, width) of the enlarged latent."""
    height, width = _extent(samples)
    if not (size.width or size.height):
        return max(round(height * size.by), 1), max(round(width * size.by), 1)
    ratio = ratio_of(model)
    wide, high = size.width // ratio, size.height // ratio
    if not size.height:
        high = round(height * wide / width)
    if not size.width:
        wide = round(width * high / height)
    if min(wide, high) < 1:
        raise ValueError(
            f"a picture of {size.width} x {size.height} is too small: the model's latent has one "
            f"pixel for {ratio} x {ratio}"
        )
    return high, wide


def _margins(samples: torch.Tensor, extent: tuple[int, int]) -> tuple[float, float]:
    """What is cut off at either end of height and width, as a share of it, to get the new shape."""
    old, new = (size[1] / size[0] for size in (_extent(samples), extent))
    return max(1 - old / new, 0.0) / 2, max(1 - new / old, 0.0) / 2


def _cut(tensor: torch.Tensor, margins: tuple[float, float]) -> torch.Tensor:
    """The middle of the last two axes."""
    for axis, share in zip((-2, -1), margins):
        edge = round(tensor.shape[axis] * share)
        tensor = tensor.narrow(axis, edge, tensor.shape[axis] - 2 * edge)
    return tensor
