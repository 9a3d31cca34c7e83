"""What ``automatic`` stands for: a row, by the model, the steps, the cfg and the distillation."""

from __future__ import annotations

import math
from typing import NamedTuple

from .rows import FAMILIES, PRESETS, ROWS, UNKNOWN, Model, Row

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
    kind = model.kind
    return [row for row in ROWS if row.family == kind and row.distilled == distilled]


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
    rows = rows_for(model, distilled)
    if not rows:
        known = sorted({r.distilled for r in ROWS if r.family == model.kind and r.distilled})
        raise ValueError(
            f"automatic knows no '{distilled}' for {FAMILIES[model.kind]}; known for it: "
            f"{', '.join(known) or 'none'}; choose a sampler and a schedule by name"
        )
    row = nearest(rows, steps, cfg)
    title = FAMILIES[row.family]
    if row.family in UNKNOWN:
        return Pick(row, f"family unknown; {title}, {row.grade}: {row.source}")
    what = f"{title} {row.distilled}" if row.distilled else title
    return Pick(row, f"{what}, {span(row.steps)} steps, {row.grade}: {row.source}")


def span(reach: tuple[float, float]) -> str:
    """A range in words: "4" or "5 to 9"."""
    low, high = reach
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
