"""What a run does besides sampling: settings for memory, precision, interrupts and the report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import comfy.model_management
import torch

from ...engine.model import Model
from ...engine.report import Recorder, Report
from ...engine.run import OnStep, Plan
from ...engine.sparing import Spared, Sparing
from ...process import Process
from ...registry import Options, choice, option, option_set
from .result import Tell

Interrupted = comfy.model_management.InterruptProcessingException
SPLIT, STOP, KEEP = "split the batch", "stop", "keep the picture so far"
GO_ON, ANEW = "go on", "begin anew"
log = logging.getLogger("stride")


@option_set
class RunSettings(Options):
    """What the Run Settings node sets; the defaults are a run's without that node."""

    images_at_a_time: int = option(
        0, 0, 4096, "images that the model is asked for at once; 0: the whole batch"
    )
    out_of_memory: str = choice(
        SPLIT, (SPLIT, STOP), "free caches and ask for fewer images at once, or stop with the error"
    )
    when_interrupted: str = choice(
        STOP, (STOP, KEEP), "stop the prompt, or go on with the model's picture so far"
    )
    precision: str = choice(
        "float32", ("float32", "float64"),
        "in which the latent is kept between model calls, whatever the model computes in",
    )
    report: bool = option(False, help="take down a report even where its output is not connected")
    history: str = choice(
        GO_ON, (GO_ON, ANEW),
        "second node of a cut run: with the first one's model answers, or (another model) without",
    )


@dataclass
class Box:
    """Where a run leaves its report for the node that shows it.

    wanted: whether it is to be taken down at all.
    """

    wanted: bool = True
    report: Report | None = field(default=None, repr=False)

    def tell(self, **facts: Any) -> None:
        """Add what is known of the run to its report, if there is one."""
        if self.report is not None:
            self.report = replace(self.report, facts={**self.report.facts, **facts})


@dataclass(frozen=True, eq=False)
class Duties:
    """What a run does besides sampling, whosever sampler it is.

    settings: of Run Settings (Stride). box: where its report goes. warn: gets what a person should
    know before it. tell: gets its result; of a run itself nothing outlives it.
    """

    settings: RunSettings = RunSettings()
    box: Box | None = None
    tell: Tell = None
    warn: Callable[[str], object] | None = None


PLAIN = Duties()


class Watch:
    """The watch over one run: everything in it that depends on its ``Duties``.

    Its ``finish`` fills the box where a report is wanted. levels: the run's sigmas. callback: the
    host's, called once a step. bar: its progress on the console, where nobody else moves it.
    """

    def __init__(
        self, duties: Duties, levels: Sequence[float], process: Process, x: torch.Tensor,
        callback: OnStep | None, bar: Any = None,
    ) -> None:
        self.settings, self.box, self.warn = duties.settings, duties.box, duties.warn
        self._cautions: list[str] = []
        self.levels, self.device = levels, x.device
        self.images, self.callback, self.bar = x.shape[0], callback, bar
        wanted = self.box is not None and self.box.wanted
        self.recorder = Recorder(levels, process, x.device) if wanted else None
        self._spared = Spared()
        self._so_far: tuple[int, torch.Tensor] | None = None
        self._interrupted: int | None = None  # the step in which the run was stopped

    def plan(self, plan: Plan) -> Plan:
        """The plan of the run that is about to begin, looked at and told of."""
        if plan.caution is not None:
            self._cautions.append(f"warning: {plan.caution}")
            if self.warn is not None:
                self.warn(self._cautions[-1])
        return plan

    def over(self, model: Model) -> Model:
        """The model as the settings want it asked."""
        free = self._free if self.settings.out_of_memory == SPLIT else None
        model = Sparing(model, self.settings.images_at_a_time, free, self._spared)
        return model if self.recorder is None else self.recorder.timed(model)

    def state(self, x: torch.Tensor) -> torch.Tensor:
        """The latent in the precision in which the run keeps it."""
        if self.settings.precision == "float64":
            if x.device.type == "mps":
                raise ValueError("precision float64: Apple's GPUs have none; choose float32")
            return x.double()
        return x.float()

    def step(self, info: dict[str, Any]) -> None:
        """See ``engine.run.OnStep``. The host draws previews in float32."""
        if self.bar is not None:
            self.bar.update(info["i"] + 1 - self.bar.n)
        if self.recorder is not None:
            self.recorder.step(info)
        if self.settings.when_interrupted == KEEP and self.levels[-1] == 0:
            self._so_far = info["i"], info["denoised"]
        if self.callback is not None:
            if self.settings.precision != "float32":
                info = {k: v.float() if torch.is_tensor(v) else v for k, v in info.items()}
            self.callback(info)

    def so_far(self) -> torch.Tensor:
        """The model's last picture of an interrupted run; raises if it is not to be kept."""
        if self._so_far is None or self._so_far[1].shape[0] != self.images:
            raise
        self._interrupted, picture = self._so_far
        return picture

    def finish(self, x: torch.Tensor, plan: Plan | None = None) -> None:
        """The run is over, at x. plan: of one of ours."""
        self._so_far = None
        if self.recorder is None or self.box is None:
            return
        memory, kind = None, ""
        if plan is not None and plan.peak_memory is not None:
            held = plan.peak_memory + 1  # x is one
            memory = held * x.nbytes
            kind = f"the {held} latents that the sampler holds at most"
        self.box.report = self.recorder.finish(x, memory, kind)

    @property
    def notes(self) -> list[str]:
        """What the person at the node should know."""
        notes, spared = [*self._cautions], self._spared
        if spared.ran_out:
            often = "once" if spared.ran_out == 1 else f"{spared.ran_out} times"
            notes.append(f"memory ran out {often}: caches were freed")
        if spared.fewest is not None:
            images = "1 image" if spared.fewest == 1 else f"{spared.fewest} images"
            notes.append(f"the model was asked for {images} at a time")
        if self._interrupted is not None:
            notes.append(
                f"interrupted in step {self._interrupted + 1} of {len(self.levels) - 1}: this is "
                "the model's picture so far"
            )
        return notes

    def _free(self) -> None:
        """Give back what the host can spare: models not in use, and unused memory of torch."""
        log.warning("Stride: out of memory; freeing caches and asking again")
        management = comfy.model_management
        in_use = [m for m in management.current_loaded_models if getattr(m, "currently_used", True)]
        management.free_memory(1e30, self.device, keep_loaded=in_use)
        management.soft_empty_cache()
