"""One run inside the host: our loop, called by the host as a sampler function."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import comfy.k_diffusion.sampling
import comfy.samplers
import comfy.utils
import torch

from ...engine.noise import KEYED, Clipped, KeyedNoise, source
from ...engine.run import Carry, Noise, OnStep, Plan, run
from ...engine.table import alike
from ...names import PREFIX
from ...process import FLOW, VE, Process
from ...registry import Options
from ...samplers import Sampler
from ..lists.model import noise_scale_of, process_of, sampling_of
from .function import NOISE, SamplerFunction
from .model import HostModel, masked, shows_what_is_kept
from .noise import (
    GivenNoise,
    HostNoise,
    NoiseSampler,
    Spares,
    images_of,
    of_the_kept,
    trained,
    with_their_window,
)
from .patches import RUN, PatchedRun
from .result import Result, Stopped
from .swaps import swapped
from .watch import PLAIN, Duties, Interrupted, Watch


@dataclass(frozen=True)
class Terms:
    """How another program begins and ends a run, where it differs from the host.

    The run starts from ``latent * (the picture) + noise * (the initial noise)``, whatever scaling
    the host has but its model's strength of noise, and its result is multiplied by ``result``.
    source: latent -> fresh noise.
    """

    latent: float
    noise: float
    result: float
    process: Process
    source: Callable[[torch.Tensor], Any]

    def start(self, host: Any) -> torch.Tensor:
        """The first latent from what the host hands to a sampler function."""
        scale = self.noise * noise_scale_of(sampling_of(host))
        return scale * host.noise + self.latent * host.latent_image


class Call(NamedTuple):
    """What the host calls a sampler function with.

    host: its model, with the noise and the picture of a run with a mask, or what a wrapper of
    another pack shows of it. images: the index of each in its seed's batch. noise: fresh noise of
    whoever called, in place of ours.
    """

    host: Any
    x: torch.Tensor
    sigmas: torch.Tensor
    extra: dict[str, Any]
    images: tuple[int, ...]
    noise: NoiseSampler | None = None

    @property
    def masked(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The noise and the picture that a mask keeps in place, if there are any to be seen."""
        if not masked(self.extra) or not shows_what_is_kept(self.host):
            return None
        return self.host.noise, self.host.latent_image


@dataclass(frozen=True, eq=False)
class HostRun(SamplerFunction):
    """A run of one of our samplers with its options.

    images: index of each image in its seed's batch, where it is known. ahead: sigmas after the last
    one of this run, which a chained run will take. resume: a stopped run to go on with. keep:
    whether such a chained run follows. on_device: the host's stream is drawn where the latent is
    (its ``_gpu`` names), if the host's stream is asked for. terms: another program's, in place of
    the host's start and of the noise option. Nothing of a run outlives it, but what its duties ask
    for.
    """

    sampler: Sampler
    options: Options
    images: tuple[int, ...] | None = None
    ahead: tuple[float, ...] = ()
    resume: Stopped | None = None
    keep: bool = False
    on_device: bool = False
    duties: Duties = PLAIN
    terms: Terms | None = None

    @classmethod
    def of(cls, named: Any, duties: Duties = PLAIN) -> HostRun:
        """The run of a ``Named`` sampler of ours."""
        on_device = named.called.endswith("_gpu")
        return cls(named.entry, named.options, on_device=on_device, duties=duties)

    @property
    def called(self) -> str:
        """Its sampler's name in the host's list."""
        return f"sample_{PREFIX}{self.sampler.name}"

    @property
    def takes(self) -> dict[str, Any]:
        """The sampler's options as they are set here, and the host's word for fresh noise."""
        return {**vars(self.options), NOISE: None}

    def __call__(
        self, model: Any, x: torch.Tensor, sigmas: torch.Tensor, extra_args: Any = None,
        callback: Any = None, disable: bool | None = None,
        noise_sampler: NoiseSampler | None = None, **options: Any,
    ) -> torch.Tensor:
        """The latent at the last sigma, [B, ...], as the host's sampler functions return it.

        It is x where there is one sigma, or none.
        model: (x [B, ...], sigma [B], **what the host wants) -> D. x: the latent at
        ``sigmas[0]``; where a stopped run goes on, its own is taken instead. callback: called once
        a step. noise_sampler: (sigma, sigma_next) -> unit noise [B, ...], in place of the option
        ``noise``. options: in place of those set here. Raises ValueError for bad sigmas and
        options, NotFinite for NaN or Inf in an answer, and the host's own exception for the
        interrupt button.
        """
        if options:
            run = replace(self, options=self.sampler.configure(self.options, **options))
            return run(model, x, sigmas, extra_args, callback, disable, noise_sampler)
        extra = dict(extra_args or {})
        images = self.images or images_of(model, x, extra.get("seed") or 0)
        call = Call(model, x, sigmas, extra, images, noise_sampler)
        if self.resume or self.ahead:
            call = self._seen_whole(call)
        mask, steps = self._inpainting(call), max(len(sigmas) - 1, 0)
        with comfy.k_diffusion.sampling.tqdm(total=steps, disable=disable) as bar, mask:
            result = self._run(call, callback, bar)
        if self.duties.tell is not None:
            self.duties.tell(result)
        return result.x

    def _run(self, call: Call, callback: OnStep | None, bar: Any) -> Result:
        terms, levels = self.terms, call.sigmas.tolist()
        process = terms.process if terms else self._process(call, levels)
        x = terms.start(call.host) if terms else call.x
        watch = Watch(self.duties, levels, process, x, callback, bar)
        state = watch.state(x)
        before, notes = self._resumed(state) if self.resume else (None, [])
        patches = (call.extra.get("model_options") or {}).get(RUN)
        if patches is not None:
            self._inform(patches, levels, before)
        cfg_pp = getattr(self.options, "cfg_pp", False)
        model = HostModel(call.host, call.extra, x.shape[0], both=cfg_pp)
        plans: list[Plan] = []  # the run's, once it has begun

        def build(whole: tuple[float, ...], process: Process) -> Plan:
            options = with_their_window(self.options, sampling_of(call.host))
            plans.append(watch.plan(self.sampler.planned(whole, process, options)))
            if plans[0].grows and call.masked:
                raise ValueError(
                    f"'{self.sampler.name}' with scale_ratio changes the latent's size on the way, "
                    "and a noise mask keeps a picture of the first size; set scale_ratio to 1, or "
                    "take the mask off"
                )
            return plans[0]

        carry = None
        try:
            carry = run(
                build, watch.over(model), state, [*levels, *self.ahead], process,
                noise=trained(self._noise(call, x), call.host), until=len(levels) - 1, carry=before,
                on_step=watch.step, resize=self._resize,
            )
            end = carry.x
        except Interrupted:
            end = watch.so_far()
        plan = plans[0] if plans else None
        watch.finish(end, plan)
        stopped = None
        if self.keep and carry is not None and levels and levels[-1] > 0:
            memory = patches.memory if patches else {}
            stopped = Stopped(self.sampler.name, self.options, carry, call.masked, memory)
        end = end.float()
        return Result(
            end * terms.result if terms else end, model.tally.calls, (*notes, *watch.notes),
            tuple(plan.taken) if plan else (), stopped, plan is not None and plan.stochastic,
        )

    def _process(self, call: Call, levels: list[float]) -> Process:
        """How the model mixes data and noise; where a wrapper hides it, it must not matter."""
        sampling = sampling_of(call.host)
        if sampling is not None:
            return process_of(sampling)
        if len(levels) < 2:  # nothing is run
            return VE
        try:
            rows = [self.sampler.planned(tuple(levels), p, self.options).rows for p in (VE, FLOW)]
        except (AttributeError, ValueError):  # an adaptive one, or levels of the one kind alone
            rows = []
        if not rows or not alike(*rows):
            raise ValueError(
                f"'{self.sampler.name}' has to know whether the model is a flow model, and what "
                "called it hides the model: a function without the attribute inner_model. Euler, "
                "Heun and other methods without noise and log-SNR run there"
            )
        return VE

    def _all_levels(self, call: Call) -> torch.Tensor:
        """The levels of the whole run, of which this one may be a part."""
        past = self.resume.carry.sigmas[:-1] if self.resume else ()
        return call.sigmas.new_tensor([*past, *call.sigmas.tolist(), *self.ahead])

    def _seen_whole(self, call: Call) -> Call:
        """The call with the host's own list of levels being that of the whole run.

        Context windows and hooks' keyframes look up in it how far the run is.
        """
        options = dict(call.extra.get("model_options") or {})
        options["transformer_options"] = {
            **options.get("transformer_options", {}), "sample_sigmas": self._all_levels(call)
        }
        return call._replace(extra={**call.extra, "model_options": options})

    def _inpainting(self, call: Call) -> AbstractContextManager[None]:
        """What the host's model holds while this part of a run with a mask is taken.

        The noise of what the mask keeps is the first part's. Differential diffusion looks up how
        far the run is: the whole one, not this part.
        """
        if call.masked is None:
            return nullcontext()
        noise, picture = (self.resume.masked if self.resume else None) or self._kept(call)
        swaps = [(call.host, "noise", noise.to(call.x.device)),
                 (call.host, "latent_image", picture.to(call.x.device))]
        if self.resume or self.ahead:
            swaps.append((call.host, "sigmas", self._all_levels(call)))
        return swapped(swaps)

    def _kept(self, call: Call) -> tuple[torch.Tensor, torch.Tensor]:
        """The noise and the picture of what a mask keeps, where the run begins here."""
        noise, picture = call.host.noise, call.host.latent_image
        if self.terms is None:
            seed = call.extra.get("seed") or 0
            noise = of_the_kept(self.sampler.name, noise, seed, call.images)
        return noise, picture

    def _resumed(self, state: torch.Tensor) -> tuple[Carry | None, list[str]]:
        """The run to go on with, or None with the reason why not."""
        before = self.resume.carry
        if before.x.dtype != state.dtype:
            return None, [f"new start: the latent was made in {before.x.dtype}"]
        return before, []

    def _inform(self, patches: PatchedRun, levels: list[float], before: Carry | None) -> None:
        """Tell the patches on the MODEL of the run's other parts."""
        if before or self.ahead:  # else they have the run's levels, of which these may be a part
            past = before.sigmas[:-1] if before else ()
            patches.sigmas = (*past, *levels, *self.ahead)
        patches.memory = dict(self.resume.guidance) if self.resume and before else {}

    def _resize(self, x: torch.Tensor, extent: tuple[int, int]) -> torch.Tensor:
        """x [B, C, ..., H, W] at another (H, W), by the host."""
        method = getattr(self.options, "upscale_method", "")
        height, width = extent
        return comfy.utils.common_upscale(x, width, height, method, "disabled")

    def _noise(self, call: Call, x: torch.Tensor) -> Noise:
        """Where the run's fresh noise comes from."""
        clip = getattr(self.options, "noise_clip_std", 0.0)
        if call.noise is not None:
            given = GivenNoise(call.noise)
            return Clipped(given, clip, together=True) if clip else given
        if self.terms:
            return self.terms.source(x)
        kind = getattr(self.options, "noise", KEYED[0])
        seed, images = call.extra.get("seed") or 0, call.images
        if not (call.sigmas > 0).any():  # at 0 nothing is drawn
            return KeyedNoise(seed, images)
        if kind in KEYED:
            return source(self.options, seed, images)
        brownian = self.sampler.brownian
        if kind == "host":
            spares = Spares.of(self.sampler.name, self.options, call.sigmas.tolist())
            stream = HostNoise(x, call.sigmas, seed, brownian, self.on_device, spares)
            return Clipped(stream, clip, together=True) if clip else stream
        if kind == "a1111" and brownian:  # one tree for each image
            return HostNoise(x, call.sigmas, [seed + image for image in images], True, False)
        return source(self.options, seed, images, brownian)


class OurSampler(comfy.samplers.KSAMPLER):
    """A SAMPLER of ours. The host's own holds no list of sigmas against what it does with it."""

    def sample(self, model_wrap: Any, sigmas: torch.Tensor, *rest: Any, **named: Any) -> Any:
        """See the host's; ValueError for a run up to where the host divides its result by 0."""
        sampling = getattr(model_wrap.inner_model, "model_sampling", None)
        process = VE if sampling is None else process_of(sampling)
        if len(sigmas) > 1 and process.alpha(float(sigmas[-1])) == 0:
            raise ValueError(
                f"sigma {len(sigmas)} of {len(sigmas)}, the last, is 1: a flow model's latent is "
                "handed on divided by 1 - sigma, so a run has to end below 1 (0.99, say)"
            )
        return super().sample(model_wrap, sigmas, *rest, **named)
