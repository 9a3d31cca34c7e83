"""diffusers' own timesteps and sigmas, run live, beside our schedules on the same table."""

import math

import numpy as np
import pytest
import torch
from stride import schedules
from stride.schedules import ModelSpec

diffusers = pytest.importorskip("diffusers", reason="diffusers is in requirements-dev.txt")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # their use of numpy
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
STEPS = (2, 3, 7, 10, 20, 25, 30, 50, 333)


def scheduler(name, **config):
    return getattr(diffusers, f"{name}Scheduler")(**config)


def theirs(name, steps, **config):
    """(their scheduler with its sigmas, our view of its model)."""
    made = scheduler(name, **config)
    bar = made.alphas_cumprod.numpy()
    made.set_timesteps(steps)
    return made, ModelSpec.from_table(np.sqrt((1 - bar) / bar))


def compare(schedule, spec, steps, expected, rtol=2e-5, **options):
    # Times in float32: 6e-5 of a step, at most 1e-6 of a sigma; below 1e-5 in all.
    found = schedules.get(schedule).sigmas(spec, steps, **options).numpy()
    np.testing.assert_allclose(found, np.asarray(expected), rtol=rtol, atol=0)


# Timestep spacing --------------------------------------------------------------------------------

FAMILIES = {"euler": "EulerDiscrete", "dpmpp": "DPMSolverMultistep"}


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("like", FAMILIES)
@pytest.mark.parametrize("offset", [0, 1])
def test_leading(like, offset, steps):
    made, spec = theirs(
        FAMILIES[like], steps, timestep_spacing="leading", steps_offset=offset, **SD
    )
    compare("leading", spec, steps, made.sigmas, like=like, steps_offset=offset)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("like", FAMILIES)
def test_linspace(like, steps):
    made, spec = theirs(FAMILIES[like], steps, timestep_spacing="linspace", **SD)
    compare("linspace", spec, steps, made.sigmas, like=like)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("like", FAMILIES)
def test_trailing(like, steps):
    made, spec = theirs(FAMILIES[like], steps, timestep_spacing="trailing", **SD)
    compare("trailing", spec, steps, made.sigmas)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
def test_ddims_whole_timesteps(spacing, steps):
    made, spec = theirs("DDIM", steps, timestep_spacing=spacing, steps_offset=1, **SD)
    options = {} if spacing == "trailing" else {"like": "ddim"}
    expected = np.append(spec.sigmas[made.timesteps.numpy()], 0.0)
    compare(spacing, spec, steps, expected, **options)


def test_what_diffusers_does_with_one_step():
    """linspace starts at time 0, next to no noise: ours starts at the top instead."""
    made, spec = theirs("EulerDiscrete", 1, timestep_spacing="linspace", **SD)
    assert float(made.sigmas[0]) == pytest.approx(spec.sigma_min)
    assert float(schedules.get("linspace").sigmas(spec, 1)[0]) == pytest.approx(spec.sigma_max)


# Curves in sigma ---------------------------------------------------------------------------------

CURVES = {"karras": "karras", "exponential": "exponential", "beta": "beta_a1111"}


@pytest.mark.parametrize("steps", (2, 10, 25))
@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("name", ["DPMSolverMultistep", "UniPCMultistep"])
def test_curve_over_the_whole_table(name, curve, steps):
    config = {f"use_{curve}_sigmas": True, "final_sigmas_type": "zero"}
    made, spec = theirs(name, steps, **config, **SD)
    compare(CURVES[curve], spec, steps, made.sigmas)


@pytest.mark.parametrize("steps", (2, 10, 25))
@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
def test_eulers_curve_between_its_first_and_last_time(spacing, curve, steps):
    """Euler and its like take the ends of the spaced list, so that leading starts lower."""
    config = dict(timestep_spacing=spacing, steps_offset=1, **SD)
    ends = theirs("EulerDiscrete", steps, **config)[0].sigmas
    made, spec = theirs("EulerDiscrete", steps, **{f"use_{curve}_sigmas": True}, **config)
    compare(
        CURVES[curve], spec, steps, made.sigmas,
        sigma_max=min(float(ends[0]), spec.sigma_max), sigma_min=float(ends[-2]),
    )


@pytest.mark.parametrize("steps", (2, 10, 25))
def test_lu(steps):
    made, spec = theirs(
        "DPMSolverMultistep", steps, use_lu_lambdas=True, final_sigmas_type="zero", **SD
    )
    compare("lu", spec, steps, made.sigmas)


# Flow models -------------------------------------------------------------------------------------


def flow(steps, given=None, **config):
    made = scheduler("FlowMatchEulerDiscrete", **config)
    made.set_timesteps(steps, **(given or {}))
    return made.sigmas


def straight(steps):
    """What the pipelines of Flux and its like hand to their scheduler."""
    return {"sigmas": np.linspace(1.0, 1 / steps, steps)}


@pytest.mark.parametrize("steps", (2, 4, 10, 28))
@pytest.mark.parametrize("shift", [1.0, 3.0, 8.0])
def test_flow_without_given_sigmas_is_normal(shift, steps):
    """The shift is applied to an already shifted end, as in the host."""
    compare("normal", ModelSpec.flow(shift), steps, flow(steps, shift=shift))


@pytest.mark.parametrize("steps", (2, 4, 10, 28))
@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0, 8.0])
def test_flow_shift(shift, steps):
    expected = flow(steps, straight(steps), shift=shift)
    compare("linear", ModelSpec.flow(), steps, expected, shift=shift)
    compare("flux_shift", ModelSpec.flow(5.0), steps, expected, by="shift", shift=shift)


@pytest.mark.parametrize("steps", (2, 4, 10, 28))
@pytest.mark.parametrize("width, height", [(256, 256), (512, 768), (1024, 1024), (1536, 1024)])
def test_dynamic_shift(width, height, steps):
    """mu as the Flux pipeline computes it from the number of packed latents."""
    tokens = (width // 16) * (height // 16)
    slope = (1.15 - 0.5) / (4096 - 256)
    mu = tokens * slope + 0.5 - slope * 256
    expected = flow(steps, {**straight(steps), "mu": mu}, use_dynamic_shifting=True)
    compare("flux_shift", ModelSpec.flow(), steps, expected, width=width, height=height)
    compare("flux_shift", ModelSpec.flow(), steps, expected, by="mu", mu=mu)
    linear = flow(
        steps, {**straight(steps), "mu": mu}, use_dynamic_shifting=True, time_shift_type="linear"
    )
    compare("linear", ModelSpec.flow(), steps, linear, shift=mu)


@pytest.mark.parametrize("steps", (2, 4, 10, 28))
@pytest.mark.parametrize("terminal", [0.02, 0.1])
def test_shift_terminal(terminal, steps):
    config = dict(shift_terminal=terminal, use_dynamic_shifting=True)
    expected = flow(steps, {**straight(steps), "mu": 2.05}, **config)
    options = dict(by="mu", mu=2.05, terminal=terminal)
    compare("flux_shift", ModelSpec.flow(), steps, expected, **options)
    compare("ltxv", ModelSpec.flow(), steps, expected, terminal=terminal)
    expected = flow(steps, straight(steps), shift=3.0, shift_terminal=terminal)
    compare("linear", ModelSpec.flow(), steps, expected, shift=3.0, terminal=terminal)


@pytest.mark.parametrize("curve", CURVES)
def test_curve_on_flow(curve):
    ends = flow(12, shift=3.0)
    expected = flow(12, shift=3.0, **{f"use_{curve}_sigmas": True})
    compare(CURVES[curve], ModelSpec.flow(3.0), 12, expected, sigma_min=float(ends[-2]))


@pytest.mark.parametrize("steps", (4, 10, 28, 50, 200))
@pytest.mark.parametrize("size", [(512, 512), (1024, 1024), (2048, 1024)])
def test_flux2_mu(size, steps):
    """Their function lies in a pipeline that needs transformers; its two lines are typed here."""
    tokens = size[0] * size[1] // 256
    late = 0.00016927 * tokens + 0.45666666
    early = 8.73809524e-05 * tokens + 1.89833333
    slope = (late - early) / 190.0
    mu = late if tokens > 4300 else slope * steps + (late - 200.0 * slope)
    expected = flow(steps, {**straight(steps), "mu": mu}, use_dynamic_shifting=True)
    compare("flux2", ModelSpec.flow(), steps, expected, width=size[0], height=size[1])


# The models that they were trained on ------------------------------------------------------------


@pytest.mark.parametrize(
    "ours, word, ends",
    [("scaled_linear", "scaled_linear", (0.00085, 0.012)), ("linear", "linear", (0.0001, 0.02)),
     ("quadratic", "scaled_linear", (0.0001, 0.02)), ("sigmoid", "sigmoid", (0.0001, 0.02)),
     ("squared_cosine", "squaredcos_cap_v2", (None, None))],
)
@pytest.mark.parametrize("count", [1000, 50])
def test_training_noise(ours, word, ends, count):
    config = {} if ends[0] is None else dict(beta_start=ends[0], beta_end=ends[1])
    made = scheduler("DDPM", beta_schedule=word, num_train_timesteps=count, **config)
    bar = made.betas.double().neg().add(1).cumprod(0).numpy()
    expected = np.sqrt(1 / bar - 1)
    spec = ModelSpec.discrete(*ends, timesteps=count, beta_schedule=ours)
    # float32 betas: near 1 the last alphas have few digits left
    np.testing.assert_allclose(spec.sigmas, expected, rtol=2e-4)
    half = count // 2
    np.testing.assert_allclose(spec.sigmas[:half], expected[:half], rtol=1e-5)


def test_exponential_training_noise():
    from diffusers.schedulers.scheduling_euler_discrete import betas_for_alpha_bar

    bar = betas_for_alpha_bar(1000, alpha_transform_type="exp").double().neg().add(1).cumprod(0)
    spec = ModelSpec.discrete(beta_schedule="exponential")
    np.testing.assert_allclose(spec.sigmas, ((1 - bar) / bar).sqrt().numpy(), rtol=1e-4)


def test_zero_terminal_snr():
    """The same rescale; for the last time, where alpha_bar would be 0, all take another value."""
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    bar = torch.cumprod(1 - rescale_zero_terminal_snr(torch.from_numpy(betas)), 0).numpy()
    spec = ModelSpec.discrete(zero_terminal_snr=True)
    np.testing.assert_allclose(spec.sigmas[:-1], np.sqrt(1 / bar[:-1] - 1), rtol=1e-9)
    assert math.isclose(spec.sigma_max, 4518.7637, rel_tol=1e-6)


@pytest.mark.parametrize("low, high", [(0.002, 80.0), (0.002, 700.0)])
def test_edm(low, high):
    """Their EDM scheduler's sigmas are karras on our EDM model, and its times are our clock."""
    made = scheduler("EDMEuler", sigma_min=low, sigma_max=high)
    made.set_timesteps(18)
    spec = ModelSpec.edm(low, high)
    compare("karras", spec, 18, made.sigmas)
    times = [spec.timestep(float(s)) for s in made.sigmas[:-1]]
    np.testing.assert_allclose(times, made.timesteps.numpy(), rtol=1e-5)
    np.testing.assert_allclose(spec.sigma(np.array(times)), made.sigmas[:-1].numpy(), rtol=1e-6)
