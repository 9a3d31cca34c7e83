"""What a generation text asks for, in our words: names, numbers, options, and what is left over."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .. import samplers, schedules
from ..names import a1111
from ..names.resolve import Pair, resolve
from ..names.told import apart, told
from ..registry import Options, Registry
from . import infotext, programs
from .remarks import leftovers, prompt_remarks, short, without_tags
from .settings import Settings

SEED_MAX = 2**64 - 1
# What is put out where a text says nothing; the report says so.
SILENT: dict[str, Any] = {
    "steps": 20, "cfg": 7.0, "seed": 0, "width": 512, "height": 512, "sampler": "euler",
    "schedule": "normal",
}
RANGES: dict[str, tuple[float, float]] = {
    "steps": (1, 10000), "cfg": (0.0, 1000.0), "seed": (0, SEED_MAX), "width": (16, 16384),
    "height": (16, 16384),
}
_CHURNED = {"Euler", "Heun", "DPM2"}  # A1111 hands these all four of Karras' settings
_PLAIN = {"Euler a", "DPM adaptive"}  # ancestral, but without s_noise
_TIMESTEP = {"DDIM", "DDIM CFG++"}
ROWS = {row.ours: row for row in a1111.SAMPLERS}
_REGISTRIES: Mapping[str, Registry[Any]] = {
    "sampler": samplers.REGISTRY, "schedule": schedules.REGISTRY
}
N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Pass:
    """A run: sampler and schedule of ours with options, how many steps, how much is redrawn."""

    sampler: str
    schedule: str
    steps: int
    denoise: float
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Generation:
    """A picture's settings.

    width, height: pixels of the first pass. clip_skip: A1111's, 1 is none. hires: the second
    pass, with denoise 0 where there is none; scale: its size over the first's. a1111: settings of
    the A1111 run mode, where they are wanted; the options are empty then, it has its own.
    notes: sentences on what was guessed or not carried over. silent: what the text left out.
    """

    positive: str
    negative: str
    first: Pass
    cfg: float
    seed: int
    width: int
    height: int
    hires: Pass
    scale: float = 1.0
    clip_skip: int = 1
    a1111: Settings | None = None
    notes: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


def read(text: str, exact: bool = False) -> Generation:
    """What an A1111 text asks for; any text will do, one without parameters is a prompt.

    exact: the names as A1111 1.10.1 takes them, oddities included, and the settings of its run
    mode; else a name means what the release that wrote it meant, one that is unknown here is handed
    out as it stands, and lines below the parameters are told of. A number that is none or out of
    range is left out. The notes tell of all that.
    """
    return _Reader(text, exact).generation()


@dataclass(frozen=True)
class _Both(Pair):
    """A pair whose schedule is not left open."""

    schedule: str = SILENT["schedule"]


class _Reader:
    """One text being read: its values, what was taken of them, and what is to be said of it."""

    def __init__(self, text: str, exact: bool) -> None:
        below = ""
        if not exact:
            text, below = infotext.to_parameters(text)
        self.said, self.all, self.exact = infotext.read(text), infotext.parse(text), exact
        self.a1111s, self.version = programs.is_a1111s(self.said), programs.release(self.said)
        for theirs, key in () if exact else programs.renamed(self.said):
            self.said[key] = self.all[key] = self.said.pop(theirs)
        self.schedule = programs.schedule_key(self.said)
        self.taken = {"Prompt", "Negative prompt", "Version", "Sampler", self.schedule}
        self.notes = [f"below the parameters stood: {short(below)}"] if below else []
        self.silent: list[str] = []

    def generation(self) -> Generation:
        pair = self._pair()
        numbers = self._numbers()
        width, height = numbers["width"], numbers["height"]
        scale = self._scale(width, height)
        redrawn = self._number("Denoising strength", 1.0, 0.0, 1.0)
        again = scale != 1.0 or any(key.startswith("Hires ") for key in self.said)
        if not again and "Denoising strength" in self.said:
            self.notes.append(
                "it is an image to image run: denoise is its strength, its first picture is not "
                "in the text"
            )
        steps = self._number("Hires steps", 0, 0, 10000) or numbers["steps"]
        hires = self._pair_of_hires(pair) if again else pair
        settings = self._run_mode(pair) if self.exact else None
        options = self._options(pair)
        positive, negative = self.all["Prompt"], self.all["Negative prompt"]
        clip_skip = max(self._number("Clip skip", 1, 0, 24), 1)
        self.notes += prompt_remarks(positive, negative)
        self.notes += leftovers(self.said, self.taken)
        self.notes += [
            f"{key}: A1111 turns this on to repeat a picture of {self.version}; not done here"
            for key, value in self.all.items() if value is True and key not in self.said
        ]
        return Generation(
            without_tags(positive), without_tags(negative),
            Pass(pair.sampler, pair.schedule, numbers["steps"], 1.0 if again else redrawn,
                 *options),
            numbers["cfg"], numbers["seed"], width, height,
            Pass(hires.sampler, hires.schedule, steps, redrawn if again else 0.0,
                 *self._options(hires)),
            scale, clip_skip, settings, tuple(dict.fromkeys(self.notes)), tuple(self.silent),
        )

    def _numbers(self) -> dict[str, Any]:
        """Steps, guidance, seed and size, those that the text does not say put in and noted."""
        found = {}
        for name, key in (
            ("steps", "Steps"), ("cfg", "CFG scale"), ("seed", "Seed"), ("width", "Size-1"),
            ("height", "Size-2"),
        ):
            if key not in self.all:
                self.silent.append(name)
            low, high = RANGES[name]
            found[name] = self._number(key, SILENT[name], low, high, name)
        return found

    def _number(self, key: str, missing: N, low: float, high: float, put_in: str = "") -> N:
        """The number under a key, whole if ``missing`` is; ``missing`` and a note for any other.

        put_in: what is silent then.
        """
        self.taken.add(key)
        if key not in self.all:
            return missing
        kind = type(missing)
        number = _number(self.all[key], kind)
        if key == "Seed" and number == -1:
            self.notes.append(f"Seed: -1 is another seed in each run; {missing} was put in")
            self.silent.append(put_in)
            return missing
        if number is None or not low <= number <= high:
            self.notes.append(
                f"{key}: {str(self.all[key])[:60]} was left out, it must be a "
                f"{'whole ' * (kind is int)}number from {low} to {high}"
            )
            self.silent += [put_in] if put_in else []
            return missing
        return number

    def _setting(self, key: str) -> float | None:
        """A setting's number, None where it is not in the text; what is none is noted."""
        if key not in self.said:
            return None
        self.taken.add(key)
        try:
            number = float(self.said[key])
            return int(number) if number == int(number) else number
        except (ValueError, OverflowError):
            self.notes.append(f"{key}: {self.said[key][:60]} is no number and was left out")
            return None

    def _scale(self, width: int, height: int) -> float:
        """The second pass's size over the first's."""
        scale = self._number("Hires upscale", 1.0, 0.01, 100.0)
        self.taken |= {"First pass size-1", "First pass size-2", "Hires steps"}
        sides = [self._number(f"Hires resize-{i}", 0, 0, 65536) for i in (1, 2)]
        ratios = [side / first for side, first in zip(sides, (width, height)) if side]
        if not ratios:
            return scale
        if max(ratios) - min(ratios) > 0.01:
            self.notes.append(
                f"the second pass of {sides[0]} x {sides[1]} has another shape than the first, "
                f"and A1111 crops it; scale is the larger ratio"
            )
        return max(ratios)

    def _pair(self) -> _Both:
        sampler, schedule = self.said.get("Sampler"), self.all.get(self.schedule)
        own = self.said.get("Stride sampler"), self.said.get("Stride schedule")
        self.taken |= {"Stride sampler", "Stride schedule", "Stride options"}
        if self.exact:
            return self._resolved(sampler, schedule)
        if any(own):  # our own text: where A1111 has no name for it
            return self._told(own[0] or sampler or SILENT["sampler"], own[1] or schedule, None)
        sampler, schedule = programs.named(sampler), programs.named(schedule)
        if not sampler:
            self.silent.append("sampler")
            if self.schedule not in self.said:
                schedule = SILENT["schedule"]
                self.silent.append("schedule")
        return self._told(sampler or SILENT["sampler"], schedule, self._release(sampler))

    def _release(self, sampler: str | None) -> str | None:
        """The version of A1111 whose names a text's are; None for another program's."""
        labels = sampler in a1111.BY_LABEL and self.schedule == "Schedule type" in self.said
        return self.version if sampler and (self.a1111s or labels) else None

    def _pair_of_hires(self, first: _Both) -> _Both:
        self.taken |= {"Hires sampler", "Hires schedule type"}
        if self.exact:
            found = a1111.hires(self.all)
            same = a1111.SAME_SAMPLER, a1111.SAME_SCHEDULE
            base = a1111.sampler_and_schedule(self.said.get("Sampler"), self.all["Schedule type"])
            row, curve = (old if new == word else new for new, word, old in zip(found, same, base))
            return self._resolved(row, curve)
        sampler = programs.named(self.all["Hires sampler"]) or a1111.SAME_SAMPLER
        schedule = programs.named(self.all["Hires schedule type"]) or a1111.SAME_SCHEDULE
        if sampler == a1111.SAME_SAMPLER and schedule == a1111.SAME_SCHEDULE:
            return first
        if sampler == a1111.SAME_SAMPLER:
            # The first pass's name without the schedule that an old label ends in.
            sampler = ROWS[first.sampler].label if first.sampler in ROWS else first.sampler
        version = self._release(sampler)
        if schedule != a1111.SAME_SCHEDULE:
            return self._told(sampler, schedule, version)
        pair = self._told(sampler, None, version, first)
        if apart(sampler)[1] or (self.a1111s and not a1111.schedule_is_apart(version)):
            return pair  # its label had a schedule, or did without
        return _Both(pair.sampler, pair.options, first.schedule, first.schedule_options)

    def _resolved(self, sampler: Any, schedule: Any) -> _Both:
        """The pair that A1111 1.10.1 runs."""
        pair = resolve(sampler, schedule, exact=True)
        self.notes += pair.notes
        schedule = pair.schedule or SILENT["schedule"]
        return _Both(pair.sampler, pair.options, schedule, pair.schedule_options)

    def _told(
        self, sampler: str, schedule: str | None, version: str | None, first: _Both | None = None
    ) -> _Both:
        """The pair of a text's names; where none says the schedule, the first pass's, if any."""
        pair = told(sampler, schedule, version)
        self.notes += pair.notes
        for kind, name in (("sampler", pair.sampler), ("schedule", pair.schedule)):
            if name is not None and name not in _REGISTRIES[kind]:
                self.notes.append(
                    f"{kind} '{short(name)}' is unknown to Stride: it is handed out as it stands"
                )
        if pair.schedule is not None:
            return _Both(pair.sampler, pair.options, pair.schedule, pair.schedule_options)
        if first is not None:
            return _Both(pair.sampler, pair.options, first.schedule, first.schedule_options)
        self.silent.append("schedule")
        return _Both(pair.sampler, pair.options)

    def _options(self, pair: _Both) -> tuple[dict[str, Any], dict[str, Any]]:
        """The options of the sampler and of the schedule that differ from ours."""
        if self.exact:
            return {}, {}
        chosen, levels = dict(pair.options), dict(pair.schedule_options)
        row = ROWS.get(pair.sampler)
        method, curve = (
            entry.options if (entry := _REGISTRIES[kind].find(name)) else Options()
            for kind, name in (("sampler", pair.sampler), ("schedule", pair.schedule))
        )
        if row:
            self._take(method, chosen, dict(handed_to(row)), off=None)
        self._take(curve, levels, KEYS_OF_SCHEDULES, off=0)
        if noise := self._noise():
            self._put(method, chosen, "noise", noise, "RNG")
            if ensd := self._setting("ENSD"):
                self._put(method, chosen, "ensd", ensd, "ENSD")
        for options, into, own in ((method, chosen, "sampler"), (curve, levels, "schedule")):
            for name, value in self._own(own).items():
                self._put(options, into, name, value, "Stride options")
        return chosen, levels

    def _own(self, kind: str) -> dict[str, Any]:
        """Options that our own texts have where A1111 has no key for them."""
        try:
            found = json.loads(self.said.get("Stride options", "{}"))[kind]
            return found if isinstance(found, dict) else {}
        except (ValueError, KeyError, TypeError, RecursionError):
            return {}

    def _noise(self) -> str | None:
        """Our name of the noise source; None where another program drew it, and did not say how."""
        self.taken.add("RNG")
        named = {"CPU": "a1111", "NV": "a1111_nv"}.get(self.all["RNG"])
        if named is None and self.a1111s and "Seed" in self.said:
            self.notes.append("its noise was drawn on a GPU; a1111_nv imitates an NVIDIA one")
            named = "a1111_nv"
        return named

    def _take(
        self, options: Options, into: dict[str, Any], keys: Mapping[str, str], off: float | None
    ) -> None:
        for key, name in keys.items():
            number = self._setting(key)
            if number is not None and number != off:
                self._put(options, into, name, number, key)

    def _put(
        self, options: Options, into: dict[str, Any], name: str, value: Any, key: str
    ) -> None:
        """Set one option; what the sampler or schedule does not have, or not accept, is noted."""
        if name not in options.OPTIONS:
            if key != "RNG":
                shown = short(str(value))
                self.notes.append(f"{key}: {shown} has no counterpart here and was left out")
            return
        if name == "s_tmax" and value == 0:
            return  # no limit
        try:
            options.OPTIONS[name].check(value)
        except ValueError as error:
            self.notes.append(f"{key}: {short(str(value))} was left out: {error}")
            return
        into[name] = value

    def _run_mode(self, pair: Pair) -> Settings:
        """A1111's settings for its run mode here."""
        default = Settings()
        found: dict[str, Any] = {"noise": "cpu" if self.all["RNG"] == "CPU" else "nv"}
        self.taken.add("RNG")
        if ROWS[pair.sampler].brownian and found["noise"] == "nv":
            found["noise"] = "cpu"
            self.notes.append("its Brownian noise was drawn on a GPU; here it can be A1111's CPU's")
        self._take(default, found, _RUN_MODE, off=None)
        for key, name in {**_RUN_SWITCHES, **_RUN_WORDS}.items():
            if key in self.said:
                self.taken.add(key)
                said = self.said[key]
                value = said == "True" if key in _RUN_SWITCHES else said
                self._put(default, found, name, value, key)
        return Settings(**found)


def _number(said: Any, kind: type[N]) -> N | None:
    """The number that a value is, "20.0" a whole one as well; None for what is none."""
    for read in (int, float):
        try:
            number = read(said)
            return kind(number) if number == kind(number) else None
        except (ValueError, OverflowError):
            pass
    return None


_RUN_MODE = {
    "Eta": "eta", "Eta DDIM": "eta_ddim", "ENSD": "ensd", "Variation seed": "variation_seed",
    "Variation seed strength": "variation_strength", "Sigma churn": "s_churn",
    "Sigma tmin": "s_tmin", "Sigma tmax": "s_tmax", "Sigma noise": "s_noise",
    "Schedule min sigma": "sigma_min", "Schedule max sigma": "sigma_max", "Schedule rho": "rho",
    "UniPC order": "unipc_order", "Noise multiplier": "noise_multiplier",
    "Extra noise": "extra_noise", "Seed resize from-1": "resize_from_width",
    "Seed resize from-2": "resize_from_height",
}
_RUN_SWITCHES = {
    "Discard penultimate sigma": "discard_penultimate",
    "SGM noise multiplier": "sgm_noise_multiplier",
    "UniPC lower order final": "unipc_lower_order_final",
}
_RUN_WORDS = {"UniPC variant": "unipc_variant", "UniPC skip type": "unipc_skip"}
KEYS_OF_RUN_MODE = {**_RUN_MODE, **_RUN_SWITCHES, **_RUN_WORDS}
# A1111 writes the last two and does not restore them, so exact leaves them out.
KEYS_OF_SCHEDULES = {
    "Schedule min sigma": "sigma_min", "Schedule max sigma": "sigma_max", "Schedule rho": "rho",
    "Beta schedule alpha": "alpha", "Beta schedule beta": "beta",
}


def handed_to(row: a1111.Sampler) -> Iterator[tuple[str, str]]:
    """Which settings A1111 hands to a sampler: (key of the text, option of ours)."""
    ancestral = row.uses_ensd or row.brownian
    if ancestral:
        yield "Eta", "eta"
    if row.label in _TIMESTEP:
        yield "Eta DDIM", "eta"
    if row.label == "UniPC":
        yield "UniPC order", "order"
    if row.label in _CHURNED:
        yield from (("Sigma churn", "s_churn"), ("Sigma tmin", "s_tmin"), ("Sigma tmax", "s_tmax"))
    if row.label in _CHURNED or (ancestral and row.label not in _PLAIN):
        yield "Sigma noise", "s_noise"
