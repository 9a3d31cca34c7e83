"""A sampler's entry in the registry: a name, facts, and the function that makes its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

from ..engine.levels import check_sigmas, rises, rows_over
from ..engine.run import Plan
from ..engine.table import Row, Table, away, cfg_pp
from ..process import VE, Process, Undefined
from ..registry import Entry, Options, choice, option, option_set

ETA = "fresh noise per step: 0 none, 1 full ancestral; above 1 more, at most all of the level's"
MOST_ETA = 100.0
VERSIONS = ("regular", "alternative")  # of CFG++


class Unable(ValueError):
    """A sampler is not defined on the levels that it was given; the message names it."""


NOISES = ("independent", "path", "host", "a1111", "a1111_nv")
# Some that go where others cannot: up, and above sigma 1 of a flow model. A test runs them there.
UPWARDS, ABOVE_ONE = ("euler", "heun", "dpmpp_2m"), ("euler", "heun", "lms")


@option_set
class Deterministic(Options):
    """Options of every sampler with a table."""

    cfg_pp: bool = option(False, help="CFG++: renoise with the unconditional answer; use cfg 1-2")


@option_set
class Noisy(Options):
    """Options of everything that adds fresh noise. QUIET: the values that switch it off."""

    QUIET: ClassVar[Mapping[str, float]] = {}
    s_noise: float = option(1.0, 0.0, 100.0, "multiplier of the fresh noise; 1 is exact")
    noise: str = choice(
        "independent", NOISES,
        "fresh noise: independent draws, one path at every step count, or another program's stream",
    )
    ensd: int = option(0, 0, 2**32, "A1111's eta noise seed delta, for noise a1111 and a1111_nv")


@option_set
class Eta(Noisy, Deterministic):
    """Options of every sampler that can be made stochastic by a split of the step."""

    QUIET = {"eta": 0.0}
    eta: float = option(0.0, 0.0, MOST_ETA, ETA)


@dataclass(frozen=True, kw_only=True)
class Sampler(Entry):
    """A named preset of a table.

    build: (sigmas, process, options) -> rows, pure, no tensor in sight. Its sigmas go one way, down
    unless they rise; what a formula has no value for is left to ``process.Undefined``.
    order: published order of convergence of the deterministic form, None where there is none.
    calls: model calls a step.
    """

    build: Callable[[tuple[float, ...], Process, Any], Iterable[Row]]
    order: int | None
    calls: int = 1
    adaptive: ClassVar[bool] = False  # whether it chooses its own steps and has no table

    @cached_property
    def stochastic(self) -> bool:
        """Whether it adds noise at its default options."""
        # Enough steps for a method that only restarts in long runs.
        levels = (*(10.0 * 0.87**i for i in range(40)), 0.0)
        return self.planned(levels, VE, self.options).stochastic

    @property
    def brownian(self) -> bool:
        """Whether A1111 and the host draw its noise from a Brownian tree, as we do from a path."""
        return getattr(self.options, "noise", "") == "path"

    def plan(self, sigmas: Sequence[float], process: Process, **options: Any) -> Plan:
        """The plan of a run over ``sigmas``, a checked Table; raises ValueError on bad input."""
        return self.planned(check_sigmas(sigmas, process), process, self.configure(**options))

    def planned(self, levels: tuple[float, ...], process: Process, options: Options) -> Plan:
        """The same for levels and options that have been checked."""
        return _table(self, levels, process, options)

    def rows(
        self, levels: tuple[float, ...], process: Process, options: Any
    ) -> tuple[Row, ...]:
        """The rows over levels that go one way, before CFG++.

        Raises Unable, naming the sampler and some that can, where it is not defined there.
        """
        try:
            rows = tuple(self.build(levels, process, options))
        except Undefined as missing:
            if rises(levels) and self._loud(options):
                raise self._no_way_up(levels, options) from None
            can = ABOVE_ONE if max(levels) > 1.0 and process.alpha(max(levels)) < 0 else UPWARDS
            raise self._unable(f"needs {missing}", options, can) from None
        if rises(levels) and any(row.noise for row in rows):
            raise self._no_way_up(levels, options)
        return rows

    def _loud(self, options: Any) -> dict[str, float]:
        """The options that bring fresh noise, with the values that switch it off."""
        quiet: Mapping[str, float] = getattr(options, "QUIET", {})
        return {name: value for name, value in quiet.items() if getattr(options, name) != value}

    def _no_way_up(self, levels: Sequence[float], options: Any) -> Unable:
        way = f"{levels[0]:.6g} to {levels[-1]:.6g}"
        return self._unable(f"adds noise and cannot go up in sigma ({way})", options, UPWARDS)

    def _unable(self, why: str, options: Any, can: Sequence[str]) -> Unable:
        loud = " and ".join(f"{name} {value:g}" for name, value in self._loud(options).items())
        quiet = f"set {loud}, or " if loud else ""
        return Unable(f"'{self.name}' {why}; {quiet}use {', '.join(can)}")


@lru_cache(maxsize=8)  # repeated runs ask for the same; ten thousand steps take some megabytes
def _table(
    sampler: Sampler, sigmas: tuple[float, ...], process: Process, options: Options
) -> Table:
    rows: Iterable[Row] = rows_over(sigmas, lambda levels: sampler.rows(levels, process, options))
    if getattr(options, "cfg_pp", False):
        other = getattr(options, "version", VERSIONS[0]) != VERSIONS[0]
        rows = away(rows) if other else cfg_pp(rows, process)
    end = getattr(options, "s_noise_end", -1.0)
    return Table(
        sigmas, process, tuple(rows), getattr(options, "s_noise", 1.0), end if end >= 0 else None
    )
