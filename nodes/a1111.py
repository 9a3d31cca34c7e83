"""One switch: the connected KSampler runs as A1111 webui 1.10.1 does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import host
from ..host import io


class StrideA1111Run(io.ComfyNode):
    """A1111's settings of a run."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideA1111Run",
            display_name="A1111 Run (Stride)",
            category="sampling/stride/a1111",
            description=(
                "Connected to the options input of a KSampler (Stride), the run is A1111's: its "
                "noise, its levels, its step rules, its settings; for pictures made there."
            ),
            inputs=[
                *host.options.of_set(host.A1111Settings), host.options.passed_on(),
            ],
            outputs=[
                host.options.OptionsType.Output(
                    "options_out", display_name="options",
                    tooltip="For the options input of a KSampler (Stride).",
                ),
            ],
        )

    @classmethod
    def execute(cls, options: host.Wishes | None = None, **chosen: Any) -> io.NodeOutput:
        """The connected options with A1111's settings; chosen: fields of ``A1111Settings``."""
        held = host.choice.wishes(options)
        return io.NodeOutput(replace(held, a1111=host.A1111Settings(**chosen)))
