"""What the numerics have to know of a host MODEL."""

from __future__ import annotations

from typing import Any

import comfy.model_sampling
import numpy as np
import torch

from .. import schedules
from ..samplers import FLOW, VE, Process

# By the class of the host's model config, most derived first; names, since old hosts lack some.
_FAMILIES = {
    "SD15": "sd15", "SD20": "sd2", "SDXL": "sdxl", "SVD_img2vid": "svd",
    "FluxSchnell": "flux_schnell", "Flux2": "flux2", "Flux": "flux",
    "Chroma": "chroma", "WAN21_T2V": "wan",
}


def family_of(model: Any) -> str:
    """Which family's published tables fit a host MODEL; "" where none is known to."""
    config = getattr(getattr(model, "model", None), "model_config", None)
    names = (kind.__name__ for kind in type(config).__mro__)
    return next((_FAMILIES[name] for name in names if name in _FAMILIES), "")


def process_of(model_sampling: Any) -> Process:
    """FLOW for rectified-flow models (SD3, Flux, Wan ...), VE for all others."""
    return FLOW if isinstance(model_sampling, comfy.model_sampling.CONST) else VE


def spec_of(model_sampling: Any, family: str = "") -> schedules.ModelSpec:
    """What a schedule has to know of the host's ``model_sampling``, which knows no family."""

    def timestep(sigma: float) -> float:
        return float(model_sampling.timestep(torch.tensor(sigma, dtype=torch.float32)))

    def sigma(times: np.ndarray) -> np.ndarray:
        asked = torch.tensor(times, dtype=torch.float32)
        try:
            levels = torch.as_tensor(model_sampling.sigma(asked)).reshape(asked.shape)
        except (RuntimeError, TypeError, ValueError):
            # Several of the host's classes accept a single time only.
            levels = torch.stack([torch.as_tensor(model_sampling.sigma(t)) for t in asked])
        return levels.cpu().numpy()

    return schedules.ModelSpec(
        process_of(model_sampling), model_sampling.sigmas.float().cpu().numpy(),
        timestep, sigma, float(getattr(model_sampling, "shift", 1.0)), family,
    )
