"""ComfyUI's own record in a picture: the run that made it, found in the graph that was queued.

A prompt is {node id: {"class_type": ..., "inputs": {name: value or [node id, output]}}}. Nodes are
known by their inputs, not by their names, so that samplers of other packs are read as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .. import samplers, schedules
from ..names.resolve import plain
from .generation import SILENT, Generation, Pass

Node = Mapping[str, Any]
_MOST = 100_000  # nodes of a graph
_CONTROLS = ("fixed", "increment", "decrement", "randomize")
# Input names by what they hold, the first that is there.
_NAMES = {
    "seed": ("seed", "noise_seed"), "steps": ("steps",), "cfg": ("cfg",), "denoise": ("denoise",),
    "sampler": ("sampler", "sampler_name"), "schedule": ("schedule", "scheduler"),
}
_VALUES = ("value", "text", "string", "seed", "number", "int", "float")
_OPTION_NODES = {"StrideSampler": "sampler", "StrideSchedule": "schedule"}


def load(text: str) -> dict[str, Any] | None:
    """A stored graph, or None where the text is none; a workflow becomes a prompt."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict) and isinstance(found.get("nodes"), list):
        found = _prompt_of(found)
    if not isinstance(found, dict) or len(found) > _MOST:
        return None
    nodes = {key: node for key, node in found.items() if _is_node(node)}
    return nodes or None


def _is_node(node: Any) -> bool:
    return isinstance(node, dict) and isinstance(node.get("inputs"), dict)


def _prompt_of(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """A workflow as the editor saves it, as far as its nodes name their widgets."""
    links = {
        link[0]: [str(link[1]), link[2]] for link in _list(workflow, "links")
        if isinstance(link, list) and len(link) > 2 and isinstance(link[0], int)
    }
    prompt = {}
    for node in workflow["nodes"]:
        if not isinstance(node, dict) or node.get("mode", 0) in (2, 4):  # muted, bypassed
            continue
        values = list(_list(node, "widgets_values"))
        inputs: dict[str, Any] = {}
        for slot in _list(node, "inputs"):
            if not isinstance(slot, dict) or not isinstance(slot.get("name"), str):
                continue
            if slot.get("widget") and values:
                inputs[slot["name"]] = values.pop(0)
                if values and values[0] in _CONTROLS:
                    values.pop(0)
            link = slot.get("link")
            if isinstance(link, int) and link in links:
                inputs[slot["name"]] = links[link]
        prompt[str(node.get("id"))] = {"class_type": str(node.get("type")), "inputs": inputs}
    return prompt


def _list(holder: Mapping[str, Any], name: str) -> list[Any]:
    """The list of that name; none where something else stands there, as anybody may write."""
    found = holder.get(name)
    return found if isinstance(found, list) else []


def read(prompt: Mapping[str, Node]) -> Generation:
    """The run nearest to a graph's end, in the words of a text.

    Raises ValueError where the graph has no sampler.
    """
    return _Graph(prompt).generation()


class _Graph:
    def __init__(self, prompt: Mapping[str, Node]) -> None:
        self.nodes = prompt
        self.notes: list[str] = []
        self.silent: list[str] = []

    def generation(self) -> Generation:
        order = self._from_the_end()
        runs = [key for key in order if self._is_run(self.nodes[key])]
        if not runs:
            kinds = sorted({str(self.nodes[key].get("class_type")) for key in order})
            raise ValueError(
                f"the picture's graph has no node with a sampler, steps or sigmas and prompts; it "
                f"has {', '.join(kinds)[:300]}"
            )
        if len(runs) > 1:
            self.notes.append(f"the graph has {len(runs)} runs; the last one was read")
        return self._run(runs[0])

    def _from_the_end(self) -> list[str]:
        """All nodes, those that nothing uses first, then what feeds them, nearest first."""
        used = {link for node in self.nodes.values() for link in _links(node)}
        waiting = [key for key in self.nodes if key not in used]
        order = dict.fromkeys(waiting)
        for key in waiting:
            for link in _links(self.nodes[key]):
                if link in self.nodes and link not in order:
                    order[link] = None
                    waiting.append(link)
        return list(order)

    def _is_run(self, node: Node) -> bool:
        inputs = node["inputs"]
        prompts = "positive" in inputs or "guider" in inputs
        levels = "steps" in inputs or "sigmas" in inputs
        return prompts and levels and ("sampler" in inputs or "sampler_name" in inputs)

    def _run(self, key: str) -> Generation:
        node = self.nodes[key]
        parts = {name: self._behind(node, name) for name in
                 ("sampler", "sigmas", "guider", "noise", "latent_image", "positive", "negative")}
        guider = parts["guider"] or node
        positive, negative = (
            self._text(self._behind(guider, name)) for name in ("positive", "negative")
        )
        if positive is None and parts["guider"]:
            positive = self._text(self._behind(guider, "conditioning"))
        found = {
            "seed": self._value("seed", node, parts["noise"]),
            "steps": self._value("steps", node, parts["sigmas"]),
            "cfg": self._value("cfg", guider, node),
            "denoise": self._value("denoise", node, parts["sigmas"]),
            "sampler": self._value("sampler", node, parts["sampler"]),
            "schedule": self._value("schedule", node, parts["sigmas"]),
            **self._size(parts["latent_image"]),
        }
        if "start_at_step" in node["inputs"]:
            self.notes.append("it is a part of a run: its first and last step are not carried over")
        sampler = _name(found["sampler"], samplers.REGISTRY) or self._assumed("sampler")
        schedule = _name(found["schedule"], schedules.REGISTRY) or self._assumed("schedule")
        numbers = {name: self._number(name, found[name]) for name in
                   ("steps", "cfg", "seed", "width", "height")}
        denoise = found["denoise"] if _is_number(found["denoise"]) else 1.0
        options = self._options(node, parts)
        first = Pass(sampler, schedule, numbers["steps"], float(denoise), *options)
        for name, text in (("positive", positive), ("negative", negative)):
            if text is None:
                self.silent.append(f"{name} prompt")
        return Generation(
            positive or "", negative or "", first, numbers["cfg"], numbers["seed"],
            numbers["width"], numbers["height"],
            Pass(sampler, schedule, numbers["steps"], 0.0, *options),
            notes=tuple(self.notes), silent=tuple(self.silent),
        )

    def _assumed(self, name: str) -> Any:
        self.silent.append(name)
        return SILENT[name]

    def _number(self, name: str, value: Any) -> Any:
        kind = type(SILENT[name])
        return kind(value) if _is_number(value) and value >= 0 else self._assumed(name)

    def _behind(self, node: Node, name: str) -> Node | None:
        """The node that feeds an input."""
        link = node["inputs"].get(name)
        return self.nodes.get(str(link[0])) if _is_link(link) else None

    def _value(self, name: str, *nodes: Node | None) -> Any:
        """The value called ``name`` of the first node that has it, through links."""
        for node in nodes:
            for spelling in _NAMES.get(name, (name,)):
                value = self._followed(node, spelling) if node else None
                if value is not None:
                    return value
        return None

    def _followed(self, node: Node, name: str) -> Any:
        """An input's value, or that of a node of values which is linked to it."""
        for _ in range(20):
            value = node["inputs"].get(name)
            if not _is_link(value):
                return value
            behind = self.nodes.get(str(value[0]))
            if behind is None:
                return None
            node = behind
            name = next((n for n in (name, *_VALUES) if n in node["inputs"]), "")
        return None

    def _upstream(self, node: Node | None) -> Iterator[Node]:
        """The node and those that feed it, nearest first, a thousand at most."""
        waiting = [] if node is None else [node]
        seen: set[str] = set()
        for node in waiting:
            yield node
            for key in _links(node):
                if key not in seen and key in self.nodes and len(seen) < 1000:
                    seen.add(key)
                    waiting.append(self.nodes[key])

    def _text(self, node: Node | None) -> str | None:
        """The prompt behind a conditioning: the nearest text that feeds it."""
        for near in self._upstream(node):
            for name in ("text", "prompt", "clip_l", "t5xxl", "text_g"):
                text = self._followed(near, name)
                if isinstance(text, str):
                    return text
        return None

    def _size(self, node: Node | None) -> dict[str, Any]:
        """Width and height of the nearest node behind the latent that has both."""
        for near in self._upstream(node):
            sides = [self._followed(near, side) for side in ("width", "height")]
            if all(map(_is_number, sides)):
                return dict(zip(("width", "height"), sides))
        return {"width": None, "height": None}

    def _options(
        self, node: Node, parts: Mapping[str, Node | None]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The options of Sampler (Stride) and Schedule (Stride) nodes that the run got."""
        found: dict[str, dict[str, Any]] = {"sampler": {}, "schedule": {}}
        chain = [parts["sampler"], parts["sigmas"], self._behind(node, "options")]
        for part in chain:
            if part is None or len(chain) > 20:
                continue
            kind = _OPTION_NODES.get(str(part.get("class_type")))
            if kind is None:
                continue
            chain.append(self._behind(part, "options"))
            registry = samplers.REGISTRY if kind == "sampler" else schedules.REGISTRY
            name = part["inputs"].get(kind)
            if isinstance(name, str) and name in registry:
                mine = vars(registry.get(name).options)
                found[kind] = {
                    key: value for key, value in part["inputs"].items()
                    if key in mine and value != mine[key] and not _is_link(value)
                }
        return found["sampler"], found["schedule"]


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], (str, int))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**64


def _links(node: Node) -> Iterator[str]:
    return (str(value[0]) for value in node["inputs"].values() if _is_link(value))


def _name(value: Any, registry: Any) -> str | None:
    """A sampler's or schedule's name: ours by its one spelling, another pack's as it is."""
    if not isinstance(value, str):
        return None
    name = plain(value)
    return registry.get(name).name if name in registry else value
