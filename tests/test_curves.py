"""Every formula curve beside its published formula, on VE and on FLOW models."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stride import schedules
from stride.schedules import ModelSpec

SD, ZSNR, SVD = ModelSpec.discrete(), ModelSpec.discrete(zero_terminal_snr=True), ModelSpec.svd()
FLOW, FLOW3 = ModelSpec.flow(), ModelSpec.flow(3.0)
STEPS = (1, 2, 3, 7, 20, 61)


def levels(name, spec, steps, **options):
    sigmas = schedules.get(name).sigmas(spec, steps, **options).double()
    assert sigmas[-1] == 0
    return sigmas[:-1].numpy()


def x_of(steps):
    """0 to 1 in steps - 1 equal parts."""
    return [i / (steps - 1) if steps > 1 else 0.0 for i in range(steps)]


# Formulas in the two ends ------------------------------------------------------------------------

ENDS = {
    "karras": lambda x, n, low, high: (high ** (1 / 7) * (1 - x) + low ** (1 / 7) * x) ** 7,
    "exponential": lambda x, n, low, high: high ** (1 - x) * low**x,
    "polyexponential": lambda x, n, low, high: high ** (1 - x) * low**x,
    "kl_optimal": lambda x, n, low, high: math.tan(x * math.atan(low) + (1 - x) * math.atan(high)),
    "kl_optimal_a1111": lambda x, n, low, high: math.tan(
        x * (n - 1) / n * math.atan(low) + (1 - x * (n - 1) / n) * math.atan(high)
    ),
    "cosine": lambda x, n, low, high: (
        low + (high - low) * (1 - math.cos(math.pi * (1 - math.sqrt(x)))) / 2
    ),
}


@pytest.mark.parametrize("spec", [SD, ZSNR, SVD, FLOW3], ids=["sd", "zsnr", "svd", "flow3"])
@pytest.mark.parametrize("name", ENDS)
def test_formula_in_the_two_ends(name, spec):
    for ends in ({}, {"sigma_min": 0.05}, {"sigma_max": 0.8}, {"sigma_min": 0.1, "sigma_max": 0.9}):
        low = ends.get("sigma_min", spec.sigma_min)
        high = ends.get("sigma_max", spec.sigma_max)
        for steps in STEPS:
            expected = [ENDS[name](x, steps, low, high) for x in x_of(steps)]
            np.testing.assert_allclose(levels(name, spec, steps, **ends), expected, rtol=2e-7)


@pytest.mark.parametrize("rho", [0.5, 3.0, 20.0])
def test_rho(rho):
    low, high = SD.sigma_min, SD.sigma_max
    x = np.linspace(0, 1, 9)
    karras = (high ** (1 / rho) + x * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    np.testing.assert_allclose(levels("karras", SD, 9, rho=rho), karras, rtol=1e-6)
    poly = np.exp((1 - x) ** rho * math.log(high / low) + math.log(low))
    np.testing.assert_allclose(levels("polyexponential", SD, 9, rho=rho), poly, rtol=1e-6)


CLOCKED = ["normal", "sgm_uniform"]


@pytest.mark.parametrize("name", [*ENDS, *CLOCKED, "beta_a1111", "laplace", "log_snr"])
@pytest.mark.parametrize("spec", [SD, FLOW3], ids=["sd", "flow3"])
def test_range_options(name, spec):
    """They move the ends; what is beyond the model, or the wrong way round, is refused."""
    found = levels(name, spec, 12, sigma_min=0.2, sigma_max=0.9)
    # On the discrete model's clock sigma 0.9 and 0.2 are times, taken back to a sigma; on the
    # flow model's the shift comes on top, as in the host.
    top = spec.sigma(np.array([spec.timestep(0.9)]))[0] if name in CLOCKED else 0.9
    assert found[0] == pytest.approx(top, rel=1e-6)
    assert found[-1] >= 0.2 * (1 - 1e-6)
    with pytest.raises(ValueError, match=f"schedule '{name}': sigma_min 0.9 must be below"):
        levels(name, spec, 12, sigma_min=0.9, sigma_max=0.5)
    with pytest.raises(ValueError, match=f"schedule '{name}': sigma_max must not be above the mo"):
        levels(name, spec, 12, sigma_max=15.0)


# Along the model's own time ----------------------------------------------------------------------


@pytest.mark.parametrize("steps", STEPS)
def test_uniform_is_even_along_the_table(steps):
    """On a table that is exponential in time every point has a closed form."""
    spec = ModelSpec.from_table(np.geomspace(0.01, 10.0, 200))
    expected = [10.0 * 1000.0**-x for x in x_of(steps)]
    np.testing.assert_allclose(levels("uniform", spec, steps), expected, rtol=1e-6)
    np.testing.assert_allclose(levels("normal", spec, steps), expected, rtol=1e-6)
    sgm = [10.0 * 1000.0 ** -(i / steps) for i in range(steps)]
    np.testing.assert_allclose(levels("sgm_uniform", spec, steps), sgm, rtol=1e-6)


def test_uniform_on_flow_applies_the_shift_once():
    """The model's first level stays the last one; ``normal`` goes below it, as in the host."""
    assert levels("uniform", FLOW3, 9)[-1] == pytest.approx(FLOW3.sigma_min, rel=1e-6)
    assert levels("normal", FLOW3, 9)[-1] == pytest.approx(
        3 * FLOW3.sigma_min / (1 + 2 * FLOW3.sigma_min), rel=1e-6
    )


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 125, 250, 500])
def test_ddim_uniform_takes_every_kth_time(steps):
    """Song et al.: 1, 1 + k, 1 + 2 k ... with k = 1000 / steps, where that is whole."""
    entries = range(1, 1000, 1000 // steps)[::-1]
    expected = [np.float32(SD.sigmas[i]) for i in entries]
    assert levels("ddim_uniform", SD, steps).tolist() == expected


@pytest.mark.parametrize("steps", [3, 7, 11, 30, 33, 600, 999])
def test_ddim_uniform_between_whole_strides(steps):
    """As many steps as asked for, all of them entries of the table, an even way apart."""
    found = levels("ddim_uniform", SD, steps)
    entries = np.array([np.argmin(np.abs(SD.sigmas - s)) for s in found])
    np.testing.assert_allclose(found, SD.sigmas[entries], rtol=1e-7)
    gaps = -np.diff(entries)
    assert entries[-1] == 1 and set(gaps) <= {1000 // steps, 1000 // steps + 1}


def test_beta57_is_beta_with_its_two_numbers():
    for spec in (SD, FLOW3):
        expected = schedules.get("beta").sigmas(spec, 20, alpha=0.5, beta=0.7)
        assert torch.equal(schedules.get("beta57").sigmas(spec, 20), expected)


def test_beta_a1111_is_beta_in_sigma():
    """With alpha = beta = 1/2 a quantile is sin^2, so the whole curve is a cosine."""
    expected = [
        SD.sigma_min + (SD.sigma_max - SD.sigma_min) * math.sin(math.pi / 2 * (1 - x)) ** 2
        for x in x_of(13)
    ]
    found = levels("beta_a1111", SD, 13, alpha=0.5, beta=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# Formulas in log-SNR -----------------------------------------------------------------------------


def in_ve(spec, values):
    """sigma / alpha of levels; from a flow model's by log-SNR."""
    return values / (1 - values) if spec.process.name == "FLOW" else values


def test_laplace_is_its_distributions_quantile():
    """Beyond its clamped ends every point is the x-quantile of Laplace(mu, beta) in log sigma."""
    for mu, beta in ((0.0, 0.5), (0.5, 0.3), (-1.0, 0.4)):
        found = np.log(levels("laplace", SVD, 21, mu=mu, beta=beta)[1:-1])
        z = (found - mu) / beta
        above = np.where(z > 0, 0.5 * np.exp(-z), 1 - 0.5 * np.exp(z))
        np.testing.assert_allclose(above, np.arange(1, 20) / 20, atol=1e-5)


@settings(deadline=None, max_examples=150)
@given(
    mu=st.floats(-10, 10), beta=st.floats(0.05, 10), steps=st.integers(500, 3000),
    spec=st.sampled_from([SD, ZSNR, FLOW, FLOW3]),
)
def test_laplace_keeps_the_shape_within_any_range(mu, beta, steps, spec):
    """Where the range cuts the distribution, equal shares of what is left lie between points."""
    found = levels("laplace", spec, steps, mu=mu, beta=beta)
    if spec.process.name == "FLOW":
        assert found[0] == 1
        found = in_ve(spec, found[1:])
    z = (np.log(found) - mu) / beta
    shares = np.diff(np.where(z > 0, 0.5 * np.exp(-z), 1 - 0.5 * np.exp(z)))
    if abs(z[0]) < 5 and abs(z[-1]) < 5:  # else float32 holds too few digits of the shares
        np.testing.assert_allclose(shares[1:-1], shares[1:-1].mean(), rtol=0.05, atol=1e-5)


@pytest.mark.parametrize("steps", STEPS)
def test_vp(steps):
    """The continuous VP process of Song et al. with beta from 0.1 to 20."""
    t = np.linspace(1, 1e-3, steps)
    expected = np.sqrt(np.expm1(19.9 * t**2 / 2 + 0.1 * t))
    np.testing.assert_allclose(levels("vp", SVD, steps), expected, rtol=1e-6)
    flow = levels("vp", ModelSpec.flow(timesteps=1_000_000), steps)
    assert flow[0] == 1
    np.testing.assert_allclose(in_ve(FLOW, flow[1:]), expected[1:], rtol=1e-4)


def test_vp_starts_at_the_models_top():
    found = levels("vp", SD, 10)
    assert found[0] == pytest.approx(SD.sigma_max) and found[-1] == pytest.approx(SD.sigma_min)
    # still even in its own time, which solves 19.9 t^2 / 2 + 0.1 t = log(1 + sigma^2)
    rate = np.log1p(found**2)
    time = (-0.1 + np.sqrt(0.01 + 2 * 19.9 * rate)) / 19.9
    np.testing.assert_allclose(np.diff(time), np.diff(time).mean(), rtol=1e-4)
    with pytest.raises(ValueError, match="'vp': eps_s must be below 0.046"):
        levels("vp", SD, 10, beta_d=5000.0, eps_s=0.5)


def test_edm_is_karras_in_its_own_range():
    wide = ModelSpec.edm(0.001, 1000.0)
    expected = [(80 ** (1 / 7) * (1 - x) + 0.002 ** (1 / 7) * x) ** 7 for x in x_of(18)]
    np.testing.assert_allclose(levels("edm", wide, 18), expected, rtol=1e-6)
    flow = levels("edm", ModelSpec.flow(), 18)
    assert flow[0] == 1
    np.testing.assert_allclose(in_ve(FLOW, flow[1:]), expected[1:], rtol=1e-5)
    np.testing.assert_allclose(levels("edm", SD, 18), levels("karras", SD, 18), rtol=1e-6)


def test_log_snr_has_equal_steps():
    for spec in (SD, ZSNR, FLOW, FLOW3):
        found = levels("log_snr", spec, 30)
        assert found[0] == pytest.approx(spec.sigma_max)
        assert found[-1] == pytest.approx(spec.sigma_min, rel=1e-6)
        gaps = np.diff(np.log(in_ve(spec, found[1:])))
        np.testing.assert_allclose(gaps, gaps.mean(), rtol=1e-4)


# Formulas for flow models ------------------------------------------------------------------------


def shift(t, mu):
    return math.exp(mu) / (math.exp(mu) + (1 / t - 1))


def times(steps):
    return [1 - i / steps for i in range(steps)]


def stretched(values, end):
    scale = (1 - values[-1]) / (1 - end)
    return [1 - (1 - v) / scale for v in values]


FLOW_CURVES = [
    ("linear", {}, times),
    ("linear", {"shift": 3.0}, lambda n: [3 * t / (1 + 2 * t) for t in times(n)]),
    ("flux_shift", {}, lambda n: [shift(t, 1.15) for t in times(n)]),
    ("flux_shift", {"width": 256, "height": 256}, lambda n: [shift(t, 0.5) for t in times(n)]),
    ("flux_shift", {"width": 512, "height": 768},
     lambda n: [shift(t, 0.5 + 0.65 * (1536 - 256) / 3840) for t in times(n)]),
    ("flux_shift", {"by": "mu", "mu": 2.02}, lambda n: [shift(t, 2.02) for t in times(n)]),
    ("flux_shift", {"by": "shift", "shift": 8.0},
     lambda n: [8 * t / (1 + 7 * t) for t in times(n)]),
    ("flux_shift", {"terminal": 0.2},
     lambda n: stretched([shift(t, 1.15) for t in times(n)], 0.2)),
    ("ltxv", {}, lambda n: stretched([shift(t, 2.05) for t in times(n)], 0.1)),
    ("ltxv", {"stretch": False, "tokens": 1024}, lambda n: [shift(t, 0.95) for t in times(n)]),
    ("flux2", {"width": 2048, "height": 1024},
     lambda n: [shift(t, 0.00016927 * 8192 + 0.45666666) for t in times(n)]),
    # at 10 and 200 steps the fit's two lines, for 4096 tokens
    ("flux2", {}, lambda n: [shift(t, {
        10: 8.73809524e-05 * 4096 + 1.89833333, 200: 0.00016927 * 4096 + 0.45666666}[n])
        for t in times(n)]),
    ("logit_normal", {}, lambda n: [1 / (1 + math.exp(-9))] + [
        1 / (1 + math.exp(-math.log(2) - 1.5 * NormalDist().inv_cdf(t))) for t in times(n)[1:]]),
    ("logit_normal", {"width": 512, "height": 512, "mu": 0.4, "std": 1.75},
     lambda n: [1 / (1 + math.exp(-9))] + [
        1 / (1 + math.exp(-0.4 - 1.75 * NormalDist().inv_cdf(t))) for t in times(n)[1:]]),
]


@pytest.mark.parametrize("name, options, formula", FLOW_CURVES)
def test_flow_formula(name, options, formula):
    for steps in (10, 200) if name == "flux2" else (2, 3, 10, 57):
        expected = np.array(formula(steps))
        for spec in (FLOW, FLOW3, ModelSpec.flux()):  # the model's own shift does not enter
            np.testing.assert_allclose(levels(name, spec, steps, **options), expected, rtol=1e-6)
        # On VE: scaled to the top's flow sigma, then at equal log-SNR.
        for spec in (SD, ZSNR):
            scaled = expected * spec.sigma_max / (1 + spec.sigma_max)
            np.testing.assert_allclose(
                levels(name, spec, steps, **options), scaled / (1 - scaled), rtol=1e-5
            )


def test_flux2_keeps_the_fits_end_beyond_200_steps():
    """At 1000 steps the published line would shift by e^-3.5, against the flow."""
    found, t = levels("flux2", FLOW, 1000)[1:], np.array(times(1000)[1:])
    mu = np.log(found / (1 - found)) - np.log(t / (1 - t))
    np.testing.assert_allclose(mu, 0.00016927 * 4096 + 0.45666666, atol=1e-3)


@pytest.mark.parametrize("steps", [2, 3, 10, 33])
def test_linear_quadratic_meets_in_value_and_slope(steps):
    """The first half is a line to 2.5 %; the rest has constant second differences and ends at 0."""
    for spec in (SD, FLOW):
        done = 1 - np.append(levels("linear_quadratic", spec, steps), 0.0) / spec.sigma_max
        half = steps // 2
        assert done[half] == pytest.approx(0.025, abs=2e-7)
        np.testing.assert_allclose(np.diff(done[: half + 1]), 0.025 / half, atol=2e-7)
        if steps - half > 2:
            bends = np.diff(done[half:], 2)
            np.testing.assert_allclose(bends, bends.mean(), atol=5e-7)
            # the parabola's slope at the joint, from its first two chords
            slope = done[half + 1] - done[half] - bends[0] / 2
            assert slope == pytest.approx(0.025 / half, abs=1e-6)


def test_bong_tangent():
    """Its 10-step list from the formula with plain numbers: N = 12, p = 7, slope 8 / 12."""
    first = [math.atan(-8 / 12 * (i - 7)) for i in range(7)]
    second = [math.atan(-8 / 12 * i) for i in range(5)]
    expected = [0.5 + 0.5 * (a - first[-1]) / (first[0] - first[-1]) for a in first[:-1]]
    expected += [0.5 * (a - second[-1]) / (second[0] - second[-1]) for a in second[:-1]]
    np.testing.assert_allclose(levels("bong_tangent", FLOW3, 10), expected, rtol=1e-6)
    assert levels("bong_tangent", SD, 10)[6] == pytest.approx(
        0.5 * SD.sigma_max / (1 + 0.5 * SD.sigma_max), rel=1e-6
    )
    assert levels("bong_tangent", FLOW3, 1).tolist() == [1.0]


# The contract's own options ----------------------------------------------------------------------


@pytest.mark.parametrize("name", [s.name for s in schedules.REGISTRY if not s.counts])
def test_discard_penultimate(name):
    """One step more is planned, and its last level before 0 is left out."""
    for spec in (SD, FLOW3):
        longer = schedules.get(name).sigmas(spec, 11)
        found = schedules.get(name).sigmas(spec, 10, discard_penultimate=True)
        assert torch.equal(found, torch.cat([longer[:-2], longer[-1:]]))


def test_beta_quantile_is_scipys():
    special = pytest.importorskip("scipy.special")
    from stride.schedules.beta import quantile

    p = np.arange(1, 400) / 400
    for a, b in ((0.6, 0.6), (0.5, 0.7), (0.05, 20), (20, 20), (7, 0.05), (1, 1)):
        expected = special.betaincinv(a, b, p)
        np.testing.assert_allclose(quantile(p, a, b), expected, rtol=1e-12, atol=1e-15)
