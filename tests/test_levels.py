"""Lists of sigmas that do not just fall: up, equal neighbours, one level, above 1 of FLOW."""

import functools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    PROCESSES,
    even_in_log,
    gaussian,
    gaussian_flow,
    mixture,
    runge_kutta,
    start,
)
from sampler_rows import ROWS, TABLES, answers, quiet
from stride import samplers, schedules
from stride.engine.levels import stretches
from stride.engine.report import Recorder
from stride.samplers import FLOW, VE, KeyedNoise, Part, alternate, check_sigmas, inject, run
from stride.samplers.entry import ABOVE_ONE, UPWARDS

SPANS = {"VE": (0.1, 1.0), "FLOW": (0.2, 0.7)}
# LCM has no form without noise, and adaptive methods only go down.
ABLE = sorted(set(TABLES) - {"lcm"})
# A first step over a factor of 400 amplifies what their answer at its end is off.
STIFF = {"exp_heun_2_x0", "exp_heun_2_x0_sde", "res_3s", "sa_solver", "sa_solver_pece",
         "uni_pc_bh2"}
LOUD = [name for name in sorted(ROWS) if ROWS[name].stochastic and name != "restart"]


def clean():
    """Images between and beside the two modes of the mixture."""
    return torch.linspace(-1.6, 1.5, 12, dtype=torch.float64).view(3, 4)


def sample(name, x, sigmas, process=VE, denoise=mixture, **options):
    return samplers.sample(name, answers(name, denoise(process)), x, sigmas, process, **options)


# Up -------------------------------------------------------------------------------------------


@functools.cache
def unsampled(process):
    """The exact end of the way up, the same for every sampler."""
    low, high = SPANS[process.name]
    return runge_kutta(mixture(process), clean(), low, high, 2000)


@pytest.mark.parametrize(
    "process", [VE, pytest.param(FLOW, marks=pytest.mark.slow)], ids=lambda p: p.name
)
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] * (ROWS[name].counts[0] > 500))
    for name in ABLE if ROWS[name].order
])  # fmt: skip
def test_unsampling_and_sampling_back(name, process):
    """Up as well as there and back, the error falls with the method's published order."""
    row, x = ROWS[name], clean()
    there, back = [], []
    for n in row.counts:
        up = even_in_log(*SPANS[process.name], n)
        there.append(sample(name, x, up, process, **quiet(name)))
        back.append(sample(name, x, (*up, *up[-2::-1]), process, **quiet(name)))
    errors = [[float((found - wanted).abs().max()) for found in run]
              for run, wanted in ((there, unsampled(process)), (back, x))]
    for coarse, fine in errors:
        assert math.log2(coarse / fine) > row.order - 0.12


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("name", ABLE)
def test_from_a_picture_to_the_models_highest_level(name, process):
    """As FlipSigmas has it: from 0.0001, and up to sigma 1 of FLOW, where log-SNR ends."""
    down = whole_run(process)
    x = clean()
    up = (1e-4 if name not in STIFF else 0.02, *down[-2::-1])
    noisy = sample(name, x, up, process, gaussian, **quiet(name))
    wanted = gaussian_flow(x, 1e-4, up[-1], process)
    assert (noisy - wanted).abs().max() < 0.1 * wanted.abs().max()
    again = sample(name, noisy, down, process, gaussian, **quiet(name))
    assert (again - x).abs().max() < 0.1 * x.abs().max()


@functools.cache
def whole_run(process):
    spec = schedules.ModelSpec.discrete() if process is VE else schedules.ModelSpec.flow()
    return tuple(schedules.get("beta").sigmas(spec, 120).tolist())


@pytest.mark.parametrize("name", LOUD)
def test_what_adds_noise_says_that_it_cannot_go_up(name):
    with pytest.raises(ValueError, match=rf"'{name}' adds noise and cannot go up in sigma "
                                         r"\(0.5 to 3\); .*use euler, heun, dpmpp_2m") as said:
        sample(name, clean(), (0.5, 1.0, 3.0, 1.0))
    for option, value in quiet(name).items():
        assert f"set {option} {value:g}, or" in str(said.value)
    if quiet(name):
        assert torch.isfinite(sample(name, clean(), (0.5, 1.0, 3.0, 1.0), **quiet(name))).all()


@pytest.mark.parametrize("name, options, says", [
    ("heun", {"s_churn": 5.0}, "set s_churn 0, or"),
    ("dpm_2", {"s_churn": 5.0, "eta": 0.5}, "set eta 0 and s_churn 0, or"),
    ("restart", {"times": 1}, "set times 0, or"),
    ("dpm_adaptive", {}, "chooses its own steps, and only down"),
    ("adaptive_steps", {}, "chooses its own steps, and only down"),
])  # fmt: skip
def test_other_reasons_not_to_go_up(name, options, says):
    with pytest.raises(ValueError, match=f"'{name}'.*{says}.*euler, heun, dpmpp_2m"):
        sample(name, clean(), (3.0, 0.5, 1.0, 3.0), **options)


def test_a_rise_is_the_ode_and_begins_anew():
    """1, 3, 1 by hand: Euler's slope at 1, then at 3; a multistep method forgets at the turn."""
    x, d = clean(), mixture(VE)

    def euler(x, a, b):
        return x + (b - a) * (x - d(x, torch.full((3,), a))) / a

    by_hand = euler(euler(x, 1.0, 3.0), 3.0, 1.0)
    assert torch.allclose(sample("euler", x, (1.0, 3.0, 1.0)), by_hand)
    assert torch.allclose(sample("dpmpp_2m", x, (1.0, 3.0, 1.0)), by_hand)
    for name in ("dpmpp_3m", "lms", "uni_pc", "er_sde", "pndm"):
        up = sample(name, x, (0.3, 0.5, 1.0, 2.0), **quiet(name))
        in_one = sample(name, x, (0.3, 0.5, 1.0, 2.0, 1.2, 0.6, 0.0), **quiet(name))
        assert torch.equal(in_one, sample(name, up, (2.0, 1.2, 0.6, 0.0), **quiet(name)))


# Equal neighbours -----------------------------------------------------------------------------

PLAIN = (9.0, 4.0, 1.5, 0.6, 0.0)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_step_between_equal_levels_changes_nothing(name):
    """Nor does it cost a call. Its step is shown, with the answer at its level."""
    x, calls, seen = start(9.0), [], []

    def denoise(x, sigma):
        calls.append(float(sigma[0]))
        return mixture(VE)(x, sigma)

    asked = answers(name, denoise)
    plain = samplers.sample(name, asked, x, PLAIN)
    cost = len(calls)
    repeated = (9.0, 9.0, 4.0, 4.0, 4.0, 1.5, 0.6, 0.0, 0.0)
    found = samplers.sample(name, asked, x, repeated, on_step=seen.append)
    assert torch.equal(found, plain) and len(calls) == 2 * cost
    if name in TABLES:
        assert [info["i"] for info in seen] == [*range(8)]
        assert [float(info["sigma"]) for info in seen] == [*repeated[:-1]]


def test_a_list_of_one_level_many_times_asks_nobody():
    def nobody(x, sigma):
        raise AssertionError

    for sigmas in ((), (3.0,), (3.0, 3.0), (0.0,), (0.0, 0.0)):
        for name in sorted(ROWS):
            x = clean()
            assert torch.equal(samplers.sample(name, nobody, x, sigmas), x)
        assert not sigmas or samplers.get("euler").plan(sigmas, VE).calls == 0


def test_a_cut_at_equal_levels_is_exact():
    sigmas = (9.0, 9.0, 4.0, 4.0, 1.5, 1.5, 0.6, 0.0)
    kwargs = {"noise": KeyedNoise(0, [0, 1, 2])}
    for name in ("dpmpp_2m_sde", "uni_pc", "lms"):
        build, d, x = samplers.get(name).plan, mixture(VE), start(9.0)
        whole = run(build, d, x, sigmas, VE, **kwargs).x
        for cut in range(len(sigmas)):
            seen = []
            first = run(build, d, x, sigmas, VE, until=cut, on_step=seen.append, **kwargs)
            second = run(build, d, x, sigmas[cut:], VE, carry=first, on_step=seen.append, **kwargs)
            assert torch.equal(second.x, whole)
            # A part without any answer has none to show.
            assert len(seen) == len(sigmas) - 1 - (cut == 1)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_levels_that_only_float64_tells_apart_are_equal(process):
    """Their log-SNR is the same, and a slope over that difference is nothing."""
    for level in (0.3, 0.6, 0.99):
        near = math.nextafter(level, 0.0)
        assert check_sigmas((level, near, 0.1), process) == (level, level, 0.1)
        for name in ("dpmpp_2m", "dpmpp_3m_sde", "lms", "deis", "uni_pc", "er_sde", "sa_solver"):
            found = sample(name, clean(), (0.995, level, near, 0.1, 0.0), process)
            assert torch.equal(found, sample(name, clean(), (0.995, level, 0.1, 0.0), process))
    apart = (1.0, 1.0 - 2.0**-24, 0.5)  # as float32 tells them apart
    assert check_sigmas(apart, process) == apart


def test_the_report_counts_the_calls_of_equal_levels_once():
    sigmas = (9.0, 9.0, 4.0, 1.5, 1.5)
    recorder = Recorder(sigmas, VE, torch.device("cpu"))

    def denoise(x, sigma):
        return recorder.call(mixture(VE), x, sigma)

    out = samplers.sample("heun", denoise, start(9.0), sigmas, on_step=recorder.step)
    report = recorder.finish(out)
    assert [step.sigma for step in report.steps] == [9.0, 9.0, 4.0, 1.5]
    assert sum(step.model_calls for step in report.steps) == report.model_calls == 4
    assert report.steps[3].model_calls == 0 and report.steps[0].moved == 0


@given(st.lists(st.sampled_from([0.2, 0.5, 1.0, 3.0]), min_size=1, max_size=12))
def test_stretches_are_the_list_without_what_stays(levels):
    found = [*stretches(levels)]
    steps = [k for stretch in found for k in stretch.steps]
    assert steps == [k for k in range(len(levels) - 1) if levels[k] != levels[k + 1]]
    for stretch in found:
        assert len(stretch.levels) == len(stretch.steps) + 1
        pairs = [*zip(stretch.levels, stretch.levels[1:])]
        assert pairs == [(levels[k], levels[k + 1]) for k in stretch.steps]
        assert len({b > a for a, b in pairs}) == 1
    for one, other in zip(found, found[1:]):
        assert (one.levels[-1] > one.levels[0]) != (other.levels[-1] > other.levels[0])


# Above 1 of FLOW, and far up --------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ROWS))
@pytest.mark.parametrize("top", [(1.3, 1.1), (1.2,), (14.6, 1.0)])
def test_above_one_the_ode_goes_on_or_the_sampler_says_so(name, top):
    """With D = 0 the ODE is x / sigma = const; log-SNR has no value there."""
    sigmas = (*top, 0.7, 0.3)
    x = start(top[0])
    try:
        found = samplers.sample(
            name, answers(name, lambda x, s: torch.zeros_like(x)), x, sigmas, FLOW, **quiet(name)
        )
    except ValueError as said:
        assert f"'{name}' needs log-SNR, which has no value above sigma 1" in str(said)
        assert "use euler, heun, lms" in str(said) and name not in ABOVE_ONE
    else:
        if quiet(name) or not ROWS[name].stochastic:
            assert torch.allclose(found, x * sigmas[-1] / sigmas[0])


@pytest.mark.parametrize("name", ["euler_ancestral", "dpm_2_ancestral", "ddpm"])
def test_noise_above_one_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"'{name}' needs room for fresh noise.*set eta 0, or use"):
        sample(name, clean(), (1.3, 1.1, 0.5, 0.0), FLOW)


def test_those_that_are_recommended_can():
    for name in UPWARDS:
        samplers.get(name).plan((0.1, 0.5, 1.0), FLOW)
    for name in ABOVE_ONE:
        samplers.get(name).plan((1.3, 1.1, 0.5, 1.2, 0.0), FLOW)


@pytest.mark.parametrize("name", TABLES)
def test_a_first_level_far_up(name):
    """From the highest level that is accepted the noise is still taken away, to rounding."""
    top = 1e6
    x = start(top)
    found = samplers.sample(
        name, answers(name, lambda x, s: torch.zeros_like(x)), x, (top, 3.0, 1.0), **quiet(name)
    )
    if name != "lcm":
        assert torch.allclose(found, x / top, rtol=1e-3)


# Amplification ----------------------------------------------------------------------------------

SPECS = {
    "sd": schedules.ModelSpec.discrete(), "flow": schedules.ModelSpec.flow(),
    "flow 3": schedules.ModelSpec.flow(3.0), "flux": schedules.ModelSpec.flux(),
}
EVEN = ("karras", "exponential", "simple", "sgm_uniform", "trailing", "beta")


def amplified(name, schedule, spec, steps, **options):
    sigmas = schedules.get(schedule).sigmas(SPECS[spec], steps)
    return samplers.get(name).plan(sigmas, SPECS[spec].process, **options)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("schedule", EVEN)
def test_no_sampler_amplifies_on_an_ordinary_curve(schedule, spec):
    for steps in (1, 2, 5, 12, 20):
        for name in TABLES:
            assert amplified(name, schedule, spec, steps).caution is None


@pytest.mark.parametrize("spec", ["flow 3", "flux"])
@pytest.mark.parametrize("steps", [5, 12])
@pytest.mark.parametrize("schedule", ["laplace", "uniform", "linspace", "leading", "ddim_uniform"])
@pytest.mark.parametrize("name", ["dpmpp_3m", "dpmpp_3m_sde", "dpmpp_3m_sde_cfg_pp"])
def test_wild_tables_are_told_of(name, schedule, steps, spec):
    """Runs of these left data below 5 for |x| of 30 and more; order 1 never does."""
    table = amplified(name, schedule, spec, steps)
    assert f"of {steps} (sigma" in table.caution
    assert f"by up to {table.amplification:.0f};" in table.caution
    assert amplified("euler", schedule, spec, steps).amplification <= 1 + 1e-9


def test_amplification_is_the_weight_of_clean_parts():
    """By hand: DPM++ 2M on 4, 1, 0.1, 0; Euler is the same combination whichever way it goes."""
    table = samplers.get("dpmpp_2m").plan((4.0, 1.0, 0.1, 0.0), VE)
    row = table.rows[1]
    last = row.x[1] + row.d[1], row.d[0]  # x_1 is D_1 + noise
    assert table.amplification == pytest.approx(sum(map(abs, last)) / 1.1)
    for process, sigmas in ((VE, (0.001, 2.0, 50.0, 0.3, 0.0)), (FLOW, (0.001, 0.9, 1.2, 0.1))):
        assert samplers.get("euler").plan(sigmas, process).amplification <= 1 + 1e-9


def test_the_first_step_of_flipped_sigmas_amplifies_by_the_method():
    up = (1e-4, *whole_run(VE)[-2::-1])
    told = {name for name in ABLE if samplers.get(name).plan(up, VE, **quiet(name)).caution}
    assert told > STIFF and not told & {"euler", "heun", "dpmpp_2m", "uni_pc", "lms", "deis"}


# Samplers of samplers ---------------------------------------------------------------------------


def part(name, **options):
    return Part(samplers.get(name), samplers.get(name).configure(**options))


def go(sampler, x, sigmas, process=VE):
    noise = KeyedNoise(0, range(x.shape[0]))
    return run(sampler.plan, mixture(process), x, sigmas, process, noise=noise).x


def test_two_samplers_go_up_and_down():
    """By level, whichever way: the low one first on the way up."""
    mixed, x = alternate([part("heun"), part("euler")], [1.0]), clean()
    low, high, down = (0.1, 0.4, 1.0), (1.0, 2.0, 4.0, 2.5, 1.0), (1.0, 0.3)
    found = go(mixed, x, (*low, *high[1:], *down[1:]))
    x = sample("heun", sample("euler", x, (*low, 2.0)), high[1:])
    assert torch.allclose(found, sample("euler", x, down))
    with pytest.raises(ValueError, match="'euler_ancestral' adds noise and cannot go up"):
        go(alternate([part("heun"), part("euler_ancestral")], [1.0]), clean(), low)


def test_one_that_cannot_start_above_one_takes_the_rest():
    """DPM++ 2M below sigma 1 of FLOW, behind Euler above it, and the other way up."""
    mixed = alternate([part("euler"), part("dpmpp_2m")], [1.0])
    found = go(mixed, clean(), (1.3, 1.0, 0.7, 0.4, 0.0), FLOW)
    first = sample("euler", clean(), (1.3, 1.0), FLOW)
    assert torch.equal(found, sample("dpmpp_2m", first, (1.0, 0.7, 0.4, 0.0), FLOW))
    mixed = alternate([part("euler"), part("dpmpp_2m")], [0.99])
    up = go(mixed, clean(), (0.4, 0.7, 1.0, 1.1, 1.3), FLOW)
    below = sample("dpmpp_2m", clean(), (0.4, 0.7, 1.0), FLOW)
    assert torch.equal(up, sample("euler", below, (1.0, 1.1, 1.3), FLOW))


def test_noise_on_top_of_a_way_up_is_what_was_asked_for():
    """Each step's end in the window gets strength times its level, up as well as down."""
    rough = inject(part("euler"), 0.2, low=0.5, high=2.5)
    for sigmas in ((0.1, 0.5, 1.0, 2.0, 3.0), (3.0, 2.0, 1.0, 0.5, 0.1)):
        table = rough.plan(sigmas, VE)
        added = {row.sigma_next: draw.weight for row in table.rows for draw in row.excess}
        assert added == {level: pytest.approx(0.2 * level) for level in sigmas[1:]
                         if 0.5 <= level <= 2.5}
