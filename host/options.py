"""The samplers' and schedules' options as widgets, and the options that one node hands another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from comfy_api.latest import io

from ..registry import Options
from .lists.names import REGISTRIES, canonical
from .run.watch import RunSettings

# What travels from node to node: {"sampler" or "schedule": (its name, {option: value})}, and
# "run": ("settings", {setting: value}); "a1111": the Settings of a run by A1111's rules.
OptionsType = io.Custom("STRIDE_OPTIONS")
_FIRST, _LAST = ("eta", "s_noise"), ("cfg_pp", "noise", "ensd")  # order on the node
Choices = Mapping[str, Any]


def defaults(kind: str) -> dict[str, dict[str, Any]]:
    """The options of every sampler or schedule of ours, with its own defaults."""
    return {
        entry.name: {f.name: getattr(entry.options, f.name) for f in fields(entry.options)}
        for entry in REGISTRIES[kind]
    }


def inputs(kind: str) -> list[io.Input]:
    """One optional input for each option that any of them has, with the widest of its ranges."""
    found: dict[str, dict[str, Any]] = {}
    for entry in REGISTRIES[kind]:
        for f in fields(entry.options):
            facts = found.setdefault(f.name, {**f.metadata, "default": f.default})
            for key, widest in (("low", min), ("high", max)):
                if key in facts:
                    facts[key] = widest(facts[key], f.metadata[key])
            if "values" in facts:
                facts["values"] = tuple(dict.fromkeys((*facts["values"], *f.metadata["values"])))
            if isinstance(f.default, float):  # a whole number for one entry, any for another
                facts["default"] = float(facts["default"])
                # The widget shows as many digits as its step has: enough for every default.
                size = abs(getattr(entry.options, f.name)) or 1.0
                facts["step"] = min(facts.get("step", 0.01), 10.0 ** math.floor(math.log10(size)))
    names = sorted(found, key=lambda name: (name in _LAST, name not in _FIRST))
    return [_input(name, **found[name]) for name in names]


def settings_inputs(settings: type[Options] = RunSettings) -> list[io.Input]:
    """One optional input for each of the settings, in their order."""
    return [_input(f.name, f.default, **f.metadata) for f in fields(settings)]


def _input(
    name: str, default: Any, help: str, low: Any = 0, high: Any = 1, values=(), step: float = 0.01
) -> io.Input:
    common = {"default": default, "optional": True, "tooltip": help}
    if values:
        return io.Combo.Input(name, options=list(values), **common)
    if isinstance(default, bool):
        return io.Boolean.Input(name, **common)
    if isinstance(default, int):
        return io.Int.Input(name, min=low, max=high, **common)
    return io.Float.Input(name, min=low, max=high, step=step, round=False, **common)


def passed_on() -> io.Input:
    """The input through which a node gets the options of another one."""
    return OptionsType.Input(
        "options", optional=True,
        tooltip="Options of another node, handed on together with this one's.",
    )


def handed_on(kind: str, name: str, mine: dict[str, Any], before: Choices | None) -> Choices:
    """What a node puts out: its own options, and those that it was given."""
    if before and kind in before:
        raise ValueError(
            f"the connected options already hold those of {kind} '{before[kind][0]}', and this "
            f"node adds those of '{name}'; a run has one {kind}"
        )
    return {**(before or {}), kind: (name, mine)}


def settings_of(choices: Choices | None) -> RunSettings:
    """What a connected Run Settings node has set, or the defaults."""
    return RunSettings(**(choices or {}).get("run", ("", {}))[1])


def with_settings(settings: dict[str, Any], before: Choices | None) -> Choices:
    """The options that a Run Settings node hands on."""
    if before and "run" in before:
        raise ValueError(
            "two Run Settings (Stride) nodes are connected in a row; a run takes one of them"
        )
    RunSettings(**settings)  # refuses what is out of range
    return {**(before or {}), "run": ("settings", settings)}


def joined(key: str, settings: Options, before: Choices | None) -> Choices:
    """Settings of a whole run under their own key, and the options that the node was given."""
    return {**(before or {}), key: settings}


def for_run(sampler: str, schedule: str, choices: Choices | None) -> dict[str, Any]:
    """The connected options as arguments of ``ksample``.

    What was set for another sampler or schedule than the run's is an error.
    """
    for kind, name in (("sampler", sampler), ("schedule", schedule)):
        meant = (choices or {}).get(kind, (name,))[0]
        if canonical(kind, meant) != canonical(kind, name):
            raise ValueError(
                f"the connected options belong to the {kind} '{meant}', this node runs '{name}'; "
                f"choose the same {kind} in both"
            )
    own = {
        argument: (choices or {}).get(kind, ("", {}))[1]
        for kind, argument in (("sampler", "options"), ("schedule", "schedule_options"))
    }
    return {**own, "settings": settings_of(choices), "a1111": (choices or {}).get("a1111")}
