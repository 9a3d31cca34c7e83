"""A sampler that the caller drives call by call, in the shape of the diffusers schedulers.

>>> stepper = stride.stepper("heun", "karras", steps=20, prediction="v")
>>> x = noise * stepper.init_noise_sigma
>>> for t in stepper.timesteps:
...     out = unet(stepper.scale_model_input(x, t), t)
...     x = stepper.step(out, t, x).prev_sample

The sample is kept as the host keeps it: on VE models ``x = x0 + sigma eps`` whatever the sampler
(where diffusers' DDIM, DPM-Solver, UniPC ... keep ``x / sqrt(1 + sigma^2)``), on FLOW models
``x = (1 - sigma) x0 + sigma eps``. ``scale_model_input`` makes what the network was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch

from ..process import FLOW, Process
from ..registry import shown
from .model import Answer, Model
from .noise import KeyedNoise
from .run import Machine, Noise, Plan
from .table import Row, Table

FLOW_TIME = 1000.0  # the time of a flow model at sigma 1, as in diffusers
_SYNONYMS = {"epsilon": "eps", "v_prediction": "v", "flow_prediction": "flow"}
_KEYED = partial(KeyedNoise, 0)
_PREDICTIONS = {"VE": ("eps", "v", "sample"), "FLOW": ("flow", "sample")}

Output = torch.Tensor | tuple[torch.Tensor, ...]  # D, or what a network returns it in


class Clock(Protocol):
    """What is asked of a model; ``schedules.ModelSpec`` has it."""

    def timestep(self, sigma: float) -> float:
        """The model's time at a noise level."""

    def sigma(self, times: np.ndarray) -> np.ndarray:
        """The noise levels at times [k]."""


class _Thousandths:
    """The ``Clock`` of every flow model: its time is 1000 sigma."""

    def timestep(self, sigma: float) -> float:
        return FLOW_TIME * sigma

    def sigma(self, times: np.ndarray) -> np.ndarray:
        return times / FLOW_TIME


def _clock_of(process: Process, model: Clock | None) -> Clock:
    """Whoever knows the times of a run; a VE model has to be given."""
    if process is FLOW:
        return _Thousandths()
    if model is None:
        raise ValueError("a VE model's timesteps need the model (schedules.ModelSpec)")
    return model


class StepOutput(NamedTuple):
    """The sample for the next call of the model, and the clean latent that this call saw."""

    prev_sample: torch.Tensor
    pred_original_sample: torch.Tensor


class Stepper:
    """One run over a table, one ``step`` for every call of the model.

    table: the sampler's coefficients. model: the clock of a VE model (a flow model's time is
    1000 sigma). prediction: what the network answers: "eps", "v", "sample" (x0) or "flow", or
    the diffusers name of it. noise: makes the source of fresh noise for a batch, given
    the indices of its images; keyed by seed 0 and the index unless said.

    timesteps: the model's time at every call, float32 [calls]; a method of two stages lists both.
    sigmas: the level of the sample at every call and, last, the one where the run ends.
    init_noise_sigma: factor of unit noise that makes the first sample.
    """

    def __init__(
        self, table: Plan, model: Clock | None = None, prediction: str = "eps", *,
        noise: Callable[[Sequence[int]], Noise] = _KEYED,
    ) -> None:
        if not isinstance(table, Table):
            raise ValueError("a sampler that chooses its own steps has no list of timesteps")
        if table.grows:
            raise ValueError("a sampler that changes the latent's size cannot be driven by hand")
        self.table, self.model = table, model
        self.prediction = _SYNONYMS.get(prediction, prediction)
        accepted = _PREDICTIONS[self.process.name]
        if self.prediction not in accepted:
            raise ValueError(
                f"prediction {shown(prediction)} does not fit a {self.process.name} model; "
                f"accepted: {', '.join(accepted)}"
            )
        self._clock = _clock_of(self.process, model)
        self._noise = noise
        asked = [k for k, row in enumerate(table.rows) if row.calls]
        if not asked:
            raise ValueError(f"no step of sigmas {[*table.sigmas]} asks the model")
        # Rows before the first call only lift x to a higher level: the sample starts there.
        self._first = asked[0]
        if table.needed_after(self._first - 1):
            raise ValueError("this sampler needs the sample from before its first model call")
        levels = [table.rows[k].sigma for k in asked]
        self.timesteps = torch.tensor([self._time(s) for s in levels], dtype=torch.float32)
        self.sigmas = torch.tensor([*levels, table.sigmas[-1]], dtype=torch.float64)
        top = levels[0]
        self.init_noise_sigma = top if self.process is FLOW else math.hypot(1.0, top)
        self._times, self._levels = self.timesteps.tolist(), levels
        self.reset()

    def reset(self) -> None:
        """Go back to the first call, to sample once more."""
        self._machine: Machine | None = None
        rows = enumerate(self.table.rows)
        self._rows: Iterator[tuple[int, Row]] = islice(rows, self._first, None)
        self._due = next(self._rows)  # the row whose call comes next
        self._done = 0

    @property
    def process(self) -> Process:
        """VE or FLOW."""
        return self.table.process

    def scale_model_input(
        self, sample: torch.Tensor, timestep: float | torch.Tensor
    ) -> torch.Tensor:
        """What the network takes at this call: on VE models ``sample / sqrt(1 + sigma^2)``."""
        sigma = self._level(timestep)
        return sample if self.process is FLOW else sample / math.hypot(1.0, sigma)

    def step(
        self, model_output: Output, timestep: float | torch.Tensor, sample: torch.Tensor
    ) -> StepOutput:
        """Take the model's answer at ``timestep`` and return the sample for the next call.

        model_output: what the network answered to ``scale_model_input(sample, timestep)``; a
        CFG++ sampler takes the pair (guided, unconditional). sample: the sample itself, [B, ...];
        half precision is computed in float32. Calls come in the order of ``timesteps``.
        Raises ValueError out of order, NotFinite for NaN or Inf.
        """
        sigma = self._level(timestep)
        x = sample.float() if sample.dtype in (torch.float16, torch.bfloat16) else sample
        outputs = model_output if isinstance(model_output, tuple) else (model_output,)
        d, *others = (self._denoised(out, x, sigma) for out in outputs)
        answer = Answer(d, others[0] if others else None)
        machine = self._machine = self._machine or self._start(x)
        k, row = self._due
        machine.x = x.clone() if self.table.keeps(("x", k), k) else x
        machine.take(k, row, answer)
        self._done += 1
        for due in self._rows:
            if due[1].calls:
                self._due = due
                break
            machine.take(*due)
        if self._done == len(self._times):
            machine.guard.finish()
        return StepOutput(machine.x.to(sample.dtype), answer.denoised.to(sample.dtype))

    def add_noise(
        self, original: torch.Tensor, noise: torch.Tensor,
        timesteps: Sequence[float] | torch.Tensor,
    ) -> torch.Tensor:
        """``alpha x0 + sigma noise`` at a time for all images or at one for each [B]."""
        times = np.atleast_1d(np.asarray(torch.as_tensor(timesteps).cpu(), dtype=np.float64))
        levels = [self._sigma(float(t)) for t in times]
        sigma = torch.tensor(levels, dtype=torch.float64)
        alpha = torch.tensor([self.process.alpha(s) for s in levels], dtype=torch.float64)
        shape = (-1,) + (1,) * (original.ndim - 1)
        alpha, sigma = (t.to(original).reshape(shape) for t in (alpha, sigma))
        return alpha * original + sigma * noise.to(original)

    def __len__(self) -> int:
        """Model calls of the run."""
        return len(self._times)

    # -----------------------------------------------------------------------------------------

    def _start(self, x: torch.Tensor) -> Machine:
        noise = self._noise(range(x.shape[0]))
        return Machine(self.table, 0, 0, Model(), noise, x, {}, None)  # the caller asks the model

    def _denoised(self, out: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
        out = out.to(x)
        if self.prediction == "sample":
            return out.clone()  # what is remembered must not be the caller's buffer
        if self.prediction == "v":  # of x / r = x0 / r + (sigma / r) eps, r = sqrt(1 + sigma^2)
            r = math.hypot(1.0, sigma)
            return x / r**2 - out * (sigma / r)
        return x - sigma * out  # eps on VE, velocity on FLOW

    def _time(self, sigma: float) -> float:
        return self._clock.timestep(sigma)

    def _sigma(self, time: float) -> float:
        """The level at one of our timesteps, or at any other time of the model."""
        if time in self._times:
            return self._levels[self._times.index(time)]
        return float(self._clock.sigma(np.array([time]))[0])

    def _level(self, timestep: float | torch.Tensor) -> float:
        """The sigma of the call that is due, if ``timestep`` is its time (to half precision)."""
        if self._done == len(self._times):
            raise ValueError("the run is at its end; reset() starts it again")
        due, given = self._times[self._done], float(torch.as_tensor(timestep).flatten()[0])
        if abs(given - due) > 0.01 * max(abs(due), 1.0):
            raise ValueError(
                f"model call {self._done + 1} of {len(self)} is at timestep {due:.6g}, not at "
                f"{given:.6g}: calls come in the order of `timesteps`"
            )
        return self._levels[self._done]
