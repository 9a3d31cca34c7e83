"""What the pack answers over HTTP: listings of both registries, and the sigmas of any schedule.

    GET /stride/samplers[?name=euler]
    GET /stride/schedules[?name=karras]
    GET /stride/sigmas?schedule=karras&steps=20&denoise=1&model=sd15&rho=7

Bad input is answered with status 400 and {"error": a sentence}.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any

from ...registry import Entry, Registry
from ...schedules import check_steps
from ..lists import kinds
from ..lists.model import process_of
from ..lists.names import REGISTRIES, canonical
from ..sampling import note_on, sigmas_for
from .advise import schedule_for

Query = Mapping[str, str]


def samplers(query: Query) -> dict[str, Any]:
    """Every sampler, or the one called ``name``, with its options and facts."""
    found = _listing(query, REGISTRIES["sampler"], ("order", "calls", "stochastic"))
    return {"samplers": found}


def schedules(query: Query) -> dict[str, Any]:
    """Every schedule, or the one called ``name``, and the kinds of model to draw them for.

    counts: the only step counts that a schedule is made for; none: any.
    """
    found = _listing(query, REGISTRIES["schedule"], ("counts",))
    return {"schedules": found, "models": kinds.listing()}


def _listing(query: Query, registry: Registry, facts: tuple[str, ...]) -> list[dict[str, Any]]:
    entries = [registry.get(query["name"])] if "name" in query else registry
    return [_described(entry, facts) for entry in entries]


def _described(entry: Entry, facts: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": entry.name, "label": entry.label, "aliases": list(entry.aliases),
        **{fact: getattr(entry, fact) for fact in facts}, "source": entry.source,
        "options": [_option(entry, f) for f in fields(entry.options)],
    }


def _option(entry: Entry, f: Field) -> dict[str, Any]:
    default, accepts = getattr(entry.options, f.name), {}
    if "values" in f.metadata:
        accepts = {"values": list(f.metadata["values"])}
    elif not isinstance(default, (bool, str)):
        accepts = {key: f.metadata[key] for key in ("low", "high")}
    kind = type(f.default).__name__
    return {"name": f.name, "type": kind, "default": default, **accepts,
            "help": f.metadata["help"]}


def sigmas(query: Query) -> dict[str, Any]:
    """The noise levels of a run, for one of the kinds of model, or for one that a node ran with.

    Everything but schedule, steps, denoise and model is an option of the schedule. log_snr is
    null where it is infinite; note is a sentence on this schedule with this model, or null.
    """
    given = dict(query)
    name, model = given.pop("schedule", "simple"), given.pop("model", "sd15")
    steps, denoise = _number(given.pop("steps", "20")), _number(given.pop("denoise", "1"))
    drawn = kinds.get(model)
    name, why = schedule_for(drawn, name, check_steps(name, steps))
    ours = canonical("schedule", name)
    entry = REGISTRIES["schedule"].get(ours) if ours in REGISTRIES["schedule"] else None
    preset = {f.name: f.default for f in fields(entry.options)} if entry else {}
    options = {key: _value(text, preset.get(key)) for key, text in given.items()}
    if entry:
        entry.configure(**options)  # nothing but its options goes on
    levels = sigmas_for(drawn, name, steps, denoise, options=options).tolist()
    process = process_of(drawn.sampling)
    notes = [*filter(None, (why, note_on(drawn, name, steps, options)))]
    return {
        "schedule": ours, "steps": int(steps),
        "model": kinds.facts(model, drawn), "note": "\n".join(notes) or None,
        "sigmas": [_json(s) for s in levels],
        "log_snr": [_json(process.log_snr(s)) for s in levels],
    }


def _value(text: str, default: Any) -> Any:
    """The text of an option in the type of its default; what does not fit is left to the check."""
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    return text if isinstance(default, str) else _number(text)


def _number(text: str) -> float | str:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def _json(value: float) -> float | None:
    """JSON has no infinity and no NaN; nine digits hold a float32 exactly."""
    return float(f"{value:.9g}") if math.isfinite(value) else None


def add() -> bool:
    """Put the routes on the running server; False where there is none, or it has them already."""
    server = getattr(sys.modules.get("server"), "PromptServer", None)
    routes = getattr(getattr(server, "instance", None), "routes", None)
    if routes is None or any(getattr(r, "path", "") == "/stride/sigmas" for r in routes):
        return False
    from aiohttp import web  # the server's own

    def answering(make):
        async def handler(request):
            try:
                # Off the server's loop: ten thousand steps, or another pack's schedule, take time.
                return web.json_response(await asyncio.to_thread(make, request.rel_url.query))
            except ValueError as error:
                return web.json_response({"error": str(error)}, status=400)

        return handler

    for make in (samplers, schedules, sigmas):
        routes.get(f"/stride/{make.__name__}")(answering(make))
    return True
