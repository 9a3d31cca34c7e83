"""The pack as a plain torch library: what takes a sampler and a schedule together.

>>> x = stride.sample(denoise, noise * sigma_max, "dpmpp_2m", "karras", 20, seed=1, eta=0.5)
>>> stepper = stride.stepper("heun", "karras", 20, prediction="v")
>>> stepper = stride.stepper(config=json.load(open("scheduler_config.json")), steps=20, exact=True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from . import samplers, schedules
from .engine.model import Denoise
from .engine.noise import source
from .engine.view import View
from .names import is_class, resolve
from .samplers import FLOW, VE, Process, Stepper
from .schedules import ModelSpec

Config = Mapping[str, Any]  # a scheduler_config.json of diffusers


def sample(
    denoise: Denoise, x: torch.Tensor, sampler: str | None = None,
    schedule: str | None = None, steps: int | None = None, model: ModelSpec | None = None, *,
    config: Config | None = None, sigmas: Sequence[float] | None = None,
    process: Process | None = None, schedule_options: Mapping[str, Any] | None = None,
    seed: int = 0, **options: Any,
) -> torch.Tensor:
    """Sample from x with a sampler and a schedule, and return the latent at the last sigma.

    denoise: (x [B, ...], sigma [B]) -> the clean latent. x: the noisy latent at the first sigma
    (from pure noise: unit noise times ``model.sigma_max``). sampler, schedule: any names that
    ``resolve`` takes ("Euler a Karras"), a class of diffusers included; dpmpp_2m unless said.
    config: a whole scheduler config of diffusers, for the sampler, schedule and model that are not
    named. schedule, steps: 20 steps of "simple" unless said; or ``sigmas``, a list of your own,
    with ``process`` or ``model``: falling, or whatever else docs/levels.md tells of.
    model: noise levels of the model, the config's or else SD1.5's and SDXL's unless given.
    schedule_options: the schedule's own, and ``denoise`` (0..1) for a part of the way. seed: keys
    fresh noise. options: the sampler's own, or the settings of the class.
    Raises ValueError on bad input.
    """
    asked = _asked(sampler, schedule, config, schedule_options, options, sigmas)
    levels, process, _ = asked.plan(steps, model, sigmas, process)
    return samplers.sample(asked.sampler, denoise, x, levels, process, seed=seed, **asked.options)


def stepper(
    sampler: str | None = None, schedule: str | None = None, steps: int | None = None,
    model: ModelSpec | None = None, *, config: Config | None = None, exact: bool = False,
    prediction: str | None = None, sigmas: Sequence[float] | None = None,
    process: Process | None = None, schedule_options: Mapping[str, Any] | None = None,
    seed: int = 0, **options: Any,
) -> Stepper:
    """A sampler for a loop of your own, as ``samplers.Stepper`` tells.

    prediction: "eps", "v", "sample" or "flow"; the config's, or else eps on VE and flow on FLOW
    models, unless said. exact: all as the class of diffusers does it that ``config`` or
    ``sampler`` names (docs/diffusers.md): its scale of the sample, times, end and rules; ``mu`` and
    ``sigmas`` are what a pipeline hands over. Otherwise the sample is on the host's scale, the
    run ends as ours do, and ``notes`` says what differs.
    The other arguments are those of ``sample``.
    """
    if exact:
        if any(said is not None for said in (schedule, model, process, schedule_options)):
            raise ValueError("exact takes levels and model from the config alone")
        said = {**options, **({} if prediction is None else {"prediction_type": prediction}),
                **({} if sigmas is None else {"sigmas": sigmas})}
        return _exactly(sampler, config, said, 20 if steps is None else steps, seed)
    asked = _asked(sampler, schedule, config, schedule_options, options, sigmas)
    levels, process, spec = asked.plan(steps, model, sigmas, process)
    entry = samplers.get(asked.sampler)
    chosen = entry.configure(**asked.options)
    fits = prediction or asked.prediction or ("flow" if process is FLOW else "eps")
    view = None
    if asked.sigma_data:
        view = View(process, spec, fits, sigma_data=asked.sigma_data)
    build = partial(entry.planned, process=process, options=chosen)
    return Stepper(
        build(samplers.check_sigmas(levels, process)), spec, fits, view=view, build=build,
        noise=partial(source, chosen, seed, brownian=entry.brownian), notes=asked.notes,
    )


def _exactly(
    sampler: str | None, config: Config | None, said: Mapping[str, Any], steps: int, seed: int
) -> Stepper:
    """The drop-in for a class of diffusers with its settings."""
    from .names import diffusers

    cls = _class_of(sampler, config)
    if cls is None:
        raise ValueError("exact needs a scheduler config or a class of diffusers")
    made = diffusers.exactly(cls, {**(config or {}), **said}, steps)
    noise = partial(source, made.options, seed)
    return Stepper(made.table(), made.grid.model, view=made.view, noise=noise, build=made.table)


def _class_of(sampler: str | None, config: Config | None) -> str | None:
    """The class of diffusers that is asked for, the one that is named before the config's own."""
    from .names import diffusers

    if sampler is not None and is_class(sampler):
        return diffusers.known(sampler)
    return None if config is None else diffusers.named(config)


@dataclass(frozen=True)
class _Asked:
    """What is to be run, in our words."""

    sampler: str
    options: Mapping[str, Any]
    schedule: str | None
    schedule_options: Mapping[str, Any] | None
    model: ModelSpec | None = None
    prediction: str | None = None
    sigma_data: float = 0.0  # of an EDM network
    notes: tuple[str, ...] = field(default=())

    def plan(
        self, steps: int | None, model: ModelSpec | None, sigmas: Sequence[float] | None,
        process: Process | None,
    ) -> tuple[Sequence[float], Process, ModelSpec]:
        """(sigmas, process, model) of the run."""
        return plan(self.schedule, steps, model or self.model, sigmas, process,
                    self.schedule_options)


def _asked(
    sampler: str | None, schedule: str | None, config: Config | None,
    schedule_options: Mapping[str, Any] | None, options: Mapping[str, Any],
    sigmas: Sequence[float] | None,
) -> _Asked:
    """Our names for any program's, with the options that they imply under those that are given."""
    cls = _class_of(sampler, config) if config is not None or sampler else None
    if cls is None:
        pair = resolve(sampler or "dpmpp_2m", schedule)
        asked = _Asked(pair.sampler, {**pair.options, **options}, pair.schedule,
                       pair.schedule_options, notes=pair.notes)
    else:
        asked = _of_class(cls, sampler, schedule, config or {}, options)
    if sigmas is not None and cls is not None:
        return replace(asked, schedule=schedule, schedule_options=schedule_options)
    merged = {**(asked.schedule_options or {}), **(schedule_options or {})}
    given = merged if merged or schedule_options is not None else None
    return replace(asked, schedule_options=given)


def _of_class(
    cls: str, sampler: str | None, schedule: str | None, config: Config,
    options: Mapping[str, Any],
) -> _Asked:
    """A class with its settings; or another sampler on its levels and its model."""
    from .names import diffusers

    known, ignored = diffusers.split(cls, config)
    told = {**known, **options}
    model = diffusers.model(cls, told)
    if sampler is None or is_class(sampler):
        pair = resolve(cls, schedule, **told)
    else:
        levels, own = resolve(cls, schedule, **known), resolve(sampler)
        pair = replace(levels, sampler=own.sampler, options={**own.options, **options})
    answers, sigma_data = diffusers.network(cls, told)
    return _Asked(pair.sampler, pair.options, pair.schedule, pair.schedule_options, model,
                  answers, sigma_data, (*pair.notes, *ignored))


def plan(
    schedule: str | None, steps: int | None, model: ModelSpec | None,
    sigmas: Sequence[float] | None, process: Process | None,
    schedule_options: Mapping[str, Any] | None,
) -> tuple[Sequence[float], Process, ModelSpec]:
    """(sigmas, process, model) of a run from what was said of it."""
    if model is None:
        model = ModelSpec.flow() if process is FLOW else ModelSpec.discrete()
    if process not in (None, model.process):
        raise ValueError(f"process {process.name} does not fit a {model.process.name} model")
    if sigmas is not None:
        if any(said is not None for said in (schedule, steps, schedule_options)):
            raise ValueError("give sigmas, or a schedule with its steps and options, not both")
        return sigmas, model.process, model
    curve, count = schedules.get(schedule or "simple"), 20 if steps is None else steps
    levels = curve.sigmas(model, count, **(schedule_options or {}))
    return levels.tolist(), model.process, model


__all__ = ["FLOW", "VE", "ModelSpec", "Stepper", "sample", "stepper"]
