"""A run of ours as A1111's text. What A1111 has no word for stands under keys of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .. import samplers, schedules
from ..names import a1111
from ..names.resolve import resolve
from . import infotext
from .generation import KEYS_OF_RUN_MODE, KEYS_OF_SCHEDULES, ROWS, Generation, Pass, handed_to
from .settings import Settings

VERSION = "ComfyUI"  # what others write: its seeds are not A1111's
_LABELS = {row.ours: row.label for row in a1111.SCHEDULES if row.ours}
# Curves of which A1111 has one of its own with the same name.
_NEAR = {"beta": "Beta", "kl_optimal": "KL Optimal", "align_your_steps": "Align Your Steps"}
_SOURCES = {"a1111": "CPU", "a1111_nv": "NV"}


def write(generation: Generation, more: Mapping[str, Any] | None = None) -> tuple[str, list[str]]:
    """(the text, what A1111 will read otherwise as sentences).

    more: further values by A1111's keys, as the model's name. ``generation.read`` finds the same
    run in the text.
    """
    notes: list[str] = []
    first, hires = generation.first, generation.hires
    again = hires.denoise > 0
    values: dict[str, Any] = {
        "Steps": first.steps, **_names(first, notes, "Sampler", "Schedule type"),
        "CFG scale": _plain(generation.cfg), "Seed": generation.seed,
        "Size": f"{generation.width}x{generation.height}",
        "Clip skip": generation.clip_skip if generation.clip_skip > 1 else None,
        **_settings(first, generation.a1111, notes),
    }
    if again:
        values |= {
            "Denoising strength": _plain(hires.denoise),
            "Hires upscale": _plain(generation.scale), "Hires steps": hires.steps,
            "Hires upscaler": "Latent",
        }
        if (hires.sampler, hires.schedule) != (first.sampler, first.schedule):
            values |= _names(hires, notes, "Hires sampler", "Hires schedule type")
        if first.denoise < 1:
            notes.append("A1111 has one denoising strength: the second pass's is written")
    elif first.denoise < 1:
        values["Denoising strength"] = _plain(first.denoise)
    values |= {**(more or {}), "Version": VERSION}
    return infotext.write(generation.positive, generation.negative, values), notes


def _plain(number: float) -> float:
    """7 for 7.0, as A1111's own texts have it."""
    return int(number) if number == int(number) else number


def _names(run: Pass, notes: list[str], sampler: str, schedule: str) -> dict[str, str]:
    """The labels of a pair, and our names where A1111's would mean another."""
    row, curve = ROWS.get(run.sampler), _LABELS.get(run.schedule)
    values = {sampler: row.label if row else run.sampler}
    near = curve or _NEAR.get(run.schedule)
    if near:
        values[schedule] = near
    if row is None:
        notes.append(f"A1111 has no sampler '{run.sampler}' and would run DPM++ 2M")
    if curve is None:
        notes.append(
            f"A1111's {near} is not our '{run.schedule}'" if near else
            f"A1111 has no schedule '{run.schedule}' and would run its sampler's own"
        )
    if sampler == "Sampler" and not _read_back(run, row, near):  # of the first pass
        values |= {"Stride sampler": run.sampler, "Stride schedule": run.schedule}
    return values


def _read_back(run: Pass, row: a1111.Sampler | None, near: str | None) -> bool:
    """Whether A1111's labels alone lead back to the run."""
    if row is None or near is None:
        return False
    pair = resolve(row.label, near, version="1.10.1")
    given = {**run.options, **run.schedule_options}
    return (pair.sampler, pair.schedule) == (run.sampler, run.schedule) and all(
        given.get(name) == value
        for name, value in {**pair.options, **pair.schedule_options}.items()
    )


def _settings(run: Pass, mode: Settings | None, notes: list[str]) -> dict[str, Any]:
    """The options by A1111's keys, the others under ours."""
    values: dict[str, Any] = {}
    if mode is not None:
        default = Settings()
        values["RNG"] = {"cpu": "CPU", "nv": "NV"}[mode.noise]
        for key, name in KEYS_OF_RUN_MODE.items():
            if getattr(mode, name) != getattr(default, name):
                values[key] = getattr(mode, name)
        return values
    rest: dict[str, dict[str, Any]] = {}
    row = ROWS.get(run.sampler)
    for kind, chosen, entry, keys in (
        ("sampler", run.options, _entry(samplers.REGISTRY, run.sampler),
         dict(handed_to(row)) if row else {}),
        ("schedule", run.schedule_options, _entry(schedules.REGISTRY, run.schedule),
         KEYS_OF_SCHEDULES),
    ):  # fmt: skip
        for name, value in _changed(entry, chosen):
            theirs = next((key for key, option in keys.items() if option == name), None)
            if theirs:
                values[theirs] = value
            elif name == "noise" and value in _SOURCES:
                values["RNG"] = _SOURCES[value]
            elif name == "ensd":
                values["ENSD"] = value
            else:
                rest.setdefault(kind, {})[name] = value
    if rest:
        values["Stride options"] = json.dumps(rest)
        names = ", ".join(sorted({name for part in rest.values() for name in part}))
        notes.append(f"A1111 has no setting for {names}")
    return values


def _entry(registry: Any, name: str) -> Any:
    return registry.get(name) if name in registry else None


def _changed(entry: Any, chosen: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The options that are not at their defaults."""
    known = vars(entry.options) if entry else {}
    return ((name, value) for name, value in chosen.items() if known.get(name) != value)
