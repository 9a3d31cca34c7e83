"""The texts of a PNG file, read chunk by chunk: no pixel is decoded, wherever they stand.

A chunk that is no text is stepped over unread. What is kept is bounded by what Pillow, and so A1111
and ComfyUI, would read: a compressed text may be a thousand times as long as the file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST, _MOST_PACKED = 64 << 20, 1 << 20  # bytes of all texts together; of one that was compressed
_TOO_MUCH = f"it has more than {MOST >> 20} MB of text"
_CHUNKS = 100_000


class Png(NamedTuple):
    """size: (width, height) in pixels. texts: by keyword, the last of each. exif: its bytes."""

    size: tuple[int, int]
    texts: dict[str, str]
    exif: bytes


def read(file: BinaryIO) -> Png:
    """What a PNG says of itself. Raises ValueError for a file that is none, and for too much text.

    A file that ends too early has the texts up to there.
    """
    if file.read(len(SIGNATURE)) != SIGNATURE:
        raise ValueError("it is no PNG")
    size: tuple[int, int] | None = None
    texts: dict[str, str] = {}
    exif, left = b"", MOST
    for kind, data in _chunks(file):
        if kind == b"IHDR" and len(data) >= 8:
            size = struct.unpack(">II", data[:8])
        elif kind == b"eXIf":
            exif = exif or data
        elif kind in _TEXTS:
            keyword, _, rest = data.partition(b"\0")
            text = texts[keyword.decode("latin-1")] = _TEXTS[kind](rest)
            left -= len(text)
            if left < 0:
                raise ValueError(_TOO_MUCH)
    if size is None:
        raise ValueError("it has no header")
    return Png(size, texts, exif or _as_text(texts.get("Raw profile type exif", "")))


def _as_text(text: str) -> bytes:
    """EXIF as ImageMagick once wrote it: a name, a length, and hexadecimal digits."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """(kind, data) of each chunk that is looked at; sums are not checked, as programs do not."""
    left = MOST
    for _ in range(_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        length, kind = struct.unpack(">I", head[:4])[0], head[4:]
        if kind in _TEXTS or kind in (b"IHDR", b"eXIf"):
            left -= length
            if left < 0:
                raise ValueError(_TOO_MUCH)
            yield kind, file.read(length)
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)


def _inflated(data: bytes) -> bytes:
    """A compressed text; one that is broken is none."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, _MOST_PACKED)
    except zlib.error:
        return b""
    if inflater.unconsumed_tail:
        raise ValueError(f"it has a compressed text of more than {_MOST_PACKED >> 20} MB")
    return text


def _plain(data: bytes) -> str:
    return data.decode("latin-1")


def _compressed(data: bytes) -> str:
    return _inflated(data[1:]).decode("latin-1") if data[:1] == b"\0" else ""


def _international(data: bytes) -> str:
    """Two bytes on compression, a language and a translated keyword, then UTF-8."""
    packed, rest = data[:2], data[2:].split(b"\0", 2)
    if len(rest) < 3 or packed not in (b"\0\0", b"\1\0"):
        return ""
    text = rest[2] if packed == b"\0\0" else _inflated(rest[2])
    return text.decode("utf-8", "replace")


_TEXTS = {b"tEXt": _plain, b"zTXt": _compressed, b"iTXt": _international}
