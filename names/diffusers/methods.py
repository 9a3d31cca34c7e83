"""What a scheduler's settings make of a sampler of ours."""

from __future__ import annotations

from typing import Any

from .settings import THRESHOLD, Choose, Chosen, Settings


def plain(name: str, **options: Any) -> Choose:
    """That sampler, whatever the settings."""
    return lambda s: (name, options)


def clipped(s: Settings) -> None:
    """Say where theirs keeps the clean sample within bounds."""
    if "thresholding" not in s.read and s["thresholding"]:
        ratio, most = s["dynamic_thresholding_ratio"], s["sample_max_value"]
        s.notes.append(
            f"theirs bounds the clean sample (thresholding at {ratio}, up to {most}), ours does "
            "not; exact does"
        )
    elif "clip_sample" not in s.read and s["clip_sample"]:
        s.notes.append(
            f"theirs clamps the clean sample (clip_sample, {s['clip_sample_range']}), ours does "
            "not; exact does"
        )


def ddim(name: str) -> Choose:
    """DDIM or DDPM, whose noise is the posterior one."""
    def sampler(s: Settings) -> Chosen:
        if s["variance_type"] not in (None, "fixed_small", "fixed_small_log"):
            s.notes.append(f"variance_type={s['variance_type']!r}: ours is the fixed_small one")
        return name, {}

    return sampler


def multistep(s: Settings) -> Chosen:
    """DPM-Solver in its forms, by algorithm_type and solver_order."""
    order, heun = s["solver_order"], s["solver_type"] == "heun"
    # What its siblings' configs say is taken for the class's own.
    kind = "dpmsolver++" if s["algorithm_type"] in (None, "deis") else s["algorithm_type"]
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


def singlestep(s: Settings) -> Chosen:
    """The single-step forms of DPM-Solver."""
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


def unipc(s: Settings) -> Chosen:
    """UniPC, by solver_type and solver_order."""
    if not s["predict_x0"]:
        s.notes.append("theirs extrapolates the noise (predict_x0=False), ours the clean latent")
    if s["disable_corrector"]:
        s.notes.append("disable_corrector is for single steps; ours corrects all or none")
    order = {} if s["solver_order"] == 3 else {"order": s["solver_order"]}
    return ("uni_pc" if s["solver_type"] == "bh1" else "uni_pc_bh2"), order


def deis(s: Settings) -> Chosen:
    """DEIS in log sigma."""
    if s["use_flow_sigmas"] and s["solver_order"] > 1:
        s.notes.append("on a flow model theirs extrapolates the noise, ours the velocity")
    return "deis", {"order": s["solver_order"], "variable": "log_sigma"}


def sa(s: Settings) -> Chosen:
    """SA-Solver with the short weights of two answers."""
    if s["tau_func"] is not None:
        s.notes.append("tau_func is a function; set tau, tau_start and tau_end")
    s.notes.append("theirs asks for tau at the time where a step starts, ours where it ends")
    orders = {k: s[k] for k in ("predictor_order", "corrector_order")}
    return "sa_solver", {"simple_order_2": True, **orders}


def flow_euler(s: Settings) -> Chosen:
    """Euler, or the jump to clean and back where it is stochastic."""
    if s["invert_sigmas"]:
        s.notes.append("invert_sigmas belongs to a model (Mochi) whose time runs backwards")
    return ("lcm" if s["stochastic_sampling"] else "euler"), {}


def unclipped(name: str) -> Choose:
    """The sampler of a class that has settings of clipping and does not look at them."""

    def sampler(s: Settings) -> Chosen:
        s.read |= {"clip_sample", "clip_sample_range", *THRESHOLD}
        return name, {}

    return sampler


def tcd(s: Settings) -> Chosen:
    """TCD with its eta, which is gamma here."""
    unclipped("tcd")(s)
    return "tcd", {"gamma": s["eta"]}


def ltx_ancestral(s: Settings) -> Chosen:
    """Euler a with its eta and s_noise."""
    return "euler_ancestral", {k: s[k] for k in ("eta", "s_noise") if s[k] != 1.0}


def minimax(s: Settings) -> Chosen:
    """Euler on one step less."""
    s.notes.append("of n steps theirs makes n - 1, and its model's time runs backwards")
    return "euler", {}
