"""Bad input: an error that says what, where and what is accepted, and a server that goes on."""

import time

import pytest
import torch
from client import Interrupted
from safetensors.torch import save_file

pytestmark = pytest.mark.host


@pytest.fixture
def goes_on(host, scene):
    """After the test the next prompt must work, and draw what it draws on a fresh server."""
    graph = scene()
    (before,) = host.latents(graph, graph.stride(seed=77))
    yield
    host.call("/free", {"free_memory": True})
    (after,) = host.latents(graph, graph.stride(seed=77))
    assert torch.equal(before, after)


@pytest.mark.parametrize(
    "changes, near",
    [(dict(sampler="dpmpp_2n"), "dpmpp_2m"), (dict(schedule="karas"), "karras")],
)
@pytest.mark.parametrize("node", ["stride", "advanced"])
def test_a_wrong_name_names_the_nearest(host, scene, goes_on, node, changes, near):
    graph = scene()
    said = str(host.refusal(graph, getattr(graph, node)(**changes)))
    (wrong,) = changes.values()
    assert wrong in said and near in said and "did you mean" in said


@pytest.mark.parametrize(
    "changes",
    [dict(steps=0), dict(steps=10001), dict(denoise=1.5), dict(denoise=-0.1), dict(seed=-1)],
)
def test_a_value_out_of_range_is_refused(host, scene, goes_on, changes):
    graph = scene()
    said = str(host.refusal(graph, graph.stride(**changes)))
    assert next(iter(changes)) in said


@pytest.mark.parametrize("prediction, sampler, top, says", [
    ("eps", "euler_ancestral", 0, "'euler_ancestral' adds noise and cannot go up in sigma (0.0001"),
    ("eps", "dpm_adaptive", 0, "'dpm_adaptive' chooses its own steps, and only down"),
    ("flow", "euler", 0, "end below 1"),
    ("flow", "dpmpp_2m", 1.25, "'dpmpp_2m' needs log-SNR, which has no value above sigma 1"),
])  # fmt: skip
def test_levels_that_a_sampler_cannot_take_are_refused_by_name(
    host, scene, goes_on, prediction, sampler, top, says
):
    graph = scene(prediction, size=64)
    node = graph.custom(sampler=sampler, schedule="simple", add_noise=False)
    inputs = graph[node.id]["inputs"]
    given = inputs["sigmas"]
    inputs["sigmas"] = (
        graph.add("SetFirstSigma", sigmas=given, sigma=top) if top
        else graph.add("FlipSigmas", sigmas=given)
    )[0]
    assert says in str(host.refusal(graph, node))


def test_a_latent_with_nan_stops_the_run(host, scene, goes_on):
    bad = torch.zeros(1, 4, 32, 32)
    bad[0, 1, 2, 3] = torch.nan
    file = host.server.input / "bad.latent"
    save_file({"latent_tensor": bad, "latent_format_version_0": torch.tensor([])}, file)
    graph = scene()
    latent = graph.add("LoadLatent", latent="bad.latent")
    said = str(host.refusal(graph, graph.stride(latent_image=latent[0], denoise=0.5)))
    assert "NaN or Inf at step 1 of 4 (sigma" in said and "Likely causes" in said


def test_an_interrupted_run_leaves_the_server_clean(host, scene, goes_on):
    graph = scene()
    node = graph.stride(steps=5000)
    graph.add("SaveLatent", samples=node[0], filename_prefix="latents/long")
    prompt_id = host.queue(graph)
    until = time.monotonic() + 60
    while not host.call("/queue")["queue_running"] and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.5)  # into the steps
    begun = time.monotonic()
    host.call("/interrupt", b"")
    with pytest.raises(Interrupted):
        host.wait(prompt_id)
    assert time.monotonic() - begun < 20
    assert not host.call("/queue")["queue_running"]
