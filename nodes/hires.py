"""The node of the second pass."""

from __future__ import annotations

from typing import Any

from .. import host
from ..host import io
from .common import SEED_MAX, distilled_input, hidden, options_input

_SAME, _SEEDS = host.hires.SAME, ("first pass", "new_seed")


def _or_same(kind: str, names: list[str]) -> io.Combo.Input:
    return io.Combo.Input(
        kind, options=[_SAME, host.AUTOMATIC, *names], default=_SAME,
        tooltip=f"'{_SAME}' takes the first pass's {kind} with its options.",
    )


class StrideHires(io.ComfyNode):
    """A second pass at a larger size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideHires",
            display_name="Hires (Stride)",
            category="sampling/stride",
            description=(
                "A second pass: enlarges the latent of a KSampler (Stride) and samples it again, "
                "with the first pass's settings where you choose no others."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The model that predicts the clean latent."),
                io.Conditioning.Input("positive", tooltip="What the picture should show."),
                io.Conditioning.Input("negative", tooltip="What it should not show."),
                io.Latent.Input("latent_image", tooltip="The first pass's finished latent."),
                io.Float.Input(
                    "upscale_by", default=2.0, min=0.1, max=8.0, step=0.05, round=0.001,
                    tooltip="How many times wider and higher; not used with a width or a height.",
                ),
                io.Int.Input(
                    "width", default=0, min=0, max=16384, step=8,
                    tooltip="Width of the picture in pixels; 0 follows height, or upscale_by.",
                ),
                io.Int.Input(
                    "height", default=0, min=0, max=16384, step=8,
                    tooltip=(
                        "Height of the picture in pixels; 0 follows width, or upscale_by. With "
                        "both, what the new shape has no room for is cut off at the sides."
                    ),
                ),
                io.Combo.Input(
                    "upscale_method", options=list(host.hires.METHODS), default="bilinear",
                    tooltip="bilinear is A1111's 'Latent'. lanczos needs a vae.",
                ),
                io.Float.Input(
                    "denoise", default=0.7, min=0.0, max=1.0, step=0.01,
                    tooltip=(
                        "How much is drawn anew. An enlarged latent is blurred: below 0.5 it may "
                        "stay so, unless a vae is connected."
                    ),
                ),
                io.Int.Input(
                    "steps", default=0, min=0, max=10000,
                    tooltip="Steps of this pass, whatever denoise is; 0 for the first pass's.",
                ),
                io.Float.Input(
                    "cfg", default=0.0, min=0.0, max=100.0, step=0.1, round=0.01,
                    tooltip="Guidance; 0 for the first pass's.",
                ),
                _or_same("sampler", host.sampler_names()),
                _or_same("schedule", host.schedule_names()),
                io.Combo.Input(
                    "seed_from", options=list(_SEEDS), default="first pass",
                    tooltip="Which seed the noise of this pass is drawn from.",
                ),
                # Not named "seed": the frontend would change it after every run, used or not.
                io.Int.Input(
                    "new_seed", default=0, min=0, max=SEED_MAX,
                    tooltip="The seed of this pass, where seed_from is new_seed.",
                ),
                io.Vae.Input(
                    "vae", optional=True,
                    tooltip="With it the picture is enlarged instead of the latent: no blur.",
                ),
                options_input(), distilled_input(),
            ],
            outputs=[io.Latent.Output(tooltip="The larger latent, denoised.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(
        cls, sampler: str | None = None, schedule: str | None = None
    ) -> bool | str:
        """True, or why the names cannot be meant; None is a name that is linked, not known yet."""
        named = (None if name == _SAME else name for name in (sampler, schedule))
        return host.told(host.choice.check, *named)

    @classmethod
    def execute(
        cls, model: Any, positive: Any, negative: Any, latent_image: dict[str, Any],
        upscale_by: float, width: int, height: int, upscale_method: str, denoise: float,
        steps: int, cfg: float, sampler: str, schedule: str, seed_from: str, new_seed: int,
        vae: Any = None, options: host.Wishes | None = None, distilled: str = "none",
    ) -> io.NodeOutput:
        """The larger LATENT, as ``host.hires.second_pass`` makes it.

        width, height: pixels, 0 where the other one or upscale_by decides. Raises ValueError where
        something is to be the first pass's and the latent does not tell it.
        """
        new = host.choice.one_of("seed_from", seed_from, _SEEDS) == _SEEDS[1]
        settings = host.hires.Settings(
            sampler, schedule, steps, cfg, new_seed if new else None, denoise, options, distilled
        )
        size = host.hires.Size(upscale_by, width, height)
        latent, report = host.hires.second_pass(
            model, latent_image, positive, negative, settings, size, upscale_method, vae
        )
        return io.NodeOutput(latent, ui=host.show_report(hidden(cls).unique_id, report))
