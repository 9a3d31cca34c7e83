"""What a run does with tensors: any rank, any precision, few kept, none read back in a step."""

import traceback
import weakref

import pytest
import torch
from sampler_rows import ROWS, answers, with_eta
from stride import samplers, schedules
from stride.samplers import FLOW, VE, KeyedNoise, check_sigmas, run

NAMES = sorted(ROWS)
SIGMAS = (9.0, 4.0, 2.5, 1.0, 0.4, 0.0)
SHAPES = {"audio": (2, 8, 12), "image": (2, 4, 4, 6), "video": (2, 4, 2, 4, 3)}


def denoise(x, sigma):
    """D of each coordinate by itself, so that a latent's shape cannot matter."""
    return torch.tanh(x / (1 + sigma.to(x).view(-1, *[1] * (x.ndim - 1))))


def latent(shape, dtype=torch.float32):
    values = torch.randn(2, 96, generator=torch.Generator().manual_seed(0))
    return (9.0 * values).view(shape).to(dtype)


@pytest.mark.parametrize("name", NAMES)
def test_latents_of_any_rank(name):
    """An audio, an image and a video latent with the same numbers give the same numbers."""
    flat, *others = (
        samplers.sample(name, answers(name, denoise), latent(shape), SIGMAS, seed=3).flatten(1)
        for shape in SHAPES.values()
    )
    for other in others:
        assert torch.equal(other, flat)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_answers_in_half_precision(name, half):
    """The latent keeps its own precision; only the model's answers are rounded."""
    x = latent(SHAPES["image"])

    def rounded(x, sigma):
        return denoise(x, sigma).to(half)

    exact, found = (
        samplers.sample(name, answers(name, model), x, SIGMAS, seed=3)
        for model in (denoise, rounded)
    )
    assert found.dtype == torch.float32
    room = 40 * torch.finfo(half).eps  # a few answers, each weighted by a few
    assert 0 < (found - exact).abs().max() < room


@pytest.mark.parametrize("name", NAMES)
def test_no_step_reads_a_tensor_back(name):
    """Tensors of the device "meta" have no values: reading one raises.

    The only read of a run is the guard's, once, after its last row.
    """
    sampler, asked = samplers.get(name), []
    if getattr(sampler, "adaptive", False):
        pytest.skip("an adaptive method decides by what it reads, and says so")

    def model(x, sigma):
        asked.append(sigma)
        return torch.empty_like(x)

    x = latent(SHAPES["image"]).to("meta")
    seen = []
    with pytest.raises(NotImplementedError) as caught:
        samplers.sample(
            name, answers(name, model), x, SIGMAS, on_step=seen.append, **with_eta(name, 1.0)
        )
    frames = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert [frame for frame in frames if frame in ("finish", "take")] == ["finish"]
    table = sampler.plan(SIGMAS, VE, **with_eta(name, 1.0))
    assert len(asked) == table.calls and len(seen) == len(SIGMAS) - 1


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("process", [VE, FLOW], ids=lambda p: p.name)
@pytest.mark.parametrize("name", NAMES)
def test_no_more_is_kept_than_the_table_declares(name, process, eta):
    """Counted while the model is asked: every latent and answer that is still alive."""
    sampler = samplers.get(name)
    if getattr(sampler, "adaptive", False):
        pytest.skip("has no table")
    spec = schedules.ModelSpec.discrete() if process is VE else schedules.ModelSpec.flow()
    sigmas = check_sigmas(schedules.get("karras").sigmas(spec, 8), process)
    table = sampler.plan(sigmas, process, **with_eta(name, eta))
    calls = [k for k, row in enumerate(table.rows) if row.calls]
    alive, most = weakref.WeakSet(), []

    def model(x, sigma):
        alive.add(x)
        most.append(len(alive) - 1)  # less the latent in hand
        d, u = denoise(x, sigma), x * 0.5
        for answer in (d, u) if table.guided else (d,):
            alive.add(answer)
        return (d, u) if table.guided else d

    x = latent(SHAPES["image"]) * (sigmas[0] / 9.0)
    run(lambda s, p: table, model, x.clone(), sigmas, process, noise=KeyedNoise(0, range(2)))
    declared = [len(table.needed_after(k - 1) - {("x", k)}) for k in calls]
    unseen = len(calls) < len(table.rows)  # a latent that the model was never shown
    for found, allowed in zip(most, declared, strict=True):
        assert found == allowed or (unseen and found < allowed)
    assert max(declared) <= table.peak_memory
    assert unseen or max(declared) == table.peak_memory
