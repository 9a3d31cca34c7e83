"""The name ``automatic`` in our nodes, and warnings about a run that is known to be bad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import comfy.samplers
import torch

from ... import advice, samplers, schedules
from .. import options
from ..lists import names
from ..lists.model import facts_of
from ..sampling import sampler_object, sigmas_for
from .words import show_on_node

AUTOMATIC = advice.AUTOMATIC
DISTILLED = ("none", *advice.DISTILLED)  # as a person chooses them


class Settled(NamedTuple):
    """The names of a run, with ``automatic`` replaced. reason: why, None where nothing was."""

    sampler: str
    schedule: str
    reason: str | None

    def error(self, problem: ValueError) -> ValueError:
        """The same problem, telling what was chosen where the person did not choose it."""
        return ValueError(f"{problem}; {self.reason}") if self.reason else problem


class Advised(NamedTuple):
    """A run as advice leaves it. run: further arguments of ``ksample``; notes: for the node."""

    sampler: str
    schedule: str
    run: dict[str, Any]
    notes: list[str]


def problem_with(sampler: str | None = None, schedule: str | None = None) -> str | None:
    """As in ``names``, where ``automatic`` is known as well."""
    free = (None if advice.is_automatic(name) else name for name in (sampler, schedule))
    return names.problem_with(*free)


def settle(
    model: Any, steps: int, cfg: float | None, sampler: str, schedule: str, distilled: str = "none"
) -> Settled:
    """The sampler and the schedule of a run on a MODEL, by name or as ``automatic`` chooses.

    steps: of the whole schedule, so that the nodes of a chain agree. cfg: None where it is not
    known. A schedule that was made for a distilled model says what the model is, where
    ``distilled`` does not.
    """
    if problem := problem_with(sampler, schedule):
        raise ValueError(problem)
    if advice.is_automatic(schedule) and not advice.is_automatic(sampler):
        sampler, schedule = names.apart(sampler, schedule)  # "Euler a Karras" chooses by itself
    asked = advice.is_automatic(sampler), advice.is_automatic(schedule)
    if not any(asked):
        return Settled(sampler, schedule, None)
    kind, facts = _named(distilled), facts_of(model)
    if not kind and not asked[1]:
        preset = advice.preset_of(names.canonical("schedule", schedule))
        kind = preset if advice.rows_for(facts, preset) else ""
    row, why = advice.choose(facts, steps, cfg, kind)
    picked = row.sampler, _with_steps(row, steps) if asked[1] else schedule
    chosen = [name for name, was in zip(picked, asked) if was]
    return Settled(
        picked[0] if asked[0] else sampler, picked[1],
        f"automatic is {' on '.join(chosen)} ({why})",
    )


def _with_steps(row: advice.Row, steps: int) -> str:
    """The row's schedule, or one that reaches like levels where a preset has none for the steps."""
    counts = schedules.get(row.schedule).counts
    if not counts or steps in counts:
        return row.schedule
    if row.also:
        return row.also[0]
    raise ValueError(
        f"automatic is {row.schedule} ({row.grade}: {row.source}), made for "
        f"{' or '.join(map(str, counts))} steps, not {steps}; change the steps or the schedule"
    )


def _named(distilled: str) -> str:
    return "" if distilled == DISTILLED[0] else distilled


def advise(
    model: Any, steps: int, cfg: float, sampler: str, schedule: str,
    choices: options.Choices | None, distilled: str = "none",
) -> Advised:
    """What a KSampler node runs, and what is to be said about it.

    choices: the connected options; those set for ``automatic`` go to whatever it chooses. In an
    A1111 run the names, and Automatic, mean what they mean there.
    """
    if (choices or {}).get("a1111"):
        return Advised(sampler, schedule, options.for_run(sampler, schedule, choices), [])
    settled = settle(model, steps, cfg, sampler, schedule, distilled)
    given = dict(choices or {})
    for kind, asked, name in (("sampler", sampler, settled.sampler),
                              ("schedule", schedule, settled.schedule)):
        if kind in given and advice.is_automatic(asked) and advice.is_automatic(given[kind][0]):
            given[kind] = (name, given[kind][1])
    try:
        run = options.for_run(settled.sampler, settled.schedule, given or None)
        found = _warnings(model, steps, cfg, settled, run, distilled)
    except ValueError as problem:
        raise settled.error(problem) from None
    notes = [settled.reason] if settled.reason else []
    return Advised(settled.sampler, settled.schedule, run, notes + found)


def _warnings(
    model: Any, steps: int, cfg: float, settled: Settled, run: dict[str, Any], distilled: str
) -> list[str]:
    facts, start = facts_of(model), None
    if not facts.flow and facts.sigma_max > advice.WIDE:
        levels = sigmas_for(model, settled.schedule, steps, options=run["schedule_options"])
        start = float(levels[0])
    sampler = names.canonical("sampler", settled.sampler)
    answers, cfg_pp = 1, False
    if sampler in samplers.REGISTRY:
        entry = samplers.get(sampler)
        configured = entry.configure(**run["options"])
        answers = advice.answers(sampler, getattr(configured, "order", 1))
        cfg_pp = getattr(configured, "cfg_pp", False)
    return ["warning: " + found for found in advice.warnings(advice.Run(
        facts, steps, cfg, sampler, names.canonical("schedule", settled.schedule),
        _named(distilled), answers, cfg_pp, start,
    ))]


def add_notes(report: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The report of a run with the notes before its own."""
    if not notes:
        return report
    return {**report, "note": "\n".join([*notes, *filter(None, [report.get("note")])])}


@dataclass
class AutomaticRun:
    """A SAMPLER that is chosen when it runs, since only the run knows its model.

    The steps that count are those of the sigmas that it is given. node_id: where the choice is
    shown. run: see ``sampler_object``.
    """

    options: dict[str, Any]
    node_id: str | None = None
    run: dict[str, Any] = field(default_factory=dict)
    calls: int = 0
    stopped: None = None

    def __call__(
        self, model: Any, x: torch.Tensor, sigmas: torch.Tensor, extra_args: Any = None,
        callback: Callable[..., Any] | None = None, disable: bool | None = None,
    ) -> torch.Tensor:
        guider = model.inner_model
        row, why = advice.choose(
            facts_of(guider.model_patcher), len(sigmas) - 1, getattr(guider, "cfg", None)
        )
        settled = Settled(row.sampler, "", f"automatic is {row.sampler} ({why})")
        try:
            run = sampler_object(row.sampler, self.options, **self.run).sampler_function
        except ValueError as problem:
            raise settled.error(problem) from None
        show_on_node(self.node_id, settled.reason)
        try:
            return run(model, x, sigmas, extra_args, callback, disable)
        finally:
            self.calls = run.calls


def sampler_for(
    name: str, chosen: dict[str, Any], node_id: str | None = None, **run: Any
) -> Any:
    """The SAMPLER of a name, ``automatic`` included. run: see ``sampler_object``."""
    if not advice.is_automatic(name):
        return sampler_object(name, chosen, **run)
    return comfy.samplers.KSAMPLER(AutomaticRun(chosen, node_id, run))


def schedule_for(model: Any, schedule: str, steps: int) -> tuple[str, str | None]:
    """(name, why) of a schedule on a MODEL whose cfg is not known, ``automatic`` included."""
    settled = settle(model, steps, None, "euler", schedule)
    return settled.schedule, settled.reason
