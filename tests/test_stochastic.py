"""Solvers of the reverse SDE: exact linear part, weights, strong order along one path of noise."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from problems import LEVELS, PROCESSES, carried, gaussian, uneven
from quadratures import integral
from stride import samplers, schedules
from stride.samplers import FLOW, VE, KeyedNoise, PathNoise, run


def plan(name, sigmas, process, **options):
    return samplers.get(name).plan(sigmas, process, **options)


# The linear part ------------------------------------------------------------------------------


def born(s_next, eta):
    """What is left at s_next of the variance 2 eta q dq that is born at q."""
    return lambda q: 2 * eta * q * (s_next / q) ** (2 * (1 + eta))


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_a_step_with_the_answer_held_still_solves_the_sde(process, eta):
    """In y = x / alpha, s = sigma / alpha: dy = (1 + eta)(y - D)/s ds + sqrt(2 eta s) dW.

    The mean decays by exp(-integral of (1 + eta)/s), and noise born at s decays from there on.
    """
    for sigma, sigma_next in ((0.9, 0.05), (0.5, 0.45), (0.3, 0.01)):
        alpha, alpha_next = process.alpha(sigma), process.alpha(sigma_next)
        s, s_next = sigma / alpha, sigma_next / alpha_next
        decay = math.exp(-integral(lambda q: (1 + eta) / q, s_next, s))
        variance = integral(born(s_next, eta), s_next, s)
        found = process.diffuse(sigma, sigma_next, eta)
        assert found.keep == pytest.approx(alpha_next / alpha * decay, rel=1e-9)
        assert found.move == pytest.approx(alpha_next * (1 - decay), rel=1e-9)
        assert found.std == pytest.approx(alpha_next * math.sqrt(variance), rel=1e-9)
        assert found.h == pytest.approx((1 + eta) * math.log(s / s_next), rel=1e-9)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", ["dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"])
def test_eta_says_how_much_of_the_noise_is_renewed(name, eta, process):
    """Whatever the number of steps, x keeps (s'/s)^(1 + eta) of its noise part."""
    sigmas = LEVELS[process.name]
    ratio = sigmas[-1] / sigmas[0] * process.alpha(sigmas[0]) / process.alpha(sigmas[-1])
    kept = ratio ** (1 + eta) * process.alpha(sigmas[-1]) / process.alpha(sigmas[0])
    for levels in (sigmas, sigmas[::5]):
        assert carried(plan(name, levels, process, eta=eta)) == pytest.approx(kept, rel=1e-12)


# The weights of the answers -------------------------------------------------------------------


def weighed(row, sigmas, process, answer):
    """What the row makes of answers D(log-SNR); every row here is one step."""
    return sum(w * answer(process.log_snr(sigmas[j])) for j, w in row.d.items())


def wanted(k, sigmas, process, eta, answer):
    """alpha' (1 + eta) integral of exp(-(1 + eta)(end - l)) D(l) dl over step k."""
    start, end = process.log_snr(sigmas[k]), process.log_snr(sigmas[k + 1])
    kernel = lambda u: (1 + eta) * np.exp(-(1 + eta) * (end - u)) * answer(u)  # noqa: E731
    return process.alpha(sigmas[k + 1]) * integral(kernel, start, end)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    "name, options, degree",
    [("dpmpp_2m_sde", {}, 0), ("dpmpp_2m_sde_heun", {}, 1), ("dpmpp_3m_sde", {}, 1),
     ("dpmpp_3m_sde", {"third": "exact"}, 2)],
)  # fmt: skip
def test_weights_integrate_polynomials_in_log_snr(name, options, degree, eta, process):
    sigmas = LEVELS[process.name]
    rows = plan(name, sigmas, process, eta=eta, **options).rows
    for k, row in enumerate(rows):
        for power in range(min(degree, k) + 1):
            answer = lambda u, power=power: u**power  # noqa: E731
            exact = wanted(k, sigmas, process, eta, answer)
            assert weighed(row, sigmas, process, answer) == pytest.approx(exact, abs=1e-11)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_half_of_the_quadratic_term_is_missing_in_k_diffusions_3m(eta):
    """Its second divided difference, half of D'', is weighed with phi_3 as if it were D''.

    For D = (l - l_k)^2 the Newton form is that term and the slope's correction; the usual
    weights fall short of the integral by half of the integral of s^2, the whole ones do not.
    """
    sigmas, k = LEVELS["VE"], 3
    here, end = VE.log_snr(sigmas[k]), VE.log_snr(sigmas[k + 1])
    square = lambda u: (u - here) ** 2  # noqa: E731
    exact = wanted(k, sigmas, VE, eta, square)
    short, whole = (
        weighed(plan("dpmpp_3m_sde", sigmas, VE, eta=eta, third=e).rows[k], sigmas, VE, square)
        for e in ("published", "exact")
    )
    assert whole == pytest.approx(exact, rel=1e-10)
    assert exact - short == pytest.approx(0.5 * exact, rel=1e-10) and end > here


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize(
    "name, options, order",
    [("dpmpp_2m_sde", {}, 2), ("dpmpp_2m_sde_heun", {}, 2), ("dpmpp_3m_sde", {}, 2),
     ("dpmpp_3m_sde", {"third": "exact"}, 3)],
)  # fmt: skip
def test_order_with_exact_history(name, options, order, eta, process):
    """The error of one step on a smooth D falls with h^(order + 1)."""
    defects = []
    for n in (40, 80):
        sigmas = uneven(process, n)
        k = n // 2
        row = plan(name, sigmas, process, eta=eta, **options).rows[k]
        found = weighed(row, sigmas, process, np.cos)
        defects.append(abs(found - wanted(k, sigmas, process, eta, np.cos)))
    assert math.log2(defects[0] / defects[1]) == pytest.approx(order + 1, abs=0.15)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize(
    "sde, ode, options",
    [("dpmpp_2m_sde", "dpmpp_2m", {}), ("dpmpp_3m_sde", "dpmpp_3m", {"third": "exact"})],
)
def test_without_noise_it_is_the_ode_solver(sde, ode, options, process):
    sigmas = (*LEVELS[process.name], 0.0)
    theirs = plan(ode, sigmas, process).rows[:-1]  # to 0 the ODE solver may do as it likes
    for ours, row in zip(plan(sde, sigmas, process, eta=0.0, **options).rows, theirs):
        assert ours.d == pytest.approx(row.d, rel=1e-9, abs=1e-12)
        assert ours.x == pytest.approx(row.x, rel=1e-9) and not ours.noise


def test_a_last_step_far_longer_than_the_ones_before_overshoots():
    """normal goes from sigma 0.23 to 0.03 in one step, five times as long as the one before.

    A parabola read that far out multiplies what is wrong with the answers. A1111 leaves the
    second last level out of every schedule of this sampler, which ends on 0 from 0.23.
    """
    sigmas = schedules.get("normal").sigmas(schedules.ModelSpec.discrete(), 20).tolist()
    gains = {
        name: sum(map(abs, plan(name, tuple(sigmas), VE).rows[-2].d.values()))
        for name in ("dpmpp_2m_sde", "dpmpp_3m_sde")
    }
    assert gains["dpmpp_3m_sde"] > 3 * gains["dpmpp_2m_sde"] > 9
    shorter = plan("dpmpp_3m_sde", (*sigmas[:-2], 0.0), VE).rows
    assert max(sum(map(abs, row.d.values())) for row in shorter) < 4


# Where log-SNR is infinite --------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"])
def test_a_flow_start_is_first_order_and_forgotten(name, eta):
    """From sigma 1 the SDE keeps nothing of x; the answer given there takes part in no slope."""
    rows = plan(name, (1.0, 0.9, 0.7, 0.4, 0.1, 0.05, 0.0), FLOW, eta=eta).rows
    first, second, third, fourth, _, last = rows
    start = {0: pytest.approx(0.9)} if eta == 0 else {}
    assert first.x == start and first.d == {0: pytest.approx(0.1)}
    assert [draw.weight for draw in first.noise] == ([] if eta == 0 else [pytest.approx(0.9)])
    assert set(second.d) == {1} and set(third.d) == {1, 2}
    assert min(fourth.d) == (1 if name == "dpmpp_3m_sde" else 2)
    assert (last.x, last.d, last.noise) == ({}, {5: 1.0}, ())


def test_the_gpu_names_are_the_same_samplers():
    """The host's twins differ in where their noise is drawn; ours is drawn on the CPU."""
    for name in ("dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"):
        assert samplers.get(f"{name}_gpu") is samplers.get(name)


# Along one path -------------------------------------------------------------------------------


OCTAVES = {"VE": (8.0, 5), "FLOW": (2**-0.25, 3)}


def sampled(name, process, n, kind, **options):
    """n steps an octave of sigma, n a power of 2: their levels are nodes of the path's tree."""
    top, octaves = OCTAVES[process.name]
    sigmas = [top * 2 ** (-i / n) for i in range(octaves * n + 1)]
    x = torch.randn(1, 512, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def denoise(x, sigma):
        return gaussian(process)(x[0], sigma)[None]

    build = lambda s, p: plan(name, s, p, **options)  # noqa: E731
    return run(build, denoise, top * x, sigmas, process, noise=kind(5, [0])).x


STRONG = {
    "dpmpp_2m_sde": {"eta": 1.0}, "dpmpp_2m_sde_heun": {"eta": 0.5}, "dpmpp_3m_sde": {"eta": 1.0},
    "er_sde": {"eta": 1.0}, "sa_solver": {"tau": 1.0, "tau_start": 1e6, "tau_end": 0.0},
    "sa_solver_pece": {"tau": 0.7, "tau_start": 1e6, "tau_end": 0.0},
}  # fmt: skip


@pytest.mark.parametrize(
    "process", [VE, pytest.param(FLOW, marks=pytest.mark.slow)], ids=lambda p: p.name
)
@pytest.mark.slow
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] * name.startswith("sa_")) for name in STRONG
])  # fmt: skip
def test_strong_convergence_along_one_path(name, process):
    """With one path of the noise the samples converge as the steps grow, at order 1.

    Additive noise allows no more to a method that sees only the path's increments.
    """
    fine, *coarse = (sampled(name, process, n, PathNoise, **STRONG[name]) for n in (512, 8, 32))
    errors = [float((found - fine).square().mean().sqrt()) for found in coarse]
    assert 0.85 < math.log(errors[0] / errors[1], 4) < 1.3, errors


def test_independent_draws_do_not_converge():
    """The test above can fail: with fresh draws another step count is another sample."""
    fine, coarse = (sampled("dpmpp_2m_sde", VE, n, KeyedNoise, eta=1.0) for n in (128, 32))
    assert (fine - coarse).square().mean().sqrt() > 0.5
    assert samplers.get("dpmpp_2m_sde").options.noise == "path"


def test_the_options_reach_every_preset():
    """Presets of one builder: with the same options they are the same table."""
    sigmas = (*LEVELS["VE"], 0.0)
    for name in ("dpmpp_2m_sde", "dpmpp_2m_sde_heun"):
        entry = samplers.get(name)
        same = dict(order=3, solver_type="heun", third="published")
        three = replace(entry, options=replace(entry.options, **same))
        assert three.plan(sigmas, VE) == plan("dpmpp_3m_sde", sigmas, VE)
