"""Guidance patches beside their papers' formulas, written here once more, and closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stride import guidance
from stride.guidance import Call, rescale, threshold
from stride.samplers import FLOW, VE

SIGMA = {VE: 2.5, FLOW: 0.7}
PROCESSES = pytest.mark.parametrize("process", [VE, FLOW], ids=lambda p: p.name)


def call(process, shape=(3, 4, 6, 5), scale=6.0, seed=0, sigma=None, **known):
    """A model call with answers drawn at random, in double precision."""
    g = torch.Generator().manual_seed(seed)
    x, cond, uncond = (torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(3))
    level = torch.full((shape[0], *[1] * (len(shape) - 1)), sigma or SIGMA[process]).double()
    level *= torch.linspace(1.0, 0.6, shape[0]).double().reshape(level.shape)
    x = x * level
    plain = known.pop("denoised", uncond + scale * (cond - uncond))
    return Call(x, level, plain, cond, uncond, scale, process, **known)


def images(c, k):
    """Image k of a call alone."""
    part = slice(k, k + 1)
    return Call(c.x[part], c.sigma[part], c.denoised[part], c.cond[part], c.uncond[part], c.scale,
                c.process, c.sigmas, c.sigma_max)


# each with a setting that changes something, and its neutral one
PATCHES = {
    "rescale": (guidance.Rescale(0.7), guidance.Rescale(0.0)),
    "threshold": (guidance.Threshold(0.9, 0.5), guidance.Threshold(strength=0.0)),
    "mimic": (guidance.Mimic(2.0, 0.95), guidance.Mimic(strength=0.0)),
    "temperature": (guidance.Temperature(0.6), guidance.Temperature(1.0)),
    "apg": (guidance.APG(0.2, 3.0, -0.5), guidance.APG(1.0)),
    "cfg_zero": (guidance.CFGZero(zero_steps=0), guidance.CFGZero(fit=False, zero_steps=0)),
}
EACH = pytest.mark.parametrize("name", PATCHES)


@EACH
@PROCESSES
@settings(max_examples=12, deadline=None)
@given(
    shape=st.lists(st.integers(2, 5), min_size=1, max_size=3),
    batch=st.integers(1, 3), channels=st.integers(1, 4), seed=st.integers(0, 99),
)
def test_every_rank_image_by_image_and_neutral_bit_for_bit(
    name, process, shape, batch, channels, seed
):
    c = call(process, (batch, channels, *shape), seed=seed)
    patch, neutral = PATCHES[name]
    out = patch(c)
    assert out.shape == c.x.shape and torch.isfinite(out).all()
    for k in range(batch):
        torch.testing.assert_close(patch(images(c, k)), out[k : k + 1], rtol=1e-9, atol=1e-9)
    assert neutral.neutral and not patch.neutral
    assert torch.equal(neutral(c), c.denoised)


@EACH
@PROCESSES
def test_it_changes_the_answer_and_nothing_that_it_was_given(name, process):
    c = call(process)
    before = [t.clone() for t in (c.x, c.sigma, c.denoised, c.cond, c.uncond)]
    assert (PATCHES[name][0](c) - c.denoised).abs().max() > 1e-3
    assert all(map(torch.equal, before, (c.x, c.sigma, c.denoised, c.cond, c.uncond)))


@pytest.mark.parametrize("name", ["rescale", "mimic", "apg", "cfg_zero"])
@PROCESSES
def test_at_cfg_1_guidance_has_nothing_to_change(name, process):
    c = call(process, scale=1.0)
    bare = Call(c.x, c.sigma, c.cond.clone(), c.cond, None, 1.0, process)
    assert torch.equal(PATCHES[name][0](bare), c.cond)


def v_of(process, x, sigma, d):
    """The velocity that v-prediction and flow models are trained to predict."""
    if process is FLOW:
        return (x - d) / sigma  # eps - x0
    a = 1 / (1 + sigma**2).sqrt()  # weights on the unit circle
    return a * (x - d) / sigma - a * sigma * d


@PROCESSES
@pytest.mark.parametrize("phi", [0.3, 0.7, 1.0])
def test_rescale_is_lin_et_al_eq_14_to_16(process, phi):
    c = call(process)
    out = v_of(process, c.x, c.sigma, guidance.Rescale(phi)(c))
    v_cfg, v_pos = (v_of(process, c.x, c.sigma, d) for d in (c.denoised, c.cond))
    for k in range(3):
        rescaled = v_cfg[k] * (v_pos[k].std() / v_cfg[k].std())
        expected = phi * rescaled + (1 - phi) * v_cfg[k]
        torch.testing.assert_close(out[k], expected, rtol=1e-9, atol=1e-9)
        if phi == 1:  # exactly the deviation of the positive prompt's velocity
            torch.testing.assert_close(out[k].std(), v_pos[k].std(), rtol=1e-9, atol=0)


def test_rescale_of_a_constant_image_is_finite():
    flat = torch.ones(1, 4, 8, 8)
    out = rescale.rescale(flat, flat * 2, flat, torch.ones(1, 1, 1, 1), FLOW, 1.0)
    assert torch.isfinite(out).all()


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), p=st.floats(0.0, 1.0), seed=st.integers(0, 99))
def test_quantile_is_numpys(n, p, seed):
    values = torch.randn(2, n, generator=torch.Generator().manual_seed(seed)).double()
    expected = np.quantile(values.numpy(), p, axis=-1)
    np.testing.assert_allclose(threshold.quantile(values, p), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("limit", [0.5, 1.0, 100.0])
def test_threshold_is_imagens(limit):
    c = call(VE)
    out = guidance.Threshold(0.95, limit)(c)
    for k, image in enumerate(c.denoised.numpy()):
        s = max(np.quantile(np.abs(image), 0.95), limit)
        np.testing.assert_allclose(out[k], np.clip(image, -s, s) / s * limit, rtol=1e-9)
    if limit == 100.0:  # nothing is that large
        assert torch.equal(out, c.denoised)
    else:
        assert float(out.abs().max()) == pytest.approx(limit, rel=1e-12)


def test_mimic_keeps_the_range_of_the_lower_cfg_channel_by_channel():
    c = call(VE, scale=9.0)
    out = guidance.Mimic(3.0, 0.9)(c).numpy()
    lower = (c.uncond + 3.0 * (c.cond - c.uncond)).numpy()
    for k, image in enumerate(c.denoised.numpy()):
        for ch, plane in enumerate(image):
            ref = np.abs(lower[k, ch] - lower[k, ch].mean()).max()
            centred = plane - plane.mean()
            top = max(np.quantile(np.abs(centred), 0.9), ref)
            expected = np.clip(centred, -top, top) / top * ref + plane.mean()
            np.testing.assert_allclose(out[k, ch], expected, rtol=1e-9, atol=1e-9)
            assert np.abs(out[k, ch] - plane.mean()).max() <= ref * (1 + 1e-9)


def test_mimic_of_the_same_cfg_is_the_plain_answer_bit_for_bit():
    c = call(VE, scale=5.0)
    c = call(VE, scale=5.0, denoised=torch.lerp(c.uncond, c.cond, 5.0))
    assert torch.equal(guidance.Mimic(5.0, 1.0)(c), c.denoised)


@PROCESSES
@pytest.mark.parametrize("temperature", [0.4, 0.9, 1.7])
@pytest.mark.parametrize("sigma", [1.0, 0.5, 0.01])
def test_temperature_is_exact_for_gaussian_data(process, temperature, sigma):
    """N(0, s^2) becomes N(0, T s^2): the exact denoiser of the one, tempered, is the other's."""
    spread, x = 0.8, call(process).x
    level = torch.full((3, 1, 1, 1), sigma).double()
    alpha = process.alpha(level)

    def denoise(variance):
        return alpha * variance * x / (alpha**2 * variance + level**2)

    plain = denoise(spread**2)
    c = Call(x, level, plain, plain, None, 1.0, process)
    out = guidance.Temperature(temperature, spread)(c)
    torch.testing.assert_close(out, denoise(temperature * spread**2), rtol=1e-6, atol=1e-6)


@PROCESSES
def test_temperature_of_a_wide_spread_scales_the_noise_alike(process):
    c = call(process)
    alpha = process.alpha(c.sigma)
    out = guidance.Temperature(0.8, 1000.0)(c)
    noise, scaled = ((c.x - alpha * d) / c.sigma for d in (c.denoised, out))
    torch.testing.assert_close(scaled, noise / 0.8, rtol=1e-4, atol=1e-4)


def paper_apg(conds, unconds, w, eta, r, beta):
    """Algorithm 1 over several calls for one image, in numpy."""
    running, out = 0.0, []
    for cond, uncond in zip(conds, unconds):
        diff = (cond - uncond) + beta * running
        running = diff
        if r > 0:
            diff = diff * min(1.0, r / np.linalg.norm(diff))
        unit = cond / np.linalg.norm(cond)
        parallel = (diff * unit).sum() * unit
        out.append(cond + (w - 1) * ((diff - parallel) + eta * parallel))
    return out


@pytest.mark.parametrize("eta, r, beta", [(0, 0, 0), (0.3, 4, 0), (0, 4, -0.5), (1.2, 0, 0.4)])
def test_apg_is_the_papers_algorithm(eta, r, beta):
    patch, memory = guidance.APG(eta, r, beta), {}
    calls = [call(VE, seed=k, sigma=5.0 / (k + 1), memory=memory) for k in range(3)]
    found = [patch(c) for c in calls]
    for k in range(3):
        expected = paper_apg([c.cond[k].numpy() for c in calls],
                             [c.uncond[k].numpy() for c in calls], 6.0, eta, r, beta)
        for image, wanted in zip(found, expected):
            np.testing.assert_allclose(image[k], wanted, rtol=1e-8, atol=1e-8)


def test_apg_without_the_parallel_part_adds_nothing_along_the_answer():
    c = call(VE)
    added = guidance.APG(0.0)(c) - c.cond
    along = (added * c.cond).flatten(1).sum(1)
    torch.testing.assert_close(along, torch.zeros(3).double(), rtol=0, atol=1e-10)
    assert (added.flatten(1).norm(dim=1) > 1).all()
    limited = guidance.APG(1.0, 2.0)(c) - c.cond
    lengths = limited.flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((3,), 5.0 * 2.0).double())


@pytest.mark.parametrize("rise, anew", [(1.414, False), (1.6, True)])
def test_momentum_starts_anew_where_a_run_does(rise, anew):
    """s_churn lifts sigma by sqrt(2) at most; a restart lifts it by more."""
    patch, memory = guidance.APG(0.5, 0, -0.5), {}
    patch(call(VE, sigma=1.0, memory=memory))
    again = call(VE, seed=1, sigma=rise, memory=memory)
    fresh = patch(call(VE, seed=1, sigma=rise))
    assert torch.allclose(patch(again), fresh) == anew


def test_momentum_refuses_a_batch_that_was_cut_up():
    patch, memory = guidance.APG(momentum=-0.5), {}
    patch(call(VE, memory=memory))
    with pytest.raises(ValueError, match=r"\[3, 4, 6, 5\].*\[2, 4, 6, 5\]"):
        patch(call(VE, (2, 4, 6, 5), memory=memory))


@PROCESSES
def test_cfg_zero_is_the_papers_velocity(process):
    c = call(process)
    out = guidance.CFGZero(zero_steps=0)(c)
    v_c, v_u = ((c.x - d) / c.sigma for d in (c.cond, c.uncond))
    for k in range(3):
        s = float((v_c[k] * v_u[k]).sum() / (v_u[k] ** 2).sum())
        # s is the projection: what it leaves of the positive velocity is orthogonal to the other
        assert float(((v_c[k] - s * v_u[k]) * v_u[k]).sum()) == pytest.approx(0, abs=1e-9)
        velocity = s * v_u[k] + 6.0 * (v_c[k] - s * v_u[k])
        torch.testing.assert_close(out[k], c.x[k] - c.sigma[k] * velocity, rtol=1e-8, atol=1e-8)


def test_zero_init_waits_for_its_steps_of_a_run_from_pure_noise():
    levels = (1.0, 0.9, 0.7, 0.4, 0.0)
    patch = guidance.CFGZero(fit=False, zero_steps=2)

    def waits(sigma, sigmas=levels):
        c = call(FLOW, (1, 4, 4, 4), sigma=sigma, sigmas=sigmas, sigma_max=1.0)
        out = patch(c)
        assert torch.equal(out, c.x) or torch.equal(out, c.denoised)
        return torch.equal(out, c.x)

    assert [waits(s) for s in (1.0, 0.95, 0.9, 0.8)] == [True] * 4
    assert [waits(s) for s in (0.7, 0.5, 0.4)] == [False] * 3
    assert not waits(0.7, levels[2:])  # a run that starts from a half denoised latent
    with pytest.raises(ValueError, match="flow"):
        patch(call(VE, sigmas=(14.6, 1.0, 0.0), sigma_max=14.6))


LEVELS = (10.0, 6.0, 3.0, 1.0, 0.0)


def test_interval_is_open_below_and_closed_above():
    patch = guidance.Interval(1.0, 6.0)
    assert [patch.factor(s, LEVELS) for s in LEVELS] == [0, 1, 1, 0, 0]
    assert guidance.Interval().neutral and not patch.neutral
    with pytest.raises(ValueError, match="below sigma_high, got 6 and 1"):
        guidance.Interval(6.0, 1.0)


@pytest.mark.parametrize("shape, middle", [("linear", 0.5), ("cosine", 0.5), ("constant", 1.0)])
def test_curve_goes_from_start_to_end(shape, middle):
    patch = guidance.Curve(shape, 2.0, 0.0)
    ends = [patch.factor(s, LEVELS) for s in (LEVELS[0], LEVELS[3])]
    assert ends == ([2.0, 2.0] if shape == "constant" else [2.0, pytest.approx(0.0)])
    # steps 1 and 2 of 0..3, and the level half way between them
    assert patch.factor(4.5, LEVELS) == pytest.approx(2.0 * middle)
    third = {"linear": 2 / 3, "cosine": (1 + math.cos(math.pi / 3)) / 2, "constant": 1.0}[shape]
    assert patch.factor(6.0, LEVELS) == pytest.approx(2.0 * third)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(0, 10), min_size=1, max_size=6),
    steps=st.integers(1, 8), place=st.floats(0, 1),
)
def test_points_are_joined_by_straight_lines(values, steps, place):
    levels = [10.0 * 0.6**k for k in range(steps)] + [0.0]
    sigma = levels[0] * place
    where = np.interp(-sigma, [-s for s in levels], range(steps + 1))  # in steps
    t = min(where / (steps - 1), 1.0) if steps > 1 else 0.0
    expected = np.interp(t, np.linspace(0, 1, len(values)), values)
    found = guidance.Points(tuple(values)).factor(sigma, levels)
    assert found == pytest.approx(expected, abs=1e-9)


def test_points_are_typed():
    assert guidance.Points.parse("1, 0.5 0") == guidance.Points((1.0, 0.5, 0.0))
    assert guidance.Points.parse("1 1").neutral
    for text in ("1, two", "-1", "11", "nan"):
        with pytest.raises(ValueError, match="from 0 to 10"):
            guidance.Points.parse(text)


def test_a_curve_over_levels_that_rise_stay_or_turn():
    """Up it goes from start to end as well; where the way turns, each level has one place."""
    from stride.guidance.strength import position

    down = (9.0, 4.0, 1.0, 0.0)
    for sigma in (9.0, 6.0, 4.0, 1.0, 0.5, 0.0, 20.0):
        assert position(sigma, down[::-1]) == pytest.approx(3.0 - position(sigma, down))
    curve = guidance.Curve("linear", 2.0, 0.0)
    assert curve.factor(0.5, (0.5, 2.0, 8.0)) == 2.0 and curve.factor(2.0, (0.5, 2.0, 8.0)) == 0.0
    assert position(4.0, (9.0, 9.0, 4.0, 4.0, 1.0)) == 2.0
    assert position(2.0, (1.0, 3.0, 1.0)) == pytest.approx(0.5)


def test_neutral_curves():
    assert guidance.Curve().neutral and guidance.Curve("constant", 1.0, 5.0).neutral
    assert not guidance.Curve("linear", 1.0, 0.5).neutral


def test_numbers_out_of_range_are_refused():
    for make in (
        lambda: guidance.Rescale(1.5), lambda: guidance.Threshold(0.1),
        lambda: guidance.Curve("wavy"), lambda: guidance.CFGZero(zero_steps=-1),
        lambda: guidance.APG(momentum=1.0), lambda: guidance.Temperature(0.0),
    ):
        with pytest.raises(ValueError, match="must be .*(from|one of)"):
            make()
