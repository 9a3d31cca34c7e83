"""SA-Solver: which answers a step combines, with which weights, and where the noise is."""

import math

import numpy as np
import pytest
from problems import LEVELS, PROCESSES, carried
from quadratures import integral, lagrange
from stride import samplers, schedules
from stride.samplers import FLOW, VE

ALWAYS = {"tau_start": 1e6, "tau_end": 0.0}
SIGMAS = {"VE": (12.0, 7.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.1), "FLOW": (0.95, 0.9, 0.8, 0.6, 0.4, 0.2)}


def plan(name, sigmas, process, **options):
    return samplers.get(name).plan(sigmas, process, **options)


def adams(answered, start, end, alpha, eta):
    """Quadrature of the Lagrange basis through ``answered`` against the SDE's kernel."""

    def weight(j):
        kernel = lambda u: (1 + eta) * np.exp(-(1 + eta) * (end - u))  # noqa: E731
        return integral(lambda u: kernel(u) * lagrange(answered, j, u), start, end)

    return [alpha * weight(j) for j in range(len(answered))]


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("orders", [(1, 1), (2, 2), (3, 4), (4, 5)])
def test_both_halves_integrate_the_polynomial_through_their_answers(orders, tau, process):
    """Predictor of order p: the last p answers. Corrector of order q: its own end and q - 1.

    The rows of steps 1, 2, ... come in pairs: the correction of the step before, which asks the
    model, and the next prediction, which does not.
    """
    predictor, corrector = orders
    sigmas = SIGMAS[process.name]
    snr = [process.log_snr(sigma) for sigma in sigmas]
    options = dict(tau=tau, predictor_order=predictor, corrector_order=corrector, **ALWAYS)
    rows = plan("sa_solver", sigmas, process, **options).rows
    asked = [k for k, row in enumerate(rows) if row.calls]  # by step
    assert len(rows) == 2 * len(asked) - 1

    def check(row, step, newest, order):
        used = [newest - i for i in range(min(order, newest + 1))]
        exact = adams([snr[i] for i in used], snr[step], snr[step + 1],
                      process.alpha(sigmas[step + 1]), tau**2)  # fmt: skip
        assert [asked[i] for i in used] == sorted(row.d, reverse=True)
        found = [row.d[asked[i]] for i in used]
        assert found == pytest.approx(exact, rel=1e-8, abs=1e-11)

    for row in rows:
        if row.calls and row.step:
            check(row, row.step - 1, row.step, corrector)
        else:
            check(row, row.step, row.step, predictor)


def test_the_papers_short_weights_of_two_answers():
    """Appendix D: the slope through two answers weighs half of (1 + tau^2) h, not phi_2 of it."""
    sigmas, tau = SIGMAS["VE"], 0.8
    rows = plan("sa_solver", sigmas, VE, tau=tau, predictor_order=2, corrector_order=2,
                simple_order_2=True, **ALWAYS).rows  # fmt: skip
    snr = [VE.log_snr(sigma) for sigma in sigmas]
    h, before = snr[2] - snr[1], snr[1] - snr[0]
    total = -math.expm1(-(1 + tau**2) * h)
    half = 0.5 * (1 + tau**2) * h
    # Row 0 predicts step 0, row 1 corrects it and row 2 predicts step 1, which row 3 corrects.
    older = -half * h / before
    assert rows[2].d == {1: pytest.approx(total - older), 0: pytest.approx(older)}
    assert rows[3].d == {3: pytest.approx(half), 1: pytest.approx(total - half)}


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("name", ["sa_solver", "sa_solver_pece"])
def test_a_correction_takes_its_step_again_with_the_same_noise(name, process):
    rows = plan(name, SIGMAS[process.name], process, **ALWAYS).rows
    predictions = {row.step: row for row in rows if row.sigma_next < row.sigma}
    corrections = [row for row in rows if row.sigma_next == row.sigma]
    assert len(corrections) == len(predictions) - 1
    for row in corrections:
        step = predictions[row.step - 1]
        assert row.noise == step.noise and row.noise and row.x == step.x


def test_orders_fall_towards_zero():
    """As in the host: the last predictions and corrections have no more answers than steps left."""
    sigmas = (*SIGMAS["VE"][:-1], 0.0)
    rows = plan("sa_solver", sigmas, VE).rows
    assert [len(row.d) for row in rows if row.sigma_next < row.sigma] == [1, 2, 3, 3, 2, 1, 1]
    assert [len(row.d) for row in rows if row.sigma_next == row.sigma] == [2, 3, 4, 3, 2]
    assert rows[-1].x == {} and rows[-1].d == {len(rows) - 1: 1.0}
    again = plan("sa_solver_pece", sigmas, VE).rows
    assert [len(row.d) for row in again if row.sigma_next == row.sigma] == [2, 3, 4, 3, 2, 1]
    assert all(row.calls for row in again)


def test_the_window_is_the_middle_of_sds_training_time():
    """The paper's 0.2 to 0.8 of the time: sigma there, by the model's own clock."""
    options = samplers.get("sa_solver").options
    spec = schedules.ModelSpec.discrete()
    for time, sigma in ((799.2, options.tau_start), (199.8, options.tau_end)):
        assert float(spec.sigma(np.array([time]))[0]) == pytest.approx(sigma, abs=1e-3)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_noise_comes_in_the_window_and_in_the_amount_of_tau(process):
    """A step that ends inside the window keeps (s'/s)^(1 + tau^2) of x, another one s'/s."""
    sigmas = LEVELS[process.name]
    tau, window = 0.7, {"tau_start": 4.0, "tau_end": 0.3}
    table = plan("sa_solver", sigmas, process, tau=tau, **window)
    ratios = [sigma / process.alpha(sigma) for sigma in sigmas]
    kept, noisy = process.alpha(sigmas[-1]) / process.alpha(sigmas[0]), set()
    for step, (s, s_next) in enumerate(zip(ratios, ratios[1:])):
        inside = 0.3 <= s_next <= 4.0
        kept *= (s_next / s) ** (1 + tau**2 * inside)
        if inside:
            noisy.add(step)
    assert 0 < len(noisy) < len(sigmas) - 1
    predictions = [row for row in table.rows if row.sigma_next < row.sigma]
    assert {row.step for row in predictions if row.noise} == noisy
    assert carried(table) == pytest.approx(kept, rel=1e-12)
    assert not plan("sa_solver", sigmas, process, tau=0.0, **window).stochastic


@pytest.mark.parametrize("tau", [0.0, 1.0])
@pytest.mark.parametrize("name", ["sa_solver", "sa_solver_pece"])
def test_no_polynomial_passes_through_a_flow_start(name, tau):
    """Log-SNR is minus infinity at sigma 1: that answer is used alone or not at all."""
    table = plan(name, (1.0, 0.9, 0.7, 0.5, 0.2, 0.1), FLOW, tau=tau, **ALWAYS)
    alone = [row for row in table.rows if 0 in row.d]
    assert alone and all(set(row.d) == {0} or row.step == 1 for row in alone)
    for row in table.rows:
        assert 0 not in row.d or len(row.d) == 1
