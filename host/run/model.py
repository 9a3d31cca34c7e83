"""The host's model as our loop calls it, for the whole batch or for some images of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import comfy.conds
import comfy.model_management
import comfy.model_patcher
import torch

from ...engine.model import Answer, Model
from .swaps import Swap, swapped

# In the model options of a call: the images of the batch that are asked for, and sigma as a number.
IMAGES, LEVEL = "stride_images", "stride_level"
_POSITIVE, _NEGATIVE = "the positive prompt's answer", "the negative prompt's answer"
_MADE_FROM_HINT = ("cond_hint", "control_input", "extra_concat")  # what a control net keeps of it


def masked(extra: dict[str, Any]) -> bool:
    """Whether a call of the host's model keeps a part of the picture."""
    return extra.get("denoise_mask") is not None


def shows_what_is_kept(host: Any) -> bool:
    """Whether what a mask keeps can be seen: wrappers hand on no more than they know of."""
    return hasattr(host, "noise") and hasattr(host, "latent_image")


@dataclass
class Tally:
    """What the models of one run share.

    calls: how often the host's model was asked. negative: its last answer to the negative prompt,
    by the images that were asked for.
    """

    calls: int = 0
    negative: dict[tuple[int, ...] | None, torch.Tensor] = field(default_factory=dict)


class HostModel(Model):
    """D(x, sigma) from the model that the host hands to a sampler function.

    both: whether the answer to the negative prompt is wanted too, even at cfg 1 (CFG++). images:
    which of the batch are asked for; None: all. The host repeats or cuts whatever does not fit the
    batch it is asked for, so prompts, masks, control hints and inpainting latents that are given
    image by image have to be picked out: while it is asked it sees only those. Where a wrapper of
    another pack hides what a mask keeps, the whole batch is asked and the images taken out of its
    answer. batch: images in the run. Looks for the interrupt button before each call.
    """

    def __init__(
        self, host: Any, extra: dict[str, Any], batch: int, both: bool = False,
        tally: Tally | None = None, images: Sequence[int] | None = None, rewinds: bool = False,
    ) -> None:
        self._host, self._given, self._batch, self._both = host, extra, batch, both
        self._images = None if images is None else tuple(images)
        self._whole = images is not None and masked(extra) and not shows_what_is_kept(host)
        self.tally = tally or Tally()
        self._seen: dict[str, torch.Tensor] = {}
        self._swaps: list[Swap] = []
        self._rewinds = rewinds
        self._options = comfy.model_patcher.set_model_options_post_cfg_function(
            dict(extra.get("model_options") or {}), self._keep, disable_cfg1_optimization=both
        )
        self._extra = {**extra, "model_options": self._options}
        network = getattr(getattr(host, "inner_model", None), "inner_model", None)
        self.computes_in = getattr(network, "manual_cast_dtype", None) or (
            network.get_dtype() if hasattr(network, "get_dtype") else None
        )
        if self._images is not None and not self._whole:
            self._options[IMAGES] = self._images
            self._pick_images()

    def __call__(self, x: torch.Tensor, level: float) -> Answer:
        comfy.model_management.throw_exception_if_processing_interrupted()
        self.tally.calls += 1
        if self._rewinds:
            self._rewinds = False
            self._rewind()
        self._options[LEVEL] = level
        with swapped(self._swaps):
            d = self._answer(x, level)
        seen, self._seen = self._seen, {}
        uncond = self._uncond(seen.get(_NEGATIVE)) if self._both else None
        return Answer(d, uncond, tuple(seen.items()))

    def _answer(self, x: torch.Tensor, level: float) -> torch.Tensor:
        """What the host answers to x, in its own float32."""
        if not self._whole:
            sigma = x.new_full((x.shape[0],), level, dtype=torch.float32)
            return self._host(x.float(), sigma, **self._extra)
        rows = list(self._images)
        full = x[:1].float().repeat(self._batch, *[1] * (x.ndim - 1))
        full[rows] = x.float()
        d = self._host(full, full.new_full((self._batch,), level), **self._extra)
        self._seen = {part: answer[rows] for part, answer in self._seen.items()}
        return d[rows]

    def _uncond(self, answer: torch.Tensor | None) -> torch.Tensor:
        """U; of a call that a cache spared, the last one, as the host's samplers have it."""
        kept = self.tally.negative
        if answer is None:
            answer = kept.get(self._images)
        if answer is None and self._images is not None and None in kept:
            answer = kept[None][list(self._images)]
        if answer is None:
            raise ValueError(
                "CFG++ renoises with the model's answer to the negative prompt, and this run has "
                "none; use a guider with a negative prompt, or switch cfg_pp off"
            )
        kept[self._images] = answer
        return answer

    def some(self, images: Sequence[int]) -> HostModel:
        return self._of(images)

    def alone(self, image: int) -> HostModel:
        """The model for one image, from the first of the hooks' keyframes on."""
        return self._of([image], rewinds=True)

    def _of(self, images: Sequence[int], rewinds: bool = False) -> HostModel:
        return HostModel(
            self._host, self._given, self._batch, self._both, self.tally, images, rewinds
        )

    def _keep(self, args: dict[str, Any]) -> torch.Tensor:
        """The host's hook after guidance; it changes nothing."""
        for part, name in ((_POSITIVE, "cond"), (_NEGATIVE, "uncond")):
            if args.get(name) is not None and torch.is_tensor(args.get(f"{name}_denoised")):
                self._seen[part] = args[f"{name}_denoised"]
        return args["denoised"]

    @property
    def _guider(self) -> Any:
        return getattr(self._host, "inner_model", None)

    def _rewind(self) -> None:
        """Hooks' keyframes back to the first: the host only ever goes forward in them."""
        guider = self._guider
        groups = getattr(guider, "conds", {}).values()
        hooks = [hook for group in groups for cond in group or ()
                 for hook in getattr(cond.get("hooks"), "hooks", ())]
        for hook in hooks:
            hook.initialize_timesteps(guider.inner_model)
        if hooks:
            guider.model_patcher.clean_hooks()  # else weights stay those of the last keyframe

    def _pick_images(self) -> None:
        if isinstance(self._extra.get("denoise_mask"), torch.Tensor):
            self._extra["denoise_mask"] = self._pick(self._extra["denoise_mask"])
        self._swaps = [(self._host, name, self._pick(getattr(self._host, name)))
                       for name in ("noise", "latent_image")
                       if isinstance(getattr(self._host, name, None), torch.Tensor)]
        guider = self._guider
        if isinstance(getattr(guider, "conds", None), dict):
            for cond in (c for group in guider.conds.values() for c in group or ()):
                self._swaps += self._hints(cond.get("control"))
            conds = {name: [self._condition(c) for c in group] if group else group
                     for name, group in guider.conds.items()}
            self._swaps.append((guider, "conds", conds))

    def _pick(self, value: Any) -> Any:
        """The images' part of a tensor [images, ...] that the host repeats to fill a batch."""
        if isinstance(value, list):
            return [self._pick(part) for part in value]
        if not isinstance(value, torch.Tensor) or value.ndim == 0 or value.shape[0] == 1:
            return value
        return value[[k % value.shape[0] for k in self._images]]

    def _condition(self, cond: dict[str, Any]) -> dict[str, Any]:
        out = dict(cond)
        if "mask" in out:
            out["mask"] = self._pick(out["mask"])
        out["model_conds"] = {
            name: part._copy_with(self._pick(part.cond))
            if hasattr(part, "_copy_with") and not isinstance(part, comfy.conds.CONDConstant)
            else part
            for name, part in out.get("model_conds", {}).items()
        }
        return out

    def _hints(self, control: Any) -> Iterator[Swap]:
        """The swaps for a chain of control nets that has a hint for each image."""
        while control is not None:
            hint = getattr(control, "cond_hint_original", None)
            if isinstance(hint, torch.Tensor) and hint.shape[0] > 1:
                yield control, "cond_hint_original", self._pick(hint)
                if hasattr(control, "extra_concat_orig"):
                    yield control, "extra_concat_orig", self._pick(control.extra_concat_orig)
                for name in _MADE_FROM_HINT:
                    if hasattr(control, name):
                        yield control, name, None
            control = getattr(control, "previous_controlnet", None)
