"""Options as the host's widgets: one for each, whoever has it."""

from __future__ import annotations

import math
from typing import Any

from comfy_api.latest import io

from ..registry import Option, Options
from .lists.names import REGISTRIES

OptionsType = io.Custom("STRIDE_OPTIONS")  # what travels from node to node is a choice.Wishes
_FIRST, _LAST = ("eta", "s_noise"), ("cfg_pp", "noise", "ensd")  # order on the node


def defaults(kind: str) -> dict[str, dict[str, Any]]:
    """The options of every sampler or schedule of ours, with its own defaults."""
    return {entry.name: dict(vars(entry.options)) for entry in REGISTRIES[kind]}


def inputs(kind: str) -> list[io.Input]:
    """One optional input for each option that any of them has, with the widest of its ranges."""
    found: dict[str, Option] = {}
    digits: dict[str, int] = {}  # behind the point, to show every entry's default
    for entry in REGISTRIES[kind]:
        for name, option in entry.options.OPTIONS.items():
            found[name] = found[name].widened(option) if name in found else option
            if option.kind is float and (size := abs(getattr(entry.options, name))):
                digits[name] = max(digits.get(name, 2), -math.floor(math.log10(size)))
    names = sorted(found, key=lambda name: (name in _LAST, name not in _FIRST))
    return [widget(found[name], True, digits.get(name, 2)) for name in names]


def of_set(options: type[Options], optional: bool = True) -> list[io.Input]:
    """One input for each option of a set, in their order."""
    return [
        widget(option, optional, max(2, len(f"{option.default}".partition(".")[2])))
        for option in options.OPTIONS.values()
    ]


def widget(option: Option, optional: bool, digits: int) -> io.Input:
    """The host's input for an option; a number is shown with so many digits behind the point."""
    common: dict[str, Any] = {"default": option.default, "tooltip": option.help}
    if optional:
        common["optional"] = True
    if option.values:
        return io.Combo.Input(option.name, options=list(option.values), **common)
    if option.kind is bool:
        return io.Boolean.Input(option.name, **common)
    common |= {"min": option.low, "max": option.high}
    if option.kind is int:
        return io.Int.Input(option.name, **common)
    return io.Float.Input(option.name, step=10.0**-digits, round=False, **common)


def passed_on() -> io.Input:
    """The input through which a node gets the options of another one."""
    return OptionsType.Input(
        "options", optional=True,
        tooltip="Options of another node, handed on together with this one's.",
    )


def handed_to(kind: str, tip: str) -> io.Output:
    """The output through which a node hands options on."""
    return OptionsType.Output("options_out", display_name="options", tooltip=tip)
