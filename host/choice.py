"""What a run was asked for, resolved once at the node: names, options and ``automatic``.

Below the nodes nobody looks a name up or checks an option: what comes from here is complete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import advice, schedules
from ..a1111.settings import Settings as A1111Settings
from ..registry import name_of, shown
from .lists import names
from .lists.model import facts_of
from .lists.names import Named
from .run.watch import RunSettings

AUTOMATIC = advice.AUTOMATIC
DISTILLED = ("none", *advice.DISTILLED)  # as a person chooses them
_NONE = {DISTILLED[0]: ""}  # as advice has it


@dataclass(frozen=True)
class Later:
    """``automatic`` with options for whatever it will be."""

    kind: str
    given: Mapping[str, Any]
    name: str = AUTOMATIC

    @property
    def changed(self) -> Mapping[str, Any]:
        """The options that are set."""
        return self.given


Wish = Named | Later


@dataclass(frozen=True)
class Wishes:
    """What an options output holds: what other nodes have set for the run, None where none did."""

    sampler: Wish | None = None
    schedule: Wish | None = None
    settings: RunSettings | None = None
    a1111: A1111Settings | None = None

    def __post_init__(self) -> None:
        kinds = {"settings": RunSettings, "a1111": A1111Settings}
        for name, held in vars(self).items():
            fits = isinstance(held, kinds.get(name, Wish)) and getattr(held, "kind", name) == name
            if held is not None and not fits:
                raise ValueError(
                    f"options made by hand: their {name} is none of Stride's, got {shown(held)}"
                )

    def __str__(self) -> str:
        """What is set, as JSON, for whoever looks at it in a graph."""
        wished = {wish.kind: (wish.name, wish.changed) for wish in (self.sampler, self.schedule)
                  if wish}
        sets = {"settings": self.settings, "a1111": self.a1111}
        return json.dumps(wished | {key: vars(value) for key, value in sets.items() if value})

    def joined(self, wish: Wish) -> Wishes:
        """These and another node's sampler or schedule; a run has one of each."""
        if before := getattr(self, wish.kind):
            raise ValueError(
                f"the connected options already hold those of {wish.kind} '{before.name}', and "
                f"this node adds those of '{wish.name}'; a run has one {wish.kind}"
            )
        if wish.kind == "sampler":
            return replace(self, sampler=wish)
        return replace(self, schedule=wish)

    def set(self, settings: RunSettings) -> Wishes:
        """These and the settings of a Run Settings node."""
        if self.settings is not None:
            raise ValueError(
                "two Run Settings (Stride) nodes are connected in a row; a run takes one of them"
            )
        return replace(self, settings=settings)

    def on(self, named: Named, automatic: bool = False) -> Named:
        """What the run takes, with the options that were set for it.

        automatic: whether the run chose it. What was set for another one is an error.
        """
        wish = getattr(self, named.kind)
        if wish is None:
            return named
        if isinstance(wish, Later) and automatic:
            return named.but(wish.given)
        if wish.name != named.name:
            raise ValueError(
                f"the connected options belong to the {named.kind} '{wish.name}', this node runs "
                f"'{named.called}'; choose the same {named.kind} in both"
            )
        return named.but(wish.changed)


NOTHING, PLAIN = Wishes(), RunSettings()


def wishes(held: Wishes | None) -> Wishes:
    """What is connected to an options input; nothing where nothing is."""
    if held is None:
        return NOTHING
    if not isinstance(held, Wishes):
        raise ValueError(f"options come from a node of Stride's, got {shown(held)}")
    return held


def one_of(name: str, value: Any, accepted: Sequence[str]) -> str:
    """An input's value, where it is one of its dropdown's; hosts do not always look."""
    if isinstance(value, str) and value in accepted:
        return value
    raise ValueError(f"{name} must be one of {', '.join(accepted)}, got {shown(value)}")


def is_automatic(name: object) -> bool:
    """Whether a sampler's or schedule's input says ``automatic``."""
    return isinstance(name, str) and name.strip().lower() == AUTOMATIC


def wish(kind: str, name: str, given: Mapping[str, Any]) -> Wish:
    """A sampler or a schedule by itself with its options, ``automatic`` included."""
    if is_automatic(name):
        return Later(kind, given)
    one = names.one_sampler if kind == "sampler" else names.one_schedule
    return one(name).but(given)


@dataclass(frozen=True)
class Choice:
    """What a run takes. a1111: set for a run by A1111's rules, where names are A1111's as well.

    notes: why it is what it is, and what is known to go wrong with it.
    """

    sampler: Named
    schedule: Named
    settings: RunSettings = PLAIN
    a1111: A1111Settings | None = None
    notes: tuple[str, ...] = ()


def choose(
    model: Any, steps: int, cfg: float, sampler: str, schedule: str, held: Wishes | None = None,
    distilled: str = DISTILLED[0], denoise: float = 1.0,
) -> Choice:
    """What a KSampler node runs, and what is to be said about it.

    held: the connected options; those set for ``automatic`` go to whatever it chooses. distilled:
    what the model or LoRA is called, or "none". denoise: see ``whole``.
    """
    wanted, distilled = wishes(held), one_of("distilled", distilled, DISTILLED)
    settings = wanted.settings or PLAIN
    if wanted.a1111 is not None:
        return Choice(*_as_theirs(sampler, schedule, wanted), settings, wanted.a1111)
    steps = whole(steps, denoise)
    method, curve, reason = settle(model, steps, cfg, sampler, schedule, distilled)
    try:
        method = wanted.on(method, bool(reason) and is_automatic(sampler))
        curve = wanted.on(curve, bool(reason) and is_automatic(schedule))
        notes = _warnings(model, steps, cfg, method, curve, distilled)
    except ValueError as problem:
        raise blamed(problem, reason) from None
    return Choice(method, curve, settings, notes=(reason, *notes) if reason else notes)


def _as_theirs(sampler: str, schedule: str, wanted: Wishes) -> tuple[Named, Named]:
    """The two names for an A1111 run, which takes nobody's options."""
    if is_automatic(schedule):
        sampler, schedule = names.apart(sampler, schedule)  # "Euler a Karras" chooses by itself
    method = wanted.on(names.as_said("sampler", sampler))
    curve = wanted.on(names.as_said("schedule", schedule))
    if method.changed or curve.changed:
        raise ValueError(
            "an A1111 run takes its settings from A1111 Run (Stride) alone; disconnect the options "
            "of Sampler (Stride) and Schedule (Stride)"
        )
    return method, curve


def blamed(problem: ValueError, reason: str | None) -> ValueError:
    """The same problem, telling what was chosen where the person did not choose it."""
    return ValueError(f"{problem}; {reason}") if reason else problem


def settle(
    model: Any, steps: int, cfg: float | None, sampler: str, schedule: str,
    distilled: str = DISTILLED[0],
) -> tuple[Named, Named, str | None]:
    """(sampler, schedule, why) of a run on a MODEL, by name or as ``automatic`` chooses.

    steps: of the whole schedule, so that the nodes of a chain agree. cfg: None where it is not
    known. A schedule that was made for a distilled model says what the model is, where
    ``distilled`` does not. why: None where nothing was chosen.
    """
    free = is_automatic(sampler), is_automatic(schedule)
    if free == (False, True):
        sampler, schedule = names.apart(sampler, schedule)  # "Euler a Karras" chooses by itself
        free = False, is_automatic(schedule)
    if free == (False, False):
        return (*names.pair(sampler, schedule), None)
    first = None if free[0] else names.one_sampler(sampler)
    curve = None if free[1] else names.one_schedule(schedule)
    kind, facts = _NONE.get(distilled, distilled), facts_of(model)
    if not kind and curve is not None:
        preset = advice.preset_of(curve.name)
        kind = preset if advice.rows_for(facts, preset) else ""
    row, why = advice.choose(facts, steps, cfg, kind)
    chosen = []
    if first is None:
        first = names.one_sampler(row.sampler)
        chosen.append(first.name)
    if curve is None:
        curve, stands_in = _curve(row, steps)
        chosen.append(curve.name)
        why = f"{why}; {stands_in}" if stands_in else why
    return first, curve, f"automatic is {' on '.join(chosen)} ({why})"


def whole(steps: int, denoise: float) -> int:
    """The steps of the schedule whose end a low denoise runs: what suits it goes by its length."""
    return schedules.planned_steps(AUTOMATIC, steps, denoise) or steps


def schedule_for(
    model: Any, wanted: Wish, steps: int, denoise: float = 1.0
) -> tuple[Named, str | None]:
    """(schedule, why) on a MODEL whose cfg is not known, ``automatic`` included."""
    if isinstance(wanted, Named):
        return wanted, None
    _, curve, why = settle(model, whole(steps, denoise), None, "euler", AUTOMATIC)
    try:
        return curve.but(wanted.given), why
    except ValueError as problem:
        raise blamed(problem, why) from None


def _curve(row: advice.Row, steps: int) -> tuple[Named, str]:
    """The row's schedule, or what stands in where a preset has no levels for the steps, and why."""
    named = names.one_schedule(row.schedule).but(dict(row.options))
    counts = named.entry.counts
    if not counts or steps in counts:
        return named, ""
    made_for = f"{row.schedule} is made for {named.entry.made_for} steps, not {steps}"
    if not row.schedules:
        raise ValueError(f"automatic is {row.schedule}, and {made_for}; change one of them")
    return names.one_schedule(row.schedules[0]), f"{made_for}, so {row.schedules[0]} stands in"


def _warnings(
    model: Any, steps: int, cfg: float, sampler: Named, schedule: Named, distilled: str
) -> tuple[str, ...]:
    """What is known to go wrong with a run."""
    from .sampling import sigmas_for

    facts, start = facts_of(model), None
    if not facts.flow and facts.sigma_max > advice.WIDE:
        start = float(sigmas_for(model, schedule, min(steps, schedules.MAX_STEPS))[0])
    answers = advice.ANSWERS.get(sampler.name, getattr(sampler.options, "order", 1))
    run = advice.Run(
        facts, steps, cfg, sampler.name, schedule.name, _NONE.get(distilled, distilled),
        answers if sampler.entry else 1, getattr(sampler.options, "cfg_pp", False), start,
    )
    return tuple(map("warning: {}".format, advice.warnings(run)))


class Blamed(ValueError):
    """What is wrong with one input of a node. blames: its name."""

    def __init__(self, blames: str, problem: object) -> None:
        super().__init__(str(problem))
        self.blames = blames


def check(sampler: str | None = None, schedule: str | None = None) -> None:
    """Raises ValueError for names that cannot be meant; ``automatic`` can, and None is unknown yet.

    A sampler's name alone may be a combined one. ``Blamed`` where one of the two is to blame.
    """
    sampler = None if is_automatic(sampler) else sampler
    schedule = None if is_automatic(schedule) else schedule
    try:
        _check(sampler, schedule)
    except ValueError as problem:
        blames = _culprit(sampler, schedule)
        raise (Blamed(blames, problem) if blames else problem) from None


def _check(sampler: str | None, schedule: str | None) -> None:
    if sampler is not None and schedule is not None:
        names.pair(sampler, schedule)
    elif schedule is not None:
        names.one_schedule(schedule)
    elif sampler is not None:
        names.apart(sampler, AUTOMATIC)


def _culprit(sampler: str | None, schedule: str | None) -> str | None:
    """Which of two inputs is wrong whatever the other one is; None where they contradict."""
    tries = {"sampler": (sampler, None), "schedule": ("euler", schedule)}
    for name, pair in tries.items():
        try:
            _check(*pair)
        except ValueError:
            return name
    return None


def check_names(**given: str | None) -> None:
    """Raises ``Blamed`` for what can be no name at all, of a run that somebody else understands.

    given: by the name of the input, which ends in the kind.
    """
    for name, said in given.items():
        if said is not None:
            try:
                name_of(name.rpartition("_")[2], said)
            except ValueError as problem:
                raise Blamed(name, problem) from None
