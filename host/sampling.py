"""What the KSampler nodes do: sigmas, initial noise and a SAMPLER, and the host runs them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch

from .. import schedules
from ..engine.streams import GENERATORS, A1111Noise
from ..schedules.entry import tensor_of
from . import a1111, latents
from .asked import Asked, Setup
from .choice import Choice, Later, Wish
from .latents import Record
from .lists.model import canvas_of, family_of, spec_of
from .lists.names import Named
from .run.automatic import AutomaticRun
from .run.ours import HostRun, OurSampler
from .run.result import Result
from .run.theirs import TheirRun
from .run.watch import ANEW, PLAIN, Duties
from .shown.words import show_on_node


def sigmas_for(
    model: Any, schedule: Named, steps: int, denoise: float = 1.0, spare: bool = False,
    canvas: schedules.Canvas | None = None,
) -> torch.Tensor:
    """The sigmas of a schedule for a host MODEL, float32 on the CPU.

    spare: plan one step more and drop the value before the last, as the host does for some of
    its own samplers. canvas: the latent, for curves that go by its size. Schedules of other packs
    go through the host's handler.
    """
    sampling = model.get_model_object("model_sampling")
    if entry := schedule.entry:
        spec = spec_of(sampling, family_of(model), canvas)
        spare = spare and not entry.counts  # a distilled model knows its own levels only
        return tensor_of(entry.levels(spec, steps, denoise, schedule.options, spare))
    steps = schedules.check_steps(schedule.name, steps)
    planned = schedules.planned_steps(schedule.name, steps, denoise)
    if planned == 0:
        return torch.empty(0, dtype=torch.float32)
    sigmas = comfy.samplers.calculate_sigmas(sampling, schedule.name, planned + spare).cpu()
    for level in sigmas[~sigmas.isfinite()].tolist():
        raise ValueError(
            f"schedule '{schedule.called}', which is not Stride's, gave a sigma of {level} for "
            f"{planned} steps; use another schedule or another number of steps"
        )
    if spare:
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    return sigmas[-(steps + 1) :]


def canvas_for(model: Any, latent: dict[str, Any] | None) -> schedules.Canvas | None:
    """What curves that go by the size have to know of a LATENT, if one is connected."""
    if latent is None:
        return None
    return canvas_of(model, _of_the_models_shape(model, latents.checked(latent))["samples"])


def _of_the_models_shape(model: Any, latent: dict[str, Any]) -> dict[str, Any]:
    """The LATENT, where it is empty with the channels and the size that the model has.

    Newer hosts tell in the latent what an empty one has to be rescaled by; that is done then.
    """
    ratios = {key: latent[key] for key in latent if key.startswith("downscale_ratio_")}
    fix = comfy.sample.fix_empty_latent_channels
    known = inspect.signature(fix).parameters
    samples = fix(model, latent["samples"], **{k: v for k, v in ratios.items() if k in known})
    return {**{k: v for k, v in latent.items() if k not in ratios}, "samples": samples}


def sampler_of(wish: Wish, duties: Duties = PLAIN, node_id: str | None = None) -> Any:
    """The host's SAMPLER: ours, or the host's own for a name of somebody else's.

    node_id: where the choice of ``automatic`` is shown, and what should be known before the run.
    """
    if node_id is not None:
        duties = replace(duties, warn=partial(show_on_node, node_id))
    if isinstance(wish, Later):
        return OurSampler(AutomaticRun(wish.given, node_id, duties))
    if wish.entry is not None:
        return OurSampler(HostRun.of(wish, duties))
    theirs = comfy.samplers.sampler_object(wish.name)
    if hasattr(theirs, "sampler_function"):
        theirs.sampler_function = TheirRun(theirs.sampler_function, duties)
    return theirs


def note_on(
    model: Any, schedule: Named, steps: int, canvas: schedules.Canvas | None = None
) -> str | None:
    """What a person should know of one of our schedules on this MODEL and latent, or None."""
    if schedule.entry is None or schedule.entry.remark is None:
        return None
    spec = spec_of(model.get_model_object("model_sampling"), family_of(model), canvas)
    return schedule.entry.remark(spec, steps, schedule.options)


def setup(model: Any, asked: Asked, latent: dict[str, Any], duties: Duties) -> Setup:
    """A run by our own rules; any name that a dropdown has."""
    sampler, options = asked.choice.sampler, asked.choice.sampler.options
    canvas = canvas_of(model, latent["samples"])
    sigmas, ahead = _levels(model, asked, canvas)
    if len(sigmas) < 2:
        return Setup(model, sigmas, None)
    notes = [note_on(model, asked.choice.schedule, asked.steps, canvas)]
    made = sampler_of(sampler, duties)
    if options is not None:  # one of ours
        resume = None
        if not asked.add_noise:
            resume, note = latents.resumable(latent, sampler.name, options, sigmas)
            notes.append(note)
        if resume is not None and duties.settings.history == ANEW:
            resume = latents.anew(resume)
        made.sampler_function = replace(
            made.sampler_function, images=latents.images(latent), ahead=ahead, keep=True,
            resume=resume,
        )
    if asked.add_noise and (stream := getattr(options, "noise", "")) in GENERATORS:
        drawn = A1111Noise(stream, asked.seed, latents.images(latent))
        return Setup(model, sigmas, made, lambda noise: drawn.first(noise.shape), tuple(notes))
    return Setup(model, sigmas, made, notes=tuple(notes))


def _levels(
    model: Any, asked: Asked, canvas: schedules.Canvas
) -> tuple[torch.Tensor, tuple[float, ...]]:
    """The sigmas of the run, and those after its last one which a chained run will take."""
    # The host plans one step more for these and drops the last but one, ours do so too: the same
    # sigmas give the same picture when one node is swapped for the other.
    spares = comfy.samplers.KSampler.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
    sampler, schedule = asked.choice.sampler, asked.choice.schedule
    spare = sampler.name in spares
    sigmas = sigmas_for(model, schedule, asked.steps, asked.denoise, spare, canvas)
    if asked.window is None:
        return sigmas, ()
    first, last = asked.window
    ahead = tuple(sigmas[last + 1 :].tolist()) if asked.leftover else ()
    cut = last < len(sigmas) - 1
    sigmas = sigmas[: last + 1].clone()
    if cut and not asked.leftover:
        sigmas[-1] = 0.0
    return sigmas[first:], ahead


def _initial_noise(latent: dict[str, Any], seed: int, add_noise: bool) -> torch.Tensor:
    """The host's own, which leaves the global generator behind it.

    Ours never read that generator. Samplers and patches of other packs do, and for a seed they
    must find it as the host's nodes leave it. Of a latent of several streams (video and sound) the
    host draws one stream for all images before the next; here each image has all of its own.
    """
    samples = latent["samples"]
    if add_noise and samples.is_nested:
        generator, wanted = torch.manual_seed(seed), latents.images(latent)
        drawn = [
            [comfy.sample.prepare_noise_inner(part[:1], generator) for part in samples.unbind()]
            for _ in range(max(wanted) + 1)
        ]
        return type(samples)([torch.cat(parts) for parts in zip(*(drawn[k] for k in wanted))])
    if add_noise:
        return comfy.sample.prepare_noise(samples, seed, latent.get("batch_index"))
    empty = getattr(comfy.sample, "prepare_empty_noise", None)  # knows nested latents
    return empty(samples) if empty else torch.zeros_like(samples, device="cpu")


def _telling(asked: Asked) -> Callable[[str], object] | None:
    """What shows a caution of the run, under the notes that are shown already."""
    show, notes = asked.warn, asked.choice.notes
    if show is None or not notes:
        return show
    return lambda caution: show("\n".join((*notes, caution)))


def ksample(
    model: Any, asked: Asked, positive: Any, negative: Any, latent: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sample ``latent`` and tell what it cost: returns (LATENT, report)."""
    started, choice = time.perf_counter(), asked.choice
    latent = _of_the_models_shape(model, latents.checked(latent))
    samples = latent["samples"]
    results: list[Result | None] = [None]  # none, of a SAMPLER that does not tell
    duties = Duties(choice.settings, asked.box, results.append, _telling(asked))
    if choice.a1111 is None:
        run = setup(model, asked, latent, duties)
    else:
        run = a1111.setup(model, asked, latent, choice.a1111, duties)
    sigmas = run.sigmas
    report: dict[str, Any] = {
        "sampler": choice.sampler.called, "schedule": choice.schedule.called,
        "steps": max(len(sigmas) - 1, 0),
    }
    # Nothing to do, as in the host: denoise 0, a window past the end, a batch of no images.
    if len(sigmas) < 2 or samples.shape[0] == 0:
        return latent, {**report, "model_calls": 0, "seconds": 0.0, **_note(choice.notes)}

    if choice.notes and asked.warn is not None:  # before the picture is bad, not after
        asked.warn("\n".join(choice.notes))
    noise = run.noise(_initial_noise(latent, asked.seed, asked.add_noise))
    end = comfy.sample.sample_custom(
        run.model, noise, asked.cfg * run.guidance, run.sampler, sigmas,
        positive, negative, samples, noise_mask=latent.get("noise_mask"),
        callback=latent_preview.prepare_callback(run.model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED, seed=asked.seed,
    )
    result = results[-1]
    out = {**latent, "samples": end}
    out.pop(latents.STOPPED, None)
    if result is not None and result.stopped is not None:
        out[latents.STOPPED] = result.stopped._replace(latent=end)
    seed = asked.seed if asked.add_noise else latents.seed_before(latent, asked.seed)
    kept = Choice(choice.sampler, choice.schedule, a1111=choice.a1111)
    out[latents.RECORD] = Record(seed, asked.steps, asked.cfg, kept)
    report["model_calls"] = result and result.calls
    notes = [*run.notes, *(result.notes if result else ())]
    if latents.stopped_in(latent) and result is not None and result.stochastic:
        notes.append(_other_seed(seed, asked.seed))
    if result is not None and result.taken:
        report["accepted"] = sum(image.accepted for image in result.taken)
        report["rejected"] = sum(image.rejected for image in result.taken)
    report["seconds"] = round(time.perf_counter() - started, 3)
    if asked.box is not None and asked.box.report is not None:
        asked.box.tell(
            seed=asked.seed, cfg=asked.cfg, sampler=report["sampler"],
            schedule=report["schedule"], note=_note(notes).get("note"),
        )
    return out, {**report, **_note([*choice.notes, *notes])}


def _other_seed(before: int, now: int) -> str | None:
    """What is to be said of a run that is gone on with by another seed."""
    return None if before == now else (
        f"warning: the fresh noise of these steps is seed {now}'s, that of the steps before seed "
        f"{before}'s; for one run give both nodes the same seed"
    )


def _note(notes: Iterable[str | None]) -> dict[str, str]:
    """The notes as the report has them; nothing where there are none."""
    said = [*filter(None, notes)]
    return {"note": "\n".join(said)} if said else {}
