"""The samplers' options as widgets: one per option name, with the widest of its ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from comfy_api.latest import io

from .. import samplers

# What a StrideSampler hands to a KSampler: {"sampler": (name, {option: value})}.
OptionsType = io.Custom("STRIDE_OPTIONS")
_FIRST, _LAST = ("eta", "s_noise"), ("cfg_pp", "noise", "ensd")  # order on the node
Choices = Mapping[str, tuple[str, dict[str, Any]]]


def defaults() -> dict[str, dict[str, Any]]:
    """The options of every sampler of ours, with the sampler's own defaults."""
    return {
        entry.name: {f.name: getattr(entry.options, f.name) for f in fields(entry.options)}
        for entry in samplers.REGISTRY
    }


def inputs() -> list[io.Input]:
    """One optional input for each option that any sampler has."""
    found: dict[str, dict[str, Any]] = {}
    for entry in samplers.REGISTRY:
        for f in fields(entry.options):
            facts = found.setdefault(f.name, {**f.metadata, "default": f.default})
            for key, widest in (("low", min), ("high", max)):
                if key in facts:
                    facts[key] = widest(facts[key], f.metadata[key])
    names = sorted(found, key=lambda name: (name in _LAST, name not in _FIRST))
    return [_input(name, **found[name]) for name in names]


def _input(name: str, default: Any, help: str, low: Any = 0, high: Any = 1, values=()) -> io.Input:
    common = {"default": default, "optional": True, "tooltip": help}
    if values:
        return io.Combo.Input(name, options=list(values), **common)
    if isinstance(default, bool):
        return io.Boolean.Input(name, **common)
    if isinstance(default, int):
        return io.Int.Input(name, min=low, max=high, **common)
    return io.Float.Input(name, min=low, max=high, step=0.01, round=False, **common)


def for_sampler(name: str, choices: Choices | None) -> dict[str, Any]:
    """The options that a connected node set for this sampler; for another one it is an error."""
    if not choices or "sampler" not in choices:
        return {}
    meant, options = choices["sampler"]
    if meant != name:
        raise ValueError(
            f"the connected options belong to '{meant}', this node samples with '{name}'; "
            "choose the same sampler in both"
        )
    return options
