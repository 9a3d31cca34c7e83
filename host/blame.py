"""One input alone is to blame.

The host puts what a node's check says on every input that the check looked at, so that a wrong
schedule turns the sampler red as well. Checks of ours begin with the name of the input that they
mean (``words.told``); out of the host's answer to a prompt the copies on the others are taken here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from .renamed import is_ours

_KIND = "custom_validation_failed"
_LARGEST = 1 << 20  # characters of an answer that is looked at
_PATHS = ("/prompt", "/api/prompt")


def sifted(answer: Any) -> bool:
    """Take the copies out of the host's answer to a prompt, in place; whether there were any."""
    nodes = answer.get("node_errors") if isinstance(answer, dict) else None
    changed = False
    for node in nodes.values() if isinstance(nodes, dict) else ():
        if is_ours(node.get("class_type")):
            kept = [error for error in map(_plain, node["errors"]) if error is not None]
            if kept and kept != node["errors"]:
                node["errors"], changed = kept, True
    return changed


def _plain(error: dict[str, Any]) -> dict[str, Any] | None:
    """The error without the name that its text begins with; None where that is another input's."""
    name = error.get("extra_info", {}).get("input_name")
    head, said = f"{name} - ", str(error.get("details"))
    if error.get("type") != _KIND or not said.startswith(head):
        return error
    blamed, colon, text = said[len(head) :].partition(": ")
    if not colon or not blamed.isidentifier():
        return error
    return {**error, "details": head + text} if blamed == name else None


def add() -> bool:
    """Look through the server's answers to prompts; False where there is none or it does."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    layers = getattr(getattr(server, "app", None), "middlewares", None)
    if layers is None or layers.frozen or any(hasattr(layer, "stride") for layer in layers):
        return False
    from aiohttp import web  # the server's own

    @web.middleware
    async def layer(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        response = await handler(request)
        if request.method == "POST" and request.path in _PATHS:
            text = getattr(response, "text", None) or ""
            if len(text) <= _LARGEST and _KIND in text and sifted(answer := json.loads(text)):
                response.text = json.dumps(answer)
        return response

    layer.stride = True
    layers.append(layer)
    return True
