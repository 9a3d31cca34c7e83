"""diffusers' scheduler classes: which of our samplers and schedules each one is, by its settings.

Names and defaults of the settings are those of diffusers 0.42's constructors; what equals what was
found by running both (``tests/diffusers_rows.py``, ``tests/test_names_diffusers.py``). Where theirs
does otherwise than ours the pair has a note. diffusers itself is not needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .levels import edm, flow_heun, flow_match, lcm, own, spaced, straight
from .methods import (
    ddim,
    deis,
    flow_euler,
    ltx_ancestral,
    minimax,
    multistep,
    plain,
    sa,
    singlestep,
    tcd,
    unclipped,
    unipc,
)
from .settings import (
    CLIPPED,
    CURVES,
    DYNAMIC,
    END,
    FLOW,
    SOLVER,
    SPACED,
    THRESHOLD,
    Chosen,
    Settings,
)


@dataclass(frozen=True)
class Scheduler:
    """sampler, levels: what its settings make; defaults: every setting that it takes."""

    sampler: Callable[[Settings], Chosen]
    levels: Callable[[Settings], Chosen | None]
    defaults: Mapping[str, Any]


def _euler_like(name: str, curves: Mapping[str, Any] = CURVES, **options: Any) -> Scheduler:
    return Scheduler(plain(name, **options), spaced("euler"), {**SPACED, **curves})


_EULER = {
    **CURVES, "sigma_min": None, "sigma_max": None, "interpolation_type": "linear",
    "timestep_type": "discrete", **END,
}
_CONSISTENCY = {
    **CLIPPED, "clip_sample": False, "set_alpha_to_one": True, "original_inference_steps": 50,
    "timestep_scaling": 10.0,
}
_TO_ONE = {**CLIPPED, "set_alpha_to_one": True}
_VARIANCE = {**CLIPPED, "variance_type": "fixed_small"}
_COG = {
    "clip_sample": True, "clip_sample_range": 1.0, "sample_max_value": 1.0,
    "set_alpha_to_one": True, **SPACED, "timestep_spacing": "leading",
}
_EDM = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_schedule": "karras", "rho": 7.0, **END}
_EDM_SOLVER = {
    "solver_order": 2, "solver_type": "midpoint", "lower_order_final": True,
    "euler_at_final": False,
}

SCHEDULERS: dict[str, Scheduler] = {
    "EulerDiscrete": _euler_like("euler", _EULER),
    "EulerAncestralDiscrete": _euler_like("euler_ancestral", {}),
    "HeunDiscrete": _euler_like(
        "heun", {**CURVES, "clip_sample": False, "clip_sample_range": 1.0}
    ),
    "KDPM2Discrete": _euler_like("dpm_2"),
    "KDPM2AncestralDiscrete": _euler_like("dpm_2_ancestral"),
    "LMSDiscrete": _euler_like("lms", ending="multistep"),
    "DPMSolverSDE": _euler_like("dpmpp_sde", {**CURVES, "noise_sampler_seed": None}),
    "DDIM": Scheduler(ddim("ddim"), spaced("ddim"), _TO_ONE),
    "DDIMParallel": Scheduler(ddim("ddim"), spaced("ddim"), _TO_ONE),
    "DDPM": Scheduler(ddim("ddpm"), spaced("ddim"), _VARIANCE),
    "DDPMParallel": Scheduler(ddim("ddpm"), spaced("ddim"), _VARIANCE),
    "PNDM": Scheduler(
        lambda s: ("plms" if s["skip_prk_steps"] else "pndm", {}), spaced("ddim"),
        {"skip_prk_steps": False, "set_alpha_to_one": False, **SPACED,
         "timestep_spacing": "leading"},
    ),
    "DPMSolverMultistep": Scheduler(
        multistep, spaced("dpmpp"),
        {**SOLVER, **SPACED, "use_lu_lambdas": False, "euler_at_final": False},
    ),
    "DPMSolverSinglestep": Scheduler(
        singlestep, spaced("dpmpp"), {**SOLVER, "lower_order_final": False},
    ),
    "UniPCMultistep": Scheduler(
        unipc, spaced("dpmpp"),
        {"solver_order": 2, "predict_x0": True, "solver_type": "bh2", "lower_order_final": True,
         "disable_corrector": [], "solver_p": None, **THRESHOLD, **CURVES, **FLOW,
         **SPACED, **END, "sigma_min": None, "sigma_max": None, "shift_terminal": None},
    ),
    "DEISMultistep": Scheduler(
        deis, spaced("dpmpp", below=False),
        {"solver_order": 2, "algorithm_type": "deis", "solver_type": "logrho",
         "lower_order_final": True, **THRESHOLD, **CURVES, **FLOW, **SPACED},
    ),
    "SASolver": Scheduler(
        sa, spaced("dpmpp", below=False),
        {"predictor_order": 2, "corrector_order": 2, "tau_func": None,
         "algorithm_type": "data_prediction", "lower_order_final": True, **THRESHOLD, **CURVES,
          "use_flow_sigmas": False, "flow_shift": 1.0,
         "lambda_min_clipped": -math.inf, "variance_type": None, **SPACED},
    ),
    "LCM": Scheduler(plain("lcm"), lcm, _CONSISTENCY),
    "TCD": Scheduler(tcd, lcm, {**_CONSISTENCY, "eta": 0.3}),
    "CogVideoXDDIM": Scheduler(unclipped("ddim"), spaced("ddim"), _COG),
    "CogVideoXDPM": Scheduler(unclipped("dpmpp_2m_sde"), spaced("ddim"), _COG),
    "UnCLIP": Scheduler(
        ddim("ddpm"), spaced("ddim"),
        {"variance_type": "fixed_small_log", "clip_sample": True, "clip_sample_range": 1.0},
    ),
    "DDPMWuerstchen": Scheduler(plain("ddpm"), own, {"scaler": 1.0, "s": 0.008}),
    "IPNDM": Scheduler(plain("ipndm"), own, {}),
    "EDMEuler": Scheduler(plain("euler"), edm, _EDM),
    "EDMDPMSolverMultistep": Scheduler(
        multistep, edm,
        {**_EDM, **_EDM_SOLVER, "algorithm_type": "dpmsolver++", **THRESHOLD},
    ),
    "CosineDPMSolverMultistep": Scheduler(
        lambda s: ("dpmpp_2m_sde_heun" if s["solver_type"] == "heun" else "dpmpp_2m_sde", {}),
        edm,
        {**_EDM, **_EDM_SOLVER, "sigma_min": 0.3, "sigma_max": 500,
         "sigma_schedule": "exponential"},
    ),
    "FlowMatchEulerDiscrete": Scheduler(
        flow_euler, flow_match, {**DYNAMIC, "stochastic_sampling": False},
    ),
    "FlowMatchLCM": Scheduler(
        plain("lcm"), flow_match, {**DYNAMIC, "scale_factors": None, "upscale_mode": "bicubic"},
    ),
    "FlowMatchHeunDiscrete": Scheduler(plain("heun"), flow_heun, {"shift": 1.0}),
    "FlowMapEulerDiscrete": Scheduler(plain("euler"), straight, {"shift": 1.0}),
    "LTXEulerAncestralRF": Scheduler(ltx_ancestral, straight, {"eta": 1.0, "s_noise": 1.0}),
    "MiniMaxH3": Scheduler(minimax, straight, {"shift": 12.0}),
}

# Classes without an equal here, and why.
_TOKENS = "it samples tokens, not noise"
_INVERSE = "it goes up in noise; turn the list of sigmas round"
WITHOUT = {
    **dict.fromkeys(
        ("Amused", "BlockRefinement", "DiscreteDDIM", "EntropyBound", "VQDiffusion"), _TOKENS
    ),
    **dict.fromkeys(("DDIMInverse", "DPMSolverMultistepInverse"), _INVERSE),
    "CMStochasticIterative": "lcm on the levels of a consistency model is the nearest",
    "ConsistencyDecoder": "it decodes latents",
    "Helios": "it samples in stages of growing size",
    "HeliosDMD": "it samples in stages of growing size",
    "KarrasVe": "heun with s_churn on 'edm' levels is the nearest",
    "Piflow": "its network answers with a policy, not with a velocity",
    "RFD4Proteina": "it samples proteins",
    "RePaint": "it goes back and forth to fill in a masked picture",
    "SCM": "its model runs on a clock of angles",
    "ScoreSdeVe": "a predictor with Langevin corrections",
    "ScoreSdeVp": "a predictor of the VP equation in its own time",
}
