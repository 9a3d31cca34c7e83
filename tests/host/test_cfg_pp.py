"""CFG++ beside the host's own functions, which get the unconditional answer by a hook."""

import pytest
from host_models import Guided, compare, models
from sampler_rows import host_pairs

pytestmark = pytest.mark.host


@pytest.mark.parametrize("schedule", ["karras", "simple", "sgm_uniform"])
@pytest.mark.parametrize("steps", [1, 2, 8, 30])
@pytest.mark.parametrize("name, model", host_pairs(guided=True))
def test_guided_sampler_equals_the_hosts(comfy, name, model, steps, schedule):
    sampling, spec = models(comfy)[model]
    compare(comfy, name, spec, steps, schedule, Guided(sampling, comfy), Guided(sampling))
