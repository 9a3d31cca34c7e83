"""DPM-Solver's own step plans: DPM fast on any schedule."""

from __future__ import annotations

SAMPLERS: tuple = ()
