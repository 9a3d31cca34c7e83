"""SAMPLERs made of SAMPLERs, ours and anybody's.

Of our own samplers one table is made, so that history is carried over (``samplers.compose``).
Others are functions of the host's kind, ``f(model, x, sigmas, ...)``: they are run one after the
other over parts of the sigmas, and each part is a run of its own that remembers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import torch

from ... import samplers
from ...samplers import VE, Draw, KeyedNoise, Part, alternate, check_sigmas, inject
from ..lists.model import process_of, sampling_of
from ..shown.words import show_on_node
from .function import SamplerFunction, options_of
from .guess import Guess, hooks_in
from .noise import images_of, trained
from .ours import HostRun, OurSampler
from .proxy import Proxy

# What the host runs for methods that take their steps by themselves, whatever the sigmas are.
_OWN_STEPS = {f"{name}_function" for name in ("dpm_fast", "dpm_adaptive")}
OnStep = Callable[[dict[str, Any]], None] | None


class Handed(NamedTuple):
    """What a sampler function is called with."""

    model: Any
    x: torch.Tensor
    sigmas: torch.Tensor
    extra: dict[str, Any] | None
    callback: OnStep
    disable: bool | None
    options: Mapping[str, Any]

    def of(self, sampler: Any, **other: Any) -> torch.Tensor:
        """What a SAMPLER makes of it, with those of the options that it takes."""
        it, function = self._replace(**other), function_of(sampler)
        taken = options_of(function) if it.options else {}
        options = {name: value for name, value in it.options.items() if name in taken}
        return function(
            it.model, it.x, it.sigmas, extra_args=dict(it.extra or {}), callback=it.callback,
            disable=it.disable, **{**sampler.extra_options, **options},
        )


def alternating(first: Any, second: Any, sigma: float) -> Any:
    """A SAMPLER: ``first`` takes the steps that start above sigma, ``second`` the others."""
    one, other = run_of(first), run_of(second)
    if one is not None and other is not None:
        mixed = alternate([Part(run.sampler, run.options) for run in (one, other)], [sigma])
        if one.duties.settings != other.duties.settings:
            raise ValueError("the samplers of one run must have the same Run Settings")
        return _made(replace(one, sampler=mixed, options=mixed.options), first)

    def pieces(levels: Sequence[float]) -> Iterator[Piece]:
        for above, steps in groupby(range(len(levels) - 1), lambda k: levels[k] > sigma):
            start, *more = steps
            yield Piece(first if above else second, start, start + len(more) + 1)

    return _made(Relay([first, second], pieces), first)


def injecting(sampler: Any, strength: float, low: float, high: float) -> Any:
    """A SAMPLER that leaves noise on top of steps that end from high to low; see ``inject``."""
    if strength == 0:
        return sampler
    if (run := run_of(sampler)) is not None:
        noisy = inject(Part(run.sampler, run.options), strength, low, high)
        return _made(replace(run, sampler=noisy, options=noisy.options), sampler)
    inject(Part(samplers.get("euler")), strength, low, high)  # the same checks

    def pieces(levels: Sequence[float]) -> Iterator[Piece]:
        start = 0
        for k, level in enumerate(levels[1:], 1):
            here = low <= level <= high and level > 0
            if here or k == len(levels) - 1:
                yield Piece(sampler, start, k, strength * level if here else 0.0)
                start = k

    return _made(Relay([sampler], pieces), sampler)


def averaging(first: Any, second: Any, weight: float) -> Any:
    """A SAMPLER that runs both from the same noise and takes ``weight`` of first's latent."""
    function_of(first), function_of(second)
    if weight in (0, 1):
        return first if weight else second
    return _made(Mean([first, second], [weight, 1.0 - weight]), first)


def skipping(sampler: Any, every: int, low: float, high: float, node_id: str | None = None) -> Any:
    """A SAMPLER that guesses the model's answers of every ``every``-th step between the sigmas."""
    function = function_of(sampler)
    run = ours_in(sampler)
    name = getattr(function, "__name__", "")
    if name in _OWN_STEPS or (run is not None and run.sampler.adaptive):
        raise ValueError(
            f"'{run.sampler.name if run else name}' chooses its own steps and has none that could "
            "be skipped"
        )
    tell = partial(show_on_node, node_id)
    return _made(Skipping([sampler], every, low, high, tell), sampler)


def ours_in(sampler: Any) -> HostRun | None:
    """The run of one of our samplers in a SAMPLER; None for others, and for wrappers of ours."""
    function = function_of(sampler)
    # What ``functools.wraps`` made has our marks as well, and is somebody else's.
    if getattr(function, "stride", None) and not hasattr(function, "__wrapped__"):
        entry = samplers.get(function.stride)
        function = HostRun(entry, entry.configure(**sampler.extra_options))
    return function if isinstance(function, HostRun) else None


def run_of(sampler: Any) -> HostRun | None:
    """The same of samplers that have a table, which adaptive ones have not."""
    run = ours_in(sampler)
    return None if run is None or run.sampler.adaptive else run


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
    return OurSampler(function, inpaint_options=like.inpaint_options)


class Piece(NamedTuple):
    """A sampler's part of a run: sigmas first to last, then noise of standard deviation std."""

    sampler: Any
    first: int
    last: int
    std: float = 0.0


class _Made(SamplerFunction):
    """A sampler function around those of SAMPLERs: what one of these takes, it takes and hands on.
    """

    parts: Sequence[Any]

    @property
    def takes(self) -> dict[str, Any]:
        """The options of all its SAMPLERs."""
        functions = [part.sampler_function for part in self.parts]
        return {name: value for f in functions for name, value in options_of(f).items()}

    def __call__(
        self, model: Any, x: torch.Tensor, sigmas: torch.Tensor,
        extra_args: dict[str, Any] | None = None, callback: OnStep = None,
        disable: bool | None = None, **options: Any,
    ) -> torch.Tensor:
        """The latent at the last sigma, [B, ...]; the host's arguments, as ``HostRun`` has them.

        Raises ValueError for sigmas that are none, which functions of others do not look for.
        """
        sampling = sampling_of(model)
        levels = check_sigmas(sigmas, VE if sampling is None else process_of(sampling))
        if 0 in levels[:-1]:
            raise ValueError(f"sigma {levels.index(0) + 1} is 0; only the last one can be")
        handed = Handed(model, x, sigmas, extra_args, callback, disable, options)
        return self.run(handed, levels)

    def run(self, handed: Handed, levels: Sequence[float]) -> torch.Tensor:
        """The same, with the sigmas as numbers."""
        raise NotImplementedError


@dataclass
class Relay(_Made):
    """A run in pieces. pieces: (sigmas) -> who runs which part of them."""

    parts: Sequence[Any]
    pieces: Callable[[Sequence[float]], Iterator[Piece]]

    def run(self, handed: Handed, levels: Sequence[float]) -> torch.Tensor:
        x = handed.x
        seed = (handed.extra or {}).get("seed") or 0
        noise = trained(KeyedNoise(seed, images_of(handed.model, x, seed)), handed.model)
        for piece in self.pieces(levels):
            x = handed.of(
                piece.sampler, x=x, sigmas=handed.sigmas[piece.first : piece.last + 1],
                callback=handed.callback and partial(_later, handed.callback, piece.first),
            )
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
class Mean(_Made):
    """The weighted mean of what several samplers make of the same start, run one by one.

    Beside the run at work it holds two latents: the start and the sum so far. Callbacks count all
    as one run.
    """

    parts: Sequence[Any]
    weights: Sequence[float]

    def run(self, handed: Handed, levels: Sequence[float]) -> torch.Tensor:
        total, count = None, len(self.parts)
        for k, (sampler, weight) in enumerate(zip(self.parts, self.weights)):
            before = k * (len(levels) - 1)
            shared = handed.callback and partial(_later, handed.callback, before, count=count)
            out = handed.of(sampler, x=handed.x.clone(), callback=shared)
            total = out * weight if total is None else total.add_(out, alpha=weight)
        return total


@dataclass
class Skipping(_Made):
    """A sampler whose model is not asked in every ``every``-th step that starts from high to low.

    There the answer is the straight line, in log sigma, through the last two that the model gave;
    in the last step, which is what one sees, it is always asked. Where it is asked again, the
    line's error is noted: it is that of a guess at least one step further off than the guesses in
    use. All sizes are root mean squares over the batch and stay on the device until the run is
    over; ``tell`` gets the sentence.
    """

    parts: Sequence[Any]
    every: int
    low: float
    high: float
    tell: Callable[[str], None] = field(repr=False)

    def run(self, handed: Handed, levels: Sequence[float]) -> torch.Tensor:
        inside = [k for k, level in enumerate(levels[:-1]) if self.low <= level <= self.high]
        steps = {*inside[self.every - 1 :: self.every]} - {len(levels) - 2}
        guess = Guess(handed.model, steps, len(hooks_in(handed.extra or {})))

        def on_step(info: dict[str, Any]) -> None:
            guess.step = info["i"] + 1
            if handed.callback is not None:
                handed.callback(info)

        out = handed.of(self.parts[0], model=Proxy(handed.model, guess.answer), callback=on_step)
        self.tell(guess.summary())
        return out
