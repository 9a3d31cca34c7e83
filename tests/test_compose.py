"""Samplers made of samplers: runs that change their sampler on the way, and noise on top."""

import math

import pytest
import torch
from problems import PROCESSES, even_in_log, gaussian, gaussian_flow, mixture
from sampler_rows import TABLES, answers
from stride import samplers, schedules
from stride.samplers import FLOW, VE, KeyedNoise, Part, alternate, inject

SPECS = {"VE": schedules.ModelSpec.discrete(), "FLOW": schedules.ModelSpec.flow(shift=3.0)}


def levels(process, steps=12):
    schedule = "karras" if process == "VE" else "simple"
    return tuple(schedules.get(schedule).sigmas(SPECS[process], steps).tolist())


def part(name, **options):
    entry = samplers.get(name)
    return Part(entry, entry.configure(**options))


def go(sampler, denoise, x, sigmas, process, seed=0, **run):
    build = sampler.plan
    return samplers.run(build, denoise, x, sigmas, process,
                        noise=KeyedNoise(seed, range(x.shape[0])), **run)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_sampler_that_relieves_itself_runs_as_one(name, process):
    """All history is carried over, stochastic and corrected steps included: bit for bit."""
    sigmas, other = levels(process), samplers.get(name)
    both = alternate([Part(other)] * 3, [sigmas[3] * 0.999, sigmas[8] * 0.999])
    x = sigmas[0] * torch.randn(2, 4, generator=torch.Generator().manual_seed(1)).double()
    denoise = answers(name, mixture(PROCESSES[process]))
    found = go(both, denoise, x, sigmas, PROCESSES[process]).x
    want = go(other, denoise, x, sigmas, PROCESSES[process]).x
    assert torch.equal(found, want)


@pytest.mark.parametrize("process", PROCESSES)
def test_each_part_takes_its_own_steps(process):
    """Heun above the change, Euler below: two calls a step, then one."""
    sigmas = levels(process, 10)
    mixed = alternate([part("heun"), part("euler")], [sigmas[4]])
    table = mixed.plan(sigmas, PROCESSES[process])
    calls = [sum(row.calls for row in table.rows if row.step == k) for k in range(10)]
    assert calls == [2] * 4 + [1] * 6
    euler = samplers.get("euler").plan(sigmas, PROCESSES[process])
    assert [row.sigma for row in table.rows if row.step >= 4] == [
        row.sigma for row in euler.rows if row.step >= 4
    ]


def slope(errors, counts):
    return math.log(errors[0] / errors[-1]) / math.log(counts[-1] / counts[0])


@pytest.mark.parametrize("first, second", [
    ("heun", "dpmpp_2m"), ("dpmpp_2m", "heun"), ("dpmpp_2m", "ipndm"), ("uni_pc", "dpmpp_2m"),
    ("deis", "res_multistep"), ("adams_2", "uni_pc"),
])
def test_second_order_across_the_change(first, second):
    """Two methods of order 2 that hand over their history make a run of order 2."""
    counts, errors = (40, 80), []
    for n in counts:
        sigmas = even_in_log(8.0, 0.05, n)
        x = torch.tensor([[6.0, -7.0, 8.0, 5.0]], dtype=torch.float64)
        mixed = alternate([part(first), part(second)], [sigmas[n // 2] * 1.0001])
        found = go(mixed, gaussian(VE), x, sigmas, VE).x
        errors.append(float((found - gaussian_flow(x, 8.0, 0.05, VE)).abs().max()))
    assert slope(errors, counts) > 1.8


def test_the_first_step_of_a_relief_has_history():
    """After a method of order 5 the next step is as good as dpmpp_2m's in mid-run: its error falls
    with the third power of the step, a cold start's with the second."""
    found, x = {"relief": [], "cold": []}, torch.tensor([[6.0, -7.0, 8.0, 5.0]]).double()
    counts = (20, 40)
    for n in counts:
        sigmas = even_in_log(8.0, 0.5, n)[: n // 2 + 2]
        want = gaussian_flow(x, 8.0, sigmas[-1], VE)
        relief = alternate([part("dormand_prince"), part("dpmpp_2m")], [sigmas[-2] * 1.0001])
        middle = gaussian_flow(x, 8.0, sigmas[-2], VE)
        ends = {
            "relief": go(relief, gaussian(VE), x, sigmas, VE).x,
            "cold": go(samplers.get("dpmpp_2m"), gaussian(VE), middle, sigmas[-2:], VE).x,
        }
        for kind, end in ends.items():
            found[kind].append(float((end - want).abs().max()))
    assert slope(found["relief"], counts) > 2.7
    assert slope(found["cold"], counts) < 2.2


@pytest.mark.parametrize("process", PROCESSES)
def test_fresh_noise_survives_the_change(process):
    """UniPC corrects its last step from the latent before it; after an ancestral step that would
    take the noise out again, so it starts afresh: nothing of the run before the change is read."""
    sigmas = levels(process)
    mixed = alternate([part("euler_ancestral"), part("uni_pc")], [sigmas[6] * 1.0001])
    table = mixed.plan(sigmas, PROCESSES[process])
    first = next(k for k, row in enumerate(table.rows) if row.step == 6)
    assert min(j for row in table.rows[first:] for (_, j), _ in row.reads) == first
    calm = alternate([part("euler"), part("uni_pc")], [sigmas[6] * 1.0001])
    table = calm.plan(sigmas, PROCESSES[process])
    assert min(j for row in table.rows[first:] for (_, j), _ in row.reads) < first


@pytest.mark.parametrize(
    "firsts, seconds",
    [(TABLES[::5], TABLES[::4]), pytest.param(TABLES, TABLES, marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def test_any_two_go_together_or_the_reason_is_said(firsts, seconds):
    """On two processes: a plan, or an error that names the option in which they differ."""
    for process in PROCESSES:
        sigmas = levels(process, 7)
        for a in firsts:
            for b in seconds:
                try:
                    mixed = alternate([part(a), part(b)], [sigmas[3]])
                except ValueError as error:
                    assert "must be the same in all parts" in str(error)
                else:
                    mixed.plan(sigmas, PROCESSES[process])


@pytest.mark.parametrize("make, says", [
    (lambda: alternate([part("euler")], [1.0]), "1 samplers change at 0 falling sigmas"),
    (lambda: alternate([part("euler")] * 3, [1.0, 2.0]), "falling sigmas"),
    (lambda: part("dpm_adaptive"), "chooses its own steps"),
    (lambda: alternate([part("euler"), part("euler_cfg_pp")], [1.0]), "'cfg_pp' must be the same"),
    (lambda: alternate([part("ddpm"), part("ddpm", s_noise=0.5)], [1.0]), "'s_noise' must be"),
    (lambda: inject(part("euler"), 1.5), "strength must be from 0 to 1"),
    (lambda: inject(part("euler"), 0.1, 5.0, 1.0), "turn them round"),
    (lambda: inject(part("euler_ancestral", noise="a1111"), 0.1), "noise 'a1111'"),
    (lambda: part("euler", order=3), "has no option 'order'"),
])  # fmt: skip
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("name", sorted(TABLES))
def test_no_strength_is_the_sampler_itself(name, process):
    sigmas = levels(process)
    plain = samplers.get(name).plan(sigmas, PROCESSES[process])
    assert inject(part(name), 0.0).plan(sigmas, PROCESSES[process]).rows == plain.rows


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("name", ["euler", "heun", "dpmpp_2m", "uni_pc", "euler_ancestral"])
def test_what_is_added_is_what_was_asked_for(name, process):
    """A model whose answer is always 0: x is noise alone, and its variance is known everywhere.

    Without injection x has sigma at every level of sigma. The last step in the window leaves
    ``strength * sigma`` more, and what earlier ones left has shrunk with x.
    """
    process, strength = PROCESSES[process], 0.5
    top = 8.0 if process is VE else 1.0
    sigmas = [top * 0.8**i for i in range(9)]
    x = top * torch.randn(1, 200_000, generator=torch.Generator().manual_seed(2))
    rough = inject(part(name), strength, low=sigmas[6], high=sigmas[6])
    seen = {}

    def denoise(x, sigma):
        seen[round(float(sigma[0]), 6)] = float(x.std())
        return torch.zeros_like(x)

    go(rough, denoise, x, sigmas, process, seed=3)
    for k in range(6):
        assert seen[round(sigmas[k], 6)] == pytest.approx(sigmas[k], rel=0.01)
    expected = sigmas[6] * math.hypot(1.0, strength)
    assert seen[round(sigmas[6], 6)] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", ["euler", "heun", "uni_pc", "dpmpp_2m_sde", "sa_solver"])
def test_added_noise_keeps_the_promises(name):
    """One run or two, an image alone or in a batch: the same bits."""
    sigmas = levels("VE")
    rough = inject(part(name), 0.3, 0.5, 5.0)
    x = sigmas[0] * torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    denoise = lambda x, sigma: mixture(VE)(x.double(), sigma).float()  # noqa: E731
    want = go(rough, denoise, x, sigmas, VE).x
    assert not torch.equal(want, go(samplers.get(name), denoise, x, sigmas, VE).x)
    half = go(rough, denoise, x, sigmas, VE, until=6)
    rest = go(rough, denoise, x, sigmas[6:], VE, carry=half)
    assert torch.equal(rest.x, want)
    alone = samplers.run(rough.plan, denoise, x[2:], sigmas, VE, noise=KeyedNoise(0, [2])).x
    assert torch.equal(alone, want[2:])


def test_parts_nest():
    """A sampler made of samplers is a part like any other."""
    sigmas = levels("FLOW")
    inner = alternate([part("euler"), part("heun")], [0.9])
    outer = alternate([Part(inner), part("dpmpp_2m")], [0.5])
    rough = inject(Part(outer), 0.1, 0.2, 0.8)
    table = rough.plan(sigmas, FLOW)
    assert [row.step for row in table.rows if row.excess] and table.steps == 12
