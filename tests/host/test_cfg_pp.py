"""CFG++ beside the host's own functions, which get the unconditional answer by a hook."""

import pytest
import torch
from host_models import Denoiser, compare, models
from sampler_rows import host_pairs

pytestmark = pytest.mark.host

SCALE = 1.7


class Guided(Denoiser):
    """A model with guidance: it answers (denoised, unconditional), as ours ask for it.

    The host's functions get the denoised alone, through the host's own guidance code, which
    hands the unconditional answer to their hook.
    """

    def __init__(self, sampling, comfy=None):
        super().__init__(sampling)
        self.comfy = comfy

    def __call__(self, x, sigma, model_options=None):
        cond = super().__call__(x, sigma)
        uncond = torch.tanh(0.6 * x / (1 + sigma.reshape(-1, 1, 1, 1))) - 0.05
        if self.comfy is None:
            return uncond + (cond - uncond) * SCALE, uncond
        return self.comfy.samplers.cfg_function(
            None, cond, uncond, SCALE, x, sigma, model_options=model_options
        )


@pytest.mark.parametrize("schedule", ["karras", "simple", "sgm_uniform"])
@pytest.mark.parametrize("steps", [1, 2, 8, 30])
@pytest.mark.parametrize("name, model", host_pairs(guided=True))
def test_guided_sampler_equals_the_hosts(comfy, name, model, steps, schedule):
    sampling, spec = models(comfy)[model]
    compare(comfy, name, spec, steps, schedule, Guided(sampling, comfy), Guided(sampling))
