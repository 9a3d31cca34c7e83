"""What the nodes do: sigmas for a MODEL, a SAMPLER by name, a whole KSampler run."""

from __future__ import annotations

import time
from typing import Any

import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch

from .. import samplers, schedules
from ..samplers.streams import GENERATORS, A1111Noise
from .model import family_of, spec_of
from .names import plain, problem_with
from .run import HostRun, Stopped, TheirRun

CARRY_KEY = "stride"  # where a LATENT keeps a stopped run


def sigmas_for(
    model: Any, schedule: str, steps: int, denoise: float = 1.0, spare: bool = False,
    options: dict[str, Any] | None = None,
) -> torch.Tensor:
    """The sigmas of ``schedule`` for a host MODEL, float32 on the CPU.

    spare: plan one step more and drop the value before the last, as the host does for some of
    its own samplers. options: the schedule's own, for one of ours. Names of other packs go
    through the host's handler.
    """
    options = options or {}
    if problem := problem_with(schedule=schedule):
        raise ValueError(problem)
    model_sampling = model.get_model_object("model_sampling")
    steps = schedules.check_steps(schedule, steps)
    planned = schedules.planned_steps(schedule, steps, denoise)
    if planned == 0:
        return torch.empty(0)
    if plain(schedule) in schedules.REGISTRY:
        entry, spec = schedules.get(plain(schedule)), spec_of(model_sampling, family_of(model))
        spare = spare and not entry.counts  # a distilled model knows its own levels only
        return entry.sigmas(spec, steps, denoise, discard_penultimate=spare, **options)
    refuse_options(schedule, options)
    sigmas = comfy.samplers.calculate_sigmas(model_sampling, schedule, planned + spare).cpu()
    if spare:
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    return sigmas[-(steps + 1) :]


def note_on(
    model: Any, schedule: str, steps: int, options: dict[str, Any] | None = None
) -> str | None:
    """What a person should know of one of our schedules on this MODEL, or None."""
    if plain(schedule) not in schedules.REGISTRY:
        return None
    spec = spec_of(model.get_model_object("model_sampling"), family_of(model))
    return schedules.get(plain(schedule)).note(spec, steps, **(options or {}))


def sampler_object(name: str, options: dict[str, Any] | None = None, **run: Any) -> Any:
    """The host's SAMPLER for a name: ours by name, label or alias, else the host's own.

    options: the sampler's own, for one of ours. run: further fields of ``HostRun``. A name that
    nobody has, and an option that the sampler does not have, raise ValueError.
    """
    if problem := problem_with(sampler=name):
        raise ValueError(problem)
    options = options or {}
    if plain(name) in samplers.REGISTRY:
        entry = samplers.get(plain(name))
        entry.configure(**options)
        on_device = name.endswith("_gpu")
        return comfy.samplers.KSAMPLER(HostRun(entry, options, on_device=on_device, **run))
    refuse_options(name, options)
    theirs = comfy.samplers.sampler_object(name)
    if hasattr(theirs, "sampler_function"):
        theirs.sampler_function = TheirRun(theirs.sampler_function)
    return theirs


def refuse_options(name: str, options: dict[str, Any]) -> None:
    """A sampler or schedule of the host or of another pack has no options that we could set."""
    if options:
        raise ValueError(
            f"'{name}' is not one of Stride's and takes no options here, got {', '.join(options)}"
        )


def ksample(
    model: Any, seed: int, steps: int, cfg: float, sampler: str, schedule: str,
    positive: Any, negative: Any, latent: dict[str, Any], *,
    denoise: float = 1.0, add_noise: bool = True, window: tuple[int, int] | None = None,
    leftover: bool = False, options: dict[str, Any] | None = None,
    schedule_options: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the KSampler nodes do: sample ``latent`` and tell what it cost.

    window: (first step, step to stop before) of KSampler Advanced. leftover: stop there with the
    noise that is left instead of going straight to sigma 0. options, schedule_options: the
    sampler's and the schedule's own. Returns (LATENT, report).
    """
    started = time.perf_counter()
    if problem := problem_with(sampler, schedule):
        raise ValueError(problem)
    # Newer hosts tell in the latent what an empty one has to be rescaled by.
    ratios = {key: latent[key] for key in latent if key.startswith("downscale_ratio_")}
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"], **ratios)
    # The host plans one step more for these and drops the last but one, ours do so too: the same
    # sigmas give the same picture when one node is swapped for the other.
    ours = plain(sampler) in samplers.REGISTRY
    name = samplers.get(plain(sampler)).name if ours else sampler
    spare = name in comfy.samplers.KSampler.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
    sigmas = sigmas_for(model, schedule, steps, denoise, spare, schedule_options)
    ahead: tuple[float, ...] = ()
    if window is not None:
        first, last = window
        ahead = tuple(sigmas[last + 1 :].tolist()) if leftover else ()
        cut = last < len(sigmas) - 1
        sigmas = sigmas[: last + 1].clone()
        if cut and not leftover:
            sigmas[-1] = 0.0
        sigmas = sigmas[first:]
    report = {"sampler": sampler, "schedule": schedule, "steps": max(len(sigmas) - 1, 0)}
    if len(sigmas) < 2:  # nothing to do, as in the host: denoise 0, or a window past the end
        return {**latent, "samples": samples}, {**report, "model_calls": 0, "seconds": 0.0}

    notes = [note_on(model, schedule, steps, schedule_options)]
    run: dict[str, Any] = {}
    stream = ""
    if ours:
        stream = getattr(samplers.get(name).configure(**(options or {})), "noise", "")
        indices = latent.get("batch_index")
        run = {"images": None if indices is None else list(indices), "ahead": ahead, "keep": True}
        run["resume"], note = (None, None) if add_noise else _resumable(
            latent, sampler, sigmas, options or {}
        )
        notes.append(note)
    chosen = sampler_object(sampler, options, **run)
    result = comfy.sample.sample_custom(
        model, _initial_noise(samples, seed, latent, add_noise, stream), cfg, chosen, sigmas,
        positive, negative, samples, noise_mask=latent.get("noise_mask"),
        callback=latent_preview.prepare_callback(model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED, seed=seed,
    )
    out = {k: v for k, v in latent.items() if k != CARRY_KEY} | {"samples": result}
    function = getattr(chosen, "sampler_function", None)
    if getattr(function, "stopped", None) is not None:
        out[CARRY_KEY] = function.stopped._replace(latent=result)
    report["model_calls"] = getattr(function, "calls", None)
    if any(notes):
        report["note"] = "\n".join(filter(None, notes))
    if taken := getattr(function, "taken", None):
        report["accepted"] = sum(image.accepted for image in taken)
        report["rejected"] = sum(image.rejected for image in taken)
    report["seconds"] = round(time.perf_counter() - started, 3)
    return out, report


def _initial_noise(
    samples: torch.Tensor, seed: int, latent: dict, add_noise: bool, stream: str
) -> Any:
    """The initial noise: A1111's where its stream was chosen, else the host's own.

    It is drawn without moving the global generator.
    """
    if not add_noise:
        empty = getattr(comfy.sample, "prepare_empty_noise", None)  # knows nested latents
        return empty(samples) if empty else torch.zeros_like(samples, device="cpu")
    if stream in GENERATORS:
        images = latent.get("batch_index") or range(samples.shape[0])
        return A1111Noise(stream, seed, images).first(samples.shape)
    with torch.random.fork_rng(devices=[]):
        return comfy.sample.prepare_noise(samples, seed, latent.get("batch_index"))


def _resumable(
    latent: dict[str, Any], sampler: str, sigmas: torch.Tensor, options: dict[str, Any]
) -> tuple[Stopped | None, str | None]:
    """The stopped run that a LATENT carries, or None with the reason why it cannot go on."""
    stopped = latent.get(CARRY_KEY)
    if stopped is None:
        return None, None
    if stopped.sampler != samplers.get(plain(sampler)).name:
        return None, f"new start: the latent was made by {stopped.sampler}"
    if stopped.options != options:
        return None, f"new start: the latent was made with options {stopped.options or 'unset'}"
    if stopped.carry.sigmas[-1] != float(sigmas[0]):
        return None, (
            f"new start: the latent stopped at sigma {stopped.carry.sigmas[-1]:.6g}, "
            f"this run begins at {float(sigmas[0]):.6g}"
        )
    if not _equal(latent["samples"], stopped.latent):
        return None, "new start: the latent was changed between the two nodes"
    return stopped, None


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two latents hold the same bits; newer hosts nest several tensors in one."""
    if a is b:
        return True
    if a.is_nested != b.is_nested:
        return False
    return all(map(torch.equal, a.unbind(), b.unbind())) if a.is_nested else torch.equal(a, b)
