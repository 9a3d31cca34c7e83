"""Sigmas for a MODEL and a SAMPLER by name: the parts of a run."""

from __future__ import annotations

from typing import Any

import comfy.samplers
import torch

from .. import schedules
from .lists.model import family_of, spec_of
from .lists.names import alone, canonical, ours, problem_with
from .run.ours import HostRun, TheirRun


def sigmas_for(
    model: Any, schedule: str, steps: int, denoise: float = 1.0, spare: bool = False,
    options: dict[str, Any] | None = None,
) -> torch.Tensor:
    """The sigmas of ``schedule`` for a host MODEL, float32 on the CPU.

    spare: plan one step more and drop the value before the last, as the host does for some of
    its own samplers. options: the schedule's own, for one of ours. Names of other packs go
    through the host's handler.
    """
    options = options or {}
    if problem := problem_with(schedule=schedule):
        raise ValueError(problem)
    schedule = canonical("schedule", schedule)
    model_sampling = model.get_model_object("model_sampling")
    steps = schedules.check_steps(schedule, steps)
    planned = schedules.planned_steps(schedule, steps, denoise)
    if planned == 0:
        return torch.empty(0)
    if entry := ours("schedule", schedule):
        spec = spec_of(model_sampling, family_of(model))
        spare = spare and not entry.counts  # a distilled model knows its own levels only
        return entry.sigmas(spec, steps, denoise, discard_penultimate=spare, **options)
    refuse_options(schedule, options)
    sigmas = comfy.samplers.calculate_sigmas(model_sampling, schedule, planned + spare).cpu()
    if spare:
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    return sigmas[-(steps + 1) :]


def note_on(
    model: Any, schedule: str, steps: int, options: dict[str, Any] | None = None
) -> str | None:
    """What a person should know of one of our schedules on this MODEL, or None."""
    entry = ours("schedule", canonical("schedule", schedule))
    if entry is None:
        return None
    spec = spec_of(model.get_model_object("model_sampling"), family_of(model))
    return entry.note(spec, steps, **(options or {}))


def sampler_object(name: str, options: dict[str, Any] | None = None, **run: Any) -> Any:
    """The host's SAMPLER for a name: ours by name, label or alias, else the host's own.

    options: the sampler's own, for one of ours. run: further fields of ``HostRun``; of a sampler
    that is not ours, of ``TheirRun``. A name that nobody has, and an option that the sampler does
    not have, raise ValueError.
    """
    name, implied = alone(name)
    options = {**implied, **(options or {})}
    if entry := ours("sampler", name):
        entry.configure(**options)
        on_device = name.endswith("_gpu")
        return comfy.samplers.KSAMPLER(HostRun(entry, options, on_device=on_device, **run))
    refuse_options(name, options)
    theirs = comfy.samplers.sampler_object(name)
    if hasattr(theirs, "sampler_function"):
        theirs.sampler_function = TheirRun(theirs.sampler_function, **run)
    return theirs


def refuse_options(name: str, options: dict[str, Any]) -> None:
    """A sampler or schedule of the host or of another pack has no options that we could set."""
    if options:
        raise ValueError(
            f"'{name}' is not one of Stride's and takes no options here, got {', '.join(options)}"
        )
