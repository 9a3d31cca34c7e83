"""Exponential multistep methods: weights by quadrature, closed forms, order on exact history."""

import math

import numpy as np
import pytest
import torch
from problems import PROCESSES, VARIANCE
from quadratures import integral, lagrange
from stride import samplers
from stride.samplers import FLOW, VE

UNEVEN = {
    "VE": (9.0, 5.0, 3.5, 1.2, 0.9, 0.2, 0.0), "FLOW": (0.95, 0.8, 0.72, 0.4, 0.31, 0.05, 0.0),
}


def weight(times, j, h, sign):
    """The integral of exp(sign (h - s)) times the polynomial of times[j], over 0 <= s <= h."""
    return integral(lambda s: np.exp(sign * (h - s)) * lagrange(times, j, s), 0, h)


def plan(name, process, sigmas=None, **options):
    return samplers.get(name).plan(sigmas or UNEVEN[process.name], process, **options)


def clock(sigmas, process, k, n):
    """Log-SNR of the newest n levels up to step k, counted from that of step k."""
    return [process.log_snr(sigmas[j]) - process.log_snr(sigmas[k]) for j in range(k, k - n, -1)]


# Weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("name, order", [("res_multistep", 2), ("dpmpp_3m", 2), ("dpmpp_3m", 3)])
def test_data_form_integrates_the_interpolated_answers(name, order, process):
    """x' = sigma'/sigma x + alpha' integral exp(s - h) P(s) ds, P through the latest answers."""
    sigmas = UNEVEN[process.name]
    for k, row in enumerate(plan(name, process, order=order).rows[:-1]):
        n = min(order, k + 1)
        times = clock(sigmas, process, k, n)
        h = process.log_snr(sigmas[k + 1]) - process.log_snr(sigmas[k])
        wanted = {k - j: process.alpha(sigmas[k + 1]) * weight(times, j, h, -1) for j in range(n)}
        assert row.d == pytest.approx(wanted, rel=1e-9)
        assert row.x == pytest.approx({k: sigmas[k + 1] / sigmas[k]})


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_noise_form_integrates_the_interpolated_noise(order, process):
    """x' = alpha'/alpha x - sigma' integral exp(h - s) P(s) ds, P through the latest eps."""
    sigmas = UNEVEN[process.name]
    rows = plan("dpm_solver", process, order=order, solver_type="heun").rows[:-1]
    for k, row in enumerate(rows):
        n = min(order, k + 1)
        times = clock(sigmas, process, k, n)
        h = process.log_snr(sigmas[k + 1]) - process.log_snr(sigmas[k])
        eps = {k - j: -sigmas[k + 1] * weight(times, j, h, 1) for j in range(n)}
        # eps = (x - alpha D) / sigma
        x = {j: w / sigmas[j] for j, w in eps.items()}
        d = {j: -w * process.alpha(sigmas[j]) / sigmas[j] for j, w in eps.items()}
        x[k] += process.alpha(sigmas[k + 1]) / process.alpha(sigmas[k])
        assert row.x == pytest.approx(x, rel=1e-8, abs=1e-12)
        assert row.d == pytest.approx(d, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_dpmpp_2m_is_algorithm_2(process):
    """Lu et al. 2022: x' = sigma'/sigma x - alpha' (e^-h - 1) ((1 + 1/2r) D_k - 1/2r D_{k-1})."""
    sigmas = UNEVEN[process.name]
    for k, row in enumerate(plan("dpmpp_2m", process).rows[:-1]):
        h = process.log_snr(sigmas[k + 1]) - process.log_snr(sigmas[k])
        whole = -process.alpha(sigmas[k + 1]) * math.expm1(-h)
        wanted = {0: whole}
        if k:
            r = (process.log_snr(sigmas[k]) - process.log_snr(sigmas[k - 1])) / h
            wanted = {k: whole * (1 + 1 / (2 * r)), k - 1: -whole / (2 * r)}
        assert row.d == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_dpm_solver_of_order_1_is_dpmpp_of_order_1_and_ddim(process):
    """Both forms are exact in the linear part, so with one answer they are the same step."""
    both = [plan(name, process, order=1).rows for name in ("dpm_solver", "dpmpp_2m")]
    for rows in zip(*both, plan("ddim", process).rows):
        for row in rows[1:]:
            assert row.x == pytest.approx(rows[0].x) and row.d == pytest.approx(rows[0].d)


# Order ----------------------------------------------------------------------------------------


def defect(row, sigmas, process):
    """What one step adds to the error when its history is exact, for Gaussian data."""
    def scale(sigma):
        return np.sqrt(process.alpha(sigma) ** 2 * VARIANCE.numpy() + sigma**2)

    def answer(sigma):  # D on the trajectory that starts at scale(sigmas[0])
        return process.alpha(sigma) * VARIANCE.numpy() / scale(sigma)

    found = sum(w * scale(sigmas[j]) for j, w in row.x.items())
    found = found + sum(w * answer(sigmas[j]) for j, w in row.d.items())
    return float(np.abs(found - scale(sigmas[row.step + 1])).max())


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize(
    "name, options, order",
    [
        ("dpmpp_2m", {}, 2), ("dpmpp_2m", {"solver_type": "heun"}, 2), ("res_multistep", {}, 2),
        ("dpmpp_3m", {}, 3), ("dpmpp_3m", {"third": "published"}, 2),
        ("dpm_solver", {}, 2), ("dpm_solver", {"solver_type": "heun"}, 2),
        ("dpm_solver", {"order": 3, "solver_type": "heun"}, 3),
        ("dpm_solver", {"order": 3, "solver_type": "heun", "third": "published"}, 2),
        ("dpmpp_2m", {"order": 1}, 1),
    ],
)
def test_order_on_exact_history(name, options, order, process):
    """A step of order p leaves h^(p+1). The published third-order weights leave h^3, not h^4."""
    top, bottom = {"VE": (8.0, 0.3), "FLOW": (0.9, 0.2)}[process.name]
    defects = []
    for n in (100, 200):  # uneven, and alike at both counts
        sigmas = tuple(top * (bottom / top) ** ((i / n) ** 1.3) for i in range(n + 1))
        defects.append(defect(plan(name, process, sigmas, **options).rows[n // 2], sigmas, process))
    assert math.log2(defects[0] / defects[1]) == pytest.approx(order + 1, abs=0.15)


# Ends of the run ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_3m", "res_multistep", "dpm_solver"])
def test_a_flow_start_is_not_interpolated(name):
    """At sigma 1 log-SNR is minus infinity: that answer is used once, alone."""
    rows = plan(name, FLOW, (1.0, 0.9, 0.7, 0.4, 0.1, 0.0)).rows
    assert rows[0].d == pytest.approx({0: 0.1}) and rows[0].x == pytest.approx({0: 0.9})
    assert set(rows[1].d) == {1} and all(0 not in row.d for row in rows[1:])


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_3m", "res_multistep", "dpm_solver"])
def test_sigma_0_is_the_newest_answer(name, process):
    last = plan(name, process).rows[-1]
    assert {j: w for j, w in last.x.items() if abs(w) > 1e-12} == {}
    assert {j: w for j, w in last.d.items() if abs(w) > 1e-12} == pytest.approx({last.step: 1.0})


def test_an_ancestral_step_with_eta_0_is_the_plain_step():
    assert plan("res_multistep_ancestral", VE, eta=0.0) == plan("res_multistep", VE)


@pytest.mark.parametrize("name", ["dpmpp_2m", "res_multistep", "dpm_solver"])
def test_cfg_pp_is_the_clean_part_from_one_answer_and_the_noise_from_the_other(name):
    """With U = D a run is the plain one; with another U each latent read moves by alpha (D - U)."""
    sigmas, x = (5.0, 2.0, 0.8), torch.tensor([[1.0, -2.0, 0.5, 3.0]], dtype=torch.float64)
    d, u = torch.tanh(x), 0.2 * x

    def guided(_, sigma):
        return d, u

    found = samplers.sample(name, guided, x, sigmas, cfg_pp=True, order=1)
    wanted = x
    for a, b in zip(sigmas, sigmas[1:]):
        wanted = d + b * (wanted - u) / a
    assert torch.allclose(found, wanted, rtol=1e-12)
