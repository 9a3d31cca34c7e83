"""What a scheduler's settings make of a schedule of ours."""

from __future__ import annotations

from typing import Any

from .settings import Choose, Chosen, Settings

_STOPS = "theirs stops at the smallest sigma, ours goes on to 0"


def spaced(like: str, below: bool = True) -> Choose:
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
    return "flux_shift", {**_line(s), **terminal}


def _line(s: Settings) -> dict[str, Any]:
    """mu by the size of the picture, told by its two values at 256 and at 4096 tokens."""
    if s["base_shift"] is None or s["max_shift"] is None:
        return {k: s[k] for k in ("base_shift", "max_shift") if s[k] is not None}
    first, last = s["base_image_seq_len"] or 256, s["max_image_seq_len"] or 4096
    if (first, last) == (256, 4096):
        return {"base_shift": s["base_shift"], "max_shift": s["max_shift"]}
    slope = (s["max_shift"] - s["base_shift"]) / (last - first)
    return {
        "base_shift": s["base_shift"] + slope * (256 - first),
        "max_shift": s["base_shift"] + slope * (4096 - first),
    }


def flow_match(s: Settings) -> Chosen:
    """The levels of a flow model in the pipelines that hand over even sigmas."""
    shift, terminal = s["shift"], s["shift_terminal"]
    if s["use_dynamic_shifting"]:
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


def flow_heun(s: Settings) -> Chosen:
    """Levels that apply the model's own shift."""
    s.notes.append(f"the shift is the model's own here (theirs: {s['shift']})")
    return "normal", {}


def edm(s: Settings) -> Chosen:
    """A curve over an EDM model's range."""
    s.notes.append("sigma_min and sigma_max are the model's own here")
    s.read |= {"sigma_min", "sigma_max"}
    if s["final_sigmas_type"] == "sigma_min":
        s.notes.append(_STOPS)
    if s["sigma_schedule"] == "exponential":
        return "exponential", {}
    return "karras", {} if s["rho"] == 7.0 else {"rho": s["rho"]}


def lcm(s: Settings) -> Chosen:
    """Levels that a consistency model was distilled on."""
    s.read |= {"timestep_spacing", "steps_offset"}  # which its own list does not look at
    if s["original_inference_steps"] != 50:
        s.notes.append("lcm_timesteps is made of 50 training steps (original_inference_steps)")
    return "lcm_timesteps", {}


def own(s: Settings) -> None:
    """No schedule: the class has levels of its own."""
    s.notes.append("it has levels of its own, which are no schedule here; choose one")


def straight(s: Settings) -> Chosen:
    """A straight line in sigma with a shift."""
    return "linear", {} if s["shift"] in (None, 1.0) else {"shift": s["shift"]}
