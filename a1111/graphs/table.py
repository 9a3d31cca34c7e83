"""What is known of node classes: which inputs an output is made of, and whose name says a method.

The table is data, ``nodes.json``: the host's own classes and ours, inputs and outputs by name. A
class that is not in it is judged by the names of its inputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Node = Mapping[str, Any]
Link = tuple[str, int]  # a node's id and the number of its output

_DATA = json.loads(Path(__file__).with_name("nodes.json").read_text("utf-8"))
# By class: {output: inputs that it is made of}, the outputs in their order.
OUTPUTS: Mapping[str, Mapping[str, Sequence[str]]] = _DATA["outputs"]
VALUES: Mapping[str, Mapping[str, Sequence[str]]] = _DATA["values"]  # texts and numbers, likewise
LEVELS: Mapping[str, str] = _DATA["levels"]  # the schedule of ours, where the class is one
METHODS: Mapping[str, str] = _DATA["methods"]  # the sampler of ours, likewise
GUIDERS: Mapping[str, Mapping[str, Any]] = _DATA["guiders"]  # inputs; a number stands for itself
# By class and input: the option of ours, or by value (option, value); None: our default says it.
# The option "sampler" is the name of the method.
OPTIONS: Mapping[str, Mapping[str, Any]] = _DATA["options"]
# By class: its widgets in the order in which a saved workflow has their values.
WIDGETS: Mapping[str, Sequence[str]] = _DATA["widgets"]

SIDES = ("positive", "negative")
TEXTS = (
    "text", "prompt", "string", "text_g", "text_l", "clip_l", "clip_g", "t5xxl", "llama", "tags",
    "caption", "lyrics", "value",
)
LATENTS = (
    "latent_image", "latent", "samples", "latents", "pixels", "image", "images", "input",
    "destination",
)
# What feeds a prompt without being one: never followed where nothing else is known of a node.
_APART = (
    "model", "clip", "vae", "image", "pixels", "mask", "control", "latent", "samples", "style",
    "width", "height", "seed", "strength", "start", "end", "pipe", "lora",
)


def kind(node: Node) -> str:
    """A node's class."""
    return str(node.get("class_type"))


def is_link(value: Any) -> bool:
    """Whether an input's value is another node's output."""
    return (
        isinstance(value, list) and len(value) == 2 and isinstance(value[0], (str, int))
        and isinstance(value[1], int)
    )


def is_number(value: Any) -> bool:
    """Whether a value is a number that a setting may have."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**64


def links(node: Node) -> dict[str, Link]:
    """The linked inputs of a node."""
    return {
        name: (str(value[0]), value[1]) for name, value in node["inputs"].items() if is_link(value)
    }


def conditioned_by(node: Node, output: int, side: str, used: Sequence[int]) -> Sequence[str]:
    """The inputs that a conditioning is made of: others, or texts.

    side: "positive" or "negative", which of them is asked for; it decides where the class is not
    known and its inputs have sides. used: the outputs that conditionings are taken from.
    """
    if (known := _known(node, output)) is not None:
        return known
    inputs, linked = node["inputs"], links(node)
    sided = output in used and (len(used) == 2 or list(used) == [0])
    if sided and all(name in linked for name in SIDES):
        return (SIDES[used.index(output)],)  # in their order, as all of the host's have them
    other = SIDES[1 - SIDES.index(side)]
    if mine := [name for name in inputs if name.startswith(side)]:
        return mine
    if chain := [name for name in linked if name.startswith("cond")]:
        return chain
    if texts := [name for name in TEXTS if name in inputs]:
        return texts
    return [n for n in linked if not n.startswith(other) and not n.startswith(_APART)]


def drawn_from(node: Node, output: int) -> Sequence[str]:
    """The inputs that a latent or a picture is made of, the one that it goes on from first."""
    if (known := _known(node, output)) is not None:
        return known
    linked = links(node)
    if named := [name for name in LATENTS if name in linked]:
        return named
    return list(linked) if len(linked) == 1 else ()


def passed_on(node: Node, output: int, names: Sequence[str]) -> Sequence[str]:
    """The inputs that SIGMAS or a SAMPLER is made of; ``names``: usual ones for unknown classes."""
    if (known := _known(node, output)) is not None:
        return known
    linked = links(node)
    return [name for name in names if name in linked]


def _known(node: Node, output: int) -> Sequence[str] | None:
    row = OUTPUTS.get(kind(node))
    if row is None:
        return None
    made = list(row.values())
    return made[output] if 0 <= output < len(made) else ()
