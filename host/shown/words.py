"""What a node tells the person who looks at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def told(check: Callable[..., object], *values: Any) -> bool | str:
    """What the host's ``validate_inputs`` returns: True, or what ``check`` finds wrong."""
    try:
        check(*values)
    except ValueError as error:
        return str(error)
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
