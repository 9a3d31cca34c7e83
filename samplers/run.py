"""The one loop: it alone touches tensors, calls the model and remembers what a table needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .process import Process
from .table import Ref, Row, Table, check_sigmas

Denoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Noise = Callable[[torch.Tensor, float], torch.Tensor]
OnStep = Callable[[dict[str, Any]], None]
BuildTable = Callable[[tuple[float, ...], Process], Table]


class NotFinite(RuntimeError):
    """The model answered NaN or Inf."""


@dataclass(frozen=True)
class Carry:
    """All that a later run needs to go on exactly where this one stopped.

    sigmas: the levels visited since the cold start; x is at the last one.
    memory: remembered tensors by (kind, row), see ``table.Ref``.
    """

    sigmas: tuple[float, ...]
    x: torch.Tensor
    memory: dict[Ref, torch.Tensor]


def run(
    build: BuildTable,
    denoise: Denoise,
    x: torch.Tensor,
    sigmas: Sequence[float],
    process: Process,
    *,
    noise: Noise,
    until: int | None = None,
    carry: Carry | None = None,
    on_step: OnStep | None = None,
) -> Carry:
    """Run the steps between ``sigmas`` and return x with what a next run would need.

    build: (sigmas, process) -> Table. denoise: (x [B, ...], sigma [B]) -> D [B, ...].
    x: the noisy latent at ``sigmas[0]``; with ``carry`` its x is used instead, bit for bit.
    until: stop after this many steps (the later sigmas then only tell the table what follows).
    carry: what an earlier run returned; its last sigma must be ``sigmas[0]``.
    on_step: called once a step, before it is taken, with i, x, denoised, sigma, sigma_hat.
    Raises ValueError for bad sigmas or a wrong shape, NotFinite for NaN or Inf.
    """
    sigmas = check_sigmas(sigmas, process)
    until = len(sigmas) - 1 if until is None else until
    if not 0 <= until < len(sigmas):
        raise ValueError(f"until must be from 0 to {len(sigmas) - 1} steps, got {until}")
    past: tuple[float, ...] = ()
    memory: dict[Ref, torch.Tensor] = {}
    if carry is not None:
        if carry.sigmas[-1] != sigmas[0]:
            raise ValueError(
                f"the carried run stopped at sigma {carry.sigmas[-1]:.9g}, "
                f"this one starts at {sigmas[0]:.9g}"
            )
        past, x = carry.sigmas[:-1], carry.x.to(x.device, copy=True)
        memory = {ref: t.to(x.device) for ref, t in carry.memory.items()}

    table = build(past + sigmas, process)
    first, last = table.first_rows[len(past)], table.first_rows[len(past) + until]
    if missing := table.needed_after(first - 1) - memory.keys():
        raise ValueError(f"the carried run did not keep {sorted(missing)}: another sampler?")

    guard = _Guard(table, len(past))
    for k in range(first, last):
        row = table.rows[k]
        sigma = x.new_full((x.shape[0],), row.sigma)
        d = denoise(x, sigma)
        if d.shape != x.shape:
            raise ValueError(
                f"the model returned shape {list(d.shape)} for a latent of {list(x.shape)} "
                f"at sigma {row.sigma:.6g}"
            )
        d = d.to(x)
        guard.watch(d, row)
        if on_step is not None and k == table.first_rows[row.step]:
            level = sigma[0]
            i = row.step - len(past)
            on_step({"i": i, "x": x, "denoised": d, "sigma": level, "sigma_hat": level})
        memory["x", k], memory["d", k] = x, d
        x = _combine(row, memory)
        if row.noise:
            x = x.add_(noise(x, row.sigma_next), alpha=row.noise * table.s_noise)
        memory = {ref: tensor for ref, tensor in memory.items() if table.keeps(ref, k)}
    guard.finish()
    return Carry((past + sigmas)[: len(past) + until + 1], x, memory)


def _combine(row: Row, memory: dict[Ref, torch.Tensor]) -> torch.Tensor:
    """The row's linear combination, in a fresh tensor (hosts keep the ones they were shown)."""
    (first, weight), *rest = [
        (memory[ref], w)
        for ref, w in zip(row.reads, [*row.x.values(), *row.d.values()])
        if w != 0
    ]
    out = first * weight
    for tensor, weight in rest:
        out.add_(tensor, alpha=weight)
    return out


class _Guard:
    """Watches model answers for NaN and Inf without a read-back from a device in a step.

    On the CPU a bad answer stops the run at once; elsewhere the flags stay on the device and
    are read once, after the last row, still naming the first bad step.
    """

    def __init__(self, table: Table, past: int) -> None:
        self.table, self.past = table, past
        self.pending: list[tuple[torch.Tensor, Row]] = []

    def watch(self, d: torch.Tensor, row: Row) -> None:
        if d.device.type == "cpu":
            # The sum is one cheap pass; it can overflow on its own, so a bad one is looked into.
            if not math.isfinite(d.sum()) and not torch.isfinite(d).all():
                self._stop(row)
        else:
            self.pending.append((torch.isfinite(d).all(), row))

    def finish(self) -> None:
        if not self.pending:
            return
        flags = torch.stack([fine for fine, _ in self.pending]).tolist()
        for fine, (_, row) in zip(flags, self.pending):
            if not fine:
                self._stop(row)

    def _stop(self, row: Row) -> None:
        raise NotFinite(
            f"the model returned NaN or Inf at step {row.step - self.past + 1} of "
            f"{self.table.steps - self.past} (sigma {row.sigma:.6g}). Likely causes: half "
            "precision overflow (try the host's --force-fp32 or --bf16-unet), a very high cfg, "
            "a LoRA or patch made for another model, or a latent that already held NaN."
        )
