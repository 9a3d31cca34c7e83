"""Our curves beside the host's own functions and nodes, in one process, bit for bit."""

from types import SimpleNamespace

import pytest
import torch
from host_models import discrete, flow
from stride import schedules

pytestmark = pytest.mark.host

STEPS = (1, 2, 3, 4, 7, 10, 20, 30, 50, 200, 1000)
NAMES = ["simple", "sgm_uniform", "normal", "karras", "exponential", "beta", "ddim_uniform",
         "linear_quadratic", "kl_optimal"]


def sampling(comfy, name):
    """One of the host's model samplings."""
    host = comfy.model_sampling
    if name in ("sd", "zsnr"):
        return discrete(comfy, name == "zsnr")
    if name.startswith("flow"):
        return flow(comfy, float(name.split()[1]))
    kind, parent, config = {
        "edm": (host.ModelSamplingContinuousEDM, host.EDM, {}),
        "svd": (host.ModelSamplingContinuousEDM, host.V_PREDICTION, {"sigma_max": 700.0}),
        "v": (host.ModelSamplingContinuousV, host.V_PREDICTION, {"sigma_max": 500.0}),
        "cosmos": (host.ModelSamplingCosmosRFlow, host.COSMOS_RFLOW, {"sigma_max": 80.0}),
        "cascade": (host.StableCascadeSampling, host.EPS, {}),
        "flux": (host.ModelSamplingFlux, host.CONST, {}),
    }[name]
    return type("Model", (kind, parent), {})(SimpleNamespace(sampling_settings=config))


MODELS = ["sd", "zsnr", "flow 1.0", "flow 1.15", "flow 3.0", "flow 8.0", "flow 12.0", "flux",
          "edm", "svd", "v", "cosmos", "cascade"]


def spec_of(host):
    from stride.host.lists.model import spec_of  # only importable where the host is

    return spec_of(host)


def contract(sigmas, steps):
    return len(sigmas) == steps + 1 and sigmas[-1] == 0 and bool((sigmas.diff() < 0).all())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_schedule_equals_the_hosts(comfy, name, model):
    """Every bit, wherever the host honours the contract; there ours is in order elsewhere."""
    assert name in comfy.stock_schedulers
    host = sampling(comfy, model)
    spec = spec_of(host)
    compared = []
    for steps in STEPS:
        theirs = comfy.samplers.calculate_sigmas(host, name, steps).float()
        ours = schedules.get(name).sigmas(spec, steps)
        assert contract(ours, steps)
        # exp(log(sigma_max)) may be above sigma_max by one rounding
        theirs = theirs.minimum(theirs.new_tensor(spec.sigma_max))
        if contract(theirs, steps):
            assert torch.equal(ours, theirs), steps
            compared.append(steps)
    assert len(compared) >= 3, f"the host honours the contract only at {compared}"


def test_no_schedule_of_the_host_is_missing(comfy):
    assert sorted(NAMES) == sorted(comfy.stock_schedulers)


@pytest.mark.parametrize(
    "name, steps, broken",
    [("kl_optimal", 1, "nan"), ("ddim_uniform", 6, "long"), ("ddim_uniform", 30, "long"),
     ("ddim_uniform", 1000, "short"), ("beta", 139, "short"), ("beta", 1000, "short")],
)
def test_what_the_host_breaks(comfy, name, steps, broken):
    """Of 1 to 1000 steps on SD, ddim_uniform has a wrong count at 978 and beta at 862."""
    host = sampling(comfy, "sd")
    theirs = comfy.samplers.calculate_sigmas(host, name, steps)
    if broken == "nan":
        assert theirs.isnan().any()
    else:
        assert len(theirs) > steps + 1 if broken == "long" else len(theirs) < steps + 1
    assert contract(schedules.get(name).sigmas(spec_of(host), steps), steps)


def another_packs(model_sampling, steps):
    """Of unequal steps, so that no two lists of it share their inner levels."""
    levels = 1 - torch.linspace(0.0, 1.0, steps + 1) ** 1.5
    return levels * float(model_sampling.sigma_max)


@pytest.mark.parametrize("sampler", ["euler", "dpm_2", "uni_pc"])
@pytest.mark.parametrize("steps, denoise", [(1, 1.0), (2, 1.0), (6, 1.0), (6, 0.6), (7, 0.35)])
@pytest.mark.parametrize("schedule", ["karras", "another_packs"])
def test_a_ksamplers_sigmas_are_the_hosts(comfy, monkeypatch, schedule, sampler, steps, denoise):
    """Ours and one that we do not know, with one step more planned where the host does so."""
    from stride.host.lists.names import pair
    from stride.host.sampling import sigmas_for

    lists, theirs = comfy.samplers, comfy.samplers.KSampler
    names = [*lists.SCHEDULER_NAMES, "another_packs"]
    monkeypatch.setattr(lists, "SCHEDULER_NAMES", names)
    monkeypatch.setattr(theirs, "SCHEDULERS", names)
    handler = lists.SchedulerHandler(another_packs)
    monkeypatch.setitem(lists.SCHEDULER_HANDLERS, "another_packs", handler)
    host = sampling(comfy, "sd")
    model = SimpleNamespace(get_model_object=lambda name: host)
    expected = theirs(model, steps, "cpu", sampler, schedule, denoise).sigmas
    assert expected.shape == (steps + 1,)
    spare = sampler in theirs.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
    found = sigmas_for(model, pair(sampler, schedule)[1], steps, denoise, spare)
    assert torch.equal(found, expected.minimum(found.new_tensor(spec_of(host).sigma_max)))


# Curves that the host has as nodes only ----------------------------------------------------------


def node(name, **inputs):
    from comfy_extras import nodes_custom_sampler, nodes_flux, nodes_lt

    for module in (nodes_custom_sampler, nodes_flux, nodes_lt):
        if hasattr(module, name):
            return getattr(module, name).execute(**inputs).args[0]
    pytest.skip(f"this host has no {name}")


@pytest.mark.parametrize("steps", STEPS)
def test_curves_of_the_scheduler_nodes(comfy, steps):
    host = sampling(comfy, "sd")
    spec = spec_of(host)
    ends = dict(sigma_max=spec.sigma_max, sigma_min=spec.sigma_min)
    for name, theirs, options in (
        ("karras", "KarrasScheduler", {"rho": 5.0}),
        ("polyexponential", "PolyexponentialScheduler", {"rho": 1.5}),
    ):
        expected = node(theirs, steps=steps, **ends, **options)
        expected = expected.minimum(expected.new_tensor(spec.sigma_max))
        assert torch.equal(schedules.get(name).sigmas(spec, steps, **options), expected)
    alpha_beta = dict(alpha=0.5, beta=0.7)
    model = SimpleNamespace(get_model_object=lambda name: host)
    expected = node("BetaSamplingScheduler", model=model, steps=steps, **alpha_beta)
    if contract(expected, steps):
        assert torch.equal(schedules.get("beta57").sigmas(spec, steps), expected)


@pytest.mark.parametrize("steps", [n for n in STEPS if n < 1000])
def test_laplace_and_vp(comfy, steps):
    """The host's laplace has no final 0; its vp does not look at the model."""
    spec = spec_of(sampling(comfy, "svd"))
    ends = dict(sigma_max=spec.sigma_max, sigma_min=spec.sigma_min)
    expected = node("LaplaceScheduler", steps=steps, mu=0.3, beta=0.5, **ends)
    assert len(expected) == steps
    found = schedules.get("laplace").sigmas(spec, steps, mu=0.3)
    torch.testing.assert_close(found[:-1], expected, rtol=2e-5, atol=0)
    expected = node("VPScheduler", steps=steps, beta_d=19.9, beta_min=0.1, eps_s=0.001)
    found = schedules.get("vp").sigmas(spec, steps)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("tokens", [600, 4096, 20000])
@pytest.mark.parametrize("steps", STEPS)
def test_ltxv(comfy, steps, tokens):
    spec = spec_of(sampling(comfy, "flow 1.0"))
    latent = {"samples": torch.zeros(1, 1, tokens // 200, 10, 20)}
    tokens = tokens // 200 * 200
    for stretch in (True, False):
        shifts = dict(max_shift=2.05, base_shift=0.95, stretch=stretch, terminal=0.1)
        expected = node("LTXVScheduler", steps=steps, latent=latent, **shifts)
        found = schedules.get("ltxv").sigmas(spec, steps, tokens=tokens, **shifts)
        if stretch and steps == 1:
            assert expected.isnan().any() and found.tolist() == [1.0, 0.0]
        else:
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("width, height", [(512, 512), (1024, 1024), (1000, 700), (2048, 1024)])
@pytest.mark.parametrize("steps", [n for n in STEPS if n <= 200])
def test_flux2(comfy, steps, width, height):
    spec = spec_of(sampling(comfy, "flux"))
    expected = node("Flux2Scheduler", steps=steps, width=width, height=height)
    found = schedules.get("flux2").sigmas(spec, steps, width=width, height=height)
    torch.testing.assert_close(found, expected, rtol=2e-5, atol=0)


@pytest.mark.parametrize("model", MODELS)
def test_our_own_specs_are_the_hosts(comfy, model):
    """The models of ``ModelSpec`` beside the host's, for use without it."""
    made = {
        "sd": schedules.ModelSpec.discrete(), "edm": schedules.ModelSpec.edm(),
        "zsnr": schedules.ModelSpec.discrete(zero_terminal_snr=True),
        "svd": schedules.ModelSpec.svd(), "cosmos": schedules.ModelSpec.cosmos(),
        "flux": schedules.ModelSpec.flux(),
    }.get(model)
    if model.startswith("flow"):
        made = schedules.ModelSpec.flow(float(model.split()[1]))
    if made is None:
        pytest.skip("the host's alone")
    host = spec_of(sampling(comfy, model))
    torch.testing.assert_close(
        torch.from_numpy(made.sigmas).float(), torch.from_numpy(host.sigmas), rtol=2e-5, atol=0
    )
    assert made.process is host.process
    for name in ("normal", "sgm_uniform", "simple", "karras"):
        ours, theirs = (schedules.get(name).sigmas(spec, 20) for spec in (made, host))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=0)
