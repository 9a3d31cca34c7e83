"""What tests beside the host share: its models as we see them, and one comparison of a sampler."""

import inspect
from types import SimpleNamespace

import torch
from stride import samplers, schedules


def _sampling(comfy, schedule, prediction, **settings):
    """The two classes put together, as the host does it."""
    parts = (getattr(comfy.model_sampling, schedule), getattr(comfy.model_sampling, prediction))
    return type("Sampling", parts, {})(**settings)


def discrete(comfy, zsnr=False):
    return _sampling(comfy, "ModelSamplingDiscrete", "EPS", zsnr=zsnr)


def flow(comfy, shift=3.0):
    sampling = _sampling(comfy, "ModelSamplingDiscreteFlow", "CONST")
    sampling.set_parameters(shift=shift)
    return sampling


def spec_of(sampling, process):
    """Our facts of a model, asked of the host's model sampling as the nodes ask for them."""
    return schedules.ModelSpec(
        process,
        sampling.sigmas.numpy(),
        timestep=lambda sigma: float(sampling.timestep(torch.tensor(sigma))),
        sigma=lambda times: sampling.sigma(torch.as_tensor(times)).numpy(),
    )


def models(comfy):
    """Pairs of the host's model sampling and our facts of the same model."""
    made = {
        "sd": (discrete(comfy), samplers.VE),
        "zsnr": (discrete(comfy, True), samplers.VE),
        "flow": (flow(comfy), samplers.FLOW),
        "flow_unshifted": (flow(comfy, 1.0), samplers.FLOW),
    }
    return {name: (model, spec_of(model, process)) for name, (model, process) in made.items()}


class Denoiser:
    """A smooth nonlinear D(x, sigma) that says what the host's functions ask a model for."""

    def __init__(self, sampling):
        self.inner_model = SimpleNamespace(
            inner_model=SimpleNamespace(model_sampling=sampling),
            model_patcher=SimpleNamespace(get_model_object=lambda name: sampling),
        )
        self.calls = 0

    def __call__(self, x, sigma, **extra_args):
        self.calls += 1
        sigma = sigma.reshape(-1, 1, 1, 1)
        return torch.tanh(x / (1 + sigma)) + 0.1 * torch.sin(3 * x / (1 + sigma))


class Guided(Denoiser):
    """A model with guidance: it answers (denoised, unconditional), as ours ask for it.

    The host's functions get the denoised alone, through the host's own guidance code, which
    hands the unconditional answer to their hook.
    """

    SCALE = 1.7

    def __init__(self, sampling, comfy=None):
        super().__init__(sampling)
        self.comfy = comfy

    def __call__(self, x, sigma, model_options=None):
        cond = super().__call__(x, sigma)
        uncond = torch.tanh(0.6 * x / (1 + sigma.reshape(-1, 1, 1, 1))) - 0.05
        if self.comfy is None:
            return uncond + (cond - uncond) * self.SCALE, uncond
        return self.comfy.samplers.cfg_function(
            None, cond, uncond, self.SCALE, x, sigma, model_options=model_options
        )


def compare(comfy, name, spec, steps, schedule, their_model, our_model):
    """Run the host's function and our table on one list of sigmas, see ``agree``."""
    # In double precision, so that only a difference of the formulas can show.
    sigmas = schedules.get(schedule).sigmas(spec, steps).double()
    agree(comfy, name, spec.process, sigmas, sigmas, their_model, our_model)


def agree(comfy, name, process, sigmas, our_sigmas, their_model, our_model, **ours):
    """Run the host's function and our table on the same noise; all must agree to rounding.

    our_sigmas, ours: our list and options, where the host changes its list or its own by itself.
    """
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)).double() * sigmas[0]
    function = getattr(comfy.k_diffusion, f"sample_{name}")
    options, rounding = {}, 1e-9
    if "noise_sampler" in inspect.signature(function).parameters:
        # One Brownian path for both; it is float32, and continuous in sigma's last bits.
        path, rounding = samplers.PathNoise(3, range(2)), 1e-4
        options["noise_sampler"] = lambda sigma, sigma_next: path(
            x, samplers.Draw(1.0, float(sigma), float(sigma_next))
        )
    theirs = function(their_model, x.clone(), sigmas, disable=True, **options)
    plan = lambda s, process: samplers.get(name).plan(s, process, **ours)  # noqa: E731
    found = samplers.run(
        plan, our_model, x.clone(), our_sigmas, process, noise=samplers.PathNoise(3, range(2))
    ).x
    assert our_model.calls == their_model.calls
    torch.testing.assert_close(found, theirs, rtol=rounding, atol=rounding)
