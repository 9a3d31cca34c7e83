"""What of a graph is not carried over: a line for each node that says more than was read of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .table import OUTPUTS, is_link, kind
from .values import EVALUATED
from .walk import Graph, is_sampling

_LONGEST, _SHORT = 160, 60  # characters of a line, of a value in it
# Inputs that change no picture, and values that are everybody's.
_QUIET = {
    "filename_prefix", "control_after_generate", "noise_device", "upload", "image_upload",
    "add_noise", "start_at_step", "end_at_step", "return_with_leftover_noise", "weight_dtype",
    "device", "type", "save_output", "overwrite_mode", "upscale_method", "tile_size", "overlap",
    "temporal_size", "temporal_overlap",
}
_USUAL = {"batch_size": 1, "denoise": 1.0, "scale_method": "lanczos", "crop": "disabled"}
_SAID = {  # nodes of which all is said elsewhere, or nothing needs saying
    "BasicGuider", "CFGGuider", "CLIPTextEncode", "ComfySwitchNode", "ConditioningCombine",
    "ConditioningConcat", "ConditioningZeroOut", "CreateVideo", "DisableNoise", "EmptyImage",
    "GetImageSize", "KSamplerSelect", "LTXVSeparateAVLatent", "PreviewAny", "PreviewImage",
    "RandomNoise", "Reroute", "SaveImage", "SaveVideo", "SeedNode", "StrideReport", "VAEDecode",
    "VAEDecodeTiled", "VAEEncode", "VAELoader",
}


def lines(graph: Graph, keys: list[str], skipped: set[str]) -> Iterator[str]:
    """For the nodes in their order, without those that have their own sentence."""
    for key in keys:
        node = graph.nodes[key]
        name = kind(node)
        values = _unread(graph, key)
        if key in skipped or name in EVALUATED or name.startswith("Primitive"):
            continue  # a value that is used was read where it is used
        if values or not (name in _SAID or key in graph.read and _is_source(name)):
            told = ", ".join(f"{n} {_short(v)}" for n, v in values.items())
            line = f"{name}: {told}" if told else name
            yield line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _is_source(name: str) -> bool:
    """Whether a class begins a way, so that what was read of it is all that it is."""
    row = OUTPUTS.get(name)
    return row is None or not any(
        made and output == "CONDITIONING" for output, made in row.items()
    )


def _unread(graph: Graph, key: str) -> dict[str, Any]:
    """The values of a node that were not carried over and might have changed the picture."""
    node, read = graph.nodes[key], graph.read.get(key, set())
    quiet = _QUIET if not is_sampling(node) else _QUIET | {"seed", "noise_seed", "denoise"}
    return {
        name: value for name, value in node["inputs"].items()
        if not is_link(value) and name not in read and name not in quiet
        and value not in (None, "") and _USUAL.get(name, _USUAL) != value
        and isinstance(value, (int, float, str, bool))
    }


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}..."
