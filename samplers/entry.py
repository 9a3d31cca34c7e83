"""A sampler's entry in the registry: a name, facts, and the function that makes its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..registry import Entry, Options
from .process import Process
from .table import Row, Table, check_sigmas


@dataclass(frozen=True, kw_only=True)
class Sampler(Entry):
    """A named preset of a table.

    build: (sigmas, process, options) -> rows, pure, no tensor in sight.
    order: published order of convergence of the deterministic form. calls: model calls a step.
    """

    build: Callable[[tuple[float, ...], Process, Options], Iterable[Row]]
    order: int
    calls: int = 1

    @property
    def stochastic(self) -> bool:
        """Whether it adds noise at its default options."""
        return getattr(self.options, "eta", 0) > 0

    def table(self, sigmas: tuple[float, ...], process: Process, **options: float) -> Table:
        """The checked coefficients of a run over ``sigmas``; raises ValueError on bad input."""
        chosen = self.configure(**options)
        values = check_sigmas(sigmas, process)
        rows = tuple(self.build(values, process, chosen))
        return Table(values, process, rows, getattr(chosen, "s_noise", 1.0))
