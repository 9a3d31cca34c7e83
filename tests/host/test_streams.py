"""A1111's noise through the host: its Brownian trees, and its streams on the nodes."""

import json
from pathlib import Path

import pytest
import torch
from client import Failed
from stride.engine.streams import GENERATORS, A1111Noise
from stride.samplers import Draw

pytestmark = pytest.mark.host

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "a1111_rng.json").read_text())


def test_brownian_trees_of_a_batch(comfy):
    """A1111's SDE samplers, source CPU: one torchsde tree for each image, keyed by its seed."""
    from stride.host.run.noise import HostNoise

    row = next(row for row in GOLDEN["brownian"] if row["source"] == "CPU")
    sigmas, x = torch.tensor(row["sigmas"]), torch.zeros(row["shape"])
    noise = HostNoise(x, sigmas, row["seeds"], brownian=True, on_device=False)
    levels = sigmas.tolist()
    first, later = (noise(x, Draw(1.0, levels[i], levels[i + 1])) for i in (0, 3))
    assert first[0].flatten()[:8].tolist() == row["call(s0,s1)_item0"]
    assert first[1].flatten()[:8].tolist() == row["call(s0,s1)_item1"]
    assert later[0].flatten()[:8].tolist() == row["call(s3,s4)_item0"]


def with_noise(graph, noise, sampler="euler_ancestral", **options):
    node = graph.add("StrideSampler", sampler=sampler, noise=noise, **options)
    return {"sampler": sampler, "options": node[1]}


@pytest.mark.parametrize("noise", GENERATORS)
def test_a_stream_on_the_node(host, scene, noise):
    """It renders; ENSD changes it; image 1 of a batch is what seed + 1 gives alone."""
    graph, batch = scene(), scene(batch=2)
    one = [graph.stride(steps=6, seed=seed, **with_noise(graph, noise)) for seed in (5, 6)]
    one.append(graph.stride(steps=6, **with_noise(graph, noise, ensd=31337)))
    one.append(graph.stride(steps=6, **with_noise(graph, "independent")))
    first, second, ensd, other = host.latents(graph, *one)
    both = host.latents(batch, batch.stride(steps=6, **with_noise(batch, noise)))[0]
    torch.testing.assert_close(both, torch.cat([first, second]), rtol=1e-3, atol=1e-3)
    for latent in (ensd, other):
        assert torch.isfinite(latent).all() and (first - latent).abs().mean() > 0.01


@pytest.mark.parametrize("noise", GENERATORS)
def test_the_initial_noise_is_the_streams_first_draw(host, scene, noise):
    """One step of 2000 leaves almost all of it."""
    graph = scene(batch=2)
    node = graph.advanced(
        end_at_step=1, return_with_leftover_noise="enable", steps=2000,
        **with_noise(graph, noise, "euler"),
    )
    noisy = host.latents(graph, node)[0]
    start = A1111Noise(noise, 5, range(2)).first(noisy.shape)
    both = torch.stack([noisy.flatten(), start.flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.999


def test_a_brownian_tree_for_each_image(host, scene):
    """A1111's SDE samplers: with source CPU image 1 of a batch is what seed + 1 gives alone."""
    graph, batch = scene(), scene(batch=2)
    one = [graph.stride(steps=6, seed=seed, **with_noise(graph, "a1111", "dpmpp_2m_sde"))
           for seed in (5, 6)]
    alone = torch.cat(host.latents(graph, *one))
    both = host.latents(batch, batch.stride(steps=6, **with_noise(batch, "a1111", "dpmpp_2m_sde")))
    torch.testing.assert_close(both[0], alone, rtol=1e-3, atol=1e-3)


def test_a_brownian_tree_on_nvidia_is_refused(host, scene):
    graph = scene()
    node = graph.stride(**with_noise(graph, "a1111_nv", "dpmpp_2m_sde"))
    host.refusal(graph, node, "Brownian tree of torchsde", Failed)
