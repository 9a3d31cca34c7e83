"""The sampler and the levels of a run, by our names, with the options that they were given."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ... import samplers, schedules
from ...names.resolve import plain
from ...registry import Registry
from ...schedules.spec import ModelSpec
from . import table
from .table import Link, is_number, kind
from .walk import Graph

_REGISTRIES: Mapping[str, Registry[Any]] = {
    "sampler": samplers.REGISTRY, "schedule": schedules.REGISTRY
}
_NAMES = {"sampler": ("sampler", "sampler_name"), "schedule": ("schedule", "scheduler")}
_THROUGH = {"sampler": ("sampler", "first"), "schedule": ("sigmas", "sigmas_1")}
_BY_CLASS = {"sampler": table.METHODS, "schedule": table.LEVELS}
_OURS = {"StrideSampler": "sampler", "StrideSchedule": "schedule"}
_MOST_TYPED = 10_000  # characters of a list of levels


@dataclass
class Chosen:
    """name: ours, or another pack's as it stands; None where nothing says it.

    source: the node that says it. passed: nodes between that and the run, the nearest first, with
    the output that was taken of each. typed: levels that were typed.
    """

    name: str | None
    source: str
    passed: Sequence[Link] = ()
    options: dict[str, Any] = field(default_factory=dict)
    typed: Sequence[float] = ()
    notes: list[str] = field(default_factory=list)


def chosen(graph: Graph, key: str, what: str) -> Chosen:
    """What a run takes for its "sampler" or its "schedule"."""
    entry = "sigmas" if what == "schedule" else "sampler"
    way = list(graph.chain(
        graph.link(key, entry), lambda node, n: table.passed_on(node, n, _THROUGH[what])
    ))
    passed, source = (way[:-1], way[-1][0]) if way else ([], key)
    found = Chosen(None, source, passed)
    if (said := _said(graph, source, what)) is not None:
        found.name = said
    elif what == "schedule" and isinstance(typed := graph.value(source, "sigmas"), str):
        graph.use(source, "sigmas")
        found.typed = _levels(typed)
        found.name = _preset(found.typed)
    elif source != key:
        called = kind(graph.nodes[source])
        found.name = _BY_CLASS[what].get(called) or _by_class_name(what, called)
        found.name = found.name or _said(graph, key, what)  # it is linked to a node of values
        if found.name is None:
            found.notes.append(f"{called} is a {what} that is not known here")
    if source != key:
        _take_options(graph, source, what, found)
    return found


def _said(graph: Graph, key: str, what: str) -> str | None:
    """The name that a node's own input has."""
    for name in _NAMES[what]:
        value = graph.value(key, name)
        if isinstance(value, str):
            graph.use(key, name)
            return _ours(what, value)
    return None


def _levels(text: str) -> list[float]:
    """The noise levels in a text, as the host's node for them takes any numbers out of it."""
    found = re.findall(r"[-+]?(?:\d*\.)?\d+(?:[eE][-+]?\d+)?", text[:_MOST_TYPED])
    return [float(number) for number in found]


def _preset(levels: Sequence[float]) -> str | None:
    """The distilled model's preset that has these levels, if one has."""
    steps = len(levels) - 1
    for schedule in schedules.REGISTRY:
        if not schedule.counts or steps not in schedule.counts:
            continue
        for spec in (ModelSpec.flow(), ModelSpec.discrete()):
            own = schedule.sigmas(spec, steps).tolist()
            if all(math.isclose(a, b, rel_tol=2e-4, abs_tol=1e-4) for a, b in zip(own, levels)):
                return schedule.name
    return None


def with_options(graph: Graph, key: str, pair: Mapping[str, Chosen]) -> None:
    """Add the options of Sampler (Stride) and Schedule (Stride) nodes that a run got as such."""
    for source in dict.fromkeys([*(chosen.source for chosen in pair.values()), key]):
        for at, _ in graph.chain(graph.link(source, "options"), lambda node, n: ("options",)):
            what = _OURS.get(kind(graph.nodes[at]))
            if what is None:
                continue
            named = graph.value(at, what)
            if isinstance(named, str) and _ours(what, named) == pair[what].name:
                graph.use(at, what)
                _take_options(graph, at, what, pair[what])


def _ours(what: str, value: str) -> str:
    """A sampler's or schedule's name: ours by its one spelling, another pack's as it is."""
    registry, name = _REGISTRIES[what], plain(value)
    return registry.get(name).name if name in registry else value


def _by_class_name(what: str, name: str) -> str | None:
    """The method that a class is called after: "KarrasScheduler", "SamplerHeun"."""
    for word in ("Sampler", "Scheduler", "Sigmas", "Node"):
        name = name.removeprefix(word).removesuffix(word)
    entry = _REGISTRIES[what].find(name.strip("_ ")) if name.strip("_ ") else None
    return entry.name if entry else None


def _take_options(graph: Graph, key: str, what: str, found: Chosen) -> None:
    """What a node sets beyond its name, where ours has an option for it."""
    if found.name is None or found.name not in _REGISTRIES[what]:
        return
    node, renamed = graph.nodes[key], table.OPTIONS.get(kind(graph.nodes[key]), {})
    for name in sorted(node["inputs"], key=lambda name: name in renamed):  # which decide
        value, rule = graph.value(key, name), renamed.get(name, name)
        if isinstance(rule, Mapping):
            if str(value) not in rule:
                continue
            graph.use(key, name)
            if (meant := rule[str(value)]) is None:
                continue
            rule, value = meant
        if rule == "sampler" and what == "sampler" and rule != name:
            found.name = value
            continue
        options = _REGISTRIES[what].get(found.name).options
        if rule not in options.OPTIONS or not isinstance(value, (int, float, str, bool)):
            continue
        try:
            options.OPTIONS[rule].check(value)
        except ValueError:
            continue  # it is listed with what was not carried over
        graph.use(key, name)
        if value != getattr(options, rule):
            found.options[rule] = value


def whole(value: Any) -> int | None:
    """A number of steps, a seed; None where the value is none."""
    return int(value) if is_number(value) and value >= 0 and value == value else None
