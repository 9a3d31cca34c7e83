"""What every sampler promises, on exact denoisers, for VE and FLOW."""

import functools
import math

import pytest
import torch
from problems import (
    PROCESSES,
    VARIANCE,
    even_in_log,
    gaussian,
    gaussian_flow,
    mixture,
    runge_kutta,
    start,
)
from sampler_rows import ROWS, TABLES, answers, exact, quiet, with_eta
from stride import samplers, schedules
from stride.samplers import FLOW, VE, Draw, KeyedNoise, check_sigmas, run

SPECS = {
    "sd": schedules.ModelSpec.discrete(),
    "zsnr": schedules.ModelSpec.discrete(zero_terminal_snr=True),
    "flow": schedules.ModelSpec.flow(shift=3.0),
}
NAMES = sorted(ROWS)
SOME = (10.0, 4.0, 1.0, 0.3, 0.0)


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


@functools.cache
def beta(spec, steps):
    return schedules.get("beta").sigmas(SPECS[spec], steps)


def table_of(name, **options):
    return lambda sigmas, process: samplers.get(name).plan(sigmas, process, **options)


def test_every_sampler_has_its_row():
    assert NAMES == sorted(samplers.REGISTRY.names)
    for name, row in ROWS.items():
        entry = samplers.get(name)
        assert (entry.order, entry.stochastic) == (row.order, row.stochastic)
        assert entry.source and entry.label


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("steps", [1, 2, 3, 20])
def test_model_calls(name, steps):
    sigmas = schedules.get("karras").sigmas(SPECS["sd"], steps)
    calls = []

    def denoise(x, sigma):
        calls.append(float(sigma[0]))
        return gaussian(VE)(x, sigma)

    samplers.sample(name, answers(name, denoise), start(float(sigmas[0])), sigmas)
    assert len(calls) == ROWS[name].calls(steps)
    assert len(calls) == table_of(name)(check_sigmas(sigmas, VE), VE).calls


# Convergence ---------------------------------------------------------------------------------


def errors(name, denoise, exact, x, process, counts, **options):
    out = []
    for n in counts:
        sigmas = even_in_log(*SPANS[process.name], n)
        found = samplers.sample(name, answers(name, denoise), x, sigmas, process, **options)
        out.append(float((found - exact).abs().max()))
    return out


# Inside the range of noise in which the answers change: from far above it a cold start, which is
# what decides the order of many a multistep run, would cost too little to be seen.
SPANS = {"VE": (1.0, 0.1), "FLOW": (0.7, 0.2)}


@functools.cache
def mixture_flow(process):
    """The exact end of a run over the span, the same for every sampler."""
    top, bottom = SPANS[process.name]
    exact = runge_kutta(mixture(process), start(top), top, bottom, 2000)
    coarse = runge_kutta(mixture(process), start(top), top, bottom, 1000)
    assert torch.allclose(exact, coarse, rtol=0, atol=1e-10)
    return exact


@pytest.mark.parametrize("process", [VE, slow(FLOW)], ids=lambda p: p.name)
@pytest.mark.parametrize("problem", [slow("gaussian"), "mixture"])
@pytest.mark.parametrize("name", NAMES)
def test_order_of_convergence(name, problem, process):
    row = ROWS[name]
    if row.order is None:
        pytest.skip("no ODE is solved, or in steps of the sampler's own choice")
    top, bottom = SPANS[process.name]
    x = start(top)
    if problem == "gaussian":
        denoise, exact = gaussian(process), gaussian_flow(x, top, bottom, process)
    else:
        denoise, exact = mixture(process), mixture_flow(process)
    coarse, fine = errors(name, denoise, exact, x, process, row.counts, **quiet(name))
    wanted = row.slope(problem, process)
    assert math.log2(coarse / fine) == pytest.approx(wanted, abs=0.12)


def test_dpmpp_2m_is_exact_to_second_order_in_log_snr():
    """Its weights match the exact integral of a linear D(lambda) as the step shrinks, h^3."""
    defects = []
    for n in (40, 80):
        sigmas = even_in_log(5.0, 0.5, n)
        row = table_of("dpmpp_2m")(sigmas, VE).rows[n // 2]
        a, b = sigmas[n // 2], sigmas[n // 2 + 1]
        h = math.log(a / b)
        # D(lambda) = lambda - lambda_a: the exact integral is h - (1 - exp(-h)).
        got = row.d[n // 2 - 1] * (math.log(a / sigmas[n // 2 - 1]))
        defects.append(abs(got - (h - (1.0 - math.exp(-h)))))
    assert math.log2(defects[0] / defects[1]) == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spec", ["sd", slow("zsnr"), slow("flow")])
def test_long_runs_reach_the_data(name, spec):
    """With many steps the samples of a deterministic run are those of the exact flow."""
    if ROWS[name].order is None:
        pytest.skip("no ODE is solved")
    model = SPECS[spec]
    sigmas = beta(spec, 200)
    x = start(float(sigmas[0]))
    out = samplers.sample(
        name, answers(name, gaussian(model.process)), x, sigmas, model.process, **exact(name)
    )
    wanted = gaussian_flow(x, float(sigmas[0]), 0.0, model.process)
    assert (out - wanted).abs().max() < 0.05 * wanted.abs().max()


# Noise ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_split_keeps_the_marginal(process, eta):
    for sigma, sigma_next in ((1.0, 0.7), (0.9, 0.05), (0.5, 0.0)):
        down, scale, std = process.split(sigma, sigma_next, eta)
        assert 0 <= down <= sigma_next and std >= 0
        assert scale * process.alpha(down) == pytest.approx(process.alpha(sigma_next))
        assert math.hypot(scale * down, std) == pytest.approx(sigma_next)
        assert (std == 0) == (eta == 0 or sigma_next == 0)


@pytest.mark.slow
@pytest.mark.parametrize("process", [VE, FLOW], ids=lambda p: p.name)
@pytest.mark.parametrize("name", NAMES)
def test_fresh_noise_keeps_the_variance(name, process):
    """At full eta the samples still have the data's variance, coordinate by coordinate."""
    if not ROWS[name].marginal:
        pytest.skip("needs a consistency model: test_consistency.py has one")
    sigmas = beta("sd" if process is VE else "flow", 200)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 2000, 4, generator=generator, dtype=torch.float64) * float(sigmas[0])

    def denoise(x, sigma):
        return gaussian(process)(x.flatten(0, 1), sigma.repeat_interleave(2000)).view_as(x)

    out = samplers.sample(name, answers(name, denoise), x, sigmas, process, **with_eta(name, 1.0))
    assert torch.allclose(out.flatten(0, 1).var(0), VARIANCE, rtol=0.1)


def test_keyed_noise_depends_on_seed_image_and_sigma_only():
    like = torch.empty(3, 2, 5)
    noise, draw = KeyedNoise(7, [0, 1, 2]), Draw(1.0, 1.5, 1.0)
    first = noise(like, draw)
    assert torch.equal(first, noise(like, draw))
    assert torch.equal(first[2:], KeyedNoise(7, [2])(like[2:], draw))
    others = [KeyedNoise(8, [0])(like[:1], draw), KeyedNoise(7, [1])(like[:1], draw)]
    for other in (draw._replace(start=math.nextafter(1.5, 2)), draw._replace(end=0.9),
                  draw._replace(index=1), draw._replace(start=1.0, end=1.5)):
        others.append(noise(like, other)[:1])
    for other in others:
        assert not torch.isclose(first[:1], other).any()
    big = KeyedNoise(2**64 - 1, [0])(torch.empty(1, 100_000), Draw(1.0, 0.2, 0.1))
    assert abs(float(big.mean())) < 0.02 and abs(float(big.std()) - 1) < 0.01


def test_noise_that_does_not_fit_the_batch_is_refused():
    with pytest.raises(ValueError, match="2 images.*batch of 3"):
        KeyedNoise(0, [0, 1])(torch.empty(3, 4), Draw(1.0, 2.0, 1.0))


# Promises ------------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("name", NAMES)
def test_batch_independent(name, eta):
    """Image k of a batch is the image that it would be alone, bit for bit."""
    sigmas = schedules.get("karras").sigmas(SPECS["sd"], 8)
    x = start(float(sigmas[0]), batch=4).float()
    denoise = answers(name, lambda x, s: x / (1 + s[:, None] ** 2))
    build = table_of(name, **with_eta(name, eta))
    together = run(build, denoise, x, sigmas, VE, noise=KeyedNoise(3, range(4)))
    for k in range(4):
        alone = run(build, denoise, x[k : k + 1], sigmas, VE,
                    noise=KeyedNoise(3, [k]))
        assert torch.equal(together.x[k : k + 1], alone.x)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("spec", ["sd", "flow"])
@pytest.mark.parametrize("name", TABLES)
def test_split_exact(name, spec, eta):
    """Stopping after any step and going on gives the same bits as never stopping."""
    model, build = SPECS[spec], table_of(name, **with_eta(name, eta))
    sigmas = schedules.get("karras").sigmas(model, 7).tolist()
    denoise, noise = answers(name, gaussian(model.process)), KeyedNoise(1, range(3))
    x = start(sigmas[0])
    whole = run(build, denoise, x, sigmas, model.process, noise=noise).x
    for k in range(len(sigmas)):
        first = run(build, denoise, x, sigmas, model.process, noise=noise, until=k)
        assert first.sigmas == tuple(sigmas[: k + 1])
        if k < len(sigmas) - 1:
            again = run(build, denoise, torch.zeros_like(x), sigmas[k:], model.process,
                        noise=noise, carry=first)
            assert torch.equal(again.x, whole)
        else:
            assert torch.equal(first.x, whole) and not first.memory
    parts = None
    for k in range(len(sigmas) - 1):  # one step at a time
        parts = run(build, denoise, x, sigmas[k:], model.process, noise=noise, until=1, carry=parts)
    assert torch.equal(parts.x, whole)


@pytest.mark.parametrize("name", NAMES)
def test_deterministic_and_the_global_generator_is_left_alone(name):
    sigmas = schedules.get("normal").sigmas(SPECS["sd"], 6)
    x = start(float(sigmas[0]))
    results, noisy, denoise = [], with_eta(name, 1.0), answers(name, gaussian(VE))
    for seed in (1, 2):
        torch.manual_seed(seed)  # must not matter
        before = torch.get_rng_state()
        results.append(samplers.sample(name, denoise, x, sigmas, seed=5, **noisy))
        assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(*results)
    other = samplers.sample(name, denoise, x, sigmas, seed=6, **noisy)
    assert torch.equal(results[0], other) != samplers.get(name).plan(SOME, VE, **noisy).stochastic


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_not_changed(name):
    sigmas = schedules.get("karras").sigmas(SPECS["flow"], 5)
    x, seen = start(1.0), []

    def on_step(info):
        seen.append((info["x"], info["x"].clone(), info["denoised"], info["denoised"].clone()))

    before = x.clone()
    samplers.sample(name, answers(name, gaussian(FLOW)), x, sigmas, FLOW, on_step=on_step)
    assert torch.equal(x, before)
    for kept_x, x_then, kept_d, d_then in seen:
        assert torch.equal(kept_x, x_then) and torch.equal(kept_d, d_then)


def test_remembered_tensors_are_few_and_freed():
    sigmas = check_sigmas(schedules.get("karras").sigmas(SPECS["sd"], 12), VE)
    wanted = {"euler": 0, "euler_ancestral": 0, "ddim": 0, "dpmpp_2m": 1, "heun": 2, "ipndm": 6}
    assert {name: table_of(name)(sigmas, VE).peak_memory for name in wanted} == wanted
