"""What the numerics have to know of a host MODEL."""

from __future__ import annotations

from typing import Any

import comfy.model_sampling
import numpy as np
import torch

from .. import schedules
from ..samplers import FLOW, VE, Process


def process_of(model_sampling: Any) -> Process:
    """FLOW for rectified-flow models (SD3, Flux, Wan ...), VE for all others."""
    return FLOW if isinstance(model_sampling, comfy.model_sampling.CONST) else VE


def spec_of(model_sampling: Any) -> schedules.ModelSpec:
    """What a schedule has to know of the host's ``model_sampling``."""

    def timestep(sigma: float) -> float:
        return float(model_sampling.timestep(torch.tensor(sigma, dtype=torch.float32)))

    def sigma(times: np.ndarray) -> np.ndarray:
        # One at a time: several of the host's classes accept a single time only.
        return np.array([float(model_sampling.sigma(torch.tensor(float(t)))) for t in times])

    return schedules.ModelSpec(
        process_of(model_sampling), model_sampling.sigmas.double().cpu().numpy(),
        timestep, sigma, float(getattr(model_sampling, "shift", 1.0)),
    )
