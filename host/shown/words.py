"""What a node tells the person who looks at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Characters of a text that are looked at while a prompt is checked, which is done on the server's
# event loop. Names are shorter; a longer text is looked at when its node runs.
LOOKED_AT = 4000


def told(check: Callable[..., object], *values: Any, **named: Any) -> bool | str:
    """What the host's ``validate_inputs`` returns: True, or what ``check`` finds wrong.

    What one input alone is to blame for begins with its name; see ``blame``.
    """
    try:
        check(*values, **named)
    except ValueError as error:
        blames = getattr(error, "blames", None)
        return f"{blames}: {error}" if blames else str(error)
    return True


def show_report(node_id: str | None, report: dict[str, Any]) -> dict[str, Any]:
    """Put a run's report on a node; returns it as the node's ``ui`` keeps it."""
    calls = report["model_calls"]
    counted = "model calls not counted" if calls is None else f"{calls} model calls"
    steps = f"{report['steps']} steps"
    if "accepted" in report:
        steps = f"{report['accepted']} steps accepted, {report['rejected']} rejected"
    line = f"{steps}, {counted}, {report['seconds']:.2f} s"
    if "note" in report:
        line += f"\n{report['note']}"
    show_on_node(node_id, line)
    return {"stride": [report], "text": [line]}


def show_on_node(node_id: str | None, text: str) -> None:
    """Put a line of text on a node in the open frontend, where there is one."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if node_id is not None and hasattr(server, "send_progress_text"):
        server.send_progress_text(text, node_id)
