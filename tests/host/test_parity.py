"""Our numbers beside the host's own functions, in one process, wherever the host is right."""

import pytest
import torch
from host_models import Denoiser, compare, models
from sampler_rows import host_pairs
from stride import schedules

pytestmark = pytest.mark.host

STEPS = (1, 2, 4, 7, 20, 50, 200)


@pytest.mark.parametrize("model", ["sd", "zsnr", "flow", "flow_unshifted"])
@pytest.mark.parametrize("name", schedules.REGISTRY.names)
def test_schedule_equals_the_hosts(comfy, name, model):
    if name not in comfy.stock_schedulers:
        pytest.skip("the host has no schedule of this name")
    sampling, spec = models(comfy)[model]
    compared = []
    for steps in STEPS:
        theirs = comfy.samplers.calculate_sigmas(sampling, name, steps)
        falling = len(theirs) == steps + 1 and bool((theirs[1:] < theirs[:-1]).all())
        if not falling or theirs[-1] != 0 or theirs[0] > sampling.sigma_max * (1 + 1e-5):
            continue  # the host breaks the contract here
        ours = schedules.get(name).sigmas(spec, steps)
        torch.testing.assert_close(ours, theirs.float(), rtol=1e-4, atol=1e-7)
        compared.append(steps)
    assert len(compared) >= 3, f"the host honours the contract only at {compared}"


@pytest.mark.parametrize("schedule", ["karras", "simple", "sgm_uniform"])
@pytest.mark.parametrize("steps", [1, 2, 8, 30])
@pytest.mark.parametrize("name, model", host_pairs(guided=False))
def test_sampler_equals_the_hosts(comfy, name, model, steps, schedule):
    sampling, spec = models(comfy)[model]
    compare(comfy, name, spec, steps, schedule, Denoiser(sampling), Denoiser(sampling))
