"""diffusers' timestep spacings, as table entries (Lin et al. 2023, arXiv:2305.08891, table 2).

Between entries sigma is linear, as in diffusers. More steps than the table has times, which
diffusers does not support, are spread evenly between the same two ends.
"""

from __future__ import annotations

import numpy as np

from ..registry import Options, choice, option, option_set
from .entry import NoOptions, Schedule
from .spec import ModelSpec

# dpmpp: the multistep family (DPM-Solver++, UniPC, DEIS, SA) plans one point more and drops the
# lowest. euler: the k-diffusion family (Euler, Heun, LMS, DPM2). ddim: DDIM, DDPM, PNDM, TCD.
_FAMILIES = ("euler", "ddim", "dpmpp")
_HELP = "which schedulers' variant: Euler and its like, DDIM, or DPM++, UniPC, DEIS"


@option_set
class Leading(Options):
    """Options of the leading spacing."""

    steps_offset: int = option(1, 0, 500, "added to every time; Stable Diffusion uses 1")
    like: str = choice("euler", _FAMILIES, _HELP)


@option_set
class Like(Options):
    """The option of a spacing of which diffusers' schedulers have variants."""

    like: str = choice("euler", _FAMILIES, _HELP)


def times(
    spacing: str, count: int, steps: int, like: str = "euler", offset: int = 0
) -> np.ndarray:
    """diffusers' falling times [steps] in a table of ``count``, float64.

    spacing: linspace (even, both ends), leading (multiples of ``count // steps`` from 0 up, plus
    the offset) or trailing (even strides down from the last). like: see ``Like``.
    Raises ValueError for another spacing.
    """
    points = steps + (like == "dpmpp")
    if spacing == "leading":
        index = np.arange(points) * (count // points) + float(offset)
        return index[::-1][:steps]
    if spacing == "linspace":
        # Upwards, as there: which half of .5 is rounded to hangs on the last bit.
        index = np.linspace(0.0, count - 1, points)[::-1][:steps]
        return index if like == "euler" else np.round(index)
    if spacing == "trailing":
        return np.round(count - np.arange(steps) * (count / steps)) - 1.0
    raise ValueError(f"timestep_spacing '{spacing}' is not linspace, leading or trailing")


def leading(spec: ModelSpec, steps: int, options: Leading) -> np.ndarray:
    """Multiples of ``n // steps`` from 0 up, plus the offset: it starts below the model's top."""
    count = len(spec.sigmas)
    return _entries(spec, times("leading", count, steps, options.like, options.steps_offset))


def linspace(spec: ModelSpec, steps: int, options: Like) -> np.ndarray:
    """Even from the table's last entry to its first; rounded to entries unless like Euler's.

    dpmpp: one point more, without the lowest. One step starts at the top, while in diffusers'
    Euler and DDIM it starts at the table's first entry, next to no noise at all.
    """
    count = len(spec.sigmas)
    if steps == 1:
        return _entries(spec, np.array([count - 1.0]))
    return _entries(spec, times("linspace", count, steps, options.like))


def trailing(spec: ModelSpec, steps: int, options: NoOptions) -> np.ndarray:
    """Even strides down from the table's last entry, rounded to entries."""
    return _entries(spec, times("trailing", len(spec.sigmas), steps))


def _entries(spec: ModelSpec, index: np.ndarray) -> np.ndarray:
    """Table values at falling indices; where they are not distinct or leave the table, even."""
    top = len(spec.sigmas) - 1
    if index[0] > top or index[-1] < 0 or np.any(np.diff(index) >= 0):
        low = min(max(index[-1], 0), top - 1)
        index = np.linspace(min(max(index[0], low + 1), top), low, len(index))
    return np.interp(index, np.arange(top + 1), spec.sigmas.astype(np.float64))


SCHEDULES = (
    Schedule(
        name="leading", label="Leading", curve=leading, options=Leading(),
        source="diffusers timestep_spacing='leading'",
    ),
    Schedule(
        name="linspace", label="Linspace", curve=linspace, options=Like(),
        source="diffusers timestep_spacing='linspace'",
    ),
    Schedule(
        name="trailing", label="Trailing", curve=trailing,
        source="diffusers timestep_spacing='trailing'",
    ),
)
