"""The two KSampler nodes: the host's own inputs, with sampler and schedule apart."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from .. import host
from ..host import io
from .common import (
    SEED_MAX,
    cfg_input,
    denoise_input,
    distilled_input,
    hidden,
    options_input,
    prompt_inputs,
    report_output,
    sampler_input,
    schedule_input,
    steps_input,
)

_SWITCH = ("enable", "disable")


def _run(
    cls: type[io.ComfyNode], model: Any, asked: host.Asked, positive: Any, negative: Any,
    latent: dict[str, Any],
) -> io.NodeOutput:
    """The run, its report on the node, and the report's output where somebody wants it."""
    told = hidden(cls)
    wanted = (
        asked.choice.settings.report or told.prompt is None
        or _connected(told.prompt, told.unique_id, 1)
    )
    box = host.Box(wanted)
    asked = replace(asked, box=box, warn=partial(host.show_on_node, told.unique_id))
    out, report = host.ksample(model, asked, positive, negative, latent)
    return io.NodeOutput(out, box, ui=host.show_report(told.unique_id, report))


def _connected(prompt: dict[str, Any], node_id: str, slot: int) -> bool:
    """Whether an output of a node is connected in the prompt."""
    for node in prompt.values():
        for value in node.get("inputs", {}).values():
            if isinstance(value, list) and value and [str(value[0]), *value[1:]] == [node_id, slot]:
                return True
    return False


class StrideKSampler(io.ComfyNode):
    """The host's KSampler, run by our engine."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideKSampler",
            display_name="KSampler (Stride)",
            category="sampling/stride",
            description="Denoises a latent with any sampler on any schedule. Shows its cost.",
            inputs=[
                io.Model.Input("model", tooltip="The model that predicts the clean latent."),
                io.Int.Input(
                    "seed", default=0, min=0, max=SEED_MAX, control_after_generate=True,
                    tooltip="Fixes all noise of the run.",
                ),
                steps_input(), cfg_input(), sampler_input(), schedule_input(),
                *prompt_inputs(), denoise_input(), options_input(), distilled_input(),
            ],
            outputs=[io.Latent.Output(tooltip="The denoised latent."), report_output()],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
        )

    @classmethod
    def validate_inputs(
        cls, sampler: str | None = None, schedule: str | None = None
    ) -> bool | str:
        """True, or why the names cannot be meant; None is a name that is linked, not known yet."""
        return host.told(host.choice.check, sampler, schedule)

    @classmethod
    def execute(
        cls, model: Any, seed: int, steps: int, cfg: float, sampler: str, schedule: str,
        positive: Any, negative: Any, latent_image: dict[str, Any], denoise: float,
        options: host.Wishes | None = None, distilled: str = "none",
    ) -> io.NodeOutput:
        """(LATENT, report), as ``host.ksample`` makes them.

        Raises ValueError for names, options and settings that do not go together.
        """
        choice = host.choose(
            model, steps, cfg, sampler, schedule, options, distilled, denoise
        )
        asked = host.Asked(seed, steps, cfg, choice, denoise)
        return _run(cls, model, asked, positive, negative, latent_image)


class StrideKSamplerAdvanced(io.ComfyNode):
    """The host's KSampler (Advanced); two of them chained equal one, bit for bit."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideKSamplerAdvanced",
            display_name="KSampler Advanced (Stride)",
            category="sampling/stride",
            description=(
                "Runs a part of the steps. Two in a row give exactly what one would: the latent "
                "carries the run's history to the next node."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The model that predicts the clean latent."),
                io.Combo.Input(
                    "add_noise", options=list(_SWITCH), default="enable",
                    tooltip="Off for a latent that already carries its noise.",
                ),
                io.Int.Input(
                    "noise_seed", default=0, min=0, max=SEED_MAX, control_after_generate=True,
                    tooltip="Fixes all noise of the run; use the same in chained nodes.",
                ),
                steps_input(), cfg_input(), sampler_input(), schedule_input(),
                *prompt_inputs(),
                io.Int.Input(
                    "start_at_step", default=0, min=0, max=10000,
                    tooltip="First step of the schedule that this node takes.",
                ),
                io.Int.Input(
                    "end_at_step", default=10000, min=0, max=10000,
                    tooltip="Step of the schedule before which this node stops.",
                ),
                io.Combo.Input(
                    "return_with_leftover_noise", options=list(_SWITCH[::-1]),
                    default="disable",
                    tooltip="On to hand the noisy latent to another node; off to finish it here.",
                ),
                options_input(), distilled_input(),
            ],
            outputs=[
                io.Latent.Output(tooltip="The latent, with the run's history if it stopped."),
                report_output(),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
        )

    @classmethod
    def validate_inputs(
        cls, sampler: str | None = None, schedule: str | None = None
    ) -> bool | str:
        """True, or why the names cannot be meant; None is a name that is linked, not known yet."""
        return host.told(host.choice.check, sampler, schedule)

    @classmethod
    def execute(
        cls, model: Any, add_noise: str, noise_seed: int, steps: int, cfg: float, sampler: str,
        schedule: str, positive: Any, negative: Any, latent_image: dict[str, Any],
        start_at_step: int, end_at_step: int, return_with_leftover_noise: str,
        options: host.Wishes | None = None, distilled: str = "none",
    ) -> io.NodeOutput:
        """(LATENT, report) of the steps from start_at_step to before end_at_step, from 0.

        add_noise, return_with_leftover_noise: "enable" or "disable". Raises ValueError as the
        KSampler does.
        """
        choice = host.choose(model, steps, cfg, sampler, schedule, options, distilled)
        noise, leftover = (
            host.choice.one_of(name, value, _SWITCH) == "enable" for name, value in
            (("add_noise", add_noise), ("return_with_leftover_noise", return_with_leftover_noise))
        )
        asked = host.Asked(
            noise_seed, steps, cfg, choice, add_noise=noise,
            window=(start_at_step, end_at_step), leftover=leftover,
        )
        return _run(cls, model, asked, positive, negative, latent_image)
