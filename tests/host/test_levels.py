"""Sigmas typed and changed in nodes: queued for real, seen in what the model is called with."""

import pytest
import torch
from stride import schedules
from stride.samplers import FLOW, VE
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


# Lists that do not just fall --------------------------------------------------------------------


def test_unsampling_and_sampling_back(host, scene):
    """FlipSigmas, and the same way back down: the picture again, nearer with a better method."""
    graph = scene(size=128)
    picture = graph.stride(steps=12, sampler="heun", schedule="karras")
    sigmas = graph.add(
        "StrideSchedule", model=graph.model, schedule="karras", steps=12, denoise=1.0
    )[0]
    up = graph.add("FlipSigmas", sigmas=sigmas)[0]
    ends = []
    for sampler in ("euler", "heun"):
        quiet = dict(sampler=sampler, cfg=1.0, add_noise=False)
        noisy = graph.custom(sigmas=up, latent_image=picture[0], **quiet)
        ends += [noisy, graph.custom(sigmas=sigmas, latent_image=noisy[0], **quiet)]
    start, *found = host.latents(graph, picture, *ends)
    noise, back, better_noise, better = found
    for high in (noise, better_noise):
        assert high.std() > 5 * start.std()  # the model's highest level is 14.6
    errors = [float((end - start).norm() / start.norm()) for end in (back, better)]
    assert errors[1] < errors[0] < 0.6


def test_one_level_equal_levels_and_a_turn(host, scene):
    """One level: what the host's euler hands on. Equal ones: the list without them."""
    graph = scene(size=64)
    typed_as = lambda t: graph.add("StrideSigmas", sigmas=t)[0]  # noqa: E731
    falling = "14, 5, 1, 0"
    last = graph.add("SplitSigmas", sigmas=typed_as(falling), step=3)[1]
    first = graph.add("SplitSigmas", sigmas=typed_as(falling), step=0)[0]
    theirs = graph.add("KSamplerSelect", sampler_name="euler")[0]
    nodes = [
        graph.custom(sampler=sampler, sigmas=sigmas)
        for sigmas in (first, last, typed_as("1, 3, 1, 0")) for sampler in ("euler", theirs)
    ] + [graph.custom("dpmpp_2m", sigmas=typed_as(t)) for t in ("14, 14, 5, 5, 1, 0, 0", falling)]
    found = host.latents(graph, *nodes)
    for ours, other in zip(found[:6:2], found[1:6:2]):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-4)
    assert torch.equal(*found[6:])


def test_what_a_schedule_amplifies_is_told_on_the_node(host, scene):
    graph = scene("flow", size=64)
    wild = graph.stride(sampler="dpmpp_3m", schedule="laplace", steps=5, cfg=1.0)
    plain = graph.stride(sampler="dpmpp_3m", schedule="simple", steps=5, cfg=1.0)
    outputs = host.run_saving(graph, [wild, plain])[1]
    assert "warning: step 4 of 5 (sigma 0.41" in outputs[wild.id]["text"][0]
    assert "multiplies" not in outputs[plain.id]["text"][0]


def test_a_schedule_of_others_that_is_not_finite_is_named(comfy):
    """As kl_optimal of the host is at one step."""
    from types import SimpleNamespace

    from host_models import discrete
    from stride.host.lists.names import Named
    from stride.host.sampling import sigmas_for

    sampling = discrete(comfy)
    model = SimpleNamespace(get_model_object=lambda name: sampling)
    named = Named("schedule", "kl_optimal", "kl_optimal")
    with pytest.raises(ValueError, match=r"schedule .kl_optimal.* gave a sigma of nan for 1 steps"):
        sigmas_for(model, named, 1)


HOSTS = ("euler", "heun", "dpm_2", "ipndm", "dpmpp_2m", "res_multistep", "gradient_estimation")


@pytest.mark.parametrize("name", HOSTS)
def test_the_way_up_is_the_hosts(comfy, name):
    from host_models import Denoiser, agree, discrete

    up = torch.tensor([1e-4, 0.05, 0.3, 1.0, 4.0, 14.0], dtype=torch.float64)
    sampling = discrete(comfy)
    agree(comfy, name, VE, up, up, Denoiser(sampling), Denoiser(sampling))


@pytest.fixture
def img_to_img_flow(comfy):
    """The host's model sampling of that kind on SD's levels; as newer hosts have it."""
    def made(schedule="ModelSamplingDiscrete"):
        kind = getattr(comfy.model_sampling, "IMG_TO_IMG_FLOW", comfy.model_sampling.CONST)
        return type("Sampling", (getattr(comfy.model_sampling, schedule), kind), {})()

    return made


def test_a_flow_from_picture_to_picture_is_ve_above_one(comfy, img_to_img_flow):
    """With levels to 14.6 it has no 1 - sigma; within 1 it is the flow that it says."""
    from stride.host.lists.model import process_of

    assert process_of(img_to_img_flow()) is VE
    assert process_of(img_to_img_flow("ModelSamplingDiscreteFlow")) is FLOW


@pytest.mark.parametrize("name", HOSTS)
def test_a_flow_from_picture_to_picture_is_run_as_the_host_runs_it(comfy, img_to_img_flow, name):
    from host_models import Denoiser, compare
    from stride.host.lists.model import spec_of

    sampling = img_to_img_flow()
    compare(comfy, name, spec_of(sampling), 6, "simple", Denoiser(sampling), Denoiser(sampling))


def test_every_pair_runs_on_a_flow_from_picture_to_picture(comfy, img_to_img_flow):
    """Each sampler on one schedule and each schedule with one sampler; straight to the answer."""
    from sampler_rows import ROWS, answers
    from stride import samplers
    from stride.host.lists.model import spec_of

    spec, picture = spec_of(img_to_img_flow()), torch.linspace(-1, 1, 16).view(1, 4, 2, 2)
    answer = 0.3 * picture.flip(1)
    pairs = [(name, "simple") for name in ROWS] + [("euler", s) for s in schedules.REGISTRY.names]
    for sampler, schedule in pairs:
        steps = (schedules.get(schedule).counts or (5,))[0]
        sigmas = schedules.get(schedule).sigmas(spec, steps)
        found = samplers.sample(
            sampler, answers(sampler, lambda x, s: answer), picture, sigmas, spec.process
        )
        torch.testing.assert_close(found, answer, rtol=1e-4, atol=1e-4)
