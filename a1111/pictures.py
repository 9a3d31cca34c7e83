"""What programs leave in the pictures that they save: A1111's text, ComfyUI's graph, records.

Files are opened in ``host/``; what comes here is what stood in them, as text and bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..names import a1111
from . import generation, graphs, infotext, records
from .generation import Generation

_COMMENT = 0x9286
_EXIF_NAMES = {
    _COMMENT: "UserComment", 0x927C: "MakerNote", 0x0131: "Software", 0x0110: "Model",
}
NOTHING = (
    "neither A1111's generation text, nor a graph of ComfyUI's, nor a record of "
    f"{', '.join(program.name for program in records.PROGRAMS)} or Civitai"
)
_FIRST_KEYS = {"Steps", "Sampler", "CFG scale", "Seed"}
_LABELS = {alias: row.label for row in a1111.SAMPLERS for alias in row.aliases}


@dataclass(frozen=True)
class Stored:
    """text: A1111's generation text, or None. graph: the prompt of a ComfyUI run, or None.

    record: another program's, or None. Beside a graph it is what the graph may not say; beside a
    text, that text is what A1111 makes of it.
    """

    text: str | None = None
    graph: Mapping[str, Any] | None = None
    record: records.Record | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that anybody here knows."""
        return (self.text, self.graph, self.record) == (None, None, None)

    def read(self, exact: bool = False) -> tuple[Generation, str]:
        """What it asks for, and what said so; exact: see ``generation.read``.

        Raises ValueError where it is empty, and for a graph without a sampler.
        """
        if self.text is not None and (exact or self.record is None):
            return generation.read(self.text, exact), "A1111's text"
        if self.graph is not None:
            try:
                return graphs.read(self.graph), "ComfyUI's graph"
            except ValueError:
                if self.record is None:
                    raise
        if self.record is not None:
            return records.read(self.record), f"the record of {self.record.program.name}"
        raise ValueError(f"a picture holds {NOTHING}")


def stored(info: Mapping[str, Any], exif: Mapping[int, Any], size: tuple[int, int]) -> Stored:
    """What a picture's metadata holds, A1111's text before anything else.

    info: text chunks of a PNG, "comment" of a GIF or JPEG. exif: {tag: value}, those of the
    sub-directory too. size: (width, height) in pixels. Any text that is no program's, such as a
    phone's note, is left where it is.
    """
    texts = records.Texts({key: text for key, value in info.items() if (text := _text(value))})
    for tag, name in _EXIF_NAMES.items():
        if text := user_comment(exif.get(tag)) if tag == _COMMENT else _text(exif.get(tag)):
            texts.setdefault(name, text.strip("\0"))
    for name in ("parameters", "UserComment"):
        if is_generation_text(texts.get(name, "")):
            return Stored(text=texts[name])
    if record := records.find(texts, size):
        return Stored(text=_novel_ai(texts, size), record=record)
    # ComfyUI's WebP: "prompt:{...}" and "workflow:{...}" in tags from Model on downwards.
    for value in exif.values():
        name, _, rest = (_text(value) or "").partition(":")
        if name in ("prompt", "workflow"):
            texts.setdefault(name, rest)
    beside = records.beside_a_graph(texts, size)
    for name in ("prompt", "workflow", "UserComment", "parameters"):
        if (graph := graphs.load(texts.get(name, ""))) is not None:
            return Stored(graph=graph, record=beside)
    # The comment of a GIF or a JPEG may be anybody's.
    if is_generation_text(texts.get("comment", "")):
        return Stored(text=texts["comment"])
    return Stored(record=beside)


def pasted(text: str) -> Stored:
    """What a text is that was copied out of a picture; one that is nobody's is a prompt."""
    found = stored({"parameters": text}, {}, (0, 0))
    return Stored(text=text) if found.is_empty else found


def is_generation_text(text: str) -> bool:
    """Whether a text has a line of A1111's parameters, among them one of its first keys.

    A graph or a record may have one in a value.
    """
    if records.json_object(text):
        return False
    for line in text.split("\n"):
        keys = {key for key, _ in infotext.parameters(line)}
        if len(keys) >= infotext.LEAST and keys & _FIRST_KEYS:
            return True
    return False


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


def _novel_ai(texts: Mapping[str, str], size: tuple[int, int]) -> str | None:
    """NovelAI's record as the text that A1111 makes of it."""
    if "NovelAI" not in texts.get("Software", ""):
        return None
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
