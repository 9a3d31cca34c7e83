"""What ``automatic`` stands for: a row, by the model, the steps, the cfg and the distillation."""

from __future__ import annotations

import math
from typing import NamedTuple

from .families import FAMILIES, UNKNOWN, Model
from .row import PRESETS, SAYS, Row
from .rows import ROWS

AUTOMATIC = "automatic"  # in our dropdowns; never among the host's names


class Pick(NamedTuple):
    """A row and, for a person, why it was picked."""

    row: Row
    reason: str


def preset_of(schedule: str) -> str:
    """The distillation that a schedule was made for; "" for a schedule of any model."""
    return PRESETS.get(schedule, "")


def rows_for(model: Model, distilled: str = "") -> list[Row]:
    """The rows of the model's family for that distillation, "" for none; there may be none."""
    return [row for row in _family(model) if distilled in row.forms]


def in_order(model: Model, steps: int, cfg: float, sampler: str, schedule: str) -> bool:
    """Whether a run as a whole is what some form of the model is made for, named or not."""
    return any(row.holds(steps, cfg) and row.suits(sampler, schedule) for row in _family(model))


def _family(model: Model) -> list[Row]:
    kind = model.kind
    return [row for row in ROWS if row.family == kind]


def nearest(rows: list[Row], steps: int, cfg: float | None) -> Row:
    """The row that holds steps and cfg, else the one whose ranges are the fewest times away."""
    def away(row: Row) -> float:
        return _ratio(row.steps, steps) + (0.0 if cfg is None else _ratio(row.cfg, cfg))

    return min(rows, key=away)


def _ratio(reach: tuple[float, float], value: float) -> float:
    """0 within the range, else the logarithm of how many times the value is outside of it."""
    low, high = reach
    near = min(max(value, low), high)
    return abs(math.log(max(value, 1e-3) / near))


def choose(model: Model, steps: int, cfg: float | None = None, distilled: str = "") -> Pick:
    """What ``automatic`` is for a run; it depends on nothing else, so chained nodes agree.

    cfg: None where it is not known, then every row's will do. Raises ValueError for a distillation
    of which nothing is known on that family.
    """
    rows, title = rows_for(model, distilled), FAMILIES[model.kind]
    if not rows:
        known = sorted({form for row in _family(model) for form in row.forms if form})
        raise ValueError(
            f"automatic knows no '{distilled}' for {title}; known for it: "
            f"{', '.join(known) or 'none'}; choose a sampler and a schedule by name"
        )
    row = nearest(rows, steps, cfg)
    if row.family in UNKNOWN:
        return Pick(row, f"family unknown; for {title}: {SAYS[row.grade]}")
    what = f"{title} {distilled}" if distilled else title
    near = "" if row.steps[0] <= steps <= row.steps[1] else ", the nearest that is known"
    return Pick(row, f"{what}, {span(row.steps)} steps{near}: {SAYS[row.grade]}")


def span(reach: tuple[float, float]) -> str:
    """A range in words: "4" or "5 to 9"."""
    low, high = reach
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
