"""A scheduler's settings: those given over its defaults, and the groups that classes share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ...schedules.configs import MODEL as _MODEL

Chosen = tuple[str, dict[str, Any]]  # a name of ours and its options

# The model that a scheduler was made for; here the model itself knows.
MODEL = _MODEL | {"_class_name", "_diffusers_version"}

SPACED = {"timestep_spacing": "linspace", "steps_offset": 0}
CURVES = {f"use_{name}_sigmas": False for name in ("karras", "exponential", "beta")}
THRESHOLD = {
    "thresholding": False, "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.0,
}
FLOW = {
    "use_flow_sigmas": False, "flow_shift": 1.0, "use_dynamic_shifting": False,
    "time_shift_type": "exponential",
}
END = {"final_sigmas_type": "zero"}
DYNAMIC = {
    "shift": 1.0, "use_dynamic_shifting": False, "base_shift": 0.5, "max_shift": 1.15,
    "base_image_seq_len": 256, "max_image_seq_len": 4096, "invert_sigmas": False,
    "shift_terminal": None, **CURVES, "time_shift_type": "exponential",
}
CLIPPED = {
    "clip_sample": True, "clip_sample_range": 1.0, **THRESHOLD,
    "timestep_spacing": "leading", "steps_offset": 0,
}
SOLVER = {
    "solver_order": 2, "algorithm_type": "dpmsolver++", "solver_type": "midpoint",
    **THRESHOLD, "lower_order_final": True, **CURVES, **FLOW, **END,
    "lambda_min_clipped": -math.inf, "variance_type": None,
}
# Settings that say nothing while another one is off.
_OF = {
    "clip_sample_range": "clip_sample",
    "dynamic_thresholding_ratio": "thresholding", "sample_max_value": "thresholding",
    "base_shift": "use_dynamic_shifting", "max_shift": "use_dynamic_shifting",
    "base_image_seq_len": "use_dynamic_shifting", "max_image_seq_len": "use_dynamic_shifting",
    "time_shift_type": "use_dynamic_shifting",
    "flow_shift": "use_flow_sigmas",
}


class Settings:
    """The settings of one scheduler, and what is to be said of them."""

    def __init__(self, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        self.values = {k: given.get(k, default) for k, default in defaults.items()}
        self.defaults = defaults
        self.notes: list[str] = []
        self.read: set[str] = set()

    def __getitem__(self, setting: str) -> Any:
        """The value; None for a setting that this scheduler does not have."""
        self.read.add(setting)
        return self.values.get(setting)

    def unread(self) -> list[str]:
        """Settings that nothing was made of and that are not the default anyway."""
        return [f"{k}={v!r}" for k, v in self.values.items()
                if k not in self.read and v != self.defaults[k] and self._counts(k)]

    def _counts(self, setting: str) -> bool:
        """Whether a setting says anything beside the others."""
        return setting not in _OF or bool(self.values.get(_OF[setting]))


Choose = Callable[[Settings], Chosen]
