"""Our entries in the host's lists, and every name that a user can pick."""

from __future__ import annotations

import logging
from collections.abc import Callable

import comfy.k_diffusion.sampling
import comfy.samplers
import torch

from .. import registry, samplers, schedules
from ..samplers import Sampler
from .model import spec_of
from .run import HostRun

PREFIX = "stride_"  # ours in the host's own dropdowns; plain names there belong to the host
REGISTRIES = {"sampler": samplers.REGISTRY, "schedule": schedules.REGISTRY}
log = logging.getLogger("stride")


_reported: set[str] = set()  # names of ours that belong to another pack, as the log was told


def register() -> list[str]:
    """Add ours to the host's lists, in place, once; returns the names that were taken already.

    What is registered with us later is added when it comes. Lists are appended to and never
    rebound or reordered, nothing of the host's is replaced, and a name that somebody else has
    registered stays theirs.
    """
    shadowed = []
    functions, handlers = comfy.k_diffusion.sampling, comfy.samplers.SCHEDULER_HANDLERS
    for sampler in samplers.REGISTRY:
        name = PREFIX + sampler.name
        there = getattr(functions, f"sample_{name}", None)
        if there is None:
            setattr(functions, f"sample_{name}", _registered(sampler))
        elif not hasattr(there, "stride"):
            shadowed.append(name)
            continue
        _append(name, comfy.samplers.SAMPLER_NAMES, comfy.samplers.KSampler.SAMPLERS)
    for schedule in schedules.REGISTRY:
        name = PREFIX + schedule.name
        there = handlers.get(name)
        if there is None:
            handlers[name] = comfy.samplers.SchedulerHandler(_handler(schedule))
        elif not hasattr(there.handler, "stride"):
            shadowed.append(name)
            continue
        _append(name, comfy.samplers.SCHEDULER_NAMES, comfy.samplers.KSampler.SCHEDULERS)
    for ours in (samplers.REGISTRY, schedules.REGISTRY):
        ours.watch(register)
    if news := [name for name in shadowed if name not in _reported]:
        log.warning("Stride: another pack already registered %s", ", ".join(news))
        _reported.update(news)
    return shadowed


def _append(name: str, *lists: list[str]) -> None:
    for names in lists:  # usually one list under two names; other packs may have split them
        if name not in names:
            names.append(name)


def _registered(sampler: Sampler) -> Callable[..., torch.Tensor]:
    def sample(model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
        run = HostRun(sampler, options)
        return run(model, x, sigmas, extra_args, callback, disable)

    sample.stride = sampler.name
    return sample


def _handler(schedule: schedules.Schedule) -> Callable[..., torch.Tensor]:
    def handler(model_sampling, steps):
        return schedule.sigmas(spec_of(model_sampling), steps)

    handler.stride = schedule.name
    return handler


def sampler_names() -> list[str]:
    """Our samplers, then every other one that the host has now."""
    return _ours_first(samplers.REGISTRY, comfy.samplers.SAMPLER_NAMES)


def schedule_names() -> list[str]:
    """Our schedules, then every other one that the host has now."""
    return _ours_first(schedules.REGISTRY, comfy.samplers.SCHEDULER_NAMES)


def _ours_first(ours: registry.Registry, theirs: list[str]) -> list[str]:
    return ours.names + [n for n in theirs if not ours.spells(n) and not n.startswith(PREFIX)]


def problem_with(sampler: str | None = None, schedule: str | None = None) -> str | None:
    """What is wrong with the names, with the nearest ones; None where both are known."""
    for kind, name, ours, names in (
        ("sampler", sampler, samplers.REGISTRY, sampler_names()),
        ("schedule", schedule, schedules.REGISTRY, schedule_names()),
    ):
        if isinstance(name, str) and plain(name) not in ours and name not in names:
            return registry.unknown(kind, name, names)
    return None


def plain(name: str) -> str:
    return name.removeprefix(PREFIX)


def canonical(kind: str, name: str) -> str:
    """The one name of a sampler or schedule of ours, however it is spelled; others as they are."""
    ours = REGISTRIES[kind]
    return ours.get(plain(name)).name if plain(name) in ours else name
