"""Ways through a graph: back from an output to what it was made of, link by link.

Every way has an end: no node is passed twice, whatever a file links to what.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import table
from .table import Link, Node, is_link, is_number, kind
from .values import EVALUATED

_SWITCH = "ComfySwitchNode"
_VALUES = ("value", "seed", "number", "int", "float", "choice")
_STRINGS = ("text", "string", "prompt")
_DEEPEST = 60  # nodes of values in a row
_STEPS = 8  # of chains, for each node of a graph: what is longer goes round and round
_MOST_TEXTS = 50  # of one prompt
_FACTORS = ("scale_by", "upscale_by", "scale_factor", "resize_type.multiplier")
# By class: the factor, or None where the picture has to be looked at.
_RESIZED: dict[str, float | None] = {
    "LTXVLatentUpsampler": 2.0, "FluxKontextImageScale": None, "ImageScaleToTotalPixels": None,
    "ImagePadForOutpaint": None, "ResizeImageMaskNode": None, "ImageUpscaleWithModel": None,
}
_NAMED_FACTOR = re.compile(r"(?<![0-9])([1-8])x|x([1-8])(?![0-9])", re.IGNORECASE)


Step = tuple[int, int] | float | None  # another size, so many times as large, or nobody knows


@dataclass(frozen=True)
class Size:
    """size: (width, height) in pixels, None where the graph does not tell. factor: how many times
    as large as something that it was made of, None likewise."""

    size: tuple[int, int] | None = None
    factor: float | None = 1.0

    def after(self, steps: Sequence[Step]) -> Size:
        """The size behind nodes that change it, in their order."""
        at = self
        for step in steps:
            at = _resize(at, step)
        return at


@dataclass
class Prompt:
    """The texts of a conditioning, in their order; nodes: those that they came through."""

    texts: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    zeroed: bool = False


class Graph:
    """A prompt with ways through it. read: the inputs whose values were made use of."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = nodes
        self.read: dict[str, set[str]] = {}
        self._values: dict[tuple[str, int, str], Any] = {}
        self._sizes: dict[Link, Size] = {}
        self._links = {key: table.links(node) for key, node in nodes.items()}
        self._taken = _conditionings(self._links)
        self._depth, self._left = 0, 1000 + _STEPS * len(nodes)

    def link(self, key: str, name: str) -> Link | None:
        """The output that feeds an input."""
        return self.live(self._links[key].get(name))

    def links(self, key: str) -> Mapping[str, Link]:
        """The linked inputs of a node, switches and all."""
        return self._links[key]

    def live(self, link: Link | None) -> Link | None:
        """The output itself, past switches; None where it is not in the graph."""
        for _ in range(_DEEPEST):
            if link is None or link[0] not in self.nodes:
                return None
            if kind(self.nodes[link[0]]) != _SWITCH:
                return link
            name = "on_true" if self.value(link[0], "switch") else "on_false"
            self.use(link[0], "switch")
            link = self._links[link[0]].get(name)
        return None

    def use(self, key: str, *names: str) -> None:
        """Note that these inputs were carried over."""
        self.read.setdefault(key, set()).update(names)

    def value(self, key: str, name: str) -> Any:
        """An input's value, or what the nodes of values that are linked to it hand out."""
        value = self.nodes[key]["inputs"].get(name)
        if not is_link(value):
            return value
        link = str(value[0]), value[1]
        if link[0] not in self.nodes or self._depth > _DEEPEST:
            return None
        known = (*link, name)
        if known not in self._values:
            self._values[known] = None  # a circle has no value
            self._depth += 1
            self._values[known] = self._output(link, name)
            self._depth -= 1
        return self._values[known]

    def number(self, key: str, *names: str) -> float | None:
        """The first of these inputs that has a number; it is taken for carried over."""
        for name in names:
            value = self.value(key, name)
            if is_number(value):
                self.use(key, name)
                return value
        return None

    def _output(self, link: Link, name: str) -> Any:
        key, output = link
        node = self.nodes[key]

        def get(wanted: str) -> Any:
            self.use(key, wanted)
            return self.value(key, wanted)

        if (evaluate := EVALUATED.get(kind(node))) is not None:
            return evaluate(get, output)
        if kind(node) == "GetImageSize" and output in (0, 1):
            found = self.size(self.link(key, "image"))
            return found.size[output] if found.size else None
        if kind(node) in table.OUTPUTS:
            return None  # a latent, a conditioning
        if (row := table.VALUES.get(kind(node))) is not None:
            made = list(row.values())[output : output + 1] if output >= 0 else []
            return next((get(n) for n in (made[0] if made else ()) if n in node["inputs"]), None)
        names = (name, *_VALUES, *(_STRINGS if name in table.TEXTS else ()))
        found_at = next((n for n in names if n in node["inputs"]), None)
        if found_at is None:
            linked = self._links[key]
            found_at = next(iter(linked)) if len(linked) == 1 else None
        return None if found_at is None else get(found_at)

    def ancestors(self, keys: Sequence[str]) -> dict[str, None]:
        """The nodes that feed these, and those that feed them, nearest first; not these."""
        found: dict[str, None] = {}
        waiting = list(keys)
        for key in waiting:
            for before, _ in self._links[key].values():
                if before in self.nodes and before not in found:
                    found[before] = None
                    waiting.append(before)
        return found

    def prompt(self, link: Link | None, side: str) -> Prompt:
        """What a conditioning was made of; side: "positive" or "negative"."""
        found, seen = Prompt(), set()
        waiting = [] if link is None else [link]
        while waiting:
            key, output = waiting.pop()
            if (key, output) in seen or len(found.texts) >= _MOST_TEXTS:
                continue
            seen.add((key, output))
            node = self.nodes[key]
            found.nodes.append(key)
            found.zeroed |= kind(node) == "ConditioningZeroOut"
            names = table.conditioned_by(node, output, side, self._taken.get(key, ()))
            self.use(key, *names)
            further = []
            for name in names:
                value = node["inputs"].get(name)
                text = self.value(key, name) if is_link(value) else value
                if isinstance(text, str):
                    found.texts.append(text)
                elif (behind := self.link(key, name)) is not None:
                    further.append(behind)
            waiting += reversed(further)
        found.texts = list(dict.fromkeys(found.texts))
        return found

    def chain(
        self, link: Link | None, made: Callable[[Node, int], Sequence[str]]
    ) -> Iterator[Link]:
        """From an output back along the first of the inputs that ``made`` names, node by node."""
        seen: set[str] = set()
        while link is not None and link[0] not in seen and self._left > 0:
            seen.add(link[0])
            self._left -= 1
            yield link
            key, output = link
            found = (self.link(key, name) for name in made(self.nodes[key], output))
            link = next((other for other in found if other), None)

    def size(self, link: Link | None) -> Size:
        """The size of the picture of a latent, or of a picture."""
        way: list[Link] = []
        found = Size()
        for at in self.chain(link, table.drawn_from):
            if at in self._sizes:
                found = self._sizes[at]
                break
            way.append(at)
        for at in reversed(way):
            found = self._sizes[at] = found.after([self.resized(at[0])])
        return found

    def way(self, key: str) -> tuple[list[Step], str | None]:
        """What changes the size between a run and the one that it goes on from, and that one."""
        named = self._links[key]
        name = next((n for n in ("latent_image", "latent", "samples") if n in named), "image")
        steps = [self.resized(key)]
        for before, _ in self.chain(self.link(key, name), table.drawn_from):
            if is_run(self.nodes[before]):
                return steps[::-1], before
            steps.append(self.resized(before))
        return steps[::-1], None

    def resized(self, key: str) -> Step:
        """What a node makes of a size."""
        node = self.nodes[key]
        sides = [self.value(key, side) for side in ("width", "height")]
        sides = [self.value(key, f"resize_type.{side}") if value is None else value
                 for side, value in zip(("width", "height"), sides)]
        whole = [int(side) if is_number(side) and side > 0 else 0 for side in sides]
        self.use(key, "width", "height", "resize_type.width", "resize_type.height")
        if any(whole):
            return whole[0], whole[1]
        for name in _FACTORS:
            factor = self.value(key, name)
            if is_number(factor) and factor > 0:
                self.use(key, name)
                return float(factor)
        if kind(node) == "ImageUpscaleWithModel":
            model = self.link(key, "upscale_model")
            file = self.value(model[0], "model_name") if model else None
            told = _NAMED_FACTOR.search(file) if isinstance(file, str) else None
            return float(told[1] or told[2]) if told else None
        return _RESIZED.get(kind(node), 1.0)


def _conditionings(links: Mapping[str, Mapping[str, Link]]) -> dict[str, list[int]]:
    """By node: the outputs that inputs for conditionings are linked to, in their order."""
    found: dict[str, set[int]] = {}
    for named in links.values():
        for name, (key, output) in named.items():
            if name.startswith((*table.SIDES, "cond")):
                found.setdefault(key, set()).add(output)
    return {key: sorted(outputs) for key, outputs in found.items()}


def _resize(at: Size, step: Step) -> Size:
    if step is None:
        return Size(None, None)
    if isinstance(step, float):
        sides = at.size and (round(at.size[0] * step), round(at.size[1] * step))
        return Size(sides, at.factor and at.factor * step)
    if at.size is None:  # one side alone is no shape
        return Size(step if all(step) else None, None)
    ratios = [new / old for new, old in zip(step, at.size) if new]
    sides = step if all(step) else (
        round(at.size[0] * ratios[0]), round(at.size[1] * ratios[0])
    )
    return Size(sides, at.factor and at.factor * max(ratios))


def is_sampling(node: Node) -> bool:
    """Whether a node samples: it has prompts, levels and a sampler."""
    inputs = node["inputs"]
    prompts = "positive" in inputs or "guider" in inputs
    levels = "steps" in inputs or "sigmas" in inputs
    return prompts and levels and ("sampler" in inputs or "sampler_name" in inputs)


def is_run(node: Node) -> bool:
    """Whether a node samples a latent; one that takes a picture redraws parts of a finished one."""
    linked = table.links(node)
    latent = any(name in linked for name in ("latent_image", "latent", "samples"))
    return is_sampling(node) and (latent or not {"image", "images", "upscaled_image"} & set(linked))
