"""Whose a text is that looks like A1111's: what other programs say under keys of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..names import a1111

# Versions of A1111 and its forks begin with a number, or are a commit or a branch of theirs.
_OWN = re.compile(
    r"[vfr]?\d+\.|[0-9a-f]{6,40}\b|<none>|(?:neo|classic|forge|reforge)\b", re.IGNORECASE
)
# Keys that A1111 and its forks never write: SD.Next's, those of Civitai's own generator, others'.
_KEYS = {"App", "Backend", "Created Date", "Civitai resources", "Civitai metadata", "Software"}
# Where other programs say the schedule; the last two are SD.Next's and NovelAI's.
_SCHEDULES = ("Scheduler", "Schedule", "Scheduler type", "Sampler sigma", "noise_schedule")
# The same values under other keys: Draw Things' and SD.Next's.
_RENAMED = {
    "Guidance Scale": "CFG scale", "Guidance scale": "CFG scale", "Hires scale": "Hires upscale",
    "Hires size-1": "Hires resize-1", "Hires size-2": "Hires resize-2",
    "Hires strength": "Denoising strength",
}
_NOBODYS = {"undefined", "none", "null", "n/a", "unknown", "default"}
# A1111's 1.9.0, for texts of forks whose version tells no release: their schedules stand apart.
_APART = ".".join(map(str, a1111.SCHEDULES_APART))


def is_a1111s(said: Mapping[str, str]) -> bool:
    """Whether a text comes from A1111 or a fork: its names and its noise are A1111's."""
    version = said.get("Version", "")
    if {*_KEYS, *_SCHEDULES, *_RENAMED} & said.keys() or named(said.get("Sampler", "-")) is None:
        return False
    return not version or _OWN.match(version) is not None


def release(said: Mapping[str, str]) -> str:
    """The version of A1111 by which a text's names are read, "" for one before 1.9.0."""
    version = said.get("Version", "")
    if a1111.release(version) is None or not is_a1111s(said):
        return _APART if "Schedule type" in said else ""
    return version


def schedule_key(said: Mapping[str, str]) -> str:
    """The key under which a text says its schedule."""
    if "Schedule type" in said:
        return "Schedule type"
    return next((key for key in _SCHEDULES if key in said), "Schedule type")


def renamed(said: Mapping[str, str]) -> list[tuple[str, str]]:
    """(their key, A1111's) of what a text says under another program's key alone."""
    return [(key, ours) for key, ours in _RENAMED.items() if key in said and ours not in said]


def named(name: str | None) -> str | None:
    """A sampler's or a schedule's name; None for a word that says that there is none."""
    return None if name is None or name.strip().lower() in _NOBODYS else name
