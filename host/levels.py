"""Sigmas that do not come from a schedule: typed by hand, or changed by the nodes."""

from __future__ import annotations

from typing import Any

import torch
from comfy_execution.graph_utils import ExecutionBlocker

from ..samplers import VE
from ..schedules import transforms
from .lists.model import process_of
from .run.handover import parted
from .shown.words import LOOKED_AT

blend = transforms.blend


def typed(text: str, model: Any = None) -> torch.Tensor:
    """Sigmas typed by hand; a connected MODEL's largest one is the limit for the first."""
    top = None if model is None else float(model.get_model_object("model_sampling").sigma_max)
    return transforms.parse(text, top)


def split_at(
    sigmas: torch.Tensor, sigma: float, sampler: Any = None
) -> tuple[torch.Tensor, torch.Tensor, int, Any, Any]:
    """(the steps above, the others, how many come first, a SAMPLER for each).

    See ``transforms.split_at`` and ``handover.parted``.
    """
    above, below = transforms.split_at(sigmas, sigma)
    first = transforms.meeting(sigmas, sigma)
    if sampler is None:
        missing = ExecutionBlocker("Split Sigmas at Level (Stride): no sampler is connected to it")
        return above, below, first, missing, missing
    rising = len(sigmas) > 1 and sigmas[-1] > sigmas[0]
    parts = parted(sampler, above if rising else below)
    return above, below, first, *(reversed(parts) if rising else parts)


def check_text(text: str | None) -> None:
    """Raises ValueError for typed sigmas that are none; None: not known yet."""
    if isinstance(text, str) and len(text) <= LOOKED_AT:
        typed(text)


def adjust(
    sigmas: torch.Tensor, model: Any, steps: int, shift: float, last: float, discard: bool,
    denoise: float,
) -> torch.Tensor:
    """The transforms that are not neutral, in this order.

    steps: 0 keeps the number. shift: 1 is none; a MODEL's largest sigma stays where it is, else
    the first one. last: 0 keeps the last step. discard: without the level before the last.
    denoise: 1 keeps all steps.
    """
    sampling = None if model is None else model.get_model_object("model_sampling")
    if steps:
        sigmas = transforms.resample(sigmas, steps, process_of(sampling) if sampling else VE)
    if shift != 1:
        top = float(sampling.sigma_max) if sampling else None
        sigmas = transforms.shift(sigmas, shift, top)
    if last:
        sigmas = transforms.last_from(sigmas, last)
    if discard:
        sigmas = transforms.discard_penultimate(sigmas)
    return transforms.trim(sigmas, denoise)
