"""The guidance nodes in real prompts: neutral values, other packs' patches, cut runs, CFG++."""

import json
from pathlib import Path

import pytest
import torch
from client import Failed, Rejected, to_prompt

pytestmark = pytest.mark.host

EXAMPLES = Path(__file__).resolve().parents[2] / "example_workflows"

# Each node with inputs that change the picture, and with its neutral ones.
NODES = {
    "StrideRescaleCFG": (dict(phi=0.7), dict(phi=0.0)),
    "StrideThreshold": (
        dict(percentile=0.95, limit=0.7, strength=1.0),
        dict(percentile=0.95, limit=0.7, strength=0.0),
    ),
    "StrideMimicCFG": (
        dict(mimic_cfg=2.0, percentile=0.99, strength=1.0),
        dict(mimic_cfg=2.0, percentile=0.99, strength=0.0),
    ),
    "StrideCFGInterval": (
        dict(sigma_low=0.3, sigma_high=0.97), dict(sigma_low=0.0, sigma_high=10000.0)
    ),
    "StrideCFGCurve": (
        dict(shape="cosine", start=1.0, end=0.2, by_hand=""),
        dict(shape="linear", start=0.0, end=0.0, by_hand="1, 1, 1"),
    ),
    "StrideAPG": (
        dict(eta=0.0, norm_threshold=5.0, momentum=-0.5),
        dict(eta=1.0, norm_threshold=0.0, momentum=0.0),
    ),
    "StrideCFGZero": (dict(fit=True, zero_steps=0), dict(fit=False, zero_steps=0)),
    "StrideTemperature": (
        dict(temperature=0.6, spread=0.5), dict(temperature=1.0, spread=0.5)
    ),
}


def patched(graph, *nodes, model=None):
    """The MODEL behind these nodes in the order wired: (class, inputs) pairs or class names."""
    link = model or graph.model
    for node in nodes:
        kind, inputs = (node, NODES[node][0]) if isinstance(node, str) else node
        link = graph.add(kind, model=link, **inputs)[0]
    return link


@pytest.mark.parametrize("prediction", ["eps", "flow"])
def test_neutral_is_the_same_picture_and_set_is_another(host, scene, prediction):
    graph = scene(prediction)
    nodes = [graph.stride()]
    for kind, (_, neutral) in NODES.items():
        nodes += [graph.stride(model=patched(graph, kind)),
                  graph.stride(model=patched(graph, (kind, neutral)))]
    embedding = dict(mode="from the prompt", guidance=3.5)
    nodes.append(graph.stride(model=patched(graph, ("StrideGuidanceEmbedding", embedding))))
    plain, *others, last = host.latents(graph, *nodes)
    assert torch.equal(last, plain)
    for kind, changed, neutral in zip(NODES, others[::2], others[1::2]):
        assert torch.equal(neutral, plain), kind
        assert (changed - plain).abs().mean() > 1e-3, kind


@pytest.mark.parametrize("prediction", ["eps", "flow"])
def test_the_same_with_the_hosts_sampler_and_cfg_1(host, scene, prediction):
    """Ours and the host's Euler agree behind every patch; at cfg 1 guidance patches do nothing."""
    graph, pairs, ones = scene(prediction), [], [scene(prediction).stride(cfg=1.0)]
    ones = [graph.stride(cfg=1.0)]
    for kind in NODES:
        model = patched(graph, kind)
        pairs += [graph.stride(model=model), graph.stock(model=model)]
        if kind not in ("StrideTemperature", "StrideThreshold"):
            ones.append(graph.stride(model=model, cfg=1.0))
    latents = host.latents(graph, *pairs, *ones)
    for kind, ours, theirs in zip(NODES, latents[::2], latents[1:len(pairs):2]):
        assert float((ours - theirs).abs().max()) < 2e-3, kind
    plain, *others = latents[len(pairs):]
    assert all(torch.equal(other, plain) for other in others)


def test_the_hosts_nodes_of_the_same_name(host, scene):
    """Where the host has the method, by its own formula; its APG counts cfg from one lower."""
    graph, flow = scene(), scene("flow")
    few = dict(eta=0.3, norm_threshold=4.0, momentum=-0.4)
    tsr = dict(tsr_k=1.25, tsr_sigma=0.6)
    nodes = [
        graph.stride(model=patched(graph, "StrideRescaleCFG")),
        graph.stride(model=patched(graph, ("RescaleCFG", dict(multiplier=0.7)))),
        graph.stride(model=patched(graph, ("StrideAPG", few)), cfg=5.0),
        graph.stride(model=patched(graph, ("APG", few)), cfg=4.0),
        graph.stride(model=patched(
            graph, ("StrideTemperature", dict(temperature=0.8, spread=1000.0)))),
        graph.stride(model=patched(graph, ("Epsilon Scaling", dict(scaling_factor=0.8)))),
        graph.stride(model=patched(
            graph, ("StrideTemperature", dict(temperature=0.8, spread=0.6)))),
        graph.stride(model=patched(graph, ("TemporalScoreRescaling", tsr))),
    ]
    latents = host.latents(graph, *nodes)
    latents += host.latents(
        flow, flow.stride(model=patched(
            flow, ("StrideTemperature", dict(temperature=0.8, spread=0.6)))),
        flow.stride(model=patched(flow, ("TemporalScoreRescaling", tsr))),
    )
    for ours, theirs in zip(latents[::2], latents[1::2]):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("prediction", ["eps", "flow"])
def test_patches_of_a_run_cut_in_two_are_those_of_the_run(host, scene, prediction):
    """Momentum, curve and waiting steps know the whole run from the latent that carries it."""
    graph = scene(prediction)
    zero = ("StrideCFGZero", dict(fit=True, zero_steps=3 if prediction == "flow" else 0))
    model = patched(graph, "StrideCFGCurve", zero, "StrideAPG")
    both = dict(model=model, steps=8, sampler="dpmpp_2m")
    nodes = [graph.advanced(**both)]
    for cut in (2, 5):
        first = graph.advanced(end_at_step=cut, return_with_leftover_noise="enable", **both)
        nodes.append(graph.advanced(
            start_at_step=cut, add_noise="disable", latent_image=first[0], **both
        ))
    whole, *cut = host.latents(graph, *nodes)
    assert all(torch.equal(other, whole) for other in cut)


@pytest.mark.parametrize("sampler", ["euler", "dpm_adaptive"])
def test_an_image_of_a_batch_behind_all_patches_is_the_image_alone(host, scene, sampler):
    """An adaptive sampler takes its images one by one, and momentum keeps them apart."""
    graph = scene(batch=2)
    model = patched(graph, *NODES)
    picked = graph.add("LatentFromBatch", samples=graph.empty, batch_index=1, length=1)
    batch, alone = host.latents(
        graph, graph.stride(model=model, sampler=sampler),
        graph.stride(model=model, sampler=sampler, latent_image=picked[0]),
    )
    torch.testing.assert_close(batch[1:], alone, rtol=2e-3, atol=2e-3)


def test_cfg_pp_samplers_see_the_patched_answer(host, scene):
    """Ours and the host's agree with patches in between, the host's being other code."""
    graph = scene()
    model = patched(graph, "StrideRescaleCFG", "StrideAPG", "StrideTemperature")
    plain, ours, theirs = host.latents(
        graph, graph.stride(sampler="euler_cfg_pp", cfg=1.6),
        graph.stride(sampler="euler_cfg_pp", model=model, cfg=1.6),
        graph.stock(sampler="euler_cfg_pp", model=model, cfg=1.6),
    )
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)
    assert (ours - plain).abs().mean() > 1e-3


def test_what_cannot_be_is_said_before_or_at_the_node(host, scene):
    graph = scene()
    node = graph.stride(model=patched(graph, ("StrideCFGZero", dict(fit=True, zero_steps=1))))
    host.refusal(graph, node, "zero_steps is for flow models", Failed)
    graph = scene()
    bypass = dict(mode="bypass", guidance=3.5)
    node = graph.stride(model=patched(graph, ("StrideGuidanceEmbedding", bypass)))
    host.refusal(graph, node, "no guidance embedding", Failed)
    graph = scene()
    typed = dict(shape="linear", start=1.0, end=1.0, by_hand="1, wavy")
    node = graph.stride(model=patched(graph, ("StrideCFGCurve", typed)))
    host.refusal(graph, node, "numbers from 0 to 10", Rejected)


def test_the_example_draws_six_panels_that_differ(host, object_info):
    """No patch at cfg 10 in the first one; with each patch fewer values are cut off at the end."""
    workflow = json.loads((EXAMPLES / "guidance.json").read_text(encoding="utf-8"))
    outputs = host.run(to_prompt(workflow, object_info))
    (saved,) = [found["images"][0] for found in outputs.values() if "images" in found]
    picture = host.image(saved["filename"], saved["subfolder"]).astype(float)
    assert picture.shape == (2 * 512 + 8, 3 * 512 + 2 * 8, 3)
    panels = [picture[y:y + 512, x:x + 512] for y in (0, 520) for x in (0, 520, 1040)]
    for panel in panels:  # blue around
        assert panel[:48].mean((0, 1)).argmax() == 2
    cut_off = [((panel <= 2) | (panel >= 253)).mean() for panel in panels]
    assert all(share < cut_off[0] for share in cut_off[1:]), cut_off
    for k, panel in enumerate(panels):
        assert all(abs(panel - other).mean() > 1 for other in panels[:k])


def test_momentum_of_a_batch_asked_in_parts_is_that_of_the_batch(host, scene):
    """Two images at a time and all three together: each keeps its own momentum."""
    graph = scene(batch=3)
    model = patched(graph, "StrideAPG", "StrideCFGCurve")
    few = graph.add("StrideRunSettings", images_at_a_time=2)[0]
    whole, parts = host.latents(
        graph, graph.stride(model=model), graph.stride(model=model, options=few)
    )
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-3)
