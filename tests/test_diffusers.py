"""diffusers' schedulers, run live in float64, against our samplers on the same sigmas."""

import math

import pytest
import torch

pytest.importorskip("diffusers", reason="diffusers is in requirements-dev.txt")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # their use of numpy
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

from diffusers_rows import ROWS  # noqa: E402
from stride import library, schedules  # noqa: E402


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_scheduler(row, monkeypatch):
    apart = row.apart(monkeypatch)
    if row.differs:
        low, high = row.between
        assert 0 < low < apart < high
    else:
        assert apart < row.within


# The step-wise object in a loop written for diffusers -------------------------------------------


def unet(sample, t):
    """A smooth stand-in for a network, which knows the time only."""
    return 0.6 * torch.tanh(sample * (1.5 - float(t) / 2000)) + 0.2 * sample


def pipeline(scheduler):
    """What diffusers pipelines do; their flow schedulers have neither of the two scalings."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(2, 4, 8, 8, generator=generator, dtype=torch.float64)
    latents = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    scale = getattr(scheduler, "scale_model_input", lambda sample, t: sample)
    for t in scheduler.timesteps:
        scaled = scale(latents, t)
        latents = scheduler.step(unet(scaled, t), t, latents)[0]
    return latents


@pytest.mark.parametrize(
    "name, ours, prediction",
    [("EulerDiscrete", "euler", "epsilon"), ("EulerDiscrete", "euler", "v_prediction"),
     ("HeunDiscrete", "heun", "epsilon"), ("FlowMatchEulerDiscrete", "euler", "flow_prediction")],
)
def test_a_loop_for_diffusers_drives_the_stepper(name, ours, prediction):
    import diffusers.schedulers

    flow = name.startswith("Flow")
    config = {"shift": 3.0} if flow else {
        "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "prediction_type": prediction, "timestep_spacing": "leading", "steps_offset": 1,
    }
    theirs = getattr(diffusers.schedulers, f"{name}Scheduler")(**config)
    theirs.set_timesteps(8)
    levels = list(dict.fromkeys(theirs.sigmas.tolist()))
    spec = schedules.ModelSpec.flow(shift=3.0) if flow else schedules.ModelSpec.discrete()
    stepper = library.stepper(ours, sigmas=levels, model=spec, prediction=prediction)
    assert torch.allclose(stepper.timesteps, theirs.timesteps.float(), atol=1e-2)
    assert torch.allclose(stepper.sigmas.float(), theirs.sigmas, rtol=1e-6)
    if not flow:
        assert math.isclose(stepper.init_noise_sigma, theirs.init_noise_sigma, rel_tol=1e-6)
    want = pipeline(theirs)
    assert torch.allclose(pipeline(stepper), want, rtol=0, atol=1e-4 * float(want.abs().max()))
    x, noise = torch.ones(2, 4), torch.linspace(-1, 1, 8).reshape(2, 4)
    if not flow:  # flow schedulers call it scale_noise
        times = theirs.timesteps[[1, 3]]
        want = theirs.add_noise(x, noise, times)
        assert torch.allclose(stepper.add_noise(x, noise, times), want, rtol=1e-5)
