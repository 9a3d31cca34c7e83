"""What watches a model's answers for NaN and Inf, at no cost that a step could feel.

On the CPU a bad answer stops the run at once. A device is never waited for in a step: the size of
each answer is reduced there to one number an image, the numbers are copied without blocking, and
looked at when their copy has arrived. On CUDA this stops the run within the few steps by which the
device lags behind; elsewhere the numbers are read once, after the last row. Either way the step
that is named is the one where it began, and an answer before it that was finite but beyond all
sense is named as well.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import torch

from .model import Parts
from .table import Row

_GUIDED, _LATENT = "the guided answer", "the latent"
_ON_CPU = ("cpu",)  # devices whose numbers can be read at once
_ABSURD = 1e6  # no clean latent is that large; the noise of no model is
Sizes = Sequence[tuple[str, Sequence[float]]]  # by name, the largest magnitude in each image


class NotFinite(RuntimeError):
    """The model answered NaN or Inf."""


class Guard:
    """The watch over one run.

    sigmas: of the run's plan; past: how many of its steps came before this run. computes_in: the
    model's own dtype, if it is known. image: (index, how many there are) of the only one that is
    watched; None: all of the batch.
    """

    def __init__(
        self, sigmas: Sequence[float], past: int, computes_in: torch.dtype | None = None,
        image: tuple[int, int] | None = None,
    ) -> None:
        self.sigmas, self.past, self.computes_in, self.image = sigmas, past, computes_in, image
        self._pending: deque[tuple[_Sizes, tuple[str, ...], Row]] = deque()
        self._begun = False
        self._absurd: tuple[Row, float] | None = None  # the first answer of that size, and its size

    def watch(self, row: Row, x: torch.Tensor, d: torch.Tensor, parts: Parts = ()) -> None:
        """Look at the answer d to the latent x, and if it is bad at the ``parts`` it came from."""
        if d.device.type in _ON_CPU:
            # The sum is one cheap pass; it can overflow on its own, so a bad one is looked into.
            if not abs(float(d.sum())) < _ABSURD * max(d.numel(), 1):
                named = [(_GUIDED, d), *parts, (_LATENT, x)]
                self._judge(row, [(name, _size(t).tolist()) for name, t in named])
            return
        named = [(_GUIDED, d), *parts]
        if not self._begun:  # later latents are made of answers that were looked at
            named.append((_LATENT, x))
        self._begun = True
        sizes = _Sizes(torch.stack([_size(t) for _, t in named]))
        self._pending.append((sizes, tuple(name for name, _ in named), row))
        while self._pending and self._pending[0][0].arrived():
            arrived, names, row = self._pending.popleft()
            self._judge(row, list(zip(names, arrived.copied.tolist())))

    def finish(self) -> None:
        """Wait for what is still under way; raises NotFinite like ``watch``."""
        waiting, self._pending = list(self._pending), deque()
        if not waiting:
            return
        values = iter(torch.cat([sizes.on_device for sizes, _, _ in waiting]).tolist())
        for _, names, row in waiting:
            self._judge(row, [(name, next(values)) for name in names])

    def _judge(self, row: Row, found: Sizes) -> None:
        """found: what was looked at, the guided answer first. Raises where that is not finite."""
        answer = found[0][1]
        if not all(map(math.isfinite, answer)):
            self._stop(row, found)
        size = max(answer, default=0.0)
        if self._absurd is None and size > _ABSURD:
            self._absurd = row, size

    def _stop(self, row: Row, found: Sizes) -> None:
        bad: dict[str, bool] = {}
        for name, sizes in found:
            bad[name] = bad.get(name, False) or not all(map(math.isfinite, sizes))
        dtype = str(self.computes_in or "").removeprefix("torch.")
        where, causes = _verdict(bad, dtype)
        if self._absurd is not None:
            before, size = self._absurd
            where += f"; its answer at {self._place(before)} was finite, but reached {size:.3g}"
            causes.insert(0, "a model or a patch that scales its answer wrongly")
        raise NotFinite(
            f"the model returned NaN or Inf{self._images(found[0][1])} at {self._place(row)}{where}"
            + (f"; the model computes in {dtype}" if dtype else "")
            + f". Likely causes: {'; '.join(causes)}."
        )

    def _place(self, row: Row) -> str:
        return (
            f"step {row.step - self.past + 1} of {len(self.sigmas) - 1 - self.past} "
            f"(sigma {row.sigma:.6g})"
        )

    def _images(self, answer: Sequence[float]) -> str:
        """Which images of the batch are bad, where it is not all of them."""
        bad = [k for k, size in enumerate(answer) if not math.isfinite(size)]
        first, count = self.image or (0, len(answer))
        if len(bad) == count:
            return ""
        which = [str(first + k + 1) for k in bad]
        several = "s" * (len(which) > 1)
        return f" in image{several} {', '.join(which[:20])} of {count}"


def _size(tensor: torch.Tensor) -> torch.Tensor:
    """The largest magnitude of each image [images], on the tensor's device; NaN and Inf show."""
    images = tensor.reshape(tensor.shape[0], -1)
    size: torch.Tensor = torch.linalg.vector_norm(images, math.inf, dim=1)
    return size.float()


class _Sizes:
    """Numbers on a device and, on CUDA, their copy on the way to the CPU."""

    def __init__(self, on_device: torch.Tensor) -> None:
        self.on_device = on_device
        self._event: torch.cuda.Event | None = None
        if on_device.device.type == "cuda":
            self.copied = torch.empty(on_device.shape, dtype=on_device.dtype, pin_memory=True)
            self.copied.copy_(on_device, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def arrived(self) -> bool:
        """Whether the copy can be read; asking does not wait."""
        arrived: bool = self._event is not None and self._event.query()
        return arrived


def _verdict(bad: dict[str, bool], dtype: str) -> tuple[str, list[str]]:
    """Which of the parts were bad, as the end of a sentence, and what most often leads to it."""
    overflow = (
        f"overflow in {dtype if dtype not in ('', 'float32', 'float64') else 'half precision'} "
        "(try the host's --force-fp32 or --bf16-unet)"
    )
    guidance = "a very high cfg or a guidance patch (try cfg 1, or the model without patches)"
    patch = "a LoRA or patch made for another model (try without)"
    latent = "a latent that already held NaN"
    parts = [name for name in bad if name not in (_GUIDED, _LATENT)]
    wrong = [name for name in parts if bad[name]]
    fine = [name for name in parts if not bad[name]]
    where = ""
    if wrong:
        where = f", in {' and '.join(wrong)}" + (f" but not in {fine[0]}" if fine else "")
    elif parts:
        where = f", made by guidance: {' and '.join(parts)} were finite"
    if bad.get(_LATENT):
        return where, [f"{latent}, as this one did (look at what made it)", overflow]
    if parts and not wrong:
        return where, [guidance, overflow]
    if wrong and fine:
        return where, [f"a broken embedding in the prompt of {wrong[0]}", overflow, patch]
    return where, [overflow, guidance, patch, latent]
