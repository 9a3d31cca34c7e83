"""Guidance patches on the host's MODEL, through its own patch points.

A patch of the answer is a post-cfg function, so it comes after any ``sampler_cfg_function`` and
among the other post-cfg functions, ours and other packs', in the order wired. A patch of the cfg
is a wrapper of the guider's ``predict_noise``: what is asked, the cfg functions and every later
hook see the cfg that it sets, and at 1 the host leaves the negative prompt out.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from ... import guidance
from ...process import Process
from ..lists.model import process_of
from ..shown.words import LOOKED_AT
from .model import IMAGES, LEVEL
from .swaps import swapped

RUN = "stride_guidance"  # in the model options of a run: its PatchedRun
_KEY = "stride"  # of our wrappers


@dataclass
class PatchedRun:
    """What the patches of one run know of it; it lives in the run's own model options.

    sigmas: the levels of the whole run; where a run is cut in two by our nodes, of both parts.
    sigma_max: the model's largest. memory: what patches remember, tensors [images, ...] by (patch's
    place, patch, image); image is None for the whole batch. cfg: asks the guider.
    """

    process: Process
    sigma_max: float
    sigmas: tuple[float, ...]
    cfg: Callable[[], float]
    memory: dict[Any, dict[str, torch.Tensor]] = field(default_factory=dict)

    def recall(self, place: int, patch: Any, images: Sequence[int] | None) -> dict[str, Any]:
        """What a patch remembers of some images, or of all, however they were asked for before."""
        whole = self.memory.get((place, patch, None))
        if images is None:
            if whole is not None:
                return dict(whole)
            images = sorted(k for p, q, k in self.memory if (p, q) == (place, patch))
        elif whole:
            self.keep(place, patch, range(len(next(iter(whole.values())))), whole)
        parts = [self.memory.get((place, patch, k), {}) for k in images]
        return {name: torch.cat([part[name] for part in parts]) for name in (parts or [{}])[0]}

    def keep(
        self, place: int, patch: Any, images: Sequence[int] | None, memory: dict[str, Any]
    ) -> None:
        """Take up what a patch remembers after a call."""
        for key in [key for key in self.memory if key[:2] == (place, patch)]:
            if images is None or key[2] is None:
                del self.memory[key]
        if images is None:
            self.memory[place, patch, None] = memory
            return
        for n, k in enumerate(images):
            self.memory[place, patch, k] = {name: t[n : n + 1] for name, t in memory.items()}


def patched(model: Any, patch: Any) -> Any:
    """MODEL with a patch of ``guidance`` behind those it has; where it is neutral, MODEL itself."""
    if patch.neutral:
        return model
    model = model.clone()
    if not model.get_wrappers(WrappersMP.OUTER_SAMPLE, _KEY):
        model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, _KEY, _begin)
    if hasattr(patch, "factor"):
        model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, _KEY, _of_the_cfg(patch))
    else:
        place = len(model.model_options.get("sampler_post_cfg_function", []))
        model.set_model_sampler_post_cfg_function(_of_the_answer(patch, place))
    return model


def curved(model: Any, shape: str, by_hand: str, **ends: float) -> Any:
    """MODEL with the cfg on a curve: a shape of ``guidance.Curve``, or points typed by hand."""
    if by_hand.strip():
        return patched(model, guidance.Points.parse(by_hand))
    return patched(model, guidance.Curve(shape=shape, **ends))


def check_points(text: str | None) -> None:
    """Raises ValueError for a curve typed by hand that is none; empty is none at all."""
    if isinstance(text, str) and len(text) <= LOOKED_AT and text.strip():
        guidance.Points.parse(text)


def _begin(
    executor: Any, noise: torch.Tensor, latent: torch.Tensor, sampler: Any, sigmas: torch.Tensor,
    *rest: Any, **named: Any,
) -> torch.Tensor:
    """Every run gets a fresh memory in options of its own, so nothing outlives or leaves it."""
    guider = executor.class_obj
    sampling = guider.model_patcher.get_model_object("model_sampling")
    guider.model_options[RUN] = PatchedRun(
        process_of(sampling), float(sampling.sigma_max), tuple(sigmas.tolist()),
        partial(_cfg_of, weakref.ref(guider)),  # its options must not keep it alive
    )
    return executor(noise, latent, sampler, sigmas, *rest, **named)


def _cfg_of(guider: Callable[[], Any]) -> float:
    cfg = getattr(guider(), "cfg", None)
    if cfg is None:
        raise RuntimeError(
            "the cfg of this run is not to be had: another pack has replaced ComfyUI's "
            "sampling_function and leaves it out (Automatic CFG does, once it has run), and the "
            "guider has none of its own; restart ComfyUI without it"
        )
    return float(cfg)


def _run_of(options: dict[str, Any], patch: Any) -> PatchedRun:
    if RUN not in options:
        raise RuntimeError(
            f"the patch {type(patch).__name__} of Stride was called outside of a run of the "
            "host's guiders; it needs to know where a run begins"
        )
    return options[RUN]


def _of_the_answer(patch: Any, place: int) -> Any:
    def change(args: dict[str, Any]) -> torch.Tensor:
        options, x = args["model_options"], args["input"]
        run = _run_of(options, patch)
        images = options.get(IMAGES)
        memory = run.recall(place, patch, images)
        # Packs that replace the host's guidance code forget what it tells beside the answers.
        scale = float(args["cond_scale"] if "cond_scale" in args else run.cfg())
        asked = scale != 1 or options.get("disable_cfg1_optimization", False)
        changed = patch(guidance.Call(
            x=x, sigma=args["sigma"].reshape(-1, *[1] * (x.ndim - 1)), denoised=args["denoised"],
            cond=args["cond_denoised"],
            uncond=args["uncond_denoised"] if asked and args["uncond"] is not None else None,
            scale=scale, process=run.process, sigmas=run.sigmas, sigma_max=run.sigma_max,
            memory=memory,
        ))
        run.keep(place, patch, images, memory)
        return changed

    return change


def _of_the_cfg(patch: Any) -> Any:
    def scaled(
        executor: Any, x: torch.Tensor, sigma: torch.Tensor,
        options: dict[str, Any] | None = None, seed: int | None = None,
    ) -> torch.Tensor:
        guider, options = executor.class_obj, options or {}
        if hasattr(guider, "cfg1"):
            raise ValueError(
                f"{type(patch).__name__} changes the cfg of a run, and {type(guider).__name__} "
                "has two; use CFGGuider or a KSampler"
            )
        factor = patch.factor(_level(sigma, options), _run_of(options, patch).sigmas)
        if factor == 1:
            return executor(x, sigma, options, seed)
        with swapped([(guider, "cfg", 1.0 + (guider.cfg - 1.0) * factor)]):
            return executor(x, sigma, options, seed)

    return scaled


def _level(sigma: torch.Tensor, options: dict[str, Any]) -> float:
    """sigma as a number.

    Our samplers hand it over. With the host's on a GPU it is read back, once a model call: that
    waits for the step before, and is what it takes to leave the negative prompt's half out.
    """
    level = options.get(LEVEL)
    return float(sigma.flatten()[0]) if level is None else level
