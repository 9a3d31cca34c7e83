"""What the KSampler nodes do."""

from __future__ import annotations

import time
from typing import Any

import comfy.sample
import comfy.utils
import latent_preview

from . import a1111, carry, record
from .lists.names import pair
from .setup import Asked, standard


def ksample(
    model: Any, seed: int, steps: int, cfg: float, sampler: str, schedule: str,
    positive: Any, negative: Any, latent: dict[str, Any], **asked: Any,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sample ``latent`` and tell what it cost: returns (LATENT, report).

    asked: the further fields of ``setup.Asked``.
    """
    started = time.perf_counter()
    if not asked.get("a1111"):  # where names mean what they mean there
        named = pair(sampler, schedule)
        sampler, schedule, asked = named.sampler, named.schedule, named.into(asked)
    # Newer hosts tell in the latent what an empty one has to be rescaled by.
    ratios = {key: latent[key] for key in latent if key.startswith("downscale_ratio_")}
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"], **ratios)
    latent = {**latent, "samples": samples}
    wanted = Asked(seed, steps, sampler, schedule, **asked)
    run = (a1111.setup if wanted.a1111 else standard)(model, wanted, latent)
    sigmas = run.sigmas
    report = {"sampler": sampler, "schedule": schedule, "steps": max(len(sigmas) - 1, 0)}
    if len(sigmas) < 2:  # nothing to do, as in the host: denoise 0, or a window past the end
        return latent, {**report, "model_calls": 0, "seconds": 0.0}

    chosen = run.sampler()
    result = comfy.sample.sample_custom(
        run.model, run.noise(), cfg * run.guidance, chosen, sigmas, positive, negative, samples,
        noise_mask=latent.get("noise_mask"),
        callback=latent_preview.prepare_callback(run.model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED, seed=seed,
    )
    out = {k: v for k, v in latent.items() if k != carry.KEY} | {"samples": result}
    function = getattr(chosen, "sampler_function", None)
    if getattr(function, "stopped", None) is not None:
        out[carry.KEY] = function.stopped._replace(latent=result)
    out[record.KEY] = record.of(latent, seed, steps, cfg, sampler, schedule, asked)
    report["model_calls"] = getattr(function, "calls", None)
    notes = [*run.notes, *getattr(function, "notes", ())]
    if any(notes):
        report["note"] = "\n".join(filter(None, notes))
    if taken := getattr(function, "taken", None):
        report["accepted"] = sum(image.accepted for image in taken)
        report["rejected"] = sum(image.rejected for image in taken)
    report["seconds"] = round(time.perf_counter() - started, 3)
    if (box := asked.get("box")) is not None:
        box.tell(seed=seed, cfg=cfg, sampler=sampler, schedule=schedule, note=report.get("note"))
    return out, report
