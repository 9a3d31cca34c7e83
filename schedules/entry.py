"""A schedule's entry in the registry, and the one place where its contract is enforced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch

from ..registry import Entry, Options, option_set, shown
from .spec import ModelSpec

MAX_STEPS = 10_000
_MAX_PLANNED = 100 * MAX_STEPS  # of a curve whose end alone is run: denoise 0.01

# Two curve points closer than this (relative) count as rounding and are set one float32 apart.
_ROUNDING = 1e-5
_APART, _SMALLEST = 1.0 - 2.0**-22, float(np.finfo(np.float32).tiny)  # what float32 tells apart


@option_set
class NoOptions(Options):
    """A schedule without options."""


@dataclass(frozen=True, kw_only=True)
class Schedule(Entry):
    """A named curve.

    curve: (spec, steps, options) -> the ``steps`` positive sigmas before the final 0.
    counts: the only step counts that it is made for, in rising order; empty: any.
    remark: (spec, steps, options) -> a sentence for whoever uses it on that model, or None.
    """

    curve: Callable[[ModelSpec, int, Any], Any]
    options: Options = NoOptions()
    counts: tuple[int, ...] = ()
    remark: Callable[[ModelSpec, int, Any], str | None] | None = None

    def levels(
        self, spec: ModelSpec, steps: int, denoise: float = 1.0, options: Options | None = None,
        discard_penultimate: bool = False,
    ) -> np.ndarray:
        """The noise levels of a run in float64: strictly falling, in float32 too, last value 0.

        The arguments are those of ``sigmas``, with the options as one set, checked.
        """
        steps = check_steps(self.name, steps)
        planned = planned_steps(self.name, steps, denoise)
        if planned == 0:
            return np.empty(0)
        if self.counts and planned not in self.counts:
            part = "" if planned == steps else f" in all, of which denoise leaves {steps}"
            raise ValueError(
                f"schedule '{self.name}' is made for {self.made_for} steps and has no curve for "
                f"{planned}{part}"
            )
        planned += discard_penultimate
        try:
            curve = self.curve(spec, planned, self.options if options is None else options)
        except ValueError as error:
            raise ValueError(f"schedule '{self.name}': {error}") from None
        values = np.asarray(curve, dtype=np.float64)
        if values.shape != (planned,):
            raise ValueError(f"schedule '{self.name}' made {values.shape} values for {planned}")
        levels = _descending(self.name, values, spec.sigma_max)
        if discard_penultimate:
            levels = np.delete(levels, -2)
        return levels[-(steps + 1) :]

    def sigmas(
        self, spec: ModelSpec, steps: int, denoise: float = 1.0,
        discard_penultimate: bool = False, **options: Any,
    ) -> torch.Tensor:
        """The noise levels of a run: float32 on the CPU, strictly decreasing, last value 0.

        steps: 1 to 10000; the result has ``steps + 1`` values. denoise: 0..1; below 1 the curve
        is planned for ``int(steps / denoise)`` steps and its last ``steps`` are kept (the host's
        rule); 0 gives an empty list. discard_penultimate: plan one step more and leave out the
        last sigma before 0 (A1111's setting, and the host's rule for some samplers).
        Raises ValueError naming the schedule and the range.
        """
        chosen = self.configure(**options)
        return tensor_of(self.levels(spec, steps, denoise, chosen, discard_penultimate))

    @property
    def made_for(self) -> str:
        """The step counts in words."""
        *most, last = map(str, self.counts)
        if len(most) > 2 and self.counts[-1] - self.counts[0] == len(most):
            return f"{self.counts[0]} to {last}"
        return f"{', '.join(most)} or {last}" if most else last

    def note(self, spec: ModelSpec, steps: int, **options: Any) -> str | None:
        """What a person should know of this curve on this model; None where there is nothing."""
        return self.remark and self.remark(spec, steps, self.configure(**options))


def tensor_of(levels: np.ndarray) -> torch.Tensor:
    """Levels as the host takes them: float32 on the CPU."""
    return torch.tensor(levels, dtype=torch.float32)


def check_steps(name: str, steps: int) -> int:
    """The number of steps; one outside the contract is refused."""
    whole = isinstance(steps, Real) and not isinstance(steps, bool) and steps % 1 == 0
    if not whole or not 1 <= steps <= MAX_STEPS:
        raise ValueError(
            f"schedule '{name}': steps must be a whole number from 1 to {MAX_STEPS}, got "
            f"{shown(steps)}"
        )
    return int(steps)


def planned_steps(name: str, steps: int, denoise: float) -> int:
    """Steps of the whole curve of which the last ``steps`` are run; 0 where denoise is 0."""
    if not isinstance(denoise, Real) or not 0.0 <= denoise <= 1.0:
        raise ValueError(f"schedule '{name}': denoise must be from 0 to 1, got {shown(denoise)}")
    if denoise == 0.0:
        return 0
    if denoise > 0.9999:
        return steps
    if steps / denoise > _MAX_PLANNED:
        raise ValueError(
            f"schedule '{name}': {steps} steps at denoise {denoise:g} are the end of a curve of "
            f"{steps / denoise:.3g} steps; at most {_MAX_PLANNED}"
        )
    return int(steps / denoise)


def _descending(name: str, values: np.ndarray, sigma_max: float) -> np.ndarray:
    """The curve with its final 0, strictly decreasing in float32 too, or a ValueError."""
    if not np.all(np.isfinite(values)) or values.min() <= 0:
        raise ValueError(f"schedule '{name}' made a sigma that is not finite and positive")
    if values[0] > sigma_max * (1 + _ROUNDING):
        raise ValueError(
            f"schedule '{name}' starts at sigma {values[0]:.6g}, above the model's {sigma_max:.6g}"
        )
    if np.any(values[1:] > values[:-1] * (1 + _ROUNDING)):
        i = int(np.argmax(values[1:] > values[:-1] * (1 + _ROUNDING)))
        raise ValueError(f"schedule '{name}' rises after its value {i + 1}: {values[i : i + 2]}")
    out = np.append(np.minimum(values, sigma_max), 0.0)
    if np.all(out[1:] <= out[:-1] * _APART) and out[-2] >= _SMALLEST:
        return out  # float32 tells them apart
    body = separate(out[:-1].astype(np.float32))
    if body[-1] <= 0:
        raise ValueError(f"schedule '{name}' reaches sigma 0 before its last step")
    return np.append(body.astype(np.float64), 0.0)


def separate(values: np.ndarray) -> np.ndarray:
    """Float32 values that fall, but for ties, with each tie moved one float below the other."""
    for i in np.flatnonzero(values[1:] >= values[:-1]) + 1:
        # A run of ties moves down one float at a time, each below the one before it.
        while i < len(values) and values[i] >= values[i - 1]:
            values[i] = np.nextafter(values[i - 1], np.float32(0))
            i += 1
    return values
