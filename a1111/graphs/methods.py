"""The sampler and the levels of a run, by our names, with the options that they were given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ... import samplers, schedules
from ...names.resolve import plain
from ...registry import Registry
from . import table
from .table import Link, is_number, kind
from .walk import Graph

_REGISTRIES: Mapping[str, Registry[Any]] = {"sampler": samplers.REGISTRY, "schedule": schedules.REGISTRY}
_NAMES = {"sampler": ("sampler", "sampler_name"), "schedule": ("schedule", "scheduler")}
_THROUGH = {"sampler": ("sampler", "first"), "schedule": ("sigmas", "sigmas_1")}
_BY_CLASS = {"sampler": table.METHODS, "schedule": table.LEVELS}
_OURS = {"StrideSampler": "sampler", "StrideSchedule": "schedule"}
_MOST_TYPED = 100  # characters of a list of levels that is quoted


@dataclass
class Chosen:
    """name: ours, or another pack's as it stands; None where nothing says it.

    source: the node that says it. passed: nodes between that and the run, the nearest first, with
    the output that was taken of each. typed: levels that were typed, as they were.
    """

    name: str | None
    source: str
    passed: Sequence[Link] = ()
    options: dict[str, Any] = field(default_factory=dict)
    typed: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def count(self) -> int | None:
        """Steps of levels that were typed."""
        return None if self.typed is None else max(len(self.typed.replace(",", " ").split()) - 1, 1)


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
        found.typed = typed
    elif source != key:
        called = kind(graph.nodes[source])
        found.name = _BY_CLASS[what].get(called) or _by_class_name(what, called)
        found.name = found.name or _said(graph, key, what)  # it is linked to a node of values
        if found.name is None:
            found.notes.append(f"{called} is a {what} that is not known here")
    if source != key and found.name is not None and found.name in _REGISTRIES[what]:
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


def with_options(graph: Graph, key: str, pair: Mapping[str, Chosen]) -> None:
    """Add the options of Sampler (Stride) and Schedule (Stride) nodes that a run got as such."""
    links = [link for chosen in pair.values() for link in (graph.link(chosen.source, "options"),)
             if chosen.source != key and link]
    links.append(graph.link(key, "options"))
    for link in links:
        for at, _ in graph.chain(link, lambda node, n: ("options",)):
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
    node, renamed = graph.nodes[key], table.OPTIONS.get(kind(graph.nodes[key]), {})
    for name in sorted(node["inputs"], key=lambda name: name in renamed):  # those have the last word
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
