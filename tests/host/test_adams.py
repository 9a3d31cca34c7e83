"""The host's linear multistep functions: where they are right, and by how much they are not."""

import pytest
import torch
from host_models import discrete, flow
from quadratures import moments
from stride import samplers, schedules
from stride.samplers import FLOW, VE

pytestmark = pytest.mark.host

UNEVEN = (14.6, 9.0, 4.1, 2.9, 1.1, 0.9, 0.31, 0.05)


def weights(run, steps):
    """[k][j]: weight of the j-th ``(x - D)/sigma`` in step k of any linear multistep method.

    Coordinate j of the latent gets a slope of 1 at call j and of 0 at the others, so that what it
    has moved after a step is that weight.
    """
    seen = []

    def model(x, sigma, **kwargs):
        seen.append(x.clone())
        return x - sigma[:, None] * torch.eye(steps, dtype=x.dtype)[len(seen) - 1]

    seen.append(run(model, torch.zeros(1, steps, dtype=torch.float64)))
    path = torch.cat(seen)
    return (path[1:] - path[:-1]).tolist()


def theirs(function, sigmas, **options):
    levels = torch.tensor(sigmas, dtype=torch.float64)
    return weights(lambda model, x: function(model, x, levels, disable=True, **options),
                   len(sigmas) - 1)


def ours(name, sigmas, process=VE, **options):
    def run(model, x):
        return samplers.sample(name, model, x, sigmas, process, **options)

    return weights(run, len(sigmas) - 1)


def newest_first(row, k, order):
    return row[max(k + 1 - order, 0) : k + 1][::-1]


def exact(sigmas, k, order):
    return moments(sigmas[max(k + 1 - order, 0) : k + 1][::-1], sigmas[k], sigmas[k + 1])


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_ipndm_v_has_wrong_coefficients_from_order_3_on(comfy, order):
    """The host's and the published ones misplace a bracket: they do not integrate sigma^2.

    Up to order 2 they are those of Adams-Bashforth, as ours are at every order.
    """
    host = theirs(comfy.k_diffusion.sample_ipndm_v, UNEVEN, max_order=order) if order > 1 else None
    mine = ours("ipndm_v", UNEVEN, order=order)
    for k in range(len(UNEVEN) - 1):
        wanted = exact(UNEVEN, k, order)
        assert newest_first(mine[k], k, order) == pytest.approx(wanted, rel=1e-9)
        if host and min(k + 1, order) <= 2:
            assert newest_first(host[k], k, order) == pytest.approx(wanted, rel=1e-9)
        elif host:
            off = max(abs(a - b) for a, b in zip(newest_first(host[k], k, order), wanted))
            assert off > 0.03 * (UNEVEN[k] - UNEVEN[k + 1])


def test_ipndm_v_of_order_4_is_wrong_on_even_steps_too(comfy):
    """Its newest weight there is 2.375, where Adams-Bashforth has 55/24 = 2.2917."""
    even = [3.0 - 0.25 * i for i in range(6)]
    host = theirs(comfy.k_diffusion.sample_ipndm_v, even)[4][4] / -0.25
    mine = ours("ipndm_v", even)[4][4] / -0.25
    assert host == pytest.approx(2.375, abs=1e-6) and mine == pytest.approx(55 / 24, rel=1e-12)


@pytest.mark.parametrize("model", ["sd", "flow"])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_deis_differs_by_the_hosts_summation(comfy, model, order):
    """The host adds 10 000 values in float32, the two ends whole instead of by half.

    Its weights are off by up to about 1e-3 of the step, and do not sum to the step. Ours are the
    same integrals by Gauss-Legendre; the weights of a step sum to it exactly.
    """
    sampling = discrete(comfy) if model == "sd" else flow(comfy)
    process = VE if model == "sd" else FLOW
    spec = schedules.ModelSpec.discrete() if model == "sd" else schedules.ModelSpec.flow(shift=3.0)
    assert float(sampling.sigma_max) == pytest.approx(spec.sigma_max, rel=1e-4)
    off, missing = 0.0, 0.0
    for schedule in ("karras", "normal", "beta"):
        sigmas = schedules.get(schedule).sigmas(spec, 12).double().tolist()[:-1]
        host = theirs(comfy.k_diffusion.sample_deis, sigmas, max_order=order)
        mine = ours("deis", sigmas, process, order=order)
        for k, (a, b) in enumerate(zip(sigmas, sigmas[1:])):
            step = abs(b - a)
            off = max(off, max(abs(p - q) for p, q in zip(host[k], mine[k])) / step)
            missing = max(missing, abs(sum(host[k]) - (b - a)) / step)
            assert sum(mine[k]) == pytest.approx(b - a, rel=1e-9)
    print(model, order, off, missing)
    assert 1e-6 < off < 5e-3 and missing > 1e-6


@pytest.mark.parametrize("order", [2, 3])
def test_the_hosts_rhoab_mode_fails_where_ours_runs(comfy, order):
    """It makes one weight more than its sampler takes as soon as a run has order + 1 steps."""
    with pytest.raises(ValueError, match="unpack"):
        theirs(comfy.k_diffusion.sample_deis, UNEVEN, max_order=order, deis_mode="rhoab")
    mine = ours("deis", UNEVEN, order=order, variable="sigma")
    for k in range(len(UNEVEN) - 1):
        assert newest_first(mine[k], k, order) == pytest.approx(exact(UNEVEN, k, order), rel=1e-9)


def test_gradient_estimation_cfg_pp_on_flow_follows_the_paper(comfy):
    """x' = alpha' D + sigma' (x - alpha U)/sigma; the host's function takes alpha to be 1."""
    sigma, sigma_next = 0.8, 0.5
    x = torch.linspace(-2, 2, 64, dtype=torch.float64).reshape(1, 4, 4, 4)
    d, u = torch.tanh(x), 0.3 * torch.cos(x)

    def guided(x, sigma, model_options):
        (hook,) = model_options["sampler_post_cfg_function"]
        return hook({"denoised": d, "uncond_denoised": u})

    host = comfy.k_diffusion.sample_gradient_estimation_cfg_pp(
        guided, x.clone(), torch.tensor([sigma, sigma_next]).double(),
        extra_args={"model_options": {}}, disable=True,
    )
    mine = samplers.sample("gradient_estimation_cfg_pp", lambda x, s: (d, u), x,
                           (sigma, sigma_next), FLOW)
    wanted = (1 - sigma_next) * d + sigma_next * (x - (1 - sigma) * u) / sigma
    torch.testing.assert_close(mine, wanted)
    torch.testing.assert_close(host, d + sigma_next * (x - u) / sigma)
    assert (mine - host).abs().max() > 0.1
