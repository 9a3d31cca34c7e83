"""Our numbers beside the host's own functions, in one process, wherever the host is right."""

import pytest
from host_models import Denoiser, compare, models
from sampler_rows import host_pairs

pytestmark = pytest.mark.host


@pytest.mark.parametrize("schedule", ["karras", "simple", "sgm_uniform"])
@pytest.mark.parametrize("steps", [1, 2, 8, 30])
@pytest.mark.parametrize("name, model", host_pairs(guided=False))
def test_sampler_equals_the_hosts(comfy, name, model, steps, schedule):
    sampling, spec = models(comfy)[model]
    compare(comfy, name, spec, steps, schedule, Denoiser(sampling), Denoiser(sampling))
