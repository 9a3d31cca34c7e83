"""A sampler and a schedule as separate parts, for the host's SamplerCustom family."""

from __future__ import annotations

from .. import host
from ..host import io
from .ksampler import denoise_input, sampler_input, schedule_input, steps_input


class StrideSampler(io.ComfyNode):
    """One of the samplers as a SAMPLER."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideSampler",
            display_name="Sampler (Stride)",
            category="sampling/stride",
            description="A sampler for SamplerCustom and SamplerCustomAdvanced.",
            inputs=[sampler_input()],
            outputs=[io.Sampler.Output(tooltip="The sampler.")],
        )

    @classmethod
    def validate_inputs(cls, sampler: str | None = None):
        return host.problem_with(sampler=sampler) or True

    @classmethod
    def execute(cls, sampler) -> io.NodeOutput:
        return io.NodeOutput(host.sampler_object(sampler))


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
