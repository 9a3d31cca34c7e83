"""How a run behaves when memory runs out or it is interrupted, and what is taken down of it."""

from __future__ import annotations

from .. import host
from ..host import io


class StrideRunSettings(io.ComfyNode):
    """Memory, precision, interrupts and the report."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideRunSettings",
            display_name="Run Settings (Stride)",
            category="sampling/stride",
            description=(
                "How a run deals with memory, precision and interrupts, and whether it takes down "
                "a report. As it is set at first, it changes nothing."
            ),
            inputs=[*host.options.settings_inputs(), host.options.passed_on()],
            outputs=[
                host.options.OptionsType.Output(
                    "options_out", display_name="options",
                    tooltip="For the options input of a Stride node.",
                ),
            ],
        )

    @classmethod
    def execute(cls, options=None, **settings) -> io.NodeOutput:
        return io.NodeOutput(host.options.with_settings(settings, options))
