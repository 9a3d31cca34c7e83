"""Sigmas typed by hand and changed: closed forms, invariants on any curve, and the messages."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stride import schedules
from stride.samplers import FLOW, VE
from stride.schedules import ModelSpec
from stride.schedules import transforms as t

SD = ModelSpec.discrete()
KARRAS = schedules.get("karras").sigmas(SD, 12)
UP = torch.flip(KARRAS[:-1], (0,))


@st.composite
def curves(draw, flow=False, least=1):
    """Any strictly falling float32 list that ends in 0."""
    top = 1.0 if flow else 4519.0
    values = draw(st.lists(st.floats(2.0**-13, top, width=32), min_size=least, max_size=20,
                           unique=True))
    values = sorted(values, reverse=True)
    return torch.tensor([*values, 0.0])


def holds(sigmas, steps, ends_in_zero=True):
    assert sigmas.dtype == torch.float32 and sigmas.shape == (steps + 1,)
    assert torch.isfinite(sigmas).all() and (sigmas[1:] < sigmas[:-1]).all()
    assert (sigmas[-1] == 0) == ends_in_zero


# Typed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [
    "14.6, 7.1, 3e-1, 0", "14.6 7.1 0.3 0", "[14.6, 7.1, .3, 0.0]", "14.6;7.1;\n0.3;\n0\n",
    "  14.60,7.1 , +0.3,0,",
])  # fmt: skip
def test_typed_sigmas(text):
    expected = torch.tensor([14.6, 7.1, 0.3, 0.0])
    if text.endswith(","):  # a comma at the end promises one more
        with pytest.raises(ValueError, match="sigma 5, '', is not a number"):
            t.parse(text)
    else:
        assert torch.equal(t.parse(text), expected)


def test_small_numbers_keep_their_exponent():
    """The host's ManualSigmas reads '1e-4' as 1 and -4."""
    assert t.parse("1, 1e-4, 0").tolist() == pytest.approx([1, 1e-4, 0], rel=1e-7)


@pytest.mark.parametrize("text, says", [
    ("", "no sigmas were typed"), ("14.6, x, 0", "sigma 2, 'x', is not a number"),
    ("14.6, 7.1", "last sigma must be 0, got 7.1; add 0"), ("14.6", "list of 2 to 10001 values"),
    ("1, nan, 0", "sigma 2 must be a number"), ("7, 14, 3", "last sigma must be 0, got 3"),
    ("inf, 1, 0", "sigma 1 must be a number"), ("1, -0.5, 0", "sigma 2 must be a number from 0"),
    ("1e39, 0", "too large"), ("15, 1, 0", "sigma 1, 15, is above the model's largest, 14.6146"),
    ("0.1, 14, 15", "sigma 3, 15, is above the model's largest, 14.6146"),
])  # fmt: skip
def test_bad_sigmas_are_told(text, says):
    with pytest.raises(ValueError, match=says):
        t.parse(text, SD.sigma_max)


@given(curve=curves())
def test_what_is_printed_can_be_typed(curve):
    text = ", ".join(f"{s:.9g}" for s in curve.tolist())
    assert torch.equal(t.parse(text), curve)


# Changed --------------------------------------------------------------------------------------


def test_shift_is_the_flow_shift():
    straight = schedules.get("simple").sigmas(ModelSpec.flow(), 8)
    shifted = t.shift(straight, 3.0)
    expected = [3 * k / 8 / (1 + 2 * k / 8) for k in range(8, -1, -1)]
    np.testing.assert_allclose(shifted, expected, rtol=1e-6)
    part = t.shift(straight[4:], 3.0, top=1.0)  # a part of a run is shifted as the whole is
    np.testing.assert_allclose(part, expected[4:], rtol=1e-6)


@given(curve=curves(), factor=st.floats(0.05, 20))
def test_shift_keeps_the_contract_and_its_inverse_undoes_it(curve, factor):
    shifted = t.shift(curve, factor)
    holds(shifted, len(curve) - 1)
    assert float(shifted[0]) == pytest.approx(float(curve[0]), rel=1e-6)
    assert (shifted >= curve * (1 - 1e-5)).all() if factor >= 1 else (
        shifted <= curve * (1 + 1e-5)).all()
    back = t.shift(shifted, 1 / factor)
    # Next to the top a shift squeezes the levels to within float32's resolution.
    np.testing.assert_allclose(back, curve, rtol=1e-3 * max(1, factor))


@given(curve=curves(), denoise=st.floats(0.01, 1))
def test_trim_keeps_the_end(curve, denoise):
    kept = max(1, round((len(curve) - 1) * denoise))
    assert torch.equal(t.trim(curve, denoise), curve[-(kept + 1) :])
    assert t.trim(curve, 0.0).numel() == 0


@settings(deadline=None)
@given(flow=st.booleans(), data=st.data(), steps=st.integers(1, 200))
def test_resample_keeps_the_contract_ends_and_levels(flow, data, steps):
    curve = data.draw(curves(flow, least=2))
    process = FLOW if flow else VE
    new = t.resample(curve, steps, process)
    holds(new, steps)
    assert new[0] == curve[0]
    same = t.resample(curve, len(curve) - 1, process)
    np.testing.assert_allclose(same, curve, rtol=1e-6)
    # With twice as many intervals between its levels, every old level is there still.
    twice = t.resample(curve, 2 * (len(curve) - 2) + 1, process)
    np.testing.assert_allclose(twice[:-1:2], curve[:-1], rtol=1e-6)


def test_resample_is_even_in_log_snr():
    curve = t.typed([8.0, 2.0, 0.5, 0.0])
    np.testing.assert_allclose(t.resample(curve, 5), [8, 4, 2, 1, 0.5, 0], rtol=1e-6)
    curve = t.typed([0.9, 0.5, 0.1, 0.0])  # odds 9, 1, 1/9; half way in log: 3 and 1/3
    new = t.resample(curve, 5, FLOW)
    np.testing.assert_allclose(new, [0.9, 0.75, 0.5, 0.25, 0.1, 0], rtol=1e-6)
    start = t.resample(t.typed([1.0, 0.5, 0.1, 0.0]), 5, FLOW)
    assert float(start[1]) == pytest.approx(0.75)  # from sigma 1 straight
    part = torch.tensor([8.0, 2.0])  # the first part of a run, which does not end in 0
    np.testing.assert_allclose(t.resample(part, 2), [8, 4, 2], rtol=1e-6)
    with pytest.raises(ValueError, match="one step has no shape"):
        t.resample(t.typed([8.0, 0.0]), 3)


def test_resampled_exponential_is_exponential():
    curve = t.resample(schedules.get("exponential").sigmas(SD, 7), 31)
    expected = schedules.get("exponential").sigmas(SD, 31)
    np.testing.assert_allclose(curve, expected, rtol=1e-5)


@given(a=curves(), b=curves(), weight=st.floats(0, 1))
def test_blend_lies_between(a, b, weight):
    steps = min(len(a), len(b)) - 1
    a, b = a[-(steps + 1) :], b[-(steps + 1) :]
    mixed = t.blend(a, b, weight)
    holds(mixed, steps)
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    assert ((mixed >= low * (1 - 1e-5)) & (mixed <= high * (1 + 1e-5))).all()
    assert torch.equal(t.blend(a, b, 0.0), a) and torch.equal(t.blend(a, b, 1.0), b)
    half = t.blend(a, b, 0.5)
    np.testing.assert_allclose(half, torch.sqrt(a.double() * b.double()), rtol=1e-5)


@given(curve=curves(), data=st.data())
def test_split_parts_join_to_the_whole(curve, data):
    steps = len(curve) - 1
    step = data.draw(st.integers(0, steps))
    first, second = t.split(curve, step)
    assert first.numel() == (step + 1 if step else 0)
    assert second.numel() == (steps - step + 1 if step < steps else 0)
    joined = torch.cat([first[:-1], second]) if first.numel() and second.numel() else (
        first if first.numel() else second)
    assert torch.equal(joined, curve)


@given(curve=curves(), sigma=st.floats(0.0, 5000))
def test_split_at_a_level(curve, sigma):
    first, second = t.split_at(curve, sigma)
    assert (first[:-1] >= np.float32(sigma)).all() and (second[:-1] < np.float32(sigma)).all()


def test_split_of_two_experts():
    """Wan Lightning at 0.875: the expert for high noise has two of the four steps."""
    spec = ModelSpec.flow(5.0)
    high, low = t.split_at(schedules.get("wan_lightning").sigmas(spec, 4), 0.875)
    np.testing.assert_allclose(high, [1, 0.9375, 0.8333], atol=1e-4)
    np.testing.assert_allclose(low, [0.8333, 0.625, 0], atol=1e-4)


@given(curve=curves(least=2), part=st.floats(0.001, 0.999))
def test_the_last_step_can_be_forced(curve, part):
    sigma = float(curve[-3]) * part if len(curve) > 2 else part
    assume(np.float32(sigma) > 1e-6)
    forced = t.last_from(curve, sigma)
    holds(forced, len(curve) - 1)
    assert float(forced[-2]) == pytest.approx(sigma, rel=1e-6)
    assert torch.equal(forced[:-2], curve[:-2])


@given(curve=curves(least=2))
def test_discard_penultimate(curve):
    assert torch.equal(t.discard_penultimate(curve), torch.cat([curve[:-2], curve[-1:]]))


# Up, equal, one level, other types -------------------------------------------------------------


def test_a_way_up_is_the_way_down_turned_round():
    down = KARRAS[:-1]
    for change in (
        lambda s: t.shift(s, 3.0), lambda s: t.shift(s, 0.5, 20.0), lambda s: t.resample(s, 7),
        lambda s: t.blend(s, 2 * s, 0.25),
    ):
        assert torch.equal(change(UP), torch.flip(change(down), (0,)))
    flow = torch.linspace(1.0, 0.1, 7)
    turned = t.resample(torch.flip(flow, (0,)), 4, FLOW)
    torch.testing.assert_close(turned, torch.flip(t.resample(flow, 4, FLOW), (0,)))
    assert torch.equal(t.trim(UP, 0.5), UP[-7:])
    assert torch.equal(t.last_from(UP, 11.0)[-2:], torch.tensor([11.0, float(UP[-1])]))
    assert torch.equal(t.discard_penultimate(UP), torch.cat([UP[:-2], UP[-1:]]))
    high, low = t.split_at(UP, 2.0)
    assert torch.equal(high, UP[7:]) and torch.equal(low, UP[:8]) and t.meeting(UP, 2.0) == 7
    assert float(high[0]) > 2.0 > float(low[-2])


def test_other_lists_are_left_in_their_order():
    turning = torch.tensor([1.0, 3.0, 3.0, 1.0, 0.5, 0.0])
    assert torch.equal(t.shift(turning, 1.0), turning)
    assert torch.equal(t.resample(turning, 5), turning)
    assert torch.equal(t.blend(turning, turning, 0.3), turning)
    assert t.typed([5, 5, 0]).tolist() == [5, 5, 0] and t.parse("0.5, 2, 7").tolist() == [0.5, 2, 7]
    assert t.parse("0, 1, 2").tolist() == [0, 1, 2]
    assert t.resample([0.0, 1.0, 2.0], 4).tolist() == pytest.approx([0, 0.5, 1, 2**0.5, 2])
    above = t.resample([1.4, 0.8, 0.0], 3, FLOW)  # no log-SNR up there
    assert above.tolist() == pytest.approx([1.4, 1.1, 0.8, 0.0])


def test_one_level():
    one = torch.tensor([3.0])
    assert torch.equal(t.shift(one, 2.0), one) and torch.equal(t.blend(one, one, 0.5), one)
    assert torch.equal(t.trim(one, 0.5), one)
    for refused in (lambda: t.resample(one, 3), lambda: t.discard_penultimate(one)):
        with pytest.raises(ValueError, match="step"):
            refused()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_type_of_sigmas(dtype):
    sigmas = KARRAS.to(dtype)
    plain = sigmas.float()
    for change in (
        lambda s: t.shift(s, 2.0), lambda s: t.trim(s, 0.5), lambda s: t.resample(s, 5),
        lambda s: t.blend(s, s, 0.5), lambda s: t.split_at(s, 2.0)[0],
        lambda s: t.last_from(s, 0.01), t.discard_penultimate,
    ):
        changed = change(sigmas)
        assert changed.dtype is torch.float32
        torch.testing.assert_close(changed, change(plain))


@pytest.mark.parametrize("call, says", [
    (lambda: t.shift(KARRAS, 0), "factor must be from 0.01 to 100"),
    (lambda: t.shift(KARRAS, 2, top=1.0), "highest sigma, 14.6146, is above 1"),
    (lambda: t.trim(KARRAS, 1.2), "denoise must be from 0 to 1"),
    (lambda: t.resample(KARRAS, 0), "steps must be a whole number"),
    (lambda: t.resample(KARRAS, 2.5), "steps must be a whole number"),
    (lambda: t.blend(KARRAS, KARRAS[1:], 0.5), "12 and 11 steps; resample one"),
    (lambda: t.blend(KARRAS, KARRAS, 2), "weight must be from 0 to 1"),
    (lambda: t.blend(KARRAS[:-1], KARRAS[1:], 0.5), "sigma 12 is 0 in one curve and 0.029"),
    (lambda: t.split(KARRAS, 13), "from 0 to 12, got 13"),
    (lambda: t.last_from(KARRAS, 5.0), "last step cannot begin at 5"),
    (lambda: t.last_from(KARRAS, 0.0), "last step cannot begin at 0"),
    (lambda: t.discard_penultimate([1.0, 0.0]), "nothing to give up"),
    (lambda: t.last_from(UP, 5.0), "last step cannot begin at 5: .* between 6.6.* and 14.6"),
    (lambda: t.last_from([1.0], 0.5), "a single level has no step"),
    (lambda: t.split_at([0.5, 1.0, 0.5, 0.0], 0.8), "cross 0.8 2 times"),
    (lambda: t.trim(torch.empty(0), 0.5), "list of 1 to 10001 values"),
    (lambda: t.trim([1.0, math.nan, 0.0], 0.5), "sigma 2 must be a number"),
])  # fmt: skip
def test_bad_input_is_told(call, says):
    with pytest.raises(ValueError, match=says):
        call()
