"""The default of every option beside the one that the world gives it.

``DEFAULTS`` has each option once, at the class that declares it; presets have what a sampler or a
schedule sets otherwise. A value is typed from its source, not from the pack. "ours" marks the
values that nobody gave us, or that are another on purpose, and says why. What can be read live is
compared as well: diffusers' signatures below, the host's in host/test_defaults.py.
"""

import inspect
from dataclasses import fields
from typing import Any, NamedTuple

import pytest
from stride import guidance, samplers, schedules
from stride.a1111.settings import Settings
from stride.registry import Options
from stride.samplers import (
    adams,
    adaptive,
    consistency,
    dpm_fast,
    entry,
    er_sde,
    euler,
    exponential_multistep,
    exponential_single,
    restart,
    runge_kutta,
    sa_solver,
    unipc,
)
from stride.schedules import beta, closed_form, flow, log_snr, spacing, spec, tables

K = "k-diffusion "
HOST = "ComfyUI 0.3.75 "
NEWER = "ComfyUI 0.33 "
A1111 = "A1111 1.10.1 "
DIFFUSERS = "diffusers 0.42 "
LTX = "Lightricks/LTX-Video rf.py "
NEUTRAL = "ours: neutral, until a person sets it"

SAMPLERS = {
    entry.Deterministic: {
        "cfg_pp": (False, "ours: as in the host, CFG++ is a name of its own, not a setting"),
    },
    entry.Noisy: {
        "s_noise": (1.0, K + "s_noise=1."),
        "noise": ("independent", "ours: an image of a batch is the image alone"),
        "ensd": (0, A1111 + "eta_noise_seed_delta"),
    },
    entry.Eta: {"eta": (0.0, "arXiv:2010.02502: 0 is the ODE, which these methods are made for")},
    runge_kutta.Churn: {
        "s_churn": (0.0, K + "sample_euler"),
        "s_tmin": (0.0, K + "sample_euler"),
        "s_tmax": (1e6, "ours: k-diffusion's infinity as a number, above any model's sigma"),
    },
    exponential_multistep.Multistep: {
        "order": (2, "arXiv:2211.01095, algorithm 2; " + DIFFUSERS + "solver_order"),
        "solver_type": ("midpoint", K + "sample_dpmpp_2m_sde solver_type='midpoint'"),
        "third": ("exact", "ours: the published code's phi_3 is halved, which costs an order"),
    },
    unipc.UniPC: {
        "order": (3, HOST + "sample_unipc: min(3, ...); " + A1111 + "uni_pc_order"),
        "variant": ("bh1", HOST + "sample_unipc variant='bh1'; " + A1111 + "uni_pc_variant"),
        "corrector": (True, "arXiv:2302.04867, algorithm 1 (UniC)"),
        "lower_order_final": (
            "zero", "ours: the host's lower_order_final=True, but not in the first part of a run"),
    },
    unipc.DCSolver: {
        # Its authors' scheduler has order 2 and bh2, where ours has UniPC's 3 and bh1.
        "ratio": (1.0, "ours: UniPC itself; arXiv:2409.03755 searches the ratios for each model"),
    },
    sa_solver.SASolver: {
        "tau": (1.0, HOST + "sample_sa_solver: eta=1.0; the authors' README: 1"),
        # Of SD1.5 these are 5.09241 and 0.57119; the README's window is 200 <= t <= 800.
        "tau_start": (5.0925, HOST + "percent_to_sigma(0.2), rounded outwards"),
        "tau_end": (0.5711, HOST + "percent_to_sigma(0.8), rounded outwards"),
        "predictor_order": (3, HOST + "sample_sa_solver; the README's, for small cfg"),
        "corrector_order": (4, HOST + "sample_sa_solver; the README's, for small cfg"),
        "pece": (False, HOST + "sample_sa_solver use_pece=False"),
        "simple_order_2": (False, HOST + "sample_sa_solver"),
    },
    er_sde.Extended: {
        "eta": (0.0, "as in all: 0 is the ODE"),
        "max_stage": (3, HOST + "sample_er_sde"),
        "scaler": ("er_sde", HOST + "sample_er_sde: x (exp(x^0.3) + 10)"),
        "points": (200, HOST + "sample_er_sde: num_integration_points"),
    },
    exponential_single.TwoStage: {
        "r": (0.5, K + "sample_dpmpp_sde r=1 / 2; arXiv:2211.01095, algorithm 1"),
        "solver_type": ("phi_1", K + "sample_dpmpp_sde: fac = 1 / (2 * r)"),
    },
    exponential_single.Beyond: {"r": (0.5, K + "sample_dpmpp_sde r=1 / 2")},
    adams.Order: {"order": (4, K + "sample_lms order=4; " + HOST + "sample_ipndm max_order=4")},
    adams.Adams: {
        "order": (4, K + "sample_lms order=4"),
        "ending": ("denoise", HOST + "sample_lms: denoised at sigma 0; k-diffusion goes on"),
    },
    adams.Deis: {"variable": ("time", HOST + "sample_deis: deis_mode='tab', in edm2t's time")},
    adams.Gamma: {"gamma": (2.0, HOST + "sample_gradient_estimation ge_gamma=2.")},
    euler.Versions: {"version": ("regular", NEWER + "SamplerEulerCFGpp")},
    consistency.Growing: {
        "s_noise_end": (-1.0, NEWER + "sample_lcm s_noise_end=None: s_noise"),
        "noise_clip_std": (0.0, NEWER + "sample_lcm, SamplerLCM"),
        "scale_ratio": (1.0, HOST + "SamplerLCMUpscale"),
        "scale_steps": (-1, HOST + "SamplerLCMUpscale"),
        "upscale_method": ("bislerp", HOST + "SamplerLCMUpscale"),
    },
    consistency.Strategic: {
        "gamma": (0.3, DIFFUSERS + "TCDScheduler.step eta=0.3"),
        "clock": ("time", DIFFUSERS + "TCDScheduler: (1 - eta) of the timestep"),
    },
    restart.Intervals: {
        "low": (0.1, A1111 + "restart_sampler: {0.1: [restart_steps + 1, restart_times, 2]}"),
        "high": (2.0, A1111 + "restart_sampler, the same line"),
        "restart_steps": (0, "ours: A1111's rule, 9 or a quarter of the steps"),
        "times": (-1, "ours: A1111's rule, one from 20 steps and two from 36"),
    },
    dpm_fast.Blocks: {
        "longest": (3.0, "ours: a block multiplies its inner answers' errors by up to e^3 = 20"),
    },
    adaptive.Adaptive: {
        "eta": (0.0, K + "sample_dpm_adaptive"),
        "rtol": (0.05, K + "sample_dpm_adaptive"),
        "atol": (0.0078, K + "sample_dpm_adaptive"),
        "h_init": (0.05, K + "sample_dpm_adaptive"),
        "pcoeff": (0.0, K + "sample_dpm_adaptive"),
        "icoeff": (1.0, K + "sample_dpm_adaptive"),
        "dcoeff": (0.0, K + "sample_dpm_adaptive"),
        "accept_safety": (0.81, K + "sample_dpm_adaptive"),
        "max_calls": (1000, "ours: an end for a run that would have none; k-diffusion goes on"),
    },
    adaptive.DpmAdaptive: {"order": (3, K + "sample_dpm_adaptive")},
    adaptive.AdaptiveSteps: {
        "pair": ("bogacki_shampine", "ours: the orders 3 and 2 of DPM adaptive"),
    },
}

ENDS = "ours: 0 is the model's own end, as in A1111's sigma_min and sigma_max"
SIZE = "ours: 0 is the connected latent's; without one " + HOST + "Flux2Scheduler, LTXVScheduler"
FLUX = "black-forest-labs/flux get_schedule "
SCHEDULES = {
    spec.Range: {"sigma_min": (0.0, ENDS), "sigma_max": (0.0, ENDS)},
    closed_form.Rho: {"rho": (7.0, "arXiv:2206.00364, table 1; " + K + "get_sigmas_karras")},
    closed_form.LogRho: {"rho": (1.0, K + "get_sigmas_polyexponential")},
    beta.AlphaBeta: {
        "alpha": (0.6, "arXiv:2407.12173; " + HOST + "beta_scheduler alpha=0.6"),
        "beta": (0.6, "arXiv:2407.12173; " + HOST + "beta_scheduler beta=0.6"),
    },
    log_snr.Laplace: {
        "mu": (0.0, "arXiv:2407.03297; " + HOST + "get_sigmas_laplace mu=0."),
        "beta": (0.5, "arXiv:2407.03297; " + HOST + "get_sigmas_laplace beta=0.5"),
    },
    log_snr.VP: {
        "beta_d": (19.9, "arXiv:2206.00364, table 1; " + K + "get_sigmas_vp"),
        "beta_min": (0.1, "arXiv:2206.00364, table 1; " + K + "get_sigmas_vp"),
        "eps_s": (0.001, "arXiv:2206.00364, table 1; " + K + "get_sigmas_vp"),
    },
    log_snr.EDM: {
        "sigma_min": (0.002, "arXiv:2206.00364, table 1"),
        "sigma_max": (80.0, "arXiv:2206.00364, table 1"),
        "rho": (7.0, "arXiv:2206.00364, table 1"),
    },
    flow.LinearQuadratic: {
        "threshold_noise": (0.025, HOST + "linear_quadratic_schedule threshold_noise=0.025"),
    },
    flow.Linear: {
        "shift": (1.0, DIFFUSERS + "FlowMatchEulerDiscreteScheduler"),
        "terminal": (0.0, "ours: 0 for the same scheduler's shift_terminal=None"),
    },
    flow.Size: {
        "width": (0, SIZE), "height": (0, SIZE),
    },
    flow.FluxShift: {
        "by": ("size", FLUX + "with shift=True: mu is made of the size"),
        "mu": (1.15, FLUX + "max_shift: what the default size gives"),
        "shift": (3.0, "arXiv:2403.03206: SD3 at 1024 x 1024"),
        "base_shift": (0.5, FLUX + "base_shift"),
        "max_shift": (1.15, FLUX + "max_shift"),
        "terminal": (0.0, "ours: 0 for diffusers' shift_terminal=None"),
    },
    flow.LTXV: {
        "tokens": (0, SIZE),
        "base_shift": (0.95, LTX + "min_shift; " + HOST + "LTXVScheduler"),
        "max_shift": (2.05, LTX + "max_shift; " + HOST + "LTXVScheduler"),
        "stretch": (True, HOST + "LTXVScheduler"),
        "terminal": (0.1, LTX + "terminal; " + HOST + "LTXVScheduler"),
    },
    flow.LogitNormal: {
        "mu": (0.0, DIFFUSERS + "Ideogram4Pipeline"),
        "std": (1.5, DIFFUSERS + "Ideogram4Pipeline"),
    },
    spacing.Leading: {
        "steps_offset": (1, "ours: Stable Diffusion's own scheduler_config.json, not diffusers' 0"),
        "like": ("euler", "ours: the scheduler that knows fractional times"),
    },
    spacing.Like: {"like": ("euler", "ours: the scheduler that knows fractional times")},
    tables.AlignChoice: {"table": ("auto", "ours: each model has its own")},
    tables.StableDiffusionChoice: {"table": ("auto", "ours: each model has its own")},
    tables.OptimalChoice: {"table": ("auto", "ours: each model has its own")},
    tables.Coefficient: {"coefficient": (1.2, HOST + "GITSScheduler coeff")},
}

GUIDANCE = {
    guidance.Rescale: {"phi": (0.7, "arXiv:2305.08891, section 3.4; " + HOST + "RescaleCFG")},
    guidance.Threshold: {
        "percentile": (0.995, DIFFUSERS + "dynamic_thresholding_ratio, for arXiv:2205.11487"),
        "limit": (1.0, "arXiv:2205.11487, section 2.3: pixels; " + DIFFUSERS + "sample_max_value"),
        "strength": (1.0, "ours: all of it"),
    },
    guidance.Mimic: {
        "mimic_cfg": (4.0, "ours: a usual cfg of today's models; the extension has 7"),
        "percentile": (1.0, "sd-dynamic-thresholding threshold_percentile"),
        "strength": (1.0, "ours: all of it"),
    },
    guidance.Interval: {"sigma_low": (0.0, NEUTRAL), "sigma_high": (10000.0, NEUTRAL)},
    guidance.Curve: {
        "shape": ("linear", "ours: the plain one"), "start": (1.0, NEUTRAL), "end": (1.0, NEUTRAL),
    },
    guidance.APG: {
        "eta": (0.0, "arXiv:2410.02416's advice; the host's 1 is plain guidance"),
        "norm_threshold": (0.0, "arXiv:2410.02416, algorithm 1: none; the host's 5 and diffusers' "
                                "15 each belong to a model"),
        "momentum": (0.0, "arXiv:2410.02416, algorithm 1: none; " + HOST + "APG"),
    },
    guidance.CFGZero: {
        "fit": (True, "arXiv:2503.18886: what the method is; " + HOST + "CFGZeroStar"),
        "zero_steps": (1, DIFFUSERS + "ClassifierFreeZeroStarGuidance zero_init_steps=1"),
    },
    guidance.Temperature: {
        "temperature": (0.9, "ours: calmer, which it is taken for; the host's TSR has 1 / 0.95"),
        "spread": (0.5, "ours: latents of one kind spread less than all, whose deviation is near "
                        "1, the host's TSR"),
    },
}

SETTINGS = {
    Settings: {
        "noise": ("nv", "ours: randn_source is GPU, which NV imitates on any device"),
        "eta": (1.0, A1111 + "eta_ancestral"),
        "eta_ddim": (0.0, A1111 + "eta_ddim"),
        "ensd": (0, A1111 + "eta_noise_seed_delta"),
        "variation_seed": (0, "ours: subseed is -1, a random one, but its strength is 0"),
        "variation_strength": (0.0, A1111 + "subseed_strength"),
        "fixed_steps": (False, A1111 + "img2img_fix_steps"),
        "discard_penultimate": (False, A1111 + "always_discard_next_to_last_sigma"),
        "sgm_noise_multiplier": (False, A1111 + "sgm_noise_multiplier"),
        "s_churn": (0.0, A1111 + "s_churn"),
        "s_tmin": (0.0, A1111 + "s_tmin"),
        "s_tmax": (0.0, A1111 + "s_tmax"),
        "s_noise": (1.0, A1111 + "s_noise"),
        "sigma_min": (0.0, A1111 + "sigma_min"),
        "sigma_max": (0.0, A1111 + "sigma_max"),
        "rho": (0.0, A1111 + "rho"),
        "old_karras_sigmas": (False, A1111 + "use_old_karras_scheduler_sigmas"),
        "beta_alpha": (0.6, A1111 + "beta_dist_alpha"),
        "beta_beta": (0.6, A1111 + "beta_dist_beta"),
        "unipc_variant": ("bh1", A1111 + "uni_pc_variant"),
        "unipc_skip": ("time_uniform", A1111 + "uni_pc_skip_type"),
        "unipc_order": (3, A1111 + "uni_pc_order"),
        "unipc_lower_order_final": (True, A1111 + "uni_pc_lower_order_final"),
        "noise_multiplier": (1.0, A1111 + "initial_noise_multiplier"),
        "extra_noise": (0.0, A1111 + "img2img_extra_noise"),
        "resize_from_width": (0, "ours: 0 for seed_resize_from_w=-1"),
        "resize_from_height": (0, "ours: 0 for seed_resize_from_h=-1"),
        "quantize": (False, A1111 + "enable_quantization"),
    },
}
DEFAULTS = {**SAMPLERS, **SCHEDULES, **GUIDANCE, **SETTINGS}


class Preset(NamedTuple):
    """What a name sets otherwise than its option class, and why."""

    source: str
    values: dict[str, Any]


def preset(source: str, **values: Any) -> Preset:
    return Preset(source, values)


ANCESTRAL = "the host's function: eta=1."
RES = "arXiv:2308.02157: the phi_2 form"
BROWNIAN = "its eta=1. and its Brownian tree"
HEUN = "a later ComfyUI's sample_exp_heun_2_x0: seeds_2 with r=1.0 and solver_type='phi_2'"
CFG_PP = "arXiv:2406.08070, its name"
SAMPLER_PRESETS = {
    "euler_ancestral": preset(ANCESTRAL, eta=1.0),
    "ddpm": preset("arXiv:2006.11239: eta 1 of arXiv:2010.02502", eta=1.0),
    "euler_cfg_pp": preset(CFG_PP, cfg_pp=True),
    "euler_ancestral_cfg_pp": preset(ANCESTRAL, eta=1.0, cfg_pp=True),
    "ddim_cfg_pp": preset(CFG_PP, cfg_pp=True),
    "dpm_2_ancestral": preset(ANCESTRAL, eta=1.0),
    "dpmpp_2m_cfg_pp": preset(CFG_PP, cfg_pp=True),
    "dpmpp_3m": preset("arXiv:2211.01095 with three answers; its phi_2", order=3,
                       solver_type="heun"),
    "res_multistep": preset(RES, solver_type="heun"),
    "res_multistep_ancestral": preset(f"{ANCESTRAL}; {RES}", eta=1.0, solver_type="heun"),
    "res_multistep_cfg_pp": preset(RES, solver_type="heun", cfg_pp=True),
    "res_multistep_ancestral_cfg_pp": preset(
        f"{ANCESTRAL}; {RES}", eta=1.0, solver_type="heun", cfg_pp=True),
    "uni_pc_bh2": preset(HOST + "sample_unipc_bh2", variant="bh2"),
    "dpmpp_2m_sde": preset(f"{K}sample_dpmpp_2m_sde: {BROWNIAN}", eta=1.0, noise="path"),
    "dpmpp_2m_sde_heun": preset(
        f"{K}sample_dpmpp_2m_sde, solver_type 'heun': {BROWNIAN}", eta=1.0, noise="path",
        solver_type="heun"),
    "dpmpp_3m_sde": preset(
        f"{K}sample_dpmpp_3m_sde: {BROWNIAN}, its phi_2 and its half of phi_3", eta=1.0,
        noise="path", order=3, solver_type="heun", third="published"),
    "dpmpp_2m_sde_cfg_pp": preset("as dpmpp_2m_sde", eta=1.0, noise="path", cfg_pp=True),
    "dpmpp_3m_sde_cfg_pp": preset(
        "as dpmpp_3m_sde", eta=1.0, noise="path", order=3, solver_type="heun", third="published",
        cfg_pp=True),
    "sa_solver_pece": preset(HOST + "sample_sa_solver_pece: use_pece=True", pece=True),
    "er_sde": preset(HOST + "SamplerER_SDE eta=1.0: the paper's noise scaler", eta=1.0),
    "dpmpp_2s_ancestral": preset(ANCESTRAL, eta=1.0),
    "dpmpp_2s_ancestral_cfg_pp": preset(ANCESTRAL, eta=1.0, cfg_pp=True),
    "dpmpp_sde": preset(f"{K}sample_dpmpp_sde: {BROWNIAN}", eta=1.0, noise="path"),
    "res_2s": preset(RES, solver_type="phi_2"),
    "seeds_2": preset(ANCESTRAL, eta=1.0),
    "seeds_3": preset(ANCESTRAL, eta=1.0),
    "exp_heun_2_x0": preset(HEUN, r=1.0, solver_type="phi_2"),
    "exp_heun_2_x0_sde": preset(f"{HEUN}; eta=1.", r=1.0, solver_type="phi_2", eta=1.0),
    "adams_2": preset("its name", order=2),
    "adams_3": preset("its name", order=3),
    "deis": preset(HOST + "sample_deis max_order=3", order=3),
    "gradient_estimation_cfg_pp": preset(CFG_PP, cfg_pp=True),
    "adaptive_steps": preset("ours: at 0.01 its error and its calls are about DPM adaptive's, at "
                             "0.05 the error is up to four times that", rtol=0.01),
}
SCHEDULE_PRESETS = {"beta57": preset("RES4LYF: its name", alpha=0.5, beta=0.7)}
ENTRIES = [
    *((one, SAMPLER_PRESETS.get(one.name)) for one in samplers.REGISTRY),
    *((one, SCHEDULE_PRESETS.get(one.name)) for one in schedules.REGISTRY),
]


def typed(values: dict[str, Any]) -> dict[str, tuple[type, Any]]:
    """So that 1 is neither 1.0 nor True."""
    return {name: (type(value), value) for name, value in values.items()}


def option_classes() -> list[type[Options]]:
    """Those of samplers, schedules, guidance and A1111's settings that declare an option."""
    found, rest = [], [Options]
    while rest:
        rest += (cls := rest.pop()).__subclasses__()
        room = cls.__module__.partition("stride.")[2].partition(".")[0]
        if room in ("samplers", "schedules", "guidance", "a1111") and inspect.get_annotations(cls):
            found.append(cls)
    return found


def of_class(cls: type[Options]) -> dict[str, Any]:
    return {f.name: f.default for f in fields(cls)}


def test_every_option_has_its_row():
    known = {cls: set(inspect.get_annotations(cls)) & set(cls.OPTIONS) for cls in option_classes()}
    assert known == {cls: set(rows) for cls, rows in DEFAULTS.items()}
    assert all(source for rows in DEFAULTS.values() for _, source in rows.values())


@pytest.mark.parametrize(
    "cls", DEFAULTS, ids=lambda cls: f"{cls.__module__.split('.')[-1]}.{cls.__name__}"
)
def test_default_is_the_sources(cls):
    found = of_class(cls)
    expected = {name: value for name, (value, _) in DEFAULTS[cls].items()}
    assert typed({name: found[name] for name in expected}) == typed(expected)


@pytest.mark.parametrize("one, own", ENTRIES, ids=[one.name for one, _ in ENTRIES])
def test_preset_sets_what_its_row_says_and_no_more(one, own):
    usual = of_class(type(one.options))
    values = own.values if own else {}
    assert typed(vars(one.options)) == typed({**usual, **values})
    assert all(usual[name] != value for name, value in values.items()), "a row that says nothing"


def test_every_preset_row_is_somebodys():
    assert set(SAMPLER_PRESETS) <= set(samplers.REGISTRY.names)
    assert set(SCHEDULE_PRESETS) <= set(schedules.REGISTRY.names)
    assert all(own.source for own in (*SAMPLER_PRESETS.values(), *SCHEDULE_PRESETS.values()))


# diffusers' own --------------------------------------------------------------------------------


class Theirs(NamedTuple):
    """ours: a registered name or a patch, and its option. theirs: a class of diffusers, or a
    method of it, and the parameter. differs: their default, where ours is another on purpose."""

    ours: Any
    option: str
    theirs: str
    parameter: str
    differs: Any = None


EDM, SHIFT = "EDMEulerScheduler", "FlowMatchEulerDiscreteScheduler"
READ = [
    Theirs("euler", "s_churn", "EulerDiscreteScheduler.step", "s_churn"),
    Theirs("euler", "s_tmin", "EulerDiscreteScheduler.step", "s_tmin"),
    Theirs("euler", "s_tmax", "EulerDiscreteScheduler.step", "s_tmax", float("inf")),
    Theirs("euler", "s_noise", "EulerDiscreteScheduler.step", "s_noise"),
    Theirs("ddim", "eta", "DDIMScheduler.step", "eta"),
    Theirs("lms", "order", "LMSDiscreteScheduler.step", "order"),
    Theirs("tcd", "gamma", "TCDScheduler.step", "eta"),
    Theirs("dpmpp_2m", "order", "DPMSolverMultistepScheduler", "solver_order"),
    Theirs("dpmpp_2m", "solver_type", "DPMSolverMultistepScheduler", "solver_type"),
    Theirs("uni_pc_bh2", "variant", "UniPCMultistepScheduler", "solver_type"),
    # Guided runs want 2; the host and A1111 have 3 under this name.
    Theirs("uni_pc", "order", "UniPCMultistepScheduler", "solver_order", 2),
    # The host's orders again, which are the authors' for small cfg.
    Theirs("deis", "order", "DEISMultistepScheduler", "solver_order", 2),
    Theirs("sa_solver", "predictor_order", "SASolverScheduler", "predictor_order", 2),
    Theirs("sa_solver", "corrector_order", "SASolverScheduler", "corrector_order", 2),
    Theirs("edm", "sigma_min", EDM, "sigma_min"),
    Theirs("edm", "sigma_max", EDM, "sigma_max"),
    Theirs("edm", "rho", EDM, "rho"),
    Theirs("linear", "shift", SHIFT, "shift"),
    Theirs("flux_shift", "base_shift", SHIFT, "base_shift"),
    Theirs("flux_shift", "max_shift", SHIFT, "max_shift"),
    # What Stable Diffusion's configuration sets it to is 1.
    Theirs("leading", "steps_offset", "EulerDiscreteScheduler", "steps_offset", 0),
    Theirs(guidance.Threshold(), "percentile", "DDPMScheduler", "dynamic_thresholding_ratio"),
    Theirs(guidance.Threshold(), "limit", "DDPMScheduler", "sample_max_value"),
    Theirs(guidance.CFGZero(), "zero_steps", "ClassifierFreeZeroStarGuidance", "zero_init_steps"),
    # Plain guidance, and SDXL's length.
    Theirs(guidance.APG(), "eta", "AdaptiveProjectedGuidance", "eta", 1.0),
    Theirs(guidance.APG(), "norm_threshold", "AdaptiveProjectedGuidance",
           "adaptive_projected_guidance_rescale", 15.0),
]


@pytest.mark.parametrize("row", READ, ids=lambda row: f"{row.theirs}-{row.parameter}")
def test_diffusers_has_the_same_default(row):
    diffusers = pytest.importorskip("diffusers", reason="it is in requirements-dev.txt")
    from diffusers import guiders

    name, _, method = row.theirs.partition(".")
    made = getattr(diffusers, name, None) or getattr(guiders, name)
    theirs = inspect.signature(getattr(made, method or "__init__")).parameters[row.parameter]
    ours = row.ours
    if isinstance(ours, str):
        ours = (samplers if ours in samplers.REGISTRY else schedules).get(ours).options
    ours = getattr(ours, row.option)
    assert theirs.default == (ours if row.differs is None else row.differs)
    assert row.differs is None or row.differs != ours
