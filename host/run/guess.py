"""Answers of the host's model of which some are guessed: what Skip Steps asks in its place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from .model import IMAGES

_HOOKS = "sampler_post_cfg_function"  # in the model options
_ANSWERS = ("denoised", "cond_denoised", "uncond_denoised")  # of what such a hook is given


def hooks_in(extra: dict[str, Any]) -> list[Callable[[dict[str, Any]], torch.Tensor]]:
    """The functions that get the model's answers behind the sampler's back."""
    return list((extra.get("model_options") or {}).get(_HOOKS, ()))


class Known(NamedTuple):
    """An answer of the model. parts: of what the sampler's own hooks saw of it, by name."""

    log_sigma: torch.Tensor
    answer: torch.Tensor
    parts: dict[str, torch.Tensor]


class Guess:
    """The host's model, some of whose answers come from the memory of the last two.

    steps: in which the model is not asked. given: how many hooks the sampler was given; those
    behind them are its own, by which CFG++ gets the unconditional answer. They see guesses, too.
    """

    def __init__(self, model: Any, steps: set[int], given: int) -> None:
        self.model, self.steps, self.given = model, steps, given
        self.step = self.asked = self.guessed = 0
        # By the images that are asked for: a batch may be asked in parts.
        self._known: dict[Any, list[Known]] = defaultdict(list)
        self._seen: dict[str, Any] = {}  # what the last call gave to the sampler's own hooks
        self.errors: list[torch.Tensor] = []

    def answer(self, x: torch.Tensor, sigma: torch.Tensor, **extra: Any) -> torch.Tensor:
        """D(x, sigma) [B, ...], asked for or guessed."""
        options = extra.get("model_options") or {}
        known = self._known[options.get(IMAGES), x.shape]
        level = sigma.log().reshape(-1, *[1] * (x.ndim - 1))
        if self.step in self.steps and len(known) == 2:
            self.guessed += 1
            seen = {"input": x, "sigma": sigma, "model_options": options}
            return self._hooked(_line(known, level), seen, extra)
        own = hooks_in(extra)[self.given :]
        if own:
            before = hooks_in(extra)[: self.given]
            extra["model_options"] = {**options, _HOOKS: [*before, self._see, *own]}
        answer = self.model(x, sigma, **extra)
        if len(known) == 2:
            off = (_line(known, level).answer - answer).float().square().mean()
            self.errors.append((off / answer.float().square().mean()).sqrt())
        self.asked += 1
        parts = {name: self._seen[name] for name in _ANSWERS
                 if own and torch.is_tensor(self._seen.get(name))}
        known[:] = [*known[-1:], Known(level, answer, parts)]
        return answer

    def _see(self, args: dict[str, Any]) -> torch.Tensor:
        """A hook before the sampler's own."""
        self._seen = args
        return args["denoised"]

    def _hooked(
        self, guess: Known, seen: dict[str, Any], extra: dict[str, Any]
    ) -> torch.Tensor:
        """The guess as the sampler's own hooks leave it; most leave it alone."""
        guided = out = guess.parts.get("denoised", guess.answer)
        for hook in hooks_in(extra)[self.given :]:
            out = hook({**self._seen, **guess.parts, **seen, "denoised": out})
        if out is guided:
            return guess.answer
        mask = extra.get("denoise_mask")
        return guess.answer + (out - guided) * (1.0 if mask is None else mask)

    def summary(self) -> str:
        """What the run saved and what the guesses were worth."""
        line = f"{self.guessed} of {self.guessed + self.asked} model calls guessed"
        if not self.guessed or not self.errors:
            return line
        errors = 100 * torch.stack(self.errors)
        return (
            f"{line}; where the model was asked again, such a guess was off by "
            f"{errors.mean():.2g} % (mean), {errors.max():.2g} % (most)"
        )


def _line(known: list[Known], level: torch.Tensor) -> Known:
    """The straight line in log sigma through two answers, part by part."""
    before, last = known
    # Two stages at one level have no line through them.
    same = last.log_sigma == before.log_sigma
    apart = torch.where(same, torch.ones_like(level), last.log_sigma - before.log_sigma)
    share = torch.where(same, torch.zeros_like(level), (level - last.log_sigma) / apart)

    def through(older: torch.Tensor, newer: torch.Tensor) -> torch.Tensor:
        return newer + (newer - older) * share.to(newer)

    return Known(level, through(before.answer, last.answer), {
        name: through(before.parts[name], part)
        for name, part in last.parts.items() if name in before.parts
    })
