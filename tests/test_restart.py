"""Restart: which interval, how often, on which levels, and what it forgets."""

import math

import pytest
import torch
from problems import PROCESSES, VARIANCE, even_in_log, gaussian
from stride import samplers, schedules
from stride.samplers import FLOW, VE

SD = schedules.ModelSpec.discrete()


def karras(top, bottom, n):
    """n levels from top to bottom, even in sigma^(1/7)."""
    first, last = top ** (1 / 7), bottom ** (1 / 7)
    return [(first + (last - first) * i / (n - 1)) ** 7 for i in range(n)]


def plan(sigmas, process=VE, **options):
    return samplers.get("restart").plan(tuple(sigmas), process, **options)


def visited(table):
    """Levels at which steps start: the first row of a Heun step reads no answer but its own."""
    return [row.sigma for k, row in enumerate(table.rows) if row.calls and set(row.d) == {k}]


def jumps(table):
    return [(row.sigma, row.sigma_next) for row in table.rows if not row.calls]


# A1111's rule, by the steps of a run: restarts, and steps of each.
RULE = {1: (0, 9), 10: (0, 9), 19: (0, 9), 20: (1, 9), 35: (1, 9), 36: (2, 9), 50: (2, 12),
        100: (2, 25)}  # fmt: skip


@pytest.mark.parametrize("steps", RULE)
@pytest.mark.parametrize("schedule", ["karras", "exponential"])
def test_the_usual_restarts_by_the_number_of_steps(steps, schedule):
    """From the level nearest 0.1 up to the one nearest 2, and back on Karras' levels."""
    times, length = RULE[steps]
    sigmas = schedules.get(schedule).sigmas(SD, steps).double().tolist()
    table = plan(sigmas)
    low, high = (min(sigmas[:-1], key=lambda s: abs(s - level)) for level in (0.1, 2.0))
    assert jumps(table) == [(low, high)] * times
    back = karras(high, low, length + 1)[:-1]
    wanted = []
    for sigma in sigmas[:-1]:
        if sigma == low:
            wanted += back * times
        wanted.append(sigma)
    assert visited(table) == pytest.approx(wanted, rel=1e-9)
    assert table.calls == 2 * steps - 1 + 2 * length * times


def test_a1111s_20_steps_are_11_of_karras_and_a_restart_of_9():
    """It takes the restart's steps from the number asked for and always uses Karras' levels.

    The same list of levels comes from 11 steps of karras with one restart asked for.
    """
    top, bottom = 14.6146, 0.0292
    main = karras(top, bottom, 11)
    found = visited(plan([*main, 0.0], restart_steps=9))
    low, high = (min(main, key=lambda s: abs(s - level)) for level in (0.1, 2.0))
    split = main.index(low)
    back = karras(high, low, 10)
    assert found == pytest.approx([*main[:split], *back[:-1], *main[split:]], rel=1e-9)
    assert len(found) == 20


def test_below_20_steps_it_is_heun():
    sigmas = schedules.get("normal").sigmas(SD, 19)
    assert plan(sigmas.tolist()).rows == samplers.get("heun").plan(tuple(sigmas.tolist()), VE).rows


def test_every_restart_has_noise_of_its_own():
    """sqrt(high^2 - low^2) of it, and another draw every time."""
    sigmas = schedules.get("karras").sigmas(SD, 40).double().tolist()
    draws = [draw for row in plan(sigmas, times=3).rows for draw in row.noise]
    assert len(set(draws)) == len(draws) == 3
    for draw in draws:
        assert draw.weight == pytest.approx(math.sqrt(draw.end**2 - draw.start**2), rel=1e-12)
    like = torch.empty(1, 1000)
    for kind in (samplers.KeyedNoise, samplers.PathNoise):
        one, two, three = (kind(0, [0])(like, draw).flatten() for draw in draws)
        table = torch.corrcoef(torch.stack([one, two, three]))
        assert (table - torch.eye(3)).abs().max() < 0.12


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_a_restart_forgets_errors_made_above_it(process):
    """Noise up to the high level dwarfs them: what is left falls by the path's own contraction.

    In s = sigma / alpha the way down multiplies a difference in y by
    sqrt((V + low^2) / (V + high^2)).
    """
    low, high = 0.1, 2.0
    ratios = even_in_log(8.0, 0.05, 60)
    sigmas = [s if process is VE else s / (1 + s) for s in ratios]
    near = [min(ratios, key=lambda s: abs(s - level)) for level in (low, high)]
    options = dict(low=low, high=high, restart_steps=80)

    def ends(times):
        x = torch.ones(1, 4, dtype=torch.float64) * sigmas[0]
        return [
            samplers.sample("restart", gaussian(process), x + shift, sigmas, process,
                            times=times, **options)
            for shift in (0.0, 1.0)
        ]  # fmt: skip

    whole, once, twice = (abs(b - a) for a, b in (ends(times) for times in (0, 1, 2)))
    factor = ((VARIANCE + near[0] ** 2) / (VARIANCE + near[1] ** 2)).sqrt()
    assert torch.allclose(once / whole, factor, rtol=2e-3)
    assert torch.allclose(twice / whole, factor**2, rtol=4e-3)


def test_flow_levels_are_sigma_over_alpha():
    sigmas = schedules.get("simple").sigmas(schedules.ModelSpec.flow(shift=3.0), 40)
    sigmas = sigmas.double().tolist()
    (low, high), *_ = jumps(plan(sigmas, FLOW))
    for found, level in ((low, 0.1), (high, 2.0)):
        nearest = min(sigmas[1:-1], key=lambda s: abs(s / (1 - s) - level))
        assert found == nearest


@pytest.mark.parametrize("sigmas", [(0.09, 0.05, 0.0), (5.0, 0.0), (0.5, 0.0)])
def test_a_run_without_the_interval_does_not_restart(sigmas):
    assert not plan(sigmas, times=2).stochastic


def test_a_list_may_end_on_the_low_level():
    table = plan((4.0, 2.0, 0.5, 0.1), times=1, restart_steps=3)
    assert jumps(table) == [(0.1, 2.0)] and table.rows[-1].sigma_next == 0.1
