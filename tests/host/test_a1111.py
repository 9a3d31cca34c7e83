"""A1111's run mode on a real MODEL of the host beside loops written from the published formulas.

The model's network is a formula of its scaled input and its timestep, so a run that rounds
timesteps, scales its noise otherwise or visits other levels gives another result. The loops here
are the samplers' definitions in float64, with A1111's own draws: seed + i for image i.
"""

import math

import numpy as np
import pytest
import torch
from client import Failed
from stride.a1111.run import Settings

pytestmark = pytest.mark.host

SEED, SHAPE, CFG = 11, (2, 4, 8, 8), 3.0
BARS = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2).astype(np.float32)
SIGMAS = np.sqrt((1 - BARS) / BARS).astype(np.float64)
GRID = {20: np.arange(0, 1000, 50) + 1}


def level(t):
    """Sigma at a timestep: log alpha_bar is linear between whole ones."""
    bar = np.exp(np.interp(t, np.arange(1000), np.log(BARS.astype(np.float64))))
    return np.sqrt((1 - bar) / bar)


def network(u, t, a, b):
    """The formula as eps: a smooth denoiser of the scaled latent u at timestep t."""
    s = torch.as_tensor(level(t.double().numpy())).to(u).reshape(-1, 1, 1, 1)
    d = a * u / (1 + s**2).sqrt() + b * torch.tanh(u)
    return (u * (1 + s**2).sqrt() - d) / s


def guided(x, sigma, t, cfg=CFG):
    """(guided, unconditional) denoised latents, from the prompts' two variants of the formula."""
    u, t = x / math.hypot(1, sigma), torch.tensor([float(t)])
    cond, uncond = (x - sigma * network(u, t, *ab) for ab in ((0.9, 0.1), (0.8, 0.15)))
    return uncond + (cond - uncond) * cfg, uncond


def denoised(x, sigma):
    """As k-diffusion asks A1111's model: at the fractional timestep of sigma."""
    return guided(x, sigma, np.interp(math.log(sigma), np.log(SIGMAS), np.arange(1000)))[0]


@pytest.fixture(scope="module")
def model(comfy):
    """A MODEL of the host around the formula; its prompts are tensors of ones and of zeros."""
    import comfy.latent_formats
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models_base

    class Config(comfy.supported_models_base.BASE):
        unet_config = {"in_channels": 4, "disable_unet_model_creation": True}
        sampling_settings = {}
        latent_format = comfy.latent_formats.LatentFormat
        memory_usage_factor = 0.1

    class Formula(torch.nn.Module):
        dtype = torch.float32

        def forward(self, x, timesteps, context=None, **ignored):
            out = []
            for u, t, c in zip(x.double(), timesteps, context):
                ab = (0.9, 0.1) if c.mean() > 0.5 else (0.8, 0.15)
                out.append(network(u[None], t[None].cpu(), *ab))
            return torch.cat(out).float()

    class Tiny(comfy.model_base.BaseModel):
        def __init__(self):
            super().__init__(Config(Config.unet_config), comfy.model_base.ModelType.EPS)
            self.diffusion_model = Formula()

    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(Tiny(), cpu, cpu)


def run(model, sampler, schedule="automatic", steps=20, latent=None, denoise=1.0, **settings):
    """The latent that a KSampler (Stride) with these settings gives out."""
    from stride.host import Asked, Wishes, choose, ksample

    latent = torch.zeros(SHAPE) if latent is None else latent
    prompts = [[torch.ones(1, 3, 8), {}]], [[torch.zeros(1, 3, 8), {}]]
    held = Wishes(a1111=Settings(**{"noise": "cpu", **settings}))
    choice = choose(model, steps, CFG, sampler, schedule, held)
    asked = Asked(SEED, steps, CFG, choice, denoise)
    out, report = ksample(model, asked, *prompts, {"samples": latent})
    assert report["note"].startswith("A1111's")
    return out["samples"]


def streams(count, ensd=0):
    """[draws][images ...] of the per-image generators; those after the first may have an ENSD."""
    images = []
    for k in range(SHAPE[0]):
        generator = torch.Generator().manual_seed(SEED + k)
        first = torch.randn(SHAPE[1:], generator=generator)
        if ensd:
            generator = torch.Generator().manual_seed(SEED + k + ensd)
        later = [torch.randn(SHAPE[1:], generator=generator) for _ in range(count)]
        images.append(torch.stack([first, *later]))
    return torch.stack(images, 1).double()


def karras(count, top=SIGMAS[-1], bottom=SIGMAS[0]):
    return [*np.linspace(top ** (1 / 7), bottom ** (1 / 7), count) ** 7, 0.0]


def uniform(count):
    times = np.linspace(999, 0, count)
    return [*np.exp(np.interp(times, np.arange(1000), np.log(SIGMAS))), 0.0]


def near(found, want, within=2e-5):
    assert float((found.double() - want).abs().max() / want.abs().max()) < within


def euler(x, sigmas, draws=None, eta=0.0):
    """Euler and, with draws, ancestral Euler."""
    for k, (s, t) in enumerate(zip(sigmas, sigmas[1:])):
        up = min(t, eta * math.sqrt(t**2 * (s**2 - t**2) / s**2))
        down = math.sqrt(t**2 - up**2)
        d = denoised(x, s)
        x = d + down / s * (x - d)
        if up:
            x = x + up * draws[k]
    return x


def test_euler(model):
    noise = streams(0)[0]
    levels = uniform(20)
    near(run(model, "euler"), euler(noise * levels[0], levels))
    near(run(model, "euler", "karras"), euler(noise * SIGMAS[-1], karras(20)))
    scaled = euler(noise * math.hypot(1, levels[0]), levels)
    near(run(model, "euler", sgm_noise_multiplier=True), scaled)


def test_timesteps_are_not_rounded(model):
    """With A1111's quantization the model is asked at whole timesteps, as the host does."""
    levels, noise = uniform(20), streams(0)[0]
    x = noise * levels[0]
    for s, t in zip(levels, levels[1:]):
        nearest = np.abs(np.log(SIGMAS) - math.log(s)).argmin()
        d = guided(x, s, nearest)[0]
        x = d + t / s * (x - d)
    found = run(model, "euler", quantize=True)
    near(found, x)
    assert float((found - run(model, "euler")).abs().max()) > 1e-3


@pytest.mark.parametrize("ensd", [0, 31337])
def test_euler_ancestral(model, ensd):
    levels, (noise, *draws) = uniform(20), streams(20, ensd)
    near(run(model, "euler_ancestral", ensd=ensd), euler(noise * levels[0], levels, draws, 1.0))
    half = euler(noise * levels[0], levels, draws, 0.5)
    near(run(model, "euler_ancestral", ensd=ensd, eta=0.5), half)


def dpmpp_2m(x, sigmas):
    """Lu et al. 2022, arXiv:2211.01095, algorithm 2, on VE levels."""
    old = None
    for k, (s, t) in enumerate(zip(sigmas, sigmas[1:])):
        d = denoised(x, s)
        if t == 0:
            return d
        h, use = math.log(s / t), d
        if k:
            r = math.log(sigmas[k - 1] / s) / h
            use = (1 + 1 / (2 * r)) * d - 1 / (2 * r) * old
        x, old = t / s * x - math.expm1(-h) * use, d
    return x


def test_dpmpp_2m(model):
    noise = streams(0)[0]
    near(run(model, "dpmpp_2m"), dpmpp_2m(noise * SIGMAS[-1], karras(20)))
    without = karras(21)
    del without[-2]
    near(run(model, "dpmpp_2m", discard_penultimate=True), dpmpp_2m(noise * SIGMAS[-1], without))


def test_dpmpp_2m_sde(model):
    """eta 1, midpoint; torchsde's tree of each image, seed + i, over the whole list."""
    import torchsde

    levels = [*np.geomspace(SIGMAS[-1], SIGMAS[0], 20), 0.0]
    levels = [float(np.float32(s)) for s in levels]
    low, high = levels[-2], levels[0]
    trees = [torchsde.BrownianTree(low, torch.zeros(SHAPE[1:]), high, entropy=SEED + k)
             for k in range(2)]
    x, old, last = streams(0)[0] * high, None, None
    for s, t in zip(levels, levels[1:]):
        d = denoised(x, s)
        if t == 0:
            x = d
            break
        h = math.log(s / t)
        x = t / s * math.exp(-h) * x - math.expm1(-2 * h) * d
        if old is not None:
            x = x - 0.5 * math.expm1(-2 * h) / (last / h) * (d - old)
        step = torch.stack([tree(t, s) for tree in trees]).double() / math.sqrt(s - t)
        x = x - step * t * math.sqrt(-math.expm1(-2 * h))  # from s down to t
        old, last = d, h
    near(run(model, "dpmpp_2m_sde"), x, 2e-3)


def ddim(x, times, draws=None, eta=0.0, cfg_pp=False, at=0):
    """Song et al. 2020, eq. 12, in VP latents from the last of ``times`` to the first."""
    for k, (t, p) in enumerate(zip(times[::-1], times[-2::-1])):
        a, b = float(BARS[t]), float(BARS[p])
        s = math.sqrt((1 - a) / a)
        d, uncond = guided(x / math.sqrt(a), s, t, CFG / 12.5 if cfg_pp else CFG)
        eps = (x / math.sqrt(a) - (uncond if cfg_pp else d)) / s
        std = eta * math.sqrt((1 - b) / (1 - a) * (1 - a / b))
        x = math.sqrt(b) * d + math.sqrt(1 - b - std**2) * eps
        if std:
            x = x + std * draws[k]
    return x


@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("name", ["ddim", "ddim_cfg_pp"])
def test_ddim(model, name, eta):
    noise, *draws = streams(20)
    want = ddim(noise, GRID[20], draws, eta, name == "ddim_cfg_pp")
    near(run(model, name, "ddim_uniform", eta_ddim=eta), want)


def test_ddim_from_a_picture(model):
    """Ten of twenty: noised as at entry 10 of the grid, run from entry 9."""
    picture = torch.linspace(-1, 1, 512).reshape(SHAPE)
    bar = float(BARS[GRID[20][10]])
    x = math.sqrt(bar) * picture.double() + math.sqrt(1 - bar) * streams(0)[0]
    near(run(model, "ddim", latent=picture, denoise=0.5), ddim(x, GRID[20][:10]))


def test_euler_from_a_picture(model):
    """int(d * steps) + 1 intervals; at strength 1 all of them, the picture still below."""
    picture, noise = torch.linspace(-1, 1, 512).reshape(SHAPE), streams(0)[0]
    for strength, count in ((0.5, 11), (1.0, 20)):
        levels = uniform(20)[-(count + 1) :]
        want = euler(picture.double() + noise * levels[0], levels)
        near(run(model, "euler", latent=picture, denoise=strength), want)


def test_plms(model):
    """Liu et al. 2022: the improved Euler step, then Adams-Bashforth of order 2, 3, 4 on eps."""
    x, old, times = streams(0)[0], [], GRID[20]

    def eps(x, t):
        s = math.sqrt((1 - float(BARS[t])) / float(BARS[t]))
        return (x * math.hypot(1, s) - guided(x * math.hypot(1, s), s, t)[0]) / s

    def move(x, e, t, p):
        a, b = float(BARS[t]), float(BARS[p])
        d = (x - math.sqrt(1 - a) * e) / math.sqrt(a)
        return math.sqrt(b) * d + math.sqrt(1 - b) * e

    weights = {1: (3, -1), 2: (23, -16, 5), 3: (55, -59, 37, -9)}
    for t, p in zip(times[::-1], times[-2::-1]):
        e = eps(x, t)
        if old:
            w = weights[len(old)]
            use = sum(c * v for c, v in zip(w, [e, *old])) / sum(w)
        else:
            use = (e + eps(move(x, e, t, p), p)) / 2
        x, old = move(x, use, t, p), [e, *old][:3]
    near(run(model, "plms"), x)


@pytest.mark.parametrize("variant", ["bh1", "bh2"])
def test_unipc(model, variant):
    """The host's own UniPC on the same levels, from timestep 999 to 0 and no further."""
    import comfy.extra_samplers.uni_pc

    levels = torch.tensor(level(np.linspace(999, 0, 21))).float()  # its loop is float32

    class Asked:
        inner_model = None

        def __call__(self, x, sigma, **ignored):
            return denoised(x, float(sigma[0])).float()

    start = streams(0)[0].float() * math.hypot(1, float(levels[0]))
    function = comfy.extra_samplers.uni_pc.sample_unipc
    out = function(Asked(), start, levels, {}, disable=True, variant=variant)
    # Its result is ours; A1111 hands out the VP latent of the last level.
    near(run(model, "uni_pc", unipc_variant=variant), out / math.hypot(1, float(levels[-1])), 2e-4)


def test_restart(model):
    """Xu et al. 2023, algorithm 1, in A1111's numbers for 20 steps: 11 Karras levels, one restart.

    From the level nearest to 0.1 up to that nearest to 2, and down again in nine Heun steps.
    """
    levels = karras(11)
    low = min(range(11), key=lambda k: abs(levels[k] - 0.1))
    high = min(range(11), key=lambda k: abs(levels[k] - 2))
    noise, draw = streams(1)

    def heun(x, s, t):
        slope = (x - denoised(x, s)) / s
        if t == 0:
            return x + (t - s) * slope
        y = x + (t - s) * slope
        return x + (t - s) / 2 * (slope + (y - denoised(y, t)) / t)

    x = noise * levels[0]
    for k, (s, t) in enumerate(zip(levels, levels[1:])):
        x = heun(x, s, t)
        if k + 1 == low:
            x = x + draw * math.sqrt(levels[high] ** 2 - levels[low] ** 2)
            again = karras(10, levels[high], levels[low])[:-1]
            for pair in zip(again, again[1:]):
                x = heun(x, *pair)
    near(run(model, "restart"), x)


def test_lcm(model):
    """Luo et al. 2023: x' = D + sigma' z; D with the boundary scaling of sigma_data 0.5, 10 t.

    The host's ModelSamplingDiscrete makes the MODEL of the 50 timesteps 19, 39 .. 999.
    """
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    made = ModelSamplingDiscrete().patch(model, "lcm", False)[0]
    known, index = SIGMAS[19::20], np.linspace(49, 0, 8)
    levels = [*np.exp(np.interp(index, np.arange(50), np.log(known))), 0.0]
    noise, *draws = streams(8)
    x = noise * levels[0]
    for k, (s, t) in enumerate(zip(levels, levels[1:])):
        time = 20 * np.abs(np.log(known) - math.log(s)).argmin() + 19
        far = 10.0 * time
        d = guided(x, s, time)[0] * far / math.hypot(far, 0.5) + x * 0.25 / (far**2 + 0.25)
        x = d + t * draws[k]
    near(run(made, "lcm", steps=8), x)


# The node, in the running server ------------------------------------------------------------------


def switched(graph, **settings):
    return {"options": graph.add("StrideA1111Run", **{"noise": "cpu", **settings})[0]}


def test_the_switch(host, scene):
    """Both KSamplers run it; the noise source and a batch's image 1 are A1111's."""
    graph, batch = scene(), scene(batch=2)
    settings = dict(steps=6, sampler="euler_ancestral")
    one, two, other = (graph.stride(**settings, seed=seed, **switched(graph, noise=noise))
                       for seed, noise in ((5, "cpu"), (6, "cpu"), (5, "nv")))
    advanced = graph.advanced(**settings, **switched(graph))
    plain = graph.stride(**settings)
    first, second, nv, adv, ours = host.latents(graph, one, two, other, advanced, plain)
    assert torch.equal(first, adv)
    both = host.latents(batch, batch.stride(**settings, **switched(batch)))[0]
    torch.testing.assert_close(both, torch.cat([first, second]), rtol=1e-3, atol=1e-3)
    for latent in (nv, ours):
        assert torch.isfinite(latent).all() and (first - latent).abs().mean() > 0.01


@pytest.mark.parametrize("prediction", ["eps", "v", "flow"])
def test_every_sampler_of_a1111_draws_a_picture(host, scene, prediction):
    from stride.names import a1111

    graph = scene(prediction, size=128)
    names = [row.ours for row in a1111.SAMPLERS if prediction != "flow" or not row.own_levels]
    nodes = [graph.stride(sampler=name, steps=21, cfg=2.0, **switched(graph)) for name in names]
    for name, latent in zip(names, host.latents(graph, *nodes)):
        assert torch.isfinite(latent).all() and 0.1 < latent[:, :3].std() < 2, name


@pytest.mark.parametrize("kind, changes, says", [
    ("advanced", dict(start_at_step=2), "an A1111 run cannot be split"),
    ("advanced", dict(end_at_step=2), "an A1111 run cannot be split"),
    ("stride", dict(sampler="res_multistep"), "A1111 1.10.1: unknown sampler"),
    ("stride", dict(schedule="bong_tangent"), "A1111 1.10.1: unknown schedule"),
    ("stride", dict(sampler="dpmpp_2m_sde", noise="nv"), "noise source CPU only"),
    ("stride", dict(eta=0.5, sampler_options=True), "disconnect the options of Sampler"),
])
def test_what_it_refuses(host, scene, kind, changes, says):
    graph = scene()
    settings = {k: changes.pop(k) for k in ("noise", "eta") if k in changes}
    if changes.pop("sampler_options", False):
        settings["options"] = graph.add("StrideSampler", sampler="euler", eta=0.5)[1]
    node = getattr(graph, kind)(**changes, **switched(graph, **settings))
    host.refusal(graph, node, says, Failed)


def test_a_hires_pass_behind_it_is_a1111s_too(host, scene):
    """Same seeds and settings, and all the steps asked for, as A1111's second pass."""
    graph = scene()
    settings = dict(sampler="euler_ancestral", schedule="automatic", steps=6, cfg=3.0)
    first = graph.stride(**settings, **switched(graph))
    second = graph.add(
        "StrideHires", model=graph.model, positive=graph.positive, negative=graph.negative,
        latent_image=first[0], upscale_by=1.5, width=0, height=0, upscale_method="bislerp",
        denoise=0.6, steps=0, cfg=0.0, sampler="use same", schedule="use same",
        seed_from="first pass", new_seed=0,
    )
    large = graph.add(
        "LatentUpscaleBy", samples=first[0], upscale_method="bislerp", scale_by=1.5
    )
    by_hand = graph.stride(
        **settings, latent_image=large[0], denoise=0.6, **switched(graph, fixed_steps=True)
    )
    found, want = host.latents(graph, second, by_hand)
    assert torch.equal(found, want)


TEXT = (
    "a red circle on a blue background\nSteps: 6, Sampler: {}, Schedule type: Automatic, "
    "CFG scale: 4, Seed: 5, Size: 256x256, Version: v1.10.1, RNG: CPU, ENSD: 31337, Eta: 0.7"
)


@pytest.mark.parametrize("label, ours", [("Euler a", "euler_ancestral"), ("DDIM", "ddim"),
                                         ("DPM fast", "dpm_fast"), ("UniPC", "uni_pc")])
def test_a_text_of_a1111_read_exactly_is_run_by_its_rules(host, scene, label, ours):
    """What From A1111 (Stride) puts out, connected to a KSampler, is this mode."""
    graph = scene()
    read = graph.add("StrideFromA1111", text=TEXT.format(label), image="(none)", exact=True)
    sampler, schedule, steps, cfg, seed, options = (read[k] for k in (2, 3, 4, 5, 6, 16))
    pasted = graph.stride(
        sampler=sampler, schedule=schedule, steps=steps, cfg=cfg, seed=seed, options=options
    )
    by_hand = graph.stride(
        sampler=ours, schedule="automatic", steps=6, cfg=4.0,
        **switched(graph, ensd=31337, eta=0.7),
    )
    found, want = host.latents(graph, pasted, by_hand)
    assert torch.equal(found, want)
