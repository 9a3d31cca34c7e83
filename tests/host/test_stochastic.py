"""Where the host's stochastic samplers differ from ours, and that nothing else does."""

import pytest
import torch
from host_models import Denoiser, agree, models
from stride import samplers, schedules

pytestmark = pytest.mark.host

NAMES = ("dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "er_sde", "sa_solver",
         "sa_solver_pece")  # fmt: skip


def window(name, sampling):
    """Options of SA-Solver for the host's window: between 0.2 and 0.8 of this model's time."""
    if not name.startswith("sa_solver"):
        return {}
    first, last = (float(sampling.percent_to_sigma(part)) for part in (0.2, 0.8))
    return {"tau_start": first / (1 - first), "tau_end": last / (1 - last)}


@pytest.mark.parametrize("model", ["flow", "flow_unshifted"])
@pytest.mark.parametrize("steps", [1, 2, 8, 30])
@pytest.mark.parametrize("name", NAMES)
def test_a_flow_run_from_sigma_1_starts_lower_in_the_host(comfy, name, steps, model):
    """Log-SNR is minus infinity at 1, so the host moves that level down; from there we agree.

    It then extrapolates through the answer at the moved level. We keep the level and leave its
    answer out of later steps.
    """
    sampling, spec = models(comfy)[model]
    sigmas = schedules.get("simple").sigmas(spec, steps).double()
    assert sigmas[0] == 1
    moved = sigmas.clone()
    moved[0] = sampling.percent_to_sigma(1e-4)
    assert moved[0] < 1
    agree(comfy, name, spec.process, sigmas, moved, Denoiser(sampling), Denoiser(sampling),
          **window(name, sampling))  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_flow_run_from_below_sigma_1_is_the_hosts(comfy, name):
    sampling, spec = models(comfy)["flow"]
    sigmas = schedules.get("simple").sigmas(spec, 12).double()[4:]
    agree(comfy, name, spec.process, sigmas, sigmas, Denoiser(sampling), Denoiser(sampling),
          **window(name, sampling))  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_our_flow_run_from_sigma_1_asks_the_model_at_sigma_1(comfy, name):
    """The level that a flow model is trained to start from, and nothing of x is kept there."""
    sampling, spec = models(comfy)["flow"]
    asked = []

    def denoise(x, sigma):
        asked.append(float(sigma[0]))
        return Denoiser(sampling)(x, sigma)

    sigmas = schedules.get("simple").sigmas(spec, 6)
    out = samplers.sample(name, denoise, torch.randn(1, 4, 8, 8), sigmas, spec.process)
    assert asked[0] == 1.0 and torch.isfinite(out).all()


@pytest.mark.parametrize("steps", [2, 8, 30])
@pytest.mark.parametrize(
    "settings, options",
    [
        ({"simple_order_2": True, "predictor_order": 2, "corrector_order": 2},) * 2,
        ({"use_pece": True, "predictor_order": 4, "corrector_order": 3},
         {"pece": True, "predictor_order": 4, "corrector_order": 3}),
        ({"corrector_order": 0},) * 2,
    ],
)  # fmt: skip
def test_options_of_sa_solver_are_the_hosts(comfy, settings, options, steps, monkeypatch):
    sampling, spec = models(comfy)["sd"]
    theirs = comfy.k_diffusion.sample_sa_solver
    # ``agree`` finds its function by name, and passes the noise and nothing else.
    monkeypatch.setattr(
        comfy.k_diffusion, "sample_sa_solver",
        lambda *args, noise_sampler, **kwargs: theirs(
            *args, noise_sampler=noise_sampler, **kwargs, **settings),
    )  # fmt: skip
    sigmas = schedules.get("karras").sigmas(spec, steps).double()
    agree(comfy, "sa_solver", spec.process, sigmas, sigmas, Denoiser(sampling), Denoiser(sampling),
          **options)  # fmt: skip


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_options_of_er_sde_are_the_hosts(comfy, eta, stage, monkeypatch):
    """The host's node gives f(s) = s^(1 + eta) for its reverse-time SDE."""
    sampling, spec = models(comfy)["sd"]
    theirs = comfy.k_diffusion.sample_er_sde
    monkeypatch.setattr(
        comfy.k_diffusion, "sample_er_sde",
        lambda *args, noise_sampler, **kwargs: theirs(
            *args, noise_sampler=noise_sampler, noise_scaler=lambda s: s ** (1 + eta),
            max_stage=stage, **kwargs),
    )  # fmt: skip
    sigmas = schedules.get("karras").sigmas(spec, 9).double()
    agree(comfy, "er_sde", spec.process, sigmas, sigmas, Denoiser(sampling), Denoiser(sampling),
          scaler="sde", eta=eta, max_stage=stage)  # fmt: skip
