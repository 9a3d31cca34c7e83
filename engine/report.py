"""What a run did, step by step: levels, model calls, seconds, statistics, step sizes.

A ``Recorder`` watches any sampler that calls back once a step, ours or not. Nothing is read from a
device before the run is over: statistics stay there as small tensors and times are CUDA events.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import torch

from ..process import Process, Undefined
from .model import Answer, Model

Answered = TypeVar("Answered")


@dataclass(frozen=True)
class Spread:
    """Of all values of a batch of latents: mean, standard deviation, smallest and largest."""

    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class StepReport:
    """One step. latent: x where it begins; clean: the model's first answer in it.

    image: which image, for a sampler that takes them one by one, else 0. moved: root mean square
    of what the step changed; ratio: moved over that of the step before, None for the first.
    """

    step: int
    image: int
    sigma: float
    log_snr: float
    model_calls: int
    seconds: float
    latent: Spread
    clean: Spread
    moved: float
    ratio: float | None


@dataclass(frozen=True)
class Report:
    """A whole run. facts: what else is known of it, such as sampler and schedule.

    seconds and model_seconds: of the run and of its model calls. memory: bytes, and memory_kind
    what they count; None where nobody counts.
    """

    steps: tuple[StepReport, ...]
    model_calls: int
    seconds: float
    model_seconds: float
    memory: int | None = None
    memory_kind: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """The report as JSON takes it; what is not finite is None."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    def json(self) -> str:
        """The report as JSON."""
        return json.dumps(self.plain(), indent=1)

    def table(self) -> str:
        """The report as text, one line a step under a few that sum it up."""
        head = ("step", "sigma", "log-SNR", "calls", "seconds", "moved", "ratio",
                "latent mean", "dev", "min", "max", "clean mean", "dev", "min", "max")
        images = any(step.image for step in self.steps)
        rows = [(("image", *head) if images else head)] + [
            ((str(s.image + 1),) if images else ()) + (
                str(s.step + 1), f"{s.sigma:.5g}", f"{s.log_snr:.4g}", str(s.model_calls),
                f"{s.seconds:.3f}", f"{s.moved:.4g}", "" if s.ratio is None else f"{s.ratio:.3g}",
                *(f"{v:.4g}" for part in (s.latent, s.clean) for v in asdict(part).values()),
            ) for s in self.steps
        ]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths)) for row in rows]
        return "\n".join([*self.summary(), "", *lines])

    def summary(self) -> list[str]:
        """A few lines: what ran, what it cost, where the time went."""
        said = " on ".join(str(self.facts[k]) for k in ("sampler", "schedule") if k in self.facts)
        share = self.model_seconds / self.seconds if self.seconds > 0 else 0.0
        lines = [
            f"{said + ': ' if said else ''}{len(self.steps)} steps, {self.model_calls} model calls",
            f"{self.seconds:.3f} s: {self.model_seconds:.3f} in the model ({share:.1%}), "
            f"{max(self.seconds - self.model_seconds, 0.0):.3f} outside it",
        ]
        if self.memory is not None:
            lines.append(f"memory: {self.memory / 2**20:.1f} MiB, {self.memory_kind}")
        if note := self.facts.get("note"):
            lines += str(note).splitlines()
        return lines


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Clock:
    """Moments of the device's own time on CUDA, elsewhere of this process."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"

    def now(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, start: Any, end: Any) -> float:
        """Seconds; on CUDA only once the device has come to ``end``."""
        seconds: float = start.elapsed_time(end) / 1000.0 if self.cuda else end - start
        return seconds


class Recorder:
    """Takes down one run over ``sigmas``; make it right before the run begins.

    Let the sampler ask ``timed(model)``, or pass every model call through ``call``; give it
    ``step`` as its callback, and ask ``finish`` with the last latent. Between two steps one copy
    of the latent is held.
    """

    def __init__(self, sigmas: Sequence[float], process: Process, device: torch.device) -> None:
        self.sigmas, self.process, self._clock = list(sigmas), process, _Clock(device)
        self._begun = self._clock.now()
        self._calls: list[tuple[Any, Any]] = []
        self._steps: list[tuple[int, int, int]] = []  # step, image, model calls before its own
        self._times: list[Any] = []
        self._numbers: list[torch.Tensor] = []  # of each step, nine on the device
        self._moved: list[torch.Tensor] = []
        self._before: torch.Tensor | None = None
        if self._clock.cuda:
            torch.cuda.reset_peak_memory_stats(device)

    def timed(self, model: Model) -> Timed:
        """``model`` with its time taken, otherwise as it is."""
        return Timed(self, model)

    def call(self, model: Callable[..., Answered], *args: Any, **kwargs: Any) -> Answered:
        """What any ``model`` answers, with its time taken."""
        start = self._clock.now()
        answer = model(*args, **kwargs)
        self._calls.append((start, self._clock.now()))
        return answer

    def step(self, info: dict[str, Any]) -> None:
        """A step is about to be taken: i, x and denoised as the host's callbacks have them.

        asked: whether the model was asked for it, see ``run``.

        It is taken to be called after the first answer in a step; of a sampler that calls back at
        another place the calls and seconds of a step are those from one callback to the next.
        """
        i, x, d = info["i"], info["x"], info["denoised"]
        image = self._steps[-1][1] if self._steps else 0
        again = bool(self._steps) and i <= self._steps[-1][0]  # the next image begins
        before, begun = 0, self._begun
        if self._before is not None:
            self._measure(self._before, None if again else x)
            before, begun = len(self._calls), self._clock.now()
            if info.get("asked", True):  # it has had one answer
                before, begun = before - 1, self._calls[-1][0]
        self._times.append(begun)
        self._steps.append((i, image + again, before))
        level = info.get("sigma", self._listed(i))  # a tensor, where a method chose its own
        level = level if torch.is_tensor(level) else x.new_full((), level)
        self._numbers.append(torch.stack([level.float().reshape(()), *_spread(x), *_spread(d)]))
        self._before = x.clone()  # a sampler may go on in the same memory

    def _listed(self, i: int) -> float:
        """The level of step i; NaN for a method with steps of its own that does not tell it."""
        return self.sigmas[i] if i < len(self.sigmas) else math.nan

    def _log_snr(self, sigma: float) -> float:
        """NaN where there is none."""
        try:
            return math.nan if math.isnan(sigma) else self.process.log_snr(sigma)
        except Undefined:
            return math.nan

    def _measure(self, before: torch.Tensor, x: torch.Tensor | None) -> None:
        """How far the last step went, from before to x; unknown without x, or at another size."""
        if x is None or x.shape != before.shape:
            moved = before.new_full((), math.nan)
        else:
            moved = _root_mean_square((x - before).float())
        self._moved.append(moved.float())

    def finish(
        self, x: torch.Tensor, memory: int | None = None, memory_kind: str = "", **facts: Any
    ) -> Report:
        """The report of the run that ended in x. memory: bytes known otherwise than from CUDA."""
        end = self._clock.now()
        if self._clock.cuda:
            torch.cuda.synchronize(x.device)
            memory = torch.cuda.max_memory_allocated(x.device)
            memory_kind = "the most that torch held on the GPU, the model included"
        if self._before is not None:
            self._measure(self._before, x)
        self._before = None
        numbers = torch.stack(self._numbers).tolist() if self._numbers else []
        moved = torch.stack(self._moved).tolist() if self._moved else []
        between = self._clock.between
        steps = []
        for n, (i, image, before) in enumerate(self._steps):
            last = n + 1 == len(self._steps)
            after = len(self._calls) if last else self._steps[n + 1][2]
            first = n == 0 or self._steps[n - 1][1] != image
            ratio = None if first or not moved[n - 1] else moved[n] / moved[n - 1]
            level, listed = numbers[n][0], self._listed(i)
            sigma = listed if math.isclose(level, listed, rel_tol=1e-5) else level
            log_snr = self._log_snr(sigma)
            steps.append(StepReport(
                i, image, sigma, log_snr, after - before,
                between(self._times[n], end if last else self._times[n + 1]),
                Spread(*numbers[n][1:5]), Spread(*numbers[n][5:]), moved[n], ratio,
            ))
        return Report(
            tuple(steps), len(self._calls), between(self._begun, end),
            sum(between(*call) for call in self._calls), memory, memory_kind, facts,
        )


def _spread(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The four numbers of ``Spread``, on the tensor's device; in passes that are fast on a CPU."""
    tensor = tensor.float()
    mean = tensor.mean()
    return [mean, _root_mean_square(tensor - mean), *torch.aminmax(tensor)]


def _root_mean_square(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor.flatten()
    return torch.dot(flat, flat).div(flat.numel()).sqrt()


class Timed(Model):
    """A model whose calls a recorder takes down; see ``Recorder.timed``."""

    def __init__(self, recorder: Recorder, model: Model) -> None:
        self._recorder, self._model = recorder, model
        self.computes_in = model.computes_in

    def __call__(self, x: torch.Tensor, level: float) -> Answer:
        return self._recorder.call(self._model, x, level)

    def some(self, images: Sequence[int]) -> Timed:
        return Timed(self._recorder, self._model.some(images))

    def alone(self, image: int) -> Timed:
        return Timed(self._recorder, self._model.alone(image))
