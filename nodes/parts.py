"""A sampler and a schedule as separate parts, for the host's SamplerCustom family."""

from __future__ import annotations

from typing import Any

from .. import host
from ..host import io
from .common import denoise_input, hidden, sampler_input, schedule_input, steps_input


class StrideSampler(io.ComfyNode):
    """One of the samplers as a SAMPLER."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        sampler = sampler_input()
        sampler.extra_dict = {"stride_options": host.options.defaults("sampler")}  # for web/
        return io.Schema(
            node_id="StrideSampler",
            display_name="Sampler (Stride)",
            category="sampling/stride",
            description=(
                "A sampler with its options, for SamplerCustom and SamplerCustomAdvanced, or for "
                "the options input of the Stride KSamplers."
            ),
            inputs=[sampler, *host.options.inputs("sampler"), host.options.passed_on()],
            outputs=[
                io.Sampler.Output(tooltip="The sampler."),
                host.options.OptionsType.Output(
                    "options_out", display_name="options",
                    tooltip="Its options, for a KSampler (Stride) with that sampler.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, sampler: str | None = None) -> bool | str:
        """True, or why the name cannot be meant; None: linked, not known yet."""
        return host.told(host.choice.check, sampler)

    @classmethod
    def execute(
        cls, sampler: str, options: host.Wishes | None = None, **chosen: Any
    ) -> io.NodeOutput:
        """(SAMPLER, options); chosen: the sampler's own, which raise ValueError if it has none."""
        held, wish = host.choice.wishes(options), host.choice.wish("sampler", sampler, chosen)
        duties = host.Duties(held.settings or host.RunSettings())
        made = host.sampler_of(wish, duties, hidden(cls).unique_id)
        return io.NodeOutput(made, held.joined(wish))


class StrideSchedule(io.ComfyNode):
    """One of the schedules as SIGMAS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        schedule = schedule_input()
        schedule.extra_dict = {  # for web/
            "stride_options": host.options.defaults("schedule"),
            "stride_models": host.kinds.listing(),
        }
        return io.Schema(
            node_id="StrideSchedule",
            display_name="Schedule (Stride)",
            category="sampling/stride",
            description=(
                "The noise levels of a run: steps + 1 values that end in 0, drawn as they are "
                "changed. For SamplerCustom and SamplerCustomAdvanced; the options output is for "
                "the Stride KSamplers."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The model whose noise levels are used."),
                schedule, steps_input(), denoise_input(), *host.options.inputs("schedule"),
                host.options.passed_on(),
                io.Latent.Input(
                    "latent", optional=True,
                    tooltip=(
                        "The latent to be drawn on, for the schedules that go by its size: Flux 2, "
                        "Flux Shift, LTXV, Logit-normal."
                    ),
                ),
            ],
            outputs=[
                io.Sigmas.Output(tooltip="Decreasing noise levels, the last one 0."),
                host.options.OptionsType.Output(
                    "options_out", display_name="options",
                    tooltip=(
                        "Its options, for a KSampler (Stride) with that schedule, which keeps "
                        "its own steps and denoise."
                    ),
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, schedule: str | None = None) -> bool | str:
        """True, or why the name cannot be meant; None: linked, not known yet."""
        return host.told(host.choice.check, None, schedule)

    @classmethod
    def execute(
        cls, model: Any, schedule: str, steps: int, denoise: float,
        options: host.Wishes | None = None, latent: dict[str, Any] | None = None, **chosen: Any,
    ) -> io.NodeOutput:
        """(SIGMAS [steps + 1], options); chosen: the schedule's own. latent: for its size.

        Raises ValueError for an option that it has not, and for steps that it is not made for.
        """
        held, wish = host.choice.wishes(options), host.choice.wish("schedule", schedule, chosen)
        named, why = host.choice.schedule_for(model, wish, steps, denoise)
        canvas = host.canvas_for(model, latent)
        sigmas = host.sigmas_for(model, named, steps, denoise, canvas=canvas)
        if notes := [*filter(None, (why, host.note_on(model, named, steps, canvas)))]:
            host.show_on_node(hidden(cls).unique_id, "\n".join(notes))
        return io.NodeOutput(
            sigmas, held.joined(wish), ui={"stride": [host.kinds.remember(model, canvas)]}
        )
