"""The bundled demo network in place of a checkpoint loader."""

from __future__ import annotations

from ..host import io


class StrideDemoModel(io.ComfyNode):
    """MODEL, CLIP and VAE of the small network in ``demo/``."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideDemoModel",
            display_name="Load Demo Model (Stride)",
            category="sampling/stride",
            description=(
                "A tiny model that draws coloured shapes ('a yellow triangle above a red square on "
                "a blue background'), best at cfg 2. It runs on any CPU, to try samplers and "
                "schedules with."
            ),
            inputs=[
                io.Combo.Input(
                    "prediction", options=["eps", "v", "flow"], default="eps",
                    tooltip="One network, offered as three kinds of model.",
                ),
                io.Float.Input(
                    "outlines", default=0.0, min=-2.0, max=2.0, step=0.05, optional=True,
                    tooltip="Strength of the bundled LoRA, which draws dark outlines; 0 is none.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The denoiser."),
                io.Clip.Output(tooltip="Its text encoder."),
                io.Vae.Output(tooltip="Latent to picture and back."),
            ],
        )

    @classmethod
    def execute(cls, prediction: str, outlines: float = 0.0) -> io.NodeOutput:
        """(MODEL, CLIP, VAE), as ``host.demo.load`` makes them."""
        from ..host.demo import load  # read only where the demo is used

        return io.NodeOutput(*load(prediction, outlines))
