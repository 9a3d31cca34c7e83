"""A1111's run mode beside recorded lists and draws, and the rules of its img2img."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stride import samplers, schedules
from stride.a1111 import run as a1111_run
from stride.a1111.run import Model, Settings, plan
from stride.engine.streams import A1111Noise
from stride.names import a1111
from stride.samplers import Draw

FOLDER = Path(__file__).parent / "golden"
LISTS = json.loads((FOLDER / "a1111_schedules.json").read_text())
STARTS = json.loads((FOLDER / "a1111_starts.json").read_text())
MODEL = Model.discrete()
SD3 = Model.flow(3 * (t := np.arange(1, 1001) / 1000) / (1 + 2 * t))
SPELLING = {
    "use_old_karras_scheduler_sigmas": "old_karras_sigmas", "beta_dist_alpha": "beta_alpha",
    "always_discard_next_to_last_sigma": "discard_penultimate", "beta_dist_beta": "beta_beta",
}


def lists():
    """(model, sampler, schedule, row) of every recorded list of a schedule, as A1111 has it."""
    for group, model, sampler in (
        ("sd15", MODEL, "Euler"), ("options", MODEL, "Euler"), ("sd3_shift3", SD3, "Euler"),
        ("zero_terminal_snr", Model.discrete(zero_terminal_snr=True), "Euler"),
        ("lcm", MODEL, "LCM"),
    ):
        for row in LISTS[group]:
            yield model, row.get("sampler", sampler), row.get("scheduler", row.get("label")), row


def test_recorded_lists():
    """Whole and untouched: KL Optimal that ends at sigma_min, and DDIM's spare values."""
    count = spare = 0
    for model, sampler, schedule, row in lists():
        chosen = {SPELLING.get(k, k): v for k, v in row.get("opts", {}).items()}
        found = plan(sampler, schedule, row["n"], model, Settings(**chosen)).sigmas
        np.testing.assert_allclose(found, row["sigmas"], rtol=3e-6, atol=0, err_msg=str(row)[:90])
        count, spare = count + 1, spare + (len(found) > row["n"] + 1)
    assert count > 130 and spare > 2


def test_recorded_timesteps():
    for row in STARTS["timesteps"]:
        grid = a1111_run.timesteps(row["steps"])
        assert [len(grid), grid[0], grid[-1]] == [row["len"], row["first"], row["last"]]
        if "timesteps" in row:
            assert grid.tolist() == row["timesteps"]
        if len(grid) > 1:
            assert len(plan("DDIM", "Karras", row["steps"], MODEL).sigmas) == row["len"]


@pytest.mark.parametrize("row", STARTS["image_rng"], ids=lambda r: f"{r['source']}{r['options']}")
def test_recorded_starts(row):
    """Variation seeds and seed resize; the generators' later draws come as recorded as well.

    The images of a batch with a variation share its seed, the recorded ones do not: one by one.
    """
    options = row["options"]
    height, width = options.get("resize", (0, 0))
    both, like = [], torch.empty(1, 4, 8, 8)
    for k in range(2):
        settings = Settings(
            noise=row["source"].lower(), ensd=options.get("ensd", 0),
            variation_seed=options.get("subseeds", [0, 0])[k],
            variation_strength=options.get("strength", 0.0),
            resize_from_width=width, resize_from_height=height,
        )
        noise = plan("Euler a", "Karras", 5, MODEL, settings).source(row["seeds"][k], range(1))
        both.append(noise.first(like.shape))
        first = both[-1].flatten()[:8].tolist()
        assert first == pytest.approx(row[f"initial_{k}"], rel=2e-6, abs=2e-7)
        later = noise(like, Draw(1.0, 2.0, 1.0)).flatten()[:8].tolist()
        assert later == row[f"step1_{k}"]
    assert float(torch.cat(both).double().sum()) == pytest.approx(row["initial_sum"], abs=1e-3)


def test_images_of_a_batch():
    """seed + i; with a variation the seed stays and the variation seed counts on."""
    shape, settings = (3, 4, 6, 5), Settings(variation_seed=9, variation_strength=0.4)
    batch = plan("Euler", "Karras", 5, MODEL).source(7, range(3)).first(shape)
    varied = plan("Euler", "Karras", 5, MODEL, settings).source(7, range(3)).first(shape)
    for k in range(3):
        alone = plan("Euler", "Karras", 5, MODEL).source(7 + k, range(1)).first((1, *shape[1:]))
        assert torch.equal(batch[k : k + 1], alone)
        own = Settings(variation_seed=9 + k, variation_strength=0.4)
        alone = plan("Euler", "Karras", 5, MODEL, own).source(7, range(1)).first((1, *shape[1:]))
        assert torch.equal(varied[k : k + 1], alone)


def test_draws_that_a_window_of_churn_leaves_out_are_passed_over():
    """A1111 draws at every step of Euler, churned or not: step k has draw k + 1 of its stream."""
    settings = Settings(noise="cpu", s_churn=5.0, s_tmin=0.5, s_tmax=5.0)
    made = plan("Euler", "Karras", 10, MODEL, settings)
    table = made.sampler.planned(made.sigmas, samplers.VE, made.options)
    churned = [row.step for row in table.rows if row.noise]
    assert churned == [k for k, s in enumerate(made.sigmas) if 0.5 <= s <= 5.0] and churned[0] > 0
    noise, like = made.source(3, range(1)), torch.empty(1, 4, 8, 8)
    noise.first(like.shape)
    generator = torch.Generator().manual_seed(3)
    draws = [torch.randn(like.shape, generator=generator) for _ in range(11)]
    for row in table.rows:
        for draw in row.noise:
            assert torch.equal(noise(like, draw), draws[row.step + 1])


# Images to images -------------------------------------------------------------------------------


@given(st.integers(1, 150), st.floats(0.0, 1.0), st.sampled_from(["Karras", "Uniform", "Simple"]))
def test_steps_from_a_picture(steps, denoise, schedule):
    """A1111: int(min(d, .999) steps) + 1 intervals at the end of the list of all steps."""
    found = plan("Euler", schedule, steps, MODEL, denoise=denoise)
    whole = plan("Euler", schedule, steps, MODEL).sigmas
    count = int(min(denoise, 0.999) * steps) + 1
    assert len(found.sigmas) == count + 1 and found.sigmas == whole[-(count + 1) :]
    assert (found.latent, found.noise) == (1.0, found.sigmas[0]) and found.span == whole


@pytest.mark.parametrize("steps, denoise", [(20, 0.5), (15, 0.3), (10, 1.0), (7, 0.75)])
def test_exactly_the_number_of_steps(steps, denoise):
    """The other rule is the host's: the end of a longer list."""
    found = plan("Euler", "Karras", steps, MODEL, Settings(fixed_steps=True), denoise=denoise)
    host = schedules.get("karras").sigmas(MODEL.spec, steps, min(denoise, 0.999))
    np.testing.assert_allclose(found.sigmas, host.numpy(), rtol=1e-6)
    assert plan("Euler", "Karras", 9, MODEL, Settings(fixed_steps=True), denoise=0.0).sigmas == ()


def level(t):
    bar = MODEL.alpha_bar[t]
    return math.sqrt((1 - float(bar)) / float(bar))


@pytest.mark.parametrize("sampler", ["DDIM", "PLMS", "UniPC", "DDIM CFG++"])
def test_timesteps_from_a_picture(sampler):
    """Noised as at entry t_enc of the grid, run from the entry below it, in VP latents."""
    made = plan(sampler, "Automatic", 20, MODEL, denoise=0.5)
    top, noised = level(451), level(501)  # entries 9 and 10 of 1, 51, 101 ...
    # UniPC's clock is one timestep back: it ends at timestep 0.
    assert made.sigmas[0] == pytest.approx(top, rel=1e-6)
    assert made.sigmas[-1] == pytest.approx(level(0 if sampler == "UniPC" else 1), rel=1e-6)
    assert len(made.sigmas) == (11 if sampler == "UniPC" else 10)
    # x = sqrt(bar) latent + sqrt(1 - bar) noise at that entry, times sqrt(1 + sigma^2) for ours
    bar, scale = 1 / (1 + noised**2), math.sqrt(1 + top**2)
    assert made.latent == pytest.approx(math.sqrt(bar) * scale)
    assert made.noise == pytest.approx(math.sqrt(1 - bar) * scale)
    assert made.result == pytest.approx(1 / math.sqrt(1 + made.sigmas[-1] ** 2))
    assert made.guidance == (0.08 if sampler == "DDIM CFG++" else 1.0)


def test_settings_for_pictures():
    """Noise multiplier, extra noise, and SD3's mix of picture and noise."""
    settings = Settings(noise_multiplier=0.9, extra_noise=0.1)
    made = plan("Euler", "Karras", 20, MODEL, settings, denoise=0.5)
    assert made.noise == pytest.approx(0.9 * (made.sigmas[0] + 0.1)) and made.latent == 1.0
    made = plan("Euler", "Automatic", 20, SD3, denoise=0.5)
    assert (made.latent, made.noise) == pytest.approx((1 - made.sigmas[0], made.sigmas[0]))


def test_scale_of_the_noise():
    top = plan("Euler", "Karras", 20, MODEL).sigmas[0]
    assert plan("Euler", "Karras", 20, MODEL).noise == top
    host = plan("Euler", "Karras", 20, MODEL, Settings(sgm_noise_multiplier=True)).noise
    assert host == pytest.approx(math.sqrt(1 + top**2))
    assert plan("DDIM", "Karras", 20, MODEL).noise == pytest.approx(math.sqrt(1 + level(951) ** 2))


@pytest.mark.parametrize("skip, law", [
    ("time_uniform", lambda t: t), ("time_quadratic", np.sqrt), ("logSNR", None),
])
def test_unipc_skip_types(skip, law):
    """Even in t, in its root (Zhao et al. 2023, arXiv:2302.04867, official code), in log-SNR."""
    made = plan("UniPC", "Automatic", 10, MODEL, Settings(unipc_skip=skip))
    sigmas = np.array(made.sigmas)
    if law is None:
        steps = np.diff(np.log(sigmas))
    else:
        bars = np.log(MODEL.alpha_bar.astype(np.float64))[::-1]
        times = np.interp(-np.log1p(sigmas**2), bars, np.arange(999, -1, -1))
        steps = np.diff(law(times / 1000 + 1 / 1000))
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-6)
    assert len(sigmas) == 11 and made.options.order == 3


def test_dpm_fast_and_adaptive_from_a_picture():
    """Between the first level and the last but one of the list."""
    levels = plan("Euler", "Uniform", 20, MODEL, denoise=0.5).sigmas
    fast = plan("DPM fast", "Uniform", 20, MODEL, denoise=0.5)
    adaptive = plan("DPM adaptive", "Uniform", 20, MODEL, denoise=0.5)
    assert adaptive.sigmas == (levels[0], levels[-2])
    assert (fast.sigmas[0], fast.sigmas[-1]) == (levels[0], levels[-2])
    assert fast.sampler.planned(fast.sigmas, samplers.VE, fast.options).calls == len(levels) - 1


# Names and refusals -----------------------------------------------------------------------------


def test_every_label_and_our_names_for_them():
    for row in a1111.SAMPLERS:
        for name in (row.label, row.ours, row.label.upper(), *row.aliases):
            assert a1111_run.sampler_row(name) is row
    for row in a1111.SCHEDULES:
        for name in filter(None, (row.label, row.name, row.ours)):
            assert a1111_run.schedule_row(name) is row


@pytest.mark.parametrize("sampler", [row.label for row in a1111.SAMPLERS])
@pytest.mark.parametrize("schedule", [row.label for row in a1111.SCHEDULES])
def test_every_pair_makes_a_run(sampler, schedule):
    """Also where a list ends above 0 or has values to spare; the table checks itself."""
    for steps, denoise in ((11, None), (30, 0.4)):
        made = plan(sampler, schedule, steps, MODEL, denoise=denoise)
        table = made.sampler.planned(made.sigmas, samplers.VE, made.options)
        assert made.noise > 0 and (sampler == "DPM adaptive" or table.steps > 0)
        assert made.notes[0].startswith(f"A1111's {sampler}")


@pytest.mark.parametrize("bad, says", [
    (dict(sampler="res_multistep"), "A1111 1.10.1: unknown sampler 'res_multistep'"),
    (dict(schedule="bong_tangent"), "A1111 1.10.1: unknown schedule 'bong_tangent'"),
    (dict(denoise=1.5), "denoise must be from 0 to 1"),
    (dict(sampler="DDIM", steps=501), "1 to 500 steps, got 501"),
    (dict(sampler="DDIM", model=SD3), "DDIM runs on 1000 timesteps, and this model has none"),
    (dict(sampler="DPM fast", denoise=0.0), "no way to go"),
    (dict(settings=dict(sigma_max=99.0)), "sigma_max must not be above the model's"),
])
def test_what_a1111_has_not(bad, says):
    asked = dict(sampler="Euler", schedule="Karras", steps=20, model=MODEL) | bad
    settings = Settings(**asked.pop("settings", {}))
    with pytest.raises(ValueError, match=says):
        plan(**asked, settings=settings)


@pytest.mark.parametrize("name, value", [("noise", "gpu"), ("eta", 2.0), ("unipc_variant", "bh3")])
def test_settings_are_checked(name, value):
    with pytest.raises(ValueError, match=name):
        Settings(**{name: value})


def test_the_stream_is_that_of_the_noise_option():
    """What the mode draws for a plain run is what the sampler's option noise draws elsewhere."""
    made = plan("Euler a", "Karras", 5, MODEL, Settings(noise="nv", ensd=3))
    noise, like = made.source(5, range(2)), torch.empty(2, 4, 8, 8)
    other = A1111Noise("a1111_nv", 5, range(2), 3)
    assert torch.equal(noise.first(like.shape), other.first(like.shape))
    assert torch.equal(noise(like, Draw(1.0, 2.0, 1.0)), other(like, Draw(1.0, 2.0, 1.0)))
