"""SAMPLERs made of SAMPLERs, ours and anybody's.

Of our own samplers one table is made, so that history is carried over (``samplers.compose``).
Others are functions of the host's kind, ``f(model, x, sigmas, ...)``: they are run one after the
other over parts of the sigmas, and each part is a run of its own that remembers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import comfy.samplers
import torch

from ... import samplers
from ...samplers import Draw, KeyedNoise, Part, alternate, inject
from ..shown.words import show_on_node
from .ours import HostRun
from .proxy import Proxy

_CFG_PP = (
    "step skipping guesses the guided answer only, and a CFG++ sampler wants the unconditional "
    "one as well; use a sampler without cfg_pp"
)
_HOOKS = "sampler_post_cfg_function"  # in the model options
OnStep = Callable[[dict[str, Any]], None] | None


def alternating(first: Any, second: Any, sigma: float) -> Any:
    """A SAMPLER: ``first`` takes the steps that start above sigma, ``second`` the others."""
    one, other = run_of(first), run_of(second)
    if one is not None and other is not None:
        mixed = alternate([Part(run.sampler, run.options) for run in (one, other)], [sigma])
        if one.duties.settings != other.duties.settings:
            raise ValueError("the samplers of one run must have the same Run Settings")
        return _made(replace(one, sampler=mixed, options=mixed.options), first)

    def pieces(levels: list[float]) -> Iterator[Piece]:
        change = next((k for k, level in enumerate(levels) if level <= sigma), len(levels) - 1)
        change = min(change, len(levels) - 1)
        if change:
            yield Piece(first, 0, change)
        if change < len(levels) - 1:
            yield Piece(second, change, len(levels) - 1)

    return _made(Relay(pieces), first)


def injecting(sampler: Any, strength: float, low: float, high: float) -> Any:
    """A SAMPLER that leaves noise on top of steps that end from high to low; see ``inject``."""
    if strength == 0:
        return sampler
    if (run := run_of(sampler)) is not None:
        noisy = inject(Part(run.sampler, run.options), strength, low, high)
        return _made(replace(run, sampler=noisy, options=noisy.options), sampler)
    inject(Part(samplers.get("euler")), strength, low, high)  # the same checks

    def pieces(levels: list[float]) -> Iterator[Piece]:
        start = 0
        for k, level in enumerate(levels[1:], 1):
            here = low <= level <= high and level > 0
            if here or k == len(levels) - 1:
                yield Piece(sampler, start, k, strength * level if here else 0.0)
                start = k

    return _made(Relay(pieces), sampler)


def averaging(first: Any, second: Any, weight: float) -> Any:
    """A SAMPLER that runs both from the same noise and takes ``weight`` of first's latent."""
    function_of(first), function_of(second)
    if weight in (0, 1):
        return first if weight else second
    return _made(Mean([(first, weight), (second, 1.0 - weight)]), first)


def skipping(sampler: Any, every: int, low: float, high: float, node_id: str | None = None) -> Any:
    """A SAMPLER that guesses the model's answers of every ``every``-th step between the sigmas."""
    function = function_of(sampler)
    if isinstance(function, HostRun):
        if function.sampler.adaptive:
            raise ValueError(
                f"'{function.sampler.name}' chooses its own steps and has none that could be "
                "skipped"
            )
        if getattr(function.options, "cfg_pp", False):
            raise ValueError(_CFG_PP)
    return _made(Skipping(sampler, every, low, high, partial(show_on_node, node_id)), sampler)


def run_of(sampler: Any) -> HostRun | None:
    """The run of one of our samplers in a SAMPLER; None for others, and adaptive ones."""
    function = function_of(sampler)
    if name := getattr(function, "stride", None):
        entry = samplers.get(name)
        function = HostRun(entry, entry.configure(**sampler.extra_options))
    return function if isinstance(function, HostRun) and not function.sampler.adaptive else None


def function_of(sampler: Any) -> Callable[..., torch.Tensor]:
    """The function in a SAMPLER, or a ValueError for a SAMPLER of another kind."""
    function = getattr(sampler, "sampler_function", None)
    if function is None:
        raise ValueError(
            f"a SAMPLER of type {type(sampler).__name__} has no function of the host's kind "
            "(model, x, sigmas) and cannot be wrapped"
        )
    return function


def _made(function: Callable[..., torch.Tensor], like: Any) -> Any:
    return comfy.samplers.KSAMPLER(function, inpaint_options=like.inpaint_options)


def _call(
    sampler: Any, model: Any, x: torch.Tensor, sigmas: torch.Tensor, extra: dict[str, Any] | None,
    callback: OnStep, disable: bool | None,
) -> torch.Tensor:
    return function_of(sampler)(
        model, x, sigmas, extra_args=dict(extra or {}), callback=callback, disable=disable,
        **sampler.extra_options,
    )


class Piece(NamedTuple):
    """A sampler's part of a run: sigmas first to last, then noise of standard deviation std."""

    sampler: Any
    first: int
    last: int
    std: float = 0.0


@dataclass
class Relay:
    """A run in pieces. pieces: (sigmas) -> who runs which part of them."""

    pieces: Callable[[list[float]], Iterator[Piece]]

    def __call__(
        self, model: Any, x: torch.Tensor, sigmas: torch.Tensor,
        extra_args: dict[str, Any] | None = None, callback: OnStep = None,
        disable: bool | None = None,
    ) -> torch.Tensor:
        """The latent at the last sigma, [B, ...]; the host's arguments, as ``HostRun`` has them."""
        noise = KeyedNoise((extra_args or {}).get("seed") or 0, range(x.shape[0]))
        levels = sigmas.tolist()
        for piece in self.pieces(levels):
            part = sigmas[piece.first : piece.last + 1]
            later = callback and partial(_later, callback, piece.first)
            x = _call(piece.sampler, model, x, part, extra_args, later, disable)
            if piece.std:
                level = levels[piece.last]
                x = x + piece.std * noise(x, Draw(piece.std, level, level, 1))
        return x


def _later(
    callback: Callable[[dict[str, Any]], None], steps: int, info: dict[str, Any], count: int = 1
) -> None:
    """A callback of a part that begins after ``steps``, of ``count`` runs that are shown as one."""
    callback({**info, "i": (info["i"] + steps) // count})


@dataclass
class Mean:
    """The weighted mean of what several samplers make of the same start, run one by one.

    Beside the run at work it holds two latents: the start and the sum so far.
    """

    members: list[tuple[Any, float]]

    def __call__(
        self, model: Any, x: torch.Tensor, sigmas: torch.Tensor,
        extra_args: dict[str, Any] | None = None, callback: OnStep = None,
        disable: bool | None = None,
    ) -> torch.Tensor:
        """The mean of the latents at the last sigma, [B, ...]; callbacks count all as one run."""
        total, count = None, len(self.members)
        for k, (sampler, weight) in enumerate(self.members):
            shared = callback and partial(_later, callback, k * (len(sigmas) - 1), count=count)
            out = _call(sampler, model, x.clone(), sigmas, extra_args, shared, disable)
            total = out * weight if total is None else total.add_(out, alpha=weight)
        return total


@dataclass
class Skipping:
    """A sampler whose model is not asked in every ``every``-th step that starts from high to low.

    There the answer is the straight line, in log sigma, through the last two that the model gave.
    Where it is asked again, the line's error is noted: it is that of a guess at least one step
    further off than the guesses in use. All sizes are root mean squares over the batch and stay
    on the device until the run is over; ``tell`` gets the sentence.
    """

    sampler: Any
    every: int
    low: float
    high: float
    tell: Callable[[str], None] = field(repr=False)

    def __call__(
        self, model: Any, x: torch.Tensor, sigmas: torch.Tensor,
        extra_args: dict[str, Any] | None = None, callback: OnStep = None,
        disable: bool | None = None,
    ) -> torch.Tensor:
        """The latent at the last sigma, [B, ...]; raises ValueError for others' CFG++ samplers."""
        levels = sigmas.tolist()
        inside = [k for k, level in enumerate(levels[:-1]) if self.low <= level <= self.high]
        ours = isinstance(function_of(self.sampler), HostRun)
        hooks = None if ours else _hooks(extra_args or {})
        guess = _Guess(model, set(inside[self.every - 1 :: self.every]), hooks)

        def on_step(info: dict[str, Any]) -> None:
            guess.step = info["i"] + 1
            if callback is not None:
                callback(info)

        out = _call(
            self.sampler, Proxy(model, guess.answer), x, sigmas, extra_args, on_step, disable
        )
        self.tell(guess.summary())
        return out


def _hooks(extra: dict[str, Any]) -> int:
    """How many functions get the model's answers behind the sampler's back."""
    return len((extra.get("model_options") or {}).get(_HOOKS, ()))


class _Guess:
    """Answers of the host's model, some of them from the memory of the last two.

    hooks: what a sampler of others was given; one that adds its own is CFG++. None: ours.
    """

    def __init__(self, model: Any, steps: set[int], hooks: int | None) -> None:
        self.model, self.steps, self.hooks = model, steps, hooks
        self.step = self.asked = self.guessed = 0
        self.known: list[tuple[torch.Tensor, torch.Tensor]] = []  # (log sigma, answer)
        self.errors: list[torch.Tensor] = []

    def answer(self, x: torch.Tensor, sigma: torch.Tensor, **extra: Any) -> torch.Tensor:
        """D(x, sigma) [B, ...], asked for or guessed."""
        if self.hooks is not None and _hooks(extra) > self.hooks:
            raise ValueError(_CFG_PP)
        level = sigma.log().reshape(-1, *[1] * (x.ndim - 1))
        if self.step in self.steps and len(self.known) == 2:
            self.guessed += 1
            return self._line(level)
        answer = self.model(x, sigma, **extra)
        if len(self.known) == 2:
            off = (self._line(level) - answer).float().square().mean()
            self.errors.append((off / answer.float().square().mean()).sqrt())
        self.asked += 1
        self.known = [*self.known[-1:], (level, answer)]
        return answer

    def _line(self, level: torch.Tensor) -> torch.Tensor:
        (before, older), (last, newer) = self.known
        # Two stages at one level have no line through them.
        apart = torch.where(last == before, torch.ones_like(last), last - before)
        share = torch.where(last == before, torch.zeros_like(last), (level - last) / apart)
        return newer + (newer - older) * share.to(newer)

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
