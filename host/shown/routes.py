"""What the pack answers over HTTP: listings of both registries, and the sigmas of any schedule.

    GET /stride/samplers[?name=euler]
    GET /stride/schedules[?name=karras]
    GET /stride/sigmas?schedule=karras&steps=20&denoise=1&model=sd15&rho=7

Bad input is answered with status 400 and {"error": a sentence}. Two at most are worked on at once,
off the server's loop; the others wait.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...registry import Entry, Registry, number
from ...schedules import check_steps
from ..choice import schedule_for, wish
from ..lists import kinds
from ..lists.model import process_of
from ..lists.names import REGISTRIES
from ..sampling import note_on, sigmas_for

Query = Mapping[str, str]
_AT_ONCE = 2  # Python runs one thread at a time: with more, the server's own turn would come late


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


def _listing(query: Query, registry: Registry[Any], facts: tuple[str, ...]) -> list[dict[str, Any]]:
    entries = [registry.get(query["name"])] if "name" in query else registry
    return [_described(entry, facts) for entry in entries]


def _described(entry: Entry, facts: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": entry.name, "label": entry.label, "aliases": list(entry.aliases),
        **{fact: getattr(entry, fact) for fact in facts}, "source": entry.source,
        "options": [
            option.facts(getattr(entry.options, name))
            for name, option in entry.options.OPTIONS.items()
        ],
    }


def sigmas(query: Query) -> dict[str, Any]:
    """The noise levels of a run, for one of the kinds of model, or for one that a node ran with.

    Everything but schedule, steps, denoise and model is an option of the schedule. log_snr is
    null where it is infinite; note is a sentence on this schedule with this model, or null.
    """
    given = dict(query)
    name, model = given.pop("schedule", "simple"), given.pop("model", "sd15")
    steps, denoise = number(given.pop("steps", "20")), number(given.pop("denoise", "1"))
    drawn, wanted = kinds.get(model), wish("schedule", name, {})
    steps = check_steps(name, steps)
    schedule, why = schedule_for(drawn, wanted, steps)
    known = schedule.options.OPTIONS if schedule.entry else {}
    schedule = schedule.but({
        key: known[key].read(text) if key in known else text for key, text in given.items()
    })
    levels = sigmas_for(drawn, schedule, steps, denoise, canvas=drawn.canvas).tolist()
    process = process_of(drawn.sampling)
    notes = [*filter(None, (why, note_on(drawn, schedule, steps, drawn.canvas)))]
    return {
        "schedule": schedule.name, "steps": steps,
        "model": kinds.facts(model, drawn), "note": "\n".join(notes) or None,
        "sigmas": [_json(s) for s in levels],
        "log_snr": [_json(process.log_snr(s)) for s in levels],
    }


def _json(value: float) -> float | None:
    """JSON has no infinity and no NaN; nine digits hold a float32 exactly."""
    return float(f"{value:.9g}") if math.isfinite(value) else None


def answer(make: Callable[[Query], dict[str, Any]], query: Query) -> tuple[int, bytes]:
    """(status, JSON) of one of the functions above."""
    try:
        return 200, json.dumps(make(query)).encode()
    except ValueError as error:
        return 400, json.dumps({"error": str(error)}).encode()


def add() -> bool:
    """Put the routes on the running server; False where there is none, or it has them already."""
    server = getattr(sys.modules.get("server"), "PromptServer", None)
    routes = getattr(getattr(server, "instance", None), "routes", None)
    if routes is None or any(getattr(r, "path", "") == "/stride/sigmas" for r in routes):
        return False
    from aiohttp import web  # the server's own

    workers = ThreadPoolExecutor(_AT_ONCE, "stride")

    def answering(make: Callable[[Query], dict[str, Any]]) -> Callable[[Any], Awaitable[Any]]:
        async def handler(request: Any) -> Any:
            loop = asyncio.get_running_loop()
            status, body = await loop.run_in_executor(workers, answer, make, request.rel_url.query)
            return web.Response(body=body, status=status, content_type="application/json")

        return handler

    for make in (samplers, schedules, sigmas):
        routes.get(f"/stride/{make.__name__}")(answering(make))
    return True
