"""A sampler that the caller drives call by call, in the shape of the diffusers schedulers.

>>> stepper = stride.stepper("heun", "karras", steps=20, prediction="v")
>>> x = noise * stepper.init_noise_sigma
>>> for t in stepper.timesteps:
...     out = unet(stepper.scale_model_input(x, t), t)
...     x = stepper.step(out, t, x).prev_sample

The sample is kept as the host keeps it: on VE models ``x = x0 + sigma eps`` whatever the sampler
(where diffusers' DDIM, DPM-Solver, UniPC ... keep ``x / sqrt(1 + sigma^2)``), on FLOW models
``x = (1 - sigma) x0 + sigma eps``. ``scale_model_input`` makes what the network was trained on.
A ``view`` (``view.py``) shows the same run as another program would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from ..process import FLOW, Process
from .model import Model
from .noise import KeyedNoise
from .run import Machine, Noise, Plan
from .table import Draw, Row, Table
from .view import Clock, Thousandths, View

_KEYED = partial(KeyedNoise, 0)

Output = torch.Tensor | tuple[torch.Tensor, ...]  # D, or what a network returns it in


def _clock_of(process: Process, model: Clock | None) -> Clock:
    """Whoever knows the times of a run; a VE model has to be given."""
    if process is FLOW:
        return Thousandths()
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
    the indices of its images; keyed by seed 0 and the index unless said. view: in place of model
    and prediction, where the sample is not on the host's scale. build: makes the table of the
    last of its levels, for a start in the middle.

    timesteps: the model's time at every call, [calls]; a method of two stages lists both.
    sigmas: the level of the sample at every call and, last, the one where the run ends.
    init_noise_sigma: factor of unit noise that makes the first sample. notes: what a config
    asked for and the run does otherwise.
    """

    def __init__(
        self, table: Plan, model: Clock | None = None, prediction: str = "eps", *,
        noise: Callable[[Sequence[int]], Noise] = _KEYED, view: View | None = None,
        build: Callable[[tuple[float, ...]], Plan] | None = None, notes: Sequence[str] = (),
    ) -> None:
        self.table, self.model, self.notes = _listed(table), model, tuple(notes)
        process = self.table.process
        self.view = view or View(process, _clock_of(process, model), prediction)
        self._noise, self._build = noise, build
        self._calls = _calls(self.table)  # of the whole run
        # Rows before the first call only lift x to a higher level: the sample starts there.
        if self.table.needed_after(self._calls[0] - 1):
            raise ValueError("this sampler needs the sample from before its first model call")
        rows = [self.table.rows[k] for k in self._calls]
        self._levels = [row.sigma for row in rows]
        times = self.view.timesteps
        if times is None:
            clock = self.view.clock
            times = torch.tensor([clock.timestep(s) for s in self._levels], dtype=torch.float32)
        self.timesteps, self._times = times, times.tolist()
        self.sigmas = torch.tensor([*self._levels, self.table.sigmas[-1]], dtype=torch.float64)
        self.init_noise_sigma = self.view.start(self._levels[0])
        self._steps = [row.step for row in rows]
        self._whole = self.table
        self.reset()

    def reset(self) -> None:
        """Go back to the first call, to sample once more."""
        self._start_at(0, self._whole)

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Start with a later call of the model, as img2img does: the loop is over
        ``timesteps[begin_index:]`` then, and the first sample ``add_noise`` at the first of them.

        A first call at a later one of ``timesteps`` starts there by itself. What is remembered
        of earlier steps begins anew. Raises ValueError for a call that no step begins with, and
        for samplers with other first steps (PLMS, PNDM).
        """
        k, steps = begin_index, self._steps
        if not 0 <= k < len(steps) or (k and steps[k] == steps[k - 1]):
            starts = [i for i, step in enumerate(steps) if not i or step != steps[i - 1]]
            raise ValueError(f"a run can begin with call {_words(starts)}, not with {k}")
        if k == 0:
            return self.reset()
        if self._build is None:
            raise ValueError("a stepper without `build` starts with its first call")
        table = _listed(self._build(self._whole.sigmas[steps[k] :]))
        asks = [table.rows[i].sigma for i in _calls(table)]
        if asks != self._levels[k:]:
            raise ValueError(
                "this sampler's first steps ask the model elsewhere than its later ones: it "
                "cannot begin in the middle of `timesteps`"
            )
        self._start_at(k, table)

    def _start_at(self, call: int, table: Table) -> None:
        self.table = table
        self._machine: Machine | None = None
        rows = enumerate(table.rows)
        self._rows: Iterator[tuple[int, Row]] = islice(rows, _calls(table)[0], None)
        self._due = next(self._rows)  # the row whose call comes next
        self._begun = self._done = call

    @property
    def prediction(self) -> str:
        """What the network answers: "eps", "v", "sample" or "flow"."""
        return self.view.prediction

    @property
    def process(self) -> Process:
        """VE or FLOW."""
        return self.table.process

    def scale_model_input(
        self, sample: torch.Tensor, timestep: float | torch.Tensor
    ) -> torch.Tensor:
        """What the network takes at this call: on VE models ``sample / sqrt(1 + sigma^2)``."""
        return _over(sample, self.view.shown(self._level(timestep)))

    def step(
        self, model_output: Output, timestep: float | torch.Tensor, sample: torch.Tensor,
        generator: torch.Generator | None = None, return_dict: bool = True,
    ) -> StepOutput:
        """Take the model's answer at ``timestep`` and return the sample for the next call.

        model_output: what the network answered to ``scale_model_input(sample, timestep)``; a
        CFG++ sampler takes the pair (guided, unconditional). sample: the sample itself, [B, ...];
        half precision is computed in float32. Calls come in the order of ``timesteps``.
        generator: in place of our noise, one draw of it a step, as in diffusers. return_dict: for
        pipelines of diffusers; the result is a tuple either way.
        Raises ValueError out of order, NotFinite for NaN or Inf.
        """
        sigma = self._level(timestep)
        outputs = model_output if isinstance(model_output, tuple) else (model_output,)
        x = sample.float() if sample.dtype in (torch.float16, torch.bfloat16) else sample
        scale = self.view.scale(sigma)
        x = x if scale == 1.0 else x * scale
        answer = self.view.answer(outputs, x, sigma, self._times[self._done], self.table.guided)
        machine = self._machine = self._machine or self._start(x)
        if generator is not None and self._ends_a_step():
            machine.noise = _drawn(machine.noise, generator, outputs[0])
        k, row = self._due
        kept = scale == 1.0 and self.table.keeps(("x", k), k)
        machine.x = x.clone() if kept else x
        machine.take(k, row, answer)
        self._done += 1
        level = row.sigma_next
        for due in self._rows:
            if due[1].calls:
                self._due = due
                break
            machine.take(*due)
            level = due[1].sigma_next
        if self._done == len(self._times):
            machine.guard.finish()
        x = _over(machine.x, self.view.scale(level))
        return StepOutput(x.to(sample.dtype), answer.denoised.to(sample.dtype))

    def add_noise(
        self, original: torch.Tensor, noise: torch.Tensor,
        timesteps: Sequence[float] | torch.Tensor,
    ) -> torch.Tensor:
        """``alpha x0 + sigma noise`` at a time for all images or at one for each [B]."""
        times = np.atleast_1d(np.asarray(torch.as_tensor(timesteps).cpu(), dtype=np.float64))
        levels = [self._sigma(float(t)) for t in times]
        scales = torch.tensor([self.view.scale(s) for s in levels], dtype=torch.float64)
        sigma = torch.tensor(levels, dtype=torch.float64) / scales
        alpha = torch.tensor([self.process.alpha(s) for s in levels], dtype=torch.float64) / scales
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

    def _ends_a_step(self) -> bool:
        """Whether the call that is due is the last one of its step."""
        k, steps = self._done, self._steps
        return k + 1 == len(steps) or steps[k + 1] != steps[k]

    def _sigma(self, time: float) -> float:
        """The level at one of our timesteps, or at any other time of the model."""
        if time in self._times:
            return self._levels[self._times.index(time)]
        return float(self.view.clock.sigma(np.array([time]))[0])

    def _level(self, timestep: float | torch.Tensor) -> float:
        """The sigma of the call that is due, if ``timestep`` is its time (to half precision)."""
        if self._done == len(self._times):
            raise ValueError("the run is at its end; reset() starts it again")
        due, given = self._times[self._done], float(torch.as_tensor(timestep).flatten()[0])
        if given != due and self._machine is None and self._build and self._begun == 0:
            due = self._begin_at(given)
        if abs(given - due) > 0.01 * max(abs(due), 1.0):
            raise ValueError(
                f"model call {self._done + 1} of {len(self)} is at timestep {due:.6g}, not at "
                f"{given:.6g}: calls come in the order of `timesteps`"
            )
        return self._levels[self._done]

    def _begin_at(self, time: float) -> float:
        """Start with the step that begins at ``time``, if one does; the time that is due then."""
        starts = [k for k, t in enumerate(self._times)
                  if t == time and (not k or self._steps[k] != self._steps[k - 1])]
        if starts:
            self.set_begin_index(starts[0])
        return float(self._times[self._done])


def _listed(plan: Plan) -> Table:
    """The plan as a table; one that is made on the way has no list of timesteps."""
    if not isinstance(plan, Table):
        raise ValueError("a sampler that chooses its own steps has no list of timesteps")
    if plan.grows:
        raise ValueError("a sampler that changes the latent's size cannot be driven by hand")
    if not _calls(plan):
        raise ValueError(f"no step of sigmas {[*plan.sigmas]} asks the model")
    return plan


def _calls(table: Table) -> list[int]:
    """The rows that ask the model."""
    return [k for k, row in enumerate(table.rows) if row.calls]


def _words(calls: list[int]) -> str:
    shown = ", ".join(map(str, calls[:6]))
    return shown + (f" ... {calls[-1]}" if len(calls) > 6 else "")


def _over(x: torch.Tensor, scale: float) -> torch.Tensor:
    return x if scale == 1.0 else x / scale


class _Drawn:
    """Noise out of a generator: one draw for every step, used or not, as diffusers draws it.

    A draw of an interval that was named before is the same noise again.
    """

    def __init__(self) -> None:
        self.fresh = torch.empty(0, dtype=torch.float32)
        self._named: dict[Draw, torch.Tensor] = {}

    def __call__(self, like: torch.Tensor, draw: Draw) -> torch.Tensor:
        name = draw._replace(weight=1.0)
        if name not in self._named:
            last = [*self._named.items()][-1:]  # a corrector takes its predictor's, nobody more
            self._named = {**dict(last), name: self.fresh}
        return self._named[name].to(like)

    def of(self, k: int) -> Noise:
        raise NotImplementedError("one generator draws the whole batch")


def _drawn(noise: Noise, generator: torch.Generator, out: torch.Tensor) -> Noise:
    """The generator's noise of the run with the draw of the coming step, shaped like ``out``."""
    drawn = noise if isinstance(noise, _Drawn) else _Drawn()
    drawn.fresh = torch.randn(
        out.shape, generator=generator, dtype=out.dtype, device=generator.device
    )
    return drawn
