"""A row of advice: a sampler and a schedule that are known to work, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Kinds of distillation that a person can name; a LoRA leaves no trace that could be read.
DISTILLED = ("lcm", "turbo", "lightning", "hyper", "dmd2", "distilled")
AS_IT_COMES = ("",)
# A whole model that was distilled: its steps and cfg tell it, whether or not a person names it.
WHOLE = ("", "turbo", "distilled")
# Schedules that only such models have: choosing one says what was loaded.
PRESETS = {
    "lcm_timesteps": "lcm", "sd_turbo": "turbo", "sdxl_lightning": "lightning",
    "hyper_sd": "hyper", "flux2_turbo": "turbo", "wan_lightning": "lightning",
    "qwen_turbo": "turbo",
}

Grade = Literal["measured", "authors", "official", "convention"]
# What each grade is to a person who looks at a node; the source stands in docs/compatibility.md.
SAYS: dict[Grade, str] = {
    "measured": "closest to the full-length picture where this pack measured it",
    "authors": "as its authors run it",
    "official": "as in ComfyUI's own workflow for it",
    "convention": "in common use",
}


@dataclass(frozen=True)
class Row:
    """A sampler and a schedule for a family, and where both are good.

    steps, cfg: lowest and highest. grade, source: who says so,

    * measured: our own benchmark; the source names the command and the page;
    * authors: the model's or the method's authors, in a paper, a model card or their code;
    * official: a workflow of ComfyUI's template browser, by its name (``devtools/templates.py``);
    * convention: what is in common use; "diffusers" is the pipeline of that name in 0.42.

    forms: the distillations that it is for, of DISTILLED; "" is the model as it comes. samplers,
    schedules: further ones that its source or an official workflow takes for the same form; the
    first schedule stands in where a preset has no levels for a number of steps. options: the
    schedule's, where they are not its defaults.
    """

    family: str
    sampler: str
    schedule: str
    steps: tuple[int, int]
    cfg: tuple[float, float]
    grade: Grade
    source: str
    forms: tuple[str, ...] = AS_IT_COMES
    samplers: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    options: tuple[tuple[str, float], ...] = ()

    def suits(self, sampler: str, schedule: str) -> bool:
        """Whether its source, or an official workflow, takes that pair."""
        return self.runs_by(sampler) and schedule in (self.schedule, *self.schedules)

    def runs_by(self, sampler: str) -> bool:
        """Whether it names the sampler; ``ddim`` and ``euler`` are one method without eta."""
        known = {self.sampler, *self.samplers}
        return sampler in known or (sampler in _SAME and not known.isdisjoint(_SAME))

    def holds(self, steps: int, cfg: float) -> bool:
        """Whether steps and cfg lie in its ranges."""
        return self.steps[0] <= steps <= self.steps[1] and self.cfg[0] <= cfg <= self.cfg[1]


_SAME = ("euler", "ddim")
