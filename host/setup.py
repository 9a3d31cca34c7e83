"""How a KSampler's run is prepared: who makes its sigmas, its initial noise and its SAMPLER."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.sample
import comfy.samplers
import torch

from ..a1111.run import Settings
from ..engine.streams import GENERATORS, A1111Noise
from .carry import anew, resumable
from .lists.names import ours
from .run.watch import ANEW, Box, RunSettings
from .sampling import note_on, sampler_object, sigmas_for


@dataclass(frozen=True)
class Asked:
    """What a KSampler node was asked for, beside the model, the prompts and the latent.

    window: (first step, step to stop before) of KSampler Advanced. leftover: stop there with the
    noise that is left instead of going straight to sigma 0. options, schedule_options: the
    sampler's and the schedule's own. settings, box: see ``watch``. a1111: the settings of a run
    by A1111's rules.
    """

    seed: int
    steps: int
    sampler: str
    schedule: str
    denoise: float = 1.0
    add_noise: bool = True
    window: tuple[int, int] | None = None
    leftover: bool = False
    options: dict[str, Any] | None = None
    schedule_options: dict[str, Any] | None = None
    settings: RunSettings = RunSettings()
    box: Box | None = None
    a1111: Settings | None = None


@dataclass(frozen=True)
class Setup:
    """A run that can start: all that ``ksample`` needs of it.

    sigmas: its levels; fewer than two where there is nothing to do. noise, sampler: called once
    if there is, for the initial noise and for the host's SAMPLER. guidance: what cfg is multiplied
    by. notes: for whoever looks.
    """

    model: Any
    sigmas: torch.Tensor
    noise: Callable[[], torch.Tensor]
    sampler: Callable[[], Any]
    notes: tuple[str | None, ...] = ()
    guidance: float = 1.0


def standard(model: Any, asked: Asked, latent: dict[str, Any]) -> Setup:
    """A run by our own rules; any name that a dropdown has."""
    entry = ours("sampler", asked.sampler)
    name = entry.name if entry else asked.sampler
    sigmas, ahead = _levels(model, name, asked)
    if len(sigmas) < 2:
        return Setup(model, sigmas, lambda: latent["samples"], lambda: None)
    notes = [note_on(model, asked.schedule, asked.steps, asked.schedule_options)]
    run: dict[str, Any] = {"settings": asked.settings, "box": asked.box}
    stream = ""
    if entry:
        stream = getattr(entry.configure(**(asked.options or {})), "noise", "")
        indices = latent.get("batch_index")
        run |= {"images": None if indices is None else list(indices), "ahead": ahead, "keep": True}
        run["resume"], note = (None, None) if asked.add_noise else resumable(
            latent, asked.sampler, sigmas, asked.options or {}
        )
        if run["resume"] is not None and asked.settings.history == ANEW:
            run["resume"] = anew(run["resume"])
        notes.append(note)
    return Setup(
        model, sigmas, lambda: _initial_noise(latent, asked.seed, asked.add_noise, stream),
        lambda: sampler_object(asked.sampler, asked.options, **run), tuple(notes),
    )


def _levels(model: Any, name: str, asked: Asked) -> tuple[torch.Tensor, tuple[float, ...]]:
    """The sigmas of the run, and those after its last one which a chained run will take."""
    # The host plans one step more for these and drops the last but one, ours do so too: the same
    # sigmas give the same picture when one node is swapped for the other.
    spare = name in comfy.samplers.KSampler.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
    sigmas = sigmas_for(
        model, asked.schedule, asked.steps, asked.denoise, spare, asked.schedule_options
    )
    if asked.window is None:
        return sigmas, ()
    first, last = asked.window
    ahead = tuple(sigmas[last + 1 :].tolist()) if asked.leftover else ()
    cut = last < len(sigmas) - 1
    sigmas = sigmas[: last + 1].clone()
    if cut and not asked.leftover:
        sigmas[-1] = 0.0
    return sigmas[first:], ahead


def _initial_noise(
    latent: dict[str, Any], seed: int, add_noise: bool, stream: str
) -> torch.Tensor:
    """The initial noise: A1111's where its stream was chosen, else the host's own.

    It is drawn without moving the global generator.
    """
    samples, indices = latent["samples"], latent.get("batch_index")
    if not add_noise:
        empty = getattr(comfy.sample, "prepare_empty_noise", None)  # knows nested latents
        return empty(samples) if empty else torch.zeros_like(samples, device="cpu")
    if stream in GENERATORS:
        images = indices or range(samples.shape[0])
        return A1111Noise(stream, seed, images).first(samples.shape)
    with torch.random.fork_rng(devices=[]):
        return comfy.sample.prepare_noise(samples, seed, indices)
