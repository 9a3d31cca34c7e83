"""The schedule contract for every schedule, model and step count, and each one's own levels.

A new schedule needs one row in schedule_rows.py.
"""

import math
import re
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_rows import ROWS
from stride import schedules
from stride.schedules import ModelSpec
from stride.schedules.beta import distribution, quantile

SPECS = {
    "sd": ModelSpec.discrete(),
    "sd in float32": ModelSpec.from_table(ModelSpec.discrete().sigmas.astype(np.float32)),
    "zsnr": ModelSpec.discrete(zero_terminal_snr=True),
    "squared cosine": ModelSpec.discrete(beta_schedule="squared_cosine"),
    "flow": ModelSpec.flow(),
    "flow shift 1.15": ModelSpec.flow(shift=1.15),
    "flow shift 3": ModelSpec.flow(shift=3.0),
    "flow shift 8": ModelSpec.flow(shift=8.0),
    "flow shift 12": ModelSpec.flow(shift=12.0),
    "flux": ModelSpec.flux(),
    "edm": ModelSpec.edm(),
    "svd": ModelSpec.svd(),
    "cosmos": ModelSpec.cosmos(),
}
SD = SPECS["sd"]
# Levels that tell a wrong scale from a right one: neither the model's largest nor the final 0.
ENOUGH = 3


def test_every_schedule_has_its_row():
    assert set(ROWS) == set(schedules.REGISTRY.names)
    for name, row in ROWS.items():
        entry = schedules.get(name)
        assert entry.source and entry.label and row.source
        telling = {s for s in row.levels if abs(s / SPECS[row.model].sigma_max - 1) > 1e-3}
        # Of a preset for fewer steps than that, the longest run, whole.
        most = entry.counts and max(entry.counts) <= ENOUGH
        assert len(row.levels) == max(entry.counts) if most else len(telling) >= ENOUGH


@pytest.mark.parametrize("name", ROWS)
def test_levels_are_the_published_ones(name):
    row = ROWS[name]
    found = schedules.get(name).sigmas(SPECS[row.model], len(row.levels), **row.options)
    np.testing.assert_allclose(found.double(), [*row.levels, 0.0], rtol=row.within, atol=0)


@settings(deadline=None, max_examples=400)
@given(
    name=st.sampled_from(schedules.REGISTRY.names), spec=st.sampled_from(sorted(SPECS)),
    steps=st.one_of(st.integers(1, 60), st.integers(1, 10_000)),
)
def test_contract(name, spec, steps):
    model, counts = SPECS[spec], schedules.get(name).counts
    steps = counts[steps % len(counts)] if counts else steps
    sigmas = schedules.get(name).sigmas(model, steps)
    assert sigmas.dtype == torch.float32 and sigmas.device.type == "cpu"
    assert sigmas.shape == (steps + 1,)
    assert torch.isfinite(sigmas).all() and (sigmas[1:] < sigmas[:-1]).all()
    assert sigmas[-1] == 0 and float(sigmas[0]) <= np.float32(model.sigma_max)


def any_options(entry):
    """Any accepted value of every option that the entry has."""
    drawn = {}
    for f in fields(entry.options):
        if "values" in f.metadata:
            drawn[f.name] = st.sampled_from(f.metadata["values"])
        elif isinstance(f.default, bool):
            drawn[f.name] = st.booleans()
        else:
            numbers = st.integers if isinstance(f.default, int) else st.floats
            drawn[f.name] = numbers(f.metadata["low"], f.metadata["high"])
    return st.fixed_dictionaries({}, optional=drawn)


@settings(deadline=None, max_examples=600)
@given(data=st.data(), spec=st.sampled_from(sorted(SPECS)),
       steps=st.one_of(st.integers(1, 60), st.integers(1, 10_000)))
def test_contract_with_any_options(data, spec, steps):
    """With every accepted value the contract holds, or an error names schedule and setting."""
    name = data.draw(st.sampled_from([s.name for s in schedules.REGISTRY if fields(s.options)]))
    options = data.draw(any_options(schedules.get(name)))
    counts = schedules.get(name).counts
    steps = counts[steps % len(counts)] if counts else steps
    try:
        sigmas = schedules.get(name).sigmas(SPECS[spec], steps, **options)
    except ValueError as error:
        known = "|".join(f.name for f in fields(schedules.get(name).options))
        assert re.match(f"schedule '{name}': ({known}) ", str(error))
        return
    assert sigmas.shape == (steps + 1,) and sigmas[-1] == 0
    assert torch.isfinite(sigmas).all() and (sigmas[1:] < sigmas[:-1]).all()
    assert float(sigmas[0]) <= np.float32(SPECS[spec].sigma_max)


@pytest.mark.parametrize("name", schedules.REGISTRY.names)
@pytest.mark.parametrize("spec", SPECS)
def test_ends_of_the_step_range(name, spec):
    for steps in schedules.get(name).counts or (1, 2, 999, 1000, 1001, 9_999, 10_000):
        sigmas = schedules.get(name).sigmas(SPECS[spec], steps)
        assert len(sigmas) == steps + 1 and (sigmas[1:] < sigmas[:-1]).all()


@pytest.mark.parametrize("steps", [0, -1, 10_001, 2.5, True, math.nan, math.inf, "20"])
def test_bad_steps_are_named(steps):
    with pytest.raises(ValueError, match="schedule 'karras': steps .* from 1 to 10000"):
        schedules.get("karras").sigmas(SD, steps)


def test_whole_steps_may_be_floats():
    assert torch.equal(
        schedules.get("normal").sigmas(SD, 20.0), schedules.get("normal").sigmas(SD, 20)
    )


def test_a_curve_too_long_to_plan_is_refused():
    with pytest.raises(ValueError, match="schedule 'simple': 20 steps at denoise 1e-09 are"):
        schedules.get("simple").sigmas(SD, 20, 1e-9)


@pytest.mark.parametrize("denoise", [-0.1, 1.1, math.nan, "1"])
def test_bad_denoise_is_named(denoise):
    with pytest.raises(ValueError, match="schedule 'simple': denoise must be from 0 to 1"):
        schedules.get("simple").sigmas(SD, 20, denoise)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="'karras': option 'rho' .* from 0.1 to 100"):
        schedules.get("karras").sigmas(SD, 20, rho=0)
    with pytest.raises(ValueError, match="'simple' has no option 'rho'; its options: none"):
        schedules.get("simple").sigmas(SD, 20, rho=7)
    with pytest.raises(ValueError, match="unknown schedule 'karas'; did you mean karras"):
        schedules.get("karas")


def test_a_schedule_for_some_step_counts_refuses_the_others():
    four = schedules.Schedule(
        name="four", label="Four", source="a test", counts=(4, 8),
        curve=lambda spec, steps, options: spec.sigma_max * (1 - np.arange(steps) / steps),
    )
    assert len(four.sigmas(SD, 8)) == 9
    assert torch.equal(four.sigmas(SD, 2, denoise=0.5), four.sigmas(SD, 4)[2:])
    with pytest.raises(ValueError, match="'four' is made for 4 or 8 steps and has no curve for 5"):
        four.sigmas(SD, 5)
    with pytest.raises(ValueError, match="no curve for 2 in all, of which denoise leaves 1"):
        four.sigmas(SD, 1, denoise=0.5)


@pytest.mark.parametrize("name", [s.name for s in schedules.REGISTRY if not s.counts])
@settings(deadline=None, max_examples=25)
@given(steps=st.integers(1, 60), denoise=st.floats(0.05, 1.0))
def test_denoise_keeps_the_end_of_a_longer_curve(name, steps, denoise):
    planned = steps if denoise > 0.9999 else int(steps / denoise)
    part = schedules.get(name).sigmas(SD, steps, denoise)
    assert torch.equal(part, schedules.get(name).sigmas(SD, planned)[-(steps + 1) :])
    assert schedules.get(name).sigmas(SD, steps, 0.0).numel() == 0


# Curves --------------------------------------------------------------------------------------


def test_karras_is_equation_5():
    sigmas = schedules.get("karras").sigmas(SD, 9, rho=5).double()
    high, low = SD.sigma_max ** (1 / 5), SD.sigma_min ** (1 / 5)
    expected = [(high + i / 8 * (low - high)) ** 5 for i in range(9)] + [0.0]
    assert torch.allclose(sigmas, torch.tensor(expected, dtype=torch.float64), rtol=1e-6)


def test_exponential_has_equal_ratios():
    sigmas = schedules.get("exponential").sigmas(SD, 12).double()
    ratios = sigmas[1:-1] / sigmas[:-2]
    assert torch.allclose(ratios, ratios[0].expand_as(ratios), rtol=1e-5)
    assert float(sigmas[0]) == pytest.approx(SD.sigma_max)
    assert float(sigmas[-2]) == pytest.approx(SD.sigma_min)


def test_even_schedules_on_flow_are_straight_lines():
    """With shift 1 the model's time is sigma itself."""
    spec = ModelSpec.flow()
    simple = schedules.get("simple").sigmas(spec, 8)
    assert torch.allclose(simple, torch.linspace(1, 0, 9))
    normal = schedules.get("normal").sigmas(spec, 8)
    assert torch.allclose(normal[:-1], torch.linspace(1, 0.001, 8))
    sgm = schedules.get("sgm_uniform").sigmas(spec, 8)
    assert torch.allclose(sgm[:-1], torch.linspace(1, 0.001, 9)[:-1])


def test_simple_takes_whole_table_entries():
    table = torch.from_numpy(SD.sigmas).float()
    for steps in (1, 7, 20, 1000):
        sigmas = schedules.get("simple").sigmas(SD, steps)
        expected = [table[-(1 + int(i * len(table) / steps))] for i in range(steps)] + [0.0]
        assert torch.equal(sigmas, torch.tensor(expected))


def test_beta_with_flat_density_is_even_in_time():
    spec = ModelSpec.flow()
    sigmas = schedules.get("beta").sigmas(spec, 4, alpha=1.0, beta=1.0)
    assert torch.allclose(sigmas, torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0]), atol=2e-3)


def test_beta_distribution_closed_forms():
    x = np.linspace(0, 1, 101)
    assert np.allclose(distribution(x, 1, 1), x, atol=1e-14)
    assert np.allclose(distribution(x, 2, 1), x**2, atol=1e-14)
    assert np.allclose(distribution(x, 1, 3), 1 - (1 - x) ** 3, atol=1e-14)
    arcsine = 2 / np.pi * np.arcsin(np.sqrt(x))
    assert np.allclose(distribution(x, 0.5, 0.5), arcsine, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(a=st.floats(0.05, 20), b=st.floats(0.05, 20), p=st.floats(0.001, 0.999))
def test_beta_quantile_inverts_the_distribution(a, b, p):
    x = quantile(np.array([p]), a, b)
    assert 0 <= x[0] <= 1
    # Next to 0 and 1 neighbouring floats are far apart in p: ask for a bracket instead.
    below, above = distribution(np.array([x[0] - 1e-15, x[0] + 1e-15]), a, b)
    assert below - 1e-9 <= p <= above + 1e-9
    # symmetry: I_x(a, b) = 1 - I_{1-x}(b, a)
    assert distribution(np.array([0.3]), a, b)[0] == pytest.approx(
        1 - distribution(np.array([0.7]), b, a)[0], abs=1e-12
    )


def test_model_specs_have_the_published_ranges():
    """SD1.5 and zero-terminal-SNR ends as ComfyUI has them; flow tables by their formula."""
    assert SD.sigma_max == pytest.approx(14.614641, rel=1e-6)
    assert SD.sigma_min == pytest.approx(0.0291671582, rel=1e-6)
    assert SPECS["zsnr"].sigma_max == pytest.approx(4518.76, rel=1e-5)
    shifted = ModelSpec.flow(shift=3.0)
    assert shifted.sigma_max == 1.0
    assert float(shifted.sigma(np.array([0.5]))[0]) == pytest.approx(0.75)
    assert shifted.timestep(0.75) == 0.75  # the host's clock
