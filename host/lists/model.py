"""What the numerics have to know of a host MODEL."""

from __future__ import annotations

from typing import Any

import comfy.model_sampling
import numpy as np
import torch

from ... import advice, schedules
from ...samplers import FLOW, VE, Process

# Picture pixels along one latent pixel where it is not 8, for hosts that do not tell: by the class
# of the model's latent format.
_RATIOS = {
    "SC_Prior": 42, "SC_B": 4, "Flux2": 16, "LTXV": 32, "Wan22": 16, "HunyuanImage21": 32,
    "HunyuanVideo15": 16, "ChromaRadiance": 1,
}
_INPAINTING = 9  # channels: the latent, the mask and the masked picture


def family_of(model: Any) -> str:
    """Which family's published tables fit a host MODEL; "" where none is known to."""
    _, family = _known_as(model)
    return family if family in schedules.spec.FAMILIES else ""


def facts_of(model: Any) -> advice.Model:
    """What advice has to know of a host MODEL."""
    sampling = model.get_model_object("model_sampling")
    config, family = _known_as(model)
    network, flow = getattr(config, "unet_config", None) or {}, process_of(sampling) is FLOW
    # Models of one class that are not alike.
    if family == "sd15" and network.get("in_channels") == _INPAINTING:
        family = "sd15_inpaint"
    elif family == "flux_schnell" and network.get("yak_mlp"):
        family = "ovis"
    elif family == "demo" and flow:
        family = "demo_flow"
    guided = bool(network.get("guidance_embed"))
    return advice.Model(family, flow, float(sampling.sigma_max), guided)


def _known_as(model: Any) -> tuple[Any, str]:
    """The host's config of a MODEL, and the family that it makes it."""
    config = getattr(getattr(model, "model", None), "model_config", None)
    for kind in type(config).__mro__:
        if kind.__name__ in advice.CLASSES:
            return config, advice.CLASSES[kind.__name__]
    return config, ""


def sampling_of(called: Any) -> Any | None:
    """The model sampling of what a sampler function is called with; None where it is hidden.

    The host calls with a model around a guider around a model; packs' wrappers of it hand on the
    attribute ``inner_model``, or nothing.
    """
    while called is not None:
        if (sampling := getattr(called, "model_sampling", None)) is not None:
            return sampling
        called = getattr(called, "inner_model", None)
    return None


def process_of(model_sampling: Any) -> Process:
    """FLOW for rectified-flow models (SD3, Flux, Wan ...), VE for all others.

    A CONST model whose own levels go above 1 is none of the former: the host's IMG_TO_IMG_FLOW on
    SD's levels leads straight from a picture at the highest level, S, to the answer D at 0. Its
    ``x = (1 - sigma / S) D + (sigma / S) picture`` is VE with ``(picture - D) / S`` as the noise.
    """
    flow = isinstance(model_sampling, comfy.model_sampling.CONST)
    return FLOW if flow and float(model_sampling.sigma_max) < 1.001 else VE


def noise_scale_of(model_sampling: Any) -> float:
    """Standard deviation of the noise that a model was trained on, per sigma; 1 but for a few.

    Newer hosts (HiDream-O1, node ModelNoiseScale) multiply a run's initial noise by it.
    """
    return float(getattr(model_sampling, "noise_scale", 1.0))


def ratio_of(model: Any) -> int:
    """Picture pixels along one latent pixel of a host MODEL."""
    latent_format = model.get_model_object("latent_format")
    told = getattr(latent_format, "spacial_downscale_ratio", None)  # the host spells it so
    if told is not None:
        return told
    names = (kind.__name__ for kind in type(latent_format).__mro__)
    return next((_RATIOS[name] for name in names if name in _RATIOS), 8)


def canvas_of(model: Any, samples: torch.Tensor) -> schedules.Canvas:
    """What a schedule has to know of the latent [B, C, ...] that a host MODEL is to draw on."""
    first = samples.unbind()[0] if samples.is_nested else samples  # the picture, then its sound
    return schedules.Canvas(tuple(first.shape[2:]), ratio_of(model))


def spec_of(
    model_sampling: Any, family: str = "", canvas: schedules.Canvas | None = None
) -> schedules.ModelSpec:
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
        timestep, sigma, float(getattr(model_sampling, "shift", 1.0)), family, canvas,
    )
