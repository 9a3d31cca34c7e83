"""AUTOMATIC1111's webui 1.10.1: its samplers, its schedules, and how it read a pair of names.

Labels, aliases and defaults as its API lists them (GET /sdapi/v1/samplers and /schedulers), in its
order, which decides what an unknown name becomes and which suffix is taken off first. The rule of
``sampler_and_schedule`` is restated from its behaviour; ``tests/test_names.py`` has its answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# From this release on a sampler without a schedule means the sampler's own default, and pictures
# are stored with "Schedule type". Before, it meant Uniform, and the label held the schedule.
SCHEDULES_APART = (1, 9, 0)
AUTOMATIC = "Automatic"
SAME_SAMPLER, SAME_SCHEDULE = "Use same sampler", "Use same scheduler"
Chosen = tuple[str, Mapping[str, Any]]  # a name of ours and its options
UNIFORM: Chosen = ("uniform", {})


@dataclass(frozen=True)
class Sampler:
    """One row of its sampler table.

    schedule: the schedule (its name) that Automatic stands for, "" where the sampler has none;
    such defaults came with 1.9.0, before it meant Uniform (but for ``always_had_it``).
    ours, options: the same method here. automatic: the levels that Automatic makes, as a schedule
    of ours. own_levels: it runs on levels of its own, whatever schedule is chosen.
    discard_penultimate: it plans one step more and leaves out the level before the last.
    second_order: two model calls a step. brownian, uses_ensd: where its noise comes from.
    remark: what a person should know who takes the pair over without A1111's run mode.
    """

    label: str
    ours: str
    aliases: tuple[str, ...]
    schedule: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    automatic: Chosen = UNIFORM
    always_had_it: bool = False
    own_levels: bool = False
    discard_penultimate: bool = False
    second_order: bool = False
    brownian: bool = False
    uses_ensd: bool = False
    remark: str = ""


@dataclass(frozen=True)
class Schedule:
    """One row of its schedule table; ``ours`` is None for Automatic."""

    label: str
    name: str
    ours: str | None
    aliases: tuple[str, ...] = ()


def _karras(label: str, ours: str, *aliases: str, **facts: Any) -> Sampler:
    return Sampler(label, ours, aliases, "karras", automatic=("karras", {}), **facts)


def _exponential(label: str, ours: str, *aliases: str, **facts: Any) -> Sampler:
    curve: Chosen = ("exponential", {})
    return Sampler(label, ours, aliases, "exponential", automatic=curve, brownian=True, **facts)


def _timesteps(label: str, ours: str, *aliases: str, **facts: Any) -> Sampler:
    facts = {"automatic": ("ddim_uniform", {}), **facts}
    return Sampler(
        label, ours, aliases, own_levels=True,
        remark=f"A1111's {label} stops at its lowest timestep and never reaches sigma 0", **facts,
    )


SAMPLERS = (
    _karras("DPM++ 2M", "dpmpp_2m", "k_dpmpp_2m"),
    _karras("DPM++ SDE", "dpmpp_sde", "k_dpmpp_sde", second_order=True, brownian=True),
    _exponential("DPM++ 2M SDE", "dpmpp_2m_sde", "k_dpmpp_2m_sde"),
    _exponential("DPM++ 2M SDE Heun", "dpmpp_2m_sde_heun", "k_dpmpp_2m_sde_heun"),
    _karras(
        "DPM++ 2S a", "dpmpp_2s_ancestral", "k_dpmpp_2s_a", second_order=True, uses_ensd=True
    ),
    _exponential("DPM++ 3M SDE", "dpmpp_3m_sde", "k_dpmpp_3m_sde", discard_penultimate=True),
    Sampler("Euler a", "euler_ancestral", ("k_euler_a", "k_euler_ancestral"), uses_ensd=True),
    Sampler("Euler", "euler", ("k_euler",)),
    Sampler("LMS", "lms", ("k_lms",), options={"ending": "multistep"}),
    Sampler("Heun", "heun", ("k_heun",), second_order=True),
    _karras("DPM2", "dpm_2", "k_dpm_2", discard_penultimate=True, second_order=True),
    _karras(
        "DPM2 a", "dpm_2_ancestral", "k_dpm_2_a", discard_penultimate=True, second_order=True,
        uses_ensd=True,
    ),
    Sampler(
        "DPM fast", "dpm_fast", ("k_dpm_fast",), options={"eta": 1.0},
        automatic=("exponential", {}), own_levels=True, uses_ensd=True,
        remark="A1111's DPM fast stops at the model's smallest sigma, ours goes on to 0",
    ),
    Sampler(
        "DPM adaptive", "dpm_adaptive", ("k_dpm_ad",), options={"eta": 1.0}, uses_ensd=True,
        remark="the number of steps is not used, only the schedule's ends are",
    ),
    _karras(
        "Restart", "restart", "restart", second_order=True, always_had_it=True,
        remark="from 20 steps on A1111's Restart goes over to Karras whatever the schedule",
    ),
    _timesteps("DDIM", "ddim", "ddim"),
    _timesteps(
        "DDIM CFG++", "ddim_cfg_pp", "ddim_cfgpp",
    ),
    _timesteps("PLMS", "plms", "plms"),
    _timesteps(
        "UniPC", "uni_pc", "unipc", options={"lower_order_final": "always"},
        automatic=("sgm_uniform", {}),
    ),
    # Its denoiser knows every twentieth timestep, 19 to 999; 19 is this sigma.
    Sampler("LCM", "lcm", ("k_lcm",), automatic=("normal", {"sigma_min": 0.13445058465003967})),
)

SCHEDULES = (
    Schedule(AUTOMATIC, "automatic", None),
    Schedule("Uniform", "uniform", "uniform"),
    Schedule("Karras", "karras", "karras"),
    Schedule("Exponential", "exponential", "exponential"),
    Schedule("Polyexponential", "polyexponential", "polyexponential"),
    Schedule("SGM Uniform", "sgm_uniform", "sgm_uniform", ("SGMUniform",)),
    Schedule("KL Optimal", "kl_optimal", "kl_optimal_a1111"),
    Schedule("Align Your Steps", "align_your_steps", "align_your_steps_a1111"),
    Schedule("Simple", "simple", "simple"),
    Schedule("Normal", "normal", "normal"),
    Schedule("DDIM", "ddim", "ddim_uniform"),
    Schedule("Beta", "beta", "beta_a1111"),
)

# Aliases that only releases before 1.9.0 had: their labels held the schedule.
OLD_ALIASES = {
    "k_lms_ka": ("LMS", "Karras"),
    "k_dpm_2_ka": ("DPM2", "Karras"),
    "k_dpm_2_a_ka": ("DPM2 a", "Karras"),
    "k_dpmpp_2s_a_ka": ("DPM++ 2S a", "Karras"),
    "k_dpmpp_2m_ka": ("DPM++ 2M", "Karras"),
    "k_dpmpp_sde_ka": ("DPM++ SDE", "Karras"),
    "k_dpmpp_2m_sde_ka": ("DPM++ 2M SDE", "Karras"),
    "k_dpmpp_2m_sde_exp": ("DPM++ 2M SDE", "Exponential"),
    "k_dpmpp_2m_sde_heun_ka": ("DPM++ 2M SDE Heun", "Karras"),
    "k_dpmpp_2m_sde_heun_exp": ("DPM++ 2M SDE Heun", "Exponential"),
    "k_dpmpp_3m_sde_ka": ("DPM++ 3M SDE", "Karras"),
    "k_dpmpp_3m_sde_exp": ("DPM++ 3M SDE", "Exponential"),
}

BY_LABEL = {sampler.label: sampler for sampler in SAMPLERS}
BY_SCHEDULE_LABEL = {schedule.label: schedule for schedule in SCHEDULES}
_BY_NAME = {**{s.name: s for s in SCHEDULES}, **BY_SCHEDULE_LABEL}


def sampler_and_schedule(
    sampler: str | None, schedule: str | None, convert_automatic: bool = True
) -> tuple[str, str]:
    """The labels that 1.10.1 takes a pair of names for; it never refuses one.

    An unknown sampler becomes the first of the table, DPM++ 2M, and an unknown schedule Automatic.
    A schedule's label, name or alias at the end of the sampler's name, after one space, is taken
    off and wins over ``schedule``, case for case, one schedule after the other in the table's
    order: so "X SGM Uniform" loses "Uniform", and the unknown "X SGM" becomes DPM++ 2M.
    convert_automatic: a schedule that is the sampler's default becomes Automatic, as on paste and
    in the API; a run leaves it.
    """
    found = _BY_NAME.get(schedule or "", SCHEDULES[0])
    name = sampler or SAMPLERS[0].label
    for row in SCHEDULES:
        for spelling in (row.label, row.name, *row.aliases):
            if name.endswith(f" {spelling}"):
                found, name = row, name.removesuffix(f" {spelling}")
                break
    known = BY_LABEL.get(name, SAMPLERS[0])
    if convert_automatic and known.schedule == found.name:
        found = SCHEDULES[0]
    return known.label, found.label


def hires(text: Mapping[str, Any]) -> tuple[str, str]:
    """The labels of the second pass that 1.10.1 makes of a pasted text's values.

    text: the values by key ("Sampler", "Schedule type", "Hires sampler", "Hires schedule type").
    What equals the first pass's value *as it is written there* becomes "Use same ...".
    """
    base = text.get("Sampler"), text.get("Schedule type")
    same = SAME_SAMPLER, SAME_SCHEDULE
    said = (text.get("Hires sampler", same[0]), text.get("Hires schedule type", same[1]))
    name, curve = (first if own == word else own for own, word, first in zip(said, same, base))
    found = sampler_and_schedule(name, curve)
    sampler, schedule = (w if new == old else new for w, new, old in zip(same, found, base))
    return sampler, schedule


def automatic(sampler: str, version: str | None) -> Chosen:
    """The schedule of ours for its label without a schedule, in a text of that version."""
    row = BY_LABEL[sampler]
    had_none = row.schedule and not row.always_had_it and not schedule_is_apart(version)
    return UNIFORM if had_none else row.automatic


def ours(sampler: str, schedule: str) -> tuple[Chosen, Chosen]:
    """The sampler and the schedule of ours, with options, for a pair of its labels.

    A sampler that has levels of its own gets those whatever the schedule.
    """
    row = BY_LABEL[sampler]
    name = BY_SCHEDULE_LABEL[schedule].ours
    curve = row.automatic if name is None or row.own_levels else (name, {})
    return (row.ours, row.options), curve


def release(version: str | None) -> tuple[int, int, int] | None:
    """(1, 10, 1) of "v1.10.1", "1.9.0-RC" or a fork's "f2.0.1v1.10.1-..."; None if there is none.

    A fork's own number comes first in its text and A1111's, after a v, last. "1.10" is 1.10.0.
    """
    found = re.findall(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})", version or "")
    if not found and (short := re.fullmatch(r"v?(\d{1,4})\.(\d{1,4})", version or "")):
        found = [(*short.groups(), "0")]
    if not found:
        return None
    major, minor, patch = map(int, found[-1])
    return major, minor, patch


def schedule_is_apart(version: str | None) -> bool:
    """Whether a text of that version says its schedule apart from the sampler (1.9.0 on).

    A text without a version, or with one that is no release, that also has no "Schedule type" is
    older: since 1.9.0 every text has one.
    """
    return (release(version) or (0, 0, 0)) >= SCHEDULES_APART
