"""The two KSampler nodes: the host's own inputs, with sampler and schedule apart."""

from __future__ import annotations

from .. import host
from ..host import io

SEED_MAX = 0xFFFFFFFFFFFFFFFF
_SAMPLER_TIP = (
    "How the latent moves from one noise level to the next. Automatic takes what suits the model, "
    "its steps and cfg, and says why. Then ours, then the host's."
)
_SCHEDULE_TIP = (
    "Which noise levels are visited. Any schedule goes with any sampler. Automatic takes what "
    "suits the model, its steps and cfg, and says why."
)


def sampler_input() -> io.Combo.Input:
    names = [host.advise.AUTOMATIC, *host.sampler_names()]
    return io.Combo.Input("sampler", options=names, default="euler", tooltip=_SAMPLER_TIP)


def schedule_input() -> io.Combo.Input:
    names = [host.advise.AUTOMATIC, *host.schedule_names()]
    return io.Combo.Input("schedule", options=names, default="simple", tooltip=_SCHEDULE_TIP)


def steps_input() -> io.Int.Input:
    return io.Int.Input(
        "steps", default=20, min=1, max=10000, tooltip="Number of steps from noise to picture."
    )


def denoise_input() -> io.Float.Input:
    return io.Float.Input(
        "denoise", default=1.0, min=0.0, max=1.0, step=0.01,
        tooltip="1 starts from pure noise; less keeps more of the latent that comes in.",
    )


def _cfg_input() -> io.Float.Input:
    return io.Float.Input(
        "cfg", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01,
        tooltip="Guidance: how strongly positive is preferred to negative; 1 is none.",
    )


def _prompt_inputs() -> list[io.Input]:
    return [
        io.Conditioning.Input("positive", tooltip="What the picture should show."),
        io.Conditioning.Input("negative", tooltip="What it should not show."),
        io.Latent.Input("latent_image", tooltip="The latent to start from."),
    ]


def options_input() -> io.Input:
    return host.options.OptionsType.Input(
        "options", optional=True,
        tooltip=(
            "From a Sampler (Stride) or Schedule (Stride) node: eta, order, rho and the like. "
            "For both, connect one of them to the other. Without it, defaults."
        ),
    )


def distilled_input() -> io.Combo.Input:
    return io.Combo.Input(
        "distilled", options=list(host.advise.DISTILLED), default="none", optional=True,
        tooltip=(
            "What a model or LoRA made for a few steps is called; it cannot be seen from the "
            "model. Automatic and the warnings go by it; nothing else does."
        ),
    )


def _run(
    cls: type[io.ComfyNode], model, seed, steps, cfg, names, inputs, options, distilled, **how
) -> io.NodeOutput:
    """names: sampler and schedule. inputs: positive, negative, latent. how: see ``ksample``."""
    advised = host.advise.advise(model, steps, cfg, *names, options, distilled)
    box = host.report.box_for(cls.hidden, 1, advised.run["settings"])
    latent, report = host.ksample(
        model, seed, steps, cfg, advised.sampler, advised.schedule, *inputs, **how, box=box,
        **advised.run,
    )
    return shown(cls, latent, host.advise.add_notes(report, advised.notes), box)


def report_output() -> io.Output:
    return host.report.ReportType.Output(
        "report", display_name="report",
        tooltip="What the run did step by step, for a Report (Stride) node; costs nothing unused.",
    )


def shown(cls: type[io.ComfyNode], latent: dict, report: dict, *more) -> io.NodeOutput:
    """The latent and more outputs, with the report as a line on the node."""
    line = host.describe(report)
    host.show_on_node(cls.hidden.unique_id, line)
    return io.NodeOutput(latent, *more, ui={"stride": [report], "text": [line]})


class StrideKSampler(io.ComfyNode):
    """The host's KSampler, run by our engine."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideKSampler",
            display_name="KSampler (Stride)",
            category="sampling/stride",
            description="Denoises a latent with any sampler on any schedule. Shows its cost.",
            inputs=[
                io.Model.Input("model", tooltip="The model that predicts the clean latent."),
                io.Int.Input(
                    "seed", default=0, min=0, max=SEED_MAX, control_after_generate=True,
                    tooltip="Fixes all noise of the run.",
                ),
                steps_input(), _cfg_input(), sampler_input(), schedule_input(),
                *_prompt_inputs(), denoise_input(), options_input(), distilled_input(),
            ],
            outputs=[io.Latent.Output(tooltip="The denoised latent."), report_output()],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
        )

    @classmethod
    def validate_inputs(cls, sampler: str | None = None, schedule: str | None = None):
        return host.problem_with(sampler, schedule) or True

    @classmethod
    def execute(
        cls, model, seed, steps, cfg, sampler, schedule, positive, negative, latent_image, denoise,
        options=None, distilled="none",
    ) -> io.NodeOutput:
        return _run(
            cls, model, seed, steps, cfg, (sampler, schedule), (positive, negative, latent_image),
            options, distilled, denoise=denoise,
        )


class StrideKSamplerAdvanced(io.ComfyNode):
    """The host's KSampler (Advanced); two of them chained equal one, bit for bit."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideKSamplerAdvanced",
            display_name="KSampler Advanced (Stride)",
            category="sampling/stride",
            description=(
                "Runs a part of the steps. Two in a row give exactly what one would: the latent "
                "carries the run's history to the next node."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The model that predicts the clean latent."),
                io.Combo.Input(
                    "add_noise", options=["enable", "disable"], default="enable",
                    tooltip="Off for a latent that already carries its noise.",
                ),
                io.Int.Input(
                    "noise_seed", default=0, min=0, max=SEED_MAX, control_after_generate=True,
                    tooltip="Fixes all noise of the run; use the same in chained nodes.",
                ),
                steps_input(), _cfg_input(), sampler_input(), schedule_input(),
                *_prompt_inputs(),
                io.Int.Input(
                    "start_at_step", default=0, min=0, max=10000,
                    tooltip="First step of the schedule that this node takes.",
                ),
                io.Int.Input(
                    "end_at_step", default=10000, min=0, max=10000,
                    tooltip="Step of the schedule before which this node stops.",
                ),
                io.Combo.Input(
                    "return_with_leftover_noise", options=["disable", "enable"],
                    default="disable",
                    tooltip="On to hand the noisy latent to another node; off to finish it here.",
                ),
                options_input(), distilled_input(),
            ],
            outputs=[
                io.Latent.Output(tooltip="The latent, with the run's history if it stopped."),
                report_output(),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
        )

    @classmethod
    def validate_inputs(cls, sampler: str | None = None, schedule: str | None = None):
        return host.problem_with(sampler, schedule) or True

    @classmethod
    def execute(
        cls, model, add_noise, noise_seed, steps, cfg, sampler, schedule, positive, negative,
        latent_image, start_at_step, end_at_step, return_with_leftover_noise,
        options=None, distilled="none",
    ) -> io.NodeOutput:
        return _run(
            cls, model, noise_seed, steps, cfg, (sampler, schedule),
            (positive, negative, latent_image), options, distilled,
            add_noise=add_noise == "enable", window=(start_at_step, end_at_step),
            leftover=return_with_leftover_noise == "enable",
        )
