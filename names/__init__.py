"""Names of other programs: what they call a sampler and a schedule, in our words.

>>> names.resolve("DPM++ 2M Karras")
Pair(sampler='dpmpp_2m', options={}, schedule='karras', schedule_options={}, notes=())
"""

from __future__ import annotations

from .resolve import (
    PREFIX,
    Pair,
    contradiction,
    is_class,
    nobodys,
    plain,
    resolve,
    schedule_named,
)

__all__ = [
    "PREFIX", "Pair", "contradiction", "is_class", "nobodys", "plain", "resolve",
    "schedule_named",
]
