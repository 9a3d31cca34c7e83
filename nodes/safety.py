"""How a run behaves when memory runs out or it is interrupted, and what is taken down of it."""

from __future__ import annotations

from typing import Any

from .. import host
from ..host import io
from .common import hidden


class StrideRunSettings(io.ComfyNode):
    """Memory, precision, interrupts and the report."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideRunSettings",
            display_name="Run Settings (Stride)",
            category="sampling/stride/run",
            description=(
                "How a run deals with memory, precision and interrupts, and whether it takes down "
                "a report. As it is set at first, it changes nothing."
            ),
            inputs=[*host.options.of_set(host.RunSettings), host.options.passed_on()],
            outputs=[
                host.options.OptionsType.Output(
                    "options_out", display_name="options",
                    tooltip="For the options input of a Stride node.",
                ),
            ],
        )

    @classmethod
    def execute(cls, options: host.Wishes | None = None, **settings: Any) -> io.NodeOutput:
        """The connected options with these; settings: fields of ``RunSettings``."""
        held = host.choice.wishes(options)
        return io.NodeOutput(held.set(host.RunSettings(**settings)))


class StrideWatch(io.ComfyNode):
    """Takes down what any SAMPLER does."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideWatch",
            display_name="Watch Sampler (Stride)",
            category="sampling/stride/run",
            description=(
                "The same SAMPLER, of Stride, ComfyUI or another pack, with a report of its run "
                "for a Report (Stride) node."
            ),
            inputs=[io.Sampler.Input("sampler", tooltip="Any sampler; it runs as it did.")],
            outputs=[
                io.Sampler.Output(tooltip="The same sampler, watched; for one run at a time."),
                host.report.ReportType.Output(
                    "report", display_name="report",
                    tooltip="Filled by the run; Report (Stride) takes it with the run's latent.",
                ),
            ],
        )

    @classmethod
    def execute(cls, sampler: Any) -> io.NodeOutput:
        """(the SAMPLER watched, the box that its run fills)."""
        return io.NodeOutput(*host.report.watched(sampler))


class StrideReport(io.ComfyNode):
    """Shows what a run did, step by step."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideReport",
            display_name="Report (Stride)",
            category="sampling/stride/run",
            description=(
                "What a run did at each step: noise level, model calls, time, how far it moved, "
                "and the values of the latent. As a picture, a table and JSON."
            ),
            inputs=[
                host.report.ReportType.Input(
                    "report", tooltip="Of a KSampler (Stride) or a Watch Sampler (Stride)."
                ),
                io.Latent.Input("latent", tooltip="The latent that the run made."),
                io.Boolean.Input(
                    "save_in_picture", default=False,
                    tooltip=(
                        "Puts the report into the metadata of pictures that are saved afterwards; "
                        "decode the latent from this node's output for the right order."
                    ),
                ),
            ],
            outputs=[
                io.String.Output("table", display_name="table", tooltip="A line for each step."),
                io.Image.Output("picture", display_name="picture", tooltip="Curves over steps."),
                io.String.Output("json", display_name="json", tooltip="All numbers as JSON."),
                io.Latent.Output("latent_out", display_name="latent", tooltip="As it came in."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, report: host.Box, latent: dict[str, Any], save_in_picture: bool
    ) -> io.NodeOutput:
        """(table, IMAGE, JSON, the LATENT as it came); raises ValueError where there is no report.
        """
        shown, outputs = host.report.show(
            report, hidden(cls).extra_pnginfo if save_in_picture else None, save_in_picture
        )
        host.show_on_node(hidden(cls).unique_id, shown["text"][0])
        return io.NodeOutput(*outputs, latent, ui=shown)
