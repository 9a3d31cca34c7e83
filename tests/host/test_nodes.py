"""The nodes beside each other, beside the host's own, and what they report."""

import pytest
import torch

pytestmark = pytest.mark.host

SAMPLERS = ("euler", "euler_ancestral", "heun", "dpmpp_2m", "ddim", "ipndm")
SCHEDULES = ("simple", "karras", "exponential", "normal", "sgm_uniform", "beta", "ddim_uniform",
             "kl_optimal", "linear_quadratic")


def chain(graph, cuts, steps=8, **settings):
    """A run of `steps` cut into nodes at `cuts`; returns the last node."""
    latent, edges = graph.empty, [0, *cuts, steps]
    for start, end in zip(edges, edges[1:]):
        node = graph.advanced(
            steps=steps, start_at_step=start, end_at_step=end, latent_image=latent,
            add_noise="enable" if start == 0 else "disable",
            return_with_leftover_noise="enable" if end < steps else "disable", **settings,
        )  # fmt: skip
        latent = node[0]
    return node


@pytest.mark.parametrize("prediction", ["eps", "flow"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_cut_in_two_equals_the_run_bit_for_bit(host, scene, sampler, prediction):
    graph = scene(prediction)
    settings = dict(sampler=sampler, schedule="karras")
    nodes = [graph.advanced(steps=8, **settings), chain(graph, [4], **settings)]
    nodes.append(graph.stride(steps=8, **settings))
    whole, halves, plain = host.latents(graph, *nodes)
    assert torch.equal(whole, halves)
    assert torch.equal(whole, plain)


def test_a_run_cut_in_many_and_a_batch_equal_the_run(host, scene):
    graph = scene(batch=2)
    settings = dict(sampler="ipndm", schedule="sgm_uniform")
    nodes = [graph.advanced(steps=8, **settings), chain(graph, [1, 2, 5, 7], **settings)]
    whole, pieces = host.latents(graph, *nodes)
    assert torch.equal(whole, pieces)


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_ancestral"])
def test_a_cut_run_with_a_mask_equals_the_run(host, scene, sampler):
    """What the mask keeps is noised in the second node as it was in the first."""
    graph = scene()
    source = graph.stride(steps=4, seed=1)
    graph.empty = graph.masked(source[0])[0]
    settings = dict(sampler=sampler, schedule="karras")
    nodes = [graph.advanced(steps=8, latent_image=graph.empty, **settings),
             chain(graph, [4], **settings)]
    whole, halves = host.latents(graph, *nodes)
    assert torch.equal(whole, halves)


def test_a_latent_changed_between_two_nodes_is_used(host, scene):
    """The carried state must not bring back a latent that another node has replaced."""
    graph = scene()
    first = graph.advanced(steps=8, end_at_step=4, return_with_leftover_noise="enable")
    flipped = graph.add("LatentFlip", samples=first[0], flip_method="y-axis: horizontally")
    rest = dict(steps=8, start_at_step=4, add_noise="disable")
    nodes = [
        graph.advanced(latent_image=first[0], **rest),
        graph.advanced(latent_image=flipped[0], **rest),
    ]
    plain, changed = host.latents(graph, *nodes)
    assert (plain - changed).abs().mean() > 1e-2


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_ancestral"])
def test_sampler_custom_with_our_parts_equals_our_ksampler(host, scene, sampler):
    graph = scene()
    settings = dict(sampler=sampler, schedule="karras", steps=6)
    whole, parts = host.latents(graph, graph.stride(**settings), graph.custom(**settings))
    assert torch.equal(whole, parts)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_ours_run_from_the_hosts_ksampler_too(host, scene, sampler):
    graph = scene()
    stock = graph.stock(sampler=f"stride_{sampler}", schedule="stride_beta")
    ours, theirs = host.latents(graph, graph.stride(sampler=sampler, schedule="beta"), stock)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_our_euler_equals_the_hosts_on_every_schedule(host, scene, schedule):
    graph = scene()
    ours, theirs = host.latents(
        graph, graph.stride(schedule=schedule), graph.stock(schedule=schedule)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("sampler", ["heun", "dpmpp_2m", "ipndm"])
def test_our_samplers_equal_the_hosts(host, scene, sampler, prediction):
    graph = scene(prediction)
    settings = dict(sampler=sampler, schedule="karras", steps=6)
    ours, theirs = host.latents(graph, graph.stride(**settings), graph.stock(**settings))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_a_sampler_of_another_pack_runs_from_our_node(host, scene, object_info):
    """Through the host's function, and on any schedule; the dropdown has it behind ours."""
    names = object_info["StrideKSampler"]["input"]["required"]["sampler"][1]["options"]
    assert names.index("neighbour_halves") > names.index("euler")
    graph = scene()
    settings = dict(sampler="neighbour_halves", schedule="ddim_uniform")
    ours, theirs = host.latents(graph, graph.stride(**settings), graph.stock(**settings))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("schedule", ["neighbour_line", "neighbour_fall"])
@pytest.mark.parametrize("sampler", ["euler", "dpm_2", "uni_pc"])
def test_a_schedule_of_another_pack_runs_from_our_node(host, scene, sampler, schedule):
    """Of either kind that the host has, also with a sampler for which it plans one step more."""
    graph = scene(size=64)
    nodes = [
        node(sampler=sampler, schedule=schedule, steps=6, denoise=denoise)
        for denoise in (1.0, 0.6) for node in (graph.stride, graph.stock)
    ]
    found = host.latents(graph, *nodes)
    near = 1e-2 if sampler == "uni_pc" else 1e-3  # the host's own ends at sigma 0.001
    for ours, theirs in zip(found[::2], found[1::2]):
        torch.testing.assert_close(ours, theirs, rtol=near, atol=near)


@pytest.mark.parametrize(
    "sampler, steps, calls",
    [("euler", 8, 8), ("euler_ancestral", 5, 5), ("heun", 8, 15), ("dpmpp_2m", 6, 6)],
)
def test_model_calls_are_reported(host, scene, sampler, steps, calls):
    graph = scene()
    nodes = [
        graph.stride(sampler=sampler, steps=steps, seed=11),
        graph.advanced(sampler=sampler, steps=steps, noise_seed=11),
    ]
    outputs = host.run_saving(graph, nodes)[1]
    for node in nodes:
        (report,) = outputs[node.id]["stride"]
        assert (report["sampler"], report["schedule"]) == (sampler, "karras")
        assert (report["steps"], report["model_calls"]) == (steps, calls)
        assert report["seconds"] >= 0
        (line,) = outputs[node.id]["text"]
        assert str(calls) in line
