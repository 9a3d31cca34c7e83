"""Writes the pages of docs/ that are made from the registries: `python3 dev.py docs`.

A test keeps the pages up to date; the pictures are drawn anew with them.
"""

import inspect
import sys
from pathlib import Path

import compatibility

REPO = Path(__file__).resolve().parent.parent
DOCS = REPO / "docs"

SAMPLERS = """# The samplers

Any of them runs on any schedule, on VE models (SD1.5, SDXL, EDM, v-prediction) and on flow models
(SD3, Flux, Wan). This page is made from the registry by `python3 dev.py docs`.

* **order**: the published order of convergence of the noise-free form; "-" where no ODE is solved
  or the method chooses its own steps.
* **calls**: model calls of a 20-step run on the karras schedule.
* **memory**: latents remembered between two model calls, beside the latent itself.
* **noise**: what the name adds by default: none, independent draws, or increments of one Brownian
  path that is the same at every step count.

"""
SAMPLER_OPTIONS = """
## Options

Set on **Sampler (Stride)**, which shows those that its sampler has, or by keyword in the library.
Where presets differ, the default is that of the first sampler that has the option.

"""
SCHEDULES = """# The schedules

A schedule is a curve from the model's largest noise level to 0. Any of them works with any sampler
and on any model: a run of n steps always has n + 1 values that fall and end in 0, from 1 to 10 000
steps. This page is made from the registry by `python3 dev.py docs`.

The pictures show log-SNR (0: as much noise as signal; higher is cleaner) at each of 20 steps, on
SD1.5 and on a flow model with shift 3. Steps lie close together where a curve is flat. A table that
was published for one family of models is put on another through log-SNR, and the node says so.

"""
SCHEDULE_OPTIONS = """
## Options

Set on **Schedule (Stride)**, which shows those that its schedule has, or by keyword in the library.

"""


def samplers_page(stride):
    """docs/samplers.md, as it should be."""
    spec = stride.schedules.ModelSpec.discrete()
    sigmas = tuple(stride.schedules.get("karras").sigmas(spec, 20).tolist())
    lines = ["| name | also found as | order | calls | memory | noise | source |", "|---" * 7 + "|"]
    for entry in stride.samplers.REGISTRY:
        plan = entry.plan(sigmas, spec.process)
        calls = getattr(plan, "calls", "adaptive")
        memory = "-" if plan.peak_memory is None else plan.peak_memory
        noise = getattr(entry.options, "noise", "independent") if entry.stochastic else "none"
        others = ", ".join((entry.label, *entry.aliases))
        lines.append(
            f"| `{entry.name}` | {others} | {entry.order or '-'} | {calls} | {memory} | {noise} "
            f"| {entry.source} |"
        )
    table = "\n".join(lines) + "\n"
    return SAMPLERS + table + SAMPLER_OPTIONS + options_table(stride.samplers.REGISTRY, "samplers")


def schedules_page(stride):
    """docs/schedules.md, as it should be."""
    page = SCHEDULES
    for family in stride.schedules.FAMILIES:
        name = family.__name__.rpartition(".")[2]
        page += f"## {' '.join(family.__doc__.split(chr(10) * 2)[0].split())}\n\n"
        page += f"![The curves of this family](curves/{name}.png)\n\n"
        page += "| name | also found as | what it is | source |\n|---|---|---|---|\n"
        for entry in family.SCHEDULES:
            others = ", ".join((entry.label, *entry.aliases))
            page += f"| `{entry.name}` | {others} | {what(stride, entry)} | {entry.source} |\n"
        page += "\n"
    return page.rstrip("\n") + "\n" + SCHEDULE_OPTIONS + options_table(
        stride.schedules.REGISTRY, "schedules"
    )


def what(stride, entry):
    """The first paragraph of the curve's docstring, the step counts and the models it is for."""
    text = " ".join((inspect.getdoc(entry.curve) or "").split("\n\n")[0].split())
    if entry.counts:
        counts = entry.counts
        first, last = counts[0], counts[-1]
        every = len(counts) > 2 and list(counts) == list(range(first, last + 1))
        text += f" Steps: {f'{first} to {last}' if every else ', '.join(map(str, counts))}."
    steps = max(entry.counts, default=10)
    made_for = {entry.note(spec, steps) for spec in (
        stride.schedules.ModelSpec.discrete(zero_terminal_snr=True),
        stride.schedules.ModelSpec.flow(5.0),
    )}
    notes = {note.split(";")[0] for note in made_for if note}
    text += "".join(f" {note[0].upper()}{note[1:]}." for note in sorted(notes))
    return text.strip().replace("|", "\\|").replace("``", "`")


def options_table(registry, users):
    """One row for each option: default, range, help and which entries have it."""
    options = {}
    for entry in registry:
        for option in entry.options.OPTIONS.values():
            found = options.setdefault((option.name, option.help), (option, entry, []))
            found[2].append(entry.name)
    page = f"| option | default | accepts | what it does | {users} |\n|---|---|---|---|---|\n"
    total = len(registry.names)
    for (name, explained), (option, first, names) in options.items():
        whose = "all" if len(names) == total else ", ".join(names)
        whose = f"all but {total - len(names)}" if total > len(names) > total / 2 else whose
        default = getattr(first.options, name)
        page += f"| `{name}` | {default} | {accepts(option)} | {explained} | {whose} |\n"
    return page


def accepts(option):
    if option.values:
        return ", ".join(option.values)
    if option.kind is bool:
        return "true, false"
    return f"{'whole, ' * (option.kind is int)}{option.low} to {option.high}"


PAGES = {
    "samplers.md": samplers_page, "schedules.md": schedules_page,
    "compatibility.md": compatibility.page,
}


def main():
    sys.path[:0] = [str(REPO / "benchmarks"), str(REPO / "devtools")]
    import differences
    import figures
    from hostside import load_host, load_pack

    stride, comfy = load_pack(), load_host()
    own = [name for name in comfy.samplers.SAMPLER_NAMES if not name.startswith("stride_")]
    (DOCS / "differences.md").write_text(differences.page(stride, comfy, own), encoding="utf-8")
    print("wrote docs/differences.md")
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(stride), encoding="utf-8")
        print(f"wrote docs/{name}")
    (DOCS / "curves").mkdir(exist_ok=True)
    for family in stride.schedules.FAMILIES:
        name = f"curves/{family.__name__.rpartition('.')[2]}.png"
        figures.curves(stride, family, DOCS / name)
        print(f"drew docs/{name}")


if __name__ == "__main__":
    main()
