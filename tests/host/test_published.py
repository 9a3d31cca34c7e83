"""Published tables and presets beside the host's own scheduler nodes, in one process."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from host_models import models
from stride import schedules

pytestmark = pytest.mark.host


def ours(comfy, name, model, family, steps, **options):
    spec = replace(models(comfy)[model][1], family=family)
    return schedules.get(name).sigmas(spec, steps, **options)


@pytest.mark.parametrize("theirs, family", [("SD1", "sd15"), ("SDXL", "sdxl")])
@pytest.mark.parametrize("steps", [1, 2, 5, 9, 10, 11, 20, 33, 100])
def test_align_your_steps(comfy, theirs, family, steps):
    from comfy_extras.nodes_align_your_steps import AlignYourStepsScheduler

    expected = AlignYourStepsScheduler.execute(theirs, steps, 1.0).args[0]
    found = ours(comfy, "align_your_steps", "sd", family, steps)
    torch.testing.assert_close(found, expected, rtol=3e-7, atol=0)


@pytest.mark.parametrize("theirs, family, length", [("FLUX", "flux", 10), ("Wan", "wan", 20),
                                                    ("Chroma", "chroma", 40)])
def test_optimal_steps(comfy, theirs, family, length):
    from comfy_extras.nodes_optimalsteps import OptimalStepsScheduler

    for steps in (3, 4, 8, length, length + 1, 50, 200):
        expected = OptimalStepsScheduler.execute(theirs, steps, 1.0).args[0]
        found = ours(comfy, "optimal_steps", "flow", family, steps)
        torch.testing.assert_close(found, expected, rtol=3e-7, atol=0)


def test_all_285_denoising_trajectories(comfy):
    from comfy_extras.nodes_gits import GITSScheduler

    for coefficient in np.arange(0.80, 1.501, 0.05).round(2):
        for steps in (*range(2, 21), 21, 50):
            expected = GITSScheduler.execute(float(coefficient), steps, 1.0).args[0]
            found = ours(comfy, "denoising_trajectory", "sd", "sd15", steps,
                         coefficient=float(coefficient))
            torch.testing.assert_close(found, expected, rtol=3e-7, atol=0)


@pytest.mark.parametrize("steps", range(1, 11))
@pytest.mark.parametrize("model", ["sd", "zsnr"])
def test_sd_turbo(comfy, model, steps):
    from types import SimpleNamespace

    from comfy_extras.nodes_custom_sampler import SDTurboScheduler

    sampling = models(comfy)[model][0]
    patcher = SimpleNamespace(get_model_object=lambda name: sampling)
    expected = SDTurboScheduler.execute(patcher, steps, 1.0).args[0]
    found = ours(comfy, "sd_turbo", model, "sdxl", steps)
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=0)


def test_the_node_tells_whose_table_it_is(host, scene):
    for prediction, says in (("eps", "same range of noise"), ("flow", "mapped through log-SNR")):
        graph = scene(prediction)
        node = graph.stride(schedule="align_your_steps", steps=5)
        outputs = host.run_saving(graph, [node])[1]
        assert says in outputs[node.id]["stride"][0]["note"]
        assert "made for SD1.5" in outputs[node.id]["text"][0]


@pytest.mark.parametrize("node", ["stride", "stock"])
def test_a_preset_refuses_other_step_counts(host, scene, node):
    graph = scene("flow")
    name = "wan_lightning" if node == "stride" else "stride_wan_lightning"
    run = getattr(graph, node)(schedule=name, steps=5)
    host.refusal(graph, run, "made for 4 or 8 steps and has no curve for 5")


def test_a_preset_has_no_spare_step_for_samplers_that_drop_one(host, scene):
    """For dpm_2 the host plans a step more and drops the last but one."""
    graph = scene("flow")
    node = graph.stride(sampler="dpm_2", schedule="wan_lightning", steps=4)
    outputs = host.run_saving(graph, [node])[1]
    assert outputs[node.id]["stride"][0]["steps"] == 4
