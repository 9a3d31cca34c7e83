"""The Euler family: what DDIM, DDPM and CFG++ are in the formulas of their papers."""

import math

import pytest
import torch
from problems import PROCESSES, start
from stride import samplers
from stride.samplers import FLOW, VE

SIGMAS = (10.0, 4.0, 1.0, 0.3, 0.0)
FLOW_SIGMAS = (1.0, 0.8, 0.4, 0.1, 0.0)
LISTS = {"VE": SIGMAS, "FLOW": FLOW_SIGMAS}


def plan(name, process, **options):
    return samplers.get(name).plan(LISTS[process.name], process, **options)


def kept(row, process):
    """(weight of D, weight of eps) of a one-stage row, where x = alpha D + sigma eps."""
    ((k, weight),) = row.x.items()
    signal = row.d.get(k, 0.0) + weight * process.alpha(row.sigma)
    return signal, weight * row.sigma


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_ddim_is_equation_12_with_the_variance_of_equation_16(eta, process):
    """In variance-preserving terms, a = alpha_bar: x' = sqrt(a') D + sqrt(1 - a' - v) eps +
    sqrt(v) z with v = eta^2 (1 - a') / (1 - a) (1 - a / a'); divided by sqrt(a' / alpha'^2)."""
    for row in plan("ddim", process, eta=eta).rows:
        if row.sigma_next == 0:
            assert row.d == {row.step: 1.0} and not row.noise
            continue
        alpha, alpha_next = process.alpha(row.sigma), process.alpha(row.sigma_next)
        a = alpha**2 / (alpha**2 + row.sigma**2)
        b = alpha_next**2 / (alpha_next**2 + row.sigma_next**2)
        v = eta**2 * (1 - b) / (1 - a) * (1 - a / b)
        scale = math.hypot(alpha_next, row.sigma_next)
        signal, noise = kept(row, process)
        assert signal == pytest.approx(scale * math.sqrt(b), rel=1e-9)
        assert noise == pytest.approx(scale * math.sqrt(1 - b - v), rel=1e-7, abs=1e-9)
        fresh = sum(draw.weight for draw in row.noise)
        assert fresh == pytest.approx(scale * math.sqrt(v), rel=1e-9)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_ddpm_is_the_posterior_of_ho_et_al(process):
    """Equation 7: mean sqrt(a') b / (1 - a) D + sqrt(1 - b) (1 - a') / (1 - a) x with 1 - b =
    a / a', and the variance (1 - a') / (1 - a) b."""
    for row in plan("ddpm", process).rows[:-1]:
        alpha, alpha_next = process.alpha(row.sigma), process.alpha(row.sigma_next)
        power, power_next = alpha**2 + row.sigma**2, alpha_next**2 + row.sigma_next**2
        a, a_next = alpha**2 / power, alpha_next**2 / power_next
        beta = 1 - a / a_next
        scale = math.sqrt(power_next)
        data = scale * math.sqrt(a_next) * beta / (1 - a)
        old = scale / math.sqrt(power) * math.sqrt(a / a_next) * (1 - a_next) / (1 - a)
        (draw,) = row.noise
        assert row.d[row.step] == pytest.approx(data, rel=1e-9)
        assert row.x[row.step] == pytest.approx(old, rel=1e-9, abs=1e-15)
        assert draw.weight == pytest.approx(scale * math.sqrt((1 - a_next) / (1 - a) * beta))


def test_ddpm_is_euler_ancestral_on_ve_and_its_own_on_flow():
    """A flow's ancestral step is the rectified-flow one: it keeps more of x than DDPM does."""
    assert plan("ddpm", VE) == plan("euler_ancestral", VE)
    ours, theirs = plan("ddpm", FLOW).rows[1], plan("euler_ancestral", FLOW).rows[1]
    assert ours.noise[0].weight > 1.05 * theirs.noise[0].weight


@pytest.mark.parametrize("eta", [0.2, 0.5, 1.0])
def test_ddim_split_is_the_reverse_sde_only_at_full_eta(eta):
    """At eta 1 DDIM's step is the exact one of the SDE with D held still, on both processes."""
    for process, sigma, sigma_next in ((VE, 4.0, 1.5), (FLOW, 0.8, 0.3), (FLOW, 1.0, 0.6)):
        down, scale, std = process.ddim_split(sigma, sigma_next, eta)
        assert scale * process.alpha(down) == pytest.approx(process.alpha(sigma_next))
        assert math.hypot(scale * down, std) == pytest.approx(sigma_next)
        decay = process.diffuse(sigma, sigma_next, 1.0)
        assert (std == pytest.approx(decay.std)) == (eta == 1.0)
        assert (scale * down / sigma == pytest.approx(decay.keep)) == (eta == 1.0)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("name", ["euler_cfg_pp", "ddim_cfg_pp"])
def test_cfg_pp_renoises_with_the_unconditional_answer(name, process):
    """Chung et al. 2024: x' = alpha' D + sigma' (x - alpha U) / sigma."""
    x = start(1.0, 2)
    sigmas = LISTS[process.name]
    d, u = torch.tanh(x), 0.3 * torch.sin(x)
    for sigma, sigma_next in zip(sigmas, sigmas[1:]):
        found = samplers.sample(name, lambda x, s: (d, u), x, (sigma, sigma_next), process)
        eps = (x - process.alpha(sigma) * u) / sigma
        wanted = process.alpha(sigma_next) * d + sigma_next * eps
        assert torch.allclose(found, wanted, rtol=1e-12, atol=1e-12)
