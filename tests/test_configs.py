"""Whole scheduler configs of diffusers: their settings, their models, and the library's calls."""

import math

import numpy as np
import pytest
import stride
import torch
from diffusers_driver import SD, denoise
from stride import resolve, schedules
from stride.process import FLOW
from stride.schedules import ModelSpec

diffusers = pytest.importorskip("diffusers", reason="diffusers is in requirements-dev.txt")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # their use of numpy
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def denoise_of(process):
    """A denoiser for latents [B, n]."""
    model = denoise(process)
    return lambda x, sigma: model(x[:, :, None, None], sigma)[:, :, 0, 0]


SDXL = {
    "_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.19.0.dev0",
    "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "clip_sample": False, "interpolation_type": "linear", "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False,
    "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "leading",
    "trained_betas": None, "use_karras_sigmas": False,
}


def test_settings_of_another_class_are_told():
    """SDXL's config was saved by a class that had more of them; diffusers ignores these."""
    pair = resolve(SDXL["_class_name"], **SDXL)
    assert (pair.sampler, pair.schedule, pair.schedule_options) == (
        "euler", "leading", {"steps_offset": 1})
    assert any("sample_max_value" in note and "ignores it" in note for note in pair.notes)
    odd = resolve("DDIMScheduler", _class_name="DDIMScheduler", of_nobody=3)
    assert any("of_nobody" in note for note in odd.notes)
    alone = resolve("EulerDiscreteScheduler", sample_max_value=1.0)
    assert alone.sampler == "euler"
    with pytest.raises(ValueError, match="no option of_nobody"):
        resolve("DDIMScheduler", of_nobody=3)


@pytest.mark.parametrize("base, top, seqs, at_256, at_4096", [
    (0.5, 0.9, (256, 8192), 0.5, 0.69355), (0.5, 1.15, (256, 6400), 0.5, 0.90625),
    (0.95, 2.05, (1024, 4096), 0.675, 2.05), (0.5, 1.15, (256, 4096), 0.5, 1.15),
])
def test_the_line_of_mu_is_carried_over(base, top, seqs, at_256, at_4096):
    """Qwen-Image, Krea, LTX and Flux: the straight line through their two points."""
    pair = resolve(
        "FlowMatchEulerDiscreteScheduler", use_dynamic_shifting=True, base_shift=base,
        max_shift=top, base_image_seq_len=seqs[0], max_image_seq_len=seqs[1],
    )
    found = pair.schedule_options
    assert found["base_shift"] == pytest.approx(at_256, abs=1e-5)
    assert found["max_shift"] == pytest.approx(at_4096, abs=1e-5)
    assert not any("seq_len" in note for note in pair.notes)
    tokens = 1328 * 1328 // 256
    mu = base + (top - base) * (tokens - seqs[0]) / (seqs[1] - seqs[0])
    made = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    made.set_timesteps(sigmas=np.linspace(1.0, 1 / 8, 8), mu=mu)
    levels = schedules.get("flux_shift").sigmas(
        ModelSpec.flow(), 8, width=1328, height=1328, **found)
    np.testing.assert_allclose(levels, made.sigmas, rtol=1e-5)


@pytest.mark.parametrize("name, config", [
    ("EulerDiscrete", {}), ("HeunDiscrete", {}), ("LCM", {}),
    ("EulerDiscrete", {"beta_schedule": "squaredcos_cap_v2", "beta_end": 0.02}),
    ("DDPM", {"beta_schedule": "sigmoid"}), ("HeunDiscrete", {"beta_schedule": "exp"}),
    ("DDPM", {"beta_schedule": "laplace"}),
    ("DPMSolverMultistep", {**SD, "rescale_betas_zero_snr": True}),
    ("UniPCMultistep", {"trained_betas": np.linspace(1e-4, 0.03, 500)}),
    ("DDIM", {**SD, "num_train_timesteps": 1100}), ("CogVideoXDDIM", {}), ("UnCLIP", {}),
    ("CogVideoXDDIM", {"snr_shift_scale": 1.0}),
])
def test_the_model_of_a_config(name, config):
    """The table that the class holds, bit for bit."""
    made = getattr(diffusers, f"{name}Scheduler")(**config)
    bar = made.alphas_cumprod.double().numpy()
    spec = ModelSpec.from_config({**config, "_class_name": f"{name}Scheduler"})
    np.testing.assert_array_equal(spec.sigmas, np.sqrt((1 - bar) / bar))


def test_models_without_a_table():
    flow = ModelSpec.from_config({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0})
    assert (flow.process, flow.shift) == (FLOW, 3.0)
    wan = ModelSpec.from_config({
        "_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True, "flow_shift": 5.0})
    assert (wan.process, wan.shift) == (FLOW, 5.0)
    edm = ModelSpec.from_config({"_class_name": "EDMEulerScheduler"})
    assert (edm.sigma_min, edm.sigma_max) == pytest.approx((0.002, 80.0))
    svd = ModelSpec.from_config({
        "_class_name": "EulerDiscreteScheduler", "timestep_type": "continuous",
        "prediction_type": "v_prediction", "sigma_min": 0.002, "sigma_max": 700.0})
    assert svd.timestep(700.0) == pytest.approx(0.25 * math.log(700.0))
    cog = ModelSpec.from_config({
        "_class_name": "CogVideoXDPMScheduler", "rescale_betas_zero_snr": True})
    assert cog.sigma_max == pytest.approx(4518.76, rel=1e-5)
    with pytest.raises(ValueError, match="beta_schedule 'cubic' is not one of linear"):
        ModelSpec.from_config({"beta_schedule": "cubic"})


def test_a_cosine_table_has_its_own_end():
    """As in diffusers and the host, whatever beta_end says: the cap is 0.999."""
    spec = ModelSpec.discrete(0.0001, 0.02, beta_schedule="squaredcos_cap_v2")
    assert spec.sigma_max == pytest.approx(20291, rel=1e-4)
    made = diffusers.DPMSolverMultistepScheduler(beta_schedule="squaredcos_cap_v2")
    bar = made.alphas_cumprod.double().numpy()
    np.testing.assert_allclose(spec.sigmas, np.sqrt((1 - bar) / bar), rtol=2e-2)  # float32 theirs


def test_a_huge_picture_is_told():
    """At 6400 pixels flux_shift leaves all to the last step; at 1024 it says nothing."""
    curve, spec = schedules.get("flux_shift"), ModelSpec.flow()
    assert "leaves the last step 1 of the noise" in curve.note(spec, 4, width=6400, height=6400)
    assert "leaves the last" not in curve.note(spec, 20)
    assert curve.note(spec, 4, width=2048, height=2048) is None
    assert "leaves the last step 0.99" in curve.note(spec, 20, by="mu", mu=10.0)


def test_sample_and_stepper_take_a_class_with_its_settings():
    x = torch.linspace(-1.5, 1.5, 8, dtype=torch.float64).reshape(2, 4)
    spec = ModelSpec.discrete()
    ve, flow = denoise_of(spec.process), denoise_of(FLOW)
    found = stride.sample(
        ve, x * 14.6, "EulerDiscreteScheduler", steps=8, timestep_spacing="trailing")
    assert torch.equal(found, stride.sample(ve, x * 14.6, "euler", "trailing", 8))
    found = stride.sample(
        flow, x, "FlowMatchEulerDiscreteScheduler", steps=8, shift=3.0)
    want = stride.sample(flow, x, "euler", "linear", 8, ModelSpec.flow(),
                         schedule_options={"shift": 3.0})
    assert torch.equal(found, want)
    stepper = stride.stepper("FlowMatchEulerDiscreteScheduler", steps=8, shift=3.0)
    assert stepper.prediction == "flow"
    with pytest.raises(ValueError, match="no option of_nobody"):
        stride.sample(ve, x, "EulerDiscreteScheduler", steps=8, of_nobody=1)


def test_sample_and_stepper_take_a_whole_config():
    x = torch.linspace(-1.5, 1.5, 8, dtype=torch.float64).reshape(2, 4)
    ve = denoise_of(ModelSpec.discrete().process)
    spec = ModelSpec.from_config(SDXL)
    want = stride.sample(ve, x * 8, "euler", "leading", 8, spec)
    assert torch.equal(stride.sample(ve, x * 8, config=SDXL, steps=8), want)
    stepper = stride.stepper(config={**SDXL, "prediction_type": "v_prediction"}, steps=8)
    assert stepper.prediction == "v"
    assert any("sample_max_value" in note for note in stepper.notes)
    # Another class reads it, as its from_config would, and any sampler runs on its levels.
    other = stride.stepper("DPMSolverMultistepScheduler", config=SDXL, steps=8)
    like = stride.stepper("dpmpp_2m", "leading", 8, spec, schedule_options={"like": "dpmpp"})
    assert torch.equal(other.sigmas, like.sigmas)
    heun = stride.stepper("heun", config=SDXL, steps=8)
    assert len(heun) == 15 and torch.equal(heun.sigmas[[0, -1]], stepper.sigmas[[0, -1]])
