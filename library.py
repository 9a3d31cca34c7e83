"""The pack as a plain torch library: what takes a sampler and a schedule together.

>>> x = stride.sample(denoise, noise * sigma_max, "dpmpp_2m", "karras", 20, seed=1, eta=0.5)
>>> stepper = stride.stepper("heun", "karras", 20, prediction="v")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from . import samplers, schedules
from .engine.model import Denoise
from .engine.noise import source
from .names import is_class, resolve
from .samplers import FLOW, VE, Process, Stepper
from .schedules import ModelSpec


def sample(
    denoise: Denoise, x: torch.Tensor, sampler: str = "dpmpp_2m",
    schedule: str | None = None, steps: int | None = None, model: ModelSpec | None = None, *,
    sigmas: Sequence[float] | None = None, process: Process | None = None,
    schedule_options: Mapping[str, Any] | None = None, seed: int = 0, **options: Any,
) -> torch.Tensor:
    """Sample from x with a sampler and a schedule, and return the latent at the last sigma.

    denoise: (x [B, ...], sigma [B]) -> the clean latent. x: the noisy latent at the first sigma
    (from pure noise: unit noise times ``model.sigma_max``). sampler, schedule: any names that
    ``resolve`` takes ("Euler a Karras"). schedule, steps: 20 steps of "simple" unless said; or
    ``sigmas``, a list of your own, with ``process`` or ``model``: falling, or whatever else
    docs/levels.md tells of.
    model: noise levels of the model, SD1.5's and SDXL's unless given. schedule_options: the
    schedule's own, and ``denoise`` (0..1) for a part of the way. seed: keys fresh noise.
    options: the sampler's own. Raises ValueError on bad input.
    """
    sampler, schedule, schedule_options, options = _named(
        sampler, schedule, schedule_options, options, sigmas
    )
    levels, process, _ = plan(schedule, steps, model, sigmas, process, schedule_options)
    return samplers.sample(sampler, denoise, x, levels, process, seed=seed, **options)


def stepper(
    sampler: str = "dpmpp_2m", schedule: str | None = None, steps: int | None = None,
    model: ModelSpec | None = None, *, prediction: str | None = None,
    sigmas: Sequence[float] | None = None, process: Process | None = None,
    schedule_options: Mapping[str, Any] | None = None, seed: int = 0, **options: Any,
) -> Stepper:
    """A sampler for a loop of your own, as ``samplers.Stepper`` tells.

    prediction: "eps", "v", "sample" or "flow"; eps on VE and flow on FLOW models unless said.
    The other arguments are those of ``sample``.
    """
    sampler, schedule, schedule_options, options = _named(
        sampler, schedule, schedule_options, options, sigmas
    )
    levels, process, spec = plan(schedule, steps, model, sigmas, process, schedule_options)
    entry = samplers.get(sampler)
    chosen = entry.configure(**options)
    table = entry.planned(samplers.check_sigmas(levels, process), process, chosen)
    fits = "flow" if process is FLOW else "eps"
    noise = partial(source, chosen, seed, brownian=entry.brownian)
    return Stepper(table, spec, prediction or fits, noise=noise)


def _named(
    sampler: str, schedule: str | None, schedule_options: Mapping[str, Any] | None,
    options: Mapping[str, Any], sigmas: Sequence[float] | None,
) -> tuple[str, str | None, Mapping[str, Any] | None, dict[str, Any]]:
    """Our names for any program's, with the options that they imply under those that are given."""
    pair = resolve(sampler, schedule)
    options = {**pair.options, **options}
    if sigmas is not None and is_class(sampler):
        return pair.sampler, schedule, schedule_options, options
    if pair.schedule_options:
        schedule_options = {**pair.schedule_options, **(schedule_options or {})}
    return pair.sampler, pair.schedule, schedule_options, options


def plan(
    schedule: str | None, steps: int | None, model: ModelSpec | None,
    sigmas: Sequence[float] | None, process: Process | None,
    schedule_options: Mapping[str, Any] | None,
) -> tuple[Sequence[float], Process, ModelSpec]:
    """(sigmas, process, model) of a run from what was said of it."""
    if model is None:
        model = ModelSpec.flow() if process is FLOW else ModelSpec.discrete()
    if process not in (None, model.process):
        raise ValueError(f"process {process.name} does not fit a {model.process.name} model")
    if sigmas is not None:
        if any(said is not None for said in (schedule, steps, schedule_options)):
            raise ValueError("give sigmas, or a schedule with its steps and options, not both")
        return sigmas, model.process, model
    curve, count = schedules.get(schedule or "simple"), 20 if steps is None else steps
    levels = curve.sigmas(model, count, **(schedule_options or {}))
    return levels.tolist(), model.process, model


__all__ = ["FLOW", "VE", "ModelSpec", "Stepper", "sample", "stepper"]
