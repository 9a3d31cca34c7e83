"""A model that is asked for a few images at a time, and for fewer when memory runs out.

A sampler's own arithmetic treats each image by itself and a call changes nothing of a run's state,
so a call can be asked again, or in parts, and the run goes on from the row it is at with the same
result. The model's own arithmetic may round differently for another batch size, as it does
whenever a batch grows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from .model import Answer, Model

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


class Sparing(Model):
    """A model that is asked for parts of a batch.

    most: images at a time; 0: as many as there are. free: called when memory ran out, to give back
    what can be spared; None: it stays an error. told: filled on the way.

    When memory runs out, the same call is made once more after ``free``, then in parts of half the
    size, which the rest of the run keeps. Out of memory for one image is an error.
    """

    def __init__(
        self, model: Model, most: int = 0, free: Callable[[], object] | None = None,
        told: Spared | None = None,
    ) -> None:
        self._model, self.most, self.free, self.told = model, most, free, told or Spared()
        self.computes_in = model.computes_in
        self._some: dict[range, Model] = {}

    def some(self, images: Sequence[int]) -> Sparing:
        return Sparing(self._model.some(images), self.most, self.free, self.told)

    def alone(self, image: int) -> Sparing:
        return Sparing(self._model.alone(image), 0, self.free, self.told)

    def __call__(self, x: torch.Tensor, level: float) -> Answer:
        images, done, free, freed = x.shape[0], 0, self.free, False
        answers: list[Answer] = []
        while done < images:
            part = range(done, min(done + (self.most or images), images))
            last = free is None or (freed and len(part) == 1)
            answer = self._answer(x, level, part, last)
            if answer is not None:
                answers.append(answer)
                done = part.stop
                continue
            self.told.ran_out += 1
            if freed:
                self.most = (len(part) + 1) // 2
                self._some.clear()
            if free is not None:
                free()
            freed = True
        return answers[0] if len(answers) == 1 else _joined(answers)

    def _answer(self, x: torch.Tensor, level: float, part: range, last: bool) -> Answer | None:
        """The answer for a part of the batch, or None if memory ran out and may be freed."""
        try:
            if len(part) == x.shape[0]:
                return self._model(x, level)
            self.told.fewest = min(self.told.fewest or len(part), len(part))
            if part not in self._some:
                self._some[part] = self._model.some(part)
            return self._some[part](x[part.start : part.stop], level)
        except Exception as error:
            if last or not out_of_memory(error):
                raise
            return None  # here the error, and with it the tensors of its frames, is let go


def _joined(answers: Sequence[Answer]) -> Answer:
    """The answers to the parts of a batch as one; what they were made of stands one by one."""
    d, u, parts = zip(*answers)
    return Answer(
        torch.cat(d), None if u[0] is None else torch.cat(u), tuple(p for ps in parts for p in ps)
    )
