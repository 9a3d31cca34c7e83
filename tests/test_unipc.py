"""UniPC and DC-Solver against a plain recursion written from the papers' formulas."""

import math

import numpy as np
import pytest
import torch
from problems import PROCESSES, even_in_log, mixture, runge_kutta, start
from quadratures import lagrange, phi
from stride import samplers
from stride.samplers import FLOW, VE

LISTS = {"VE": (9.0, 5.0, 3.5, 1.2, 0.9, 0.4, 0.1), "FLOW": (0.95, 0.8, 0.72, 0.4, 0.31, 0.2, 0.05)}


def zhao(r, h, variant):
    """a with R a = b / B(h): R has rows r^(n-1), b_n = n! z phi_{n+1}(z), z = -h (app. F)."""
    r, z = np.array(r), -h
    big = z if variant == "bh1" else math.expm1(z)
    if len(r) == 1:
        return np.array([0.5]), big
    b = [math.factorial(n) * z * phi(n + 1, z) for n in range(1, len(r) + 1)]
    return np.linalg.solve(np.vander(r, increasing=True).T, np.array(b) / big), big


def step(x, sigma, sigma_next, process, answers, times, variant):
    """One predictor or corrector: answers and their log-SNR, the first one at the step's start."""
    start = process.log_snr(sigma)
    h = process.log_snr(sigma_next) - start
    out = sigma_next / sigma * x - process.alpha(sigma_next) * math.expm1(-h) * answers[0]
    if len(answers) > 1:
        r = [(t - start) / h for t in times[1:]]
        a, big = zhao(r, h, variant)
        for weight, ratio, answer in zip(a, r, answers[1:]):
            out = out - process.alpha(sigma_next) * big * weight * (answer - answers[0]) / ratio
    return out


def unipc(denoise, x, sigmas, process, order, variant, ratio=1.0):
    """Algorithms 1 and 2 of arXiv:2302.04867; ratio: arXiv:2409.03755, one for all steps."""
    answers, times, before = [], [], None
    for sigma, sigma_next in zip(sigmas, sigmas[1:]):
        here = process.log_snr(sigma)
        newest = denoise(x, torch.full((len(x),), sigma, dtype=torch.float64))
        if before is not None:
            x = step(before[0], before[1], sigma, process, [*before[2], newest],
                     [*before[3], here], variant)
        answers, times = [newest, *answers], [here, *times]
        if ratio != 1.0 and len(answers) > 2:
            read = ratio * times[0] + (1 - ratio) * times[1]
            nodes = times[:3]
            answers[0] = sum(answers[j] * lagrange(nodes, j, read) for j in range(3))
        used = min(order, len(answers))
        before = (x, sigma, answers[:used], times[:used])
        x = step(x, sigma, sigma_next, process, answers[:used], times[:used], variant)
    return x


def latent(process):
    return start(LISTS[process.name][0], 2)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("name, variant", [("uni_pc", "bh1"), ("uni_pc_bh2", "bh2")])
def test_unipc_is_the_papers_recursion(name, variant, order, process):
    sigmas, x = LISTS[process.name], latent(process)
    denoise = mixture(process)
    found = samplers.sample(name, denoise, x, sigmas, process, order=order)
    wanted = unipc(denoise, x, sigmas, process, order, variant)
    assert torch.allclose(found, wanted, rtol=1e-6, atol=1e-6)  # the model sees float32 sigmas


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.2])
def test_dc_solver_reads_the_newest_answer_elsewhere(ratio, process):
    sigmas, x = LISTS[process.name], latent(process)
    denoise = mixture(process)
    found = samplers.sample("dc_solver", denoise, x, sigmas, process, ratio=ratio)
    wanted = unipc(denoise, x, sigmas, process, 3, "bh1", ratio)
    assert torch.allclose(found, wanted, rtol=1e-6, atol=1e-6)
    plain = samplers.sample("uni_pc", denoise, x, sigmas, process)
    assert torch.allclose(found, plain) == (ratio == 1.0)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_corrector_costs_no_call_and_raises_the_order(order):
    """Without it UniP-p has order p (a start of order 1 caps it at 2); with it, one more."""
    denoise, slope = mixture(VE), {}
    x, top, bottom = start(1.0, 2), 1.0, 0.1
    exact = runge_kutta(denoise, x, top, bottom, 1000)
    for corrector in (False, True):
        errors = []
        for n in (120, 240):
            sigmas, options = even_in_log(top, bottom, n), dict(order=order, corrector=corrector)
            assert samplers.get("uni_pc").plan(sigmas, VE, **options).calls == n
            found = samplers.sample("uni_pc", denoise, x, sigmas, **options)
            errors.append(float((found - exact).abs().max()))
        slope[corrector] = math.log2(errors[0] / errors[1])
    assert slope[False] == pytest.approx(min(order, 2), abs=0.12)
    assert slope[True] == pytest.approx(min(order + 1, 3), abs=0.12)


@pytest.mark.parametrize("name", ["uni_pc", "uni_pc_bh2", "dc_solver"])
@pytest.mark.parametrize(
    "end, flag, counts",
    [(0.0, "zero", [1, 2, 3, 3, 2, 1]), (0.0, "always", [1, 2, 3, 3, 2, 1]),
     (0.0, "never", [1, 2, 3, 3, 3, 1]), (0.1, "zero", [1, 2, 3, 3, 3, 3]),
     (0.1, "always", [1, 2, 3, 3, 2, 1]), (0.1, "never", [1, 2, 3, 3, 3, 3])],
)
def test_the_order_falls_towards_the_end(name, end, flag, counts):
    """One, two, three answers, then two and one where lower_order_final asks for it."""
    sigmas = (9.0, 5.0, 3.5, 1.2, 0.9, 0.4, end)
    table = samplers.get(name).plan(sigmas, VE, lower_order_final=flag, corrector=False)
    assert [len(row.d) for row in table.rows] == counts


@pytest.mark.parametrize("name", ["uni_pc", "uni_pc_bh2", "dc_solver"])
def test_a_flow_start_is_neither_interpolated_nor_corrected(name):
    rows = samplers.get(name).plan((1.0, 0.9, 0.7, 0.4, 0.1, 0.0), FLOW).rows
    assert rows[0].d == pytest.approx({0: 0.1}) and rows[1].calls
    assert all(0 not in row.d for row in rows[1:])
