"""Schedules that go by the size take the connected latent's: the host's own nodes at that size."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from stride import schedules

pytestmark = pytest.mark.host

WIDE, HIGH = 320, 192  # of a latent whose cells are 8 pixels


@pytest.fixture
def sized(scene):
    def make():
        graph = scene("flow")
        graph.empty = graph.add("EmptyLatentImage", width=WIDE, height=HIGH, batch_size=1)[0]
        return graph

    return make


def theirs(graph, name, steps):
    """The sigmas of the host's scheduler."""
    if name == "flux2":
        return graph.add("Flux2Scheduler", steps=steps, width=WIDE, height=HIGH)[0]
    return graph.add("LTXVScheduler", steps=steps, max_shift=2.05, base_shift=0.95, stretch=True,
                     terminal=0.1, latent=graph.empty)[0]


@pytest.mark.parametrize("name", ["flux2", "ltxv"])
def test_the_hosts_curve_at_the_latents_size(host, sized, name):
    """KSampler, KSampler Advanced and a Schedule with the latent; a size that is said wins."""
    graph = sized()
    settings = dict(model=graph.model, schedule=name, steps=6, denoise=1.0)
    schedule = graph.add("StrideSchedule", **settings, latent=graph.empty)
    bare = graph.add("StrideSchedule", **settings)
    said = {"tokens": 4096} if name == "ltxv" else {"width": 1024, "height": 1024}
    kept = graph.add("StrideSchedule", **settings, **said)  # as workflows of before have it
    nodes = [
        graph.custom(sigmas=theirs(graph, name, 6)),
        graph.stride(schedule=name, steps=6),
        graph.advanced(schedule=name, steps=6),
        graph.custom(sigmas=schedule[0]),
        graph.stride(schedule=name, steps=6, options=schedule[1]),
        graph.custom(sigmas=bare[0]),
        graph.custom(sigmas=kept[0]),
        graph.stride(schedule=name, steps=6, options=kept[1]),
    ]
    latents, outputs = host.run_saving(graph, nodes)
    for latent in latents[1:5]:
        torch.testing.assert_close(latent, latents[0], rtol=1e-3, atol=1e-3)
    assert torch.equal(latents[5], latents[6]) and torch.equal(latents[5], latents[7])
    assert not torch.equal(latents[5], latents[3])
    report = outputs[nodes[1].id]["stride"][0]
    assert f"for a latent of 40 x 24 ({WIDE} x {HIGH} px)" in report["note"]
    drawn = outputs[schedule.id]["stride"][0]["model"]  # and so the node's curve
    assert host.call(f"/stride/sigmas?schedule={name}&steps=6&model={drawn}")["note"].startswith(
        "for a latent of 40 x 24"
    )


def test_a_second_pass_goes_by_its_own_size(host, sized):
    graph = sized()
    first = graph.stride(schedule="flux2", steps=4)
    second = graph.add(
        "StrideHires", model=graph.model, positive=graph.positive, negative=graph.negative,
        latent_image=first[0], upscale_by=2.0, width=0, height=0, upscale_method="bilinear",
        denoise=0.7, steps=0, cfg=0.0, sampler="use same", schedule="use same",
        seed_from="first pass", new_seed=0,
    )  # fmt: skip
    _, outputs = host.run_saving(graph, [second])
    note = outputs[second.id]["stride"][0]["note"]
    assert f"for a latent of 80 x 48 ({2 * WIDE} x {2 * HIGH} px)" in note


@pytest.mark.parametrize("config, ratio", [("Flux2", 16), ("LTXV", 32), ("SD3", 8)])
def test_cells_of_the_models(comfy, config, ratio):
    """Flux 2 draws 2048 pixels on 128 cells."""
    import comfy.supported_models
    from stride.host.lists.model import canvas_of

    latent_format = getattr(comfy.supported_models, config).latent_format()
    model = SimpleNamespace(get_model_object=lambda name: latent_format)
    canvas = canvas_of(model, torch.zeros(1, 16, 128, 96))
    assert (canvas.width, canvas.height) == (96 * ratio, 128 * ratio)


def test_flux_2_at_2048_pixels(comfy):
    """The field's numbers: Flux2Scheduler at 2048 x 2048 and 8 steps ends ... .8939 .7831 0."""
    spec = replace(schedules.ModelSpec.flux(2.02), canvas=schedules.Canvas((128, 128), 16))
    found = schedules.get("flux2").sigmas(spec, 8).tolist()
    assert found[-3:] == pytest.approx([0.8939, 0.7831, 0.0], abs=5e-5)
