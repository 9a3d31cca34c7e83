"""Pictures on the host's disk: what is stored in them, and saving one with A1111's text in it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import folder_paths
import numpy as np
import torch
from comfy.cli_args import args

if TYPE_CHECKING:
    from ...a1111.pictures import Stored

_EXIF, _LARGEST = 0x8769, 1 << 30  # sub-directory with the comment; bytes of a file
_FOLDERS = ("input", "output", "temp")
_KEYS = {"parameters", "prompt", "workflow"}
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
    folders = [os.path.realpath(getattr(folder_paths, f"get_{f}_directory")()) for f in _FOLDERS]
    try:
        path = os.path.realpath(folder_paths.get_annotated_filepath(name.strip()))
        inside = any(os.path.commonpath([folder, path]) == folder for folder in folders)
    except ValueError:  # another drive, a null character
        inside = False
    if not inside:
        raise ValueError(f"'{name}' is not in the host's {', '.join(_FOLDERS)} folders")
    if not os.path.isfile(path):
        raise ValueError(f"there is no file '{name}' in the host's {', '.join(_FOLDERS)} folders")
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

    from ...a1111.pictures import stored

    path = path_of(name)
    if os.path.getsize(path) > _LARGEST:
        raise ValueError(f"'{name}' is larger than a gigabyte")
    try:
        with Image.open(path) as picture:  # reads the header alone
            if picture.format == "PNG" and not _KEYS & set(picture.info):
                picture.load()  # text may stand behind the pixels
            exif = picture.getexif()
            tags = {**exif, **exif.get_ifd(_EXIF)}
            return stored(dict(picture.info), tags, picture.size)
    except (
        UnidentifiedImageError, Image.DecompressionBombError, ValueError, OSError, SyntaxError
    ) as error:
        raise ValueError(f"'{name}' is no picture that can be read: {error}") from None


def save(
    images: torch.Tensor, prefix: str, texts: list[str], prompt: Any, extra: dict[str, Any] | None
) -> tuple[list[dict[str, str]], bool]:
    """Save images [B, H, W, 3] from 0 to 1 as PNG in the host's output folder.

    texts: A1111's text of each. prompt, extra: the host's own records, stored as its SaveImage
    stores them. Returns the files as the host's nodes tell them, and whether anything was stored:
    a host run with --disable-metadata stores nothing.
    """
    from PIL import Image, PngImagePlugin

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
            for key, value in {"prompt": prompt, **(extra or {})}.items():
                if value is not None and key != "parameters":
                    chunks.add_text(key, json.dumps(value))
        file = f"{name.replace('%batch_num%', str(number))}_{counter + number:05}_.png"
        pixels = np.clip(255.0 * image.cpu().numpy(), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(
            os.path.join(folder, file), pnginfo=chunks, compress_level=4
        )
        saved.append({"filename": file, "subfolder": sub, "type": "output"})
    return saved, not args.disable_metadata
