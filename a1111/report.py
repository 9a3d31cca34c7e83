"""What was read of a picture, as lines that a person reads on the node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .generation import Generation, Pass
from .settings import DEFAULT

_MOST = 40  # lines of what could not be carried over


def report(generation: Generation, source: str) -> str:
    """source: where it was read from. Any text can be encoded as UTF-8."""
    first, hires = generation.first, generation.hires
    lines = [
        f"Read from {source}.", _line(first) + f", cfg {generation.cfg:g}, seed {generation.seed}, "
        f"{generation.width} x {generation.height}",
    ]
    if first.denoise < 1:
        lines.append(f"denoise {first.denoise:g}")
    if generation.clip_skip > 1:
        lines.append(f"clip skip {generation.clip_skip}")
    if hires.denoise > 0:
        lines.append(f"Second pass: {_line(hires)}, {generation.scale:g} times the size, denoise "
                     f"{hires.denoise:g}")
    if generation.a1111 is not None:
        changed = {k: v for k, v in vars(generation.a1111).items() if v != getattr(DEFAULT, k)}
        lines.append(f"Run by A1111's rules: {_listed(changed) or 'its defaults'}")
    elif options := {**first.options, **first.schedule_options}:
        lines.append(f"Options: {_listed(options)}")
    if generation.silent:
        lines.append(f"Not said there, put in: {', '.join(generation.silent)}")
    if notes := generation.notes:
        more = [f"... and {len(notes) - _MOST} more"] if len(notes) > _MOST else []
        lines += ["To know, and what was not carried over:",
                  *(f"- {note}" for note in notes[:_MOST]), *more]
    return "\n".join(lines).encode("utf-8", "replace").decode()


def _line(run: Pass) -> str:
    return f"{run.sampler} on {run.schedule}, {run.steps} steps"


def _listed(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())
