"""A model that fails at call k, for every k of a short run: what the user is told, and that the
next prompt draws what it always drew."""

from itertools import count

import pytest
import torch
from client import Failed, Interrupted

pytestmark = pytest.mark.host

STEPS = 4
CALLS = {"euler": 4, "dpmpp_2m": 4, "heun": 7, "dpmpp_2m_sde": 4}
EVERY_CALL = [(name, k) for name, calls in CALLS.items() for k in range(1, calls + 1)]
STAGES = {"euler": 1, "dpmpp_2m": 1, "heun": 2, "dpmpp_2m_sde": 1}
_tags = count(1)


def faulty(scene, fault="none", at=1, fits=1, batch=2, **settings):
    """(prompt, its sampler) with a model that fails; nothing of it is in the host's cache."""
    graph = scene(size=64, batch=batch)
    broken = graph.add(
        "FaultyModel", model=graph.model, fault=fault, at=at, fits=fits, tag=next(_tags)
    )
    options = {}
    if settings:
        options["options"] = graph.add("StrideRunSettings", **settings)[0]
    return graph, lambda **more: graph.stride(model=broken[0], steps=STEPS, **options, **more)


def draw(host, scene, sampler, fault="none", at=1, **more):
    """(latent, what the node says)."""
    graph, stride = faulty(scene, fault, at, **more)
    node = stride(sampler=sampler)
    (latent,), outputs = host.run_saving(graph, [node])
    return latent, outputs[node.id]["text"][0]


@pytest.fixture(scope="module")
def sound(host, scene):
    """The pictures of a sound model."""
    return {name: draw(host, scene, name)[0] for name in CALLS}


def failing(host, scene, sampler, fault, at, **more):
    graph, stride = faulty(scene, fault, at, **more)
    return host.refusal(graph, stride(sampler=sampler), by=(Failed, Interrupted))


def step_of(sampler, at):
    return (at - 1) // STAGES[sampler] + 1


@pytest.mark.parametrize("fault", ["raise", "nan cond", "nan uncond", "interrupt"])
@pytest.mark.parametrize("sampler, at", EVERY_CALL)
def test_the_next_prompt_works(host, scene, sound, sampler, at, fault):
    calls, error = CALLS[sampler], failing(host, scene, sampler, fault, at)
    if fault == "interrupt":
        assert isinstance(error, Interrupted)
    elif fault == "raise":
        assert f"a hole in the model at call {at}" in str(error)
    else:
        prompt = {"nan cond": "positive", "nan uncond": "negative"}[fault]
        assert f"NaN or Inf at step {step_of(sampler, at)} of {STEPS} (sigma" in str(error)
        assert f"in the {prompt} prompt's answer but not in" in str(error)
        assert "the model computes in float32. Likely causes" in str(error)
    assert at <= calls
    assert torch.equal(draw(host, scene, sampler)[0], sound[sampler])


@pytest.mark.parametrize("sampler, at", EVERY_CALL)
def test_memory_that_runs_out_once(host, scene, sound, sampler, at):
    found, said = draw(host, scene, sampler, "oom once", at)
    assert torch.equal(found, sound[sampler])
    assert "memory ran out once: caches were freed" in said


@pytest.mark.parametrize("sampler, at", EVERY_CALL)
def test_a_batch_that_no_longer_fits(host, scene, sound, sampler, at):
    """The model itself rounds differently for one image than for two; nothing else does."""
    found, said = draw(host, scene, sampler, "oom above", at)
    torch.testing.assert_close(found, sound[sampler], rtol=1e-3, atol=1e-3)
    assert "memory ran out 2 times: caches were freed" in said
    assert "the model was asked for 1 image at a time" in said


def test_out_of_memory_may_stop_the_run(host, scene, sound):
    error = failing(host, scene, "euler", "oom once", 2, out_of_memory="stop")
    assert "CUDA out of memory at call 2" in str(error)
    assert torch.equal(draw(host, scene, "euler")[0], sound["euler"])


@pytest.mark.parametrize("most", [1, 2, 3])
def test_images_at_a_time(host, scene, most):
    whole, _ = draw(host, scene, "dpmpp_2m_sde", batch=3)
    found, said = draw(host, scene, "dpmpp_2m_sde", "oom above", fits=most, batch=3,
                       images_at_a_time=most, out_of_memory="stop")
    torch.testing.assert_close(found, whole, rtol=1e-3, atol=1e-3)
    assert "memory" not in said and ("at a time" in said) == (most < 3)


@pytest.mark.parametrize("sampler, at", EVERY_CALL)
def test_an_interrupted_run_may_keep_its_picture(host, scene, sound, sampler, at):
    """What is kept is the model's clean estimate in that step, as SamplerCustom puts it out."""
    found, said = draw(host, scene, sampler, "interrupt", at,
                       when_interrupted="keep the picture so far")
    steps = step_of(sampler, at)
    assert f"interrupted in step {steps} of {STEPS}: this is the model's picture so far" in said
    graph = scene(size=64, batch=2)
    custom = graph.custom(sampler=sampler, steps=STEPS)
    inputs = graph[custom.id]["inputs"]
    inputs["sigmas"] = graph.add("SplitSigmas", sigmas=inputs["sigmas"], step=steps)[0]
    clean = graph.add("LatentMultiply", samples=custom[1], multiplier=1.0)
    assert torch.equal(found, host.latents(graph, clean)[0])
    assert torch.equal(draw(host, scene, sampler)[0], sound[sampler])


def test_what_a_guidance_patch_remembers_is_split_with_the_batch(host, scene):
    """APG's momentum is each image's own: together, apart, or apart from call 3 on."""

    def drawn(fault="none", momentum=-0.75, **settings):
        graph = scene(size=64, batch=3)
        broken = graph.add("FaultyModel", model=graph.model, fault=fault, at=3, fits=2,
                           tag=next(_tags))
        apg = graph.add("StrideAPG", model=broken[0], eta=0.0, norm_threshold=0.0,
                        momentum=momentum)
        options = graph.add("StrideRunSettings", **settings)
        node = graph.stride(model=apg[0], steps=6, options=options[0], sampler="dpmpp_2m")
        return host.latents(graph, node)[0]

    whole = drawn()
    for apart in (drawn(images_at_a_time=1), drawn(images_at_a_time=2), drawn("oom above")):
        torch.testing.assert_close(apart, whole, rtol=1e-3, atol=1e-3)
    assert (drawn(momentum=0.0) - whole).abs().max() > 0.05
