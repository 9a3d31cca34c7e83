"""One run inside the host: our loop, called by the host as a sampler function."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import comfy.k_diffusion.sampling
import torch

from ...engine.noise import KEYED, source
from ...engine.run import Carry, Noise, OnStep, Plan, run
from ...process import Process
from ...registry import Options
from ...samplers import Sampler
from ..lists.model import process_of
from .model import HostModel
from .noise import HostNoise
from .patches import RUN, PatchedRun
from .result import Result, Stopped
from .swaps import swapped
from .watch import PLAIN, Duties, Interrupted, Watch


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

    def start(self, host: Any) -> torch.Tensor:
        """The first latent from what the host hands to a sampler function."""
        return self.noise * host.noise + self.latent * host.latent_image


class Call(NamedTuple):
    """What the host calls a sampler function with.

    host: its model, with the noise and the picture of a run with a mask.
    """

    host: Any
    x: torch.Tensor
    sigmas: torch.Tensor
    extra: dict[str, Any]

    @property
    def masked(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The noise and the picture that an inpainting mask keeps in place, if there is one."""
        if self.extra.get("denoise_mask") is None:
            return None
        return self.host.noise, self.host.latent_image


@dataclass(frozen=True, eq=False)
class HostRun:
    """A run of one of our samplers with its options.

    images: index of each image in its seed's batch. ahead: sigmas after the last one of this
    run, which a chained run will take. resume: a stopped run to go on with. keep: whether such a
    chained run follows. on_device: the host's stream is drawn where the latent is (its ``_gpu``
    names), if the host's stream is asked for. terms: another program's, in place of the host's
    start and of the noise option. Nothing of a run outlives it, but what its duties ask for.
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

    def __call__(
        self, model: Any, x: torch.Tensor, sigmas: torch.Tensor, extra_args: Any = None,
        callback: Any = None, disable: bool | None = None,
    ) -> torch.Tensor:
        """The latent at the last sigma, [B, ...], as the host's sampler functions return it.

        model: (x [B, ...], sigma [B], **what the host wants) -> D. x: the latent at
        ``sigmas[0]``; where a stopped run goes on, its own is taken instead. callback: called once
        a step. Raises ValueError for bad sigmas, NotFinite for NaN or Inf in an answer, and the
        host's own exception for the interrupt button.
        """
        call = Call(model, x, sigmas, dict(extra_args or {}))
        mask = self._inpainting(call) if self.resume or self.ahead else nullcontext()
        with comfy.k_diffusion.sampling.tqdm(total=len(sigmas) - 1, disable=disable) as bar, mask:
            result = self._run(call, callback, bar)
        if self.duties.tell is not None:
            self.duties.tell(result)
        return result.x

    def _run(self, call: Call, callback: OnStep | None, bar: Any) -> Result:
        terms, levels = self.terms, call.sigmas.tolist()
        sampling = call.host.inner_model.inner_model.model_sampling
        process = terms.process if terms else process_of(sampling)
        x = terms.start(call.host) if terms else call.x
        watch = Watch(self.duties, levels, process, x, callback, bar)
        state = watch.state(x)
        before, notes = self._resumed(state) if self.resume else (None, [])
        patches = (call.extra.get("model_options") or {}).get(RUN)
        if patches is not None:
            self._inform(patches, levels, before)
        model = HostModel(call.host, call.extra, both=getattr(self.options, "cfg_pp", False))
        plans: list[Plan] = []  # the run's, once it has begun

        def build(whole: tuple[float, ...], process: Process) -> Plan:
            plans.append(self.sampler.planned(whole, process, self.options))
            return plans[0]

        carry = None
        try:
            carry = run(
                build, watch.over(model), state, [*levels, *self.ahead], process,
                noise=self._noise(call, x), until=len(levels) - 1, carry=before,
                on_step=watch.step,
            )
            end = carry.x
        except Interrupted:
            end = watch.so_far()
        plan = plans[0]
        watch.finish(end, plan)
        stopped = None
        if self.keep and carry is not None and levels[-1] > 0:
            memory = patches.memory if patches else {}
            stopped = Stopped(self.sampler.name, self.options, carry, call.masked, memory)
        end = end.float()
        return Result(
            end * terms.result if terms else end, model.tally.calls, (*notes, *watch.notes),
            tuple(plan.taken), stopped,
        )

    def _inpainting(self, call: Call) -> AbstractContextManager[None]:
        """What the host's model holds while this part of a run with a mask is taken.

        The noise of what the mask keeps is the first part's. Differential diffusion looks up how
        far the run is: the whole one, not this part.
        """
        if call.masked is None:
            return nullcontext()
        kept = self.resume and self.resume.masked or ()
        past = self.resume.carry.sigmas[:-1] if self.resume else ()
        whole = call.sigmas.new_tensor([*past, *call.sigmas.tolist(), *self.ahead])
        return swapped([
            (call.host, "sigmas", whole),
            *((call.host, name, tensor.to(call.x.device))
              for name, tensor in zip(("noise", "latent_image"), kept)),
        ])

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

    def _noise(self, call: Call, x: torch.Tensor) -> Noise:
        """Where the run's fresh noise comes from."""
        if self.terms:
            return self.terms.source(x)
        kind = getattr(self.options, "noise", KEYED[0])
        seed, images = call.extra.get("seed") or 0, self.images or range(x.shape[0])
        if kind in KEYED:
            return source(self.options, seed, images)
        brownian = self.sampler.brownian
        if kind == "host":
            return HostNoise(x, call.sigmas, seed, brownian, self.on_device)
        if kind == "a1111" and brownian:  # one tree for each image
            return HostNoise(x, call.sigmas, [seed + image for image in images], True, False)
        return source(self.options, seed, images, brownian)
