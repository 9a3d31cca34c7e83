"""Reports of runs: how one travels from a sampler to the node that shows it."""

from __future__ import annotations

from functools import partial
from typing import Any

import comfy.samplers
import torch
from comfy_api.latest import io, ui

from ...engine.report import Recorder, Report
from ...registry import shown
from ..lists.model import process_of
from ..run.proxy import Proxy
from ..run.watch import Box

# What travels is a Box, which the run fills: it may be handed on before the run begins.
ReportType = io.Custom("STRIDE_REPORT")
METADATA_KEY = "stride_report"  # in the picture's metadata, beside the workflow


def report_in(box: Box) -> Report:
    """The report of the run that a box belongs to, or a ValueError that says why there is none."""
    if not isinstance(box, Box):
        raise ValueError(f"a report comes from a node of Stride's, got {shown(box)}")
    if box.report is not None:
        return box.report
    if not box.wanted:
        raise ValueError(
            "this run was made before its report was asked for, and ComfyUI did not run it again; "
            "change its seed, or switch report on in Run Settings (Stride)"
        )
    raise ValueError("there is no report: the run took no steps, or has not been made")


class WatchedSampler(comfy.samplers.Sampler):
    """Any SAMPLER, with its runs taken down through its callback; each replaces the one before."""

    def __init__(self, sampler: Any, box: Box) -> None:
        self.sampler, self.box = sampler, box

    def sample(
        self, model_wrap: Any, sigmas: torch.Tensor, extra_args: Any, callback: Any,
        noise: torch.Tensor, latent_image: Any = None, denoise_mask: Any = None,
        disable_pbar: bool = False,
    ) -> torch.Tensor:
        """See the host's ``Sampler``."""
        self.box.report = None
        process = process_of(model_wrap.inner_model.model_sampling)
        recorder = Recorder(sigmas.tolist(), process, noise.device)

        def seen(i: int, denoised: torch.Tensor, x: torch.Tensor, total: int) -> None:
            recorder.step({"i": i, "denoised": denoised, "x": x})
            if callback is not None:
                callback(i, denoised, x, total)

        end = self.sampler.sample(
            Proxy(model_wrap, partial(recorder.call, model_wrap)), sigmas, extra_args, seen, noise,
            latent_image, denoise_mask, disable_pbar,
        )
        # Out of a run that stops early comes x over alpha: the host's scaling of flow models.
        self.box.report = recorder.finish(end * process.alpha(float(sigmas[-1])))
        return end


def watched(sampler: Any) -> tuple[WatchedSampler, Box]:
    """A SAMPLER that does what ``sampler`` does, and the box of its report."""
    box = Box()
    return WatchedSampler(sampler, box), box


def show(
    box: Box, metadata: dict[str, Any] | None, keep: bool
) -> tuple[dict[str, Any], tuple[str, torch.Tensor, str]]:
    """(what the node shows, (table, IMAGE, JSON)) of a run's report.

    metadata: the prompt's own, which the host's nodes write into each picture that they save after
    this. keep: whether the report is put there.
    """
    from .drawing import draw  # needs PIL, which is imported where it is used

    report = report_in(box)
    lines = report.summary()
    if keep and metadata is None:
        lines.append("this prompt has no metadata for pictures: the report is not saved with them")
    elif keep and metadata is not None:
        metadata.setdefault(METADATA_KEY, []).append(report.plain())
    picture = draw(report)
    preview = ui.PreviewImage(picture).as_dict()
    return {**preview, "text": ["\n".join(lines)]}, (report.table(), picture, report.json())
