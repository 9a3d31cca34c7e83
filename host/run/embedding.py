"""The guidance embedding of guidance-distilled models (Flux, HunyuanVideo): its number, or none.

These networks were trained to answer at once what two calls with a cfg would (Meng et al. 2023,
arXiv:2210.03142); the cfg that they imitate is an input, which the host takes from the
conditioning. Here a wrapper of ``apply_model`` sets it for both prompts, or takes it away.
"""

from __future__ import annotations

from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from ...registry import shown

MODES = ("from the prompt", "set", "bypass")


def embedded(model: Any, mode: str, guidance: float) -> Any:
    """MODEL with that guidance embedding; MODEL itself where the prompt's own is to be used.

    mode: "set" gives the network ``guidance``, "bypass" calls it without any. Raises ValueError
    for a model whose network has no such embedding.
    """
    if mode == MODES[0]:
        return model
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {shown(mode)}")
    network = model.get_model_object("diffusion_model")
    if isinstance(getattr(network, "guidance_in", None), (type(None), torch.nn.Identity)):
        raise ValueError(
            f"this model ({type(model.model).__name__}) has no guidance embedding to set or to "
            "bypass; it is for guidance-distilled models such as Flux dev and HunyuanVideo"
        )

    def wrapped(executor: Any, x: torch.Tensor, t: torch.Tensor, *rest: Any, **conds: Any) -> Any:
        conds.pop("guidance", None)
        if mode == "set":
            conds["guidance"] = x.new_full((x.shape[0],), guidance, dtype=torch.float32)
        return executor(x, t, *rest, **conds)

    model = model.clone()
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "stride", wrapped)
    return model
