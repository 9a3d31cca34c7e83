"""The one meeting point with ComfyUI: the only module that imports comfy or its server.

Everything else asks this module for the host's parts; ``samplers/`` and ``schedules/`` never do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import comfy.k_diffusion.sampling
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.sample
import comfy.samplers
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import comfy.utils
import latent_preview
import numpy as np
import torch
from comfy_api.latest import ComfyExtension, io

from . import registry, samplers, schedules
from .samplers import FLOW, VE, Carry, KeyedNoise, Process, Sampler

__all__ = [
    "ComfyExtension", "comfy", "describe", "io", "ksample", "problem_with", "register",
    "sampler_names", "sampler_object", "schedule_names", "show_on_node", "sigmas_for",
]

PREFIX = "stride_"  # ours in the host's own dropdowns; plain names there belong to the host
CARRY_KEY = "stride"  # where a LATENT keeps a stopped run
log = logging.getLogger("stride")


# Model facts -----------------------------------------------------------------------------------


def process_of(model_sampling: Any) -> Process:
    """FLOW for rectified-flow models (SD3, Flux, Wan ...), VE for all others."""
    return FLOW if isinstance(model_sampling, comfy.model_sampling.CONST) else VE


def spec_of(model_sampling: Any) -> schedules.ModelSpec:
    """What a schedule has to know of the host's ``model_sampling``."""

    def timestep(sigma: float) -> float:
        return float(model_sampling.timestep(torch.tensor(sigma, dtype=torch.float32)))

    def sigma(times: np.ndarray) -> np.ndarray:
        # One at a time: several of the host's classes accept a single time only.
        return np.array([float(model_sampling.sigma(torch.tensor(float(t)))) for t in times])

    return schedules.ModelSpec(
        process_of(model_sampling), model_sampling.sigmas.double().cpu().numpy(),
        timestep, sigma, float(getattr(model_sampling, "shift", 1.0)),
    )


# Registration ----------------------------------------------------------------------------------


_reported: set[str] = set()  # names of ours that belong to another pack, as the log was told


def register() -> list[str]:
    """Add ours to the host's lists, in place, once; returns the names that were taken already.

    What is registered with us later is added when it comes. Lists are appended to and never
    rebound or reordered, nothing of the host's is replaced, and a name that somebody else has
    registered stays theirs.
    """
    shadowed = []
    functions, handlers = comfy.k_diffusion.sampling, comfy.samplers.SCHEDULER_HANDLERS
    for sampler in samplers.REGISTRY:
        name = PREFIX + sampler.name
        there = getattr(functions, f"sample_{name}", None)
        if there is None:
            setattr(functions, f"sample_{name}", _registered(sampler))
        elif not hasattr(there, "stride"):
            shadowed.append(name)
            continue
        _append(name, comfy.samplers.SAMPLER_NAMES, comfy.samplers.KSampler.SAMPLERS)
    for schedule in schedules.REGISTRY:
        name = PREFIX + schedule.name
        there = handlers.get(name)
        if there is None:
            handlers[name] = comfy.samplers.SchedulerHandler(_handler(schedule))
        elif not hasattr(there.handler, "stride"):
            shadowed.append(name)
            continue
        _append(name, comfy.samplers.SCHEDULER_NAMES, comfy.samplers.KSampler.SCHEDULERS)
    for ours in (samplers.REGISTRY, schedules.REGISTRY):
        ours.watch(register)
    if news := [name for name in shadowed if name not in _reported]:
        log.warning("Stride: another pack already registered %s", ", ".join(news))
        _reported.update(news)
    return shadowed


def _append(name: str, *lists: list[str]) -> None:
    for names in lists:  # usually one list under two names; other packs may have split them
        if name not in names:
            names.append(name)


def _registered(sampler: Sampler) -> Callable[..., torch.Tensor]:
    def sample(model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
        run = HostRun(sampler, options)
        return run(model, x, sigmas, extra_args, callback, disable)

    sample.stride = sampler.name
    return sample


def _handler(schedule: schedules.Schedule) -> Callable[..., torch.Tensor]:
    def handler(model_sampling, steps):
        return schedule.sigmas(spec_of(model_sampling), steps)

    handler.stride = schedule.name
    return handler


# Names -----------------------------------------------------------------------------------------


def sampler_names() -> list[str]:
    """Our samplers, then every other one that the host has now."""
    return _ours_first(samplers.REGISTRY, comfy.samplers.SAMPLER_NAMES)


def schedule_names() -> list[str]:
    """Our schedules, then every other one that the host has now."""
    return _ours_first(schedules.REGISTRY, comfy.samplers.SCHEDULER_NAMES)


def _ours_first(ours: registry.Registry, theirs: list[str]) -> list[str]:
    return ours.names + [n for n in theirs if n not in ours and not n.startswith(PREFIX)]


def problem_with(sampler: str | None = None, schedule: str | None = None) -> str | None:
    """What is wrong with the names, with the nearest ones; None where both are known."""
    for kind, name, ours, names in (
        ("sampler", sampler, samplers.REGISTRY, sampler_names()),
        ("schedule", schedule, schedules.REGISTRY, schedule_names()),
    ):
        if isinstance(name, str) and _plain(name) not in ours and name not in names:
            return registry.unknown(kind, name, names)
    return None


def _plain(name: str) -> str:
    return name.removeprefix(PREFIX)


# Schedules -------------------------------------------------------------------------------------


def sigmas_for(
    model: Any, schedule: str, steps: int, denoise: float = 1.0, spare: bool = False
) -> torch.Tensor:
    """The sigmas of ``schedule`` for a host MODEL, float32 on the CPU.

    spare: plan one step more and drop the value before the last, as the host does for some of
    its own samplers. Names of other packs go through the host's handler.
    """
    if problem := problem_with(schedule=schedule):
        raise ValueError(problem)
    model_sampling = model.get_model_object("model_sampling")
    schedules.check_steps(schedule, steps)
    planned = schedules.planned_steps(schedule, steps, denoise)
    if planned == 0:
        return torch.empty(0)
    if _plain(schedule) in schedules.REGISTRY:
        entry, spec = schedules.get(_plain(schedule)), spec_of(model_sampling)
        if not spare:
            return entry.sigmas(spec, steps, denoise)
        sigmas = entry.sigmas(spec, planned + 1)
    else:
        sigmas = comfy.samplers.calculate_sigmas(model_sampling, schedule, planned + spare).cpu()
    if spare:
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    return sigmas[-(steps + 1) :]


# Sampling --------------------------------------------------------------------------------------


class _Watched:
    """The host's model: counts calls and looks for the interrupt button before each."""

    def __init__(self, model: Any) -> None:
        self.model, self.calls = model, 0

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        self.calls += 1
        return self.model(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


class Stopped(NamedTuple):
    """A run that stopped before sigma 0, as a LATENT carries it to the next node.

    latent: the samples that the node gave out; if they were changed since, the run is over.
    masked: the noise and picture that an inpainting mask keeps in place, or None.
    """

    sampler: str
    options: dict[str, float]
    carry: Carry
    masked: tuple[torch.Tensor, torch.Tensor] | None
    latent: torch.Tensor | None = None


@dataclass
class HostRun:
    """One run of one of our samplers, called by the host as a sampler function.

    images: index of each image in its seed's batch. ahead: sigmas after the last one of this
    run, which a chained run will take. resume: a stopped run to go on with. keep: leave the
    stopped run in ``stopped`` (else nothing of a run outlives it).
    """

    sampler: Sampler
    options: dict[str, float]
    images: list[int] | None = None
    ahead: tuple[float, ...] = ()
    resume: Stopped | None = None
    keep: bool = False
    calls: int = 0
    stopped: Stopped | None = field(default=None, repr=False)

    def __call__(self, model, x, sigmas, extra_args=None, callback=None, disable=None):
        extra = extra_args or {}
        masked = None
        if extra.get("denoise_mask") is not None:
            if self.resume is not None and self.resume.masked is not None:
                model.noise, model.latent_image = (t.to(x.device) for t in self.resume.masked)
            masked = (model.noise, model.latent_image)
        watched = _Watched(model)
        levels = sigmas.tolist()
        with comfy.k_diffusion.sampling.tqdm(total=len(levels) - 1, disable=disable) as bar:

            def on_step(info: dict[str, Any]) -> None:
                bar.update()
                if callback is not None:
                    callback(info)

            carry = samplers.run(
                lambda s, process: self.sampler.plan(s, process, **self.options),
                lambda x, sigma: watched(x, sigma, **extra),
                x, [*levels, *self.ahead],
                process_of(model.inner_model.inner_model.model_sampling),
                noise=KeyedNoise(extra.get("seed") or 0, self.images or range(x.shape[0])),
                until=len(levels) - 1, carry=self.resume and self.resume.carry, on_step=on_step,
            )
        self.calls = watched.calls
        if self.keep and levels[-1] > 0:
            self.stopped = Stopped(self.sampler.name, self.options, carry, masked)
        return carry.x


@dataclass
class TheirRun:
    """A sampler function of the host or of another pack, with its model calls counted."""

    function: Callable[..., torch.Tensor]
    calls: int = 0
    stopped: None = None

    def __call__(self, model, *args: Any, **kwargs: Any) -> torch.Tensor:
        watched = _Watched(model)
        try:
            return self.function(watched, *args, **kwargs)
        finally:
            self.calls = watched.calls


def sampler_object(name: str, **run: Any) -> Any:
    """The host's SAMPLER for a name: ours by name, label or alias, else the host's own.

    run: fields of ``HostRun`` for one of ours. A name that nobody has raises ValueError.
    """
    if problem := problem_with(sampler=name):
        raise ValueError(problem)
    if _plain(name) in samplers.REGISTRY:
        run.setdefault("options", {})
        return comfy.samplers.KSAMPLER(HostRun(samplers.get(_plain(name)), **run))
    theirs = comfy.samplers.sampler_object(name)
    if hasattr(theirs, "sampler_function"):
        theirs.sampler_function = TheirRun(theirs.sampler_function)
    return theirs


def ksample(
    model: Any, seed: int, steps: int, cfg: float, sampler: str, schedule: str,
    positive: Any, negative: Any, latent: dict[str, Any], *,
    denoise: float = 1.0, add_noise: bool = True, window: tuple[int, int] | None = None,
    leftover: bool = False,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the KSampler nodes do: sample ``latent`` and tell what it cost.

    window: (first step, step to stop before) of KSampler Advanced. leftover: stop there with the
    noise that is left instead of going straight to sigma 0. Returns (LATENT, report).
    """
    started = time.perf_counter()
    if problem := problem_with(sampler, schedule):
        raise ValueError(problem)
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
    spare = sampler in comfy.samplers.KSampler.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
    ours = _plain(sampler) in samplers.REGISTRY
    sigmas = sigmas_for(model, schedule, steps, denoise, spare and not ours)
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

    run: dict[str, Any] = {}
    if ours:
        indices = latent.get("batch_index")
        run = {"images": None if indices is None else list(indices), "ahead": ahead, "keep": True}
        run["resume"], note = (None, None) if add_noise else _resumable(latent, sampler, sigmas)
        if note:
            report["note"] = note
    chosen = sampler_object(sampler, **run)
    result = comfy.sample.sample_custom(
        model, _initial_noise(samples, seed, latent, add_noise), cfg, chosen, sigmas,
        positive, negative, samples, noise_mask=latent.get("noise_mask"),
        callback=latent_preview.prepare_callback(model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED, seed=seed,
    )
    out = {k: v for k, v in latent.items() if k != CARRY_KEY} | {"samples": result}
    function = getattr(chosen, "sampler_function", None)
    if getattr(function, "stopped", None) is not None:
        out[CARRY_KEY] = function.stopped._replace(latent=result)
    report["model_calls"] = getattr(function, "calls", None)
    report["seconds"] = round(time.perf_counter() - started, 3)
    return out, report


def _initial_noise(samples: torch.Tensor, seed: int, latent: dict, add_noise: bool) -> Any:
    """The host's own initial noise, drawn without moving the global generator."""
    if not add_noise:
        return torch.zeros(samples.size(), dtype=samples.dtype, device="cpu")
    with torch.random.fork_rng(devices=[]):
        return comfy.sample.prepare_noise(samples, seed, latent.get("batch_index"))


def _resumable(
    latent: dict[str, Any], sampler: str, sigmas: torch.Tensor
) -> tuple[Stopped | None, str | None]:
    """The stopped run that a LATENT carries, or None with the reason why it cannot go on."""
    stopped = latent.get(CARRY_KEY)
    if stopped is None:
        return None, None
    if stopped.sampler != samplers.get(_plain(sampler)).name:
        return None, f"new start: the latent was made by {stopped.sampler}"
    if stopped.carry.sigmas[-1] != float(sigmas[0]):
        return None, (
            f"new start: the latent stopped at sigma {stopped.carry.sigmas[-1]:.6g}, "
            f"this run begins at {float(sigmas[0]):.6g}"
        )
    if not torch.equal(latent["samples"], stopped.latent):
        return None, "new start: the latent was changed between the two nodes"
    return stopped, None


# Words on the node -----------------------------------------------------------------------------


def describe(report: dict[str, Any]) -> str:
    """The report of ``ksample`` as the line shown on the node."""
    calls = report["model_calls"]
    counted = "model calls not counted" if calls is None else f"{calls} model calls"
    line = f"{report['steps']} steps, {counted}, {report['seconds']:.2f} s"
    return f"{line}\n{report['note']}" if "note" in report else line


def show_on_node(node_id: str | None, text: str) -> None:
    """Put a line of text on a node in the open frontend, where there is one."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if node_id is not None and hasattr(server, "send_progress_text"):
        server.send_progress_text(text, node_id)
