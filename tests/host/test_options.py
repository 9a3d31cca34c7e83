"""Every sampler in the real host, its options on the nodes, and the host's own noise."""

import pytest
import torch
from stride import samplers, schedules

pytestmark = pytest.mark.host

OPTIONS = "STRIDE_OPTIONS"


def with_options(graph, sampler, **options):
    """(node, KSampler settings) of a Sampler (Stride) whose options a KSampler takes."""
    node = graph.add("StrideSampler", sampler=sampler, **options)
    return node, {"sampler": sampler, "options": node[1]}


def test_every_name_of_the_host_is_ours(comfy):
    """The host's whole dropdown resolves to our tables, its twins included."""
    assert [name for name in comfy.stock_samplers if name not in samplers.REGISTRY] == []


def test_every_sampler_is_in_both_dropdowns(object_info):
    ours = object_info["StrideKSampler"]["input"]["required"]["sampler"][1]["options"]
    theirs = object_info["KSampler"]["input"]["required"]["sampler_name"][0]
    for name in samplers.REGISTRY.names:
        assert name in ours and f"stride_{name}" in theirs


@pytest.mark.parametrize("prediction", ["eps", "flow"])
def test_every_sampler_draws_the_demo_models_picture(host, scene, prediction):
    """Through our node and, under our prefix, through the host's: the same, and no flat colour."""
    graph = scene(prediction, size=128)
    names = samplers.REGISTRY.names
    spare = ("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2")  # the host drops a sigma of these
    settings = dict(steps=6, cfg=2.0, schedule="simple")
    ours = [graph.stride(sampler=name, **settings) for name in names]
    shared = [name for name in names if name not in spare]
    settings = dict(steps=6, cfg=2.0, scheduler="simple")
    theirs = [graph.stock(sampler_name=f"stride_{name}", **settings) for name in shared]
    found = host.latents(graph, *ours, *theirs)
    pictures = dict(zip(names, found))
    for name, latent in pictures.items():
        assert torch.isfinite(latent).all(), name
        assert 0.1 < latent[:, :3].std() < 2, name
    for name, latent in zip(shared, found[len(names) :]):
        assert torch.equal(latent, pictures[name]), name


@pytest.mark.parametrize(
    "node, choice, registry",
    [("StrideSampler", "sampler", samplers.REGISTRY),
     ("StrideSchedule", "schedule", schedules.REGISTRY)],
)
def test_the_node_tells_which_options_belong_to_a_name(object_info, node, choice, registry):
    """Every option is an input; none has the name of another input of the node, nor of the URL."""
    inputs = object_info[node]["input"]
    belongs = inputs["required"][choice][1]["stride_options"]
    assert set(belongs) == set(registry.names)
    names = set().union(*belongs.values())
    assert names == set(inputs["optional"]) - {"options", "latent"}
    assert not names & {*inputs["required"], "options", "latent", "name", "stride_curve"}
    for entry in registry:
        assert belongs[entry.name] == vars(entry.options)


def test_small_numbers_can_be_read_on_the_node(object_info):
    """0.002 is no 0.00: a number's step is as fine as the smallest default that it can have."""
    inputs = object_info["StrideSchedule"]["input"]["optional"]
    for entry in schedules.REGISTRY:
        for name, value in vars(entry.options).items():
            if isinstance(value, float) and value:
                assert inputs[name][1]["step"] <= abs(value), (entry.name, name)


def test_options_of_samplers(object_info):
    belongs = object_info["StrideSampler"]["input"]["required"]["sampler"][1]["stride_options"]
    assert belongs["euler_ancestral"]["eta"] == 1.0 and belongs["euler"]["eta"] == 0.0
    assert "order" not in belongs["euler"] and "order" in belongs["ipndm"]
    for name in ("StrideKSampler", "StrideKSamplerAdvanced"):
        assert object_info[name]["input"]["optional"]["options"][0] == OPTIONS


def test_options_reach_the_run(host, scene):
    """eta 0 makes Euler a plain Euler, from KSampler and from SamplerCustom alike."""
    graph = scene()
    _, settings = with_options(graph, "euler_ancestral", eta=0.0)
    quiet, settings_loud = graph.stride(**settings), with_options(graph, "euler_ancestral")[1]
    nodes = [quiet, graph.stride(sampler="euler"), graph.stride(**settings_loud),
             graph.stride(sampler="euler_ancestral"), graph.advanced(**settings)]
    eta0, euler, left, plain, advanced = host.latents(graph, *nodes)
    assert torch.equal(eta0, euler) and torch.equal(advanced, euler)
    assert torch.equal(left, plain) and not torch.equal(plain, euler)


@pytest.mark.parametrize(
    "sampler, options, says",
    [
        ("euler", {"order": 2}, "'euler' has no option 'order'; its options:"),
        ("euler", {"noise": "pink"}, "pink"),
        ("euler", {"eta": 101.0}, "eta"),
    ],
)
def test_a_bad_option_is_refused(host, scene, sampler, options, says):
    graph = scene()
    _, settings = with_options(graph, sampler, **options)
    host.refusal(graph, graph.stride(**settings), says)


def test_options_of_another_sampler_are_refused(host, scene):
    graph = scene()
    _, settings = with_options(graph, "ipndm", order=2)
    node = graph.stride(**{**settings, "sampler": "euler"})
    host.refusal(graph, node, "belong to the sampler 'ipndm', this node runs 'euler'")


# Options of schedules ---------------------------------------------------------------------------


def schedule_node(graph, schedule="karras", steps=4, **options):
    return graph.add(
        "StrideSchedule", model=graph.model, schedule=schedule, steps=steps, denoise=1.0, **options
    )


@pytest.mark.parametrize("first", ["sampler", "schedule"])
def test_a_chain_of_options_reaches_the_run(host, scene, first):
    """Sampler to schedule to KSampler or the other way round: what SamplerCustom draws."""
    graph = scene()
    if first == "sampler":
        sampler = graph.add("StrideSampler", sampler="euler_ancestral", eta=0.5)
        schedule = last = schedule_node(graph, rho=3.0, options=sampler[1])
    else:
        schedule = schedule_node(graph, rho=3.0)
        sampler = last = graph.add(
            "StrideSampler", sampler="euler_ancestral", eta=0.5, options=schedule[1]
        )
    settings = dict(sampler="euler_ancestral", schedule="karras")
    nodes = [
        graph.stride(**settings, options=last[1]),
        graph.advanced(**settings, options=last[1]),
        graph.custom(sampler=sampler[0], sigmas=schedule[0]),
        graph.stride(**settings, options=graph.add(
            "StrideSampler", sampler="euler_ancestral", eta=0.5)[1]),
        graph.stride(**settings, options=schedule_node(graph, rho=3.0)[1]),
    ]
    chained, advanced, custom, no_rho, no_eta = host.latents(graph, *nodes)
    assert torch.equal(chained, custom) and torch.equal(advanced, custom)
    assert not torch.equal(chained, no_rho) and not torch.equal(chained, no_eta)


def test_a_spelling_in_the_hosts_lists_is_the_same_name(host, scene):
    graph = scene()
    options = schedule_node(graph, rho=3.0)[1]
    nodes = [graph.stride(schedule=name, options=options) for name in ("karras", "stride_karras")]
    plain, prefixed = host.latents(graph, *nodes)
    assert torch.equal(plain, prefixed)


def test_options_of_another_schedule_are_refused(host, scene):
    graph = scene()
    node = graph.stride(schedule="beta", options=schedule_node(graph, rho=3.0)[1])
    host.refusal(graph, node, "belong to the schedule 'karras', this node runs 'beta'")


def test_a_run_has_one_set_of_options_of_each_kind(host, scene):
    graph = scene()
    twice = schedule_node(graph, "beta", options=schedule_node(graph)[1])
    node = graph.stride(schedule="beta", options=twice[1])
    host.refusal(graph, node, "already hold those of schedule 'karras', and this node adds .*beta")


@pytest.mark.parametrize(
    "schedule, options, says",
    [
        ("beta", {"rho": 2.0}, "'beta' has no option 'rho'; its options: alpha, beta"),
        ("karras", {"rho": 1000.0}, "rho"),
        ("kl_optimal_of_nobody", {}, "unknown schedule"),
        ("neighbour_line", {"rho": 3.0}, "not one of Stride's and takes no options here, got rho"),
    ],
)
def test_a_bad_option_of_a_schedule_is_refused(host, scene, schedule, options, says):
    graph = scene()
    node = graph.custom(sigmas=schedule_node(graph, schedule, **options)[0])
    host.refusal(graph, node, says)


def test_the_schedule_node_tells_which_model_it_ran_with(host, scene):
    """The frontend draws the curve for that model from then on."""
    graph = scene("flow")
    node = schedule_node(graph, "normal", steps=7)
    graph.add("SaveLatent", samples=graph.custom(sigmas=node[0])[0], filename_prefix="latents/x")
    (seen,) = host.run(graph)[node.id]["stride"]
    assert seen["process"] == "FLOW" and seen["sigma_max"] == 1.0
    drawn = host.call(f"/stride/sigmas?schedule=normal&steps=7&model={seen['model']}")
    assert drawn["model"] == seen
    assert drawn["sigmas"] == host.call("/stride/sigmas?schedule=normal&steps=7&model=flow:3")[
        "sigmas"
    ]


# The host's noise takes the whole batch from one stream, in order.
@pytest.mark.parametrize(
    "sampler", ["euler_ancestral", "dpmpp_2m_sde", "dpmpp_3m_sde", "dpm_2_ancestral", "lcm",
                "euler_ancestral_cfg_pp"],
)  # fmt: skip
def test_host_noise_gives_yesterdays_picture(host, scene, sampler):
    """With noise = host a stochastic sampler draws what the host's own draws, to rounding.

    On one list of sigmas: where a level moves by its last bit, 1e-6 at sigma 14, a Brownian path
    moves by the root of that, 1e-3.
    """
    graph = scene(batch=2)
    ours = graph.add("StrideSampler", sampler=sampler, noise="host")
    theirs = graph.add("KSamplerSelect", sampler_name=sampler)
    nodes = [graph.custom(sampler=node[0], steps=8) for node in (ours, theirs)]
    ours, theirs = host.latents(graph, *nodes)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("prediction", ["eps", "flow"])
def test_cfg_pp_equals_the_hosts(host, scene, prediction):
    """The unconditional answer comes through the host's own hook."""
    graph = scene(prediction)
    settings = dict(steps=8, cfg=1.5)
    nodes = [graph.stride(sampler="euler_cfg_pp", **settings),
             graph.stock(sampler_name="euler_cfg_pp", **settings),
             graph.stride(sampler="euler", **settings)]
    ours, theirs, plain = host.latents(graph, *nodes)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    assert (ours - plain).abs().mean() > 0.003
