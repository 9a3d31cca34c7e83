"""Our entries in the host's lists, and what a person's name of a sampler or a schedule means."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import comfy.k_diffusion.sampling
import comfy.samplers
import torch

from ... import names, registry, samplers, schedules
from ...names import PREFIX, plain
from ...registry import Entry, Options
from ...samplers import Sampler
from ...schedules import Schedule
from ..run.function import signature
from ..run.ours import HostRun
from .model import spec_of

REGISTRIES: Mapping[str, registry.Registry[Any]] = {
    "sampler": samplers.REGISTRY, "schedule": schedules.REGISTRY,
}
log = logging.getLogger("stride")


# Registration -----------------------------------------------------------------------------------


def register() -> list[str]:
    """Add ours to the host's lists, in place, once; returns the names that were taken already.

    What is registered with us later is added when it comes. Lists are appended to and never
    rebound or reordered, nothing of the host's is replaced, and a name that somebody else has
    registered stays theirs.
    """
    shadowed = [
        PREFIX + entry.name for known in REGISTRIES.values() for entry in known if not _add(entry)
    ]
    if shadowed:
        log.warning("Stride: another pack already registered %s", ", ".join(shadowed))
    for known in REGISTRIES.values():
        known.watch(_add_later)
    return shadowed


def _add_later(entry: Sampler | Schedule) -> None:
    if not _add(entry):
        log.warning("Stride: another pack already registered %s", PREFIX + entry.name)


def _add(entry: Sampler | Schedule) -> bool:
    """Add one entry; False where another pack has its name."""
    name, host = PREFIX + entry.name, comfy.samplers
    if isinstance(entry, Sampler):
        functions = vars(comfy.k_diffusion.sampling)
        if not hasattr(functions.setdefault(f"sample_{name}", _registered(entry)), "stride"):
            return False
        lists = host.SAMPLER_NAMES, host.KSampler.SAMPLERS
    else:
        made = host.SchedulerHandler(_handler(entry))
        if not hasattr(host.SCHEDULER_HANDLERS.setdefault(name, made).handler, "stride"):
            return False
        lists = host.SCHEDULER_NAMES, host.KSampler.SCHEDULERS
    for listed in lists:  # usually one list under two names; other packs may have split them
        if name not in listed:
            listed.append(name)
    return True


def _registered(sampler: Sampler) -> Callable[..., torch.Tensor]:
    run = HostRun(sampler, sampler.options)

    def sample(
        model: Any, x: torch.Tensor, sigmas: torch.Tensor, *args: Any, **named: Any
    ) -> torch.Tensor:
        return run(model, x, sigmas, *args, **named)

    sample.stride = sampler.name
    sample.__name__ = sample.__qualname__ = run.called
    sample.__signature__ = signature(run.takes)  # packs look in it for the options
    return sample


def _handler(schedule: Schedule) -> Callable[..., torch.Tensor]:
    def handler(model_sampling: Any, steps: int) -> torch.Tensor:
        return schedule.sigmas(spec_of(model_sampling), steps)

    handler.stride = schedule.name
    return handler


# What the dropdowns have ------------------------------------------------------------------------


def sampler_names() -> list[str]:
    """Our samplers, then every other one that the host has now."""
    return _ours_first("sampler")


def schedule_names() -> list[str]:
    """Our schedules, then every other one that the host has now."""
    return _ours_first("schedule")


def _ours_first(kind: str) -> list[str]:
    ours = REGISTRIES[kind]
    theirs = (n for n in _hosts(kind) if not ours.spelled(n) and not n.startswith(PREFIX))
    return [*ours.names, *theirs]


def _hosts(kind: str) -> list[str]:
    """The host's list as it is now. Ours have a prefix in it; plain names belong to the host."""
    lists = comfy.samplers
    return lists.SAMPLER_NAMES if kind == "sampler" else lists.SCHEDULER_NAMES


# What a name means ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """A name that was looked up: a sampler or a schedule of ours, or one of somebody else's.

    kind: "sampler" or "schedule". name: ours, or as the host's list has it. called: as the person
    said it, where that is in a list. entry, options: ours, with all its options, checked; None for
    what the host or another pack runs.
    """

    kind: str
    name: str
    called: str
    entry: Any = None
    options: Options | None = None

    def but(self, given: Mapping[str, Any]) -> Named:
        """The same with other options; raises ValueError for what it does not have or accept."""
        if not given:
            return self
        if self.entry is None:
            raise ValueError(
                f"'{self.name}' is not one of Stride's and takes no options here, got "
                f"{', '.join(given)}"
            )
        return replace(self, options=self.entry.configure(self.options, **given))

    @property
    def changed(self) -> dict[str, Any]:
        """The options that are not at their defaults."""
        return {} if self.options is None else self.options.unlike(self.entry.options)


def _ours(entry: Entry, kind: str, called: str, given: Mapping[str, Any] = {}) -> Named:
    options = entry.configure(**given) if given else entry.options
    return Named(kind, entry.name, called, entry, options)


def _implied(kind: str, name: str, given: Mapping[str, Any]) -> Named:
    """What another program's name came to."""
    return _ours(REGISTRIES[kind].get(name), kind, name, given)


def listed(kind: str, name: str) -> Named | None:
    """A name that is exactly one of ours, or of the host's list; None for any other.

    What somebody has registered is theirs, however near to one of ours it is spelled.
    """
    if names.is_class(registry.name_of(kind, name)):
        return None
    known = REGISTRIES[kind]
    if entry := known.spelled(name) or known.spelled(plain(name)):
        return Named(kind, entry.name, name, entry, entry.options)
    return Named(kind, name, name) if name in _hosts(kind) else None


def pair(sampler: str, schedule: str) -> tuple[Named, Named]:
    """What a node's two inputs mean, in any program's spelling; see ``names.resolve``.

    Raises ValueError for an unknown name, with the nearest ones, and for a combined name whose
    schedule is another one than the schedule input's.
    """
    first, curve = listed("sampler", sampler), listed("schedule", schedule)
    if first and curve:
        return first, curve
    with _nearest():
        if first and first.entry is None:
            return first, _implied("schedule", names.schedule_named(schedule), {})
        foreign = curve is not None and curve.entry is None
        found = names.resolve(sampler, None if foreign else schedule)
        if foreign and found.schedule and not names.is_class(sampler):
            raise ValueError(names.contradiction(sampler, found.schedule, schedule))
        if curve is None:
            if found.schedule is None:
                raise ValueError(f"'{schedule}' names no schedule; choose one")
            curve = _implied("schedule", found.schedule, found.schedule_options)
        elif curve.name == found.schedule:
            curve = curve.but(found.schedule_options)
        first = first.but(found.options) if first else _implied(
            "sampler", found.sampler, found.options
        )
        return first, curve


def apart(sampler: str, schedule: str) -> tuple[str, str]:
    """(sampler, schedule) of a combined name; what is given where the name is a sampler's alone."""
    if listed("sampler", sampler) or names.is_class(sampler):
        return sampler, schedule
    with _nearest():
        found = names.resolve(sampler)
    return (found.sampler, found.schedule) if found.schedule else (sampler, schedule)


def one_sampler(name: str) -> Named:
    """A sampler without a schedule beside it; a combined name is refused."""
    if known := listed("sampler", name):
        return known
    with _nearest():
        found = names.resolve(name)
    if found.schedule and not names.is_class(name):
        raise ValueError(
            f"'{name}' is a sampler and a schedule; here it is '{found.sampler}', and "
            f"'{found.schedule}' is for a schedule input"
        )
    return _implied("sampler", found.sampler, found.options)


def one_schedule(name: str) -> Named:
    """A schedule without a sampler beside it."""
    if found := listed("schedule", name):
        return found
    with _nearest():
        return _implied("schedule", names.schedule_named(name), {})


def as_said(kind: str, name: str) -> Named:
    """A name for somebody who knows names of his own: ours where it is one, else as it is."""
    if known := listed(kind, name):
        return known
    try:
        found = names.resolve(name).sampler if kind == "sampler" else names.schedule_named(name)
    except ValueError:
        return Named(kind, name, name)
    return _ours(REGISTRIES[kind].get(found), kind, name)


@contextmanager
def _nearest() -> Iterator[None]:
    """An unknown name is told with the nearest of all that the dropdowns have."""
    try:
        yield
    except registry.UnknownName as error:
        if len(error.name) > registry.LONGEST:
            raise
        known = sampler_names() if error.kind == "sampler" else schedule_names()
        raise names.nobodys(error.kind, error.name, known) from None
