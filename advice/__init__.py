"""Advice: which sampler and schedule suit a model, and which pairs are known to be bad.

``rows.py`` has the data, with a source for every row; ``choose.py`` picks from it, and
``warnings.py`` tells of a run what is known to go wrong. Nothing here touches a tensor or the host.
"""

from .choose import AUTOMATIC, Pick, choose, preset_of, rows_for
from .families import CLASSES, FAMILIES, UNKNOWN, WIDE, Model
from .row import DISTILLED, SAYS, Row
from .rows import ROWS
from .warnings import ANSWERS, RULES, Rule, Run, warnings

__all__ = [
    "ANSWERS", "AUTOMATIC", "CLASSES", "DISTILLED", "FAMILIES", "ROWS", "RULES", "SAYS", "UNKNOWN",
    "WIDE", "Model", "Pick", "Row", "Rule", "Run", "choose", "preset_of", "rows_for", "warnings",
]
