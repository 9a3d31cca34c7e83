"""Single-step exponential integrators and DPM-Solver-fast against their theory.

The order conditions are those of Hochbruck and Ostermann 2005, section 5.1, with phi functions
by quadrature; the tableaus are read back from the rows that a run follows.
"""

import math

import numpy as np
import pytest
import torch
from problems import (
    PROCESSES,
    even_in_log,
    gaussian,
    gaussian_flow,
    mixture,
    runge_kutta,
    start,
)
from quadratures import phi
from stride import samplers
from stride.samplers import FLOW, VE, KeyedNoise, PathNoise

# The second call's weight is right for any h (phi_2), or as h shrinks (phi_1).
STIFF = ("res_2s", "res_3s", "dpmpp_3s", "seeds_3", "exp_heun_2_x0", "exp_heun_2_x0_sde")
CLASSICAL = ("dpmpp_2s", "dpmpp_2s_ancestral", "dpmpp_sde", "seeds_2")
THIRDS = (0.0, 1 / 3, 2 / 3)
THREE = {"res_3s": (0.0, 1 / 2, 1.0), "dpmpp_3s": THIRDS, "seeds_3": THIRDS}
TWO = {name: (0.0, 1.0 if "heun" in name else 0.5) for name in (*STIFF, *CLASSICAL)}
NODES = {**TWO, **THREE}


def level(process, log_snr):
    return math.exp(-log_snr) if process is VE else 1 / (1 + math.exp(log_snr))


def log_snr(process, sigma):
    return -math.log(sigma) if process is VE else math.log((1 - sigma) / sigma)


def tableau(name, process, h, start=-1.0, **options):
    """Nodes, stage weights and result weights of one ODE step of length h, as in the paper."""
    sigmas = (level(process, start), level(process, start + h))
    rows = samplers.get(name).plan(sigmas, process, **{"eta": 0.0, **options}).rows
    c = [(log_snr(process, row.sigma) - start) / h for row in rows]
    weights = [[row.d.get(j, 0.0) / (process.alpha(row.sigma_next) * h) for j in range(len(rows))]
               for row in rows]
    return np.array(c), np.array([[0.0] * len(rows), *weights[:-1]]), np.array(weights[-1])


CASES = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
STEPS = pytest.mark.parametrize("h", [0.05, 1.0, 5.0])


@STEPS
@CASES
@pytest.mark.parametrize("name", NODES)
def test_first_order_conditions(name, process, h):
    """sum_j b_j = phi_1(z) and sum_j a_ij = c_i phi_1(c_i z), with z = -h, at the known nodes."""
    c, a, b = tableau(name, process, h)
    assert c == pytest.approx(NODES[name], abs=1e-12)
    assert b.sum() == pytest.approx(phi(1, -h), rel=1e-10)
    assert a.sum(1) == pytest.approx([node * phi(1, -node * h) for node in c], rel=1e-10)


@STEPS
@CASES
@pytest.mark.parametrize("name", STIFF)
def test_second_order_condition_for_any_step(name, process, h):
    c, _, b = tableau(name, process, h)
    assert b @ c == pytest.approx(phi(2, -h), rel=1e-9)


@STEPS
@CASES
@pytest.mark.parametrize("name", CLASSICAL)
def test_second_order_condition_of_dpm_solver_holds_as_the_step_shrinks(name, process, h):
    """phi_1 / 2 stands for phi_2: their ratio is 1 - h/6 for small h, 0.62 at h = 5."""
    c, _, b = tableau(name, process, h)
    assert b @ c == pytest.approx(phi(1, -h) / 2, rel=1e-9)
    assert b @ c == pytest.approx(phi(2, -h), rel=h / 6)


@pytest.mark.parametrize("r", [0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("solver_type, total", [("phi_1", lambda z: phi(1, z) / 2),
                                                ("phi_2", lambda z: phi(2, z))])
def test_the_node_and_the_weight_are_options(solver_type, total, r):
    c, _, b = tableau("dpmpp_2s", VE, 2.0, r=r, solver_type=solver_type)
    assert c[1] == pytest.approx(r) and b @ c == pytest.approx(total(-2.0))


@CASES
@pytest.mark.parametrize("name", THREE)
def test_third_order_conditions(name, process):
    """The coupling of the stages for any step, sum b_i c_i^2 = 2 phi_3 as the step shrinks.

    That weaker form of the last condition is enough for order 3 (theorem 4.7 of the paper).
    """
    for h in (0.05, 1.0, 5.0):
        c, a, b = tableau(name, process, h)
        defects = a @ c - c**2 * [phi(2, -node * h) for node in c]
        assert b @ defects == pytest.approx(0.0, abs=1e-10)
    defects = []
    for h in (0.02, 0.01):
        c, _, b = tableau(name, process, h)
        defects.append(abs(b @ c**2 - 2 * phi(3, -h)))
    assert defects[1] < 1e-3 and defects[0] / defects[1] == pytest.approx(2, abs=0.05)


def linear(slope):
    """D = 1 + slope lambda, whatever x is, on VE."""
    return lambda x, sigma: (1.0 - slope * sigma.log())[:, None].expand_as(x)


@pytest.mark.parametrize("name", sorted(NODES))
@pytest.mark.parametrize("steps", [1, 3])
def test_exact_for_a_linear_answer_where_claimed(name, steps):
    """The ODE x' = D - x in lambda has x = D - D' + C exp(-lambda): steps of 4 and more."""
    sigmas = [math.exp(6.0 - 12.0 * i / steps) for i in range(steps + 1)]
    x = torch.tensor([[300.0, -5.0]], dtype=torch.float64)
    exact = (1 + 0.5 * 6.0 - 0.5) + (x - (1 - 0.5 * 6.0 - 0.5)) * math.exp(-12.0)
    found = samplers.sample(name, linear(0.5), x, sigmas, VE, eta=0.0)
    assert torch.allclose(found, exact, rtol=1e-10) == (name in STIFF)


def test_dpm_solver_2s_in_closed_form():
    """Lu et al. 2022, arXiv:2211.01095, algorithm 1 with r = 1/2: only the second answer stays."""
    a, b = 3.0, 0.7
    first, second = samplers.get("dpmpp_2s").plan((a, b), VE).rows
    middle = math.sqrt(a * b)
    assert first.sigma_next == second.sigma == pytest.approx(middle)
    assert (first.x[0], first.d[0]) == pytest.approx((middle / a, 1 - middle / a))
    assert (second.x[0], second.d[1]) == pytest.approx((b / a, 1 - b / a))
    assert second.d[0] == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("name", sorted(NODES))
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_from_a_flow_start_one_euler_step(name, eta):
    """Log-SNR is minus infinity at sigma 1: one call, and the marginal at sigma' all the same."""
    rows = samplers.get(name).plan((1.0, 0.8, 0.3), FLOW, eta=eta).rows
    assert [row.step for row in rows] == [0] + [1] * len(NODES[name])
    kept = rows[0].x[0]
    assert rows[0].d[0] == pytest.approx(0.2)
    assert math.hypot(kept, *(draw.weight for draw in rows[0].noise)) == pytest.approx(0.8)
    assert (kept == pytest.approx(0.8)) == (eta == 0)


# Noise -------------------------------------------------------------------------------------


@CASES
@pytest.mark.parametrize("eta", [0.4, 1.0])
@pytest.mark.parametrize("name", ["dpmpp_2s", "seeds_2", "seeds_3", "res_3s", "exp_heun_2_x0_sde"])
def test_all_stages_see_one_path(name, eta, process):
    """With D = 0 the SDE is linear: its exact solution on the same noise goes through all stages.

    From level to level that is x' = sigma'/sigma exp(-eta h) x + sigma' sqrt(1 - exp(-2 eta h)) z.
    """
    sigmas, seen = (0.9, 0.3, 0.1), []
    noise = KeyedNoise(5, range(2))

    def nothing(x, sigma):
        seen.append((float(sigma[0]), x.clone()))
        return torch.zeros_like(x)

    first = start(1.0, 2)
    end = samplers.run(
        lambda s, p: samplers.get(name).plan(s, p, eta=eta), nothing, first, sigmas, process,
        noise=noise,
    ).x
    steps = zip([*seen, (sigmas[-1], end)], [*seen[1:], (sigmas[-1], end)])
    x, count = first, 0
    for (a, _), (b, reached) in steps:
        if b < a:
            h = log_snr(process, b) - log_snr(process, a)
            std = b * math.sqrt(-math.expm1(-2 * eta * h))
            x = b / a * math.exp(-eta * h) * x + std * noise(x, samplers.Draw(std, a, b))
            count += 1
        assert torch.allclose(reached, x, rtol=1e-10)
    assert count >= 2


@CASES
def test_dpmpp_sde_draws_from_the_start_of_the_step(process):
    """Its two noises overlap, each with the DDIM variance; at eta 1 that of the SDE."""
    a, b = 0.8, 0.2
    first, second = samplers.get("dpmpp_sde").plan((a, b), process).rows
    assert [(d.start, d.end) for row in (first, second) for d in row.noise] == [
        (a, first.sigma_next), (a, b)
    ]
    h = log_snr(process, b) - log_snr(process, a)
    assert second.x[0] == pytest.approx(b / a * math.exp(-h))
    assert second.noise[0].weight == pytest.approx(b * math.sqrt(1 - math.exp(-2 * h)))
    # The second answer's weight is that of a step as long as the deterministic part, 2 h.
    assert second.d[1] == pytest.approx(process.alpha(b) * (1 - math.exp(-2 * h)))


@pytest.mark.slow
@CASES
@pytest.mark.parametrize("name", ["dpmpp_2s_ancestral", "dpmpp_sde", "seeds_2", "seeds_3"])
def test_noise_converges_on_one_path(name, process):
    """On one Brownian path more steps end ever nearer to each other."""
    top, bottom = 0.9, 0.1
    x, ends = start(top, 8), []
    for n in (4, 16, 64):
        sigmas = even_in_log(top, bottom, n)
        ends.append(samplers.run(
            lambda s, p: samplers.get(name).plan(s, p), gaussian(process), x, sigmas, process,
            noise=PathNoise(1, range(8)),
        ).x)
    coarse, fine = (float((end - ends[2]).square().mean().sqrt()) for end in ends[:2])
    assert fine < coarse / 2


# DPM-Solver-fast -----------------------------------------------------------------------------

PUBLISHED = {  # Lu et al. 2022, arXiv:2206.00927: what a number of calls is spent on
    1: [1], 2: [2], 3: [2, 1], 4: [3, 1], 5: [3, 2], 6: [3, 2, 1], 7: [3, 3, 1], 8: [3, 3, 2],
    9: [3, 3, 2, 1], 10: [3, 3, 3, 1], 12: [3, 3, 3, 2, 1], 15: [3, 3, 3, 3, 2, 1],
    20: [3, 3, 3, 3, 3, 3, 2],
}


def even(n, top=3.0, bottom=0.3):
    return even_in_log(top, bottom, n)


def block_orders(sigmas, process=VE, **options):
    """The blocks by the rows themselves: those of one block all begin from its first x."""
    rows = samplers.get("dpm_fast").plan(sigmas, process, **options).rows
    assert len(rows) == len(sigmas) - 1 and all(row.calls for row in rows)
    starts = [min(row.x) for row in rows]
    return [starts.count(k) for k in sorted(set(starts))]


@pytest.mark.parametrize("steps", PUBLISHED)
def test_blocks_are_the_papers(steps):
    assert block_orders(even(steps)) == PUBLISHED[steps]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 20])
def test_infinite_steps_are_blocks_by_themselves(steps):
    whole = (*even(steps, 0.9, 0.3)[:-1], 0.0)
    zero = block_orders(whole)
    assert sum(zero) == steps and zero[-1] == 1
    *threes, last = PUBLISHED[steps]
    assert zero == threes + [1] * last
    assert block_orders((1.0, *whole), FLOW) == [1, *zero]


def test_a_long_block_is_taken_in_single_steps():
    """Lengths 3.3 and 2.2 in log-SNR; with none allowed the sampler is Euler's."""
    sigmas = even(5, 10.0, 10.0 * math.exp(-5.5))
    assert block_orders(sigmas) == [1, 1, 1, 2]
    assert block_orders(sigmas, longest=4.0) == [3, 2]
    for process in (VE, FLOW):
        levels, x = even(7, 0.9, 0.1), torch.full((1, 3), 0.7, dtype=torch.float64)
        ours = samplers.sample("dpm_fast", mixture(process), x, levels, process, longest=0.0)
        assert torch.allclose(ours, samplers.sample("euler", mixture(process), x, levels, process))


def test_the_third_order_block_in_closed_form():
    """Lu et al. 2022, arXiv:2206.00927, algorithm 2 (r_1 = 1/3, r_2 = 2/3), in eps."""
    sigmas, denoise = even(4), mixture(VE)
    x = torch.tensor([[2.0, -1.0, 0.4]], dtype=torch.float64)

    def eps(x, sigma):
        return (x - denoise(x, torch.tensor([sigma], dtype=torch.float64))) / sigma

    s0, s1, s2, s3 = sigmas[:4]
    h, r1, r2 = math.log(s0 / s3), 1 / 3, 2 / 3
    e0 = eps(x, s0)
    u = x - s1 * math.expm1(r1 * h) * e0
    d1 = eps(u, s1) - e0
    u = x - s2 * math.expm1(r2 * h) * e0
    u = u - s2 * r2 / r1 * (math.expm1(r2 * h) / (r2 * h) - 1) * d1
    d2 = eps(u, s2) - e0
    exact = x - s3 * math.expm1(h) * e0 - s3 / r2 * (math.expm1(h) / h - 1) * d2
    assert torch.allclose(after_block(x, sigmas, VE, denoise), exact, rtol=1e-12)


def after_block(x, sigmas, process, denoise):
    """x after the first three of four steps: one block of order 3."""
    return samplers.run(
        lambda s, p: samplers.get("dpm_fast").plan(s, p), denoise, x, sigmas, process, until=3,
        noise=KeyedNoise(0, range(len(x))),
    ).x


@CASES
@pytest.mark.parametrize("middle, order", [(2 / 3, 3), (0.5, 2)])
def test_order_of_one_block(process, middle, order):
    """Order 3 where the third node is at 2/3 of the block's log-SNR, 2 elsewhere."""
    x, denoise = torch.tensor([[0.5, -0.3, 0.8]], dtype=torch.float64), mixture(process)
    defects = []
    for h in (0.04, 0.02):
        start = log_snr(process, 0.6)
        sigmas = [0.6, *(level(process, start + c * h) for c in (1 / 3, middle, 1.0, 1.3))]
        exact = runge_kutta(denoise, x, sigmas[0], sigmas[3], 200)
        defects.append(float((after_block(x, sigmas, process, denoise) - exact).abs().max()))
    assert math.log2(defects[0] / defects[1]) == pytest.approx(order + 1, abs=0.15)


def test_dpm_fast_is_more_accurate_than_euler_at_the_same_calls():
    x = torch.tensor([[3.0, -2.0, 4.0, 1.0]], dtype=torch.float64)
    for process, top in ((VE, 3.0), (FLOW, 0.9)):
        exact = gaussian_flow(x, top, 0.1, process)
        error = {
            name: (samplers.sample(name, gaussian(process), x, even(12, top, 0.1), process) - exact)
            .abs().max() for name in ("dpm_fast", "euler")
        }
        assert error["dpm_fast"] < error["euler"] / 5
