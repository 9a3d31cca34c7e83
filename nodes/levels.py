"""Sigmas typed by hand and changed, for the SIGMAS inputs of any node."""

from __future__ import annotations

from typing import Any

import torch

from .. import host
from ..host import io
from .common import denoise_input

_LEVELS = "Noise levels; where they fall, the last one is 0."


def _model_input(why: str) -> io.Model.Input:
    return io.Model.Input("model", optional=True, tooltip=why)


class StrideSigmas(io.ComfyNode):
    """Sigmas typed by hand."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideSigmas",
            display_name="Sigmas (Stride)",
            category="sampling/stride/sigmas",
            description="Noise levels typed by hand, checked before anything runs.",
            inputs=[
                io.String.Input(
                    "sigmas", default="14.6, 7.1, 3e-1, 0",
                    tooltip=(
                        "Noise levels, parted by commas or spaces: down to 0, or up for unsampling."
                    ),
                ),
                _model_input("Where connected, no sigma may be above its largest."),
            ],
            outputs=[io.Sigmas.Output(tooltip=_LEVELS)],
        )

    @classmethod
    def validate_inputs(cls, sigmas: str | None = None) -> bool | str:
        """True, or what is wrong with the sigmas; None: linked, not known yet."""
        return host.told(host.levels.check_text, sigmas)

    @classmethod
    def execute(cls, sigmas: str, model: Any = None) -> io.NodeOutput:
        """SIGMAS [steps + 1]; raises ValueError for one above the model's largest."""
        return io.NodeOutput(host.levels.typed(sigmas, model))


class StrideSigmasAdjust(io.ComfyNode):
    """Every transform of one curve, each neutral until it is set."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideSigmasAdjust",
            display_name="Adjust Sigmas (Stride)",
            category="sampling/stride/sigmas",
            description="Changes noise levels. What is left as it is does nothing.",
            inputs=[
                io.Sigmas.Input("sigmas", tooltip="Noise levels from any node."),
                io.Int.Input(
                    "steps", default=0, min=0, max=10000,
                    tooltip="The same curve with so many steps; 0 keeps their number.",
                ),
                io.Float.Input(
                    "shift", default=1.0, min=0.01, max=100.0, step=0.01, round=False,
                    tooltip="Time shift: above 1 spends more steps at high noise; 1 is none.",
                ),
                io.Float.Input(
                    "last_sigma", default=0.0, min=0.0, max=10000.0, step=0.001, round=False,
                    tooltip="The last step begins here; 0 keeps the curve's own.",
                ),
                io.Boolean.Input(
                    "discard_penultimate", default=False,
                    tooltip="Drops the level before the last, as A1111 does for some samplers.",
                ),
                denoise_input(),
                _model_input("For a flow model, to follow its log-SNR, and for parts of a run."),
            ],
            outputs=[io.Sigmas.Output(tooltip=_LEVELS)],
        )

    @classmethod
    def execute(
        cls, sigmas: torch.Tensor, steps: int, shift: float, last_sigma: float,
        discard_penultimate: bool, denoise: float, model: Any = None,
    ) -> io.NodeOutput:
        """SIGMAS by ``host.levels.adjust``; raises ValueError for what a transform cannot do."""
        return io.NodeOutput(host.levels.adjust(
            sigmas, model, steps, shift, last_sigma, discard_penultimate, denoise
        ))


class StrideSigmasBlend(io.ComfyNode):
    """A curve between two."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideSigmasBlend",
            display_name="Blend Sigmas (Stride)",
            category="sampling/stride/sigmas",
            description="Noise levels between two curves with the same number of steps.",
            inputs=[
                io.Sigmas.Input("sigmas_1", tooltip="What weight 0 gives."),
                io.Sigmas.Input("sigmas_2", tooltip="What weight 1 gives."),
                io.Float.Input(
                    "weight", default=0.5, min=0.0, max=1.0, step=0.01,
                    tooltip="The way from the first to the second, in log sigma.",
                ),
            ],
            outputs=[io.Sigmas.Output(tooltip=_LEVELS)],
        )

    @classmethod
    def execute(
        cls, sigmas_1: torch.Tensor, sigmas_2: torch.Tensor, weight: float
    ) -> io.NodeOutput:
        """SIGMAS as long as both; raises ValueError where they differ in length."""
        return io.NodeOutput(host.levels.blend(sigmas_1, sigmas_2, weight))


class StrideSigmasSplit(io.ComfyNode):
    """A run for two models, parted at a noise level."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideSigmasSplit",
            display_name="Split Sigmas at Level (Stride)",
            category="sampling/stride/sigmas",
            description=(
                "Parts a run for two models, such as the two experts of Wan 2.2; a sampler of "
                "Stride's too, so that two SamplerCustomAdvanced are one run."
            ),
            inputs=[
                io.Sigmas.Input("sigmas", tooltip="Noise levels from any node."),
                io.Float.Input(
                    "sigma", default=0.875, min=0.0, max=10000.0, step=0.001, round=False,
                    tooltip="Steps that begin here or above are the first part.",
                ),
                io.Sampler.Input(
                    "sampler", optional=True,
                    tooltip=(
                        "Of Sampler (Stride): its two halves share their history, seed and mask, "
                        "so that two nodes are one run. The second adds no noise."
                    ),
                ),
            ],
            outputs=[
                io.Sigmas.Output("high", display_name="high", tooltip="The steps above."),
                io.Sigmas.Output("low", display_name="low", tooltip="The steps below."),
                io.Int.Output(
                    "step", display_name="step",
                    tooltip="Steps in the first part: where two KSampler Advanced (Stride) meet.",
                ),
                io.Sampler.Output(
                    "sampler_high", display_name="sampler high", tooltip="For the steps above."
                ),
                io.Sampler.Output(
                    "sampler_low", display_name="sampler low", tooltip="For the steps below."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, sigmas: torch.Tensor, sigma: float, sampler: Any = None
    ) -> io.NodeOutput:
        """(SIGMAS above, SIGMAS below, steps that come first, SAMPLER above, SAMPLER below).

        The level where they meet is in both. Raises ValueError for a way that crosses the level
        more than once, and for a sampler that has no history to hand on.
        """
        return io.NodeOutput(*host.levels.split_at(sigmas, sigma, sampler))
