"""A model that is asked for a few images at a time, and for fewer when memory runs out.

A sampler's own arithmetic treats each image by itself and a call changes nothing of a run's state,
so a call can be asked again, or in parts, and the run goes on from the row it is at with the same
result. The model's own arithmetic may round differently for another batch size, as it does
whenever a batch grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .guard import Parts, parts_of

_TELLS = ("out of memory", "can't allocate memory", "not enough memory")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, whatever the device calls it."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(t in str(error).lower() for t in _TELLS)


@dataclass
class Spared:
    """What was done to save memory: how often it ran out, the fewest images asked for at once."""

    ran_out: int = 0
    fewest: int | None = None


class Sparing:
    """``denoise`` in parts of a batch.

    denoise: a model with ``of(k)`` for image k and ``some(part)`` for a range of images.
    most: images at a time; 0: as many as there are. free: called when memory ran out, to give back
    what can be spared; None: it stays an error. told: filled on the way.

    When memory runs out, the same call is made once more after ``free``, then in parts of half the
    size, which the rest of the run keeps. Out of memory for one image is an error.
    """

    def __init__(
        self, denoise: Any, most: int = 0, free: Callable[[], object] | None = None,
        told: Spared | None = None,
    ) -> None:
        self.denoise, self.most, self.free, self.told = denoise, most, free, told or Spared()
        self._some: dict[range, Any] = {}
        self._parts: list[tuple[str, torch.Tensor]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.denoise, name)

    def of(self, k: int) -> Sparing:
        """The model for image k alone."""
        return Sparing(self.denoise.of(k), 0, self.free, self.told)

    def parts(self) -> Parts:
        """See ``guard.parts_of``."""
        parts, self._parts = self._parts, []
        return parts

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> Any:
        """D [B, ...], or (D, U), like the model's own for x [B, ...] and sigma [B]."""
        images, done, answers, freed = x.shape[0], 0, [], False
        self._parts = []
        while done < images:
            part = range(done, min(done + (self.most or images), images))
            answer = self._answer(x, sigma, part, last=freed and len(part) == 1)
            if answer is not None:
                answers.append(answer)
                done = part.stop
                continue
            self.told.ran_out += 1
            if freed:
                self.most = (len(part) + 1) // 2
                self._some.clear()
            self.free()
            freed = True
        return answers[0] if len(answers) == 1 else _joined(answers)

    def _answer(self, x: torch.Tensor, sigma: torch.Tensor, part: range, last: bool) -> Any:
        """The answer for a part of the batch, or None if memory ran out and may be freed."""
        whole = len(part) == x.shape[0]
        if not whole:
            fewest = self.told.fewest or len(part)
            self.told.fewest = min(fewest, len(part))
        try:
            if whole:
                model, answer = self.denoise, self.denoise(x, sigma)
            else:
                if part not in self._some:
                    self._some[part] = self.denoise.some(part)
                model, rows = self._some[part], slice(part.start, part.stop)
                answer = model(x[rows], levelled(sigma[rows], sigma))
        except Exception as error:
            if last or self.free is None or not out_of_memory(error):
                raise
            return None  # here the error, and with it the tensors of its frames, is let go
        self._parts += parts_of(model)
        return answer


def levelled(sigma: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """sigma [B], which was made from ``whole``, with its level as a number where that has one."""
    if hasattr(whole, "level"):
        sigma.level = whole.level
    return sigma


def _joined(answers: list[Any]) -> Any:
    """The parts of an answer, or of a pair of them, as one batch."""
    if isinstance(answers[0], tuple):
        return tuple(torch.cat(column) for column in zip(*answers))
    return torch.cat(answers)
