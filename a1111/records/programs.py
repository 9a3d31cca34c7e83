"""Which program wrote a picture's texts, and its keys for our words.

Recorded by hand from what the programs document or write: SwarmUI's page "Image Metadata Format",
Fooocus' meta_parser.py, InvokeAI's CoreMetadata, Easy Diffusion's save_utils.py, and pictures.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Values = Mapping[str, Any]

# Where a record stands as JSON: a PNG's chunk, else EXIF, else a comment.
_PLACES = ("parameters", "UserComment", "Model", "Comment", "comment")
_ANY = ("positive", "sampler", "steps", "seed")  # a record says one of them
_XMP = ("XML:com.adobe.xmp", "xmp")


class Texts(dict[str, str]):
    """By a PNG's keyword or EXIF's name: "parameters", "UserComment"; JSON is read once."""

    def __init__(self, texts: Values) -> None:
        super().__init__(texts)
        self._objects: dict[str, dict[str, Any]] = {}

    def object(self, name: str) -> dict[str, Any]:
        """A copy of the object that the text of that name is; an empty one for any other."""
        if name not in self._objects:
            self._objects[name] = json_object(self.get(name))
        return dict(self._objects[name])


@dataclass(frozen=True)
class Program:
    """keys: by our word, where it says it; the first that is there counts.

    find: its values in a picture's texts, None where they are not its own. options: what its
    samplers do otherwise than ours, for those that have such an option.
    """

    name: str
    find: Callable[[Texts], Values | None]
    keys: Mapping[str, tuple[str, ...]]
    options: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """The values of one program's record; size: the picture's width and height in pixels."""

    program: Program
    values: Values
    size: tuple[int, int]


def find(texts: Texts, size: tuple[int, int]) -> Record | None:
    """The record in a picture's texts; None where there is none that is known."""
    return _first(PROGRAMS, texts, size)


def beside_a_graph(texts: Texts, size: tuple[int, int]) -> Record | None:
    """What stands beside a graph that says more than it, but may lead nowhere."""
    return _first((CIVITAI,), texts, size)


def _first(programs: Iterable[Program], texts: Texts, size: tuple[int, int]) -> Record | None:
    for program in programs:
        values = program.find(texts)
        if values and any(values.get(key) for word in _ANY for key in program.keys[word]):
            return Record(program, values, size)
    return None


def json_object(text: Any) -> dict[str, Any]:
    """The object that a text is; an empty one for any other."""
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _object(values: Values, name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _in_places(texts: Texts, is_its: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    found = (texts.object(place) for place in _PLACES)
    return next((values for values in found if values and is_its(values)), None)


def _swarm(texts: Texts) -> Values | None:
    found = _in_places(texts, lambda values: bool(_object(values, "sui_image_params")))
    if found is None:
        return None
    values = dict(_object(found, "sui_image_params"))
    if values.get("refinermethod", "PostApply") != "PostApply":
        # It takes over the last steps of the one run there: no second pass.
        values["refiner from"] = values.pop("refinercontrolpercentage", None)
    return values


# Steps that a record of Fooocus leaves to its "performance".
_PERFORMANCE = {"Quality": 60, "Speed": 30, "Extreme Speed": 8, "Lightning": 4, "Hyper-SD": 4}


def _fooocus(texts: Texts) -> Values | None:
    marked = "fooocus" in (texts.get("fooocus_scheme"), texts.get("MakerNote"))

    def is_its(values: Values) -> bool:
        names = (values.get(name) for name in ("version", "Version", "software"))
        return (
            marked or {"base_model", "sampler", "scheduler"} <= values.keys()
            or {"Base Model", "Performance"} <= values.keys()
            or any("fooocus" in str(name).lower() for name in names)
        )

    found = _in_places(texts, is_its)
    if found is not None and "steps" not in found and "Steps" not in found:
        performance = found.get("performance", found.get("Performance"))
        steps = _PERFORMANCE.get(performance) if isinstance(performance, str) else None
        found["steps"] = steps
    return found


def _is_novel_ai(chunks: Values) -> bool:
    return "NovelAI" in str(chunks.get("Software"))


def _novel_ai(texts: Texts) -> Values | None:
    """Its Comment; a JPEG or WebP has all of its chunks as JSON in EXIF."""
    chunks: Values = texts
    if not _is_novel_ai(chunks):
        chunks = texts.object("UserComment")
    found = json_object(chunks.get("Comment")) if _is_novel_ai(chunks) else {}
    if not {"sampler", "steps"} <= found.keys():
        return None
    for word, name in (("prompt", "v4_prompt"), ("uc", "v4_negative_prompt")):
        caption = _object(_object(found, name), "caption")
        found[word] = found.get(word) or caption.get("base_caption")
        characters = caption.get("char_captions")
        found[name] = [
            one["char_caption"] for one in characters
            if isinstance(one, dict) and "char_caption" in one
        ] if isinstance(characters, list) else None
    if not found["prompt"]:
        found["prompt"] = chunks.get("Description")
    if found.get("noise_schedule") == "native":
        found["noise_schedule"] = "uniform"  # k-diffusion's own levels of the model
    return {"clip_skip": 2, **found}  # which A1111 takes, too


_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_SWITCH = re.compile(r"(?:^|\s)-([sSWHCAf])\s*(\S+)")
_SWITCHES = {"s": "steps", "S": "seed", "W": "width", "H": "height", "C": "cfg_scale",
             "A": "scheduler", "f": "strength"}  # fmt: skip


def _invoke(texts: Texts) -> Values | None:
    """Since 3.0 an object of its own; before, the prompt had the negative one in brackets."""
    found = texts.object("invokeai_metadata")
    old = _object(texts.object("sd-metadata"), "image")
    if not found and old:
        prompts = old.get("prompt")
        if isinstance(prompts, list):  # of several, with a weight each
            prompts = " ".join(
                one["prompt"] for one in prompts
                if isinstance(one, dict) and isinstance(one.get("prompt"), str)
            )
        found = {**old, **_bracketed(prompts), "scheduler": old.get("sampler")}
        found.pop("sampler", None)
    if not found and (dream := texts.get("Dream", "").strip()).startswith('"'):
        prompt, _, rest = dream[1:].rpartition('"')
        found = {**_bracketed(prompt), **{
            _SWITCHES[letter]: value for letter, value in _SWITCH.findall(rest)
        }}
    if not found:
        return None
    name = found.get("scheduler")
    if isinstance(name, str) and name.endswith("_k"):
        found |= {"scheduler": name[:-2], "levels": "karras"}
    if isinstance(skipped := found.get("clip_skip"), int):
        found["clip_skip"] = skipped + 1  # it counts the layers that are left out
    if "guidance" in found:
        found.setdefault("cfg_scale", 1.0)  # Flux: its guidance is the model's
    return found


def _bracketed(prompt: Any) -> dict[str, Any]:
    if not isinstance(prompt, str):
        return {"prompt": None}
    negative = ", ".join(_BRACKETS.findall(prompt))
    return {"prompt": _BRACKETS.sub("", prompt).strip(), "negative_prompt": negative}


def _draw_things(texts: Texts) -> Values | None:
    """JSON in XMP's UserComment; in EXIF's, where another program saved it as JPEG."""
    for place in _XMP:
        text = texts.get(place, "")
        at = text.find("exif:UserComment")
        if at < 0 or (start := text.find("{", at)) < 0:
            continue
        try:  # in XML a < in a text is escaped
            found, _ = json.JSONDecoder().raw_decode(
                html.unescape(text[start:].partition("<")[0])
            )
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            break
    else:
        found = _in_places(texts, lambda values: {"c", "sampler"} <= values.keys())
    if not found or not {"c", "sampler"} <= found.keys():
        return None
    more = found.pop("v2", None)  # the same, by longer names, and all else that there is
    if isinstance(more, dict):
        found.setdefault("clip_skip", more.get("clipSkip"))
    return found


def _easy(texts: Texts) -> Values | None:
    """A chunk for each value, or one JSON; the keys of its text files where it writes those."""
    def is_its(values: Mapping[str, Any]) -> bool:
        return {"num_inference_steps", "sampler_name"} <= values.keys() or (
            {"Stable Diffusion model", "Guidance Scale"} <= values.keys()
        )

    found: dict[str, Any] | None
    found = dict(texts) if is_its(texts) else _in_places(texts, is_its)
    if found is None:
        return None
    for name in ("clip_skip", "Clip Skip"):
        if name in found:
            found[name] = 2 if str(found[name]).lower() == "true" else None  # on or off
    return found


def _civitai(texts: Texts) -> Values | None:
    """What its generator was asked for, as JSON in a string beside the nodes."""
    for place in ("UserComment", "prompt", "parameters", "comment"):
        said = texts.object(place).get("extraMetadata")
        if found := said if isinstance(said, dict) else json_object(said):
            return found
    return None


def _named(**keys: str) -> dict[str, tuple[str, ...]]:
    """The keys of a program by our words, several with a | between them."""
    return {word: tuple(names.split("|")) for word, names in keys.items()}


_SIZED = {"width": "width", "height": "height"}
_PLAIN = {"steps": "steps", "seed": "seed", **_SIZED}

PROGRAMS = (
    Program("SwarmUI", _swarm, _named(
        positive="prompt", negative="negativeprompt", sampler="sampler|comfyuisampler",
        schedule="scheduler|comfyuischeduler", cfg="cfgscale", denoise="initimagecreativity",
        again="refinercontrolpercentage", again_steps="refinersteps", scale="refinerupscale",
        **_PLAIN,
    )),
    Program("Fooocus", _fooocus, _named(
        positive="prompt|Prompt", negative="negative_prompt|Negative Prompt|Negative",
        sampler="sampler|Sampler|sampler_name", schedule="scheduler|Scheduler",
        steps="steps|Steps", cfg="guidance_scale|Guidance Scale|cfg", seed="seed|Seed",
        size="resolution|Resolution", clip_skip="clip_skip|CLIP Skip", **_SIZED,
    )),
    Program("NovelAI", _novel_ai, _named(
        positive="prompt", negative="uc", sampler="sampler", schedule="noise_schedule",
        cfg="scale", denoise="strength", clip_skip="clip_skip", **_PLAIN,
    ), options={"noise": "a1111_nv", "ensd": 31337}),
    Program("InvokeAI", _invoke, _named(
        positive="positive_prompt|prompt", negative="negative_prompt", sampler="scheduler",
        schedule="levels", cfg="cfg_scale", denoise="strength", clip_skip="clip_skip", **_PLAIN,
    )),
    Program("Draw Things", _draw_things, _named(
        positive="c", negative="uc", sampler="sampler", steps="steps", cfg="scale", seed="seed",
        size="size", denoise="strength", clip_skip="clip_skip", **_SIZED,
    )),
    Program("Easy Diffusion", _easy, _named(
        positive="prompt|Prompt", negative="negative_prompt|Negative Prompt",
        sampler="sampler_name|Sampler", schedule="scheduler_name|Scheduler",
        steps="num_inference_steps|Steps", cfg="guidance_scale|Guidance Scale",
        seed="seed|Seed", width="width|Width", height="height|Height",
        denoise="prompt_strength|Prompt Strength", clip_skip="clip_skip|Clip Skip",
    )),
)  # fmt: skip
CIVITAI = Program("Civitai", _civitai, _named(
    positive="prompt", negative="negativePrompt", sampler="sampler", schedule="scheduler",
    cfg="cfgScale", denoise="denoise", clip_skip="clipSkip", **_PLAIN,
))  # fmt: skip
