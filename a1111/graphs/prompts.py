"""What guides a run: its cfg, its prompts, and the layer that they were taken from."""

from __future__ import annotations

from dataclasses import dataclass, field

from .table import GUIDERS, OUTPUTS, SIDES, is_number, kind
from .walk import Graph

_QUOTED = 100  # characters of a prompt in a sentence
_DEEPEST_LAYER = 24
_PAIR = "CFGGuider"  # a run without a guider has the inputs of this one


@dataclass
class Guided:
    """cfg, positive, negative: None where the graph does not tell. clip_skip: A1111's, 1 is none.
    """

    cfg: float | None
    positive: str | None = None
    negative: str | None = None
    clip_skip: int = 1
    notes: list[str] = field(default_factory=list)


def guided(graph: Graph, key: str) -> Guided:
    """What guides a run, out of its guider where it has one."""
    holder, row = key, GUIDERS[_PAIR]
    if (guider := graph.link(key, "guider")) is not None:
        holder = guider[0]
        inputs = graph.nodes[holder]["inputs"]
        alone = "conditioning" in inputs and "positive" not in inputs
        row = GUIDERS.get(kind(graph.nodes[holder]), GUIDERS["BasicGuider" if alone else _PAIR])
    cfg = row["cfg"]
    found = Guided(cfg if is_number(cfg) else graph.number(holder, cfg))
    for side in SIDES:
        text: str | None = "" if row[side] is None else _text(graph, holder, row[side], side, found)
        setattr(found, side, text)
    if (second := graph.link(holder, "cond2")) is not None:
        said = quoted("\n".join(graph.prompt(second, "positive").texts))
        found.notes.append(f"{kind(graph.nodes[holder])} has a second prompt: {said}")
    return found


def quoted(text: str) -> str:
    """A text in one short line."""
    text = " ".join(text.split())
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."


def _text(graph: Graph, key: str, name: str, side: str, found: Guided) -> str | None:
    """The prompt behind an input; what it was put together of is noted."""
    value = graph.nodes[key]["inputs"].get(name)
    if isinstance(value, str):
        graph.use(key, name)
        return value
    prompt = graph.prompt(graph.link(key, name), side)
    texts = [text for text in prompt.texts if text.strip()] or prompt.texts[:1]
    if len(texts) > 1:
        found.notes.append(
            f"the {side} prompt was put together of {len(texts)} texts in ComfyUI"
            f"{_joints(graph, prompt.nodes)}; here they stand below each other"
        )
    if prompt.zeroed:
        found.notes.append(
            f"ConditioningZeroOut: the {side} prompt is zeros in place of a text; here it is "
            f"{'the text beside that' if texts else 'empty'}"
        )
        texts = texts or [""]
    found.clip_skip = max([found.clip_skip, *(_layer(graph, node) for node in prompt.nodes)])
    return "\n".join(texts) if texts else None


def _joints(graph: Graph, keys: list[str]) -> str:
    """The nodes that put several texts together, in brackets."""
    kinds = dict.fromkeys(kind(graph.nodes[key]) for key in keys)
    several = [
        name for name in kinds if any(len(made) > 1 for made in OUTPUTS.get(name, {}).values())
    ]
    return f" ({', '.join(several)[:_QUOTED]})" if several else ""


def _layer(graph: Graph, key: str) -> int:
    """How many of a text encoder's last layers are left out, and one."""
    for before, _ in graph.chain(graph.link(key, "clip"), lambda node, output: ("clip",)):
        layer = graph.number(before, "stop_at_clip_layer")
        if layer is not None:
            return min(max(-int(layer), 1), _DEEPEST_LAYER)
    return 1
