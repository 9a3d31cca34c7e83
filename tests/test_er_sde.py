"""ER-SDE: the integrals of its noise scaler, in closed form and by quadrature."""

import math

import numpy as np
import pytest
from problems import LEVELS, PROCESSES, carried, uneven
from quadratures import integral
from stride import samplers
from stride.samplers import FLOW, VE


def plan(sigmas, process, **options):
    return samplers.get("er_sde").plan(sigmas, process, **options)


def scaler(s):
    return s * (np.exp(s**0.3) + 10.0)


def scaler_slope(s):
    return np.exp(s**0.3) * (1.0 + 0.3 * s**0.3) + 10.0


def levels(sigmas, process):
    return [sigma / process.alpha(sigma) for sigma in sigmas]


def weighed(row, ratios, answer):
    return sum(w * answer(ratios[j]) for j, w in row.d.items())


def wanted(k, sigmas, process, answer):
    """dy = f'/f (y - D) ds solved: alpha' f(s') times the integral of f'/f^2 D from s' to s."""
    s, s_next = levels(sigmas, process)[k : k + 2]

    def function(q):
        return scaler_slope(q) / scaler(q) ** 2 * answer(q)

    return process.alpha(sigmas[k + 1]) * scaler(s_next) * integral(function, s_next, s)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_exact_for_answers_that_the_stage_expands(stage, process):
    """Stage 1 holds D still; stages 2 and 3 are exact for a D linear in s, points = 0."""
    sigmas = LEVELS[process.name]
    ratios = levels(sigmas, process)
    rows = plan(sigmas, process, max_stage=stage, points=0).rows
    for k, row in enumerate(rows):
        for power in range(min(stage, 2, k + 1)):
            answer = lambda s, power=power: s**power  # noqa: E731
            exact = wanted(k, sigmas, process, answer)
            assert weighed(row, ratios, answer) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_weights_of_the_power_scalers_in_closed_form(eta):
    """f = s^(1 + eta): the integrals of f(s') (q - s)^n / f(q) are logarithms and powers.

    Stage 3 adds A_2 times D'', the difference of two backward differences over half of the
    two steps behind.
    """
    s2, s1, s, t = 4.0, 2.5, 1.7, 1.1
    row = plan((s2, s1, s, t), VE, scaler="sde", eta=eta, points=0).rows[2]
    if eta == 0:
        zero, one = t * math.log(s / t), t * ((s - t) - s * math.log(s / t))
    else:
        inverse = 1 / t - 1 / s
        zero, one = t**2 * inverse, t**2 * (math.log(s / t) - s * inverse)
    first, second = t - s + zero, (t - s) ** 2 / 2 + one
    bend = second * 2 / (s - s2)
    newest = (first + bend) / (s - s1)
    oldest = bend / (s1 - s2)
    assert row.d[2] - (1 - (t / s) ** (1 + eta)) == pytest.approx(newest, rel=1e-9)
    assert row.d[0] == pytest.approx(oldest, rel=1e-9)
    assert row.d[1] == pytest.approx(-newest - oldest, rel=1e-9)


def test_points_are_a_riemann_sum_of_the_integral():
    """The host's sum of 200 points: its error falls in inverse proportion to their number."""
    sigmas = LEVELS["VE"]
    exact = plan(sigmas, VE, points=0).rows[3].d[3]
    errors = [plan(sigmas, VE, points=n).rows[3].d[3] - exact for n in (200, 400, 800)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.02)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("stage, order", [(1, 1), (2, 2), (3, 2)])
def test_order_with_exact_history(stage, order, process):
    """Stage 3 is no third order: its D' is a plain backward difference, wrong by D'' h / 2."""
    defects = []
    for n in (40, 80):
        sigmas = uneven(process, n)
        row = plan(sigmas, process, max_stage=stage, points=0).rows[n // 2]
        answer = lambda s: np.exp(-s)  # noqa: E731
        found = weighed(row, levels(sigmas, process), answer)
        defects.append(abs(found - wanted(n // 2, sigmas, process, answer)))
    assert math.log2(defects[0] / defects[1]) == pytest.approx(order + 1, abs=0.15)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_the_scaler_says_how_much_of_the_noise_is_renewed(process):
    """x keeps f(s') / f(s) of its noise part, whatever the number of steps; eta 0 is the ODE."""
    sigmas = LEVELS[process.name]
    s, s_next = (sigma / process.alpha(sigma) for sigma in (sigmas[0], sigmas[-1]))
    alphas = process.alpha(sigmas[-1]) / process.alpha(sigmas[0])
    for options, kept in (
        ({}, scaler(s_next) / scaler(s)),
        ({"eta": 0.0}, s_next / s),
        ({"scaler": "sde"}, (s_next / s) ** 2),
        ({"scaler": "sde", "eta": 0.4}, (s_next / s) ** 1.4),
    ):
        for each in (sigmas, sigmas[::5]):
            found = carried(plan(each, process, **options))
            assert found == pytest.approx(alphas * kept, rel=1e-9)
    assert not plan(sigmas, process, eta=0.0).stochastic


def test_a_flow_start_gives_no_difference():
    rows = plan((1.0, 0.9, 0.7, 0.5, 0.2, 0.0), FLOW).rows
    assert [sorted(row.d) for row in rows] == [[0], [1], [1, 2], [1, 2, 3], [4]]
    assert rows[0].x == {} and rows[0].d[0] == pytest.approx(0.1)
