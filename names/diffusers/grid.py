"""The noise levels and the times of a scheduler of diffusers, as the class itself lists them.

Formulas and roundings are those of diffusers 0.42: levels in float32, times whole where it has
them whole, and the last level where it ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ... import schedules
from ...schedules import ModelSpec
from ...schedules.configs import alpha_bar, is_continuous, is_edm, is_flow
from ...schedules.spacing import times as spaced
from ...schedules.spec import time_shift
from .settings import Settings

LIKE_EULER = ("EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete", "KDPM2Discrete",
         "KDPM2AncestralDiscrete", "LMSDiscrete", "DPMSolverSDE")
BY_TIME = ("DDIM", "DDIMParallel", "DDPM", "DDPMParallel", "PNDM", "LCM", "TCD", "CogVideoXDDIM",
           "UnCLIP")
# Those whose curves give times that are rounded; others cut them off.
_ROUNDED = ("DPMSolverMultistep", "DPMSolverSinglestep", "UniPCMultistep", "DEISMultistep",
            "SASolver", "KDPM2Discrete", "KDPM2AncestralDiscrete")
# Those whose curve ends with its last level twice.
_TWICE = ("UniPCMultistep", "DEISMultistep", "SASolver")
_SOLVERS = ("DPMSolverMultistep", "DPMSolverSinglestep", *_TWICE)  # also of flow models
_CURVES = {"use_karras_sigmas": "karras", "use_lu_lambdas": "exponential",
           "use_exponential_sigmas": "exponential", "use_beta_sigmas": "beta_a1111"}
_FULL = 1e16  # 1 / alpha_bar of no signal at all: sigma 1e8


class NoExactForm(ValueError):
    """What a scheduler of diffusers does and no table here can."""


@dataclass(frozen=True)
class Grid:
    """levels: of every step, and where the last one ends. times: by level, of the steps and of
    what lies between them."""

    levels: tuple[float, ...]
    times: Mapping[float, float]
    model: ModelSpec
    whole: bool = False  # whether times are integers

    def timesteps(self, sigmas: Sequence[float]) -> torch.Tensor:
        """The times of model calls at these levels."""
        values = [self.times[s] if s in self.times else self.model.timestep(s) for s in sigmas]
        return torch.tensor(values, dtype=torch.int64 if self.whole else torch.float32)


def grid(name: str, s: Settings, config: Mapping[str, Any], steps: int) -> Grid:
    """The levels and times of ``steps`` steps of the class ``name`` with its settings."""
    if is_edm(config):
        return _edm(s, ModelSpec.from_config(config), steps)
    if is_flow(config):
        return _flow(name, s, config, steps)
    table = _Table(config)
    if name in BY_TIME:
        return table.by_time(name, s, steps)
    return table.by_sigma(name, s, config, steps)


class _Table:
    """A model's table of sigmas by training time."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        bar = alpha_bar(config)
        self.sigmas: np.ndarray = (((1 - bar) / bar.clamp(min=1 / _FULL)) ** 0.5).numpy()
        self.count = len(bar)
        self.model = ModelSpec.from_table(self.sigmas)  # in float32, as theirs works out times

    def by_time(self, name: str, s: Settings, steps: int) -> Grid:
        """Levels that are entries of the table, and the end."""
        if steps > self.count:
            raise ValueError(f"steps must be at most {self.count}, the model's times")
        if name in ("LCM", "TCD"):
            index = _distilled(self.count, int(s["original_inference_steps"]), steps)
        else:
            spacing = s["timestep_spacing"] or "linspace"
            index = spaced(spacing, self.count, steps, "ddim", s["steps_offset"] or 0)
        index = index.astype(int)
        if index[0] >= self.count:
            raise ValueError(f"steps_offset {s['steps_offset']} leads past the model's times")
        stride, strides = self.count // steps, name.startswith(("DDIM", "PNDM", "CogVideoX"))
        if strides and np.any(np.diff(index) != -stride):
            raise NoExactForm(
                f"{name}Scheduler steps by {stride} times whatever its list says, which with "
                f"timestep_spacing '{s['timestep_spacing']}' at {steps} steps are other ones; "
                "there is no exact form of that"
            )
        levels = [float(self.sigmas[t]) for t in index]
        end = 0.0
        if name == "TCD" or (strides and not s["set_alpha_to_one"]):
            end = float(self.sigmas[0])
        if strides and index[-1] >= stride:
            end = float(self.sigmas[index[-1] - stride])
        times = dict(zip(levels, map(float, index)))
        if name == "PNDM" and not s["skip_prk_steps"]:
            for t in index[:3]:
                middle = int(t) - stride // 2
                times[float(self.sigmas[middle])] = float(middle)
        return Grid((*levels, end), times, self.model, whole=True)

    def by_sigma(self, name: str, s: Settings, config: Mapping[str, Any], steps: int) -> Grid:
        """Levels at spaced times, or a curve, and the end that the settings name."""
        like = "euler" if name in LIKE_EULER else "dpmpp"
        count = self.count - self._clipped(s)
        spacing = s["timestep_spacing"] or "linspace"
        index = spaced(spacing, count, steps, like, s["steps_offset"] or 0)
        values = np.interp(index, np.arange(self.count), self.sigmas)
        curve = next((c for setting, c in _CURVES.items() if s[setting]), None)
        last = s["final_sigmas_type"]  # some have no choice
        zero = name in LIKE_EULER if last is None else last == "zero"
        end = 0.0 if zero else float(self.sigmas[0])
        if s["interpolation_type"] == "log_linear":
            top, bottom = np.log(self.sigmas[[-1, 0]]).tolist()
            even = torch.linspace(top, bottom, steps + 1, dtype=torch.float32)  # as theirs
            *values, end = even.exp().tolist()
        if curve:
            low, high = (values[-1], values[0]) if like == "euler" else self.sigmas[[0, -1]]
            ends = float(s["sigma_min"] or low), float(s["sigma_max"] or high)
            values = _curve(curve, *ends, steps)
            index = self._times(values)
            if _rounds(name, s, config):
                index = np.round(index)
            if end and name in _TWICE:
                end = float(np.float32(values[-1]))
        values = np.asarray(values).astype(np.float32).astype(np.float64)
        if is_continuous(config):
            index = 0.25 * np.log(values)
        whole = name not in LIKE_EULER
        index = np.trunc(index) if whole else index
        return Grid((*values.tolist(), end), dict(zip(values.tolist(), index.tolist())),
                    ModelSpec.from_config(config) if is_continuous(config) else self.model, whole)

    def _clipped(self, s: Settings) -> int:
        """How many of the first times are left out (lambda_min_clipped)."""
        low = s["lambda_min_clipped"]
        if low is None or low == -math.inf:
            return 0
        return int(np.searchsorted(-np.log(self.sigmas)[::-1], low))

    def _times(self, sigmas: np.ndarray) -> np.ndarray:
        """Times of any levels: linear in log sigma, in diffusers' precision."""
        logs, wanted = np.log(self.sigmas), np.log(np.maximum(sigmas, 1e-10))
        low = np.clip(np.searchsorted(logs, wanted, side="right") - 1, 0, self.count - 2)
        w = np.clip((logs[low] - wanted) / (logs[low] - logs[low + 1]), 0, 1)
        return np.asarray((1 - w) * low + w * (low + 1))


def _rounds(name: str, s: Settings, config: Mapping[str, Any]) -> bool:
    if name not in _ROUNDED or not (s["use_karras_sigmas"] or s["use_lu_lambdas"]):
        return False
    return name != "DPMSolverMultistep" or config.get("beta_schedule") != "squaredcos_cap_v2"


def _curve(name: str, low: float, high: float, steps: int, **options: float) -> np.ndarray:
    """One of our curves between two levels, float64; one step is the upper one."""
    if steps == 1:
        return np.array([high])
    entry, model = schedules.get(name), ModelSpec.edm(low, high)
    return np.asarray(entry.curve(model, steps, entry.configure(**options)), dtype=np.float64)


def _distilled(count: int, origin: int, steps: int) -> np.ndarray:
    """``steps`` of the ``origin`` times that a consistency model was distilled on."""
    if steps > origin:
        raise ValueError(f"steps must be at most {origin} (original_inference_steps)")
    times = np.arange(1, origin + 1)[::-1] * (count // origin) - 1
    return times[np.floor(np.linspace(0, origin, steps, endpoint=False)).astype(int)]


def _edm(s: Settings, model: ModelSpec, steps: int) -> Grid:
    low, high = float(s["sigma_min"]), float(s["sigma_max"])
    options = {"rho": float(s["rho"])} if s["sigma_schedule"] == "karras" else {}
    values = _curve(s["sigma_schedule"], low, high, steps, **options)
    levels = values.astype(np.float32).astype(np.float64)
    end = 0.0 if s["final_sigmas_type"] == "zero" else levels[-1]
    return Grid((*levels.tolist(), float(end)), {}, model)


def _flow(name: str, s: Settings, config: Mapping[str, Any], steps: int) -> Grid:
    """A straight line, shifted; mu where the shift hangs on the picture."""
    count, mu = float(config.get("num_train_timesteps") or 1000), config.get("mu")
    solver = name in _SOLVERS
    asked = s["flow_shift"] if solver else s["shift"]
    shift = float(asked or 1.0)
    if s["use_dynamic_shifting"]:
        if mu is None:
            raise ValueError("use_dynamic_shifting needs mu, which a pipeline works out")
        shift = float(mu) if s["time_shift_type"] == "linear" else math.exp(mu)
    given = config.get("sigmas")
    if given is not None:
        if len(given) != steps:
            raise ValueError(f"sigmas are {len(given)} for {steps} steps")
        line = np.asarray(given, dtype=np.float32).astype(np.float64)
    elif name == "UniPCMultistep":
        line = np.linspace(1.0, 1.0 / count, steps + 1)[:-1]
    elif name == "FlowMapEulerDiscrete":
        line = np.linspace(1.0, 0.0, steps + 1)[:-1]
    elif solver:
        line = (1.0 - np.linspace(1.0, 1.0 / count, steps + 1))[::-1][:-1]
    else:
        first = 1.0 / count if s["use_dynamic_shifting"] else _shifted(1.0 / count, shift)
        line = np.linspace(1.0, first, steps)
    values = time_shift(line, shift)
    if s["shift_terminal"]:
        values = 1.0 - (1.0 - values) * (1.0 - s["shift_terminal"]) / (1.0 - values[-1])
    curve = next((c for setting, c in _CURVES.items() if s[setting]), None)
    if curve and solver:
        raise NoExactForm(f"{name}Scheduler: curves of flow sigmas have no exact form here")
    if curve:
        values = _curve(curve, float(values[-1]), float(values[0]), steps)
    if name == "UniPCMultistep" and abs(values[0] - 1.0) < 1e-6:
        values[0] -= 1e-6
    levels = values.astype(np.float32).astype(np.float64)
    last = name in ("DEISMultistep", "SASolver") or (
        name == "UniPCMultistep" and s["final_sigmas_type"] == "sigma_min"
    )
    end = float(levels[-1]) if last else 0.0
    times = np.trunc(values * count) if solver else levels * count
    return Grid((*levels.tolist(), end), dict(zip(levels.tolist(), times.tolist())),
                ModelSpec.flow(), whole=solver)


def _shifted(t: float, shift: float) -> float:
    return float(time_shift(np.array(t), shift))
