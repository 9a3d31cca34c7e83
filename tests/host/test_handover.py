"""A run that two models share: KSampler Advanced, one after the other."""

import json
from pathlib import Path

import pytest
import torch
from client import to_prompt

pytestmark = pytest.mark.host

WORKFLOW = Path(__file__).resolve().parents[2] / "example_workflows" / "two_models.json"

MULTISTEP = ("dpmpp_2m", "uni_pc", "deis", "ipndm", "dpmpp_3m_sde", "er_sde", "sa_solver")


def pair(s, first, second, cut, steps=8, finish=None, **settings):
    """The first MODEL up to a step, the second from there on; both nodes' latents."""
    start = s.advanced(model=first, steps=steps, end_at_step=cut,
                       return_with_leftover_noise="enable", **settings)
    end = s.advanced(model=second, steps=steps, start_at_step=cut, add_noise="disable",
                     latent_image=start[0], **{**settings, **(finish or {})})
    return start, end


def two(scene, **settings):
    """A scene with a second model: the first one with its LoRA."""
    s = scene(**settings)
    s.other = s.add("StrideDemoModel", prediction=settings.get("prediction", "eps"),
                    outlines=0.5)[0]
    return s


@pytest.mark.parametrize("prediction", ["eps", "flow"])
def test_a_model_that_follows_itself_is_the_run_in_one(host, scene, prediction):
    """Loaded twice, with masks of the host's and denoise under 1 in the window too."""
    s = scene(prediction)
    again = s.add("LoraLoaderModelOnly", model=s.model, lora_name="stride_demo_lora.safetensors",
                  strength_model=1e-30)[0]
    nodes = []
    for sampler in MULTISTEP:
        nodes += [s.advanced(steps=8, sampler=sampler), pair(s, s.model, again, 3,
                                                             sampler=sampler)[1]]
    latents = host.latents(s, *nodes)
    for whole, cut in zip(latents[::2], latents[1::2]):
        assert torch.equal(whole, cut)


def test_eps_hands_over_to_v(host, scene):
    """One network as two kinds of model: history is denoised latents, which they share."""
    s = scene("eps")
    other = s.add("StrideDemoModel", prediction="v")[0]
    settings = dict(sampler="dpmpp_2m", steps=8)
    whole = s.advanced(**settings)
    carried = pair(s, s.model, other, 4, **settings)[1]
    whole, carried = host.latents(s, whole, carried)
    torch.testing.assert_close(carried, whole, rtol=0, atol=2e-2)


def test_history_goes_along_or_stays_behind(host, scene):
    """Euler has none; begun anew, a two-step method takes its first step as Euler does.

    On a VE model the first step of DPM++ 2M is Euler's, so that the node which begins anew and
    takes one step is Euler's node, and the one which goes on is not.
    """
    s = two(scene)
    settings = s.add("StrideRunSettings", history="begin anew")[0]
    drawn = {}
    for name, finish in (("on", {}), ("anew", {"options": settings})):
        for sampler in ("euler", "dpmpp_2m"):
            start, end = pair(s, s.model, s.other, 7, sampler=sampler, finish=finish)
            drawn[sampler, name] = end
    _, flipped = pair(s, s.model, s.other, 7, sampler="dpmpp_2m",
                      finish=dict(sampler="euler"))
    latents = dict(zip([*drawn, "as euler"], host.latents(s, *drawn.values(), flipped)))
    assert torch.equal(latents["euler", "on"], latents["euler", "anew"])
    close = dict(rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(latents["dpmpp_2m", "anew"], latents["as euler"], **close)


def test_the_history_of_the_other_model_counts(host, scene):
    s = two(scene)
    settings = s.add("StrideRunSettings", history="begin anew")[0]
    on = pair(s, s.model, s.other, 4, sampler="dpmpp_2m")[1]
    anew = pair(s, s.model, s.other, 4, sampler="dpmpp_2m", finish={"options": settings})[1]
    on, anew = host.latents(s, on, anew)
    assert (on - anew).abs().mean() > 1e-3


@pytest.mark.parametrize("prediction, level", [("eps", 2.0), ("flow", 0.875)])
def test_models_meet_at_a_noise_level(host, scene, prediction, level):
    """By step in KSampler Advanced as by sigmas in the host's SamplerCustom."""
    s = two(scene, prediction=prediction)
    sigmas = s.add("StrideSchedule", model=s.model, schedule="karras", steps=8, denoise=1.0)[0]
    parts = s.add("StrideSigmasSplit", sigmas=sigmas, sigma=level)
    start = s.advanced(steps=8, end_at_step=parts[2], return_with_leftover_noise="enable")
    end = s.advanced(steps=8, start_at_step=parts[2], add_noise="disable", model=s.other,
                     latent_image=start[0])
    high = s.custom(sigmas=parts[0])
    low = s.custom(sigmas=parts[1], model=s.other, latent_image=high[0], add_noise=False)
    plain = s.advanced(steps=8)
    ours, theirs, plain = host.latents(s, end, low, plain)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    assert (ours - plain).abs().mean() > 1e-3


def advanced(s, sigmas, sampler, latent, noise=True, model=None):
    """The host's SamplerCustomAdvanced."""
    guider = s.add("CFGGuider", model=model or s.model, positive=s.positive, negative=s.negative,
                   cfg=4.0)
    kind = s.add("RandomNoise", noise_seed=5) if noise else s.add("DisableNoise")
    return s.add("SamplerCustomAdvanced", noise=kind[0], guider=guider[0], sampler=sampler,
                 sigmas=sigmas, latent_image=latent)


@pytest.mark.parametrize("prediction, level", [("eps", 2.0), ("flow", 0.4)])
@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_3m_sde", "sa_solver"])
def test_two_custom_samplers_are_one_run(host, scene, prediction, level, name):
    """History, fresh noise, the images' indices and what a mask keeps go along with the SAMPLER."""
    s = scene(prediction=prediction, batch=3)
    batch = s.add("LatentFromBatch", samples=s.empty, batch_index=1, length=2)[0]
    masked = s.masked(batch)[0]
    sampler = s.add("StrideSampler", sampler=name)[0]
    sigmas = s.add("StrideSchedule", model=s.model, schedule="karras", steps=8, denoise=1.0)[0]
    parts = s.add("StrideSigmasSplit", sigmas=sigmas, sigma=level, sampler=sampler)
    nodes = []
    for latent in (batch, masked):
        high = advanced(s, parts[0], parts[3], latent)
        low = advanced(s, parts[1], parts[4], high[0], noise=False)
        nodes += [advanced(s, sigmas, sampler, latent), low]
    plain = advanced(s, parts[1], sampler, advanced(s, parts[0], sampler, batch)[0], noise=False)
    *latents, plain = host.latents(s, *nodes, plain)
    for whole, cut in zip(latents[::2], latents[1::2]):
        assert torch.equal(whole, cut)
    assert (plain - latents[0]).abs().max() > 1e-2


def test_what_cannot_be_handed_over(host, scene):
    s = scene()
    sigmas = s.add("StrideSchedule", model=s.model, schedule="karras", steps=8, denoise=1.0)[0]
    for sampler, said in (
        (s.add("KSamplerSelect", sampler_name="dpmpp_2m")[0], "'sample_dpmpp_2m' cannot be parted"),
        (s.add("StrideSampler", sampler="dpm_adaptive")[0], "choose their own steps"),
    ):
        parts = s.add("StrideSigmasSplit", sigmas=sigmas, sigma=2.0, sampler=sampler)
        host.refusal(s, advanced(s, parts[0], parts[3], s.empty), said)
    parts = s.add("StrideSigmasSplit", sigmas=sigmas, sigma=2.0)  # no sampler, so none comes out
    latent = advanced(s, parts[0], parts[3], s.empty)[0]
    saved = s.add("SaveLatent", samples=latent, filename_prefix="latents/none")
    assert saved.id not in host.run(s)


def test_the_example_draws_outlines_with_the_second_model(host, object_info):
    """As the editor saves it; dark outlines in the picture come from the LoRA alone."""
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    dark = []
    for outlines in (0.0, 1.0):
        prompt = to_prompt(workflow, object_info)
        assert prompt["2"]["inputs"]["outlines"] == 1.0
        prompt["2"]["inputs"]["outlines"] = outlines
        outputs = host.run(prompt)
        (saved,) = [found["images"][0] for found in outputs.values() if "images" in found]
        picture = host.image(saved["filename"], saved["subfolder"])
        dark.append((picture.max(-1) < 60).mean())
    assert dark[1] > dark[0] + 0.02
