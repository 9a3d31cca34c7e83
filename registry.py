"""Named entries with checked options: what samplers/ and schedules/ have in common."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**said):
        """For a type checker: what it decorates makes dataclasses. ``typing`` has it since 3.11."""
        return lambda decorator: decorator


Value = bool | int | float | str

LONGEST = 200  # characters of a name; a longer one is nobody's
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def shown(value: object) -> str:
    """A value as an error tells it: texts in quotes, long ones with their middle left out."""
    return _SHORT.repr(value)


@dataclass(frozen=True)
class Option:
    """What one option accepts: numbers from low to high, true and false, or one of a few words.

    The type of ``default`` decides which; a whole number stands for whole numbers alone.
    """

    name: str
    default: Value
    help: str
    low: float = 0.0
    high: float = 1.0
    values: tuple[str, ...] = ()

    @property
    def kind(self) -> type:
        """bool, int, float or str."""
        return type(self.default)

    @property
    def accepts(self) -> str:
        """The accepted values in words."""
        if self.values:
            return f"one of {', '.join(self.values)}"
        if self.kind is bool:
            return "true or false"
        return f"a {'whole ' * (self.kind is int)}number from {self.low} to {self.high}"

    def check(self, value: Any) -> None:
        """Raises ValueError with what is accepted where ``value`` is not."""
        if self.values:
            fine = isinstance(value, str) and value in self.values
        elif self.kind is bool or isinstance(value, bool):
            fine = self.kind is bool and isinstance(value, bool)
        else:
            fine = isinstance(value, (int, float)) and self.low <= value <= self.high and (
                math.isfinite(value) and (self.kind is float or value == int(value))
            )
        if not fine:
            raise ValueError(f"option '{self.name}' must be {self.accepts}, got {shown(value)}")

    def read(self, text: str) -> Any:
        """The value that a text stands for; one that does not fit is left to ``check``."""
        if self.kind is bool:
            return {"true": True, "false": False}.get(text.lower(), text)
        return text if self.values else number(text)

    def facts(self, default: Value) -> dict[str, Any]:
        """All of it as JSON takes it, with the default of one entry."""
        bounds = {} if self.kind is bool else {"low": self.low, "high": self.high}
        accepts = {"values": list(self.values)} if self.values else bounds
        return {"name": self.name, "type": self.kind.__name__, "default": default, **accepts,
                "help": self.help}

    def widened(self, other: Option) -> Option:
        """One option for the users of both: the widest range, the words of both."""
        default = self.default
        if other.kind is float:  # a whole number for one, any for the other
            default = float(default)
        return replace(
            self, default=default, low=min(self.low, other.low), high=max(self.high, other.high),
            values=tuple(dict.fromkeys((*self.values, *other.values))),
        )


def number(text: str) -> int | float | str:
    """The number that a text is; a text that is none as it is."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def option(default: float | bool, low: float = 0, high: float = 1, help: str = "") -> Any:
    """A field of an option set with its accepted range and its one line of help."""
    return field(default=default, metadata={"low": low, "high": high, "help": help})


def choice(default: str, values: tuple[str, ...], help: str) -> Any:
    """A field of an option set that is one of a few words."""
    return field(default=default, metadata={"values": values, "help": help})


@dataclass(repr=False, eq=False)
class Options:
    """Base of all option sets: every field is an ``option`` or a ``choice``, checked when set.

    A value: compared and hashed by its fields, which are set once. OPTIONS: what each accepts.
    """

    OPTIONS: ClassVar[dict[str, Option]] = {}

    def __post_init__(self) -> None:
        values = self.__dict__
        for name, option in self.OPTIONS.items():
            option.check(values[name])

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

    def unlike(self, other: Options) -> dict[str, Any]:
        """The options that have another value than in ``other``, or are none of its."""
        theirs = vars(other)
        return {name: value for name, value in vars(self).items()
                if name not in theirs or theirs[name] != value}


Set = TypeVar("Set", bound=Options)


@dataclass_transform()
def option_set(cls: type[Set]) -> type[Set]:
    """Makes a dataclass of a subclass of ``Options``.

    ``Options`` holds once what dataclasses would write anew for each of them, which was a third
    of the pack's import.
    """
    made = dataclass(repr=False, eq=False)(cls)
    made.OPTIONS = {
        f.name: Option(f.name, getattr(made, f.name), **f.metadata) for f in fields(made)
    }
    return made


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

    def configure(self, base: Options | None = None, /, **given: Any) -> Options:
        """The options with ``given`` in place; unknown or bad ones raise ValueError.

        base: the options to start from, the defaults unless given.
        """
        base = self.options if base is None else base
        if not given:
            return base
        if strange := [name for name in given if name not in base.OPTIONS]:
            has = ", ".join(base.OPTIONS) or "none"
            raise ValueError(
                f"'{self.name}' has no option {shown(strange[0])}; its options: {has}"
            )
        try:
            return replace(base, **given)
        except ValueError as error:
            raise ValueError(f"'{self.name}': {error}") from None


class UnknownName(ValueError):
    """A name that nobody has.

    kind: of what it was to be the name, "sampler" or "schedule". pack: what is known of whose it
    is, "" where nothing is.
    """

    def __init__(self, kind: str, name: str, message: str, pack: str = "") -> None:
        super().__init__(message)
        self.kind, self.name, self.pack = kind, name, pack


E = TypeVar("E", bound=Entry)


# Other packs read a meaning of their own into these.
_RESERVED = {"ays", "ays_30", "gits", "beta_1_1"}


def key(name: str) -> str:
    """What spellings of one name have in common: "DPM++ 2S a" is "dpmpp_2s_ancestral".

    Case, spaces and punctuation do not count, "+" is "p", and "ancestral" may be "a".
    """
    letters = re.sub(r"[^a-z0-9]", "", name.lower().replace("+", "p"))
    return letters.replace("ancestral", "a")


def name_of(kind: str, said: object) -> str:
    """``said``, where it can be a name at all: every name is looked at here before it is looked up.

    Raises ValueError for what is no text, UnknownName for a text longer than ``LONGEST``.
    """
    if not isinstance(said, str):
        raise ValueError(f"a {kind} is chosen by its name, got {shown(said)}")
    if len(said) > LONGEST:
        raise UnknownName(kind, said, (
            f"unknown {kind} {shown(said)}; a name has {LONGEST} characters at most, this text has "
            f"{len(said)}"
        ))
    return said


class Registry(Generic[E]):
    """Entries in display order, found by name, label or alias, in any spelling of one ``key``."""

    def __init__(self, kind: str, entry_type: type[E], entries: Iterable[E]) -> None:
        self.kind, self.entry_type = kind, entry_type
        self._entries: dict[str, E] = {}
        self._spellings: dict[str, E] = {}  # by what a spelling has in common with others
        self._exact: dict[str, E] = {}  # by the spelling itself, in lower case
        self._watchers: list[Callable[[E], object]] = []
        for entry in entries:
            self.add(entry)

    def add(self, entry: E) -> E:
        """Take up ``entry`` behind the others and return it; the same one twice is no error.

        Raises ValueError for a name that is not plain snake_case or that, like a label or an
        alias, is taken, and TypeError for anything but an entry of this registry's kind.
        """
        if not isinstance(entry, self.entry_type):
            raise TypeError(
                f"a {self.kind} must be a {self.entry_type.__name__}, got {shown(entry)}"
            )
        if self._entries.get(entry.name) == entry:
            return entry
        fits = re.fullmatch(r"[a-z][a-z0-9_]*", entry.name) and len(entry.name) <= LONGEST
        if not fits or entry.name in _RESERVED:
            raise ValueError(
                f"a {self.kind} cannot be called {shown(entry.name)}: a name is lower-case "
                f"letters, digits and underscores, and none of {', '.join(sorted(_RESERVED))}"
            )
        spellings = {key(s): s for s in (entry.name, entry.label, *entry.aliases)}
        for spelling in sorted(spellings.keys() & self._spellings.keys()):
            raise ValueError(
                f"two {self.kind}s are called '{spellings[spelling].lower()}': "
                f"{self._spellings[spelling].name} and {entry.name}"
            )
        self._spellings.update(dict.fromkeys(spellings, entry))
        self._exact.update((s.lower(), entry) for s in (entry.name, entry.label, *entry.aliases))
        self._entries[entry.name] = entry
        for watcher in self._watchers:
            watcher(entry)
        return entry

    def watch(self, watcher: Callable[[E], object]) -> None:
        """Call ``watcher`` with every entry that is added later."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)

    def __iter__(self) -> Iterator[E]:
        return iter(self._entries.values())

    def __contains__(self, name: str) -> bool:
        return self.find(name) is not None

    def find(self, name: str) -> E | None:
        """The entry called ``name`` in any spelling, or None."""
        if len(name) > LONGEST:
            return None
        return self._entries.get(name) or self._spellings.get(key(name))

    def spelled(self, name: str) -> E | None:
        """The entry that has ``name`` letter by letter, its case apart, or None."""
        return self._exact.get(name.strip().lower()) if len(name) <= LONGEST else None

    @property
    def names(self) -> list[str]:
        """The names in display order."""
        return list(self._entries)

    def get(self, name: str) -> E:
        """The entry called ``name``; an unknown name raises with the nearest ones."""
        if (found := self.find(name_of(self.kind, name))) is not None:
            return found
        raise UnknownName(
            self.kind, name, unknown(self.kind, name, self.names, self.spellings)
        )

    @property
    def spellings(self) -> dict[str, str]:
        """The name behind every name, label and alias."""
        return {s: e.name for e in self for s in (e.name, e.label, *e.aliases)}


def unknown(
    kind: str, name: str, known: Iterable[str], spellings: Mapping[str, str] | None = None,
    pack: str = "",
) -> str:
    """The message for a name that is not among ``known``: it lists the nearest ones.

    spellings: what else they are called, which is looked through as well. pack: whose the name
    is, where that is known.
    """
    called = {**{n: n for n in known}, **(spellings or {})}
    keys = {key(spelling): n for spelling, n in called.items()}
    near = difflib.get_close_matches(key(name), keys, n=6, cutoff=0.4)
    near = list(dict.fromkeys(keys[k] for k in near))[:3]
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return "; ".join(filter(None, (f"unknown {kind} {shown(name)}", pack, hint)))
