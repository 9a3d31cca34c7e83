"""Names of other programs: what they call a sampler and a schedule, in our words.

>>> interop.resolve("DPM++ 2M Karras")
Pair(sampler='dpmpp_2m', options={}, schedule='karras', schedule_options={}, notes=())
"""

from __future__ import annotations

from .resolve import Pair, resolve

__all__ = ["Pair", "resolve"]
