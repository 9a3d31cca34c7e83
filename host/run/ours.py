"""One run inside the host: our loop, or a function of the host's, with its model calls counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import comfy.k_diffusion.sampling
import comfy.model_management
import torch

from ... import samplers
from ...engine.report import Recorder
from ...engine.run import Plan
from ...engine.streams import Stream, source
from ...samplers import Carry, Draw, Process, Sampler
from ...samplers.adaptive import Taken
from ..lists.model import process_of
from .patches import patched_run
from .single import Guided, Plain
from .watch import Box, Interrupted, RunSettings, Watch


class _Watched:
    """The host's model: counts calls and looks for the interrupt button before each.

    recorder: takes the calls down, where nothing outside does.
    """

    def __init__(self, model: Any, recorder: Recorder | None = None) -> None:
        self.model, self.calls, self.recorder = model, 0, recorder

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        self.calls += 1
        if self.recorder is not None:
            return self.recorder.call(self.model, *args, **kwargs)
        return self.model(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


class Stopped(NamedTuple):
    """A run that stopped before sigma 0, as a LATENT carries it to the next node.

    latent: the samples that the node gave out; if they were changed since, the run is over.
    masked: the noise and picture that an inpainting mask keeps in place, or None. guidance: what
    the patches on the MODEL remember.
    """

    sampler: str
    options: dict[str, Any]
    carry: Carry
    masked: tuple[torch.Tensor, torch.Tensor] | None
    latent: torch.Tensor | None = None
    guidance: dict[Any, Any] = {}


@dataclass(frozen=True)
class Terms:
    """How another program begins and ends a run, where it differs from the host.

    The run starts from ``latent * (the picture) + noise * (the initial noise)``, whatever scaling
    the host has, and its result is multiplied by ``result``. source: latent -> fresh noise.
    """

    latent: float
    noise: float
    result: float
    process: Process
    source: Callable[[torch.Tensor], Any]

    def start(self, model: Any) -> torch.Tensor:
        """The first latent from what the host hands to a sampler function."""
        return self.noise * model.noise + self.latent * model.latent_image


@dataclass
class HostRun:
    """One run of one of our samplers, called by the host as a sampler function.

    images: index of each image in its seed's batch. ahead: sigmas after the last one of this
    run, which a chained run will take. resume: a stopped run to go on with. keep: leave the
    stopped run in ``stopped`` (else nothing of a run outlives it). on_device: the host's stream
    is drawn where the latent is (its ``_gpu`` names), if the host's stream is asked for.
    terms: another program's, in place of the host's start and of the noise option.
    settings, box: see ``watch``. calls, taken and notes are filled by the run: model calls, what
    an adaptive sampler's steps were, and what a person should know of it.
    """

    sampler: Sampler
    options: dict[str, Any]
    images: list[int] | None = None
    ahead: tuple[float, ...] = ()
    resume: Stopped | None = None
    keep: bool = False
    on_device: bool = False
    settings: RunSettings = RunSettings()
    box: Box | None = None
    terms: Terms | None = None
    calls: int = 0
    taken: list[Taken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: Stopped | None = field(default=None, repr=False)

    def __call__(self, model, x, sigmas, extra_args=None, callback=None, disable=None):
        extra = dict(extra_args or {})
        chosen = self.sampler.configure(**self.options)
        masked = None
        if extra.get("denoise_mask") is not None:
            if self.resume is not None and self.resume.masked is not None:
                model.noise, model.latent_image = (t.to(x.device) for t in self.resume.masked)
            masked = (model.noise, model.latent_image)
            if self.ahead or self.resume is not None:
                # Differential diffusion looks up how far the run is: the whole, not this part.
                past = self.resume.carry.sigmas[:-1] if self.resume is not None else ()
                model.sigmas = sigmas.new_tensor([*past, *sigmas.tolist(), *self.ahead])
        process, result = process_of(model.inner_model.inner_model.model_sampling), 1.0
        if self.terms:
            process, result, x = self.terms.process, self.terms.result, self.terms.start(model)
        watched = _Watched(model)
        asked = (Guided if getattr(chosen, "cfg_pp", False) else Plain)(watched, extra)
        levels = sigmas.tolist()
        watch = Watch(self.settings, self.box, levels, process, x)
        state, resume, self.notes = watch.state(x), self.resume and self.resume.carry, []
        if resume is not None and resume.x.dtype != state.dtype:
            self.notes = [f"new start: the latent was made in {resume.x.dtype}"]
            resume = None
        guidance = patched_run(extra)
        if guidance is not None:
            if resume or self.ahead:  # else it has the run's levels, of which these may be a part
                past = resume.sigmas[:-1] if resume else ()
                guidance.sigmas = (*past, *levels, *self.ahead)
            guidance.memory = dict(self.resume.guidance) if resume else {}
        plans: list[Plan] = []
        with comfy.k_diffusion.sampling.tqdm(total=len(levels) - 1, disable=disable) as bar:

            def on_step(info: dict[str, Any]) -> None:
                bar.update(info["i"] + 1 - bar.n)
                watch.step(info)
                if callback is not None:
                    callback(watch.shown(info))

            def build(levels: tuple[float, ...], process: Process) -> Plan:
                plans.append(self.sampler.plan(levels, process, **self.options))
                self.taken = getattr(plans[0], "taken", [])
                return plans[0]

            try:
                carry = samplers.run(
                    build, watch.model(asked), state, [*levels, *self.ahead], process,
                    noise=self._noise(chosen, x, sigmas, extra.get("seed") or 0),
                    until=len(levels) - 1, carry=resume, on_step=on_step,
                )
                end = carry.x
            except Interrupted:
                carry, end = None, watch.so_far()
            finally:
                self.calls = watched.calls
        held = getattr(plans[0], "peak_memory", None)
        watch.finish(end, None if held is None else held + 1)
        self.notes += watch.notes
        if self.keep and levels[-1] > 0:
            memory = guidance.memory if guidance is not None else {}
            self.stopped = Stopped(
                self.sampler.name, self.options, carry, masked, guidance=memory
            )
        return end.float() * result

    def _noise(self, chosen: Any, x: torch.Tensor, sigmas: torch.Tensor, seed: int) -> Any:
        if self.terms:
            return self.terms.source(x)
        kind, brownian = getattr(chosen, "noise", "independent"), self.sampler.brownian
        images = self.images or range(x.shape[0])
        if kind == "host":
            return HostNoise(x, sigmas, seed, brownian, self.on_device)
        if kind == "a1111" and brownian:  # one tree for each image
            return HostNoise(x, sigmas, [seed + image for image in images], True, False)
        return source(chosen, seed, images, brownian)


class HostNoise(Stream):
    """The host's own stream of fresh noise, for pictures that were made with it.

    One generator, or one Brownian tree, for the whole batch: drawn in order, so it depends on
    batch size and on where a run is cut, as the host's does. A list of seeds makes one tree for
    each image.
    """

    def __init__(
        self, x: torch.Tensor, sigmas: torch.Tensor, seed: int | list[int], brownian: bool,
        on_device: bool,
    ) -> None:
        super().__init__()
        functions = comfy.k_diffusion.sampling  # looked up now: other packs reload this module
        if brownian:
            low, high = sigmas[sigmas > 0].min(), sigmas.max()
            self.stream = functions.BrownianTreeNoiseSampler(
                x, low, high, seed=seed, cpu=not on_device
            )
        else:
            self.stream = functions.default_noise_sampler(x, seed=seed)

    def of(self, k: int) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        """There is no noise for one image of a batch; a run without fresh noise never asks."""

        def refuse(like: torch.Tensor, draw: Draw) -> torch.Tensor:
            raise ValueError(
                "noise 'host' is drawn for a whole batch, and this sampler takes its images one "
                "by one; choose another noise, or a batch of one"
            )

        return refuse

    def fresh(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        return self.stream(like.new_tensor(draw.start), like.new_tensor(draw.end))


@dataclass
class TheirRun:
    """A sampler function of the host or of another pack, with its model calls counted.

    The fields are those of ``HostRun``.
    """

    function: Callable[..., torch.Tensor]
    settings: RunSettings = RunSettings()
    box: Box | None = None
    calls: int = 0
    notes: list[str] = field(default_factory=list)
    stopped: None = None

    def __call__(self, model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
        if self.settings.images_at_a_time or self.settings.precision != RunSettings.precision:
            raise ValueError(
                "images_at_a_time and precision of Run Settings (Stride) act on Stride's own "
                "samplers; this one is ComfyUI's or another pack's"
            )
        process = process_of(model.inner_model.inner_model.model_sampling)
        watch = Watch(self.settings, self.box, sigmas.tolist(), process, x)
        watched = _Watched(model, watch.recorder)

        def on_step(info: dict[str, Any]) -> None:
            watch.step(info)
            if callback is not None:
                callback(info)

        try:
            end = self.function(
                watched, x, sigmas, extra_args=extra_args, callback=on_step, disable=disable,
                **options,
            )
        except Interrupted:
            end = watch.so_far()
        finally:
            self.calls = watched.calls
        watch.finish(end)
        self.notes = watch.notes
        return end
