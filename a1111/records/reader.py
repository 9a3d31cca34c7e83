"""A record in the words of a text, with what could not be carried over."""

from __future__ import annotations

import re
from typing import Any

from ... import samplers, schedules
from ...names.resolve import Pair
from ...names.told import told
from ...registry import LONGEST
from ..generation import RANGES, SILENT, Generation, Pass
from ..remarks import leftovers, short, tag_remarks, without_tags
from .programs import Record

_RANGES: dict[str, tuple[float, float]] = {
    **RANGES, "denoise": (0.0, 1.0), "clip_skip": (1, 24), "again": (0.0, 1.0),
    "again_steps": (1, 10000), "scale": (0.01, 100.0),
}
_WHOLE = ("steps", "seed", "width", "height", "clip_skip", "again_steps")
_SIZE = re.compile(r"(\d{1,6})\D{1,9}(\d{1,6})")
_NOTHING: tuple[Any, ...] = (None, "", "None", "none", False, [], {})
_MOST = 100  # lines of what is left
_PARTS = 8  # of a list, that are quoted
_NAMES = ("name", "model_name", "model", "lora", "key")  # of an object, which one names it


def read(record: Record) -> Generation:
    """What a record asks for; what is none, or out of range, is noted and put in."""
    return _Reader(record).generation()


class _Reader:
    def __init__(self, record: Record) -> None:
        self.record = record
        self.taken: set[str] = set()
        self.notes: list[str] = []
        self.silent: list[str] = []

    def generation(self) -> Generation:
        positive, negative = self._text("positive"), self._text("negative")
        pair = self._pair()
        numbers = {name: self._or_assumed(name) for name in ("steps", "cfg", "seed")}
        width, height = self._size()
        denoise = self._number("denoise")
        if denoise is None:
            denoise = 1.0
        elif denoise < 1:
            self.notes.append(
                "it is an image to image run: denoise is its strength, its first picture is not "
                "in the record"
            )
        schedule = pair.schedule or self._assumed("schedule")
        first = Pass(pair.sampler, schedule, numbers["steps"], denoise, pair.options,
                     pair.schedule_options)  # fmt: skip
        hires, scale = self._again(first)
        clip_skip = self._number("clip_skip") or 1
        self.notes += [*tag_remarks(positive, negative), *self._left()]
        return Generation(
            without_tags(positive), without_tags(negative), first, numbers["cfg"],
            numbers["seed"], width, height, hires, scale, clip_skip,
            notes=tuple(dict.fromkeys(self.notes)), silent=tuple(self.silent),
        )

    def _said(self, word: str) -> Any:
        """What the record says for a word of ours, None for nothing."""
        keys = self.record.program.keys.get(word, ())
        self.taken.update(keys)
        found = (self.record.values.get(key) for key in keys)
        return next((value for value in found if value is not None and value != ""), None)

    def _text(self, word: str) -> str:
        value = self._said(word)
        if value is None and word == "positive":
            self.silent.append("positive prompt")
        if value is None or isinstance(value, str):
            return value or ""
        self.notes.append(f"its {word} prompt is no text: {short(_words(value))}")
        return ""

    def _number(self, word: str) -> Any:
        """A number of the record, as text or not; None where it is not said, or is none."""
        value = self._said(word)
        if value is None:
            return None
        low, high = _RANGES[word]
        whole = word in _WHOLE
        number = _number(value)
        if number is None or not low <= number <= high or (whole and number != int(number)):
            self.notes.append(
                f"{word} is {short(_words(value))}, which is no {'whole ' * whole}number from "
                f"{low} to {high}"
            )
            return None
        return int(number) if whole else float(number)

    def _assumed(self, name: str) -> Any:
        self.silent.append(name)
        return SILENT[name]

    def _or_assumed(self, name: str) -> Any:
        number = self._number(name)
        return self._assumed(name) if number is None else number

    def _size(self) -> tuple[int, int]:
        """Width and height, by themselves or in one; else the picture's own."""
        said = self._said("size")
        if isinstance(said, list):
            said = ", ".join(map(_words, said[:2]))
        found = _SIZE.search(said[:_MOST]) if isinstance(said, str) else None
        pairs = zip(("width", "height"), found.groups() if found else (None, None))
        sides = []
        for at, (name, side) in enumerate(pairs):
            low, high = _RANGES[name]
            number = self._number(name) or int(side or 0)
            if not number and low <= self.record.size[at] <= high:
                number = self.record.size[at]
                self.notes.append(f"its {name} is not said; {number} is the picture's")
            sides.append(number if low <= number <= high else self._assumed(name))
        return sides[0], sides[1]

    def _pair(self) -> Pair:
        """Sampler and schedule by our names; one that nobody knows stands as it is."""
        sampler, schedule = (self._name(word) for word in ("sampler", "schedule"))
        if sampler is None:
            sampler = self._assumed("sampler")
        pair = told(sampler, schedule)
        for kind, known, name in (
            ("sampler", samplers.REGISTRY, pair.sampler),
            ("schedule", schedules.REGISTRY, pair.schedule),
        ):
            if name is not None and name not in known:
                self.notes.append(f"its {kind} is not known here: '{short(name)}'")
        return self._with_options(pair)

    def _name(self, word: str) -> str | None:
        value = self._said(word)
        if value is None:
            return None
        if isinstance(value, str) and len(value) <= LONGEST:
            return value.strip() or None
        self.notes.append(f"its {word} is no name: {short(_words(value))}")
        return None

    def _with_options(self, pair: Pair) -> Pair:
        self.notes += pair.notes
        own = samplers.get(pair.sampler).options if pair.sampler in samplers.REGISTRY else None
        more = {
            name: value for name, value in self.record.program.options.items()
            if own is not None and name in own.OPTIONS
        }
        return Pair(pair.sampler, {**pair.options, **more}, pair.schedule, pair.schedule_options)

    def _again(self, first: Pass) -> tuple[Pass, float]:
        """The second pass, the last steps of so many, and its scale; denoise 0 is none."""
        share, scale = self._number("again") or 0.0, self._number("scale") or 1.0
        steps = self._number("again_steps") or first.steps
        run = steps - round(steps * (1 - share))
        denoise = round(run / steps, 6)
        return Pass(
            first.sampler, first.schedule, run or first.steps, denoise, first.options,
            first.schedule_options,
        ), scale if run else 1.0

    def _left(self) -> list[str]:
        """A line for each value that nothing was made of."""
        said = {
            key: _words(value) for key, value in self.record.values.items()
            if value not in _NOTHING
        }
        return leftovers(said, self.taken)[:_MOST]


def _number(value: Any) -> float | None:
    """The number that a value is; a whole one keeps all of its digits."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                pass
    return None


def _words(value: Any, inside: int = 0) -> str:
    """A value as a line has room for; of an object its name, of a list its first parts."""
    if inside > 2 and isinstance(value, (list, dict)):
        return "..."
    if isinstance(value, list):
        return ", ".join(_words(one, inside + 1) for one in value[:_PARTS])
    if isinstance(value, dict):
        named = (value[name] for name in _NAMES if value.get(name))
        return _words(next(named, "..."), inside + 1)
    return str(value)
