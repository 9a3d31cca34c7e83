"""What can be done to any list of sigmas, and sigmas typed by hand.

Every function takes decreasing levels (a list or a tensor [n + 1], the last one 0, or above 0 for
the first part of a run) and returns new ones, float32 on the CPU, by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch

from ..process import FLOW, VE, Process
from ..registry import shown
from .entry import MAX_STEPS, separate

Levels = Sequence[float] | np.ndarray | torch.Tensor


def parse(text: str, sigma_max: float | None = None) -> torch.Tensor:
    """Sigmas typed by hand, "14.6, 7.1, 3e-1, 0": parted by commas, semicolons, spaces or lines.

    They must be finite, fall strictly and end in 0, and begin no higher than ``sigma_max`` where
    that is given; else ValueError tells which value is wrong and what is accepted.
    """
    words = re.split(r"[\s,;]+", text.strip().strip("[]()").strip(), maxsplit=MAX_STEPS + 1)
    if len(words) > MAX_STEPS + 1:  # the last of them is all that is left of the text
        raise ValueError(f"more than {MAX_STEPS + 1} sigmas were typed")
    if words == [""]:
        raise ValueError("no sigmas were typed; write them like 14.6, 7.1, 3e-1, 0")
    values = []
    for place, word in enumerate(words, 1):
        try:
            values.append(float(word))
        except ValueError:
            raise ValueError(
                f"sigma {place}, {shown(word)}, is not a number; write them like 14.6, 7.1, 3e-1, 0"
            ) from None
    return typed(values, sigma_max)


def typed(values: Levels, sigma_max: float | None = None) -> torch.Tensor:
    """Sigmas given one by one, held to the contract as ``parse`` tells."""
    levels = _checked(values)
    if levels[-1] != 0:
        raise ValueError(f"the last sigma must be 0, got {levels[-1]:g}; add 0 at the end")
    if sigma_max is not None and levels[0] > sigma_max * (1 + 1e-5):
        raise ValueError(
            f"sigma 1, {levels[0]:g}, is above the model's largest, {sigma_max:g}"
        )
    return torch.from_numpy(levels.astype(np.float32))


def shift(levels: Levels, factor: float, top: float | None = None) -> torch.Tensor:
    """``sigma = top s r / (1 + (s - 1) r)`` with r = sigma / top: more steps at high noise.

    factor: s, above 1 for more noise, below 1 for less. top: the level that stays, the first
    unless given (a flow model's time shift has top 1).
    """
    values = _checked(levels)
    if not 0.01 <= factor <= 100:
        raise ValueError(f"shift: the factor must be from 0.01 to 100, got {shown(factor)}")
    top = values[0] if top is None else top
    r = values / top
    if r[0] > 1 + 1e-5:
        raise ValueError(f"shift: the first sigma, {values[0]:g}, is above {top:g}")
    return _settled(top * factor * r / (1.0 + (factor - 1.0) * r))


def trim(levels: Levels, denoise: float) -> torch.Tensor:
    """The last ``round(steps * denoise)`` steps, one at least; none where denoise is 0."""
    values = _checked(levels)
    if not 0.0 <= denoise <= 1.0:
        raise ValueError(f"trim: denoise must be from 0 to 1, got {denoise}")
    if denoise == 0.0:
        return torch.empty(0, dtype=torch.float32)
    kept = max(1, round((len(values) - 1) * denoise))
    return _settled(values[-(kept + 1) :])


def resample(levels: Levels, steps: int, process: Process = VE) -> torch.Tensor:
    """The same curve with another number of steps, even in its index, linear in log-SNR.

    From sigma 1 of a FLOW process, where log-SNR is minus infinity, it is linear in sigma. The
    final 0 stays the last step; the step to it has no curve, so a single one cannot be resampled.
    """
    values = _checked(levels)
    if steps % 1 or not 1 <= steps <= MAX_STEPS:
        raise ValueError(f"resample: steps must be a whole number to {MAX_STEPS}, got {steps}")
    body, end = (values[:-1], values[-1:]) if values[-1] == 0 else (values, values[:0])
    count = int(steps) + (len(end) == 0)
    if len(body) == 1 and count > 1:
        raise ValueError("resample: a curve of one step has no shape to follow")
    at = np.linspace(0.0, len(body) - 1.0, count)
    low = np.minimum(at.astype(int), max(len(body) - 2, 0))
    a, b, w = body[low], body[min(1, len(body) - 1) :][low], at - low
    straight = (1.0 - w) * a + w * b
    alpha_a, alpha_b = (1.0 - a, 1.0 - b) if process is FLOW else (np.ones_like(a),) * 2
    finite = (alpha_a > 0) & (w > 0) & (w < 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.exp((1.0 - w) * np.log(a / alpha_a) + w * np.log(b / alpha_b))
        curved = ratio / (1.0 + ratio) if process is FLOW else ratio
    return _settled(np.append(np.where(finite, curved, straight), end))


def blend(first: Levels, second: Levels, weight: float) -> torch.Tensor:
    """Between two curves of the same length: ``first**(1 - w) * second**w`` level by level."""
    a, b = _checked(first), _checked(second)
    if len(a) != len(b):
        raise ValueError(
            f"blend: the curves have {len(a) - 1} and {len(b) - 1} steps; resample one of them"
        )
    if not 0.0 <= weight <= 1.0:
        raise ValueError(f"blend: the weight must be from 0 to 1, got {weight}")
    if (a[-1] == 0) != (b[-1] == 0):
        raise ValueError(f"blend: one curve ends at 0, the other at {max(a[-1], b[-1]):g}")
    return _settled(a ** (1.0 - weight) * b**weight)


def split(levels: Levels, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first ``step`` steps and the others; the level between them is in both."""
    values = _checked(levels)
    last = len(values) - 1
    if step % 1 or not 0 <= step <= last:
        raise ValueError(f"split: the step must be a whole number from 0 to {last}, got {step}")
    high, low = (
        _settled(part) if len(part) > 1 else torch.empty(0, dtype=torch.float32)
        for part in (values[: int(step) + 1], values[int(step) :])
    )
    return high, low


def split_at(levels: Levels, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The steps that begin at ``sigma`` or above, and the others.

    So do two models share a run of which one was trained above a level (Wan 2.2: 0.875 to 0.9).
    """
    values = _checked(levels)
    return split(values, int(np.count_nonzero(values[:-1] >= np.float32(sigma))))


def last_from(levels: Levels, sigma: float) -> torch.Tensor:
    """The last step begins at ``sigma``, whatever the curve has there."""
    values = _checked(levels).copy()
    high = values[-3] if len(values) > 2 else np.inf
    if not values[-1] < sigma < high:
        raise ValueError(
            f"the last step cannot begin at {sigma:g}: accepted is what lies between "
            f"{values[-1]:g} and {high:g}"
        )
    values[-2] = sigma
    return _settled(values)


def discard_penultimate(levels: Levels) -> torch.Tensor:
    """Without the level before the last, as A1111 has it for some samplers: one step fewer."""
    values = _checked(levels)
    if len(values) < 3:
        raise ValueError("discard penultimate: a curve of one step has nothing to give up")
    return _settled(np.delete(values, -2))


def _checked(levels: Levels) -> np.ndarray:
    """The levels in float64, held to the rules at the top of this file."""
    values = np.asarray(
        levels.cpu() if isinstance(levels, torch.Tensor) else levels, dtype=np.float64
    )
    if values.ndim != 1 or not 2 <= len(values) <= MAX_STEPS + 1:
        raise ValueError(
            f"sigmas must be a list of 2 to {MAX_STEPS + 1} values, got {list(values.shape)}"
        )
    for place in np.flatnonzero(~np.isfinite(values) | (values < 0)):
        raise ValueError(f"sigma {place + 1} must be a number from 0 up, got {values[place]:g}")
    if values[0] > np.finfo(np.float32).max:
        raise ValueError(f"sigma 1, {values[0]:g}, is too large")
    single = values.astype(np.float32)
    for place in np.flatnonzero(single[1:] >= single[:-1]) + 1:
        raise ValueError(
            f"sigma {place + 1}, {values[place]:g}, must be below sigma {place}, "
            f"{values[place - 1]:g}"
        )
    return values


def _settled(values: np.ndarray) -> torch.Tensor:
    """Float32, with ties that only rounding made set one float apart."""
    end = int(values[-1] == 0)
    body = separate(values[: len(values) - end].astype(np.float32))
    if body[-1] <= 0:
        raise ValueError("the sigmas reach 0 before their last step")
    return torch.from_numpy(np.append(body, np.zeros(end, np.float32)))
