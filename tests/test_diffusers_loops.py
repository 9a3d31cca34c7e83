"""The drop-in for diffusers' schedulers: their published loops, and live runs beside them."""

import logging
import math
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import stride
import torch
from diffusers_loops import LOOPS, sample
from stride.names.diffusers import SCHEDULERS
from stride.names.diffusers.exact import NoExactForm

diffusers = pytest.importorskip("diffusers", reason="diffusers is in requirements-dev.txt")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # their use of numpy
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
PAGE = Path(__file__).resolve().parent.parent / "docs" / "diffusers.md"


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def theirs(name, config, steps, **times):
    import diffusers.schedulers

    made = getattr(diffusers.schedulers, f"{name}Scheduler")(**config)
    made.set_timesteps(steps, **times)
    made.is_scale_input_called = True  # or it warns at every step
    return made


def ours(name, config, steps, **more):
    config = {**config, "_class_name": f"{name}Scheduler"}
    return stride.stepper(config=config, steps=steps, exact=True, **more)


def not_met():
    """(class, test) of the page's table of loops that are not met, with the reason."""
    rows = re.findall(r"^\| `(\w+)Scheduler` \| (full_[\w, ]+) \| (.+) \|$", PAGE.read_text(), re.M)
    return {(name, test): reason for name, tests, reason in rows for test in tests.split(", ")}


NOT_MET = not_met()


@pytest.mark.parametrize("loop", LOOPS, ids=str)
def test_published_loops(loop):
    """The numbers of diffusers' own tests, or a reason on the page."""
    more = {"gamma": loop.step["eta"]} if loop.scheduler == "TCD" else {}
    if reason := NOT_MET.get((loop.scheduler, loop.test)):
        assert len(reason) > 20
        try:
            assert not loop.met(loop.run(ours(loop.scheduler, loop.config, loop.steps, **more)))
        except NoExactForm:
            pass
        return
    assert loop.met(loop.run(ours(loop.scheduler, loop.config, loop.steps, **more)))


def test_the_page_counts_them():
    drawn = [loop for loop in LOOPS if (loop.scheduler, loop.test) not in NOT_MET]
    assert f"{len(drawn)} of {len(LOOPS)}" in PAGE.read_text()
    assert NOT_MET.keys() <= {(loop.scheduler, loop.test) for loop in LOOPS}


# Live ---------------------------------------------------------------------------------------------

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
LEADING = {"timestep_spacing": "leading", "steps_offset": 1}
TRAILING = {"timestep_spacing": "trailing"}
SMALLEST = {"final_sigmas_type": "sigma_min"}
ZERO_SNR = {"rescale_betas_zero_snr": True, **TRAILING, "prediction_type": "v_prediction"}
CURVES = [{f"use_{name}_sigmas": True} for name in ("karras", "exponential", "beta")]
FLOW = {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"}
LIVE = (
    *(("EulerDiscrete", given) for given in (
        {}, LEADING, TRAILING, SMALLEST, ZERO_SNR, *CURVES, {**LEADING, **CURVES[0]},
        {"interpolation_type": "log_linear"},
        {"timestep_type": "continuous", "prediction_type": "v_prediction", "sigma_min": 0.002,
         "sigma_max": 700.0, "use_karras_sigmas": True},
    )),
    *(("HeunDiscrete", given) for given in ({}, LEADING, CURVES[0], {"clip_sample": True})),
    *(("KDPM2Discrete", given) for given in ({}, TRAILING, CURVES[1])),
    *(("LMSDiscrete", given) for given in (LEADING, CURVES[2])),
    *(("DDIM", given) for given in (
        {}, LEADING, {**LEADING, "set_alpha_to_one": False, "clip_sample": False},
        {**ZERO_SNR, "clip_sample": False}, {"thresholding": True, "sample_max_value": 2.0},
        {"prediction_type": "sample", "clip_sample_range": 0.5},
    )),
    *(("PNDM", given) for given in (
        LEADING, {**LEADING, "skip_prk_steps": True}, {"skip_prk_steps": True, **TRAILING},
    )),
    *(("DPMSolverMultistep", given) for given in (
        {}, LEADING, SMALLEST, ZERO_SNR, *CURVES, {"use_lu_lambdas": True}, FLOW,
        {"solver_order": 3}, {"solver_order": 3, "solver_type": "heun", **SMALLEST},
        {"euler_at_final": True, **SMALLEST}, {"solver_order": 1},
        {"lambda_min_clipped": -5.1, "beta_schedule": "squaredcos_cap_v2"},
        {"algorithm_type": "dpmsolver", **SMALLEST, "solver_order": 3},
        {"thresholding": True, "sample_max_value": 1.5},
    )),
    *(("DPMSolverSinglestep", given) for given in (
        {}, SMALLEST, CURVES[0], {"solver_type": "heun"}, {"solver_order": 3},
        {"solver_order": 3, "solver_type": "heun", "lower_order_final": True}, {"solver_order": 1},
        {"solver_order": 3, **SMALLEST},
    )),
    *(("UniPCMultistep", given) for given in (
        {}, LEADING, SMALLEST, ZERO_SNR, *CURVES, FLOW, {"solver_order": 3},
        {"solver_type": "bh1", **SMALLEST}, {**CURVES[0], **SMALLEST},
        {"lower_order_final": False, **SMALLEST}, {**FLOW, "shift_terminal": 0.1},
    )),
    *(("DEISMultistep", given) for given in ({}, LEADING, {"solver_order": 3}, CURVES[1])),
    *(("SASolver", {"tau_func": lambda t: 0.0, **given}) for given in (
        {}, LEADING, CURVES[0], {"predictor_order": 3, "corrector_order": 4},
        {"lower_order_final": False},
    )),
    ("CogVideoXDDIM", {**TRAILING, "prediction_type": "v_prediction"}),
    ("CogVideoXDDIM", {**ZERO_SNR, "snr_shift_scale": 1.0}),
    *((name, given) for name in ("EDMEuler", "EDMDPMSolverMultistep") for given in (
        {}, {"sigma_schedule": "exponential"}, SMALLEST, {"prediction_type": "v_prediction"},
    )),
    *(("FlowMatchEulerDiscrete", given) for given in (
        {}, {"shift": 3.0}, {"shift": 3.0, "use_karras_sigmas": True},
        {"shift": 3.0, "shift_terminal": 0.1},
    )),
    ("FlowMatchHeunDiscrete", {"shift": 3.0}), ("FlowMapEulerDiscrete", {"shift": 2.0}),
)


def unet(x, t):
    """A smooth stand-in for a network, which knows the time only."""
    t = torch.as_tensor(t).to(x)
    return 0.6 * torch.tanh(x * (1.5 - t / 2000)) + 0.2 * x


def pipeline(scheduler, dtype=torch.float64, begin=0, **step):
    """What diffusers pipelines do; their flow schedulers have neither of the two scalings."""
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1), dtype=dtype)
    times = scheduler.timesteps[begin:]
    x = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    if begin:
        x = scheduler.add_noise(0.3 * noise.flip(0), noise, times[:1].repeat(2))
    scale = getattr(scheduler, "scale_model_input", lambda x, t: x)
    for t in times:
        x = scheduler.step(unet(scale(x, t), t), t, x, return_dict=False, **step)[0]
    return x


def apart(found, want):
    return float((found - want).abs().max() / want.abs().max())


@pytest.mark.parametrize("steps", [9, 20])
@pytest.mark.parametrize("name, config", LIVE, ids=str)
def test_as_the_class_does(name, config, steps):
    """Their times to the integer, their scale, their end. Theirs rounds to float32 on the way."""
    if name == "PNDM" and "timestep_spacing" in config and steps == 9:
        steps = 10  # its trailing list needs a divisor of 1000
    if name == "DDIM" and config.get("timestep_spacing") == "trailing" and steps == 9:
        steps = 8
    if name == "CogVideoXDDIM" and steps == 9:
        steps = 10
    edm = name.startswith(("EDM", "Flow"))
    config = config if edm else {**SD, **config}
    given, made = ours(name, config, steps), theirs(name, config, steps)
    assert given.timesteps.dtype in (made.timesteps.dtype, torch.float32)
    np.testing.assert_allclose(given.timesteps, made.timesteps, rtol=2e-5, atol=2e-3)
    if not name.startswith("Flow"):
        assert math.isclose(given.init_noise_sigma, made.init_noise_sigma, rel_tol=1e-6)
    assert apart(pipeline(given), pipeline(made)) < 3e-4
    assert pipeline(ours(name, config, steps), torch.float16).dtype == torch.float16


@pytest.mark.parametrize("name, config, begin", [
    ("EulerDiscrete", {}, 7), ("HeunDiscrete", {}, 8), ("DDIM", LEADING, 5),
    ("DPMSolverMultistep", {}, 12), ("UniPCMultistep", {}, 3), ("DPMSolverSinglestep", {}, 4),
    ("DEISMultistep", {}, 19), ("KDPM2Discrete", CURVES[0], 6),
])
def test_a_start_in_the_middle(name, config, begin):
    """img2img: the loop over timesteps[k:], with and without the index told before."""
    want = pipeline(theirs(name, {**SD, **config}, 20), begin=begin)
    stepper = ours(name, {**SD, **config}, 20)
    assert apart(pipeline(stepper, begin=begin), want) < 3e-4
    stepper.set_begin_index(begin)
    assert apart(pipeline(stepper, begin=begin), want) < 3e-4
    stepper.reset()
    assert apart(pipeline(stepper), pipeline(theirs(name, {**SD, **config}, 20))) < 3e-4


def test_pndm_begins_at_its_beginning():
    with pytest.raises(ValueError, match="cannot begin in the middle"):
        ours("PNDM", {**SD, "skip_prk_steps": True}, 20).set_begin_index(5)
    with pytest.raises(ValueError, match="4 at least"):
        ours("PNDM", SD, 3)


@pytest.mark.parametrize("name, config, options, step", [
    ("EulerAncestralDiscrete", {}, {}, {}), ("SASolver", {}, {}, {}),
    ("KDPM2AncestralDiscrete", {}, {}, {}), ("LCM", {}, {}, {}),
    ("DDIM", {"clip_sample": False, **LEADING}, {"eta": 0.7}, {"eta": 0.7}),
    ("DDIM", LEADING, {"eta": 1.0}, {"eta": 1.0}),
    ("DDPM", {**LEADING, "clip_sample_range": 2.0}, {}, {}),
    ("DPMSolverMultistep", {"algorithm_type": "sde-dpmsolver++"}, {}, {}),
    ("DPMSolverSinglestep", {"algorithm_type": "sde-dpmsolver++"}, {}, {}),
    ("TCD", {}, {"gamma": 0.5}, {"eta": 0.5}),
    ("FlowMatchEulerDiscrete", {"stochastic_sampling": True, "shift": 3.0}, {}, {}),
])
def test_a_generator_draws_what_theirs_draws(name, config, options, step):
    config = config if name.startswith("Flow") else {**SD, **config}
    draws = [torch.Generator().manual_seed(7) for _ in range(2)]
    made, stepper = theirs(name, config, 10), ours(name, config, 10, **options)
    made.step = partial(made.step, **step)
    want = pipeline(made, torch.float32, generator=draws[0])
    found = pipeline(stepper, torch.float32, generator=draws[1])
    assert apart(found, want) < 1e-3


def test_what_a_pipeline_hands_over():
    """Flux: even sigmas and mu by the size of the picture."""
    config = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}
    line = np.linspace(1.0, 1 / 8, 8)
    made = theirs("FlowMatchEulerDiscrete", config, None, sigmas=line, mu=0.9)
    stepper = ours("FlowMatchEulerDiscrete", config, 8, sigmas=line, mu=0.9)
    assert torch.allclose(stepper.timesteps, made.timesteps, rtol=1e-6)
    assert apart(pipeline(stepper), pipeline(made)) < 1e-5
    with pytest.raises(ValueError, match="needs mu"):
        ours("FlowMatchEulerDiscrete", config, 8)


def test_a_network_that_answers_its_variance_too():
    """DeepFloyd's: six channels for three, of which the solvers take the first ones."""
    config = {**SD, "variance_type": "learned_range"}
    x = sample().double()
    out = torch.cat([0.3 * x, x.flip(0)], dim=1)
    made = theirs("DPMSolverMultistep", config, 10)
    stepper = ours("DPMSolverMultistep", config, 10)
    t = stepper.timesteps[0]
    want = made.step(out, t, x).prev_sample
    assert apart(stepper.step(out, t, x).prev_sample, want) < 1e-6


def test_noise_is_added_on_their_scale():
    x, noise = sample().double(), sample(backwards=True).double()
    for name in ("DDIM", "PNDM", "DPMSolverMultistep", "EulerDiscrete", "UniPCMultistep"):
        made, stepper = theirs(name, SD, 20), ours(name, SD, 20)
        times = made.timesteps[[1, 3, 5, 19]]
        found, want = (one.add_noise(x, noise, times) for one in (stepper, made))
        assert torch.allclose(found, want, rtol=1e-5), name


@pytest.mark.parametrize("name, config, why", [
    ("PNDM", {"prediction_type": "v_prediction"}, "extrapolates v"),
    ("DDIM", TRAILING, "steps by 33 times whatever its list says"),
    ("UniPCMultistep", {"predict_x0": False}, "extrapolates the noise"),
    ("DDPM", {"variance_type": "fixed_large"}, "another noise"),
    ("CosineDPMSolverMultistep", {}, "Brownian tree"),
    ("IPNDM", {}, "without any signal"),
])
def test_what_has_no_exact_form(name, config, why):
    with pytest.raises(ValueError, match=why):
        ours(name, config, 30)


def test_bad_input():
    with pytest.raises(ValueError, match="needs its '_class_name'"):
        stride.stepper(config=SD, steps=5, exact=True)
    with pytest.raises(ValueError, match="needs a scheduler config or a class"):
        stride.stepper("euler", steps=5, exact=True)
    with pytest.raises(ValueError, match="takes levels and model from the config alone"):
        stride.stepper("EulerDiscreteScheduler", "karras", 5, exact=True)
    with pytest.raises(ValueError, match="did you mean EulerDiscreteScheduler"):
        stride.stepper(config={"_class_name": "EulerDiscretScheduler"}, steps=5)
    with pytest.raises(ValueError, match="steps_offset 200 leads past the model's times"):
        ours("DDIM", {**SD, "steps_offset": 200}, 10)
    with pytest.raises(ValueError, match="steps must be a whole number from 1"):
        ours("DDIM", SD, 0)
    with pytest.raises(ValueError, match=r"can begin with call 0, 2, 4, 6, 8, not with 1"):
        ours("HeunDiscrete", SD, 5).set_begin_index(1)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_class_is_met_or_refused(name):
    """With its defaults, at 10 steps."""
    try:
        stepper = ours(name, {}, 10, **({"mu": 1.0} if name.startswith("FlowMatch") else {}))
    except NoExactForm as error:
        assert f"`{name}Scheduler`" in PAGE.read_text(), error
        return
    assert len(stepper) >= 10
