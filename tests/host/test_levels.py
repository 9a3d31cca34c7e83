"""Sigmas typed and changed in nodes: queued for real, seen in what the model is called with."""

import pytest
import torch
from stride import schedules
from stride.schedules import transforms

pytestmark = pytest.mark.host
KARRAS = schedules.get("karras").sigmas(schedules.ModelSpec.discrete(), 6)


def text(sigmas):
    return ", ".join(f"{s:.9g}" for s in sigmas.tolist())


def typed(graph, sigmas, **inputs):
    return graph.add("StrideSigmas", sigmas=text(sigmas), **inputs)[0]


def pictures(host, graph, *sigmas):
    """The latents of euler runs on these SIGMAS."""
    return host.latents(graph, *(graph.custom(sigmas=s) for s in sigmas))


def test_typed_sigmas_are_what_a_schedule_gives(host, scene):
    graph = scene()
    chosen = graph.add("StrideSchedule", model=graph.model, schedule="karras", steps=6, denoise=1.0)
    ours, theirs = pictures(host, graph, typed(graph, KARRAS, model=graph.model), chosen[0])
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("inputs, change", [
    (dict(), lambda s: s), (dict(steps=4), lambda s: transforms.resample(s, 4)),
    (dict(shift=2.0), lambda s: transforms.shift(s, 2.0)),
    (dict(last_sigma=0.1), lambda s: transforms.last_from(s, 0.1)),
    (dict(discard_penultimate=True), transforms.discard_penultimate),
    (dict(denoise=0.5), lambda s: transforms.trim(s, 0.5)),
    (dict(steps=9, shift=0.5, denoise=0.7),
     lambda s: transforms.trim(transforms.shift(transforms.resample(s, 9), 0.5), 0.7)),
])  # fmt: skip
def test_adjust(host, scene, inputs, change):
    graph = scene()
    neutral = dict(steps=0, shift=1.0, last_sigma=0.0, discard_penultimate=False, denoise=1.0)
    node = graph.add("StrideSigmasAdjust", sigmas=typed(graph, KARRAS), **{**neutral, **inputs})
    changed, expected = pictures(host, graph, node[0], typed(graph, change(KARRAS)))
    assert torch.equal(changed, expected)


def test_adjust_of_a_flow_model_follows_its_log_snr(host, scene):
    graph = scene("flow")
    straight = torch.linspace(1, 0, 5)
    node = graph.add(
        "StrideSigmasAdjust", sigmas=typed(graph, straight), model=graph.model, steps=7, shift=3.0,
        last_sigma=0.0, discard_penultimate=False, denoise=1.0,
    )
    from stride.samplers import FLOW

    expected = transforms.shift(transforms.resample(straight, 7, FLOW), 3.0, 1.0)
    changed, wanted = pictures(host, graph, node[0], typed(graph, expected))
    assert torch.equal(changed, wanted)


def test_blend(host, scene):
    graph = scene()
    other = schedules.get("exponential").sigmas(schedules.ModelSpec.discrete(), 6)
    node = graph.add(
        "StrideSigmasBlend", sigmas_1=typed(graph, KARRAS), sigmas_2=typed(graph, other),
        weight=0.25,
    )
    expected = transforms.blend(KARRAS, other, 0.25)
    mixed, wanted = pictures(host, graph, node[0], typed(graph, expected))
    assert torch.equal(mixed, wanted)


def test_the_two_parts_of_a_split_make_the_whole_run(host, scene):
    graph = scene()
    whole = graph.custom(sigmas=typed(graph, KARRAS))
    parts = graph.add("StrideSigmasSplit", sigmas=typed(graph, KARRAS), sigma=2.0)
    first = graph.custom(sigmas=parts[0])
    second = graph.custom(sigmas=parts[1], latent_image=first[0], add_noise=False)
    joined, expected = host.latents(graph, second, whole)
    torch.testing.assert_close(joined, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sigmas, connected, says", [
    ("14.6, 7.1", False, "add 0 at the end"), ("14.6, x, 0", False, "'x', is not a number"),
    ("15, 7, 0", True, "above the model's largest"),
])  # fmt: skip
def test_bad_sigmas_are_told(host, scene, sigmas, connected, says):
    graph = scene()
    inputs = {"model": graph.model} if connected else {}
    node = graph.custom(sigmas=graph.add("StrideSigmas", sigmas=sigmas, **inputs)[0])
    host.refusal(graph, node, says)
