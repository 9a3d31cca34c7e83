"""Named entries with checked options: what samplers/ and schedules/ have in common."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import Field, FrozenInstanceError, dataclass, field, fields, replace
from typing import Any, Generic, TypeVar


def option(default: float | bool, low: float = 0, high: float = 1, help: str = "") -> Any:
    """A dataclass field with its accepted range and its one line of help."""
    return field(default=default, metadata={"low": low, "high": high, "help": help})


def choice(default: str, values: tuple[str, ...], help: str) -> Any:
    """A dataclass field that is one of a few words."""
    return field(default=default, metadata={"values": values, "help": help})


def option_set(cls: type) -> type:
    """Makes a dataclass of a subclass of ``Options``.

    ``Options`` holds once what dataclasses would write anew for each of them, which was a third of
    the pack's import.
    """
    return dataclass(repr=False, eq=False)(cls)


@option_set
class Options:
    """Base of all option sets: every field is an ``option`` or a ``choice``, checked when set.

    A value: compared and hashed by its fields, which are set once.
    """

    def __post_init__(self) -> None:
        for f in fields(self):
            if problem := _problem(f, getattr(self, f.name)):
                raise ValueError(f"option '{f.name}' must be {problem}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            raise FrozenInstanceError(f"option '{name}' is set; make another set with replace()")
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({values})"


def _problem(f: Field, value: Any) -> str | None:
    """What an option accepts and what it got, or None where the value is fine."""
    if "values" in f.metadata:
        values = f.metadata["values"]
        return None if value in values else f"one of {', '.join(values)}, got {value!r}"
    if isinstance(f.default, bool):
        return None if isinstance(value, bool) else f"true or false, got {value!r}"
    low, high = f.metadata["low"], f.metadata["high"]
    whole = isinstance(f.default, int)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and low <= value <= high and math.isfinite(value) and not (
        whole and value != int(value)
    ):
        return None
    kind = "a whole number" if whole else "a number"
    return f"{kind} from {low} to {high}, got {value!r}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What either registry knows of a method.

    name: the host's snake_case spelling. label: what a person reads. aliases: other spellings.
    options: the defaults; their class tells names, ranges and help. source: paper and equation.
    """

    name: str
    label: str
    source: str
    options: Options
    aliases: tuple[str, ...] = ()

    def configure(self, /, **given: Any) -> Options:
        """The default options with ``given`` in place; unknown or bad ones raise ValueError."""
        known = [f.name for f in fields(self.options)]
        for key in given:
            if key not in known:
                has = ", ".join(known) or "none"
                raise ValueError(f"'{self.name}' has no option '{key}'; its options: {has}")
        try:
            return replace(self.options, **given)
        except ValueError as error:
            raise ValueError(f"'{self.name}': {error}") from None


class UnknownName(ValueError):
    """A name that nobody has."""


E = TypeVar("E", bound=Entry)


# Other packs read a meaning of their own into these.
_RESERVED = {"ays", "ays_30", "gits", "beta_1_1"}


def key(name: str) -> str:
    """What spellings of one name have in common: "DPM++ 2S a" is "dpmpp_2s_ancestral".

    Case, spaces and punctuation do not count, "+" is "p", and "ancestral" may be "a".
    """
    letters = re.sub(r"[^a-z0-9]", "", name.lower().replace("+", "p"))
    return letters.replace("ancestral", "a")


class Registry(Generic[E]):
    """Entries in display order, found by name, label or alias, in any spelling of one ``key``."""

    def __init__(self, kind: str, entry_type: type[E], entries: Iterable[E]) -> None:
        self.kind, self.entry_type = kind, entry_type
        self._entries: dict[str, E] = {}
        self._spellings: dict[str, E] = {}
        self._watchers: list[Callable[[], object]] = []
        for entry in entries:
            self.add(entry)

    def add(self, entry: E) -> E:
        """Take up ``entry`` behind the others and return it; the same one twice is no error.

        Raises ValueError for a name that is not plain snake_case or that, like a label or an
        alias, is taken, and TypeError for anything but an entry of this registry's kind.
        """
        if not isinstance(entry, self.entry_type):
            raise TypeError(f"a {self.kind} must be a {self.entry_type.__name__}, got {entry!r}")
        if self._entries.get(entry.name) == entry:
            return entry
        if not re.fullmatch(r"[a-z][a-z0-9_]*", entry.name) or entry.name in _RESERVED:
            raise ValueError(
                f"a {self.kind} cannot be called '{entry.name}': a name is lower-case letters, "
                f"digits and underscores, and none of {', '.join(sorted(_RESERVED))}"
            )
        spellings = {key(s): s for s in (entry.name, entry.label, *entry.aliases)}
        for spelling in sorted(spellings.keys() & self._spellings.keys()):
            raise ValueError(
                f"two {self.kind}s are called '{spellings[spelling].lower()}': "
                f"{self._spellings[spelling].name} and {entry.name}"
            )
        self._spellings.update(dict.fromkeys(spellings, entry))
        self._entries[entry.name] = entry
        for watcher in self._watchers:
            watcher()
        return entry

    def watch(self, watcher: Callable[[], object]) -> None:
        """Call ``watcher`` after every later addition."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)

    def __iter__(self) -> Iterator[E]:
        return iter(self._entries.values())

    def __contains__(self, name: str) -> bool:
        return key(name) in self._spellings

    def spells(self, name: str) -> bool:
        """Whether ``name`` is one of ours letter by letter, the case apart."""
        entry = self._spellings.get(key(name))
        known = (entry.name, entry.label, *entry.aliases) if entry else ()
        return name.strip().lower() in map(str.lower, known)

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    def get(self, name: str) -> E:
        """The entry called ``name``; an unknown name raises with the nearest ones."""
        if name in self:
            return self._spellings[key(name)]
        raise UnknownName(unknown(self.kind, name, self.names, self.spellings))

    @property
    def spellings(self) -> dict[str, str]:
        """The name behind every name, label and alias."""
        return {s: e.name for e in self for s in (e.name, e.label, *e.aliases)}


def unknown(
    kind: str, name: str, known: Iterable[str], spellings: Mapping[str, str] | None = None
) -> str:
    """The message for a name that is not among ``known``: it lists the nearest ones.

    spellings: what else they are called, which is looked through as well.
    """
    called = {**{n: n for n in known}, **(spellings or {})}
    keys = {key(spelling): n for spelling, n in called.items()}
    near = difflib.get_close_matches(key(str(name)), keys, n=6, cutoff=0.4)
    near = list(dict.fromkeys(keys[k] for k in near))[:3]
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return f"unknown {kind} '{name}'; {hint}"
