"""What is known to go wrong: one rule for each, with its source. None of them stops a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .choose import in_order, nearest, rows_for, span
from .families import FAMILIES, UNKNOWN, WIDE, Model
from .row import PRESETS

_MEASURED = "`dev.py bench advice`, docs/accuracy.md, 'What the warnings are about'"
_RENOISING = ("lcm", "tcd")  # jump to the answer and add new noise: for consistency models
ANSWERS = {"plms": 4, "pndm": 4}  # answers that a method combines where it has no option for them
# Adams methods in sigma: on VE models three answers do them no harm at few steps.
_ADAMS = ("adams_2", "adams_3", "lms", "ipndm_v")


@dataclass(frozen=True)
class Run:
    """What the rules look at.

    steps: of the whole schedule. sampler, schedule: names as the registries have them. distilled:
    named by the person, or "". answers: model answers that a multistep sampler combines in a step,
    1 for the others. start: the first noise level of the whole schedule, None where nobody asked.
    """

    model: Model
    steps: int
    cfg: float
    sampler: str
    schedule: str
    distilled: str = ""
    answers: int = 1
    cfg_pp: bool = False
    start: float | None = None

    @property
    def known_as(self) -> str:
        """How the model was distilled: as named, or as the schedule tells."""
        return self.distilled or PRESETS.get(self.schedule, "")

    @property
    def spared(self) -> bool:
        """Whether its method is one that long steps under strong guidance harm less."""
        return not self.model.flow and self.sampler in _ADAMS

    @property
    def in_order(self) -> bool:
        """Whether it is just what some form of the model is made for."""
        return in_order(self.model, self.steps, self.cfg, self.sampler, self.schedule)


@dataclass(frozen=True)
class Rule:
    """name: what is warned of, for lists. source: who says so. check: a sentence, or None."""

    name: str
    source: str
    check: Callable[[Run], str | None]


def high_order(run: Run) -> str | None:
    """Three and more answers amplify what strong guidance does to a few long steps."""
    if run.answers < 3 or run.steps >= 12 or run.cfg < 5 or run.spared:
        return None
    better = "euler" if run.model.flow else "adams_2 or euler"
    return (
        f"{run.sampler} combines {run.answers} answers, which has larger errors at cfg "
        f"{run.cfg:g} and {run.steps} steps; {better} has smaller ones"
    )


def wide_range(run: Run) -> str | None:
    """Karras' spacing wastes its steps on a range that holds no picture yet."""
    if run.model.flow or run.model.sigma_max <= WIDE or run.schedule != "karras":
        return None
    return (
        f"{run.schedule} spends most steps above sigma 15 where the noise goes up to "
        f"{run.model.sigma_max:.0f}; beta or trailing has smaller errors"
    )


def late_start(run: Run) -> str | None:
    """A zero-terminal-SNR model has learned to start from pure noise, at its last timestep."""
    top = run.model.sigma_max
    if run.model.flow or top <= WIDE or run.start is None or run.start > 0.9 * top:
        return None
    return (
        f"{run.schedule} starts at sigma {run.start:.4g}, and this zero-terminal-SNR model was "
        f"made to start at {top:.0f}; beta or trailing does"
    )


def distilled_pair(run: Run) -> str | None:
    """A distilled model knows its own noise levels, its own way between them and no guidance."""
    kind = run.known_as
    rows = rows_for(run.model, kind) if kind else []
    if not kind:
        return None
    if not rows:
        return f"nothing is known of '{kind}' on {FAMILIES[run.model.kind]}"
    row = nearest(rows, run.steps, run.cfg)
    wrong = []
    if run.schedule not in (row.schedule, *row.schedules):
        wrong.append(f"the schedule {row.schedule}, not {run.schedule}")
    if not row.runs_by(run.sampler):
        wrong.append(f"the sampler {row.sampler}, not {run.sampler}")
    if run.cfg > row.cfg[1]:
        wrong.append(f"cfg {span(row.cfg)}, not {run.cfg:g}")
    return f"'{kind}' models were made for {', '.join(wrong)}" if wrong else None


def doubled_guidance(run: Run) -> str | None:
    """Guidance on top of the guidance that was distilled into the model."""
    if not run.model.guided or run.cfg <= 1:
        return None
    return (
        f"this model has its guidance built in, and cfg {run.cfg:g} guides it once more at twice "
        "the cost; use cfg 1 and set the guidance in the prompt (FluxGuidance)"
    )


def renoising(run: Run) -> str | None:
    """A consistency sampler throws away what an ordinary model has drawn so far."""
    if run.sampler not in _RENOISING or run.known_as or run.in_order:
        return None
    if any(row.sampler in _RENOISING for row in rows_for(run.model)):
        return None
    return (
        f"{run.sampler} is for models distilled for it; if one is loaded, name it in 'distilled'"
    )


def strong_cfg_pp(run: Run) -> str | None:
    """CFG++ renoises with the unconditional answer; its scale goes from 0 to 1, cfg 1 to 2."""
    if not run.cfg_pp or run.cfg <= 2.5:
        return None
    return f"CFG++ is made for cfg 1 to 2, not {run.cfg:g}"


def overdriven(run: Run) -> str | None:
    """Each step goes cfg times the way that the prompt makes; a few long ones go too far."""
    most = run.steps * (3.0 if run.model.flow else 1.5 if run.spared else 1.0)
    if run.cfg_pp or run.cfg < 4 or run.cfg <= most:
        return None
    return (
        f"cfg {run.cfg:g} in {run.steps} steps goes too far: too much contrast, burnt colours; "
        f"take cfg {most:g} or less, or more steps"
    )


def far_outside(run: Run) -> str | None:
    """Steps or cfg less than half or more than twice of what is good for the family."""
    rows = rows_for(run.model, run.known_as)
    if run.model.kind in UNKNOWN or not rows or run.in_order:
        return None
    row = nearest(rows, run.steps, run.cfg)
    low, high = row.steps[0], max(r.steps[1] for r in rows)
    found = []
    if not low / 2 <= run.steps <= high * 2:
        found.append(f"{run.steps} steps; good are {span(row.steps)}")
    free = run.model.guided or run.cfg_pp  # other rules speak of these
    if run.cfg > 1 and not free and not row.cfg[0] / 2 <= run.cfg <= row.cfg[1] * 1.5:
        found.append(f"cfg {run.cfg:g}; good is {span(row.cfg)}")
    if run.cfg <= 1 and row.cfg[0] >= 2 and not free:
        found.append(
            "cfg 1 is no guidance; if a model or LoRA distilled for it is loaded, name it in "
            "'distilled'"
        )
    what = f"{FAMILIES[row.family]} {run.known_as}".strip()
    return f"far from what suits {what}: {'; '.join(found)}" if found else None


RULES = (
    Rule("three and more answers at few steps and high cfg", _MEASURED + "; diffusers' docs of "
         "DPMSolverMultistepScheduler: solver_order 2 for guided sampling", high_order),
    Rule("karras over a range of 4519", _MEASURED, wide_range),
    Rule("a late start of a zero-terminal-SNR model",
         "Lin et al. 2023, arXiv:2305.08891, section 3.3", late_start),
    Rule("a distilled model with another schedule, sampler or cfg",
         "the rows of distilled models", distilled_pair),
    Rule("cfg above 1 on a guidance-distilled model",
         "Meng et al. 2022, arXiv:2210.03142; black-forest-labs/flux, whose guidance is an input",
         doubled_guidance),
    Rule("a consistency sampler on an ordinary model",
         "Luo et al. 2023, arXiv:2310.04378, algorithm 1", renoising),
    Rule("CFG++ at the cfg of ordinary guidance",
         "Chung et al. 2024, arXiv:2406.08070, section 3", strong_cfg_pp),
    Rule("cfg above the number of steps (above 1.5 times of it with Adams methods on a VE model, "
         "above 3 times of it on a flow model)", _MEASURED, overdriven),
    Rule("steps or cfg far outside what suits the family", "the rows of the family", far_outside),
)


def warnings(run: Run) -> list[str]:
    """What is known to be bad about a run, a sentence each; usually nothing."""
    found = []
    for rule in RULES:
        if (sentence := rule.check(run)) is not None:
            found.append(sentence)
    return found
