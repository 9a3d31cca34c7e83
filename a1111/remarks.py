"""What a person should know of a text's prompts and of the values that were not carried over."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from .emphasis import uses_emphasis

_TAG = re.compile(r"<\w+:")
_LONGEST = 160  # characters of a value that are quoted
# By the start of a key.
_HINTS = {
    "Model": "choose it in a loader",
    "VAE": "choose it in a VAE loader",
    "Module": "choose it in a loader",
    "Lora hashes": "load them with LoRA loaders",
    "TI hashes": "write embedding:name in the prompt",
    "Hashes": "",
    "Refiner": "a second model for the last steps: two KSampler Advanced nodes",
    "ControlNet": "build it with ControlNet nodes",
    "Init image hash": "the picture that it started from is not in the text",
    "Variation seed": "carried over with exact on",
    "Seed resize": "carried over with exact on",
    "Distilled CFG Scale": "set it in a FluxGuidance node",
    "Hires upscaler": "scale the latent, or decode and use an upscale model",
    "Hires prompt": "the second pass has a prompt of its own",
    "Hires negative prompt": "the second pass has a prompt of its own",
    "Hires CFG": "the second pass has a guidance of its own",
    "Mask": "an inpainting run: set the mask in the graph",
    "Tiling": "needs a model patched for it",
    "Face restoration": "needs nodes for it",
    "Emphasis": "",
}


def tags(prompt: str) -> Iterator[tuple[int, int]]:
    """Where the <lora:name:1> and other such tags begin and end."""
    at = 0
    while start := _TAG.search(prompt, at):
        end = prompt.find(">", start.end())
        if end < 0:
            return
        at = end + 1
        if end > start.end():
            yield start.start(), at


def without_tags(prompt: str) -> str:
    """The prompt as the text encoder gets it in A1111."""
    kept, at = [], 0
    for start, end in tags(prompt):
        kept.append(prompt[at:start])
        at = end
    return "".join([*kept, prompt[at:]]).strip()


def tag_remarks(*prompts: str) -> list[str]:
    """A sentence for each tag that ``without_tags`` takes out."""
    found = [prompt[start:end] for prompt in prompts for start, end in tags(prompt)]
    return [f"{short(tag)}: taken out of the prompt; load it with a LoRA loader" for tag in found]


def prompt_remarks(*prompts: str) -> list[str]:
    """What A1111's prompts say that ComfyUI's text encoding reads otherwise, as sentences."""
    said = tag_remarks(*prompts)
    text = "\n".join(prompts)
    bare = text.replace("\\[", "").replace("\\(", "")
    if "[" in bare:
        said.append("[...] in the prompt (less weight, or editing by steps) is plain text here")
    if re.search(r"\bBREAK\b", text):
        said.append("BREAK in the prompt is plain text here: use ConditioningConcat")
    if re.search(r"\bAND\b", text):
        said.append("AND in the prompt is plain text here: use ConditioningCombine")
    if "(" in bare and uses_emphasis(bare):
        said.append("A1111 brings weighted prompts back to their mean, ComfyUI does not")
    return said


def leftovers(said: Mapping[str, str], taken: Collection[str]) -> list[str]:
    """A line for each value of the text that nothing was made of."""
    lines = []
    for key, value in said.items():
        if key in taken:
            continue
        start = next((start for start in _HINTS if key.startswith(start)), None)
        hint = "" if start is None else _HINTS[start]
        lines.append(f"{short(key)}: {short(value)}" + (f" ({hint})" if hint else ""))
    return lines


def short(text: str) -> str:
    """The beginning of a text, as a line on a node has room for."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
