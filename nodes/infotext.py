"""A1111's generation text in and out, and pictures that carry it."""

from __future__ import annotations

from typing import Any

import torch

from .. import host
from ..host import io
from .common import (
    SEED_MAX,
    denoise_input,
    hidden,
    sampler_input,
    schedule_input,
    steps_input,
)


class StrideFromA1111(io.ComfyNode):
    """The settings of an A1111 text, or of a picture that has one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names, options = host.texts.Names, host.options.OptionsType
        return io.Schema(
            node_id="StrideFromA1111",
            display_name="From A1111 (Stride)",
            category="sampling/stride/a1111",
            description=(
                "Paste A1111's generation text, or choose a picture that carries one, a graph of "
                "ComfyUI's or the record of another program (SwarmUI, Fooocus, InvokeAI, ...): "
                "prompts, sampler, schedule and numbers come out, and a report of what could not "
                "be carried over."
            ),
            inputs=[
                io.String.Input(
                    "text", multiline=True, default="",
                    tooltip="A1111's text: prompt, negative prompt, and the line with the steps.",
                ),
                io.Combo.Input(
                    "image", options=host.pictures.choices(), default=host.pictures.NONE,
                    upload=io.UploadType.image, image_folder=io.FolderType.input,
                    tooltip=(
                        "In place of the text: a PNG, JPEG, WebP or GIF from the input folder. "
                        "Other folders of ComfyUI's: name.png [output], name.png [temp]."
                    ),
                ),
                io.Boolean.Input(
                    "exact", default=False, optional=True,
                    tooltip=(
                        "On: do what A1111 1.10.1 did, oddities included (an unknown sampler is "
                        "DPM++ 2M), by its rules of noise and levels through the options output. "
                        "Off: names mean what they say, an unknown one is an error."
                    ),
                ),
            ],
            outputs=[
                kind.Output(name, display_name=name, tooltip=tip) for kind, name, tip in (
                    (io.String, "positive", "The prompt, without <lora:...> tags."),
                    (io.String, "negative", "The negative prompt."),
                    (names, "sampler", "For any KSampler."),
                    (names, "schedule", "For any KSampler."),
                    (io.Int, "steps", "Steps of the first pass."),
                    (io.Float, "cfg", "CFG scale."),
                    (io.Int, "seed", "The seed."),
                    (io.Int, "width", "Width of the first pass in pixels."),
                    (io.Int, "height", "Height of the first pass in pixels."),
                    (io.Float, "denoise", "1, or the strength of an image to image run."),
                    (io.Int, "clip_skip", "For CLIP Set Last Layer; SDXL does without at -1."),
                    (names, "hires_sampler", "Sampler of the second pass, or of the first."),
                    (names, "hires_schedule", "Schedule of the second pass, or of the first."),
                    (io.Int, "hires_steps", "Steps of the second pass."),
                    (io.Float, "hires_scale", "Second pass's size over the first's; 1: none."),
                    (io.Float, "hires_denoise", "Second pass's denoising strength; 0: none."),
                    (options, "options", "Eta, noise source, sigma range and so on: for a KSampler "
                     "(Stride)."),
                    (io.String, "report", "What was read, and what was not carried over."),
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, image: str | None = None) -> bool | str:
        """True, or why the picture cannot be read; None: linked, not known yet."""
        return host.told(host.pictures.check, image)

    @classmethod
    def fingerprint_inputs(cls, image: str = "", **rest: Any) -> str:
        """Another word when the picture's file is another, so that the node runs again."""
        return host.pictures.changed(image)

    @classmethod
    def execute(cls, text: str, image: str, exact: bool = False) -> io.NodeOutput:
        """The fields of ``host.texts.Read``; raises ValueError for both or none of text and image.
        """
        found = host.texts.from_text(text, image, exact)
        host.show_on_node(hidden(cls).unique_id, found.report)
        return io.NodeOutput(*found, ui={"text": [found.report]})


class StrideToA1111(io.ComfyNode):
    """The text that A1111 would store for a run."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        hires = [sampler_input(), schedule_input()]
        for combo, kind in zip(hires, ("sampler", "schedule")):
            combo.id, combo.optional, combo.default = f"hires_{kind}", True, host.texts.SAME
            combo.options = [host.texts.SAME, *combo.options]
            combo.tooltip = f"The second pass's {kind}."
        return io.Schema(
            node_id="StrideToA1111",
            display_name="To A1111 (Stride)",
            category="sampling/stride/a1111",
            description=(
                "Writes A1111's generation text for a run, for Save with A1111 Text (Stride): "
                "such a picture reads back in A1111. Wire it to the values that the KSampler has."
            ),
            inputs=[
                io.String.Input("positive", multiline=True, tooltip="The prompt."),
                io.String.Input("negative", multiline=True, tooltip="The negative prompt."),
                sampler_input(), schedule_input(), steps_input(),
                io.Float.Input("cfg", default=7.0, min=0.0, max=1000.0, tooltip="CFG scale."),
                io.Int.Input("seed", default=0, min=0, max=SEED_MAX, tooltip="The seed."),
                io.Int.Input("width", default=512, min=16, max=16384, tooltip="Pixels."),
                io.Int.Input("height", default=512, min=16, max=16384, tooltip="Pixels."),
                _optional(denoise_input()),
                io.Int.Input(
                    "clip_skip", default=-1, min=-24, max=-1, optional=True,
                    tooltip="As in CLIP Set Last Layer: -1 is A1111's clip skip 1.",
                ),
                *hires,
                io.Int.Input(
                    "hires_steps", default=0, min=0, max=10000, optional=True,
                    tooltip="The second pass's steps; 0: those of the first.",
                ),
                io.Float.Input(
                    "hires_scale", default=1.0, min=0.01, max=100.0, step=0.05, optional=True,
                    tooltip="The second pass's size over the first's.",
                ),
                io.Float.Input(
                    "hires_denoise", default=0.0, min=0.0, max=1.0, step=0.01, optional=True,
                    tooltip="The second pass's denoising strength; 0: there is none.",
                ),
                host.options.OptionsType.Input(
                    "options", optional=True, tooltip="The options that the KSampler has."
                ),
                io.String.Input(
                    "model", default="", optional=True,
                    tooltip="Name of the model, without file ending; empty: not written.",
                ),
            ],
            outputs=[
                io.String.Output("text", display_name="text", tooltip="A1111's text."),
                io.String.Output(
                    "report", display_name="report", tooltip="What A1111 will read otherwise."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(
        cls, sampler: str | None = None, schedule: str | None = None,
        hires_sampler: str | None = None, hires_schedule: str | None = None,
    ) -> bool | str:
        """True, or why the names cannot be meant; None is a name that is linked, not known yet."""
        first = host.told(host.choice.check, sampler, schedule)
        return first if first is not True else host.told(
            host.choice.check_names, hires_sampler=hires_sampler, hires_schedule=hires_schedule
        )

    @classmethod
    def execute(
        cls, positive: str, negative: str, sampler: str, schedule: str,
        options: host.Wishes | None = None, model: str = "", **rest: Any,
    ) -> io.NodeOutput:
        """(A1111's text, what it will read otherwise); rest: the numbers, of both passes."""
        second = {
            name.removeprefix("hires_"): rest.pop(name)
            for name in list(rest) if name.startswith("hires_")
        }
        text, notes = host.texts.to_text(
            positive, negative, sampler, schedule, host.texts.Numbers(**rest),
            host.texts.Second(**second), options, model,
        )
        host.show_on_node(hidden(cls).unique_id, notes or text)
        return io.NodeOutput(text, notes, ui={"text": [text, notes]})


class StrideSaveA1111(io.ComfyNode):
    """The host's SaveImage with A1111's text in the file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideSaveA1111",
            display_name="Save with A1111 Text (Stride)",
            category="sampling/stride/a1111",
            description=(
                "Saves PNG pictures with A1111's text as A1111 stores it, and with ComfyUI's "
                "workflow. Save Image would store the text as JSON, which A1111 cannot read."
            ),
            inputs=[
                io.Image.Input("images", tooltip="The pictures."),
                io.String.Input(
                    "text", force_input=True, tooltip="From To A1111 (Stride), or any text."
                ),
                io.String.Input(
                    "filename_prefix", default="ComfyUI",
                    tooltip="As in Save Image: folders and %date% and the like may be in it.",
                ),
                io.Boolean.Input(
                    "count_seeds", default=False, optional=True,
                    tooltip=(
                        "Image k of a batch is stored with seed + k, as A1111 numbers them; for "
                        "runs with A1111's noise."
                    ),
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, images: torch.Tensor, text: str, filename_prefix: str, count_seeds: bool = False
    ) -> io.NodeOutput:
        """Saves images [B, H, W, 3] from 0 to 1; there are no outputs."""
        texts = host.texts.texts_for(text, len(images), count_seeds)
        saved, stored = host.pictures.save(
            images, filename_prefix, texts, hidden(cls).prompt, hidden(cls).extra_pnginfo
        )
        if not stored:
            host.show_on_node(
                hidden(cls).unique_id, "ComfyUI runs with --disable-metadata: no text was stored"
            )
        return io.NodeOutput(ui={"images": saved})


def _optional(widget: io.Input) -> io.Input:
    widget.optional = True
    return widget
