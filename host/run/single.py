"""The host's model as our loop calls it, for the whole batch or for some images of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import comfy.conds
import comfy.model_patcher
import torch

from ...engine.guard import Parts
from ...engine.sparing import levelled

IMAGES = "stride_images"  # in the model options: the images of the batch that are asked for
_MADE_FROM_HINT = ("cond_hint", "control_input", "extra_concat")  # what a control net keeps of it


class Plain:
    """D(x, sigma) from the model that the host hands to a sampler function.

    images: which of the batch are asked for; None: all. The host repeats or cuts whatever does not
    fit the batch it is asked for, so prompts, masks, control hints and inpainting latents that are
    given image by image have to be picked out: while it is asked it sees only those.
    """

    both = False  # whether the answer to the negative prompt is needed even at cfg 1

    def __init__(
        self, model: Any, extra: dict[str, Any], images: Sequence[int] | None = None
    ) -> None:
        self.model, self.given, self.images = model, extra, images
        self._seen: dict[str, torch.Tensor] = {}
        self._swaps: list[tuple[Any, str, Any]] = []
        self._rewinds = False
        options = comfy.model_patcher.set_model_options_post_cfg_function(
            dict(extra.get("model_options") or {}), self._keep,
            disable_cfg1_optimization=self.both,
        )
        self.extra = {**extra, "model_options": options}
        if images is not None:
            options[IMAGES] = tuple(images)
            self._pick_images()

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        if self._rewinds:
            self._rewinds = False
            self._rewind()
        self._seen = {}
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in self._swaps]
        try:
            for swap in self._swaps:
                setattr(*swap)
            return self.model(x.float(), levelled(sigma.float(), sigma), **self.extra)
        finally:
            for swap in before:
                setattr(*swap)

    def of(self, k: int) -> Plain:
        """The model for image k alone, from the first of the hooks' keyframes on."""
        alone = self.some([k])
        alone._rewinds = True
        return alone

    def some(self, images: Sequence[int]) -> Plain:
        """The model for some images of the batch."""
        return type(self)(self.model, self.given, images)

    def parts(self) -> Parts:
        """The answers to the two prompts behind the last answer; they are then forgotten."""
        seen, self._seen = self._seen, {}
        return [(f"the {prompt} prompt's answer", answer) for prompt, answer in seen.items()]

    @property
    def computes_in(self) -> torch.dtype | None:
        """The dtype in which the host runs the network, if it tells."""
        network = getattr(getattr(self.model, "inner_model", None), "inner_model", None)
        cast = getattr(network, "manual_cast_dtype", None)
        return cast or (network.get_dtype() if hasattr(network, "get_dtype") else None)

    def _rewind(self) -> None:
        """Hooks' keyframes back to the first: the host only ever goes forward in them."""
        guider = getattr(self.model.model, "inner_model", None)
        groups = getattr(guider, "conds", {}).values()
        hooks = [hook for group in groups for cond in group or ()
                 for hook in getattr(cond.get("hooks"), "hooks", ())]
        for hook in hooks:
            hook.initialize_timesteps(guider.inner_model)
        if hooks:
            guider.model_patcher.clean_hooks()  # else weights stay those of the last keyframe

    def _keep(self, args: dict[str, Any]) -> torch.Tensor:
        """The host's hook after guidance; it changes nothing."""
        for prompt, name in (("positive", "cond"), ("negative", "uncond")):
            if args.get(name) is not None and torch.is_tensor(args.get(f"{name}_denoised")):
                self._seen[prompt] = args[f"{name}_denoised"]
        return args["denoised"]

    def _pick_images(self) -> None:
        if isinstance(self.extra.get("denoise_mask"), torch.Tensor):
            self.extra["denoise_mask"] = self._pick(self.extra["denoise_mask"])
        inner = self.model.model
        self._swaps = [(inner, name, self._pick(getattr(inner, name)))
                       for name in ("noise", "latent_image")
                       if isinstance(getattr(inner, name, None), torch.Tensor)]
        guider = getattr(inner, "inner_model", None)
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
        return value[[k % value.shape[0] for k in self.images]]

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

    def _hints(self, control: Any) -> Iterator[tuple[Any, str, Any]]:
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


class Guided(Plain):
    """The model as CFG++ needs it: (D, U) with the answer to the negative prompt."""

    both = True

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        d = super().__call__(x, sigma)
        if "negative" not in self._seen:
            raise ValueError(
                "CFG++ renoises with the model's answer to the negative prompt, and this run has "
                "none; use a guider with a negative prompt, or switch cfg_pp off"
            )
        return d, self._seen["negative"]
