"""One function for a pair of names: whatever other programs call a sampler and a schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .. import samplers, schedules
from ..registry import LONGEST, Entry, Registry, UnknownName, key, name_of, shown, unknown
from . import a1111, kdiffusion, others

PREFIX = "stride_"  # ours in the host's own lists


@dataclass(frozen=True)
class Pair:
    """A sampler and a schedule of ours, by name, with the options that differ from the defaults.

    schedule: None where the text leaves it open. notes: what was guessed, and what could not be
    carried over, as sentences.
    """

    sampler: str
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule: str | None = None
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def resolve(
    sampler: str | None, schedule: str | None = None, *, exact: bool = False,
    version: str | None = None, scheduler: str | None = None, **settings: Any,
) -> Pair:
    """The sampler and the schedule of ours that ``sampler`` and ``schedule`` name.

    sampler: any program's name of one, alone or with a schedule at its end ("Euler a Karras"), or
    a class of diffusers. schedule: likewise; None, "" or "Automatic" where the text leaves it
    open; a class of diffusers may stand here and name both. version: A1111's "Version" where the
    names are out of one of its texts, "" where that text has none: then they mean what that
    release meant by them. exact: what A1111 1.10.1 makes of them in a run, oddities included; it
    takes every name. scheduler: the same as schedule, for those who call it so. settings: options
    of the sampler or the schedule, by their names here, or settings of the diffusers class.

    Raises ValueError for a name that nobody has, with the nearest ones, for what is no name, for
    two schedules that contradict each other, and for settings that neither has.
    """
    for kind, said in (("sampler", sampler), ("schedule", schedule), ("schedule", scheduler)):
        if said is not None:
            name_of(kind, said)
    if schedule and scheduler:
        raise ValueError(f"schedule is '{schedule}' and scheduler is '{scheduler}'; give one")
    schedule = schedule or scheduler
    if exact:
        return _with(settings, _exactly(sampler, schedule))
    asked = said_of(schedule)
    if asked and not _schedule(asked) and (cls := _class(asked)):
        found = _of_diffusers(cls, None, settings)
        if sampler and resolve(sampler).sampler != found.sampler:
            raise ValueError(f"'{asked}' is sampler {found.sampler}, but sampler is '{sampler}'")
        return found
    if not sampler or not sampler.strip():
        raise ValueError("no sampler is named")
    if cls := _class(sampler):
        return _of_diffusers(cls, asked, settings)
    name, options, said = split(sampler)
    if version is not None:
        return _with(settings, _of_a1111(name, said, asked, version))
    if said and asked and schedule_named(said) != schedule_named(asked):
        raise ValueError(contradiction(sampler, said, asked))
    wanted = said_of(said or asked)
    curve = None if wanted is None else schedule_named(wanted)
    return _with(settings, Pair(samplers.get(name).name, options, curve))


def schedule_named(name: str) -> str:
    """The schedule of ours that any program's ``name`` of a schedule alone means.

    Raises ValueError for an unknown one, with the nearest.
    """
    if found := _schedule(name_of("schedule", name)):
        return found
    raise nobodys("schedule", plain(name.strip()))


def nobodys(kind: str, name: str, known: Iterable[str] = ()) -> UnknownName:
    """The error for a "sampler" or "schedule" of a name that nobody has.

    known: the names to look for the nearest in; ours unless given.
    """
    from .packs import whose  # read where a name is unknown

    registry: Registry[Any] = samplers.REGISTRY if kind == "sampler" else schedules.REGISTRY
    known, pack = [*known] or registry.names, whose(kind, name)
    return UnknownName(kind, name, unknown(kind, name, known, registry.spellings, pack), pack)


def _schedule(name: str) -> str | None:
    """The schedule of that name, function (k-diffusion) or node (the host's KarrasScheduler)."""
    name = plain(name.strip())
    for spelling in (name, kdiffusion.schedule(name), name.removesuffix("Scheduler")):
        if spelling and spelling in schedules.REGISTRY:
            return schedules.get(spelling).name
    return None


def is_class(name: str) -> bool:
    """Whether ``name`` is a class of diffusers, which means more than the sampler behind it."""
    if len(name) > LONGEST or "scheduler" not in name.lower():
        return False
    from . import diffusers  # a large table, loaded where such a name is looked up

    return diffusers.known(name) is not None


def _class(name: str) -> str | None:
    """The class of diffusers called ``name``; an error for one of which nobody here knows."""
    from . import diffusers

    problem = None if name in samplers.REGISTRY else diffusers.without_equal(name)
    if problem:
        raise ValueError(problem)
    return diffusers.known(name)


def contradiction(sampler: str, said: str, asked: str) -> str:
    """The message for a combined name beside a schedule of its own."""
    return f"sampler '{sampler}' has schedule '{said}' in its name, but schedule is '{asked}'"


def split(text: str) -> tuple[str, dict[str, Any], str | None]:
    """(sampler, its options, schedule) of a combined name; without schedule of a sampler's alone.

    Raises ValueError where the text is neither.
    """
    text, options = kdiffusion.sampler(text) or (plain(text.strip()), {})
    if found := others.method(text):
        return found.sampler, options, found.schedule
    if text in samplers.REGISTRY:
        return text, options, None
    if text.lower() in a1111.OLD_ALIASES:
        name, schedule = a1111.OLD_ALIASES[text.lower()]
        return name, {}, schedule
    longest: tuple[str, str] | None = None
    for left, right in _cuts(text):
        if (method := _method(left)) is None:
            continue
        if (curve := _at_the_end(right)) is not None:
            return method, {}, curve
        longest = left, right
    theirs, curve = foreign(text)
    problem = nobodys("sampler", text if curve is None or _method(theirs) else theirs)
    if longest and not problem.pack:
        raise ValueError(
            f"{shown(text)}: '{longest[0]}' is a sampler, but {nobodys('schedule', longest[1])}"
        )
    raise problem


def foreign(text: str) -> tuple[str, str | None]:
    """(sampler, schedule) of a name of which ``split`` knows only a half, as they stand there.

    Without a schedule where nothing says that the name has one in it.
    """
    from .packs import whose

    text = plain(text.strip())
    if not whose("sampler", text):
        for left, right in _cuts(text):
            name, curve = _method(left), _at_the_end(right)
            if name is None and curve is not None:  # "CFG++ Karras": marks may belong to the name
                return text.removesuffix(right).rstrip(" ,/(-_").removesuffix(" +"), curve
            if name is not None and whose("schedule", right):
                return name, right
    return text, None


def _cuts(text: str) -> Iterator[tuple[str, str]]:
    """The two halves of a name, at each of its spaces and marks."""
    for cut in (i for i, c in enumerate(text) if not c.isalnum()):
        left, right = text[:cut], text[cut:].lstrip(" +,/(-_")
        if left and right:
            yield left, right


def _method(name: str) -> str | None:
    """The name of a sampler as ``samplers.get`` takes it; None for an unknown one."""
    if found := others.method(name):
        return None if found.schedule else found.sampler
    return name if name in samplers.REGISTRY else None


def _at_the_end(word: str) -> str | None:
    """A schedule, as it stands at the end of a sampler's name; None where it is none."""
    known = plain(word) in schedules.REGISTRY or said_of(word) is None
    return word if known else others.ending(word)


def plain(name: str) -> str:
    """A name of ours without what it has before it in the host's lists."""
    return name[len(PREFIX) :] if name.lower().startswith(PREFIX) else name


def said_of(schedule: str | None) -> str | None:
    """The schedule that a text names; None where it leaves that to the sampler."""
    return None if schedule is None or key(schedule) in ("", "automatic") else schedule.strip()


def _exactly(sampler: str | None, schedule: str | None) -> Pair:
    """What A1111 1.10.1 runs for any two words."""
    labels = a1111.sampler_and_schedule(sampler, schedule, convert_automatic=False)
    notes: tuple[str, ...] = ()
    if not (sampler or "").startswith(labels[0]):
        notes = (f"A1111 does not know '{sampler}' and runs {labels[0]}",)
    return _carried(*labels, a1111.ours(*labels)[1], notes)


def _of_diffusers(cls: str, asked: str | None, settings: Mapping[str, Any]) -> Pair:
    """A scheduler class with its settings; ``asked`` is a schedule that was named beside it."""
    from . import diffusers

    (name, options), levels, notes = diffusers.pair(cls, settings)
    chosen, curve_options = levels or (None, {})
    if asked and schedule_named(asked) != chosen:
        chosen, curve_options = schedule_named(asked), {}
    has = _options(samplers.get(name)) | (_options(schedules.get(chosen)) if chosen else set())
    left = {k: v for k, v in settings.items() if not diffusers.takes(cls, k)}
    whole = "_class_name" in settings  # of a config, diffusers ignores whatever it does not know
    if foreign := sorted(left.keys() - has if whole else left.keys() & diffusers.SETTINGS - has):
        notes.append(f"{cls} has no {', '.join(foreign)}; diffusers ignores it")
    left = {k: v for k, v in left.items() if k not in foreign}
    return _with(left, Pair(name, options, chosen, curve_options, tuple(notes)))


_LABELS = {key(s): row.label for row in a1111.SAMPLERS for s in (row.label, *row.aliases)}
_SCHEDULE_LABELS = {
    key(s): row.label for row in a1111.SCHEDULES for s in (row.label, row.name, *row.aliases)
}


def _of_a1111(name: str, said: str | None, asked: str | None, version: str) -> Pair:
    """What a text of that release meant; what it did not know is taken for a name of ours."""
    before = not a1111.schedule_is_apart(version)
    notes = []
    if said and asked and _schedule_label(said) != _schedule_label(asked):
        if not before:
            raise ValueError(contradiction(name, said, asked))
        # A setting of that time, stored with the picture, which won over the label.
        notes.append(f"the stored schedule {asked} wins over {said} in the sampler's name")
        said = None
    wanted = said_of(asked or said)
    label = _LABELS.get(key(name))
    if label is None:
        entry = samplers.get(name)
        notes.append(f"A1111 has no sampler '{name}'; taken for {entry.label} of ours")
        curve: a1111.Chosen = _a1111_schedule(wanted) if wanted else a1111.UNIFORM
        return Pair(entry.name, {}, *curve, notes=tuple(notes))
    row = a1111.BY_LABEL[label]
    if wanted is None:
        curve = a1111.automatic(label, version)
        if curve != row.automatic:
            notes.append(
                f"before 1.9.0 {label} without a schedule ran Uniform; since then it runs "
                f"{row.schedule}"
            )
    else:
        curve = row.automatic if row.own_levels else _a1111_schedule(wanted)
    return _carried(label, wanted or a1111.AUTOMATIC, curve, notes)


def _schedule_label(name: str) -> str:
    return _SCHEDULE_LABELS.get(key(name), key(name))


def _a1111_schedule(name: str) -> a1111.Chosen:
    """Ours for A1111's name of a schedule, else for anybody's."""
    row = a1111.BY_SCHEDULE_LABEL.get(_schedule_label(name))
    return (row.ours if row and row.ours else schedule_named(name)), {}


def _carried(
    sampler: str, schedule: str, curve: a1111.Chosen, notes: Iterable[str]
) -> Pair:
    """The pair for A1111's labels, with what it does otherwise than we by default."""
    row = a1111.BY_LABEL[sampler]
    notes = [*notes, *([row.remark] if row.remark else [])]
    if row.own_levels and schedule != a1111.AUTOMATIC:
        notes.append(f"A1111's {sampler} has levels of its own and ignores schedule {schedule}")
    if row.discard_penultimate:
        notes.append(f"A1111 leaves out the level before the last for {sampler}")
    return Pair(row.ours, row.options, *curve, notes=tuple(notes))


def _with(settings: Mapping[str, Any], pair: Pair) -> Pair:
    """The pair with options by name, each the sampler's if it has one of that name.

    Raises ValueError for an option that neither has, and for a value out of its range.
    """
    # k-diffusion's and diffusers' word for no limit, which is our default.
    settings = {k: v for k, v in settings.items() if (k, v) != ("s_tmax", math.inf)}
    if not settings:
        return pair
    entry = samplers.get(pair.sampler)
    curve = None if pair.schedule is None else schedules.get(pair.schedule)
    mine = {k: v for k, v in settings.items() if k in _options(entry)}
    rest = {k: v for k, v in settings.items() if k not in mine}
    if strange := rest.keys() - _options(curve):
        where = f"'{entry.name}'" + (f" and '{curve.name}' have" if curve else " has")
        has = ", ".join(sorted(_options(entry) | _options(curve))) or "none"
        raise ValueError(f"{where} no option {', '.join(sorted(strange))}; options: {has}")
    options = {**pair.options, **mine}
    curve_options = {**pair.schedule_options, **rest}
    entry.configure(**options)
    if curve:
        curve.configure(**curve_options)
    return replace(pair, options=options, schedule_options=curve_options)


def _options(entry: Entry | None) -> set[str]:
    return set(entry.options.OPTIONS) if entry else set()
