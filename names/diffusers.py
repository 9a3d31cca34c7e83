"""diffusers' scheduler classes with their settings, as a sampler and a schedule of ours.

Names and defaults of the settings are those of diffusers 0.42's constructors; what equals what was
found by running both (``tests/diffusers_rows.py``, ``tests/test_names_diffusers.py``). Where theirs
does otherwise than ours the pair has a note. diffusers itself is not needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..registry import key, unknown

Chosen = tuple[str, dict[str, Any]]  # a name of ours and its options

# The model that a scheduler was made for; here the model itself knows.
MODEL = frozenset((
    "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas",
    "prediction_type", "rescale_betas_zero_snr", "sigma_data", "snr_shift_scale", "_class_name",
    "_diffusers_version",
))
_SPACED = {"timestep_spacing": "linspace", "steps_offset": 0}
_CURVES = {f"use_{name}_sigmas": False for name in ("karras", "exponential", "beta")}
_FLOW = {
    "use_flow_sigmas": False, "flow_shift": 1.0, "use_dynamic_shifting": False,
    "time_shift_type": "exponential",
}
_END = {"final_sigmas_type": "zero"}
_DYNAMIC = {
    "shift": 1.0, "use_dynamic_shifting": False, "base_shift": 0.5, "max_shift": 1.15,
    "base_image_seq_len": 256, "max_image_seq_len": 4096, "invert_sigmas": False,
    "shift_terminal": None, **_CURVES, "time_shift_type": "exponential",
}
_CLIPPED = {
    "clip_sample": True, "thresholding": False, "timestep_spacing": "leading", "steps_offset": 0,
}
_SOLVER = {
    "solver_order": 2, "algorithm_type": "dpmsolver++", "solver_type": "midpoint",
    "thresholding": False, "lower_order_final": True, **_CURVES, **_FLOW, **_END,
    "lambda_min_clipped": -math.inf, "variance_type": None,
}


class Settings:
    """A scheduler's settings: those given over its defaults, and what is to be said of them."""

    def __init__(self, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        self.values = {k: given.get(k, default) for k, default in defaults.items()}
        self.defaults = defaults
        self.notes: list[str] = []
        self.read: set[str] = set()

    def __getitem__(self, setting: str) -> Any:
        """The value; None for a setting that this scheduler does not have."""
        self.read.add(setting)
        return self.values.get(setting)

    def unread(self) -> list[str]:
        """Settings that nothing was made of and that are not the default anyway."""
        return [f"{k}={v!r}" for k, v in self.values.items()
                if k not in self.read and v != self.defaults[k]]


# Samplers ----------------------------------------------------------------------------------------


def _plain(name: str, **options: Any) -> Callable[[Settings], Chosen]:
    return lambda s: (name, options)


def _ddim(name: str) -> Callable[[Settings], Chosen]:
    def sampler(s: Settings) -> Chosen:
        if s["clip_sample"]:
            s.notes.append("theirs clamps the clean sample to -1..1 (clip_sample), ours does not")
        if s["variance_type"] not in (None, "fixed_small", "fixed_small_log"):
            s.notes.append(f"variance_type={s['variance_type']!r}: ours is the fixed_small one")
        return name, {}

    return sampler


def _multistep(s: Settings) -> Chosen:
    order, heun = s["solver_order"], s["solver_type"] == "heun"
    kind = s["algorithm_type"]
    options: dict[str, Any] = {}
    if kind == "dpmsolver++":
        if order == 1:
            return "euler", {}
        if order == 2:
            return "dpmpp_2m", {"solver_type": "heun"} if heun else {}
        s.notes.append("below 15 steps theirs lowers the order in the last steps")
        options = {} if heun else {"solver_type": "midpoint"}
        return "dpmpp_3m", {"third": "published", **options}
    if kind == "sde-dpmsolver++":
        if order == 1:  # the same but on flow models
            return ("ddpm" if s["use_flow_sigmas"] else "euler_ancestral"), {}
        if order == 2:
            return ("dpmpp_2m_sde_heun" if heun else "dpmpp_2m_sde"), {}
        s.notes.append("their third-order SDE step gives the second difference another weight")
        return "dpmpp_3m_sde", {}
    if kind == "sde-dpmsolver":
        s.notes.append("their sde-dpmsolver adds more noise than the model's marginals have")
        options = {"eta": 1.0}
    elif kind != "dpmsolver":
        raise ValueError(f"algorithm_type '{kind}' is not one of diffusers' DPM-Solvers")
    if heun:
        options["solver_type"] = "heun"
    if order != 2:
        options["order"] = order
    return "dpm_solver", {**options, **({"third": "published"} if order == 3 else {})}


def _singlestep(s: Settings) -> Chosen:
    order, heun = s["solver_order"], s["solver_type"] == "heun"
    if order > 1:
        s.notes.append(
            f"theirs counts model calls: {order} of its steps are one of ours, whose inner levels "
            "are even in log sigma"
        )
    if s["algorithm_type"] == "sde-dpmsolver++":
        return ("euler_ancestral" if order == 1 else "dpmpp_sde"), {}
    if s["algorithm_type"] == "dpmsolver":
        s.notes.append("their noise-prediction form is only related to our dpm_fast")
        return "dpm_fast", {}
    if order == 3:
        s.notes.append("their third-order step uses other weights than the paper's, which ours has")
        return "dpmpp_3s", {}
    return ("euler", {}) if order == 1 else ("dpmpp_2s", {"solver_type": "phi_2"} if heun else {})


def _unipc(s: Settings) -> Chosen:
    if not s["predict_x0"]:
        s.notes.append("theirs extrapolates the noise (predict_x0=False), ours the clean latent")
    if s["disable_corrector"]:
        s.notes.append("disable_corrector is for single steps; ours corrects all or none")
    order = {} if s["solver_order"] == 3 else {"order": s["solver_order"]}
    return ("uni_pc" if s["solver_type"] == "bh1" else "uni_pc_bh2"), order


def _deis(s: Settings) -> Chosen:
    if s["use_flow_sigmas"] and s["solver_order"] > 1:
        s.notes.append("on a flow model theirs extrapolates the noise, ours the velocity")
    return "deis", {"order": s["solver_order"], "variable": "log_sigma"}


def _sa(s: Settings) -> Chosen:
    if s["tau_func"] is not None:
        s.notes.append("tau_func is a function; set tau, tau_start and tau_end")
    s.notes.append("theirs asks for tau at the time where a step starts, ours where it ends")
    orders = {k: s[k] for k in ("predictor_order", "corrector_order")}
    return "sa_solver", {"simple_order_2": True, **orders}


def _flow_euler(s: Settings) -> Chosen:
    if s["invert_sigmas"]:
        s.notes.append("invert_sigmas belongs to a model (Mochi) whose time runs backwards")
    return ("lcm" if s["stochastic_sampling"] else "euler"), {}


# Levels ------------------------------------------------------------------------------------------

_STOPS = "theirs stops at the smallest sigma, ours goes on to 0"

def _spaced(like: str, below: bool = True) -> Callable[[Settings], Chosen]:
    """Timesteps with a spacing, or a curve between the ends.

    like: see ``schedules/spacing.py``. below: whether its list can end at sigma 0.
    """

    def levels(s: Settings) -> Chosen:
        if not below or s["final_sigmas_type"] == "sigma_min" or s["set_alpha_to_one"] is False:
            s.notes.append(_STOPS)
        curve = _curve(s)
        spacing, offset = s["timestep_spacing"] or "linspace", s["steps_offset"]
        if curve:
            if like == "euler" and spacing != "linspace":
                s.notes.append(
                    f"their curve runs between the ends of the '{spacing}' list, which hang on the "
                    "number of steps; ours between the model's"
                )
            return curve
        if s["use_flow_sigmas"]:
            return _flow_sigmas(s)
        if spacing == "trailing":
            return "trailing", {}
        if spacing not in ("leading", "linspace"):
            raise ValueError(f"timestep_spacing '{spacing}' is not linspace, leading or trailing")
        options = {} if like == "euler" else {"like": like}
        return spacing, {"steps_offset": offset, **options} if spacing == "leading" else options

    return levels


def _curve(s: Settings) -> Chosen | None:
    """The curve in place of a spacing, if one is asked for."""
    ends = {k: s[k] for k in ("sigma_min", "sigma_max") if s[k] is not None}
    for setting, name in (
        ("use_karras_sigmas", "karras"), ("use_exponential_sigmas", "exponential"),
        ("use_beta_sigmas", "beta_a1111"), ("use_lu_lambdas", "log_snr"),
    ):
        if s[setting]:
            return name, ends
    return None


def _flow_sigmas(s: Settings) -> Chosen:
    s.notes.append("their straight line leaves out a thousandth of the time at one of its ends")
    if s["use_dynamic_shifting"]:
        return _by_size(s)
    return "linear", {"shift": s["flow_shift"]}


def _by_size(s: Settings) -> Chosen:
    """Shifted by a mu that pipelines work out from the size of the picture."""
    terminal = {} if s["shift_terminal"] is None else {"terminal": s["shift_terminal"]}
    if s["time_shift_type"] == "linear":
        s.notes.append("time_shift_type 'linear': set shift to the mu that the pipeline works out")
        return "linear", terminal
    given = {k: s[k] for k in ("base_shift", "max_shift") if s[k] is not None}
    return "flux_shift", {**given, **terminal}


def _flow_match(s: Settings) -> Chosen:
    shift, terminal = s["shift"], s["shift_terminal"]
    if s["use_dynamic_shifting"]:
        if (s["base_image_seq_len"], s["max_image_seq_len"]) != (256, 4096):
            s.notes.append("base_image_seq_len and max_image_seq_len are 256 and 4096 here")
        chosen = _by_size(s)
    else:
        chosen = "linear", {"shift": shift} | ({} if terminal is None else {"terminal": terminal})
        s.notes.append(
            "as pipelines that hand over even sigmas (Flux, HunyuanVideo); without them (SD3) "
            "their list is 'normal' on a model with that shift"
        )
    if curve := _curve(s):
        s.notes.append("their curve ends where the shifted list does, ours at the model's sigma")
        return curve
    return chosen


def _flow_heun(s: Settings) -> Chosen:
    s.notes.append(f"the shift is the model's own here (theirs: {s['shift']})")
    return "normal", {}


def _edm(s: Settings) -> Chosen:
    s.notes.append("sigma_min and sigma_max are the model's own here")
    s.read |= {"sigma_min", "sigma_max"}
    if s["final_sigmas_type"] == "sigma_min":
        s.notes.append(_STOPS)
    if s["sigma_schedule"] == "exponential":
        return "exponential", {}
    return "karras", {} if s["rho"] == 7.0 else {"rho": s["rho"]}


def _lcm(s: Settings) -> Chosen:
    if s["original_inference_steps"] != 50:
        s.notes.append("lcm_timesteps is made of 50 training steps (original_inference_steps)")
    return "lcm_timesteps", {}


def _own(s: Settings) -> None:
    s.notes.append("it has levels of its own, which are no schedule here; choose one")


# The classes -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scheduler:
    """sampler, levels: what its settings make; defaults: every setting that it takes."""

    sampler: Callable[[Settings], Chosen]
    levels: Callable[[Settings], Chosen | None]
    defaults: Mapping[str, Any]


def _euler_like(name: str, curves: Mapping[str, Any] = _CURVES, **options: Any) -> Scheduler:
    return Scheduler(_plain(name, **options), _spaced("euler"), {**_SPACED, **curves})


_EULER = {
    **_CURVES, "sigma_min": None, "sigma_max": None, "interpolation_type": "linear",
    "timestep_type": "discrete", **_END,
}
_CONSISTENCY = {
    **_CLIPPED, "clip_sample": False, "set_alpha_to_one": True, "original_inference_steps": 50,
    "timestep_scaling": 10.0,
}
_TO_ONE = {**_CLIPPED, "set_alpha_to_one": True, "clip_sample_range": 1.0}
_VARIANCE = {**_CLIPPED, "variance_type": "fixed_small", "clip_sample_range": 1.0}
_EDM = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_schedule": "karras", "rho": 7.0, **_END}
_EDM_SOLVER = {
    "solver_order": 2, "solver_type": "midpoint", "lower_order_final": True,
    "euler_at_final": False,
}

SCHEDULERS: dict[str, Scheduler] = {
    "EulerDiscrete": _euler_like("euler", _EULER),
    "EulerAncestralDiscrete": _euler_like("euler_ancestral", {}),
    "HeunDiscrete": _euler_like("heun", {**_CURVES, "clip_sample": False}),
    "KDPM2Discrete": _euler_like("dpm_2"),
    "KDPM2AncestralDiscrete": _euler_like("dpm_2_ancestral"),
    "LMSDiscrete": _euler_like("lms", ending="multistep"),
    "DPMSolverSDE": _euler_like("dpmpp_sde", {**_CURVES, "noise_sampler_seed": None}),
    "DDIM": Scheduler(_ddim("ddim"), _spaced("ddim"), _TO_ONE),
    "DDIMParallel": Scheduler(_ddim("ddim"), _spaced("ddim"), _TO_ONE),
    "DDPM": Scheduler(_ddim("ddpm"), _spaced("ddim"), _VARIANCE),
    "DDPMParallel": Scheduler(_ddim("ddpm"), _spaced("ddim"), _VARIANCE),
    "PNDM": Scheduler(
        lambda s: ("plms" if s["skip_prk_steps"] else "pndm", {}), _spaced("ddim"),
        {"skip_prk_steps": False, "set_alpha_to_one": False, **_SPACED,
         "timestep_spacing": "leading"},
    ),
    "DPMSolverMultistep": Scheduler(
        _multistep, _spaced("dpmpp"),
        {**_SOLVER, **_SPACED, "use_lu_lambdas": False, "euler_at_final": False},
    ),
    "DPMSolverSinglestep": Scheduler(
        _singlestep, _spaced("dpmpp"), {**_SOLVER, "lower_order_final": False},
    ),
    "UniPCMultistep": Scheduler(
        _unipc, _spaced("dpmpp"),
        {"solver_order": 2, "predict_x0": True, "solver_type": "bh2", "lower_order_final": True,
         "disable_corrector": [], "solver_p": None, "thresholding": False, **_CURVES, **_FLOW,
         **_SPACED, **_END, "sigma_min": None, "sigma_max": None, "shift_terminal": None},
    ),
    "DEISMultistep": Scheduler(
        _deis, _spaced("dpmpp", below=False),
        {"solver_order": 2, "algorithm_type": "deis", "solver_type": "logrho",
         "lower_order_final": True, "thresholding": False, **_CURVES, **_FLOW, **_SPACED},
    ),
    "SASolver": Scheduler(
        _sa, _spaced("dpmpp", below=False),
        {"predictor_order": 2, "corrector_order": 2, "tau_func": None,
         "algorithm_type": "data_prediction", "lower_order_final": True, "thresholding": False,
         **_CURVES, "use_flow_sigmas": False, "flow_shift": 1.0,
         "lambda_min_clipped": -math.inf, "variance_type": None, **_SPACED},
    ),
    "LCM": Scheduler(_plain("lcm"), _lcm, _CONSISTENCY),
    "TCD": Scheduler(lambda s: ("tcd", {"gamma": s["eta"]}), _lcm, {**_CONSISTENCY, "eta": 0.3}),
    "IPNDM": Scheduler(_plain("ipndm"), _own, {}),
    "EDMEuler": Scheduler(_plain("euler"), _edm, _EDM),
    "EDMDPMSolverMultistep": Scheduler(
        _multistep, _edm,
        {**_EDM, **_EDM_SOLVER, "algorithm_type": "dpmsolver++", "thresholding": False},
    ),
    "CosineDPMSolverMultistep": Scheduler(
        lambda s: ("dpmpp_2m_sde_heun" if s["solver_type"] == "heun" else "dpmpp_2m_sde", {}),
        _edm,
        {**_EDM, **_EDM_SOLVER, "sigma_min": 0.3, "sigma_max": 500,
         "sigma_schedule": "exponential"},
    ),
    "FlowMatchEulerDiscrete": Scheduler(
        _flow_euler, _flow_match, {**_DYNAMIC, "stochastic_sampling": False},
    ),
    "FlowMatchLCM": Scheduler(
        _plain("lcm"), _flow_match, {**_DYNAMIC, "scale_factors": None, "upscale_mode": "bicubic"},
    ),
    "FlowMatchHeunDiscrete": Scheduler(_plain("heun"), _flow_heun, {"shift": 1.0}),
}
_KEYS = {key(f"{name}Scheduler"): name for name in SCHEDULERS}
SETTINGS = MODEL.union(*(row.defaults for row in SCHEDULERS.values()))


def known(name: str) -> str | None:
    """The class that a name means, also with its module before it; None for any other name."""
    found = _KEYS.get(key(name.strip().rpartition(".")[2]))
    return found and f"{found}Scheduler"


def without_equal(name: str) -> str | None:
    """The message for what is called like a class but has no equal here; None for other names."""
    last = name.strip().rpartition(".")[2]
    if not last.endswith("Scheduler") or " " in last or known(last):
        return None
    return unknown("diffusers scheduler", last, [f"{n}Scheduler" for n in SCHEDULERS])


def pair(cls: str, given: Mapping[str, Any]) -> tuple[Chosen, Chosen | None, list[str]]:
    """(sampler, schedule or None, notes) of a class that ``known`` has returned.

    given: its settings. Those that it does not take are not looked at.
    """
    row = SCHEDULERS[cls.removesuffix("Scheduler")]
    settings = Settings(row.defaults, given)
    sampler, levels = row.sampler(settings), row.levels(settings)
    if left := settings.unread():
        settings.notes.append(f"not carried over: {', '.join(left)}")
    return sampler, levels, settings.notes


def takes(cls: str, setting: str) -> bool:
    """Whether a class has that setting, or it tells of the model."""
    return setting in SCHEDULERS[cls.removesuffix("Scheduler")].defaults or setting in MODEL
