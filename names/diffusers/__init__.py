"""diffusers' scheduler classes with their settings, as a sampler and a schedule of ours.

A class or a whole ``scheduler_config.json`` becomes a pair of ours (``pair``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ... import samplers
from ...registry import key, unknown
from ...schedules import ModelSpec
from ...schedules.configs import facts, is_edm, is_flow, prediction
from ...schedules.entry import check_steps
from .classes import SCHEDULERS, WITHOUT
from .methods import clipped
from .settings import MODEL, Chosen, Settings

if TYPE_CHECKING:
    from .exact import DropIn

_KEYS = {key(f"{name}Scheduler"): name for name in SCHEDULERS}
SETTINGS = MODEL.union(*(row.defaults for row in SCHEDULERS.values()))


def known(name: str) -> str | None:
    """The class that a name means, also with its module before it; None for any other name."""
    found = _KEYS.get(key(name.strip().rpartition(".")[2]))
    return found and f"{found}Scheduler"


def without_equal(name: str) -> str | None:
    """The message for what is called like a class but has no equal here; None for other names."""
    last = name.strip().rpartition(".")[2]
    if not last.endswith("Scheduler") or " " in last or known(last):
        return None
    if reason := WITHOUT.get(last.removesuffix("Scheduler")):
        return f"unknown diffusers scheduler '{last}': it has no equal here, {reason}"
    return unknown("diffusers scheduler", last, [f"{n}Scheduler" for n in SCHEDULERS])


def named(config: Mapping[str, Any]) -> str:
    """The class of a whole config; ValueError where it names none that is known."""
    said = config.get("_class_name")
    if not isinstance(said, str) or not said.strip():
        raise ValueError("a scheduler config needs its '_class_name'")
    if found := known(said):
        return found
    problem = without_equal(said) or f"unknown diffusers scheduler '{said}'"
    raise ValueError(problem)


def pair(cls: str, given: Mapping[str, Any]) -> tuple[Chosen, Chosen | None, list[str]]:
    """(sampler, schedule or None, notes) of a class that ``known`` has returned.

    given: its settings. Those that it does not take are not looked at.
    """
    row = SCHEDULERS[cls.removesuffix("Scheduler")]
    settings = Settings(row.defaults, given)
    sampler, levels = row.sampler(settings), row.levels(settings)
    clipped(settings)
    if given.get("rescale_betas_zero_snr"):
        settings.notes.append(
            "zero terminal SNR: the model starts at sigma 4519 in ComfyUI, at 4096 or infinity in "
            "diffusers; ModelSpec.from_config has theirs"
        )
    if left := settings.unread():
        settings.notes.append(f"not carried over: {', '.join(left)}")
    return sampler, levels, settings.notes


def split(cls: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(the settings of a config that the class takes, what is to be said of the others).

    Diffusers ignores the others, and a config that was saved by one class is often read by another.
    """
    known = {k: v for k, v in config.items() if takes(cls, k) and not k.startswith("_")}
    others = sorted(k for k in config if k not in known and not k.startswith("_"))
    return known, [f"{cls} has no {', '.join(others)}; diffusers ignores it"] if others else []


def exactly(cls: str, given: Mapping[str, Any], steps: int) -> DropIn:
    """What makes a drop-in for a class with its settings; ``mu`` and ``sigmas`` are a pipeline's.

    Raises NoExactForm where there is none, ValueError for bad settings.
    """
    from .exact import drop_in  # who only asks for names does not need it

    name = cls.removesuffix("Scheduler")
    settings = Settings(SCHEDULERS[name].defaults, given)
    sampler, options = SCHEDULERS[name].sampler(settings)
    has = samplers.get(sampler).options.OPTIONS
    mine = {k: v for k, v in given.items() if k in has and not takes(cls, k)}
    return drop_in(name, settings, {**given, "_class_name": cls}, sampler, {**options, **mine},
                   check_steps(cls, steps))


def takes(cls: str, setting: str) -> bool:
    """Whether a class has that setting, or it tells of the model."""
    return setting in SCHEDULERS[cls.removesuffix("Scheduler")].defaults or setting in MODEL


def model(cls: str, given: Mapping[str, Any]) -> ModelSpec | None:
    """The model that a class with its settings tells of; None where they leave it open."""
    config = {**given, "_class_name": cls}
    if is_flow(config) or is_edm(config) or MODEL & given.keys():
        return ModelSpec.from_config(config)
    return None


def network(cls: str, given: Mapping[str, Any]) -> tuple[str | None, float]:
    """(what the network answers, None where that is left open; sigma_data of an EDM network)."""
    config = {**given, "_class_name": cls}
    told = is_flow(config) or is_edm(config) or "prediction_type" in given
    data = float(facts(config)["sigma_data"]) if is_edm(config) else 0.0
    return (prediction(config) if told else None), data


__all__ = ["MODEL", "SCHEDULERS", "SETTINGS", "WITHOUT", "exactly", "known", "model", "named",
           "network", "pair", "split", "takes", "without_equal"]
