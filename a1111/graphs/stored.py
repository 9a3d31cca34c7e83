"""A graph as a file has it: a prompt as the host was sent it, or a workflow as the editor saves it.

A workflow is what the editor would send: without nodes that are switched off, reroutes and
subgraphs, its widgets as inputs; their names are the host's, or those that a node was saved with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .table import WIDGETS

_MOST = 100_000  # nodes of a graph, those in its subgraphs too
_DEEPEST = 200  # links in a row through nodes that only hand on
_CONTROLS = ("fixed", "increment", "decrement", "randomize")
_NEVER, _BYPASSED = 2, 4  # modes of a node
_INPUTS, _OUTPUTS = -10, -20  # the edges of a subgraph, as nodes
_HANDS_ON = ("Reroute",)
_VALUE = "PrimitiveNode"
_WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def load(text: str) -> dict[str, Any] | None:
    """A stored graph, or None where the text is none; a workflow becomes a prompt."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict) and isinstance(found.get("nodes"), list):
        found = _Workflow(found).prompt()
    if not isinstance(found, dict) or len(found) > _MOST:
        return None
    nodes = {key: node for key, node in found.items() if _is_node(node)}
    return nodes or None


def _is_node(node: Any) -> bool:
    return isinstance(node, dict) and isinstance(node.get("inputs"), dict)


@dataclass
class _Place:
    """A graph or the inside of a subgraph's node; before: what its nodes' ids have before them.

    links: {number: (node, output)}. outputs: the link that feeds each output of a subgraph.
    """

    graph: Mapping[str, Any]
    before: str = ""
    outside: _Place | None = None
    holder: Mapping[str, Any] | None = None
    nodes: dict[Any, Mapping[str, Any]] = field(default_factory=dict)
    links: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    outputs: dict[Any, int] = field(default_factory=dict)
    inside: dict[Any, _Place] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)  # the holder's widgets

    def __post_init__(self) -> None:
        for node in _list(self.graph, "nodes"):
            if isinstance(node, dict) and isinstance(node.get("id"), (int, str)):
                self.nodes[node["id"]] = node
        for number, source, output, target, slot in _links(self.graph):
            self.links[number] = source, output
            if target == _OUTPUTS and isinstance(slot, int):
                self.outputs[slot] = number


class _Workflow:
    def __init__(self, workflow: Mapping[str, Any]) -> None:
        self.workflow = workflow
        definitions = workflow.get("definitions")
        graphs = _list(definitions, "subgraphs") if isinstance(definitions, dict) else []
        self.subgraphs = {
            graph["id"]: graph for graph in graphs
            if isinstance(graph, dict) and isinstance(graph.get("id"), str)
        }

    def prompt(self) -> dict[str, Any] | None:
        """The nodes that would be run; None for more than anybody has."""
        places = [_Place(self.workflow)]
        count = len(places[0].nodes)
        for place in places:
            for key, node in place.nodes.items():
                graph = self.subgraphs.get(_type(node)) if _is_on(node) else None
                if graph is None:
                    continue
                given = _promoted(node, graph)
                inner = _Place(graph, f"{place.before}{key}:", place, node, given=given)
                count += len(inner.nodes)
                if count > _MOST or len(places) > _DEEPEST:
                    return None
                place.inside[key] = inner
                places.append(inner)
        return {
            f"{place.before}{key}": self._node(place, node)
            for place in places for key, node in place.nodes.items()
            if _is_on(node) and key not in place.inside and not _hands_on(node)
        }

    def _node(self, place: _Place, node: Mapping[str, Any]) -> dict[str, Any]:
        inputs = _widgets(node)
        for slot in _slots(node, "inputs"):
            known, value = self._source(place, slot.get("link"))
            if known:
                inputs[slot["name"]] = value
        return {"class_type": _type(node), "inputs": inputs}

    def _source(self, place: _Place, number: Any) -> tuple[bool, Any]:
        """(whether there is one, the output or the value) at the other end of a link."""
        for _ in range(_DEEPEST):
            if not isinstance(number, int) or number not in place.links:
                return False, None
            key, output = place.links[number]
            if key == _INPUTS and place.outside is not None and place.holder is not None:
                name = _named(place.graph, "inputs", output)
                outer = next(
                    (s for s in _slots(place.holder, "inputs") if s["name"] == name), {}
                )
                if not isinstance(outer.get("link"), int):
                    return name in place.given, place.given.get(name)
                place, number = place.outside, outer["link"]
                continue
            node = place.nodes.get(key) if isinstance(key, (int, str)) else None
            if node is None or node.get("mode") == _NEVER or not isinstance(output, int):
                return False, None
            if key in place.inside:
                place = place.inside[key]
                number = place.outputs.get(output)
            elif _type(node) == _VALUE:
                values = _list(node, "widgets_values")
                return bool(values), values[0] if values else None
            elif node.get("mode") == _BYPASSED or _hands_on(node):
                number = _passing(node, output)
            else:
                return True, [f"{place.before}{key}", output]
        return False, None


def _passing(node: Mapping[str, Any], output: int) -> Any:
    """The link that a bypassed node, or one that only hands on, puts out at an output."""
    slots = _slots(node, "inputs")
    outputs = _list(node, "outputs")
    wanted = outputs[output].get("type") if (
        0 <= output < len(outputs) and isinstance(outputs[output], dict)
    ) else None
    if _hands_on(node):
        return slots[0].get("link") if slots else None
    # The editor looks at the input beside the output first, then at the others.
    beside = slots[output : output + 1] if output >= 0 else []
    for slot in (*beside, *slots):
        if slot.get("type") == wanted and isinstance(slot.get("link"), int):
            return slot["link"]
    return None


def _promoted(node: Mapping[str, Any], graph: Mapping[str, Any]) -> dict[str, Any]:
    """The widgets of a subgraph's node: inputs of the subgraph that need no link."""
    values = _list(node, "widgets_values")
    names = [
        slot["name"] for slot in _slots(graph, "inputs")
        if str(slot.get("type")).split(",")[0] in _WIDGET_TYPES
    ]
    return dict(zip(names, values)) if len(names) == len(values) else {}


def _widgets(node: Mapping[str, Any]) -> dict[str, Any]:
    """The widgets' values of a saved node by their names, as far as it names them."""
    held = node.get("widgets_values")
    if isinstance(held, dict):
        return {name: value for name, value in held.items() if isinstance(name, str)}
    found: dict[str, Any] = {}
    names = WIDGETS.get(_type(node)) or [
        slot["name"] for slot in _slots(node, "inputs") if slot.get("widget")
    ]
    values, at = _list(node, "widgets_values"), 0
    for name in names:
        if at < len(values):
            found[name] = values[at]
            # What a seed's widget does after a run is saved as a value of its own.
            at += 2 if at + 1 < len(values) and values[at + 1] in _CONTROLS else 1
    return found


def _links(graph: Mapping[str, Any]) -> Iterator[tuple[int, Any, Any, Any, Any]]:
    """(number, node, output, node, input) of each link, in either of the forms that are saved."""
    for link in _list(graph, "links"):
        if isinstance(link, dict):
            names = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
            link = [link.get(name) for name in names]
        if isinstance(link, list) and len(link) > 2 and isinstance(link[0], int):
            number, source, output, target, slot = (*link, None, None)[:5]
            yield number, source, output, target, slot


def _slots(node: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [
        slot for slot in _list(node, name)
        if isinstance(slot, dict) and isinstance(slot.get("name"), str)
    ]


def _named(graph: Mapping[str, Any], what: str, number: Any) -> str:
    slots = _list(graph, what)
    slot = slots[number] if isinstance(number, int) and 0 <= number < len(slots) else None
    return str(slot.get("name")) if isinstance(slot, dict) else ""


def _type(node: Mapping[str, Any]) -> str:
    return str(node.get("type"))


def _is_on(node: Mapping[str, Any]) -> bool:
    return node.get("mode") not in (_NEVER, _BYPASSED)


def _hands_on(node: Mapping[str, Any]) -> bool:
    return _type(node) in (*_HANDS_ON, _VALUE)


def _list(holder: Mapping[str, Any], name: str) -> list[Any]:
    """The list of that name; none where something else stands there, as anybody may write."""
    found = holder.get(name)
    return found if isinstance(found, list) else []
