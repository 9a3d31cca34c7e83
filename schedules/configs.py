"""The model that a scheduler config of diffusers describes: its noise levels and its clock.

The mapping is that of a ``scheduler_config.json``. Where it leaves something out, the class named
in it (``_class_name``) has its default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .spec import ModelSpec
from .training import cosine

# The settings that tell of the model, with the defaults of most classes.
DEFAULTS: dict[str, Any] = {
    "num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02,
    "beta_schedule": "linear", "trained_betas": None, "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False, "snr_shift_scale": 1.0, "sigma_data": 0.5,
}
MODEL = frozenset(DEFAULTS)

_SD = {"beta_start": 0.00085, "beta_end": 0.012}
_SCALED = {**_SD, "beta_schedule": "scaled_linear"}
_OWN: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("HeunDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete", "DPMSolverSDE"),
                    _SD),
    **dict.fromkeys(("LCM", "TCD"), _SCALED),
    **dict.fromkeys(("CogVideoXDDIM", "CogVideoXDPM"), {**_SCALED, "snr_shift_scale": 3.0}),
    "UnCLIP": {"beta_schedule": "squaredcos_cap_v2"},
    "EDMEuler": {"sigma_min": 0.002, "sigma_max": 80.0},
    "EDMDPMSolverMultistep": {"sigma_min": 0.002, "sigma_max": 80.0},
    "CosineDPMSolverMultistep": {
        "sigma_min": 0.3, "sigma_max": 500.0, "sigma_data": 1.0, "prediction_type": "v_prediction",
    },
    "MiniMaxH3": {"shift": 12.0},
}
_FLOW = ("FlowMatch", "FlowMap", "LTXEuler", "MiniMaxH3")
_EDM = ("EDM", "Cosine")
# These put 2^-24 (sigma 4096) in the place of the 0 that zero terminal SNR ends at.
_FLOORED = (
    "EulerDiscrete", "EulerAncestralDiscrete", "DPMSolverMultistep", "UniPCMultistep",
)
_NO_SIGNAL = 4.8973451890853435e-08  # the host's stand-in for that 0 (sigma 4518.8)


def class_of(config: Mapping[str, Any]) -> str:
    """The class that a config names, without "Scheduler"; "" where it names none."""
    return str(config.get("_class_name") or "").removesuffix("Scheduler")


def facts(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config over the defaults of its class, as far as they tell of the model."""
    return {**DEFAULTS, **_OWN.get(class_of(config), {}), **config}


def prediction(config: Mapping[str, Any]) -> str:
    """What the network answers, by diffusers' names; flow schedulers have no choice."""
    if class_of(config).startswith(_FLOW):
        return "flow_prediction"
    return str(facts(config)["prediction_type"])


def is_flow(config: Mapping[str, Any]) -> bool:
    """Whether the config is a flow model's."""
    return (
        class_of(config).startswith(_FLOW) or bool(config.get("use_flow_sigmas"))
        or config.get("prediction_type") == "flow_prediction"
    )


def is_edm(config: Mapping[str, Any]) -> bool:
    """Whether the config is one of a model without a table, preconditioned as in EDM."""
    return class_of(config).startswith(_EDM)


def is_continuous(config: Mapping[str, Any]) -> bool:
    """Whether an Euler config tells the model log(sigma) / 4 (Stable Video Diffusion)."""
    return (config.get("timestep_type"), config.get("prediction_type")) == (
        "continuous", "v_prediction"
    )


def alpha_bar(config: Mapping[str, Any]) -> torch.Tensor:
    """alpha_bar by training time [n], with the bits that the class holds.

    With zero terminal SNR the last is 0, or 2^-24 in the classes that put it there.
    Raises ValueError for an unknown beta_schedule.
    """
    said = facts(config)
    cog, zero = class_of(config).startswith("CogVideoX"), bool(said["rescale_betas_zero_snr"])
    betas = _betas(said, torch.float64 if cog else torch.float32)
    if zero and not cog:
        betas = _without_signal(torch.cumprod(1.0 - betas, dim=0), back=True)
    bar = torch.cumprod(1.0 - betas, dim=0)
    if cog:
        scale = said["snr_shift_scale"]
        bar = bar / (scale + (1.0 - scale) * bar)
        bar = _without_signal(bar) if zero else bar
    if zero and class_of(config) in _FLOORED:
        bar[-1] = 2.0**-24
    return bar


def _betas(said: Mapping[str, Any], scaled: torch.dtype) -> torch.Tensor:
    """The betas of a config; scaled: the precision of scaled_linear."""
    if said["trained_betas"] is not None:
        return torch.tensor(np.asarray(said["trained_betas"]), dtype=torch.float32)
    name, count = said["beta_schedule"], int(said["num_train_timesteps"])
    start, end = said["beta_start"], said["beta_end"]
    if name == "linear":
        return torch.linspace(start, end, count, dtype=torch.float32)
    if name == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, count, dtype=scaled) ** 2
    if name == "sigmoid":
        return torch.linspace(-6, 6, count, dtype=torch.float32).sigmoid() * (end - start) + start
    curves = {"squaredcos_cap_v2": cosine, "exp": lambda t: math.exp(-12.0 * t),
              "laplace": _laplace}
    if name not in curves:
        known = ", ".join(["linear", "scaled_linear", "sigmoid", *curves])
        raise ValueError(f"beta_schedule '{name}' is not one of {known}")
    values = [curves[name](i / count) for i in range(count + 1)]
    betas = [min(1.0 - b / a, 0.999) for a, b in zip(values, values[1:])]
    return torch.tensor(betas, dtype=torch.float32)


def _laplace(t: float) -> float:
    log_snr = -0.5 * math.copysign(1.0, 0.5 - t) * math.log(1.0 - 2.0 * abs(0.5 - t) + 1e-6)
    return math.sqrt(1.0 / (1.0 + math.exp(-log_snr)))


def _without_signal(bar: torch.Tensor, back: bool = False) -> torch.Tensor:
    """alpha_bar shifted and scaled to end at 0 (arXiv:2305.08891, algorithm 1).

    back: as betas again, with the rounding of that way.
    """
    root = bar.sqrt()
    first, last = root[0].clone(), root[-1].clone()
    bar = ((root - last) * (first / (first - last))) ** 2
    return 1.0 - torch.cat([bar[:1], bar[1:] / bar[:-1]]) if back else bar


def spec_of(config: Mapping[str, Any]) -> ModelSpec:
    """The noise levels of the model that a config was published with; see the module."""
    said = facts(config)
    if is_flow(config):
        shift = said.get("flow_shift") if said.get("use_flow_sigmas") else said.get("shift")
        dynamic = said.get("use_dynamic_shifting")
        return ModelSpec.flow(1.0 if dynamic or not shift else float(shift))
    if is_edm(config) or is_continuous(config):
        model = ModelSpec.edm(
            float(said.get("sigma_min") or 0.002), float(said.get("sigma_max") or 700.0)
        )
        if class_of(config).startswith("Cosine"):  # its time is the angle of signal and noise
            return replace(model, timestep=lambda sigma: math.atan(sigma) * 2.0 / math.pi,
                           sigma=lambda t: np.tan(t * math.pi / 2.0))
        return model
    bar = alpha_bar(config).double().numpy()
    bar = np.where(bar > 0, bar, _NO_SIGNAL)
    return ModelSpec.from_table(np.sqrt((1.0 - bar) / bar))
