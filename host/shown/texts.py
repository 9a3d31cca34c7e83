"""A1111's texts in the host: what the nodes for them put out and take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import comfy.samplers
from comfy_api.latest import io

from ...names import PREFIX, nobodys
from ...registry import LONGEST, shown
from ..choice import AUTOMATIC, Wishes, wishes
from ..lists import names
from . import pictures

if TYPE_CHECKING:  # read where a text is, so that the pack stays quick to import
    from ...a1111.generation import Generation, Pass

SAME = "use same"  # sampler or schedule of the second pass: the first's
_LISTS = {
    "sampler": comfy.samplers.KSampler.SAMPLERS, "schedule": comfy.samplers.KSampler.SCHEDULERS,
}


class _AnyList(str):
    """The type of a dropdown, in both of the forms that the host has: COMBO, and a list of names.

    The host asks ``received != wanted`` and documents that a type may answer for itself.
    """

    def __ne__(self, other: object) -> bool:
        return not isinstance(other, list) and not {"COMBO", "*"} & set(str(other).split(","))

    __eq__, __hash__ = str.__eq__, str.__hash__


class Names:
    """A kind of output that any dropdown takes: one of type COMBO, and the older ones.

    The host's own output of type COMBO does not link to its KSampler.
    """

    class Output(io.Combo.Output):
        """The host's output of names, with a type that both forms accept."""

        io_type = _AnyList("COMBO")


class Read(NamedTuple):
    """What From A1111 (Stride) puts out, in its order."""

    positive: str
    negative: str
    sampler: str
    schedule: str
    steps: int
    cfg: float
    seed: int
    width: int
    height: int
    denoise: float
    clip_skip: int
    hires_sampler: str
    hires_schedule: str
    hires_steps: int
    hires_scale: float
    hires_denoise: float
    options: Wishes
    report: str


def from_text(text: str, image: str = pictures.NONE, exact: bool = False) -> Read:
    """The values of a text, or of what a picture in the host's folders has stored.

    Raises ValueError for both or none of them, and for a picture that holds no text, graph
    or record that is known (``a1111/pictures.py``).
    """
    from ...a1111.report import report

    chosen = image not in ("", pictures.NONE)
    if bool(text.strip()) == chosen:
        raise ValueError(
            "paste a text or choose an image that has one, not both" if chosen else
            "paste A1111's generation text, or choose an image that carries one"
        )
    found, source = _generation(text, image if chosen else "", exact)
    found = _with_warnings(found)
    first, hires = found.first, found.hires
    options = Wishes(
        names.as_said("sampler", first.sampler).but(first.options),
        names.as_said("schedule", first.schedule).but(first.schedule_options),
        a1111=found.a1111,
    )
    return Read(
        found.positive, found.negative, *_hosts(first), first.steps, found.cfg, found.seed,
        found.width, found.height, first.denoise, -found.clip_skip, *_hosts(hires), hires.steps,
        found.scale, hires.denoise, options, report(found, source),
    )


def _generation(text: str, image: str, exact: bool) -> tuple[Generation, str]:
    from ...a1111.pictures import NOTHING, pasted

    stored = pictures.stored_in(image) if image else pasted(text)
    if stored.is_empty:
        raise ValueError(
            f"{shown(image)} holds {NOTHING}; a picture that was edited, or sent through a "
            "messenger, has lost it"
        )
    found, source = stored.read(exact)
    if image:
        return found, f"{source} in {image}"
    return found, "the text" if stored.text is not None else f"{source} in the text"


def _with_warnings(found: Generation) -> Generation:
    """The same with a sentence for each name that no dropdown has, and whose it is, if known."""
    named = {
        (kind, getattr(run, kind)): None for run in (found.first, found.hires) for kind in _LISTS
    }
    said = [
        f"{kind} '{name[:60]}' is in no dropdown here: a node that is given it stops"
        + (f"; {pack}" if (pack := nobodys(kind, name[:LONGEST]).pack) else "")
        for kind, name in named if _in_list(kind, name) not in (*_LISTS[kind], AUTOMATIC)
    ]
    return replace(found, notes=(*said, *found.notes)) if said else found


def _hosts(run: Pass) -> tuple[str, str]:
    """The names as the host's dropdowns have them, plain where they are; ours take both forms."""
    return _in_list("sampler", run.sampler), _in_list("schedule", run.schedule)


def _in_list(kind: str, name: str) -> str:
    known = _LISTS[kind]
    return name if name in known or PREFIX + name not in known else PREFIX + name


class Second(NamedTuple):
    """A second pass, as To A1111 (Stride) has it; ``SAME`` and 0 are the first's. denoise 0: none.

    scale: its size over the first's.
    """

    sampler: str = SAME
    schedule: str = SAME
    steps: int = 0
    scale: float = 1.0
    denoise: float = 0.0


class Numbers(NamedTuple):
    """The numbers of a picture, as To A1111 (Stride) has them; clip_skip -1 is none."""

    steps: int
    cfg: float
    seed: int
    width: int
    height: int
    denoise: float = 1.0
    clip_skip: int = -1


def to_text(
    positive: str, negative: str, sampler: str, schedule: str, numbers: Numbers,
    second: Second, options: Wishes | None = None, model: str = "",
) -> tuple[str, str]:
    """(A1111's text for a run, what it will read otherwise).

    Names as any dropdown has them. options: as the nodes hand them on; what is for another sampler
    or schedule than the run's raises ValueError.
    """
    from ...a1111 import telling
    from ...a1111.generation import Generation, Pass

    if AUTOMATIC in (sampler, schedule):
        raise ValueError(f"choose what the run had: '{AUTOMATIC}' is another name on every model")
    held = wishes(options)
    method, curve = (
        held.on(names.as_said(kind, name))
        for kind, name in (("sampler", sampler), ("schedule", schedule))
    )
    first = Pass(
        method.name, curve.name, numbers.steps, numbers.denoise, method.changed, curve.changed
    )
    method_2, curve_2 = (
        getattr(first, kind) if name == SAME else names.as_said(kind, name).name
        for kind, name in (("sampler", second.sampler), ("schedule", second.schedule))
    )
    found = Generation(
        positive, negative, first, numbers.cfg, numbers.seed, numbers.width, numbers.height,
        Pass(method_2, curve_2, second.steps or numbers.steps, second.denoise), second.scale,
        -numbers.clip_skip, held.a1111,
    )
    text, notes = telling.write(found, {"Model": model or None})
    return _encodable(text), "\n".join(notes)


def _encodable(text: str) -> str:
    """The text with a ? for halves of characters, which JSON may have and UTF-8 has not."""
    return text.encode("utf-8", "replace").decode()


def texts_for(text: str, count: int, counted: bool) -> list[str]:
    """The text of each picture of a batch; counted: seed + index, as A1111 numbers its images."""
    from ...a1111 import infotext

    text = _encodable(text)
    return [infotext.with_seed(text, index) if counted else text for index in range(count)]
