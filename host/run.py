"""One run inside the host: our loop, or a function of the host's, with its model calls counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import comfy.k_diffusion.sampling
import comfy.model_management
import comfy.model_patcher
import torch

from .. import samplers
from ..samplers import Carry, Draw, Process, Sampler
from ..samplers.adaptive import Taken
from ..samplers.run import Plan
from ..samplers.streams import Stream, source
from .model import process_of
from .patches import patched_run
from .single import Plain


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
    masked: the noise and picture that an inpainting mask keeps in place, or None. guidance: what
    the patches on the MODEL remember.
    """

    sampler: str
    options: dict[str, Any]
    carry: Carry
    masked: tuple[torch.Tensor, torch.Tensor] | None
    latent: torch.Tensor | None = None
    guidance: dict[Any, Any] = {}


@dataclass
class HostRun:
    """One run of one of our samplers, called by the host as a sampler function.

    images: index of each image in its seed's batch. ahead: sigmas after the last one of this
    run, which a chained run will take. resume: a stopped run to go on with. keep: leave the
    stopped run in ``stopped`` (else nothing of a run outlives it). on_device: the host's stream
    is drawn where the latent is (its ``_gpu`` names), if the host's stream is asked for. calls and
    taken are filled by the run: model calls, and what an adaptive sampler's steps were.
    """

    sampler: Sampler
    options: dict[str, Any]
    images: list[int] | None = None
    ahead: tuple[float, ...] = ()
    resume: Stopped | None = None
    keep: bool = False
    on_device: bool = False
    calls: int = 0
    taken: list[Taken] = field(default_factory=list)
    stopped: Stopped | None = field(default=None, repr=False)

    def __call__(self, model, x, sigmas, extra_args=None, callback=None, disable=None):
        extra = dict(extra_args or {})
        chosen = self.sampler.configure(**self.options)
        masked = None
        if extra.get("denoise_mask") is not None:
            if self.resume is not None and self.resume.masked is not None:
                model.noise, model.latent_image = (t.to(x.device) for t in self.resume.masked)
            masked = (model.noise, model.latent_image)
        watched = _Watched(model)
        denoise = _guided if getattr(chosen, "cfg_pp", False) else Plain
        levels = sigmas.tolist()
        guidance = patched_run(extra)
        if guidance is not None:
            past = self.resume.carry.sigmas[:-1] if self.resume else ()
            guidance.sigmas = (*past, *levels, *self.ahead)
            guidance.memory = dict(self.resume.guidance) if self.resume else {}
        with comfy.k_diffusion.sampling.tqdm(total=len(levels) - 1, disable=disable) as bar:

            def on_step(info: dict[str, Any]) -> None:
                bar.update(info["i"] + 1 - bar.n)
                if callback is not None:
                    callback(info)

            def build(levels: tuple[float, ...], process: Process) -> Plan:
                plan = self.sampler.plan(levels, process, **self.options)
                self.taken = getattr(plan, "taken", [])
                return plan

            carry = samplers.run(
                build, denoise(watched, extra), x, [*levels, *self.ahead],
                process_of(model.inner_model.inner_model.model_sampling),
                noise=self._noise(chosen, x, sigmas, extra.get("seed") or 0),
                until=len(levels) - 1, carry=self.resume and self.resume.carry, on_step=on_step,
            )
        self.calls = watched.calls
        if self.keep and levels[-1] > 0:
            memory = guidance.memory if guidance is not None else {}
            self.stopped = Stopped(
                self.sampler.name, self.options, carry, masked, guidance=memory
            )
        return carry.x

    def _noise(self, chosen: Any, x: torch.Tensor, sigmas: torch.Tensor, seed: int) -> Any:
        kind, brownian = getattr(chosen, "noise", "independent"), self.sampler.brownian
        images = self.images or range(x.shape[0])
        if kind == "host":
            return HostNoise(x, sigmas, seed, brownian, self.on_device)
        if kind == "a1111" and brownian:  # one tree for each image
            return HostNoise(x, sigmas, [seed + image for image in images], True, False)
        return source(chosen, seed, images, brownian)


def _guided(model: Any, extra: dict[str, Any]) -> Callable[..., Any]:
    """The model as CFG++ needs it: with the unconditional answer, taken from the host's hook."""
    seen: list[torch.Tensor] = []

    def keep(args: dict[str, Any]) -> torch.Tensor:
        if args["uncond"] is None:
            raise ValueError(
                "CFG++ renoises with the model's answer to the negative prompt, and this run has "
                "none; use a guider with a negative prompt, or switch cfg_pp off"
            )
        seen[:] = [args["uncond_denoised"]]
        return args["denoised"]

    options = comfy.model_patcher.set_model_options_post_cfg_function(
        dict(extra.get("model_options") or {}), keep, disable_cfg1_optimization=True
    )
    plain = Plain(model, {**extra, "model_options": options})
    return lambda x, sigma: (plain(x, sigma), seen.pop())


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
