"""What programs leave in the pictures that they save: A1111's text, or ComfyUI's graph.

Files are opened in ``host/``; what comes here is what stood in them, as text and bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..names import a1111
from . import graphs

_LABELS = {alias: row.label for row in a1111.SAMPLERS for alias in row.aliases}


@dataclass(frozen=True)
class Stored:
    """text: A1111's generation text, or None. graph: the prompt of a ComfyUI run, or None."""

    text: str | None = None
    graph: Mapping[str, Any] | None = None


def stored(info: Mapping[str, Any], exif: Mapping[int, Any], size: tuple[int, int]) -> Stored:
    """What a picture's metadata holds, A1111's text before anything else.

    info: text chunks of a PNG, "comment" of a GIF or JPEG. exif: {tag: value}, those of the
    sub-directory too. size: (width, height) in pixels.
    """
    texts = {key: _text(value) for key, value in info.items()}
    if text := texts.get("parameters"):
        return Stored(text=text)
    if text := user_comment(exif.get(0x9286)):
        return Stored(text=text)
    if "NovelAI" in (texts.get("Software") or "") and (text := _novel_ai(texts, size)):
        return Stored(text=text)
    # ComfyUI's WebP: "prompt:{...}" and "workflow:{...}" in tags from Model on downwards.
    for value in exif.values():
        name, _, rest = (_text(value) or "").partition(":")
        if name in ("prompt", "workflow"):
            texts.setdefault(name, rest)
    for name in ("prompt", "workflow"):
        if (graph := graphs.load(texts.get(name) or "")) is not None:
            return Stored(graph=graph)
    # The comment of a GIF or a JPEG may be anybody's: A1111's has its parameters.
    if (text := texts.get("comment")) and "Steps: " in text:
        return Stored(text=text)
    return Stored()


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else None


def user_comment(value: Any) -> str | None:
    """The text of EXIF's UserComment: eight bytes name its encoding.

    UNICODE is UTF-16, big-endian as A1111 writes it; little-endian is told by where the zeros of
    its plain letters are.
    """
    if isinstance(value, str):
        return value or None
    if not isinstance(value, bytes) or not value.strip(b"\0 "):
        return None
    kind, rest = value[:8], value[8:]
    if kind == b"UNICODE\0":
        if rest[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return rest.decode("utf-16", errors="replace")
        big = rest[::2].count(0) >= rest[1::2].count(0)
        return rest.decode("utf-16-be" if big else "utf-16-le", errors="replace").rstrip("\0")
    if kind == b"JIS\0\0\0\0\0":
        return rest.decode("iso2022_jp", errors="replace")
    if kind in (b"ASCII\0\0\0", b"\0" * 8):
        return rest.decode("utf-8", errors="replace").rstrip("\0")
    return value.decode("utf-8", errors="replace")


def _novel_ai(texts: Mapping[str, str | None], size: tuple[int, int]) -> str | None:
    """NovelAI's record as the text that A1111 makes of it."""
    try:
        told = json.loads(texts.get("Comment") or "")
        sampler = _LABELS.get(str(told["sampler"]).lower(), "Euler a")
        return (
            f"{texts.get('Description') or ''}\nNegative prompt: {told['uc']}\n"
            f"Steps: {told['steps']}, Sampler: {sampler}, CFG scale: {told['scale']}, "
            f"Seed: {told['seed']}, Size: {size[0]}x{size[1]}, Clip skip: 2, ENSD: 31337"
        )
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
