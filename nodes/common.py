"""Inputs and outputs that several nodes have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .. import host
from ..host import io

_UNTOLD = SimpleNamespace(unique_id=None, prompt=None, extra_pnginfo=None)
SEED_MAX = 0xFFFFFFFFFFFFFFFF
_SAMPLER_TIP = (
    "How the latent moves from one noise level to the next. Automatic takes what suits the model, "
    "its steps and cfg, and says why. Then ours, then the host's."
)
_SCHEDULE_TIP = (
    "Which noise levels are visited. Any schedule goes with any sampler. Automatic takes what "
    "suits the model, its steps and cfg, and says why."
)


def hidden(node: type[io.ComfyNode]) -> Any:
    """What the host tells a node beside its inputs: its id, the prompt, the picture's metadata.

    None of each where not the host calls it, but another pack or a script.
    """
    return node.hidden or _UNTOLD


def sampler_input() -> io.Combo.Input:
    """Automatic, ours and the host's, as they are when the host asks."""
    names = [host.AUTOMATIC, *host.sampler_names()]
    return io.Combo.Input("sampler", options=names, default="euler", tooltip=_SAMPLER_TIP)


def schedule_input() -> io.Combo.Input:
    """Automatic, ours and the host's, as they are when the host asks."""
    names = [host.AUTOMATIC, *host.schedule_names()]
    return io.Combo.Input("schedule", options=names, default="simple", tooltip=_SCHEDULE_TIP)


def steps_input() -> io.Int.Input:
    """1 to the schedule contract's 10 000."""
    return io.Int.Input(
        "steps", default=20, min=1, max=10000, tooltip="Number of steps from noise to picture."
    )


def denoise_input() -> io.Float.Input:
    """0 to 1, the host's rule: the end of a curve of steps / denoise."""
    return io.Float.Input(
        "denoise", default=1.0, min=0.0, max=1.0, step=0.01,
        tooltip="1 starts from pure noise; less keeps more of the latent that comes in.",
    )


def cfg_input() -> io.Float.Input:
    """0 to 100, as the host's KSampler has it."""
    return io.Float.Input(
        "cfg", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01,
        tooltip="Guidance: how strongly positive is preferred to negative; 1 is none.",
    )


def prompt_inputs() -> list[io.Input]:
    """Both prompts and the latent, in the host's order."""
    return [
        io.Conditioning.Input("positive", tooltip="What the picture should show."),
        io.Conditioning.Input("negative", tooltip="What it should not show."),
        io.Latent.Input("latent_image", tooltip="The latent to start from."),
    ]


def options_input() -> io.Input:
    """What other nodes set for the run: a ``host.Wishes``."""
    return host.options.OptionsType.Input(
        "options", optional=True,
        tooltip=(
            "From a Sampler (Stride) or Schedule (Stride) node: eta, order, rho and the like. "
            "For both, connect one of them to the other. Without it, defaults."
        ),
    )


def distilled_input() -> io.Combo.Input:
    """One of ``host.DISTILLED``."""
    return io.Combo.Input(
        "distilled", options=list(host.DISTILLED), default="none", optional=True,
        tooltip=(
            "What a model or LoRA made for a few steps is called; it cannot be seen from the "
            "model. Automatic and the warnings go by it; nothing else does."
        ),
    )


def report_output() -> io.Output:
    """The ``host.Box`` that a run fills."""
    return host.report.ReportType.Output(
        "report", display_name="report",
        tooltip="What the run did step by step, for a Report (Stride) node; costs nothing unused.",
    )


