"""Prompts in words that our nodes no longer use, or that people bring from the host's nodes."""

from __future__ import annotations

import sys
from typing import Any

# Names of inputs, old and new. The host calls a schedule "scheduler" and a sampler "sampler_name".
INPUTS = {"scheduler": "schedule", "sampler_name": "sampler"}


def rename(data: dict[str, Any]) -> dict[str, Any]:
    """A posted prompt, with the inputs of our own nodes under the names that they have now.

    An input that is there under its new name stays; nodes of others are left alone. An input that
    is null is none, so that the host says which one is missing: to a node that checks its inputs
    it would look like one that is linked.
    """
    prompt = data.get("prompt")
    for node in prompt.values() if isinstance(prompt, dict) else ():
        ours = isinstance(node, dict) and is_ours(node.get("class_type"))
        inputs = node.get("inputs") if ours else None
        if not isinstance(inputs, dict):
            continue
        for name in [name for name, value in inputs.items() if value is None]:
            del inputs[name]
        for old, new in INPUTS.items():
            if old in inputs and new not in inputs:
                inputs[new] = inputs.pop(old)
    return data


def is_ours(class_type: object) -> bool:
    """Whether a node of that class is one of ours."""
    return isinstance(class_type, str) and class_type.startswith("Stride")


def add() -> bool:
    """Rename in every prompt that the server is sent; False where there is none or it does."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    handlers = getattr(server, "on_prompt_handlers", None)
    if handlers is None or rename in handlers:
        return False
    server.add_on_prompt_handler(rename)
    return True
