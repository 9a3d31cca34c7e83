"""Schedules as curves: one file per family, one contract (``entry.py``) for all.

>>> from stride import schedules
>>> schedules.get("karras").sigmas(schedules.ModelSpec.discrete(), steps=20, rho=5)
"""

from __future__ import annotations

from ..registry import Registry
from . import beta, closed_form, distilled, flow, log_snr, model_grid, spacing, tables, transforms
from .entry import MAX_STEPS, Schedule, check_steps, planned_steps
from .spec import Canvas, ModelSpec

FAMILIES = (model_grid, closed_form, beta, log_snr, flow, spacing, tables, distilled)
REGISTRY: Registry[Schedule] = Registry(
    "schedule", Schedule, (s for family in FAMILIES for s in family.SCHEDULES)
)
get, register = REGISTRY.get, REGISTRY.add

__all__ = [
    "MAX_STEPS", "REGISTRY", "Canvas", "ModelSpec", "Schedule", "check_steps", "get",
    "planned_steps", "register", "transforms",
]
