"""A1111's runs in the host: its float32 table, its fractional timesteps on a MODEL, its noise."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import comfy.model_sampling
import comfy.samplers
import torch

from ..a1111.run import Model, plan
from ..a1111.settings import Settings
from ..samplers import FLOW, VE
from ..schedules import ModelSpec
from . import latents
from .asked import Asked, Setup
from .lists.model import family_of, process_of
from .run.noise import HostNoise
from .run.ours import HostRun, Terms
from .run.watch import Duties

_TABLE = 1000  # noise levels of the models that A1111 1.10.1 runs
_DISCRETE = comfy.model_sampling.ModelSamplingDiscrete


def setup(
    model: Any, asked: Asked, latent: dict[str, Any], settings: Settings, duties: Duties
) -> Setup:
    """A run as A1111 1.10.1 does it. Raises ValueError for what it has not."""
    first, last = asked.window or (0, asked.steps)
    if first > 0 or last < asked.steps or not asked.add_noise:
        raise ValueError(
            "an A1111 run cannot be split: its noise is drawn in order from one stream, so the "
            "second part would draw other noise; use start_at_step 0, end_at_step at least steps "
            "and add_noise enable"
        )
    choice, samples = asked.choice, latent["samples"]
    model, known, note = _as_theirs(model, settings)
    sampling = model.get_model_object("model_sampling")
    picture = asked.denoise < 1 or bool(torch.count_nonzero(samples))
    made = plan(
        choice.sampler.name, choice.schedule.name, asked.steps, known, settings,
        denoise=asked.denoise if picture else None,
    )
    if made.sampler.brownian and settings.noise != "cpu":
        raise ValueError(
            f"A1111's noise of '{made.sampler.name}' is a Brownian tree, which is here for its "
            "noise source CPU only; set noise to cpu in A1111 Run (Stride)"
        )
    images = latents.images(latent)
    scale = getattr(model.model.latent_format, "spacial_downscale_ratio", 8)
    noise = made.source(asked.seed, images, scale)

    def source(x: torch.Tensor) -> Any:
        if made.sampler.brownian:
            span = torch.tensor(made.span, dtype=torch.float32)
            return HostNoise(x, span, noise.seeds, True, False)
        return noise

    end = made.sigmas[-1] if made.sigmas else 0.0
    # The host divides the result of a flow model by its share of signal; A1111 does not.
    terms = Terms(
        made.latent, made.noise, made.result * process_of(sampling).alpha(end), VE, source
    )
    run = HostRun(made.sampler, made.options, images, terms=terms, duties=duties)
    return Setup(
        model, torch.tensor(made.sigmas, dtype=torch.float32), comfy.samplers.KSAMPLER(run),
        lambda hosts: noise.first(hosts.shape), (*made.notes, note), made.guidance,
    )


def _as_theirs(model: Any, settings: Settings) -> tuple[Any, Model, str | None]:
    """(a MODEL with A1111's levels and clock, its levels, what is not A1111's about it)."""
    sampling = model.get_model_object("model_sampling")
    table, process = sampling.sigmas.float().cpu().numpy(), process_of(sampling)
    if process is FLOW and len(table) == _TABLE:
        return model, Model.flow(table), None
    if process is FLOW or not isinstance(sampling, _DISCRETE):
        raise ValueError(
            "A1111 1.10.1 runs models of 1000 noise levels made from betas (SD1, SD2, SDXL) and "
            f"SD3; this MODEL has {len(table)} levels of another kind ({type(sampling).__name__})"
        )
    known, note = None, "the noise levels are this MODEL's own, as the host rounds them"
    if len(table) == _TABLE and type(sampling).timestep is _DISCRETE.timestep:
        start, end = (getattr(sampling, f"linear_{name}", None) for name in ("start", "end"))
        known = Model.like(table, start, end, family_of(model))
    if known is None:
        return model, Model(replace(ModelSpec.from_table(table), family=family_of(model))), note
    theirs = copy.deepcopy(sampling)
    if not settings.quantize:
        theirs.__class__ = type("A1111Sampling", (_Fractional, type(sampling)), {})
    theirs.set_sigmas(torch.from_numpy(known.spec.sigmas).to(sampling.sigmas.device))
    model = model.clone()
    model.add_object_patch("model_sampling", theirs)
    return model, known, None


class _Fractional:
    """The host's model sampling with timesteps that are not rounded, as k-diffusion hands them on.

    Log sigma is linear between whole timesteps.
    """

    log_sigmas: torch.Tensor  # the host's

    def timestep(self, sigma: torch.Tensor) -> torch.Tensor:
        """Timesteps shaped like ``sigma``, from 0 to the last."""
        logs, asked = self.log_sigmas, sigma.to(self.log_sigmas).log()
        low = (torch.searchsorted(logs, asked, right=True) - 1).clamp(0, len(logs) - 2)
        part = (asked - logs[low]) / (logs[low + 1] - logs[low])
        return (low + part.clamp(0.0, 1.0)).to(sigma.device)
