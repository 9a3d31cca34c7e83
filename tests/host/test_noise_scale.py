"""Models that were trained on stronger noise (``noise_scale`` of newer hosts, HiDream-O1: 8).

A network whose answer is 0 leaves nothing but noise in x, so x.std() / sigma tells how strong it
is: the model's 8 at every level, whatever renews it.
"""

import pytest
import torch
from host_models import Denoiser, flow
from stride import samplers

pytestmark = pytest.mark.host

SCALE = 8.0
SIGMAS = torch.tensor([1.0, 0.95, 0.89, 0.81, 0.7, 0.55, 0.36, 0.15, 0.0])
START = SCALE * torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(1))
NOISY = [entry for entry in samplers.REGISTRY
         if "s_noise" in entry.options.OPTIONS and not entry.adaptive]
STRONG = {"eta": 1.0, "s_churn": 4.0, "tau": 1.0, "restart_steps": 3, "high": 1.0}


class Silent(Denoiser):
    """A model that sees nothing in x."""

    def __call__(self, x, sigma, **extra):
        none = torch.zeros_like(x)
        for hook in (extra.get("model_options") or {}).get("sampler_post_cfg_function", ()):
            hook({"denoised": none, "cond": 1, "uncond": 1, "cond_denoised": none,
                  "uncond_denoised": none})
        return none


def silent(comfy, scale):
    sampling = flow(comfy)
    sampling.noise_scale = scale  # older hosts have no such attribute
    return Silent(sampling)


@pytest.fixture
def model(comfy):
    return silent(comfy, SCALE)


def strengths(sampler, model, start=START, sigmas=SIGMAS, **extra):
    """x.std() / sigma at every model call that is told of, but the first."""
    found = []
    sampler.sampler_function(
        model, start.clone(), sigmas, extra_args={"seed": 3, **extra}, disable=True,
        callback=lambda info: found.append(float(info["x"].std() / info["sigma_hat"])),
        **sampler.extra_options,
    )
    return found[1:]


def made(comfy, entry, **options):
    from stride.host.run.ours import HostRun

    has = {name: value for name, value in options.items() if name in entry.options.OPTIONS}
    return comfy.samplers.KSAMPLER(HostRun(entry, entry.configure(**has)))


@pytest.mark.parametrize("entry", NOISY, ids=lambda entry: entry.name)
def test_all_fresh_noise_is_as_strong_as_the_model_was_trained_on(comfy, model, entry):
    """Such a run is linear in its noise: eight times the plain one, step by step."""
    sampler = made(comfy, entry, **STRONG)
    plain = strengths(sampler, silent(comfy, 1.0), START / SCALE)
    found = strengths(sampler, model)
    assert len(found) >= 3 and found == pytest.approx([SCALE * size for size in plain], rel=1e-4)


@pytest.mark.parametrize(
    "name", ["euler", "euler_ancestral", "ddpm", "lcm", "tcd", "dpmpp_2m_sde", "dpmpp_3m_sde",
             "seeds_2", "seeds_3", "er_sde", "restart", "dpm_adaptive", "adaptive_steps"]
)  # fmt: skip
def test_the_noise_of_a_run_stays_as_strong(comfy, model, name):
    found = strengths(made(comfy, samplers.get(name), **STRONG), model)
    assert found == pytest.approx([SCALE] * len(found), rel=0.06)


@pytest.mark.parametrize("noise", samplers.entry.NOISES)
def test_whatever_stream_it_comes_from(comfy, model, noise):
    found = strengths(made(comfy, samplers.get("lcm"), noise=noise), model)
    assert found == pytest.approx([SCALE] * len(found), rel=0.06)


def test_injected_noise_is_a_share_of_it(comfy, model):
    """Half of the level's noise more has sqrt(1.25) times its strength; ours and the host's."""
    from stride.host.run import wrappers

    sigmas = torch.tensor([0.9, 0.5, 0.1])
    theirs = comfy.samplers.sampler_object("euler")
    for sampler in (made(comfy, samplers.get("euler")), theirs):
        noisy = wrappers.injecting(sampler, 0.5, 0.2, 1.0)
        (found,) = strengths(noisy, model, 0.9 * START, sigmas)
        assert found == pytest.approx(SCALE * 1.25**0.5, rel=0.03)


@pytest.mark.parametrize("name", ["euler_ancestral", "dpmpp_2m_sde", "lcm", "seeds_3", "er_sde"])
def test_noise_host_is_the_hosts_there(comfy, model, name):
    if not hasattr(comfy.model_sampling.ModelSamplingDiscreteFlow, "set_noise_scale"):
        pytest.skip("this host knows no noise scale")
    sigmas = SIGMAS[1:]  # at 1 theirs moves the level
    ends = [
        sampler.sampler_function(
            model, sigmas[0] * START, sigmas[:-1], extra_args={"seed": 3}, disable=True
        )
        for sampler in (made(comfy, samplers.get(name), noise="host"),
                        comfy.samplers.sampler_object(name))
    ]
    torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-3)
