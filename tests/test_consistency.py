"""Samplers of consistency models, on models that are consistent exactly."""

import math

import numpy as np
import pytest
import torch
from problems import PROCESSES, VARIANCE, gaussian_flow
from stride import samplers
from stride.samplers import FLOW, VE

LEVELS = {"VE": (14.6, 5.0, 1.7, 0.5, 0.0), "FLOW": (1.0, 0.8, 0.5, 0.2, 0.0)}


def plan(name, process, sigmas=None, **options):
    return samplers.get(name).plan(sigmas or LEVELS[process.name], process, **options)


def drawn(process, sigma, count=4000):
    """x at sigma of Gaussian data: variance alpha^2 VARIANCE + sigma^2 in each coordinate."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(1, count, 4, generator=generator, dtype=torch.float64)
    return noise * (process.alpha(sigma) ** 2 * VARIANCE + sigma**2).sqrt()


def sampled(name, process, denoise, **options):
    sigmas = LEVELS[process.name]
    return samplers.sample(name, denoise, drawn(process, sigmas[0]), sigmas, process, **options)[0]


def jump(process):
    """A consistency model of Gaussian data: D is where the path through (x, sigma) ends."""
    return lambda x, sigma: gaussian_flow(x, float(sigma[0]), 0.0, process)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("name, options", [("lcm", {}), ("tcd", {"gamma": 1.0, "clock": "sigma"})])
def test_a_consistency_model_keeps_the_data_in_four_steps(name, options, process):
    out = sampled(name, process, jump(process), **options)
    assert torch.allclose(out.var(0), VARIANCE, rtol=0.1)
    corner = out.T @ out / len(out) / VARIANCE.sqrt() / VARIANCE.sqrt()[:, None]
    assert (corner - corner.diag().diag()).abs().max() < 0.1


def test_an_ordinary_model_loses_variance():
    """The posterior mean, jumped to and renoised, has less variance than the data."""
    mean = lambda x, sigma: VARIANCE / (VARIANCE + sigma.double()[:, None, None] ** 2) * x  # noqa: E731
    assert (sampled("lcm", VE, mean).var(0) < 0.9 * VARIANCE).all()


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_full_gamma_is_lcm(process):
    ours, theirs = plan("tcd", process, gamma=1.0, clock="sigma"), plan("lcm", process)
    for row, other in zip(ours.rows, theirs.rows):
        assert row.d == pytest.approx(other.d) and not any(row.x.values())
        assert [draw.weight for draw in row.noise] == [draw.weight for draw in other.noise]


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_no_gamma_is_ddim(process):
    ours, theirs = plan("tcd", process, gamma=0.0), plan("ddim", process)
    assert not ours.stochastic
    for row, other in zip(ours.rows, theirs.rows):
        assert row.d == pytest.approx(other.d) and row.x == pytest.approx(other.x)


# TCD's clock ----------------------------------------------------------------------------------


def training_sigmas():
    """SD's scaled-linear betas, as every trainer of it has them."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    bar = torch.cumprod(1 - betas, 0)
    return ((1 - bar) / bar).sqrt().tolist()


@pytest.mark.parametrize("gamma", [0.1, 0.3, 0.55, 1.0])
def test_the_step_goes_down_to_a_part_of_the_training_time(gamma):
    """diffusers' TCDScheduler: to the whole time floor((1 - gamma) t'), then noise up to t'."""
    table = training_sigmas()
    times = (999, 759, 310, 259, 100, 19)  # 0.7 * 310 = 217 is a little less in binary
    sigmas = tuple(table[t] for t in times)
    rows = plan("tcd", VE, (*sigmas, 0.0), gamma=gamma).rows
    for row, time, sigma in zip(rows, times[1:], sigmas[1:]):
        # In hundredths, so that the product is a whole number's.
        down = table[(100 - round(100 * gamma)) * time // 100]
        ratio = down / row.sigma
        assert row.x == {row.step: pytest.approx(ratio, rel=1e-9)}
        assert row.d == {row.step: pytest.approx(1 - ratio, rel=1e-9)}
        assert row.noise[0].weight == pytest.approx(math.sqrt(sigma**2 - down**2), rel=1e-9)


@pytest.mark.parametrize("gamma", [0.3, 0.8])
def test_a_flow_models_time_is_its_sigma(gamma):
    """x goes to (1 - gamma) sigma', and noise takes it from there to sigma' with its signal."""
    for row in plan("tcd", FLOW, gamma=gamma).rows[:-1]:
        down = (1 - gamma) * row.sigma_next
        scale = (1 - row.sigma_next) / (1 - down)
        assert row.x[row.step] == pytest.approx(scale * down / row.sigma)
        assert row.noise[0].weight == pytest.approx(
            math.sqrt(row.sigma_next**2 - (scale * down) ** 2)
        )


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("gamma", [0.2, 0.6, 1.0])
def test_a_trajectory_model_keeps_the_data(gamma, process):
    """TCD's model is one whose DDIM step to the level s that it aims at is the path's own."""
    sigmas, table = LEVELS[process.name], training_sigmas()
    asked = iter(range(len(sigmas) - 1))

    def aim(sigma_next):
        if process is FLOW or sigma_next == 0:
            return (1 - gamma) * sigma_next
        time = int(np.abs(np.log(table) - math.log(sigma_next)).argmin())
        return table[math.floor((1 - gamma) * time + 1e-9)]

    def denoise(x, sigma):
        step = next(asked)
        level, down = float(sigma[0]), aim(sigmas[step + 1])
        ratio = down / level
        there = gaussian_flow(x, level, down, process)
        return (there - ratio * x) / (process.alpha(down) - ratio * process.alpha(level))

    out = sampled("tcd", process, denoise, gamma=gamma)
    assert torch.allclose(out.var(0), VARIANCE, rtol=0.1)
