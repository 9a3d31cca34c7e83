"""The host's model as our loop calls it, for the whole batch or for one image of it."""

from __future__ import annotations

from typing import Any

import torch

IMAGE = "stride_image"  # in the model options: which image of the batch is asked for alone


class Plain:
    """D(x, sigma) from the model that the host hands to a sampler function."""

    def __init__(self, model: Any, extra: dict[str, Any]) -> None:
        self.model, self.extra = model, extra

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return self.model(x, sigma, **self.extra)

    def of(self, k: int) -> OneImage:
        """The model for image k alone."""
        return OneImage(self.model, self.extra, k)


class OneImage(Plain):
    """The same for a batch of one: while it is asked, the host sees image k's conditions alone.

    The host repeats or cuts whatever does not fit the batch it is asked for, so prompts, masks and
    inpainting latents that are given image by image have to be picked out first. A control net
    with one hint for each image is the exception: it uses its first one.
    """

    def __init__(self, model: Any, extra: dict[str, Any], k: int) -> None:
        super().__init__(model, extra)
        self.k = k
        if isinstance(extra.get("denoise_mask"), torch.Tensor):
            self.extra = {**extra, "denoise_mask": self._pick(extra["denoise_mask"])}
        options = self.extra.get("model_options") or {}
        self.extra = {**self.extra, "model_options": {**options, IMAGE: k}}
        inner = model.model
        self.swaps = [(inner, name, self._pick(getattr(inner, name)))
                      for name in ("noise", "latent_image")
                      if isinstance(getattr(inner, name, None), torch.Tensor)]
        guider = getattr(inner, "inner_model", None)
        if isinstance(getattr(guider, "conds", None), dict):
            conds = {name: [self._condition(c) for c in group] if group else group
                     for name, group in guider.conds.items()}
            self.swaps.append((guider, "conds", conds))

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in self.swaps]
        try:
            for swap in self.swaps:
                setattr(*swap)
            return super().__call__(x, sigma)
        finally:
            for swap in before:
                setattr(*swap)

    def _pick(self, value: Any) -> Any:
        """Image k's part of a tensor [images, ...] that the host repeats to fill a batch."""
        if isinstance(value, list):
            return [self._pick(part) for part in value]
        if not isinstance(value, torch.Tensor) or value.ndim == 0:
            return value
        k = self.k % value.shape[0]
        return value[k : k + 1]

    def _condition(self, cond: dict[str, Any]) -> dict[str, Any]:
        out = dict(cond)
        if "mask" in out:
            out["mask"] = self._pick(out["mask"])
        out["model_conds"] = {
            name: part._copy_with(self._pick(part.cond)) if hasattr(part, "_copy_with") else part
            for name, part in out.get("model_conds", {}).items()
        }
        return out
