"""Runge-Kutta methods: Butcher's order conditions, churn, and the methods that pick their nodes."""

import math
from functools import cache
from itertools import combinations_with_replacement

import pytest
import torch
from problems import PROCESSES, VARIANCE, gaussian, mixture, start
from stride import samplers, schedules
from stride.samplers import FLOW, VE, Draw, KeyedNoise, run
from stride.samplers import runge_kutta as rk

# Order conditions ------------------------------------------------------------------------------
# A rooted tree is the sorted tuple of the trees on its root (Hairer, Norsett, Wanner 1993, II.2).


@cache
def trees(order):
    """All rooted trees with ``order`` nodes."""
    return sorted(forests(order - 1))


def forests(nodes, largest=None):
    """Multisets of trees, as sorted tuples, with ``nodes`` nodes in all."""
    if nodes == 0:
        return {()}
    found = set()
    for size in range(1, min(nodes, largest or nodes) + 1):
        for count in range(1, nodes // size + 1):
            for rest in forests(nodes - size * count, size - 1) if size > 1 else (
                {()} if nodes == size * count else set()
            ):
                for some in combinations_with_replacement(trees(size), count):
                    found.add(tuple(sorted(rest + some)))
    return found


def size(tree):
    return 1 + sum(map(size, tree))


def density(tree):
    return size(tree) * math.prod(map(density, tree))


def stage_weights(tree, a):
    """For each stage the product, over the root's branches, of sum_j a_ij (branch's weight)_j."""
    out = [1.0] * (len(a) + 1)
    for branch in tree:
        inner = stage_weights(branch, a)
        sums = [0.0, *(sum(w * v for w, v in zip(row, inner)) for row in a)]
        out = [o * s for o, s in zip(out, sums)]
    return out


def defects(a, b, order):
    """By how much each condition of exactly this order is missed."""
    return [
        abs(sum(w * v for w, v in zip(b, stage_weights(tree, a))) - 1.0 / density(tree))
        for tree in trees(order)
    ]


def order_of(a, b):
    order = 0
    while max(defects(a, b, order + 1)) < 1e-14:
        order += 1
    return order


def test_there_are_17_conditions_up_to_order_5():
    assert [len(trees(n)) for n in range(1, 7)] == [1, 1, 2, 4, 9, 20]
    assert all(size(tree) == n for n in range(1, 7) for tree in trees(n))


ORDERS = {
    "EULER": (1, 1), "HEUN_EULER": (2, 2), "MIDPOINT": (2, 2), "RALSTON": (2, 2),
    "HEUN_3": (3, 3), "SSP_3": (3, 3), "CLASSICAL_4": (4, 4), "BOGACKI_SHAMPINE": (3, 3),
    "DORMAND_PRINCE": (5, 6),
}  # order, stages spent by a step of fixed size


@pytest.mark.parametrize("name", ORDERS)
def test_a_tableau_has_its_order_and_no_more(name):
    tableau = getattr(rk, name)
    assert (order_of(tableau.a, tableau.b), tableau.calls) == ORDERS[name]


@pytest.mark.parametrize(
    "name, order", [("HEUN_EULER", 1), ("BOGACKI_SHAMPINE", 2), ("DORMAND_PRINCE", 4)]
)
def test_embedded_weights_are_one_order_below(name, order):
    tableau = getattr(rk, name)
    assert order_of(tableau.a, tableau.embedded) == order


def test_published_error_weights():
    """b - embedded as printed in Hairer, Norsett, Wanner 1993, table II.5.2, and Shampine 1989."""
    for tableau, published in (
        (rk.BOGACKI_SHAMPINE, (-5 / 72, 1 / 12, 1 / 9, -1 / 8)),
        (rk.DORMAND_PRINCE, (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525,
                             -1 / 40)),
    ):
        found = [b - e for b, e in zip(tableau.b, tableau.embedded)]
        assert found == pytest.approx(list(published), abs=1e-15)
        assert tableau.a[-1] == tableau.b[:-1] and tableau.c[-1] == 1  # first same as last


def test_embedded_weights_are_checked():
    for bad in ((1.0,), (0.7, 0.4)):
        with pytest.raises(ValueError, match="embedded weights"):
            rk.Tableau((0.0, 1.0), ((1.0,),), (0.5, 0.5), bad)


@pytest.mark.parametrize(
    "name", [s.name for s in rk.SAMPLERS if s.name not in ("dpm_2", "dpm_2_ancestral", "heunpp2")]
)
def test_rows_integrate_like_the_textbook(name):
    """One step on a linear D equals the textbook recursion with slopes (x - D) / sigma."""
    tableau = {
        "heun": rk.HEUN_EULER, "midpoint": rk.MIDPOINT, "ralston": rk.RALSTON, "ssprk3": rk.SSP_3,
        "heun3": rk.HEUN_3, "rk4": rk.CLASSICAL_4, "bogacki_shampine": rk.BOGACKI_SHAMPINE,
        "dormand_prince": rk.DORMAND_PRINCE,
    }[name]
    sigma, end, x0 = 3.0, 1.7, 2.5

    def slope(x, s):
        return (x - (0.3 * x + 0.1 * s)) / s

    h, k = end - sigma, []
    for i in range(tableau.calls):
        inner = sum((w * k[j] for j, w in enumerate(tableau.a[i - 1])), 0.0) if i else 0.0
        k.append(slope(x0 + h * inner, sigma + tableau.c[i] * h))
    wanted = x0 + h * sum(w * s for w, s in zip(tableau.b, k))
    x = torch.full((1, 1), x0, dtype=torch.float64)
    found = samplers.sample(name, lambda x, s: 0.3 * x + 0.1 * s[:, None], x, (sigma, end))
    assert float(found) == pytest.approx(wanted, rel=1e-13)


# Methods that pick their nodes -----------------------------------------------------------------


def levels_asked(name, sigmas, process=VE, **options):
    rows = samplers.get(name).plan(sigmas, process, **options).rows
    return [row.sigma for row in rows if row.calls]


def test_dpm_2_asks_at_the_geometric_mean():
    assert levels_asked("dpm_2", (8.0, 2.0, 0.5, 0.0)) == pytest.approx([8, 4, 2, 1, 0.5])
    down = VE.split(8.0, 2.0, 1.0).down
    asked = levels_asked("dpm_2_ancestral", (8.0, 2.0, 0.0))
    assert asked == pytest.approx([8, math.sqrt(8 * down), 2])


def test_heunpp2_looks_ahead_and_falls_back():
    """Three nodes, then two before the last step, then one; also where the list ends above 0."""
    assert levels_asked("heunpp2", (8.0, 4.0, 2.0, 0.5, 0.0)) == pytest.approx(
        [8, 4, 2, 4, 2, 0.5, 2, 0.5, 0.5]
    )
    assert levels_asked("heunpp2", (8.0, 4.0, 2.0)) == pytest.approx([8, 4, 4])


def test_heunpp2_slopes_weigh_sigma_over_the_first_sigma():
    """Slopes of a constant data point are (x - c)/sigma; a model that is off by e at one node
    only moves x by that node's weight."""
    sigmas = (8.0, 4.0, 2.0, 1.0)
    rows = samplers.get("heunpp2").plan(sigmas, VE).rows
    h = 4.0 - 8.0
    found = [-rows[2].d[j] * s / h for j, s in enumerate((8.0, 4.0, 2.0))]
    assert found == pytest.approx([1 - 4 / 24 - 2 / 24, 4 / 24, 2 / 24])
    h = 2.0 - 4.0
    found = [-rows[4].d[3 + j] * s / h for j, s in enumerate((4.0, 2.0))]
    assert found == pytest.approx([1 - 2 / 16, 2 / 16])


@pytest.mark.parametrize("name", [s.name for s in rk.SAMPLERS])
def test_memory_is_that_of_the_stages(name):
    """Between two rows of a step at most x and D of the stages before are kept."""
    sampler = samplers.get(name)
    table = sampler.plan((8.0, 4.0, 2.0, 1.0, 0.0), VE)
    assert table.peak_memory <= 2 * (sampler.calls - 1)


# Churn -----------------------------------------------------------------------------------------

CHURN = {"s_churn": 6.0, "s_tmin": 0.2, "s_tmax": 5.0, "s_noise": 1.007}
CHURNED = [s.name for family in (samplers.euler, rk) for s in family.SAMPLERS
           if s.options.eta == 0 and not s.options.cfg_pp]


def karras_algorithm_2(denoise, x, sigmas, noise, second, s_churn, s_tmin, s_tmax, s_noise):
    """Karras et al. 2022, algorithm 2, line by line, with another second stage where asked."""
    n = len(sigmas) - 1
    for i in range(n):
        t = sigmas[i]
        gamma = min(s_churn / n, math.sqrt(2) - 1) if s_tmin <= t <= s_tmax else 0.0
        t_hat = t + gamma * t
        if gamma > 0:
            eps = s_noise * noise(x, Draw(1.0, t, t_hat))
            x = x + math.sqrt(t_hat**2 - t**2) * eps
        d = (x - denoise(x, torch.full((len(x),), t_hat))) / t_hat
        step = sigmas[i + 1] - t_hat
        after = x + step * d
        if sigmas[i + 1] != 0 and second == "heun":
            t_2 = sigmas[i + 1]
            d_2 = (after - denoise(after, torch.full((len(x),), t_2))) / t_2
            after = x + step * (d / 2 + d_2 / 2)
        elif sigmas[i + 1] != 0 and second == "dpm_2":
            t_2 = math.exp((math.log(t_hat) + math.log(sigmas[i + 1])) / 2)
            middle = x + (t_2 - t_hat) * d
            level = torch.full((len(x),), t_2, dtype=torch.float64)
            after = x + step * (middle - denoise(middle, level)) / t_2
        x = after
    return x


@pytest.mark.parametrize("s_churn", [0.0, 1.5, 40.0])
@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2"])
def test_churn_is_karras_algorithm_2(name, s_churn):
    sigmas = (10.0, 5.0, 2.0, 0.7, 0.2, 0.05, 0.0)
    x = start(10.0, 2)
    options = {**CHURN, "s_churn": s_churn}
    noise = KeyedNoise(7, range(2))

    def denoise(x, sigma):  # levels in double precision, as algorithm 2 has them
        return mixture(VE)(x, sigma.double())

    wanted = karras_algorithm_2(denoise, x, sigmas, noise, name, **options)
    found = samplers.sample(name, denoise, x, sigmas, VE, seed=7, **options)
    assert torch.allclose(found, wanted, rtol=1e-6, atol=1e-6)
    plain = samplers.sample(name, denoise, x, sigmas, VE)
    assert torch.allclose(found, plain) == (s_churn == 0)


@pytest.mark.parametrize("name", CHURNED)
def test_churn_costs_no_call_and_keeps_the_first_level(name):
    sigmas = (10.0, 5.0, 2.0, 0.2, 0.0)
    sampler = samplers.get(name)
    plain, table = sampler.plan(sigmas, VE), sampler.plan(sigmas, VE, **CHURN)
    assert table.calls == plain.calls and table.stochastic and not plain.stochastic
    climbs = [(row.step, row.sigma, row.sigma_next) for row in table.rows if not row.calls]
    factor = math.sqrt(2)  # 6 / 4 is above the largest gamma
    assert climbs == [(i, s, pytest.approx(s * factor)) for i, s in enumerate(sigmas[:-1])
                      if 0.2 <= s <= 5.0]


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("sigma", [0.05, 0.4, 0.95])
def test_churn_lands_on_the_marginal_of_its_level(sigma, process):
    """Exact for any data: signal and noise arrive as the process has them at sigma_hat, and
    sigma / alpha has grown by 1 + gamma on VE and on FLOW alike."""
    row = samplers.get("heun").plan((sigma, 0.01, 0.0), process, s_churn=0.5).rows[0]
    up, (draw,) = row.sigma_next, row.noise
    for variance in VARIANCE.tolist():
        before = process.alpha(sigma) ** 2 * variance + sigma**2
        after = row.x[0] ** 2 * before + draw.weight**2
        assert after == pytest.approx(process.alpha(up) ** 2 * variance + up**2, rel=1e-12)
    assert up / process.alpha(up) == pytest.approx(1.25 * sigma / process.alpha(sigma))


def test_flow_churn_stays_below_one():
    sigmas = (1.0, 1.0 - 1e-9, 0.999, 0.9, 0.5, 0.0)
    for row in samplers.get("heun").plan(sigmas, FLOW, s_churn=1000.0).rows:
        assert row.sigma <= 1 and (row.sigma < 1 or row.step == 0)
        assert row.calls or row.step > 0
        assert row.calls or row.sigma < row.sigma_next < 1


@pytest.mark.slow
@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("name", ["heun", "dpm_2", "rk4"])
def test_churn_keeps_the_variance(name, eta, process):
    """Also beside a split, whose draws must not share an interval with the step before.

    Not for Euler: each climb makes its first-order step longer, and the bias stays visible.
    """
    spec = schedules.ModelSpec.discrete() if process is VE else schedules.ModelSpec.flow(shift=3.0)
    sigmas = schedules.get("beta").sigmas(spec, 200)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4000, 4, generator=generator, dtype=torch.float64) * float(sigmas[0])
    path = samplers.PathNoise(3, [0])
    found = run(
        lambda s, p: samplers.get(name).plan(s, p, s_churn=60.0, eta=eta), gaussian(process), x,
        sigmas, process, noise=lambda like, draw: path(like[None], draw)[0],
    ).x
    assert torch.allclose(found.var(0), VARIANCE, rtol=0.1)


@pytest.mark.parametrize("spec", ["sd", "flow"])
@pytest.mark.parametrize("name", CHURNED)
def test_churned_runs_are_split_exact(name, spec):
    """gamma comes from the steps of the whole run, so a chained run climbs as high."""
    model = {"sd": schedules.ModelSpec.discrete(), "flow": schedules.ModelSpec.flow()}[spec]
    sigmas = schedules.get("karras").sigmas(model, 6).tolist()
    x = sigmas[0] * torch.ones(2, 4, dtype=torch.float64)

    def build(s, p):
        return samplers.get(name).plan(s, p, s_churn=2.0)

    kwargs = {"noise": KeyedNoise(1, range(2))}
    whole = run(build, gaussian(model.process), x, sigmas, model.process, **kwargs)
    for k in range(1, 6):
        first = run(build, gaussian(model.process), x, sigmas, model.process, until=k, **kwargs)
        again = run(build, gaussian(model.process), x, sigmas[k:], model.process, carry=first,
                    **kwargs)
        assert torch.equal(again.x, whole.x)


def test_callback_tells_the_level_that_churn_reached():
    seen = []
    x = torch.ones(1, 4, dtype=torch.float64)
    samplers.sample("heun", gaussian(VE), x, (10.0, 1.0, 0.0), on_step=seen.append, s_churn=0.5)
    assert [float(info["sigma"]) for info in seen] == [10.0, 1.0]
    assert [float(info["sigma_hat"]) for info in seen] == [12.5, 1.25]
    assert [info["i"] for info in seen] == [0, 1]
