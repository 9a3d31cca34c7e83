"""The one loop: it alone touches tensors, calls the model and remembers what a table needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ..process import Process
from .guard import Guard
from .levels import check_sigmas
from .model import Answer, Denoise, Function, Model
from .resize import Resize
from .table import Draw, Ref, Row

OnStep = Callable[[dict[str, Any]], None]


class Noise(Protocol):
    """Where fresh noise comes from."""

    def __call__(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Unit noise shaped, placed and typed like ``like`` [images, ...]."""

    def of(self, k: int) -> Noise:
        """The noise of image k of the batch alone."""


class Plan(Protocol):
    """What a run follows: a Table, or an adaptive method that makes its rows on the way."""

    @property
    def sigmas(self) -> tuple[float, ...]:
        """The levels of the run since its cold start."""

    def gain(self, row: Row) -> float:
        """Multiplier of the fresh noise that comes with ``row``."""

    @property
    def peak_memory(self) -> int | None:
        """Most tensors remembered between two rows, beside x; None where it is not known."""

    @property
    def taken(self) -> Sequence[Any]:
        """What a method that chooses its steps tells of them, image by image."""

    @property
    def stochastic(self) -> bool:
        """Whether any row may add fresh noise."""

    @property
    def guided(self) -> bool:
        """Whether rows read the unconditional answer."""

    @property
    def grows(self) -> bool:
        """Whether the latent changes its size on the way."""

    @property
    def caution(self) -> str | None:
        """What a person should know before the run, or None."""

    @property
    def alone(self) -> bool:
        """Whether the rows depend on the latent, so that each image of a batch has its own."""

    def walk(self, machine: Machine, past: int, steps: int) -> Iterator[tuple[int, Row]]:
        """The numbered rows of ``steps`` user's steps after the first ``past`` ones.

        The machine takes a row before the next one is asked for, so an adaptive method may look
        at ``machine.x`` and ``machine.memory`` to decide.
        """

    def forget(self, memory: dict[Ref, torch.Tensor], k: int) -> None:
        """Take out of the memory what is not needed once row k is done."""


Build = Callable[[tuple[float, ...], Process], Plan]


@dataclass(frozen=True)
class Carry:
    """All that a later run needs to go on exactly where this one stopped.

    sigmas: the levels visited since the cold start; x is at the last one.
    memory: remembered tensors by (kind, row), see ``table.Ref``. extent: the height and width that
    the run began with, if it changes them.
    """

    sigmas: tuple[float, ...]
    x: torch.Tensor
    memory: dict[Ref, torch.Tensor]
    extent: tuple[int, int] | None = None


def run(
    build: Build,
    denoise: Model | Denoise,
    x: torch.Tensor,
    sigmas: Sequence[float],
    process: Process,
    *,
    noise: Noise,
    until: int | None = None,
    carry: Carry | None = None,
    on_step: OnStep | None = None,
    resize: Resize | None = None,
) -> Carry:
    """Run the steps between ``sigmas`` and return x with what a next run would need.

    build: (sigmas, process) -> Plan. denoise: a ``Model``, or a function of x [B, ...] and sigma
    [B] that returns D [B, ...] or (D, U). Where the plan wants images alone, they are run one after
    the other as batches of one.
    x: the noisy latent at ``sigmas[0]``; with ``carry`` its x is used instead, bit for bit.
    sigmas: levels as ``check_sigmas`` takes them; one alone, or none, leaves x as it is.
    until: stop after this many steps (the later sigmas then only tell the table what follows).
    carry: what an earlier run returned; its last sigma must be ``sigmas[0]``.
    on_step: called once a step, before it is taken, with i, x, denoised, sigma, sigma_hat, and
    whether the model was asked just now (a step that stays on its level shows the last answer).
    resize: for a plan whose latent grows.
    Raises ValueError for bad sigmas or a wrong shape, NotFinite for NaN or Inf.
    """
    sigmas = check_sigmas(sigmas, process)
    if not sigmas:
        return carry or Carry((), x, {})
    until = len(sigmas) - 1 if until is None else until
    if not 0 <= until < len(sigmas):
        raise ValueError(f"until must be from 0 to {len(sigmas) - 1} steps, got {until}")
    past: tuple[float, ...] = ()
    memory: dict[Ref, torch.Tensor] = {}
    if carry is not None:
        past, x, memory = _resume(x, sigmas[0], carry)
    plan = build(past + sigmas, process)
    if not x.shape[0]:  # no images, which the host samples as well
        return Carry((past + sigmas)[: len(past) + until + 1], x, {})
    model = denoise if isinstance(denoise, Model) else Function(denoise)
    whole = Machine(plan, len(past), len(past) + until, model, noise, x, memory, on_step)
    if plan.grows:
        whole.can_grow(resize, carry.extent if carry else None)
    del x, memory  # the machine forgets them once they are used, and so must this frame
    machines = whole.images() if plan.alone else [whole]
    for machine in machines:
        for k, row in plan.walk(machine, len(past), until):
            machine.take(k, row)
        machine.close()
    x = machine.x if machine is whole else torch.cat([machine.x for machine in machines])
    return Carry((past + sigmas)[: len(past) + until + 1], x, machine.memory, machine.extent)


def _resume(
    x: torch.Tensor, sigma: float, carry: Carry
) -> tuple[tuple[float, ...], torch.Tensor, dict[Ref, torch.Tensor]]:
    """The levels visited before ``sigma``, the latent and the memory that a run goes on with."""
    if carry.sigmas[-1] != sigma:
        raise ValueError(
            f"the carried run stopped at sigma {carry.sigmas[-1]:.9g}, "
            f"this one starts at {sigma:.9g}"
        )
    memory = {ref: tensor.to(x.device) for ref, tensor in carry.memory.items()}
    return carry.sigmas[:-1], carry.x.to(x.device, copy=True), memory


class Machine:
    """What a run holds while its rows are taken: the latent, the memory, the model, the noise.

    past, until: the steps of the plan that are taken. image: (index, how many there are) where x
    is one of a batch whose images are run one by one.
    """

    def __init__(
        self, plan: Plan, past: int, until: int, model: Model, noise: Noise, x: torch.Tensor,
        memory: dict[Ref, torch.Tensor], on_step: OnStep | None,
        image: tuple[int, int] | None = None,
    ) -> None:
        self.plan, self.past, self.until, self.model, self.noise = plan, past, until, model, noise
        self.x, self.memory, self.on_step = x, memory, on_step
        self.guard = Guard(plan.sigmas, past, model.computes_in, image)
        self.extent: tuple[int, int] | None = None
        self._resize: Resize | None = None
        self._shown = past - 1  # last step that the callback saw
        # Steps that stay where the run ends have the newest answer; else nobody keeps it.
        self._stays = past < until and plan.sigmas[until] == plan.sigmas[until - 1]
        self._last: torch.Tensor | None = None

    def can_grow(self, resize: Resize | None, extent: tuple[int, int] | None) -> None:
        """Get what rows of another size need. extent: the run's first, unless it begins here.

        Raises ValueError where there is no way to resize, or no height and width.
        """
        if resize is None:
            raise ValueError("this sampler changes the latent's size, which is not possible here")
        if self.x.ndim < 4:
            raise ValueError(
                "a latent of pictures [batch, channels, height, width] or of a video can change "
                f"its size on the way, this one is {list(self.x.shape)}"
            )
        height, width = self.x.shape[-2:]
        self._resize, self.extent = resize, extent or (height, width)

    def images(self) -> list[Machine]:
        """One machine for each image of the batch."""
        count = self.x.shape[0]
        if count == 1:
            return [self]
        return [
            Machine(self.plan, self.past, self.until, self.model.alone(k), self.noise.of(k),
                    self.x[k : k + 1], {}, self.on_step, (k, count))
            for k in range(count)
        ]

    def combined(self, row: Row) -> torch.Tensor:
        """What the row makes of the memory, its noise left out, in a fresh tensor.

        Hosts keep the ones that they were shown.
        """
        if not row.reads:  # noise alone is left, at sigma 1 of FLOW
            return torch.zeros_like(self.x)
        (ref, weight), *rest = row.reads
        if len(rest) == 1 and abs(weight + rest[0][1] - 1.0) < 1e-12:  # in one pass over memory
            return torch.lerp(self.memory[ref], self.memory[rest[0][0]], rest[0][1])
        out = self.memory[ref] * weight
        for ref, weight in rest:
            out.add_(self.memory[ref], alpha=weight)
        return out

    def take(self, k: int, row: Row, answer: Answer | None = None) -> None:
        """One row: ask the model if it calls, combine, add its noise, forget what is done with.

        answer: the model's, where whoever drives the machine has asked it.
        """
        self.memory["x", k] = self.x
        if row.calls:
            self._answered(k, row, answer or self.model(self.x, row.sigma))
        x = self.combined(row)
        if self.plan.alone and not row.calls and row.d and row.step > self._shown:
            known = self.memory["d", next(iter(row.d))]  # from the step before
            self._show(row.step, row.sigma, known, asked=False)
        if self._resize is not None and self.extent is not None:
            height, width = (max(round(size * row.size), 1) for size in self.extent)
            if x.shape[-2:] != (height, width):
                x = self._resize(x, (height, width))
        for draw in row.noise:
            if draw.weight:
                x.add_(self.noise(x, draw), alpha=draw.weight * self.plan.gain(row))
        for draw in row.excess:
            x.add_(self.noise(x, draw), alpha=draw.weight)
        self.x = x
        self.plan.forget(self.memory, k)

    def _answered(self, k: int, row: Row, answer: Answer) -> None:
        """Look at the answer, remember it, and show the step if it is a new one."""
        x, d, u = self.x, answer.denoised, answer.uncond
        for tensor in (d,) if u is None else (d, u):
            if tensor.shape != x.shape:
                raise ValueError(
                    f"the model returned shape {list(tensor.shape)} for a latent of "
                    f"{list(x.shape)} at sigma {row.sigma:.6g}"
                )
        self.memory["d", k] = d = d.to(x)
        self.guard.watch(row, x, d, answer.parts)
        if self.plan.guided:
            if u is None:
                raise ValueError("CFG++ needs a model that returns (denoised, unconditional)")
            self.memory["u", k] = u.to(x)
        self._show(row.step, row.sigma, d, asked=True)
        if self._stays:
            self._last = d

    def _show(self, step: int, sigma: float, d: torch.Tensor, asked: bool) -> None:
        """Call back for a step that begins, at ``sigma`` after churn, with the answer d.

        Steps before it that stayed on its level have the same answer. asked: whether it was given
        just now.
        """
        levels = self.plan.sigmas
        while self.on_step is not None and self._shown < step:
            self._shown += 1
            if levels[self._shown] == levels[step]:
                level, start = self.x.new_full((), sigma), levels[step]
                same = start == sigma or self.plan.alone
                self.on_step({
                    "i": self._shown - self.past, "x": self.x, "denoised": d,
                    "sigma": level if same else self.x.new_full((), start), "sigma_hat": level,
                    "asked": asked,
                })

    def close(self) -> None:
        """After the last row: show the steps that stayed where it ends, wait for the guard."""
        if self._last is not None:
            self._show(self.until - 1, self.plan.sigmas[self.until], self._last, asked=False)
        self.guard.finish()
