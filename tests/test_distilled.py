"""The levels that the trainers of distilled models gave, typed anew, and diffusers live."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stride import schedules
from stride.schedules import ModelSpec

SD, FLOW = ModelSpec.discrete(), ModelSpec.flow()
ZSNR = ModelSpec.discrete(zero_terminal_snr=True)
NAMES = ["lcm_timesteps", "sd_turbo", "sdxl_lightning", "hyper_sd", "flux_schnell", "flux2_turbo",
         "wan_lightning", "qwen_turbo"]
PUBLISHED = [
    # LightX2V-Wan2.2-Lightning issue 3, four digits
    ("wan_lightning", 4, "wan", [1, 0.9375, 0.8333, 0.625]),
    ("wan_lightning", 8, "wan", [1, 0.9722, 0.9375, 0.8929, 0.8333, 0.75, 0.625, 0.4167]),
    # fal/FLUX.2-dev-Turbo
    ("flux2_turbo", 8, "flux2", [1, 0.6509, 0.4374, 0.2932, 0.1893, 0.1108, 0.0495, 0.00031]),
    # ComfyUI's template image_qwen_image_2_1_turbo_t2i
    ("qwen_turbo", 8, "qwen",
     [1, 0.978453, 0.95418, 0.926626, 0.89508, 0.845148, 0.704534, 0.414568]),
    ("flux_schnell", 4, "flux_schnell", [1, 0.75, 0.5, 0.25]),
    ("flux_schnell", 1, "flux_schnell", [1]),
]
TIMESTEPS = [
    ("sdxl_lightning", [999]), ("sdxl_lightning", [999, 499]),
    ("sdxl_lightning", [999, 749, 499, 249]),
    ("sdxl_lightning", [999, 874, 749, 624, 499, 374, 249, 124]),
    ("hyper_sd", [800]), ("hyper_sd", [999, 499]), ("hyper_sd", [999, 749, 499, 249]),
    ("sd_turbo", [999]), ("sd_turbo", [999, 899, 799, 699]),
    ("lcm_timesteps", [999]), ("lcm_timesteps", [999, 759, 499, 259]),
]


@pytest.mark.parametrize("name, steps, family, published", PUBLISHED)
def test_published_sigmas(name, steps, family, published):
    for shift in (1.0, 3.0, 8.0):  # the model's own shift does not enter
        sigmas = schedules.get(name).sigmas(replace(ModelSpec.flow(shift), family=family), steps)
        # Four decimals, and FLUX.2's last with five.
        np.testing.assert_allclose(sigmas[:-1], published, atol=5.1e-5 * (min(published) > 1e-3))
        assert sigmas[-1] == 0 and sigmas[0] == 1
        assert schedules.get(name).note(replace(FLOW, family=family), steps) is None
        # The host's own KSampler does not tell which flow model it is: the levels are the same.
        unknown = schedules.get(name).sigmas(ModelSpec.flow(shift), steps)
        assert torch.equal(unknown, sigmas)


@pytest.mark.parametrize("name, timesteps", TIMESTEPS)
def test_published_timesteps(name, timesteps):
    for spec in (SD, ZSNR):
        sigmas = schedules.get(name).sigmas(replace(spec, family="sdxl"), len(timesteps))
        np.testing.assert_allclose(sigmas[:-1], spec.sigmas[timesteps], rtol=1e-6)


@pytest.mark.parametrize("name, steps", [(n, s) for n in ("sdxl_lightning", "hyper_sd")
                                         for s in (2, 4, 8)] + [("hyper_sd", 12)])
def test_trailing_is_diffusers(name, steps):
    euler = pytest.importorskip("diffusers").EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        timestep_spacing="trailing",
    )
    euler.set_timesteps(steps)
    ours = schedules.get(name).sigmas(SD, steps)
    torch.testing.assert_close(ours, euler.sigmas.float(), rtol=2e-5, atol=0)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 8, 20, 49, 50])
def test_lcm_is_diffusers(steps):
    lcm = pytest.importorskip("diffusers").LCMScheduler()
    lcm.set_timesteps(steps)
    ours = schedules.get("lcm_timesteps").sigmas(SD, steps)
    np.testing.assert_allclose(ours[:-1], SD.sigmas[lcm.timesteps.numpy()], rtol=1e-6)


@pytest.mark.parametrize("name, steps, says", [
    ("wan_lightning", 6, "made for 4 or 8 steps and has no curve for 6"),
    ("flux2_turbo", 20, "made for 8 steps"), ("qwen_turbo", 4, "made for 8 steps"),
    ("flux_schnell", 5, "made for 1 to 4 steps"),
    ("lcm_timesteps", 51, "made for 1 to 50 steps"), ("sd_turbo", 11, "made for 1 to 10 steps"),
    ("sdxl_lightning", 6, "made for 1, 2, 4 or 8 steps"),
    ("hyper_sd", 16, "made for 1, 2, 4, 8 or 12 steps"),
])  # fmt: skip
def test_other_step_counts_are_refused(name, steps, says):
    with pytest.raises(ValueError, match=says):
        schedules.get(name).sigmas(SD, steps)


@pytest.mark.parametrize("name", NAMES)
def test_on_a_foreign_model_it_is_mapped_and_says_so(name):
    entry = schedules.get(name)
    edm = ModelSpec.from_table(np.geomspace(0.002, 80.0, 1000))
    for spec in (edm, SD, ZSNR, FLOW, ModelSpec.flow(12.0)):
        for steps in entry.counts:
            sigmas = entry.sigmas(spec, steps)
            assert len(sigmas) == steps + 1 and (sigmas[1:] < sigmas[:-1]).all()
            full = name != "hyper_sd" or steps > 1
            assert not full or float(sigmas[0]) == pytest.approx(spec.sigma_max, rel=1e-5)
        assert "made for" in entry.note(spec, entry.counts[0])
    assert "mapped through log-SNR" in entry.note(edm, entry.counts[0])
