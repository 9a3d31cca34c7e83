"""Adaptive samplers: the pair in its paper's form, error by tolerance, cost, and images apart."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import PROCESSES, gaussian, gaussian_flow, mixture, start
from quadratures import integral
from stride import samplers
from stride.samplers import VE, KeyedNoise, NotFinite, run
from stride.samplers.adaptive import PAIRS, TooManyCalls, dpm_pair

# Every pair: (sampler, options, order of the method that goes on).
METHODS = {
    "dpm_12": ("dpm_adaptive", {"order": 2}, 2),
    "dpm_23": ("dpm_adaptive", {"order": 3}, 3),
    **{pair: ("adaptive_steps", {"pair": pair}, order) for pair, (_, order) in PAIRS.items()},
}
TOP, BOTTOM = 10.0, 0.1


def adapt(method, denoise, x, sigmas=(TOP, BOTTOM), process=VE, seed=0, on_step=None, **options):
    """(result, what each image took)."""
    name, own, _ = METHODS[method]
    plan = samplers.get(name).plan(sigmas, process, **own, **options)
    noise = KeyedNoise(seed, range(x.shape[0]))
    done = run(lambda s, p: plan, denoise, x, sigmas, process, noise=noise, on_step=on_step)
    return done.x, plan.taken


# The pairs -----------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 100.0), st.floats(0.01, 3.0))
def test_dpm_solver_in_the_papers_form(sigma, h):
    """Algorithms 1, 2 and 4 of DPM-Solver for alpha = 1, with r_1 = 1/3, r_2 = 2/3, for any eps."""
    end, s1, s2 = (sigma * math.exp(-r * h) for r in (1.0, 1 / 3, 2 / 3))
    x, eps0, eps1, eps2 = 0.3, 1.0, -2.0, 0.7
    step = end * math.expm1(h)
    u1 = x - s1 * math.expm1(h / 3) * eps0
    curve = math.expm1(2 * h / 3) / (2 * h / 3) - 1.0
    u2 = x - s2 * math.expm1(2 * h / 3) * eps0 - s2 * 2.0 * curve * (eps1 - eps0)
    high = x - step * eps0 - end * 1.5 * (math.expm1(h) / h - 1.0) * (eps2 - eps0)
    low = x - step * eps0 - 1.5 * step * (eps1 - eps0)
    t, width = dpm_pair(3, sigma, end), end - sigma
    answers = (eps0, eps1, eps2)
    for weights, wanted in zip((*t.a, t.b, t.embedded), (u1, u2, high, low)):
        found = x + width * sum(w * eps for w, eps in zip(weights, answers))
        assert found == pytest.approx(wanted, rel=1e-8, abs=1e-8 * sigma)
    middle = sigma * math.exp(-h / 2)
    t = dpm_pair(2, sigma, end)
    assert sigma + t.c[1] * width == pytest.approx(middle)
    assert (t.b, t.embedded) == ((0.0, 1.0), (1.0, 0.0))


def test_the_weights_are_integrals_of_a_line_in_log_sigma():
    """Gauss-Legendre quadrature of eps linear in lambda through the nodes that each stage reads."""
    sigma, end = 3.0, 0.4
    h = math.log(sigma / end)

    def moved(r, slope_from):
        """The integral to node r of (s / slope_from) dsigma, s from 0 to 1 over the step."""
        return integral(lambda s: -h * sigma * np.exp(-s * h) * s / slope_from, 0, r)

    t = dpm_pair(3, sigma, end)
    width = end - sigma
    assert t.a[1][1] * width == pytest.approx(moved(2 / 3, 1 / 3), rel=1e-12)
    assert t.b[2] * width == pytest.approx(moved(1.0, 2 / 3), rel=1e-12)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("method", METHODS)
def test_error_by_tolerance_and_by_cost(method, process):
    """Error in proportion to the tolerance; error by steps has the order of the better method.

    The step's error that is held at the tolerance is the lower method's, of the higher order.
    """
    top = TOP if process is VE else 0.9
    order = METHODS[method][2]
    x = start(top, 1)
    exact = gaussian_flow(x, top, BOTTOM, process)
    tight = {2: 1e-6, 3: 1e-8, 5: 1e-10}[order]
    found = []
    for tolerance in (100 * tight, tight):
        out, taken = adapt(
            method, gaussian(process), x, (top, BOTTOM), process, rtol=tolerance, atol=tolerance,
            max_calls=10**5,
        )
        found.append((float((out - exact).abs().max()), taken[0].accepted))
    (coarse, few), (fine, many) = found
    assert math.log10(coarse / fine) / 2 > 0.85
    assert fine < 100 * tight
    assert math.log(coarse / fine) / math.log(many / few) > order - 0.3


def test_an_a1111_run_in_double_precision():
    """DPM adaptive of A1111 1.10.1 at its eta 1: steps, levels, draws and result.

    Of its 39 model calls 3 repeat the first one of a rejected step; we remember that answer.
    """
    runs = json.loads((Path(__file__).parent / "golden" / "a1111_runs.json").read_text())["runs"]
    golden = next(run for run in runs if run["sampler"] == "DPM adaptive")
    i = torch.arange(256, dtype=torch.float64)
    z = (torch.sin(0.37 * i) + 0.5 * torch.cos(1.7 * i)).view(1, 4, 8, 8)
    asked, draws = [], []

    def noise(like, draw):
        k = len(draws)
        draws.append(draw)
        wave = torch.sin(0.5 + 0.7310585 * (k + 1) + i * (1.1 + 0.013 * k))
        return math.sqrt(2) * wave.view(like.shape)

    def denoise(x, sigma):
        asked.append(float(sigma[0]))
        q = 1 + asked[-1] ** 2
        return 0.9 * x / q + 0.1 * torch.tanh(x / math.sqrt(q))

    levels = golden["sigma_at_each_eval"]
    first, last = levels[0], 0.029167532920837402  # of the model, whatever the schedule
    plan = samplers.get("dpm_adaptive").plan((first, last), VE, eta=1.0)
    x = z * golden["sigmas"][0]
    out = run(lambda s, p: plan, denoise, x, (first, last), VE, noise=noise).x
    taken = plan.taken[0]
    assert taken.accepted + taken.rejected == len(levels) // 3
    repeated = [a for a, before in zip(levels, [0, 0, 0, *levels]) if a == before]
    assert len(repeated) == taken.rejected and len(asked) == len(levels) - taken.rejected
    assert asked == pytest.approx(list(dict.fromkeys(levels)), rel=1e-9)
    assert len(draws) == golden["noise_draws"] - 1  # their last is multiplied by 0
    want = [golden["final_sum"], golden["final_abs_sum"], *golden["final_first8"]]
    found = [float(out.sum()), float(out.abs().sum()), *out.flatten()[:8].tolist()]
    assert found == pytest.approx(want, rel=1e-9)


# Cost ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("bottom", [0.1, 0.0])
@pytest.mark.parametrize("method", METHODS)
def test_calls_are_accounted_for(method, bottom, eta):
    """A try costs its stages, less what is known; a final 0 costs the answer at the last sigma."""
    asked = []

    def denoise(x, sigma):
        asked.append(float(sigma[0]))
        return mixture(VE)(x, sigma)

    sigmas = (TOP, 0.2, bottom) if bottom else (TOP, 0.2, 0.1, 0.0)
    # A first step far too long, so that there are rejected ones.
    x = start(TOP, batch=1)
    _, (taken,) = adapt(method, denoise, x, sigmas, eta=eta, h_init=4.0, rtol=0.02)
    assert len(asked) == taken.calls
    assert taken.rejected > 0
    assert taken.sigmas[0] == TOP and taken.sigmas[-1] == (sigmas[-1] or sigmas[-2])
    assert len(taken.sigmas) == taken.accepted + 1
    assert all(a > b for a, b in zip(taken.sigmas, taken.sigmas[1:]))
    tries, zero = taken.accepted + taken.rejected, bottom == 0
    stages = {"dpm_12": 2, "dpm_23": 3, "heun_euler": 2, "bogacki_shampine": 4, "dormand_prince": 7}
    cost = stages[method] * tries - taken.rejected
    if method in ("bogacki_shampine", "dormand_prince"):
        zero = 0  # the last call was at the step's end, and no noise was added there
        if eta == 0:  # so it is in every step, and serves the next one
            cost = (stages[method] - 1) * tries + 1
    assert taken.calls == cost + zero


def test_the_inner_sigmas_do_not_matter():
    denoise, x = mixture(VE), start(TOP)
    few, _ = adapt("dpm_23", denoise, x, (TOP, BOTTOM, 0.0))
    many, _ = adapt("dpm_23", denoise, x, (TOP, 3.0, 1.0, 0.3, BOTTOM, 0.0))
    assert torch.equal(few, many)


def test_one_step_to_zero_is_one_call():
    x, denoise = start(TOP), mixture(VE)
    for method in METHODS:
        out, taken = adapt(method, denoise, x, (TOP, 0.0))
        assert torch.equal(out, denoise(x, torch.full((3,), TOP)))
        assert [(t.accepted, t.rejected, t.calls) for t in taken] == [(0, 0, 1)] * 3


@pytest.mark.parametrize("bottom", [0.1, 0.0])
@pytest.mark.parametrize("method", METHODS)
def test_a_run_never_exceeds_its_bound(method, bottom):
    sigmas, x = (TOP, 0.2, bottom), start(TOP, batch=1)
    _, (taken,) = adapt(method, mixture(VE), x, sigmas)
    adapt(method, mixture(VE), x, sigmas, max_calls=taken.calls)
    asked = []

    def denoise(x, sigma):
        asked.append(1)
        return mixture(VE)(x, sigma)

    for bound in (1, taken.calls // 2, taken.calls - 1):
        asked.clear()
        with pytest.raises(TooManyCalls, match=f"max_calls is {bound}: sigma .* was reached"):
            adapt(method, denoise, x, sigmas, max_calls=bound)
        assert len(asked) <= bound


def test_a_model_without_a_slope_stops_the_run():
    """Answers that jump with sigma: the step size falls, and the message says so."""

    def denoise(x, sigma):
        return x * 0 + 1e6 * math.sin(1e9 * float(sigma[0]))

    with pytest.raises(TooManyCalls, match="step size fell to nothing.*rejected"):
        adapt("dpm_23", denoise, start(TOP, batch=1), rtol=1e-9, atol=1e-9, max_calls=10**5)


def test_answers_that_are_not_finite_stop_the_run():
    with pytest.raises(NotFinite, match="step 1 of 1"):
        adapt("dpm_23", lambda x, sigma: x * math.nan, start(TOP, batch=1))


# Promises ------------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("method", METHODS)
def test_images_choose_their_steps_apart(method, eta):
    """Bit for bit what each image is alone, although the images take different steps."""
    x = start(TOP, batch=4)
    x[1] *= 0.01
    x[2] *= 30
    together, taken = adapt(method, mixture(VE), x, eta=eta, rtol=1e-3, atol=1e-3)
    for k in range(4):
        name, own, _ = METHODS[method]
        options = dict(eta=eta, rtol=1e-3, atol=1e-3)
        plan = samplers.get(name).plan((TOP, BOTTOM), VE, **own, **options)
        alone = run(lambda s, p: plan, mixture(VE), x[k : k + 1], (TOP, BOTTOM), VE,  # noqa: B023
                    noise=KeyedNoise(0, [k]))
        assert torch.equal(together[k : k + 1], alone.x)
        assert plan.taken == [taken[k]]
    assert len({tuple(image.sigmas) for image in taken}) == 4


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("method", METHODS)
def test_a_run_cut_in_two_solves_the_same_ode(method, process):
    """Not the same bits: the cut is a level of its own. Nothing needs to be carried but x."""
    top = TOP if process is VE else 1.0
    sigmas, x, (name, own, _) = (top, 0.5, 0.1), start(top), METHODS[method]
    options = dict(own, rtol=1e-4, atol=1e-4)
    build = lambda s, p: samplers.get(name).plan(s, p, **options)  # noqa: E731

    def part(levels, **extra):
        noise = KeyedNoise(0, range(len(x)))
        return run(build, gaussian(process), x, levels, process, noise=noise, **extra)

    whole, first = part(sigmas), part(sigmas, until=1)
    assert not first.memory and first.sigmas == sigmas[:2]
    second = part(sigmas[1:], carry=first)
    exact = gaussian_flow(x, top, 0.1, process)
    for out in (whole.x, second.x):
        assert (out - exact).abs().max() < 0.01 * exact.abs().max()
    assert not torch.equal(whole.x, second.x)


@pytest.mark.parametrize("name", ["adaptive_steps", "dpm_adaptive"])
@pytest.mark.parametrize("pair", PAIRS)
def test_the_last_step_is_shown(name, pair):
    """The host's bar counts i + 1 of the user's steps: it ends full, and the answer is the model's.
    """
    if name == "dpm_adaptive" and pair != "heun_euler":
        return
    seen, levels = [], [14.6, 7.0, 3.0, 1.5, 0.7, 0.3, 0.1, 0.03, 0.0]
    options = {} if name == "dpm_adaptive" else {"pair": pair}
    x = torch.linspace(-20, 20, 8, dtype=torch.float64).reshape(2, 4)
    exact = gaussian(VE)
    samplers.sample(name, exact, x, levels, on_step=seen.append, **options)
    steps = [info["i"] for info in seen]
    for image in (steps[: steps.index(7) + 1], steps[steps.index(7) + 1 :]):
        assert image[0] == 0 and image[-1] == 7 and image == sorted(set(image))
    for info in seen:
        d = exact(info["x"], info["sigma_hat"].reshape(1).to(info["x"]))
        torch.testing.assert_close(info["denoised"], d, rtol=1e-4, atol=1e-5)


def test_a_callback_hears_of_the_users_steps():
    """Once for each of the user's steps that was entered, in order, for one image after another."""
    sigmas, seen = (TOP, 5.0, 1.0, 0.3, 0.1, 0.0), []
    adapt("dpm_23", mixture(VE), start(TOP, batch=2), sigmas, on_step=seen.append)
    heard = [info["i"] for info in seen]
    second = heard.index(0, 1)
    for part in (heard[:second], heard[second:]):
        assert part[0] == 0 and part[-1] == 4 and part == sorted(set(part))
    for info in seen:
        assert info["x"].shape == info["denoised"].shape == (1, 4)
        level = info["sigma"].expand(1)
        assert torch.equal(info["denoised"], mixture(VE)(info["x"], level))
        assert float(info["sigma_hat"]) == float(level) <= sigmas[info["i"]]


@pytest.mark.parametrize(
    "name, options, says",
    [
        ("dpm_adaptive", {"order": 4}, "from 2 to 3"),
        ("dpm_adaptive", {"rtol": 0.0}, "from 1e-12"),
        ("dpm_adaptive", {"max_calls": 0}, "from 1 to"),
        ("adaptive_steps", {"pair": "rk4"}, "one of heun_euler, bogacki_shampine, dormand_prince"),
    ],
)
def test_bad_options_are_refused(name, options, says):
    with pytest.raises(ValueError, match=says):
        samplers.get(name).plan((TOP, BOTTOM), VE, **options)
