"""What can be done to any list of sigmas, and sigmas typed by hand.

Every function takes levels (a list or a tensor [n + 1] of any type: falling to 0 or, for a part of
a run, to a level above it; or rising, equal, turning) and returns new ones, float32 on the CPU.
Where levels fall all the way, or rise all the way, so do those that are made of them.
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

    They must be finite and not negative, and nowhere higher than ``sigma_max`` where that is given;
    where the last step falls, it must be to 0. Else ValueError tells which value is wrong and what
    is accepted.
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
    """Sigmas given one by one, held to what ``parse`` tells."""
    levels = _checked(values, least=2)
    if 0 < levels[-1] < levels[-2]:
        raise ValueError(f"the last sigma must be 0, got {levels[-1]:g}; add 0 at the end")
    if sigma_max is not None:
        for place in np.flatnonzero(levels > sigma_max * (1 + 1e-5)):
            raise ValueError(
                f"sigma {place + 1}, {levels[place]:g}, is above the model's largest, "
                f"{sigma_max:g}"
            )
    return torch.from_numpy(levels.astype(np.float32))


def shift(levels: Levels, factor: float, top: float | None = None) -> torch.Tensor:
    """``sigma = top s r / (1 + (s - 1) r)`` with r = sigma / top: more steps at high noise.

    factor: s, above 1 for more noise, below 1 for less. top: the level that stays, the highest
    unless given (a flow model's time shift has top 1).
    """
    values = _checked(levels)
    if not 0.01 <= factor <= 100:
        raise ValueError(f"shift: the factor must be from 0.01 to 100, got {shown(factor)}")
    high = values.max()
    top = high if top is None else top
    if high > top * (1 + 1e-5):
        raise ValueError(f"shift: the highest sigma, {high:g}, is above {top:g}")
    r = values / (top or 1.0)
    return _settled(top * factor * r / (1.0 + (factor - 1.0) * r), values)


def trim(levels: Levels, denoise: float) -> torch.Tensor:
    """The last ``round(steps * denoise)`` steps, one at least; none where denoise is 0."""
    values = _checked(levels)
    if not 0.0 <= denoise <= 1.0:
        raise ValueError(f"trim: denoise must be from 0 to 1, got {denoise}")
    if denoise == 0.0:
        return torch.empty(0, dtype=torch.float32)
    kept = max(1, round((len(values) - 1) * denoise))
    return _settled(values[-(kept + 1) :], values)


def resample(levels: Levels, steps: int, process: Process = VE) -> torch.Tensor:
    """The same curve with another number of steps, even in its index, linear in log-SNR.

    Next to sigma 1 of a FLOW process and to 0, where log-SNR is infinite, and above 1, where there
    is none, it is linear in sigma. The final 0 stays the last step; the step to it has no curve, so
    a single one cannot be resampled.
    """
    values = _checked(levels)
    if steps % 1 or not 1 <= steps <= MAX_STEPS:
        raise ValueError(f"resample: steps must be a whole number to {MAX_STEPS}, got {steps}")
    body, end = (values[:-1], values[-1:]) if values[-1] == 0 else (values, values[:0])
    count = int(steps) + (len(end) == 0)
    if len(body) < 2 and count > len(body):
        raise ValueError("resample: a curve of one step has no shape to follow")
    at = np.linspace(0.0, len(body) - 1.0, count)
    low = np.minimum(at.astype(int), max(len(body) - 2, 0))
    a, b, w = body[low], body[min(1, len(body) - 1) :][low], at - low
    straight = (1.0 - w) * a + w * b
    alpha_a, alpha_b = (1.0 - a, 1.0 - b) if process is FLOW else (np.ones_like(a),) * 2
    finite = (np.minimum(alpha_a, alpha_b) > 0) & (np.minimum(a, b) > 0) & (w > 0) & (w < 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.exp((1.0 - w) * np.log(a / alpha_a) + w * np.log(b / alpha_b))
        curved = ratio / (1.0 + ratio) if process is FLOW else ratio
    return _settled(np.append(np.where(finite, curved, straight), end), values)


def blend(first: Levels, second: Levels, weight: float) -> torch.Tensor:
    """Between two curves of the same length: ``first**(1 - w) * second**w`` level by level."""
    a, b = _checked(first), _checked(second)
    if len(a) != len(b):
        raise ValueError(
            f"blend: the curves have {len(a) - 1} and {len(b) - 1} steps; resample one of them"
        )
    if not 0.0 <= weight <= 1.0:
        raise ValueError(f"blend: the weight must be from 0 to 1, got {weight}")
    for place in np.flatnonzero((a == 0) != (b == 0)):
        raise ValueError(
            f"blend: sigma {place + 1} is 0 in one curve and {a[place] + b[place]:g} in the other"
        )
    return _settled(a ** (1.0 - weight) * b**weight, a, b)


def split(levels: Levels, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first ``step`` steps and the others; the level between them is in both."""
    values = _checked(levels)
    last = len(values) - 1
    if step % 1 or not 0 <= step <= last:
        raise ValueError(f"split: the step must be a whole number from 0 to {last}, got {step}")
    parts = values[: int(step) + 1], values[int(step) :]
    first, second = (
        torch.from_numpy(part[: len(part) if len(part) > 1 else 0].astype(np.float32))
        for part in parts
    )
    return first, second


def meeting(levels: Levels, sigma: float) -> int:
    """How many steps come before the way crosses ``sigma``; all or none where it does not.

    A step is above where it begins at ``sigma`` or higher. ValueError for a way that goes back.
    """
    above = _checked(levels)[:-1] >= np.float32(sigma)
    changes = np.flatnonzero(above[1:] != above[:-1]) + 1
    if len(changes) > 1:
        raise ValueError(
            f"split: the sigmas cross {sigma:g} {len(changes)} times; a run for two models crosses "
            "it once"
        )
    return int(changes[0]) if len(changes) else int(np.count_nonzero(above))


def split_at(levels: Levels, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The steps that begin at ``sigma`` or above, and the others, whichever come first.

    So do two models share a run of which one was trained above a level (Wan 2.2: 0.875 to 0.9).
    """
    values = _checked(levels)
    first, second = split(values, meeting(values, sigma))
    up = len(first) > 0 and values[0] < np.float32(sigma)
    return (second, first) if up else (first, second)


def last_from(levels: Levels, sigma: float) -> torch.Tensor:
    """The last step begins at ``sigma``, whatever the curve has there: between its neighbours."""
    values = _checked(levels).copy()
    if len(values) < 2:
        raise ValueError("last sigma: a single level has no step to begin")
    open_end = np.inf if values[-2] >= values[-1] else 0.0
    low, high = sorted((values[-1], values[-3] if len(values) > 2 else open_end))
    if not low < sigma < high:
        raise ValueError(
            f"the last step cannot begin at {sigma:g}: accepted is what lies between {low:g} and "
            f"{high:g}"
        )
    before = values.copy()
    values[-2] = sigma
    return _settled(values, before)


def discard_penultimate(levels: Levels) -> torch.Tensor:
    """Without the level before the last, as A1111 has it for some samplers: one step fewer."""
    values = _checked(levels)
    if len(values) < 3:
        raise ValueError("discard penultimate: a curve of one step has nothing to give up")
    return _settled(np.delete(values, -2), values)


def _checked(levels: Levels, least: int = 1) -> np.ndarray:
    """The levels in float64; ValueError for too few of them, or for any that no latent can have."""
    if isinstance(levels, torch.Tensor):
        levels = levels.detach().cpu().double().numpy()  # numpy has no bfloat16
    values = np.asarray(levels, dtype=np.float64)
    if values.ndim != 1 or not least <= len(values) <= MAX_STEPS + 1:
        raise ValueError(
            f"sigmas must be a list of {least} to {MAX_STEPS + 1} values, got {list(values.shape)}"
        )
    for place in np.flatnonzero(~np.isfinite(values) | (values < 0)):
        raise ValueError(f"sigma {place + 1} must be a number from 0 up, got {values[place]:g}")
    for place in np.flatnonzero(values > np.finfo(np.float32).max):
        raise ValueError(f"sigma {place + 1}, {values[place]:g}, is too large")
    return values


def _settled(values: np.ndarray, *made_of: np.ndarray) -> torch.Tensor:
    """Float32, with ties that only rounding made set one float apart.

    made_of: the curves that the values come from. Where none of those falls, or rises, from level
    to level, nothing is set apart.
    """
    if all(map(_falls, made_of)):
        return torch.from_numpy(_apart(values))
    if all(_falls(curve[::-1]) for curve in made_of):
        return torch.from_numpy(_apart(values[::-1])[::-1].copy())
    return torch.from_numpy(values.astype(np.float32))


def _falls(values: np.ndarray) -> bool:
    """Whether every level is below the one before it, in float32 too."""
    return bool(np.all(np.diff(values.astype(np.float32)) < 0))


def _apart(values: np.ndarray) -> np.ndarray:
    """Falling levels in float32."""
    end = int(values[-1] == 0)
    body = separate(values[: len(values) - end].astype(np.float32))
    if len(body) and body[-1] <= 0:
        raise ValueError("the sigmas reach 0 before their last step")
    return np.append(body, np.zeros(end, np.float32))
