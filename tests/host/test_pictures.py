"""Pictures out of the real server: the example, denoise, batches, a mask."""

import json
from pathlib import Path

import numpy
import pytest
import torch
from client import to_prompt

pytestmark = pytest.mark.host

WORKFLOW = Path(__file__).resolve().parents[2] / "example_workflows" / "first_picture.json"


def fits(picture, red=None, green=None, blue=None):
    """Whether each pixel's channels lie in the given (low, high) ranges."""
    found = numpy.ones(picture.shape[:2], dtype=bool)
    for channel, limits in zip((0, 1, 2), (red, green, blue)):
        if limits:
            found &= (picture[..., channel] >= limits[0]) & (picture[..., channel] <= limits[1])
    return found


def share(picture, **ranges):
    """The share of pixels that fit."""
    return fits(picture, **ranges).mean()


def test_first_picture_shows_what_its_prompt_says(host, object_info):
    prompt = to_prompt(json.loads(WORKFLOW.read_text(encoding="utf-8")), object_info)
    texts = [node["inputs"].get("text") for node in prompt.values()]
    assert "a yellow triangle above a red square on a blue background" in texts
    outputs = host.run(prompt)
    (saved,) = [found["images"][0] for found in outputs.values() if "images" in found]
    picture = host.image(saved["filename"], saved["subfolder"])
    assert picture.shape == (512, 512, 3)
    red = dict(red=(150, 255), green=(0, 110), blue=(0, 120))
    blue = dict(red=(0, 110), green=(0, 160), blue=(150, 255))
    rim = numpy.ones(picture.shape[:2], dtype=bool)
    rim[32:-32, 32:-32] = False
    assert share(picture[rim][None], **blue) > 0.95
    yellow = dict(red=(180, 255), green=(150, 255), blue=(0, 150))
    rows = {name: numpy.nonzero(fits(picture, **colour))[0].mean()
            for name, colour in (("red", red), ("yellow", yellow))}
    assert rows["yellow"] + 100 < rows["red"]  # above
    shares = [share(picture, **colour) for colour in (red, yellow, blue)]
    assert shares[0] > 0.03 and shares[1] > 0.03 and sum(shares) > 0.9


@pytest.mark.parametrize("prediction", ["eps", "v", "flow"])
def test_every_node_draws_on_every_prediction(host, scene, prediction):
    graph = scene(prediction)
    nodes = [graph.stride(), graph.advanced(), graph.custom()]
    simple, chained, custom = host.latents(graph, *nodes)
    assert torch.isfinite(simple).all() and simple.std() > 0.05
    assert torch.equal(simple, chained)
    assert torch.equal(simple, custom)


def test_the_three_predictions_agree_on_the_picture(host, scene):
    """One denoiser in three dresses: at enough steps they draw alike from like noise."""
    drawn = []
    for prediction in ("eps", "v"):
        graph = scene(prediction)
        drawn += host.latents(graph, graph.stride(steps=8, schedule="karras"))
    torch.testing.assert_close(*drawn, rtol=0, atol=2e-2)


def test_prompt_cfg_and_negative_matter(host, scene):
    graph, other = scene(), scene(text="a green square on a white background")
    negative = scene(negative="a ring on a black background")
    (base, weak) = host.latents(graph, graph.stride(), graph.stride(cfg=1.0))
    (green,) = host.latents(other, other.stride())
    (pushed,) = host.latents(negative, negative.stride())
    for changed in (weak, green, pushed):
        assert (changed - base).abs().mean() > 1e-3


@pytest.mark.parametrize("prediction", ["eps", "flow"])
def test_denoise_changes_but_keeps_likeness(host, scene, prediction):
    graph = scene(prediction)

    def as_picture(node):
        """The latent of what a person sees: decoded, with its range cut off, and encoded."""
        drawn = graph.add("VAEDecode", samples=node[0], vae=graph.vae)
        return graph.add("VAEEncode", pixels=drawn[0], vae=graph.vae)

    text = "two yellow squares on a white background"
    other = graph.add("CLIPTextEncode", clip=graph.clip, text=text)[0]
    source = as_picture(graph.stride(steps=8, seed=1, positive=other))
    settings = dict(latent_image=source[0], steps=8, seed=2)
    half = as_picture(graph.stride(denoise=0.5, **settings))
    fresh = as_picture(graph.stride(steps=8, seed=2))
    none = graph.stride(denoise=0.0, **settings)
    source, half, fresh, none = host.latents(graph, source, half, fresh, none)
    changed, other = (half - source).abs().mean(), (fresh - source).abs().mean()
    assert 1e-3 < changed < 0.9 * other
    torch.testing.assert_close(none, source)


SAMPLERS = ("euler", "euler_ancestral", "heun", "dpmpp_2m", "ddim", "ipndm")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_image_of_a_batch_is_the_image_alone(host, scene, sampler):
    graph = scene(batch=3)
    one = graph.add("EmptyLatentImage", width=256, height=256, batch_size=1)
    picked = graph.add("LatentFromBatch", samples=graph.empty, batch_index=2, length=1)
    nodes = [
        graph.stride(sampler=sampler),
        graph.stride(sampler=sampler, latent_image=one[0]),
        graph.stride(sampler=sampler, latent_image=picked[0]),
    ]
    batch, first, last = host.latents(graph, *nodes)
    assert batch.shape[0] == 3 and first.shape[0] == last.shape[0] == 1
    # Not bit for bit: a CPU sums a batch of three in another order than one image.
    torch.testing.assert_close(batch[:1], first, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(batch[2:], last, rtol=1e-3, atol=1e-3)
    assert (batch[0] - batch[1]).abs().mean() > 1e-2


@pytest.mark.parametrize("prediction", ["eps", "flow"])
@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_ancestral"])
def test_outside_the_mask_the_source_stays(host, scene, sampler, prediction):
    graph = scene(prediction)
    source = graph.stride(steps=6, seed=1)
    masked = graph.masked(source[0])
    painted = graph.stride(sampler=sampler, latent_image=masked[0], seed=2)
    source, painted = host.latents(graph, source, painted)
    middle = source.shape[-1] // 2
    torch.testing.assert_close(
        painted[..., middle + 2 :], source[..., middle + 2 :], rtol=0, atol=1e-4
    )
    assert (painted - source)[..., : middle - 2].abs().mean() > 1e-2


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "euler_ancestral"])
def test_same_seed_same_picture_and_another_seed_another(host, scene, sampler):
    graph = scene()
    (before,) = host.latents(graph, graph.stride(sampler=sampler))
    host.call("/free", {"free_memory": True})  # else the host answers from its cache
    again, other = host.latents(
        graph, graph.stride(sampler=sampler), graph.stride(sampler=sampler, seed=6)
    )
    assert torch.equal(before, again)
    assert (other - before).abs().mean() > 1e-2
