"""A sampler and a schedule as separate parts, for the host's SamplerCustom family."""

from __future__ import annotations

from .. import host
from ..host import io
from .ksampler import denoise_input, sampler_input, schedule_input, steps_input


class StrideSampler(io.ComfyNode):
    """One of the samplers as a SAMPLER."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        sampler = sampler_input()
        sampler.extra_dict = {"stride_options": host.options.defaults()}  # for web/stride.js
        return io.Schema(
            node_id="StrideSampler",
            display_name="Sampler (Stride)",
            category="sampling/stride",
            description=(
                "A sampler with its options, for SamplerCustom and SamplerCustomAdvanced, or for "
                "the options input of the Stride KSamplers."
            ),
            inputs=[sampler, *host.options.inputs()],
            outputs=[
                io.Sampler.Output(tooltip="The sampler."),
                host.options.OptionsType.Output(
                    "options", display_name="options",
                    tooltip="Its options, for a KSampler (Stride) with that sampler."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, sampler: str | None = None):
        return host.problem_with(sampler=sampler) or True

    @classmethod
    def execute(cls, sampler, **options) -> io.NodeOutput:
        chosen = host.sampler_object(sampler, options)
        return io.NodeOutput(chosen, {"sampler": (sampler, options)})


class StrideSchedule(io.ComfyNode):
    """One of the schedules as SIGMAS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideSchedule",
            display_name="Schedule (Stride)",
            category="sampling/stride",
            description="The noise levels of a run: steps + 1 values that end in 0.",
            inputs=[
                io.Model.Input("model", tooltip="The model whose noise levels are used."),
                schedule_input(), steps_input(), denoise_input(),
            ],
            outputs=[io.Sigmas.Output(tooltip="Decreasing noise levels, the last one 0.")],
        )

    @classmethod
    def validate_inputs(cls, schedule: str | None = None):
        return host.problem_with(schedule=schedule) or True

    @classmethod
    def execute(cls, model, schedule, steps, denoise) -> io.NodeOutput:
        return io.NodeOutput(host.sigmas_for(model, schedule, steps, denoise))
