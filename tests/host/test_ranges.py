"""The host's ranges: what its nodes take of a sampler's options, ours take, with its result."""

import inspect

import pytest
import torch
from host_models import Denoiser, models
from stride import samplers, schedules

pytestmark = pytest.mark.host

SIGMAS = {"sd": "karras", "flow": "simple"}


def both(comfy, name, model, theirs, ours, steps=8):
    """(the host's latent, ours) with those options, on one path of the noise, or one stream."""
    sampling, spec = models(comfy)[model]
    sigmas = schedules.get(SIGMAS[model]).sigmas(spec, steps + 3).double()[3:]  # from below 1
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)).double() * sigmas[0]
    function = getattr(comfy.k_diffusion, f"sample_{name}")
    if "noise_sampler" in inspect.signature(function).parameters:
        path = samplers.PathNoise(3, range(2))
        theirs = theirs | {"noise_sampler": lambda sigma, sigma_next: path(
            x, samplers.Draw(1.0, float(sigma), float(sigma_next)))}
    their = function(Denoiser(sampling), x.clone(), sigmas, disable=True, **theirs)
    plan = lambda s, process: samplers.get(name).plan(s, process, **ours)  # noqa: E731
    found = samplers.run(plan, Denoiser(sampling), x.clone(), sigmas, spec.process,
                         noise=samplers.PathNoise(3, range(2))).x
    return their, found


ETAS = ["dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m_sde",
        "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "seeds_2", "seeds_3", "res_multistep_ancestral"]


@pytest.mark.parametrize("eta, s_noise", [(1.3, 1.0), (3.0, 0.5), (100.0, 3.0)])
@pytest.mark.parametrize("name", ETAS)
def test_eta_and_s_noise_go_as_far_as_the_hosts(comfy, name, eta, s_noise):
    options = {"eta": eta, "s_noise": s_noise}
    theirs, ours = both(comfy, name, "sd", options, options)
    assert torch.isfinite(ours).all()
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("model", SIGMAS)
@pytest.mark.parametrize("name", ["euler_ancestral", "dpm_2_ancestral"])
def test_an_eta_above_1_that_a_step_can_hold(comfy, name, model):
    options = {"eta": 1.2, "s_noise": 2.0}
    theirs, ours = both(comfy, name, model, options, options, steps=60)
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("process", [samplers.VE, samplers.FLOW])
@pytest.mark.parametrize("name", ["euler_ancestral", "ddpm"])
def test_more_noise_than_a_step_can_hold_is_all_of_it(name, process):
    """Then nothing of x is kept: LCM's step. The host hands on D there, with no noise at all."""
    rows = samplers.get(name).plan((0.9, 0.3, 0.0), process, eta=100.0).rows
    assert rows[0].reads == ((("d", 0), process.alpha(0.3)),)
    assert [draw.weight for draw in rows[0].noise] == [0.3]


@pytest.mark.parametrize("name", [e.name for e in samplers.REGISTRY if not e.adaptive
                                  and "eta" in e.options.OPTIONS])
@pytest.mark.parametrize("model", SIGMAS)
def test_every_eta_makes_a_table(comfy, name, model):
    """A table checks its own weights; eta 1 up to the end of the range, at every step count."""
    _, spec = models(comfy)[model]
    entry = samplers.get(name)
    for steps in (1, 2, 12):
        levels = tuple(schedules.get(SIGMAS[model]).levels(spec, steps).tolist())
        for eta in (1.3, 5.0, entry.options.OPTIONS["eta"].high):
            entry.planned(levels, spec.process, entry.configure(eta=eta))


@pytest.mark.parametrize("order", [1, 5, 12, 40, 100])
@pytest.mark.parametrize("model", SIGMAS)
def test_orders_of_lms_are_the_hosts(comfy, model, order):
    theirs, ours = both(comfy, "lms", model, {"order": order}, {"order": order}, steps=12)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("predictor, corrector", [(6, 6), (5, 0), (1, 6)])
@pytest.mark.parametrize("eta", [0.0, 1.0, 3.0])
def test_orders_of_sa_solver_are_the_hosts(comfy, predictor, corrector, eta):
    orders = {"predictor_order": predictor, "corrector_order": corrector}
    theirs, ours = both(comfy, "sa_solver", "sd", orders | {"tau_func": lambda sigma: eta},
                        orders | {"tau": eta, "tau_start": 1e6, "tau_end": 0.0}, steps=16)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name, r", [("seeds_2", 0.01), ("seeds_2", 0.99), ("dpmpp_sde", 0.01),
                                     ("dpmpp_sde", 1.5), ("dpmpp_sde", 3.0)])
@pytest.mark.parametrize("model", SIGMAS)
def test_where_the_second_call_is_made(comfy, name, r, model):
    theirs, ours = both(comfy, name, model, {"r": r}, {"r": r}, steps=12)
    torch.testing.assert_close(ours, theirs, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("eta", [2.5, 10.0])
def test_eta_of_er_sde_goes_as_far_as_the_hosts(comfy, eta):
    theirs, ours = both(
        comfy, "er_sde", "sd", {"noise_scaler": lambda x: x * ((x**0.3).exp() + 10.0) ** eta},
        {"eta": eta},
    )
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)
