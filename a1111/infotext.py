"""A1111's generation text, as it stores it in its pictures: read and written by its own rules.

    a red circle <- the prompt, any number of lines
    Negative prompt: blurry
    Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, "..." around awkward values

Restated from the behaviour of AUTOMATIC1111's webui 1.10.1. Its two regular expressions take
quadratic time on a line that has no key; the scanner here gives the same answers in linear time.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .emphasis import uses_emphasis

NEGATIVE = "Negative prompt:"
# A last line with fewer parameters than these belongs to the prompt.
LEAST = 3
# The order in which A1111 writes; what is not here comes between RNG and Version, as it was given.
ORDER = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Image CFG scale", "Seed",
    "Face restoration", "Size", "Model hash", "Model", "FP8 weight", "Cache FP16 weight for LoRA",
    "VAE hash", "VAE", "Variation seed", "Variation seed strength", "Seed resize from",
    "Denoising strength", "Conditional mask weight", "Clip skip", "ENSD", "Token merging ratio",
    "Token merging ratio hr", "Init image hash", "RNG", "Tiling",
)
LAST = ("Version", "User")
# What A1111 fills in where a text is silent; "Size"-like values stand as two keys.
DEFAULTS: dict[str, Any] = {
    "Clip skip": "1", "Hires resize-1": 0, "Hires resize-2": 0,
    "Hires sampler": "Use same sampler", "Hires schedule type": "Use same scheduler",
    "Hires checkpoint": "Use same checkpoint", "Hires prompt": "", "Hires negative prompt": "",
    "Mask mode": "Inpaint masked", "Masked content": "original", "Inpaint area": "Whole picture",
    "Masked area padding": 32, "RNG": "GPU", "Schedule type": "Automatic",
    "Schedule max sigma": 0, "Schedule min sigma": 0, "Schedule rho": 0, "VAE Encoder": "Full",
    "VAE Decoder": "Full", "FP8 weight": "Disable", "Refiner switch by sampling steps": False,
}

_WORDS = re.compile(r"[\w \-/]+")
_WORD = re.compile(r"\w")
_COLON = re.compile(r":\s*")
_ESCAPE_OR_QUOTE = re.compile(r'\\.|"')
_SIZE = re.compile(r"(\d+)x(\d+)")


def parameters(line: str) -> Iterator[tuple[str, str]]:
    """(key, value) pairs of a parameter line, values as they stand there, quotes included.

    The pairs of ``re.findall(r'\\s*(\\w[\\w \\-/]+):\\s*("(?:\\\\.|[^\\\\"])+"|[^,]*)(?:,|$)')``.
    """
    at = 0
    while found := _WORDS.search(line, at):
        start, end = found.span()
        at = end
        key = _WORD.search(line, start, end - 1)  # a key has two characters or more
        colon = _COLON.match(line, end)
        if key is None or colon is None:
            continue
        value = colon.end()
        stop = _string_end(line, value)
        if stop is None:
            stop = line.find(",", value)
            stop = len(line) if stop < 0 else stop
        yield line[key.start() : end], line[value:stop]
        at = stop + 1


def _string_end(line: str, start: int) -> int | None:
    """Where the quoted string that starts there ends, if a comma or the line's end follows it."""
    if not line.startswith('"', start):
        return None
    for mark in _ESCAPE_OR_QUOTE.finditer(line, start + 1):
        if mark.group() == '"':
            end = mark.end()
            return end if end > start + 2 and line[end : end + 1] in ("", ",") else None
    return None


def quote(value: Any) -> Any:
    """The value as A1111 writes it: as JSON if it has a comma, a colon or a line break."""
    return json.dumps(value, ensure_ascii=False) if set(str(value)) & set(",:\n") else value


def unquote(text: str) -> str:
    """The text of a JSON string; anything else as it is."""
    if text[:1] != '"' or text[-1:] != '"':
        return text
    try:
        found: str = json.loads(text)
    except ValueError:
        return text
    return found


def read(text: str) -> dict[str, str]:
    """What the text says, nothing filled in; a size like 512x768 stands as "Size-1" and "Size-2".

    Every text is accepted: without a line of at least three parameters it is all prompt.
    """
    prompt, negative, pairs = _split(text)
    found = {"Prompt": prompt, "Negative prompt": negative}
    for key, value in pairs:
        if not value:
            continue
        value = unquote(value)
        # A line break can follow the size and nothing else.
        if size := _SIZE.fullmatch(value.removesuffix("\n")):
            found[f"{key}-1"], found[f"{key}-2"] = size.groups()
        else:
            found[key] = value
    return found


def to_parameters(text: str) -> tuple[str, str]:
    """(the text up to its parameters, what stands below them), where other lines follow those.

    Extensions write below the line that A1111 reads, which then takes all of it for a prompt; that
    line has a number of steps in it.
    """
    *lines, last = text.strip().split("\n")
    if "Steps" in dict(parameters(last)):
        return text, ""
    for at in range(len(lines) - 1, -1, -1):
        pairs = dict(parameters(lines[at]))
        if len(pairs) >= LEAST and pairs.get("Steps", "")[:1].isdigit():
            return "\n".join(lines[: at + 1]), "\n".join([*lines[at + 1 :], last])
    return text, ""


def _split(text: str) -> tuple[str, str, list[tuple[str, str]]]:
    """(prompt, negative prompt, parameters) of a text."""
    *lines, last = text.strip().split("\n")
    pairs = list(parameters(last))
    if len(pairs) < LEAST:
        lines, pairs = [*lines, last], []
    prompts: tuple[list[str], list[str]] = [], []
    negative = False
    for line in map(str.strip, lines):
        if line.startswith(NEGATIVE):
            negative = True
            line = line[len(NEGATIVE) :].strip()
        if line or prompts[negative]:  # no empty lines at the start
            prompts[negative].append(line)
    return "\n".join(prompts[0]), "\n".join(prompts[1]), pairs


def parse(text: str) -> dict[str, Any]:
    """All that A1111 makes of the text: what it says, A1111's defaults, and switches for old ones.

    Values out of the text are str, or int where A1111 computes them. For a picture of an old
    release the keys "Pad conds v0", "Downcast alphas_cumprod" and the like become True.
    """
    found: dict[str, Any] = dict(read(text))
    if "Hypernet" in found:
        strength = found.get("Hypernet strength", "1.0")
        found["Prompt"] += f"<hypernet:{found['Hypernet']}:{strength}>"
    if "Hires resize-1" not in found:
        found["Hires resize-1"] = found["Hires resize-2"] = 0
    _first_pass(found)
    found = {**DEFAULTS, **found}
    if found["FP8 weight"] != "Disable":
        found.setdefault("Cache FP16 weight for LoRA", False)
    if "Emphasis" not in found and any(map(uses_emphasis, _split(text)[:2])):
        found["Emphasis"] = "Original"
    return {**found, **_switches(found)}


def _first_pass(found: dict[str, Any]) -> None:
    """Texts of 2022 have the size of the first pass apart; 0x0 is a size of about 512 x 512."""
    keys = ("First pass size-1", "First pass size-2", "Size-1", "Size-2")
    try:
        first = [int(found[key]) for key in keys[:2]]
        final = [int(found.get(key, 512)) for key in keys[2:]]
        if 0 in first:
            scale = math.sqrt(512 * 512 / (final[0] * final[1]))
            first = [math.ceil(scale * side / 64) * 64 for side in final]
    except (KeyError, ValueError, ZeroDivisionError, OverflowError):  # none, or no sizes
        return
    found["Size-1"], found["Size-2"] = first
    found["Hires resize-1"], found["Hires resize-2"] = final


# Release, then pre-release, post-release and development numbers (PEP 440, without epochs).
_VERSION = re.compile(
    r"v?(\d+(?:\.\d+)*)(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d*))?"
    r"(-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?([-_.]?dev[-_.]?\d*)?(?:\+[a-z\d]+(?:[-_.][a-z\d]+)*)?"
)
# Release, phase before it, post-release and development numbers.
VersionKey = tuple[list[int], tuple[int | str, ...], float, float]
_PHASES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


def version_key(text: str) -> VersionKey | None:
    """A value that orders versions like v1.7.0-225-g1234567 as PEP 440 does, or None."""
    parts = text.split("-")
    if len(parts) > 2 and all(parts[:2]):
        text = "-".join(parts[:2])
    found = _VERSION.fullmatch(text.strip().lower()) if len(text) < 100 else None
    if found is None:
        return None
    release, phase, number, post, dev = found.groups()
    digits = [int(part) for part in release.split(".")]
    while digits and digits[-1] == 0:
        digits.pop()
    before: tuple[int | str, ...]
    before = (0, _PHASES.get(phase, phase), int(number or 0)) if phase else (1,)
    if phase is None and post is None and dev is not None:
        before = (-1,)
    return digits, before, _number(post, -1), _number(dev, math.inf)


def _number(part: str | None, missing: float) -> float:
    return missing if part is None else int(re.sub(r"\D", "", part) or 0)


def is_before(version: str, release: str) -> bool:
    """Whether a version comes before that release; one that is no version does not."""
    one, other = version_key(version), version_key(release)
    return one is not None and other is not None and one < other


def _switches(found: Mapping[str, Any]) -> dict[str, bool]:
    """The settings that A1111 turns on to repeat a picture of an older release."""
    version = str(found.get("Version", ""))
    before_160, before_180 = (is_before(version, release) for release in ("1.6.0", "1.8.0"))
    on = {
        "Old prompt editing timelines": before_160 and "[" in found["Prompt"],
        "Pad conds v0": before_160 and found.get("Sampler") in ("DDIM", "PLMS"),
        "Downcast alphas_cumprod": is_before(version, "1.7.0-225"),
        "Refiner switch by sampling steps": before_180 and bool(found.get("Refiner")),
    }
    return {key: True for key, is_on in on.items() if is_on}


def write(prompt: str, negative: str, values: Mapping[str, Any]) -> str:
    """The text that A1111 would store; ``read`` and A1111 find the same values in it.

    values: by A1111's keys, in any order, a size as "512x768"; None is left out. Raises
    ValueError for a key that A1111 could not read, and for fewer than three values, which it
    would take for a part of the prompt.
    """
    given = {key: value for key, value in values.items() if value is not None}
    if len(given) < LEAST:
        has = ", ".join(given) or "none"
        raise ValueError(f"a text has at least {LEAST} parameters, got {has}")
    for key in given:
        if not (_WORDS.fullmatch(key) and len(key) > 1 and _WORD.match(key)):
            raise ValueError(
                f"'{key}' is no key: letters, digits, spaces, - and /, at least two, a letter first"
            )
    known = {*ORDER, *LAST}
    order = [*ORDER, *(key for key in given if key not in known), *LAST]
    line = ", ".join(_pair(key, given[key]) for key in order if key in given)
    return "\n".join(filter(None, (prompt, negative and f"{NEGATIVE} {negative}", line)))


def with_seed(text: str, index: int) -> str:
    """The text of image ``index`` of a batch: A1111 counts the seed up from image to image."""
    head, newline, line = text.rpartition("\n")
    found = dict(parameters(line)).get("Seed", "")
    if not (found.isascii() and found.isdigit() and len(found) <= 20):
        return text
    return head + newline + line.replace(f"Seed: {found}", f"Seed: {int(found) + index}", 1)


def _pair(key: str, value: Any) -> str:
    """"key: value", quoted as A1111 does, and wherever it would not read the bare value back."""
    shown = str(quote(value))
    lines = f"{key}: {shown}".strip(), f"{key}: {shown}, Next: 1"
    # A bare quote at the start would open a string that ends in a later value.
    opens = shown == str(value) and shown.startswith('"')
    back = shown and not opens and unquote(shown) == str(value) and all(
        next(parameters(line), None) == (key, shown) for line in lines
    )
    return lines[0] if back else f"{key}: {json.dumps(str(value), ensure_ascii=False)}"
