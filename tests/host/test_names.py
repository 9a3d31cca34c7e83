"""Names of other programs in our nodes' inputs, through the real server."""

import pytest
import torch

pytestmark = pytest.mark.host

# What is written, and the host-side names of the same run.
SAME = [
    (dict(sampler="Euler a", schedule="SGMUniform"),
     dict(sampler="euler_ancestral", schedule="sgm_uniform")),
    (dict(sampler="DPM++ 2M Karras", schedule="karras"),
     dict(sampler="dpmpp_2m", schedule="karras")),
    (dict(sampler="DPM++ 2M Exponential", schedule="automatic"),
     dict(sampler="dpmpp_2m", schedule="exponential")),
    (dict(sampler="k_heun", schedule="get_sigmas_karras"),
     dict(sampler="heun", schedule="karras")),
    (dict(sampler="DPMSolverMultistepScheduler", schedule="Karras"),
     dict(sampler="dpmpp_2m", schedule="karras")),
    (dict(sampler="dpmpp 2m", schedule="KarrasScheduler"),
     dict(sampler="dpmpp_2m", schedule="karras")),
]


def test_a_name_in_any_spelling_is_the_same_run(host, scene):
    graph = scene(size=64)
    nodes = [graph.stride(**names) for pair in SAME for names in pair]
    found = host.latents(graph, *nodes)
    for (written, _), ours, want in zip(SAME, found[::2], found[1::2]):
        assert torch.equal(ours, want), written


def test_k_diffusions_lms_ends_by_its_formula(host, scene):
    """The function that a name means brings its options with it."""
    graph = scene(size=64)
    lms = graph.add("StrideSampler", sampler="lms", ending="multistep")
    nodes = [
        graph.stride(sampler="sample_lms"), graph.stride(sampler="lms", options=lms[1]),
        graph.stride(sampler="lms"), graph.custom(sampler="sample_lms"),
        graph.custom(sampler=lms[0]),
    ]
    theirs, ours, plain, part, same = host.latents(graph, *nodes)
    assert torch.equal(theirs, ours) and torch.equal(part, same)
    assert not torch.equal(theirs, plain)


@pytest.mark.parametrize("names, message", [
    (dict(sampler="DPM++ 2M Karras", schedule="simple"),
     "sampler 'DPM++ 2M Karras' has schedule 'Karras' in its name, but schedule is 'simple'"),
    (dict(sampler="Euler a Karas"), "'Euler a' is a sampler, but unknown schedule 'Karas'"),
    (dict(sampler="RePaintScheduler"), "unknown diffusers scheduler 'RePaintScheduler'"),
    (dict(sampler="Euler a", schedule="DPMSolverMultistepScheduler"), "is sampler dpmpp_2m"),
    (dict(sampler="neighbor_halves"), "did you mean neighbour_halves"),
])
def test_a_name_that_cannot_be_meant(host, scene, names, message):
    graph = scene(size=64)
    assert message in str(host.refusal(graph, graph.stride(**names)))


def test_a_combined_name_has_no_place_where_there_is_a_sampler_alone(host, scene):
    graph = scene(size=64)
    node = graph.custom(sampler="DPM++ 2M Karras")
    host.refusal(graph, node, "'karras' is for a schedule input")


def test_a_neighbours_name_stays_theirs(comfy, monkeypatch):
    """However near to one of ours: what somebody registered is not taken from them."""
    from stride import host
    from stride.host.lists import names

    monkeypatch.setattr(comfy.samplers, "SAMPLER_NAMES", [*comfy.samplers.SAMPLER_NAMES, "EULERA"])
    assert names.listed("sampler", "EULERA").entry is None
    assert names.pair("EULERA", "Karras")[0].name == "EULERA"
    assert "EULERA" in host.sampler_names()
    assert names.one_sampler("EulerA").name == "euler_ancestral"
    host.choice.check("EULERA", "karras")
