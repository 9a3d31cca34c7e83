"""Names in somebody's text: what nobody here has stays as it stands, and the rest is not lost."""

from __future__ import annotations

from dataclasses import replace

from ..registry import LONGEST
from .resolve import Pair, contradiction, foreign, plain, resolve, said_of, schedule_named, split


def told(sampler: str, schedule: str | None = None, version: str | None = None) -> Pair:
    """As ``resolve``, for any two names: one that is unknown is in the pair as it stands.

    Raises nothing. Of two schedules that contradict each other the one in the sampler's name is
    taken, as A1111 does, with a note. Names are cut at 200 characters.
    """
    sampler, schedule = sampler[:LONGEST], schedule and schedule[:LONGEST]
    if found := _resolved(sampler, schedule, version):
        return found
    name, said = apart(sampler)
    asked = said_of(schedule)
    notes: tuple[str, ...] = ()
    if said and asked and not _same(said, asked):
        notes = (f"{contradiction(sampler, said, asked)}; the one in its name is taken",)
    wanted = said or asked
    found = _resolved(name, wanted, version)
    if found is None:
        levels = None if wanted is None else _resolved("euler", wanted, version)
        known = _resolved(name, None, version)
        found = Pair(
            known.sampler if known else name, known.options if known else {},
            levels.schedule if levels else wanted and plain(wanted),
            levels.schedule_options if levels else {},
        )
    return replace(found, notes=(*notes, *found.notes))


def apart(sampler: str) -> tuple[str, str | None]:
    """(sampler, the schedule in its name), of a sampler or a schedule that is unknown as well."""
    try:
        name, _, said = split(sampler)
    except ValueError:
        return foreign(sampler)
    return name, said


def _resolved(sampler: str, schedule: str | None, version: str | None) -> Pair | None:
    try:
        return resolve(sampler, schedule, version=version)
    except ValueError:
        return None


def _same(one: str, other: str) -> bool:
    try:
        return schedule_named(one) == schedule_named(other)
    except ValueError:
        return False
