"""docs/compatibility.md, from the registries, advice/ and the errors in docs/accuracy.md."""

import re
import textwrap
from dataclasses import replace
from pathlib import Path

import official

ACCURACY = Path(__file__).resolve().parent.parent / "docs" / "accuracy.md"
STEPS = 20  # of the runs that the columns speak of

INTRO = """# What goes with what

Every sampler runs on every schedule and on every kind of model: that is a test. This page says what
is good, measured or with a source. It is made by `python3 dev.py docs` from the registries, from
`advice/` and from the errors in [accuracy.md](accuracy.md); nothing on it is an opinion of its own.

"""
SAMPLERS = """## Samplers

* **noise**: fresh noise by default. Nearly all deterministic ones take `eta` as well.
* **calls**: model calls of 20 steps on a VE model (karras) and on a flow model (simple). From
  sigma 1 a flow run's first step is of first order, which spares some methods of several stages
  calls.
* **ahead of Euler**: the fewest model calls (of 5, 8, 10, 15, 20) from which on its error is below
  Euler's with as many calls, each on its best schedule, at CFG 1 / 4 / 7.5 on the mixtures of
  accuracy.md. "never": not at 20 calls either. "-": not measured there, because it adds noise,
  chooses its own steps, or has no exact solution to be compared with (CFG++). Error is not image
  quality.
* **good for**: the models, with their steps, of the rows below that name it.

"""
SCHEDULES = """## Schedules

At 20 steps (the nearest that a preset has), on models as ComfyUI makes them.

* **yes**: from the model's largest noise level down. **own**: a table made for that model.
* **starts at s**: it begins below the model's largest level, at that sigma.
* **timesteps**, **mapped**: a table of another model, used by its timesteps, or mapped through
  log-SNR. **range**: a table of another model with the same range of noise.
* Presets of distilled models (those with a number of steps) are for these models alone, on whatever
  they can be put.

"""
ROWS = """## What `automatic` takes

The first row whose steps and cfg hold those of the run, else the nearest one. *measured* is this
pack's own benchmark, *authors* are those of the model or of the method, *official* is a workflow of
ComfyUI's template browser, by its name, *convention* is common use, with a place where it can be
seen. A distilled model with "-" is known by its steps and cfg, the others have to be named. Further
samplers and schedules are those that official workflows or the source take as well.

| model | distilled | steps | cfg | sampler | schedule | further ones | by | source |
|---|---|---|---|---|---|---|---|---|
"""
OFFICIAL = """## ComfyUI's own workflows

`python3 dev.py advice` reads the settings of those of ComfyUI's workflow templates that are
installed. None that was found is warned of. `automatic` takes a pair that a workflow for the same
model has, but here, where the authors of the model or of the method say otherwise:

| model | distilled | workflows: sampler, schedule, steps, cfg | `automatic` | by |
|---|---|---|---|---|
"""
RULES = """## What is warned of

On the node, after the run, which is never refused.

| what | source |
|---|---|
"""


def page(stride):
    """The page, as it should be."""
    return INTRO + samplers(stride) + "\n" + schedules(stride) + "\n" + advice(stride)


def samplers(stride):
    errors, good = measured(), recommended(stride)
    lines = [
        "| sampler | noise | calls, VE | calls, flow | ahead of Euler, eps | ahead of Euler, flow "
        "| good for |",
        "|---" * 7 + "|",
    ]
    for entry in stride.samplers.REGISTRY:
        noise = getattr(entry.options, "noise", "independent") if entry.stochastic else "none"
        calls = [calls_of(stride, entry, *run) for run in (
            ("karras", stride.schedules.ModelSpec.discrete()),
            ("simple", stride.schedules.ModelSpec.flow(3.0)),
        )]
        ahead = [
            " / ".join(ahead_of_euler(errors, entry.name, f"mixture, CFG {cfg}, {kind}")
                       for cfg in ("1", "4", "7.5"))
            for kind in ("eps", "flow")
        ]
        ahead = [text if set(text) - set("- /") else "-" for text in ahead]
        lines.append(
            f"| `{entry.name}` | {noise} | {calls[0]} | {calls[1]} | {ahead[0]} | {ahead[1]} "
            f"| {', '.join(good.get(entry.name, []))} |"
        )
    return SAMPLERS + "\n".join(lines) + "\n"


def calls_of(stride, entry, schedule, spec):
    sigmas = tuple(stride.schedules.get(schedule).sigmas(spec, STEPS).tolist())
    return getattr(entry.plan(sigmas, spec.process), "calls", "adaptive")


def measured():
    """{problem: {sampler: {model calls: median error}}} as the page of errors has them."""
    found = {}
    for section in ACCURACY.read_text(encoding="utf-8").split("\n## ")[1:]:
        table = found.setdefault(section.partition("\n")[0], {})
        budgets = re.search(r"\| sampler \|(.*)\|", section)
        budgets = [int(n) for n in re.findall(r"(\d+) calls", budgets[1])] if budgets else []
        for name, cells in re.findall(r"\n\| (\w+) \|(.*)\|", section):
            values = [cell.split()[0] if cell.strip() else None for cell in cells.split("|")]
            table[name] = {n: float(v) for n, v in zip(budgets, values) if v}
    return found


def ahead_of_euler(errors, name, problem):
    """The fewest calls from which on the sampler's error is below Euler's."""
    table = errors.get(problem, {})
    if name not in table or name == "euler":
        return "-"
    behind = [n for n, error in table[name].items() if error >= table["euler"][n]]
    beyond = [n for n in table[name] if n > max(behind, default=0)]
    return str(min(beyond)) if beyond else "never"


def recommended(stride):
    """{sampler: [model and steps of every row that names it]}."""
    found = {}
    for row in stride.advice.ROWS:
        if row.family not in stride.advice.UNKNOWN:
            where = f"{title(stride, row)} {span(row.steps)}"
            found.setdefault(row.sampler, []).append(where)
    return found


def title(stride, row):
    return f"{stride.advice.FAMILIES[row.family]} {'/'.join(filter(None, row.forms))}".strip()


def span(reach):
    low, high = reach
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def models(stride):
    """{what it is called: its noise levels}."""
    Spec = stride.schedules.ModelSpec
    return {
        "SD1.5": replace(Spec.discrete(), family="sd15"),
        "SDXL": replace(Spec.discrete(), family="sdxl"),
        "SDXL v, zero SNR": replace(Spec.discrete(zero_terminal_snr=True), family="sdxl"),
        "SVD": replace(Spec.svd(), family="svd"),
        "Cosmos": Spec.cosmos(),
        "SD3.5 (shift 3)": Spec.flow(3.0),
        "Flux": replace(Spec.flux(), family="flux"),
        "Wan (shift 8)": replace(Spec.flow(8.0), family="wan"),
    }


def schedules(stride):
    kinds = models(stride)
    lines = [f"| schedule | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for entry in stride.schedules.REGISTRY:
        steps = min(entry.counts or (STEPS,), key=lambda n: abs(n - STEPS))
        cells = " | ".join(fit(entry, spec, steps) for spec in kinds.values())
        preset = f" ({steps} steps)" if entry.counts else ""
        lines.append(f"| `{entry.name}`{preset} | {cells} |")
    return SCHEDULES + "\n".join(lines) + "\n"


def fit(entry, spec, steps):
    """What a schedule is on a model, in a word or two."""
    note, found = entry.note(spec, steps) or "", []
    for part, word in (("timesteps", "timesteps"), ("log-SNR", "mapped"), ("same range", "range")):
        if part in note:
            found.append(word)
    by_size = "latent" in note  # the remark tells for which picture, and no model
    if entry.remark and not found and not by_size:
        found.append("own")
    first = float(entry.sigmas(spec, steps)[0])
    if first < 0.99 * spec.sigma_max:
        found.append(f"starts at {first:.3g}")
    return ", ".join(found) or "yes"


def advice(stride):
    text = ROWS
    for row in stride.advice.ROWS:
        any_ = row.family in stride.advice.UNKNOWN
        steps, cfg = ("any", "any") if any_ else (span(row.steps), span(row.cfg))
        options = ", ".join(f"{name} {value:g}" for name, value in row.options)
        text += (
            f"| {stride.advice.FAMILIES[row.family]} | {forms(row)} | {steps} | {cfg} "
            f"| `{row.sampler}` | `{row.schedule}`{options and f' ({options})'} "
            f"| {', '.join(f'`{name}`' for name in (*row.samplers, *row.schedules))} "
            f"| {row.grade} | {row.source} |\n"
        )
    return text + "\n" + workflows(stride) + "\n" + RULES + "".join(
        f"| {rule.name} | {rule.source} |\n" for rule in stride.advice.RULES
    )


def forms(row):
    """The distillations in words; nothing for a model as it comes."""
    return ", ".join(form or "-" for form in row.forms) if any(row.forms) else ""


def workflows(stride):
    found = official.recorded()
    names = {name for named in found.values() for name in named}
    text = OFFICIAL
    for family, form, theirs, row in official.differences(stride, found):
        said = "; ".join(
            f"{sampler}, {schedule}, {steps}, {cfg:g}" for steps, cfg, sampler, schedule in theirs
        )
        text += (
            f"| {stride.advice.FAMILIES[family]} | {form} | {said} "
            f"| `{row.sampler}`, `{row.schedule}` | {row.grade} |\n"
        )
    read = ", ".join(official.sources()).replace("comfyui_workflow_templates_", "")
    return text + "\n" + textwrap.fill(
        f"Found: {len(found)} different settings in {len(names)} workflows of the packages "
        f"comfyui_workflow_templates_* {read}.", 100,
    ) + "\n"
