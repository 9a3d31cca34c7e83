"""diffusers' classes with their settings, resolved to ours and run beside the classes."""

import ast
import inspect
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers_driver import SD, Draws, Row, Theirs, denoise, start
from diffusers_rows import ROWS
from stride import names, resolve, samplers, schedules
from stride.names import diffusers as classes
from stride.names.diffusers.settings import THRESHOLD
from stride.schedules import ModelSpec
from stride.schedules.configs import facts

diffusers = pytest.importorskip("diffusers", reason="diffusers is in requirements-dev.txt")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # their use of numpy
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def constructor(name):
    import diffusers.schedulers

    return inspect.signature(getattr(diffusers.schedulers, f"{name}Scheduler").__init__).parameters


@pytest.mark.parametrize("name", classes.SCHEDULERS)
def test_settings_and_defaults_are_theirs(name):
    theirs = {k: p.default for k, p in constructor(name).items() if k != "self"}
    ours = dict(classes.SCHEDULERS[name].defaults)
    if name == "TCD":
        assert ours.pop("eta") == 0.3  # of step()
    assert ours.items() <= theirs.items()
    assert theirs.keys() <= ours.keys() | classes.MODEL  # the rest is of the model
    model = facts({"_class_name": f"{name}Scheduler"})
    for setting in theirs.keys() & classes.MODEL:
        assert model[setting] == theirs[setting]


def every_class():
    """Every scheduler class of the diffusers that is installed."""
    import diffusers.schedulers

    return sorted(n for n in dir(diffusers.schedulers)
                  if n.endswith("Scheduler") and inspect.isclass(getattr(diffusers.schedulers, n)))


# Values that are not the default, by the name or the kind of a setting.
OTHER = {
    "beta_schedule": "squaredcos_cap_v2", "trained_betas": [0.1, 0.2, 0.3],
    "prediction_type": "v_prediction", "timestep_spacing": "trailing",
    "final_sigmas_type": "sigma_min", "algorithm_type": "sde-dpmsolver++", "solver_type": "heun",
    "sigma_schedule": "exponential", "time_shift_type": "linear", "tau_func": abs,
    "variance_type": "learned_range", "interpolation_type": "log_linear",
    "timestep_type": "continuous", "disable_corrector": [0], "upscale_mode": "nearest",
    "scale_factors": [1.0], "solver_p": "EulerDiscreteScheduler", "lambda_min_clipped": -5.1,
    "shift_terminal": 0.1, "noise_sampler_seed": 4, "sigma_min": 0.1, "sigma_max": 20.0,
}
SECOND = {  # where that is a class's default
    "sigma_schedule": "karras", "beta_schedule": "linear", "prediction_type": "epsilon",
}
SWITCH = {  # without which a setting says nothing
    "clip_sample_range": {"clip_sample": True}, "flow_shift": {"use_flow_sigmas": True},
    **dict.fromkeys(("sigma_min", "sigma_max"), {"use_karras_sigmas": True}),
    **dict.fromkeys(("dynamic_thresholding_ratio", "sample_max_value"), {"thresholding": True}),
    **dict.fromkeys(("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len",
                     "time_shift_type"), {"use_dynamic_shifting": True}),
}


def other(setting, default):
    if default == "bh2":
        return "bh1"
    if setting in OTHER:
        return OTHER[setting] if OTHER[setting] != default else SECOND[setting]
    if isinstance(default, bool):
        return not default
    return default + 1 if isinstance(default, int) else (default or 0.0) * 0.5 + 0.2


@pytest.mark.parametrize("name", every_class())
def test_each_setting_is_taken_carried_or_told(name):
    """Another value gives another pair, another model, or a note; unknown classes say why."""
    short = name.removesuffix("Scheduler")
    if short not in classes.SCHEDULERS:
        assert short in classes.WITHOUT
        with pytest.raises(ValueError, match=f"'{name}': it has no equal here"):
            resolve(name)
        return
    silent = set()
    if short in ("LCM", "TCD"):
        silent |= {"timestep_spacing", "steps_offset"}  # its list does not look at them
    if short in ("TCD", "CogVideoXDDIM", "CogVideoXDPM"):
        silent |= {"clip_sample", "clip_sample_range", *THRESHOLD}  # its step does not
    for setting, parameter in constructor(short).items():
        if setting == "self":
            continue
        base = {k: v for k, v in SWITCH.get(setting, {}).items() if k in constructor(short)}
        if setting == "steps_offset":
            base = {"timestep_spacing": "leading"}
        given = {**base, setting: other(setting, parameter.default)}
        try:
            found = resolve(name, **given)
        except ValueError as error:
            assert setting in str(error) or "is not one of" in str(error)
            continue
        model = ModelSpec.from_config({"_class_name": name, **given})
        plain = ModelSpec.from_config({"_class_name": name, **base})
        changed = model.sigmas.shape != plain.sigmas.shape or (model.sigmas != plain.sigmas).any()
        told = found != resolve(name, **base) or changed or model.process is not plain.process
        if setting in ("prediction_type", "sigma_data"):
            continue  # of the network: the stepper takes them
        assert told or setting in silent or setting == "num_train_timesteps", setting


def settings(row):
    """What a person would have given, with their functions of time left to our options."""
    given = {**row.config, **row.step}
    return None if "tau_func" in given else given


EQUAL = [row for row in ROWS if not row.differs and settings(row) is not None]


@pytest.mark.parametrize("row", EQUAL, ids=str)
def test_the_sampler_that_was_found_equal(row):
    """Each row is run against diffusers in test_diffusers.py."""
    pair = resolve(f"{row.scheduler}Scheduler", **settings(row))
    given, want = dict(pair.options), samplers.get(row.ours).configure(**row.options)
    if row.options.get("lower_order_final") == "always":
        # For a list that ends at the smallest sigma; ours ends at 0, where this is the default.
        assert any("theirs stops" in note for note in pair.notes)
        given["lower_order_final"] = "always"
    if row.ours == "deis" and row.options["order"] == 1:
        given["variable"] = want.variable  # which one answer alone does not need
    if row.scheduler == "SASolver":  # the window is told by our options
        given.update(tau_start=want.tau_start, tau_end=want.tau_end)
    found = samplers.get(pair.sampler).configure(**given)
    assert type(found) is type(want)
    assert found == want


ZERO, FLOW = {"final_sigmas_type": "zero"}, {"use_flow_sigmas": True, "flow_shift": 3.0,
                                             "prediction_type": "flow_prediction"}
LEADING = {"timestep_spacing": "leading", "steps_offset": 1}
WHOLE = (
    *((name, config)
      for name in ("EulerDiscrete", "HeunDiscrete", "LMSDiscrete", "EulerAncestralDiscrete",
                   "DPMSolverMultistep", "UniPCMultistep")
      for config in ({}, LEADING, {"timestep_spacing": "trailing"})),
    *(("DPMSolverMultistep", {f"use_{curve}": True, **more})
      for curve in ("karras_sigmas", "exponential_sigmas", "beta_sigmas", "lu_lambdas")
      for more in ({}, {"algorithm_type": "sde-dpmsolver++"})),
    ("EulerDiscrete", {"use_karras_sigmas": True}),
    ("KDPM2Discrete", {"use_karras_sigmas": True}),
    ("DPMSolverSDE", {"use_karras_sigmas": True}),
    ("DPMSolverMultistep", {"solver_order": 3, "solver_type": "heun"}),
    ("DDIM", {"clip_sample": False, **LEADING}),
    ("DDIM", {"clip_sample": False, "timestep_spacing": "trailing"}),
    ("DDPM", {"clip_sample": False, "timestep_spacing": "trailing"}),
)


def levels(pair, spec, steps):
    return schedules.get(pair.schedule).sigmas(spec, steps, **pair.schedule_options)


@pytest.mark.parametrize("name, config", WHOLE, ids=str)
def test_whole_runs(name, config, monkeypatch):
    """The class and its settings alone, on our own levels: the same latent.

    20 steps, since theirs has other rules below 15. Their levels are float32.
    """
    pair = resolve(f"{name}Scheduler", **SD, **config)
    assert pair.notes == () or pair.sampler == "dpmpp_3m"
    theirs = Theirs(Row(name, config, pair.sampler, steps=20), monkeypatch)
    want = theirs.run()
    bar = theirs.scheduler.alphas_cumprod.double().numpy()
    found = levels(pair, ModelSpec.from_table(np.sqrt((1 - bar) / bar)), 20).double()
    entry = samplers.get(pair.sampler)
    x = samplers.run(
        lambda s, p: entry.plan(s, p, **pair.options), denoise(theirs.process),
        start() * theirs.sigmas[0], found, theirs.process, noise=Draws(),
    ).x
    assert float((x - want).abs().max() / want.abs().max()) < 2e-4


@pytest.mark.parametrize("name, config", [
    ("DPMSolverMultistep", FLOW), ("UniPCMultistep", FLOW), ("DEISMultistep", FLOW),
])
def test_flow_sigmas(name, config):
    """Time lies within 0.001 of theirs, and sigma rises at most ``shift`` times as fast."""
    pair = resolve(f"{name}Scheduler", **config)
    made = getattr(diffusers, f"{name}Scheduler")(**config)
    made.set_timesteps(20)
    ours = levels(pair, ModelSpec.flow(), 20)[:-1]
    theirs = torch.as_tensor(made.sigmas)[:20]
    assert 0 < float((ours - theirs).abs().max()) < 1e-3 * config["flow_shift"]
    assert any("a thousandth of the time" in note for note in pair.notes)


@pytest.mark.parametrize("config", [
    {"shift": 3.0}, {}, {"use_dynamic_shifting": True},
    {"use_dynamic_shifting": True, "shift_terminal": 0.1},
    {"use_dynamic_shifting": True, "base_shift": 0.25, "max_shift": 0.9},
])
def test_flow_match(config):
    """With what the pipelines of Flux hand over: even sigmas, and mu at 1024 x 1024 pixels."""
    pair = resolve("FlowMatchEulerDiscreteScheduler", **config)
    made = diffusers.FlowMatchEulerDiscreteScheduler(**config)
    mu = {"mu": config.get("max_shift", 1.15)} if "use_dynamic_shifting" in config else {}
    made.set_timesteps(sigmas=np.linspace(1.0, 1 / 12, 12), **mu)
    np.testing.assert_allclose(levels(pair, ModelSpec.flow(), 12), made.sigmas, rtol=2e-5)


def test_flow_heun():
    pair = resolve("FlowMatchHeunDiscreteScheduler", shift=3.0)
    made = diffusers.FlowMatchHeunDiscreteScheduler(shift=3.0)
    made.set_timesteps(12)
    theirs = list(dict.fromkeys(made.sigmas.tolist()))
    np.testing.assert_allclose(levels(pair, ModelSpec.flow(3.0), 12), theirs, rtol=2e-5)


@pytest.mark.parametrize("name", ["LCM", "TCD"])
@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_consistency_models(name, steps):
    made = getattr(diffusers, f"{name}Scheduler")(**SD)
    made.set_timesteps(steps)
    bar = made.alphas_cumprod.double().numpy()
    sigma = np.sqrt((1 - bar) / bar)
    found = levels(resolve(f"{name}Scheduler"), ModelSpec.from_table(sigma), steps)
    np.testing.assert_allclose(found[:-1], sigma[made.timesteps.numpy()], rtol=2e-5)


@pytest.mark.parametrize("name", ["EDMEuler", "EDMDPMSolverMultistep"])
@pytest.mark.parametrize("config", [{}, {"sigma_schedule": "exponential"}, {"rho": 5.0}])
def test_edm(name, config):
    pair = resolve(f"{name}Scheduler", **config)
    made = getattr(diffusers, f"{name}Scheduler")(**config)
    made.set_timesteps(18)
    np.testing.assert_allclose(levels(pair, ModelSpec.edm(0.002, 80.0), 18), made.sigmas, rtol=2e-5)


# What the documentation of diffusers calls A1111's samplers -------------------------------------


@pytest.mark.parametrize("label, name, config", [
    ("DPM++ 2M", "DPMSolverMultistep", {}),
    ("DPM++ 2M Karras", "DPMSolverMultistep", {"use_karras_sigmas": True}),
    ("DPM++ 2M SDE", "DPMSolverMultistep", {"algorithm_type": "sde-dpmsolver++"}),
    ("DPM++ 2M SDE Karras", "DPMSolverMultistep",
     {"use_karras_sigmas": True, "algorithm_type": "sde-dpmsolver++"}),
    ("DPM++ SDE Karras", "DPMSolverSinglestep",
     {"use_karras_sigmas": True, "algorithm_type": "sde-dpmsolver++"}),
    ("DPM2 Karras", "KDPM2Discrete", {"use_karras_sigmas": True}),
    ("DPM2 a Karras", "KDPM2AncestralDiscrete", {"use_karras_sigmas": True}),
    ("Euler", "EulerDiscrete", {}),
    ("Euler a", "EulerAncestralDiscrete", {}),
    ("Heun", "HeunDiscrete", {}),
    ("LMS", "LMSDiscrete", {}),
    ("LMS Karras", "LMSDiscrete", {"use_karras_sigmas": True}),
])
def test_their_own_table_of_names(label, name, config):
    pair, theirs = resolve(label, version="v1.10.1"), resolve(f"{name}Scheduler", **config)
    assert (pair.sampler, pair.options) == (theirs.sampler, theirs.options)
    if "use_karras_sigmas" in config:
        assert pair.schedule == theirs.schedule


# What is said, and what is refused ---------------------------------------------------------------


@pytest.mark.parametrize("name, config, note", [
    ("DDIM", {}, "clamps the clean sample"),
    ("UniPCMultistep", {"thresholding": True}, "bounds the clean sample"),
    ("EulerAncestralDiscrete", {"rescale_betas_zero_snr": True}, "4519 in ComfyUI, at 4096"),
    ("DDIM", {"set_alpha_to_one": False}, "stops at the smallest sigma"),
    ("DPMSolverMultistep", {"final_sigmas_type": "sigma_min"}, "stops at the smallest sigma"),
    ("DEISMultistep", {}, "stops at the smallest sigma"),
    ("EulerDiscrete", {"use_karras_sigmas": True, **LEADING}, "between the ends of the 'leading'"),
    ("UniPCMultistep", {"predict_x0": False}, "extrapolates the noise"),
    ("EulerAncestralDiscrete", {"use_karras_sigmas": True}, "has no use_karras_sigmas"),
    ("EulerDiscrete", {"timestep_type": "continuous"}, "not carried over: timestep_type="),
    ("IPNDM", {}, "levels of its own"),
])
def test_notes(name, config, note):
    pair = resolve(f"{name}Scheduler", **config)
    assert any(note in said for said in pair.notes)
    if "has no" in note:
        assert pair.schedule == "linspace"


def test_where_the_class_may_stand():
    want = names.Pair("dpmpp_2m", {}, "karras")
    cls = "DPMSolverMultistepScheduler"
    assert resolve(cls, use_karras_sigmas=True) == want
    assert resolve(None, cls, use_karras_sigmas=True) == want
    assert resolve(None, scheduler=cls, use_karras_sigmas=True) == want
    assert resolve("dpmpp_2m", scheduler="karras") == want
    assert resolve("dpmpp_2m", cls, use_karras_sigmas=True) == want
    assert resolve(f"diffusers.schedulers.{cls}", "Karras") == want
    with pytest.raises(ValueError, match="is sampler dpmpp_2m, but sampler is 'Euler a'"):
        resolve("Euler a", cls)


def test_options_of_a_step():
    assert resolve("DDIMScheduler", clip_sample=False, eta=0.5).options == {"eta": 0.5}
    assert resolve("TCDScheduler", eta=0.6).options == {"gamma": 0.6}
    pair = resolve("EulerDiscreteScheduler", s_churn=1.0, s_tmax=math.inf)
    assert pair.options == {"s_churn": 1.0}
    assert resolve("LMSDiscreteScheduler", order=2).options == {"ending": "multistep", "order": 2}


@pytest.mark.parametrize("call, message", [
    (lambda: resolve("DPMSolverMultistepsScheduler"), "did you mean DPMSolverMultistepScheduler"),
    (lambda: resolve("RePaintScheduler"), "unknown diffusers scheduler 'RePaintScheduler'"),
    (lambda: resolve("EulerDiscreteScheduler", use_karas_sigmas=True), "no option use_karas_sig"),
    (lambda: resolve("EulerDiscreteScheduler", timestep_spacing="even"), "'even' is not linspace"),
])
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# k-diffusion -------------------------------------------------------------------------------------


@pytest.mark.parametrize("function, curve, want", [
    ("sample_dpmpp_2m", "get_sigmas_karras", ("dpmpp_2m", {}, "karras")),
    ("k_diffusion.sampling.sample_lms", None, ("lms", {"ending": "multistep"}, None)),
    ("sample_dpmpp_2s_ancestral", "get_sigmas_vp", ("dpmpp_2s_ancestral", {}, "vp")),
    ("sample_dpm_fast", "get_sigmas_polyexponential", ("dpm_fast", {}, "polyexponential")),
])
def test_k_diffusion(function, curve, want):
    pair = resolve(function, curve)
    assert (pair.sampler, pair.options, pair.schedule) == want


# The page of the documentation -------------------------------------------------------------------


def table():
    page = (Path(__file__).resolve().parent.parent / "docs" / "names.md").read_text()
    rows = (re.findall(r"\|\s*([^|]*?)\s*(?=\|)", line) for line in page.splitlines())
    return [[cell.strip("`") for cell in row] for row in rows
            if len(row) == 4 and row[0].endswith("Scheduler`")]


def test_the_table_of_the_page():
    rows = table()
    assert {row[0].removesuffix("Scheduler") for row in rows} >= {
        name for name in classes.SCHEDULERS if not name.endswith("Parallel")
    }
    for name, given, sampler, schedule in rows:
        call = ast.parse(f"f({given})", mode="eval").body
        pair = resolve(name, **{k.arg: ast.literal_eval(k.value) for k in call.keywords})
        assert (pair.sampler, pair.schedule or "") == (sampler, schedule), name
