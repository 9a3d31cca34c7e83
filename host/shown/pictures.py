"""Pictures on the host's disk: what is stored in them, and saving one with A1111's text in it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import folder_paths
import numpy as np
import torch
from comfy.cli_args import args

from ...registry import shown

if TYPE_CHECKING:
    from ...a1111.pictures import Stored

_EXIF, _LARGEST = 0x8769, 1 << 30  # sub-directory with the comment; bytes of a file
_LONGEST = 1000  # characters of a file's name: every folder in it is looked up, on the event loop
_FOLDERS = ("input", "output", "temp")
NONE = "(none)"


def choices() -> list[str]:
    """The pictures in the host's input folder, behind a word for none."""
    folder = folder_paths.get_input_directory()
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        names = []
    return [NONE, *sorted(folder_paths.filter_files_content_types(names, ["image"]))]


def path_of(name: str) -> str:
    """The file of a name as the host's widgets write it: "a.png", "sub/a.png [output]".

    A path may also be given in full. Raises ValueError for what lies outside the host's input,
    output and temp folders, symbolic links followed, and for what is no file there.
    """
    if not isinstance(name, str):
        raise ValueError(f"an image is chosen by its file's name, got {shown(name)}")
    where = f"in the host's {', '.join(_FOLDERS)} folders"
    if len(name) > _LONGEST:
        raise ValueError(f"there is no file {shown(name)} {where}: its name is too long")
    folders = [os.path.realpath(getattr(folder_paths, f"get_{f}_directory")()) for f in _FOLDERS]
    try:
        path = os.path.realpath(folder_paths.get_annotated_filepath(name.strip()))
        inside = any(os.path.commonpath([folder, path]) == folder for folder in folders)
    except ValueError:  # another drive, a null character
        inside = False
    if not inside:
        raise ValueError(f"{shown(name)} is not {where}")
    if not os.path.isfile(path):
        raise ValueError(f"there is no file {shown(name)} {where}")
    return path


def check(name: str | None) -> None:
    """Raises ValueError where a widget's choice of a picture is not there; None: not known yet."""
    if name not in (None, "", NONE):
        path_of(name)


def changed(name: str | None) -> str:
    """A word that is another one when the file is another one."""
    if name in (None, "", NONE):
        return ""
    try:
        facts = os.stat(path_of(name))
    except ValueError:
        return ""
    return f"{facts.st_mtime_ns} {facts.st_size}"


def stored_in(name: str) -> Stored:
    """What a picture of the host's folders has stored in it; see ``path_of`` for the name.

    Raises ValueError where the file is no picture.
    """
    from PIL import Image, UnidentifiedImageError

    from ...a1111 import png
    from ...a1111.pictures import stored

    path = path_of(name)
    if os.path.getsize(path) > _LARGEST:
        raise ValueError(f"{shown(name)} is larger than a gigabyte")
    try:
        with open(path, "rb") as file:
            if file.read(len(png.SIGNATURE)) == png.SIGNATURE:
                file.seek(0)  # Pillow would decode all pixels to look behind them
                size, texts, data = png.read(file)
                return stored(texts, _tags(_exif(data)), size)
        with Image.open(path) as picture:  # reads the header alone
            return stored(dict(picture.info), _tags(picture.getexif()), picture.size)
    except (
        UnidentifiedImageError, Image.DecompressionBombError, ValueError, OSError, SyntaxError
    ) as error:
        said = str(error)[:200]
        raise ValueError(f"{shown(name)} is no picture that can be read: {said}") from None


def _exif(data: bytes) -> Any:
    """The EXIF of a PNG's chunk."""
    from PIL import Image

    found = Image.Exif()
    if data:
        found.load(data)
    return found


def _tags(exif: Any) -> dict[int, Any]:
    """All tags, those of the sub-directory with the comment too."""
    return {**exif, **exif.get_ifd(_EXIF)}


def save(
    images: torch.Tensor, prefix: str, texts: list[str], prompt: Any, extra: dict[str, Any] | None
) -> tuple[list[dict[str, str]], bool]:
    """Save images [B, H, W, 3] from 0 to 1 as PNG in the host's output folder.

    texts: A1111's text of each. prompt, extra: the host's own records, stored as its SaveImage
    stores them. Returns the files as the host's nodes tell them, and whether anything was stored:
    a host run with --disable-metadata stores nothing. Raises ValueError, before any is saved, for
    texts that no program would read back.
    """
    from PIL import Image, PngImagePlugin

    from ...a1111.png import MOST

    records = {
        key: json.dumps(value) for key, value in {"prompt": prompt, **(extra or {})}.items()
        if value is not None and key != "parameters"
    }
    size = sum(map(len, records.values())) + max(
        (len(text.encode("utf-8")) for text in texts), default=0
    )
    if size > MOST and not args.disable_metadata:
        raise ValueError(
            f"the text and the workflow have {size / 1e6:.0f} MB; of a picture no more than "
            f"{MOST >> 20} MB of text can be read back"
        )
    height, width = images.shape[1:3]
    folder, name, counter, sub, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory(), width, height
    )
    saved = []
    for number, (image, text) in enumerate(zip(images, texts)):
        chunks = PngImagePlugin.PngInfo()
        if not args.disable_metadata:
            # As it is: the host's SaveImage would write it as JSON, which A1111 cannot read.
            chunks.add_text("parameters", text)
            for key, record in records.items():
                chunks.add_text(key, record)
        file = f"{name.replace('%batch_num%', str(number))}_{counter + number:05}_.png"
        pixels = np.clip(255.0 * image.cpu().numpy(), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(
            os.path.join(folder, file), pnginfo=chunks, compress_level=4
        )
        saved.append({"filename": file, "subfolder": sub, "type": "output"})
    return saved, not args.disable_metadata
