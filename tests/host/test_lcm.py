"""LCM's options and Euler CFG++'s other version, beside what the host's nodes of the same do."""

import inspect

import pytest
import torch
from client import Failed
from host_models import Denoiser, Guided, flow, models
from stride import samplers, schedules
from stride.samplers import Draw, KeyedNoise

pytestmark = pytest.mark.host


def listed(comfy, model, steps):
    sampling, spec = models(comfy)[model]
    return sampling, spec.process, schedules.get("sgm_uniform").sigmas(spec, steps).double()


def start(sigmas, batch=1, size=(12, 10)):
    x = torch.randn(batch, 4, *size, generator=torch.Generator().manual_seed(1)).double()
    return x * sigmas[0]


def ours(name, denoise, x, sigmas, process, seed=3, **options):
    return samplers.sample(name, denoise, x, sigmas, process, seed=seed, **options)


@pytest.mark.parametrize("model", ["sd", "flow"])
@pytest.mark.parametrize("options", [
    {"s_noise": 1.0, "s_noise_end": 0.3, "noise_clip_std": 2.5}, {"s_noise": 0.0, "s_noise_end": 2},
    {"s_noise": 1.7}, {"noise_clip_std": 0.5},
])  # fmt: skip
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_noise_of_lcm_changes_on_the_way(comfy, model, options, steps):
    """x' = alpha' D + sigma' gain clip(z), written down again, and the host's where it has that."""
    sampling, process, sigmas = listed(comfy, model, steps)
    x, noise, denoise = start(sigmas), KeyedNoise(3, range(1)), Denoiser(sampling)
    first, clip = options.get("s_noise", 1.0), options.get("noise_clip_std", 0.0)
    last = options.get("s_noise_end", first)

    def drawn(sigma, sigma_next):
        return noise(x, Draw(1.0, float(sigma), float(sigma_next)))

    wanted = x
    for k, (sigma, level) in enumerate(zip(sigmas.tolist(), sigmas.tolist()[1:])):
        wanted = process.alpha(level) * denoise(wanted, sigmas.new_tensor([sigma]))
        if level:
            z = drawn(sigma, level)
            z = z.clamp(-clip * z.std(), clip * z.std()) if clip else z
            wanted = wanted + level * (first + (last - first) * k / max(steps - 1, 1)) * z
    found = ours("lcm", denoise, x, sigmas, process, **options)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    function = comfy.k_diffusion.sample_lcm
    if "s_noise_end" in inspect.signature(function).parameters:
        theirs = function(denoise, x, sigmas, disable=True, noise_sampler=drawn, **options)
        torch.testing.assert_close(found, theirs, rtol=1e-6, atol=1e-6)


def test_a_cut_is_each_images_own(comfy):
    """So that an image of a batch is the image alone; the host cuts by the whole batch's spread."""
    sampling, process, sigmas = listed(comfy, "flow", 4)
    x = start(sigmas, batch=2)
    both = ours("lcm", Denoiser(sampling), x, sigmas, process, noise_clip_std=1.0)
    one = ours("lcm", Denoiser(sampling), x[:1], sigmas, process, noise_clip_std=1.0)
    torch.testing.assert_close(both[:1], one)


GROWN = [(2.0, -1), (1.5, 3), (0.5, 2), (1.3, 0), (3.0, 20)]


@pytest.mark.parametrize("ratio, steps", GROWN)
@pytest.mark.parametrize("method", ["bislerp", "nearest-exact", "bilinear", "area", "bicubic"])
def test_a_latent_grows_as_the_hosts(comfy, ratio, steps, method, monkeypatch):
    """The host's function on the same noise, which it draws from the global generator."""
    from comfy_extras.nodes_advanced_samplers import sample_lcm_upscale
    from stride.host.run.ours import HostRun

    sampling, _, sigmas = listed(comfy, "sd", 6)
    sigmas, denoise = sigmas.float(), Denoiser(sampling)
    x, noise, left = start(sigmas).float(), KeyedNoise(3, range(1)), iter(zip(sigmas, sigmas[1:]))
    monkeypatch.setattr(torch, "randn_like", lambda like: noise(like, Draw(
        1.0, *map(float, next(left)))))  # fmt: skip
    theirs = sample_lcm_upscale(
        denoise, x.clone(), sigmas, disable=True, total_upscale=ratio, upscale_method=method,
        upscale_steps=None if steps < 0 else steps,
    )
    lcm = samplers.get("lcm")
    options = lcm.configure(scale_ratio=ratio, scale_steps=steps, upscale_method=method)
    found = HostRun(lcm, options)(denoise, x.clone(), sigmas, {"seed": 3}, disable=True)
    assert found.shape == theirs.shape
    torch.testing.assert_close(found, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", ["sd", "flow"])
def test_the_other_cfg_pp_is_the_hosts(comfy, model):
    from comfy_extras.nodes_advanced_samplers import sample_euler_pp

    sampling, process, sigmas = listed(comfy, model, 8)
    x = start(sigmas)
    theirs = sample_euler_pp(Guided(sampling, comfy), x.clone(), sigmas, {}, disable=True)
    found = ours("euler_cfg_pp", Guided(sampling), x, sigmas, process, version="alternative")
    regular = ours("euler_cfg_pp", Guided(sampling), x, sigmas, process)
    torch.testing.assert_close(found, theirs, rtol=1e-9, atol=1e-9)
    assert (found - regular).abs().mean() > 1e-2


def test_a_latent_grows_in_a_run_and_in_two(host, scene):
    """Through the nodes, with a report; cut in two it is the one run, and no mask goes with it."""
    graph = scene(batch=2)
    grows = graph.add("StrideSampler", sampler="lcm", scale_ratio=1.5, scale_steps=3)[1]
    settings = dict(sampler="lcm", schedule="simple", steps=6, cfg=1.0)
    whole = graph.advanced(options=grows, **settings)
    first = graph.advanced(
        options=grows, end_at_step=2, return_with_leftover_noise="enable", **settings
    )
    second = graph.advanced(
        options=grows, start_at_step=2, add_noise="disable", latent_image=first[0], **settings
    )
    graph.add("StrideReport", report=whole[1], latent=whole[0], save_in_picture=False)
    one, half, two = host.latents(graph, whole, first, second)
    assert list(one.shape[-2:]) == [48, 48] and list(half.shape[-2:]) == [43, 43]
    assert torch.equal(one, two) and torch.isfinite(one).all()
    masked = graph.masked(graph.empty)
    node = graph.stride(options=grows, latent_image=masked[0], **settings)
    host.refusal(graph, node, "noise mask keeps a picture of the first size", Failed)


def test_a_list_without_pictures_cannot_grow(comfy):
    with pytest.raises(ValueError, match="can change its size on the way, this one is"):
        ours("lcm", Denoiser(flow(comfy)), torch.randn(1, 64), [1.0, 0.5, 0.0], samplers.FLOW,
             scale_ratio=2.0)  # fmt: skip
