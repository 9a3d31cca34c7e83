"""Writes docs/samplers.md from the registry: `python3 dev.py docs`. A test keeps it up to date."""

import sys
from dataclasses import fields
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
TARGET = REPO / "docs" / "samplers.md"

INTRO = """# The samplers

Any of them runs on any schedule, on VE models (SD1.5, SDXL, EDM, v-prediction) and on flow models
(SD3, Flux, Wan). This page is made from the registry by `python3 dev.py docs`.

* **order**: the published order of convergence of the noise-free form; "-" where no ODE is solved,
  or in steps of the method's own choice.
* **calls**: model calls of a 20-step run on the karras schedule.
* **memory**: latents remembered between two model calls, beside the latent itself.
* **noise**: what the name adds by default: none, independent draws, or increments of one Brownian
  path that is the same at every step count.

"""

OPTIONS_INTRO = """
## Options

Set on **Sampler (Stride)**, which shows those that its sampler has, or by keyword in the library.
Where presets differ, the default is that of the first sampler that has the option.

| option | default | accepts | what it does | samplers |
|---|---|---|---|---|
"""


def text(stride):
    """The page, as it should stand in docs/."""
    spec = stride.schedules.ModelSpec.discrete()
    sigmas = tuple(stride.schedules.get("karras").sigmas(spec, 20).tolist())
    lines = ["| name | also found as | order | calls | memory | noise | source |", "|---" * 7 + "|"]
    options = {}
    for entry in stride.samplers.REGISTRY:
        plan = entry.plan(sigmas, spec.process)
        calls = getattr(plan, "calls", "adaptive")
        memory = getattr(plan, "peak_memory", "-")
        noise = getattr(entry.options, "noise", "independent") if entry.stochastic else "none"
        others = ", ".join((entry.label, *entry.aliases))
        lines.append(
            f"| `{entry.name}` | {others} | {entry.order or '-'} | {calls} | {memory} | {noise} "
            f"| {entry.source} |"
        )
        for f in fields(entry.options):
            default = getattr(entry.options, f.name)
            options.setdefault(f.name, (f, default, []))[2].append(entry.name)
    page = INTRO + "\n".join(lines) + "\n" + OPTIONS_INTRO
    total = len(stride.samplers.REGISTRY.names)
    for name, (f, default, users) in options.items():
        whose = "all" if len(users) == total else ", ".join(users)
        whose = f"all but {total - len(users)}" if total > len(users) > total / 2 else whose
        page += f"| `{name}` | {default} | {accepts(f)} | {f.metadata['help']} | {whose} |\n"
    return page


def accepts(f):
    if "values" in f.metadata:
        return ", ".join(f.metadata["values"])
    if isinstance(f.default, bool):
        return "true, false"
    kind = "whole, " if isinstance(f.default, int) else ""
    return f"{kind}{f.metadata['low']} to {f.metadata['high']}"


def main():
    sys.path.insert(0, str(REPO / "benchmarks"))
    from hostside import load_pack

    TARGET.write_text(text(load_pack()), encoding="utf-8")
    print(f"wrote {TARGET.relative_to(REPO)}")


if __name__ == "__main__":
    main()
