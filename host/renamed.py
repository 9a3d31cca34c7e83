"""Prompts in words that our nodes no longer use, or that people bring from the host's nodes."""

from __future__ import annotations

import sys
from typing import Any

# Names of inputs, old and new. The host calls a schedule "scheduler" and a sampler "sampler_name".
INPUTS = {"scheduler": "schedule", "sampler_name": "sampler"}


def rename(data: dict[str, Any]) -> dict[str, Any]:
    """A posted prompt, with the inputs of our own nodes under the names that they have now.

    An input that is there under its new name stays; nodes of others are left alone.
    """
    for node in data.get("prompt", {}).values():
        ours = isinstance(node, dict) and str(node.get("class_type", "")).startswith("Stride")
        inputs = node.get("inputs") if ours else None
        for old, new in INPUTS.items():
            if isinstance(inputs, dict) and old in inputs and new not in inputs:
                inputs[new] = inputs.pop(old)
    return data


def add() -> bool:
    """Rename in every prompt that the server is sent; False where there is none or it does."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    handlers = getattr(server, "on_prompt_handlers", None)
    if handlers is None or rename in handlers:
        return False
    server.add_on_prompt_handler(rename)
    return True
