"""Another pack, as packs register a sampler and a schedule of their own with the host."""

import comfy.k_diffusion.sampling
import comfy.samplers
import torch

NODE_CLASS_MAPPINGS = {}


def sample_neighbour_halves(
    model, x, sigmas, extra_args=None, callback=None, disable=None, share=0.5
):
    """Not a method of anybody: every step goes a share of the way to the denoised latent."""
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i] * x.new_ones([x.shape[0]]), **(extra_args or {}))
        if callback is not None:
            callback({"i": i, "x": x, "denoised": denoised, "sigma": sigmas[i],
                      "sigma_hat": sigmas[i]})
        x = torch.lerp(x, denoised, share)
    return x


def neighbour_line(model_sampling, steps):
    return torch.linspace(float(model_sampling.sigma_max), 0.0, steps + 1)


def neighbour_fall(n, sigma_min, sigma_max):
    """Of the host's other kind, which is told the ends instead of the model."""
    return torch.cat([sigma_max * (sigma_min / sigma_max) ** torch.linspace(0, 1, n),
                      torch.zeros(1)])


comfy.k_diffusion.sampling.sample_neighbour_halves = sample_neighbour_halves
comfy.samplers.KSampler.SAMPLERS.append("neighbour_halves")
for curve, use_ms in ((neighbour_line, True), (neighbour_fall, False)):
    handler = comfy.samplers.SchedulerHandler(curve, use_ms=use_ms)
    comfy.samplers.SCHEDULER_HANDLERS[curve.__name__] = handler
    comfy.samplers.KSampler.SCHEDULERS.append(curve.__name__)
