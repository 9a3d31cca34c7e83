"""The host's LoRA, control nets, masks, areas, hooks and guiders, through our nodes as its own.

Euler on karras is the same arithmetic in both, so that every feature must give the host's latent
to rounding; where a run may be cut, or a batch be taken apart, it must give our own.
"""

import pytest
import torch

pytestmark = pytest.mark.host

LORA = "stride_demo_lora.safetensors"
OTHER = "two yellow squares on a white background"
CLOSE = dict(rtol=1e-3, atol=1e-3)
FEATURES = {}


def feature(make):
    """Enter a function that changes a scene's model, prompts or latent under its own name."""
    FEATURES[make.__name__] = make
    return make


def text(s, words):
    return s.add("CLIPTextEncode", clip=s.clip, text=words)[0]


def both(s, *masks):
    """Masks as one batch, image by image; the one mask where the scene is of one image."""
    if s.only is not None:
        return masks[s.only]
    images = [s.add("MaskToImage", mask=mask)[0] for mask in masks]
    batch = s.add("ImageBatch", image1=images[0], image2=images[1])
    return s.add("ImageToMask", image=batch[0], channel="red")[0]


def combine(s, new):
    s.positive = s.add("ConditioningCombine", conditioning_1=s.positive, conditioning_2=new)[0]


def picked(s, latent):
    """Of a batch what the scene is about: all, or its one image."""
    if s.only is None:
        return latent
    return s.add("LatentFromBatch", samples=latent, batch_index=s.only, length=1)[0]


def source(s):
    """Pictures to begin with."""
    return s.stock(steps=4, seed=1, positive=text(s, OTHER), model=s.bare, latent_image=s.whole)[0]


@feature
def area(s):
    """A prompt for the right half."""
    combine(s, s.add("ConditioningSetAreaPercentage", conditioning=text(s, OTHER), width=0.5,
                     height=1.0, x=0.5, y=0.0, strength=1.0)[0])


@feature
def mask(s):
    """A prompt within a mask, image by image."""
    where = both(s, s.left_half(), s.left_half(0.5))
    combine(s, s.add("ConditioningSetMask", conditioning=text(s, OTHER), mask=where,
                     strength=1.0, set_cond_area="default")[0])


@feature
def mask_bounds(s):
    """The same, asked for within the mask's bounds alone."""
    combine(s, s.add("ConditioningSetMask", conditioning=text(s, OTHER), mask=s.left_half(),
                     strength=1.0, set_cond_area="mask bounds")[0])


@feature
def timestep_range(s):
    """One prompt until the middle, another from there on."""
    parts = [
        s.add("ConditioningSetTimestepRange", conditioning=words, start=start, end=end)[0]
        for words, start, end in ((s.positive, 0.0, 0.4), (text(s, OTHER), 0.4, 1.0))
    ]
    s.positive = parts[0]
    combine(s, parts[1])


@feature
def noise_mask(s):
    """Inpainting, with a mask for each image."""
    where = both(s, s.left_half(), s.left_half(0.5))
    s.empty = s.masked(picked(s, source(s)), where)[0]


@feature
def inpaint_conditioning(s):
    """The inpainting conditioning of models that are made for it."""
    pixels = s.add("VAEDecode", samples=source(s), vae=s.vae)[0]
    made = s.add("InpaintModelConditioning", positive=s.positive, negative=s.negative, vae=s.vae,
                 pixels=pixels, mask=s.left_half(), noise_mask=True)
    s.positive, s.negative, s.empty = made[0], made[1], picked(s, made[2])


@feature
def differential_diffusion(s):
    """A soft mask whose parts begin at different steps."""
    s.model = s.add("DifferentialDiffusion", model=s.model, strength=1.0)[0]
    where = both(s, s.left_half(0.6), s.left_half())
    s.empty = s.masked(picked(s, source(s)), where)[0]


@feature
def lora(s):
    """The demo LoRA by the host's loader."""
    made = s.add("LoraLoader", model=s.model, clip=s.clip, lora_name=LORA, strength_model=1.0,
                 strength_clip=1.0)
    s.model, s.clip = made[0], made[1]


def hook(s, keyframes=True):
    """The demo LoRA as a hook, off until the middle of the run."""
    hooks = s.add("CreateHookLora", lora_name=LORA, strength_model=1.0, strength_clip=1.0)[0]
    if keyframes:
        first = s.add("CreateHookKeyframe", strength_mult=0.0, start_percent=0.0)[0]
        second = s.add("CreateHookKeyframe", strength_mult=1.0, start_percent=0.3,
                       prev_hook_kf=first)[0]
        hooks = s.add("SetHookKeyframes", hooks=hooks, hook_kf=second)[0]
    return hooks


@feature
def hook_keyframes(s):
    """A LoRA that comes in on the way, on the positive prompt alone."""
    clip = s.add("SetClipHooks", clip=s.clip, apply_to_conds=True, schedule_clip=False,
                 hooks=hook(s))[0]
    s.positive = s.add("CLIPTextEncode", clip=clip, text=s.PROMPT)[0]


@feature
def hook_regions(s):
    """A LoRA within a mask, and default prompts for what is left."""
    pair = s.add("PairConditioningSetProperties", positive_NEW=text(s, OTHER),
                 negative_NEW=s.negative, strength=1.0, set_cond_area="default", mask=s.left_half(),
                 hooks=hook(s, keyframes=False))
    made = s.add("PairConditioningSetDefaultCombine", positive=pair[0], negative=pair[1],
                 positive_DEFAULT=s.positive, negative_DEFAULT=s.negative)
    s.positive, s.negative = made[0], made[1]


@feature
def control(s):
    """Two control nets over a part of the run, the first with a hint for each image."""
    colours = (0xFF0000, 0x00FF00, 0x0000FF)
    hints = [s.add("EmptyImage", width=64, height=64, batch_size=1, color=c)[0] for c in colours]
    if s.only is None:
        hints[0] = s.add("ImageBatch", image1=hints[0], image2=hints[2])[0]
    else:
        hints[0] = hints[(0, 2)[s.only]]
    net = s.add("TestControlNet")[0]
    for hint, end in zip(hints[:2], (1.0, 0.6)):
        made = s.add("ControlNetApplyAdvanced", positive=s.positive, negative=s.negative,
                     control_net=net, image=hint, strength=0.5, start_percent=0.0, end_percent=end)
        s.positive, s.negative = made[0], made[1]
    s.model = s.add("TestControlled", model=s.model)[0]


@feature
def guidance_patch(s):
    """A guidance function of the host's."""
    s.model = s.add("RescaleCFG", model=s.model, multiplier=0.7)[0]


@feature
def everything(s):
    """A LoRA, an area, a control net and an inpainting mask at once."""
    for part in (lora, area, control, noise_mask):
        part(s)


@pytest.fixture
def featured(scene):
    def make(name, prediction="eps", batch=1, only=None, size=256):
        graph = scene(prediction, batch=batch, size=size)
        graph.bare, graph.whole, graph.only = graph.model, graph.empty, only
        graph.empty = picked(graph, graph.empty)
        if name:
            FEATURES[name](graph)
        return graph

    return make


def halves(s, kind, steps=6, **settings):
    """A run in two nodes of KSampler Advanced, ours or the host's."""
    names = ("sampler", "schedule") if kind == "StrideKSamplerAdvanced" else (
        "sampler_name", "scheduler")
    named = dict(zip(names, (settings.pop("sampler", "euler"), "karras")))
    latent = s.empty
    for start, end in ((0, 3), (3, steps)):
        node = s._sample(kind, dict(
            noise_seed=5, add_noise="enable" if start == 0 else "disable", start_at_step=start,
            end_at_step=end, return_with_leftover_noise="enable" if end < steps else "disable",
            **named,
        ), dict(steps=steps, latent_image=latent, **settings))  # fmt: skip
        latent = node[0]
    return node


RUNS = [(name, "eps") for name in FEATURES] + [("everything", "flow"), ("hook_keyframes", "v")]


@pytest.mark.parametrize("name, prediction", RUNS)
def test_our_nodes_do_what_the_hosts_do(host, featured, name, prediction):
    """KSampler, denoise under 1, SamplerCustom, and a run in two, which also is the run in one."""
    s = featured(name, prediction, batch=2)
    sigmas = s.add("StrideSchedule", model=s.model, schedule="karras", steps=4, denoise=1.0)[0]
    theirs = s.add("KSamplerSelect", sampler_name="euler")[0]
    masked = name in ("differential_diffusion", "noise_mask", "inpaint_conditioning", "everything")
    part = dict(denoise=0.6) if masked else dict(denoise=0.6, latent_image=picked(s, source(s)))
    pairs = [
        (s.stride(), s.stock()),
        (s.stride(**part), s.stock(**part)),
        (s.custom(), s.custom(sampler=theirs, sigmas=sigmas)),
    ]
    # Cut in two, the host noises what a mask keeps with nothing at all; ours goes on as one run.
    if not masked:
        pairs.append((halves(s, "StrideKSamplerAdvanced"), halves(s, "KSamplerAdvanced")))
    cuts = [(s.advanced(steps=6, sampler=sampler), halves(s, "StrideKSamplerAdvanced",
                                                          sampler=sampler))
            for sampler in ("dpmpp_2m", "dpmpp_2m_sde")]
    latents = host.latents(s, *(node for pair in pairs + cuts for node in pair))
    for ours, same in zip(latents[: 2 * len(pairs) : 2], latents[1::2]):
        torch.testing.assert_close(ours, same, **CLOSE)
    for whole, cut in zip(latents[2 * len(pairs) :: 2], latents[2 * len(pairs) + 1 :: 2]):
        assert torch.equal(whole, cut)
    plain = featured(None, prediction, batch=2)
    (without,) = host.latents(plain, plain.stride())
    assert (latents[0] - without).abs().mean() > 1e-2  # the feature does something


@pytest.mark.parametrize("name", [None, "everything"])
def test_guiders_with_our_parts(host, featured, name):
    """Perpendicular negative, two prompts' CFG and the plain guider, in SamplerCustomAdvanced."""
    s = featured(name)
    other, empty = text(s, OTHER), text(s, "")
    guiders = [
        s.add("PerpNegGuider", model=s.model, positive=s.positive, negative=other,
              empty_conditioning=empty, cfg=4.0, neg_scale=0.7),
        s.add("DualCFGGuider", model=s.model, cond1=s.positive, cond2=other, negative=s.negative,
              cfg_conds=3.0, cfg_cond2_negative=2.0, style="regular"),
        s.add("CFGGuider", model=s.model, positive=s.positive, negative=s.negative, cfg=4.0),
    ]
    noise = s.add("RandomNoise", noise_seed=5)[0]
    sigmas = s.add("StrideSchedule", model=s.model, schedule="karras", steps=4, denoise=1.0)[0]
    kinds = s.add("StrideSampler", sampler="euler")[0], s.add(
        "KSamplerSelect", sampler_name="euler")[0]
    nodes = [
        s.add("SamplerCustomAdvanced", noise=noise, guider=guider[0], sampler=sampler,
              sigmas=sigmas, latent_image=s.empty)
        for guider in guiders for sampler in kinds
    ]
    latents = host.latents(s, *nodes, s.stride())
    for ours, same in zip(latents[:6:2], latents[1:6:2]):
        torch.testing.assert_close(ours, same, **CLOSE)
    torch.testing.assert_close(latents[4], latents[6], **CLOSE)  # the plain guider is a KSampler


def test_the_demo_lora_draws_dark_outlines(host, featured):
    """By the host's loader, and by our demo node's input, which is the same thing."""
    s = featured("lora", "v", size=512)  # the size at which it was trained
    node = s.add("StrideDemoModel", prediction="v", outlines=1.0)
    plain, loaded, ours = host.latents(s, *(
        s.stride(model=model, steps=8) for model in (s.bare, s.model, node[0])
    ))
    assert torch.equal(loaded, ours)
    dark = [(latent[:, :3].amax(1) < -0.6).float().mean() for latent in (plain, loaded)]
    assert dark[1] > dark[0] + 0.02


APART = ("area", "mask", "noise_mask", "differential_diffusion", "hook_keyframes", "control",
         "everything")


@pytest.mark.parametrize("name", APART)
def test_an_image_of_a_batch_is_the_image_alone_whatever_the_feature(host, featured, name):
    """Also where images are run one by one, each with its own mask, hint and keyframes.

    The image alone has its mask and hint alone, put there by hand.
    """
    drawn = []
    for only in (None, 0, 1):
        s = featured(name, batch=2, only=only)
        chosen = s.add("StrideSampler", sampler="dpm_adaptive", rtol=0.5, atol=0.2)
        nodes = [s.stride(sampler="dpm_adaptive", options=chosen[1]), s.stride(sampler="seeds_2")]
        drawn.append(host.latents(s, *nodes))
    for batch, *singles in zip(*drawn):
        torch.testing.assert_close(batch, torch.cat(singles), **CLOSE)
        assert (batch[0] - batch[1]).abs().mean() > 1e-2


def test_ddim_keeps_with_the_noise_that_the_host_keeps_with(host, featured):
    """Of the next seed (``inpaint_options``), in all three ways to our DDIM; not in Euler.

    Cut in two it is the one run, and an image of a batch is the image alone.
    """
    s = featured("noise_mask", batch=2)
    nodes = [s.stock("ddim"), s.stride(sampler="ddim"), s.stock("stride_ddim"),
             s.custom(sampler="ddim"), s.stride(), s.advanced(steps=6, sampler="ddim"),
             halves(s, "StrideKSamplerAdvanced", sampler="ddim")]  # fmt: skip
    theirs, *ours, euler, whole, cut = host.latents(s, *nodes)
    for latent in ours:
        torch.testing.assert_close(latent, theirs, **CLOSE)
    assert torch.equal(whole, cut) and (euler - theirs).abs().mean() > 3e-3
    alone = []
    for only in (0, 1):
        s = featured("noise_mask", batch=2, only=only)
        alone += host.latents(s, s.stride(sampler="ddim"))
    torch.testing.assert_close(ours[0], torch.cat(alone), **CLOSE)
