"""Our entries in the host's lists, and every name that a user can pick."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import comfy.k_diffusion.sampling
import comfy.samplers
import torch

from ... import names, registry, samplers, schedules
from ...names import PREFIX, plain
from ...samplers import Sampler
from ..run.ours import HostRun
from .model import spec_of

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
    for listed in lists:  # usually one list under two names; other packs may have split them
        if name not in listed:
            listed.append(name)


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
    return _ours_first("sampler")


def schedule_names() -> list[str]:
    """Our schedules, then every other one that the host has now."""
    return _ours_first("schedule")


def _ours_first(kind: str) -> list[str]:
    ours = REGISTRIES[kind]
    theirs = (n for n in _hosts(kind) if not ours.spells(n) and not n.startswith(PREFIX))
    return [*ours.names, *theirs]


def _hosts(kind: str) -> list[str]:
    """The host's list as it is now. Ours have a prefix in it; plain names belong to the host."""
    lists = comfy.samplers
    return lists.SAMPLER_NAMES if kind == "sampler" else lists.SCHEDULER_NAMES


class Found(NamedTuple):
    """A run's names as a dropdown has them, and the options that the names imply."""

    sampler: str
    schedule: str
    options: dict[str, Any] = {}
    schedule_options: dict[str, Any] = {}

    def into(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a run with the implied options where it has none of its own."""
        implied = {"options": self.options, "schedule_options": self.schedule_options}
        joined = {k: {**v, **(asked.get(k) or {})} for k, v in implied.items() if v}
        return {**asked, **joined}


def pair(sampler: str, schedule: str) -> Found:
    """What a node's two inputs mean, in any program's spelling; see ``names.resolve``.

    A name that somebody has registered is theirs, and stays as it is, like an exact one of ours.
    Raises ValueError for an unknown name, with the nearest ones, and for a combined name whose
    schedule is another one than the schedule input's.
    """
    known, curve_known = _listed("sampler", sampler), _listed("schedule", schedule)
    if known and curve_known:
        return Found(sampler, schedule)
    with _nearest(sampler, schedule):
        if known and ours("sampler", sampler) is None:
            return Found(sampler, names.schedule_named(schedule))
        foreign = curve_known and ours("schedule", schedule) is None
        found = names.resolve(sampler, None if foreign else schedule)
        if foreign and found.schedule and not names.is_class(sampler):
            raise ValueError(names.contradiction(sampler, found.schedule, schedule))
        curve = schedule if curve_known else found.schedule
        if curve is None:
            raise ValueError(f"'{schedule}' names no schedule; choose one")
        levels = found.schedule_options if curve == found.schedule else {}
        return Found(sampler if known else found.sampler, curve, {**found.options}, {**levels})


def apart(sampler: str, schedule: str) -> tuple[str, str]:
    """(sampler, schedule) of a combined name; what is given where the name is a sampler's alone."""
    if _listed("sampler", sampler) or names.is_class(sampler):
        return sampler, schedule
    found = names.resolve(sampler)
    return (found.sampler, found.schedule) if found.schedule else (sampler, schedule)


def alone(sampler: str) -> tuple[str, dict[str, Any]]:
    """(name, options) of a sampler without a schedule beside it; a combined name is refused."""
    if _listed("sampler", sampler):
        return sampler, {}
    with _nearest(sampler):
        found = names.resolve(sampler)
    if found.schedule and not names.is_class(sampler):
        raise ValueError(
            f"'{sampler}' is a sampler and a schedule; here it is '{found.sampler}', and "
            f"'{found.schedule}' is for a schedule input"
        )
    return found.sampler, {**found.options}


def _listed(kind: str, name: str) -> bool:
    """Whether a name is exactly one of ours, or of the host's lists."""
    if names.is_class(name):
        return False
    return REGISTRIES[kind].spells(plain(name)) or name in _hosts(kind)


@contextmanager
def _nearest(sampler: str | None = None, schedule: str | None = None) -> Iterator[None]:
    """An unknown name is told with the nearest of all that the dropdowns have."""
    try:
        yield
    except registry.UnknownName as error:
        for kind, name, known_names in (("sampler", sampler, sampler_names),
                                  ("schedule", schedule, schedule_names)):
            known = REGISTRIES[kind]
            if name is not None and f"unknown {kind} '{name}'" in str(error):
                raise ValueError(
                    registry.unknown(kind, name, known_names(), known.spellings)
                ) from None
        raise


def problem_with(sampler: str | None = None, schedule: str | None = None) -> str | None:
    """What is wrong with the names, with the nearest ones; None where both are known.

    A name alone may be a combined one.
    """
    try:
        if isinstance(sampler, str) and isinstance(schedule, str):
            pair(sampler, schedule)
        elif isinstance(schedule, str) and not _listed("schedule", schedule):
            with _nearest(schedule=schedule):
                names.schedule_named(schedule)
        elif isinstance(sampler, str) and not _listed("sampler", sampler):
            with _nearest(sampler):
                names.resolve(sampler)
    except ValueError as error:
        return str(error)
    return None


def ours(kind: str, name: str) -> registry.Entry | None:
    """The entry of ours behind a name; None for what the host or another pack calls so."""
    known = REGISTRIES[kind]
    if not known.spells(plain(name)) and name in _hosts(kind):
        return None
    return known.get(plain(name)) if plain(name) in known else None


def canonical(kind: str, name: str) -> str:
    """The one name of a sampler or schedule of ours, however it is spelled; others as they are."""
    if entry := ours(kind, name):
        return entry.name
    if name not in _hosts(kind):
        try:
            return names.resolve(name).sampler if kind == "sampler" else (
                names.schedule_named(name)
            )
        except ValueError:
            pass
    return name
