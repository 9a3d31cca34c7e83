"""Single-step exponential samplers beside the host's, where the two cannot simply be equal."""

from dataclasses import replace

import pytest
import torch
from host_models import Denoiser, Guided, compare, models
from stride import samplers, schedules

pytestmark = pytest.mark.host

NAMES = ["dpmpp_2s_ancestral", "dpmpp_sde", "seeds_2", "seeds_3"]


class Watched(Denoiser):
    """A model that remembers at which sigmas it was asked."""

    def __init__(self, sampling):
        super().__init__(sampling)
        self.seen = []

    def __call__(self, x, sigma, **extra_args):
        self.seen.append(float(sigma[0]))
        return super().__call__(x, sigma, **extra_args)


def noisy(sigmas):
    return torch.randn(
        2, 4, 8, 8, generator=torch.Generator().manual_seed(1)
    ).double() * sigmas[0]


def path_of(x):
    """One Brownian path, as the host's functions ask for it."""
    path = samplers.PathNoise(3, range(2))
    return lambda a, b: path(x, samplers.Draw(1.0, float(a), float(b)))


@pytest.mark.parametrize("schedule", ["karras", "simple"])
@pytest.mark.parametrize("steps", [1, 2, 8, 30])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_hosts_on_flow_below_sigma_1(comfy, name, steps, schedule):
    sampling, spec = models(comfy)["flow"]
    below = replace(spec, sigmas=spec.sigmas[:-50])
    assert below.sigma_max < 1
    compare(comfy, name, below, steps, schedule, Denoiser(sampling), Denoiser(sampling))


@pytest.mark.parametrize("name", NAMES)
def test_from_sigma_1_the_host_makes_a_first_step_of_its_own(comfy, name):
    """Log-SNR is minus infinity at sigma 1. The host asks at a level just below it, for an x that
    is at 1, or makes its second call at 0.9999; ours asks once, at 1, and takes Euler's step."""
    sampling, spec = models(comfy)["flow"]
    sigmas = schedules.get("simple").sigmas(spec, 4).double()
    x, theirs, ours = noisy(sigmas), Watched(sampling), Watched(sampling)
    getattr(comfy.k_diffusion, f"sample_{name}")(
        theirs, x.clone(), sigmas, disable=True, noise_sampler=path_of(x)
    )
    samplers.sample(name, ours, x, sigmas, spec.process)
    assert ours.seen[:2] == [1.0, float(sigmas[1])]
    if name == "dpmpp_2s_ancestral":
        assert theirs.seen[:2] == [1.0, 0.9999]
    else:
        assert 0.9999 < theirs.seen[0] < 1.0
    assert len(theirs.seen) == len(ours.seen) + (2 if name == "seeds_3" else 1)


@pytest.mark.parametrize("steps", [1, 2, 8, 30])
def test_the_hosts_2s_cfg_pp_mixes_two_calls(comfy, steps):
    """CFG++ replaces the noise of x by what the same call says of it, D - U. After its second
    call the host subtracts that call's U from the first call's D; with U moved ours equals it."""
    sampling, spec = models(comfy)["sd"]
    sigmas = schedules.get("simple").sigmas(spec, steps).double()
    x, name = noisy(sigmas), "dpmpp_2s_ancestral_cfg_pp"
    theirs = getattr(comfy.k_diffusion, f"sample_{name}")(
        Guided(sampling, comfy), x.clone(), sigmas, disable=True, noise_sampler=path_of(x)
    )

    def ours(move):
        def build(levels, process):
            table = samplers.get(name).plan(levels, process)
            second = [row.step == past.step for past, row in zip(table.rows, table.rows[1:])]
            rows = [
                replace(row, u={k: sum(row.u.values())}) if move and again else row
                for k, (row, again) in enumerate(zip(table.rows, [False, *second]))
            ]
            return replace(table, rows=tuple(rows))

        return samplers.run(
            build, Guided(sampling), x.clone(), sigmas, spec.process,
            noise=samplers.PathNoise(3, range(2)),
        ).x

    torch.testing.assert_close(ours(move=True), theirs, rtol=1e-4, atol=1e-4)
    if steps > 2:  # two steps down to 0 leave no noise to tell by
        assert not torch.allclose(ours(move=False), theirs, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("steps", [3, 4, 5, 6, 20])
def test_dpm_fast_equals_the_hosts_on_the_hosts_own_levels(comfy, steps):
    """The host takes two sigmas and no schedule: its blocks are even in log sigma. On the list of
    its calls ours equals it, with blocks as long as they come; on others it has no equal."""
    sampling, spec = models(comfy)["sd"]
    top, bottom = 14.6, 0.03
    theirs, ours = Watched(sampling), Watched(sampling)
    x = noisy([top])
    end = comfy.k_diffusion.sample_dpm_fast(theirs, x.clone(), bottom, top, steps, disable=True)
    sigmas = [*theirs.seen, bottom]
    found = samplers.sample("dpm_fast", ours, x, sigmas, spec.process, longest=100.0)
    torch.testing.assert_close(found, end, rtol=1e-4, atol=1e-4)  # its time is float32
    assert ours.seen == theirs.seen
