"""Guidance patches: each takes a MODEL and returns one, and does nothing at its neutral value."""

from __future__ import annotations

from typing import Any

from .. import host
from ..host import guidance, io


def _inputs(*others: io.Input) -> list[io.Input]:
    return [io.Model.Input("model", tooltip="The model to patch; it stays as it is."), *others]


def _outputs() -> list[io.Output]:
    return [io.Model.Output(tooltip="The patched model, for any sampler.")]


def _patched(model: Any, patch: Any) -> io.NodeOutput:
    return io.NodeOutput(host.patches.patched(model, patch))


class StrideRescaleCFG(io.ComfyNode):
    """Guidance rescale (Lin et al. 2024)."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideRescaleCFG",
            display_name="Rescale CFG (Stride)",
            category="sampling/stride/guidance",
            description=(
                "Gives the guided answer the deviation of the positive prompt's own, against "
                "the washed out or burnt look of a high cfg."
            ),
            inputs=_inputs(*host.options.of_set(guidance.Rescale, optional=False)),
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, model: Any, **chosen: float) -> io.NodeOutput:
        """MODEL with the patch; chosen: fields of ``guidance.Rescale``, checked there."""
        return _patched(model, guidance.Rescale(**chosen))


class StrideThreshold(io.ComfyNode):
    """Dynamic thresholding by a percentile (Saharia et al. 2022)."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideThreshold",
            display_name="Dynamic Thresholding (Stride)",
            category="sampling/stride/guidance",
            description=(
                "Cuts the largest values of each image off and scales the image back into its "
                "range."
            ),
            inputs=_inputs(*host.options.of_set(guidance.Threshold, optional=False)),
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, model: Any, **chosen: float) -> io.NodeOutput:
        """MODEL with the patch; chosen: fields of ``guidance.Threshold``, checked there."""
        return _patched(model, guidance.Threshold(**chosen))


class StrideMimicCFG(io.ComfyNode):
    """Dynamic thresholding to the range of a lower cfg."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideMimicCFG",
            display_name="Mimic CFG (Stride)",
            category="sampling/stride/guidance",
            description="A high cfg with the range of values that a lower one would have.",
            inputs=_inputs(*host.options.of_set(guidance.Mimic, optional=False)),
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, model: Any, **chosen: float) -> io.NodeOutput:
        """MODEL with the patch; chosen: fields of ``guidance.Mimic``, checked there."""
        return _patched(model, guidance.Mimic(**chosen))


class StrideCFGInterval(io.ComfyNode):
    """CFG in an interval of sigma (Kynkaanniemi et al. 2024)."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideCFGInterval",
            display_name="CFG Interval (Stride)",
            category="sampling/stride/guidance",
            description=(
                "Guidance between two noise levels only; elsewhere cfg is 1, and a step takes "
                "half the time because the negative prompt is not asked."
            ),
            inputs=_inputs(*host.options.of_set(guidance.Interval, optional=False)),
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, model: Any, **chosen: float) -> io.NodeOutput:
        """MODEL with the patch; chosen: fields of ``guidance.Interval``, checked there."""
        return _patched(model, guidance.Interval(**chosen))


class StrideCFGCurve(io.ComfyNode):
    """CFG that changes over the steps."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideCFGCurve",
            display_name="CFG Curve (Stride)",
            category="sampling/stride/guidance",
            description=(
                "Stronger or weaker guidance over the steps: the sampler's cfg - 1 times a "
                "factor."
            ),
            inputs=_inputs(
                *host.options.of_set(guidance.Curve, optional=False),
                io.String.Input(
                    "by_hand", default="",
                    tooltip=(
                        "Factors spread evenly over the steps, parted by commas, such as "
                        "1, 0.8, 0.2. Where there are any, they are used instead of the shape."
                    ),
                ),
            ),
            outputs=_outputs(),
        )

    @classmethod
    def validate_inputs(cls, by_hand: str | None = None) -> bool | str:
        """True, or what is wrong with the factors; None: linked, not known yet."""
        return host.told(host.patches.check_points, by_hand)

    @classmethod
    def execute(cls, model: Any, shape: str, by_hand: str, **ends: float) -> io.NodeOutput:
        """MODEL with the curve; ends: start and end of ``guidance.Curve``, from 0 to 10."""
        return io.NodeOutput(host.patches.curved(model, shape, by_hand, **ends))


class StrideAPG(io.ComfyNode):
    """Adaptive projected guidance (Sadat et al. 2025)."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideAPG",
            display_name="APG (Stride)",
            category="sampling/stride/guidance",
            description=(
                "Adaptive projected guidance: takes down the part of guidance that saturates, "
                "limits its length, and may remember earlier steps."
            ),
            inputs=_inputs(*host.options.of_set(guidance.APG, optional=False)),
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, model: Any, **chosen: float) -> io.NodeOutput:
        """MODEL with the patch; chosen: fields of ``guidance.APG``, checked there."""
        return _patched(model, guidance.APG(**chosen))


class StrideCFGZero(io.ComfyNode):
    """CFG-Zero* (Fan et al. 2025)."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideCFGZero",
            display_name="CFG-Zero* (Stride)",
            category="sampling/stride/guidance",
            description=(
                "For flow models: scales the negative prompt's velocity to fit the positive "
                "one's, and leaves the latent as it is for the first steps."
            ),
            inputs=_inputs(*host.options.of_set(guidance.CFGZero, optional=False)),
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, model: Any, **chosen: Any) -> io.NodeOutput:
        """MODEL with the patch; chosen: fields of ``guidance.CFGZero``, checked there."""
        return _patched(model, guidance.CFGZero(**chosen))


class StrideTemperature(io.ComfyNode):
    """Temperature on the predicted noise (Xu et al. 2025)."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideTemperature",
            display_name="Temperature (Stride)",
            category="sampling/stride/guidance",
            description=(
                "Scales the predicted noise so that samples vary less (below 1) or more (above "
                "1)."
            ),
            inputs=_inputs(*host.options.of_set(guidance.Temperature, optional=False)),
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, model: Any, **chosen: float) -> io.NodeOutput:
        """MODEL with the patch; chosen: fields of ``guidance.Temperature``, checked there."""
        return _patched(model, guidance.Temperature(**chosen))


class StrideGuidanceEmbedding(io.ComfyNode):
    """The guidance embedding of distilled models: set, or bypassed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideGuidanceEmbedding",
            display_name="Guidance Embedding (Stride)",
            category="sampling/stride/guidance",
            description=(
                "For guidance-distilled models such as Flux dev: sets the guidance that the "
                "network is told for both prompts, or calls it without any, as for true cfg."
            ),
            inputs=_inputs(
                io.Combo.Input(
                    "mode", options=list(host.embedding.MODES), default="from the prompt",
                    tooltip="from the prompt changes nothing; set and bypass override the prompts.",
                ),
                io.Float.Input(
                    "guidance", default=3.5, min=0.0, max=100.0, step=0.1, round=0.01,
                    tooltip="What the network is told, where mode is set.",
                ),
            ),
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, model: Any, mode: str, guidance: float) -> io.NodeOutput:
        """MODEL with that embedding; raises ValueError where its network has none."""
        return io.NodeOutput(host.embedding.embedded(model, mode, guidance))
