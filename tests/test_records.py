"""What other programs store in their pictures, each as it writes it, in our words.

The records are written anew, by the keys that the programs document or write.
"""

import json
from html import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stride.a1111 import generation, pictures, records
from stride.a1111.report import report

SIZE = (640, 448)  # of the picture
COMMENT, MAKER, MODEL = 0x9286, 0x927C, 0x0110

SWARM = {
    "prompt": "a cat <lora:ink:0.8>", "negativeprompt": "dog", "model": "sub/base_xl", "seed": 1,
    "steps": "20", "cfgscale": 6.5, "width": 1024, "height": 768, "sampler": "dpmpp_2m",
    "scheduler": "karras", "swarm_version": "0.9.3.1",
}  # fmt: skip
FOOOCUS = {
    "prompt": "a cat", "negative_prompt": "dog", "styles": "['Fooocus V2']", "steps": 30,
    "performance": "Speed", "resolution": "(1152, 896)", "guidance_scale": 4.0, "sharpness": 2.0,
    "base_model": "juggernaut", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras",
    "seed": "123456789012", "full_prompt": ["a cat", "fine detail"], "version": "Fooocus v2.5.5",
}  # fmt: skip
FOOOCUS_LOG = {
    "Prompt": "a cat", "Negative Prompt": "dog", "Performance": "Quality", "Steps": 60,
    "Resolution": "(1152, 896)", "Guidance Scale": 4.0, "Base Model": "juggernaut.safetensors",
    "Sampler": "dpmpp_2m_sde_gpu", "Scheduler": "karras", "Seed": 5,
}  # fmt: skip
INVOKE = {
    "app_version": "5.0.0", "generation_mode": "txt2img", "positive_prompt": "a cat",
    "negative_prompt": "dog", "width": 512, "height": 768, "seed": 3, "rand_device": "cpu",
    "cfg_scale": 7.5, "steps": 25, "scheduler": "dpmpp_2m_sde_k", "clip_skip": 1,
    "model": {"name": "dreamer", "base": "sd-1"}, "loras": [],
}  # fmt: skip
INVOKE_2 = {"model_weights": "sd-1.5", "image": {
    "prompt": [{"prompt": "a cat [dog, blurry]", "weight": 1.0}], "steps": 50, "cfg_scale": 7.5,
    "sampler": "k_euler_a", "seed": 9, "width": 512, "height": 640, "variations": [],
}}  # fmt: skip
NOVEL = {
    "prompt": "a cat", "uc": "dog", "steps": 28, "scale": 5, "seed": 3071474384, "width": 832,
    "height": 1216, "sampler": "k_euler_ancestral", "noise_schedule": "karras",
    "v4_prompt": {"caption": {"base_caption": "a cat", "char_captions": [
        {"char_caption": "a boy", "centers": []}]}},
}  # fmt: skip
DRAWN = {
    "c": "a cat & <a> dog", "uc": "fog", "sampler": "DPM++ 2M Trailing", "scale": 4.5, "seed": 7,
    "seed_mode": "Scale Alike", "steps": 16, "strength": 1, "size": "768x512", "model": "x.ckpt",
    "v2": {"clipSkip": 2, "steps": 16},
}  # fmt: skip
EASY = {
    "prompt": "a cat", "negative_prompt": "dog", "seed": 5, "use_stable_diffusion_model": "sd-v1-5",
    "clip_skip": True, "sampler_name": "euler_a", "width": 512, "height": 640,
    "num_inference_steps": 25, "guidance_scale": 7.5, "use_lora_model": None,
}  # fmt: skip
EASY_TEXT = {
    "Prompt": "a cat", "Negative Prompt": "dog", "Seed": "5", "Stable Diffusion model": "sd-v1-5",
    "Clip Skip": "False", "Sampler": "dpmpp_2m", "Width": "512", "Height": "640", "Steps": "25",
    "Guidance Scale": "7.5",
}  # fmt: skip
CIVITAI = {
    "resource-stack": {"class_type": "CheckpointLoaderSimple", "inputs": {
        "ckpt_name": "urn:air:sdxl:checkpoint:civitai:1@2"}},
    "6": {"class_type": "smZ CLIPTextEncode", "inputs": {
        "text": "a cat", "clip": ["resource-stack", 1]}},
    "7": {"class_type": "smZ CLIPTextEncode", "inputs": {
        "text": "dog", "clip": ["resource-stack", 1]}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 832, "height": 1216}},
    "11": {"class_type": "KSampler", "inputs": {
        "sampler_name": "euler_ancestral", "scheduler": "karras", "seed": 4, "steps": 25, "cfg": 6,
        "denoise": 1.0, "model": ["resource-stack", 0], "positive": ["6", 0],
        "negative": ["7", 0], "latent_image": ["5", 0]}},
    "extra": {"airs": []},
    "extraMetadata": json.dumps({
        "prompt": "a cat", "negativePrompt": "dog", "steps": 25, "cfgScale": 6, "seed": 4,
        "sampler": "Euler a", "width": 832, "height": 1216, "workflowId": "txt2img"}),
}  # fmt: skip


def comment(value, encoding="utf-16-be"):
    """EXIF with the record as its UserComment."""
    return {COMMENT: b"UNICODE\0" + json.dumps(value).encode(encoding)}


def chunk(value, key="parameters", **more):
    """A PNG's texts with the record under one key."""
    return {key: json.dumps(value), **more}


def xmp(value):
    """XMP as Draw Things writes it."""
    said = escape(json.dumps(value), quote=False)
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description rdf:about="">'
        "<xmp:CreatorTool>Draw Things</xmp:CreatorTool><exif:UserComment><rdf:Alt>"
        f'<rdf:li xml:lang="x-default">{said}</rdf:li></rdf:Alt></exif:UserComment>'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def read(info, exif=None, size=SIZE):
    """(what was read of a picture's metadata, what said it)."""
    return pictures.stored(info, exif or {}, size).read()


# (program, PNG's texts, EXIF) and what it asked for: prompts, sampler, schedule, steps, cfg, seed,
# width, height, clip skip.
CAT = "a cat", "dog"
READ = [
    ("SwarmUI", chunk({"sui_image_params": SWARM}), None,
     (*CAT, "dpmpp_2m", "karras", 20, 6.5, 1, 1024, 768, 1)),
    ("SwarmUI", {}, comment({"sui_image_params": {
        **SWARM, "sampler": None, "comfyuisampler": "euler", "scheduler": "sgm_uniform"}}),
     (*CAT, "euler", "sgm_uniform", 20, 6.5, 1, 1024, 768, 1)),
    ("SwarmUI", {}, {MODEL: json.dumps({"sui_image_params": SWARM})},  # its WebP of 2023
     (*CAT, "dpmpp_2m", "karras", 20, 6.5, 1, 1024, 768, 1)),
    ("Fooocus", chunk(FOOOCUS, fooocus_scheme="fooocus"), None,
     (*CAT, "dpmpp_2m_sde", "karras", 30, 4.0, 123456789012, 1152, 896, 1)),
    ("Fooocus", {}, {**comment(FOOOCUS, "utf-16-le"), MAKER: "fooocus"},
     (*CAT, "dpmpp_2m_sde", "karras", 30, 4.0, 123456789012, 1152, 896, 1)),
    ("Fooocus", chunk(FOOOCUS_LOG), None,
     (*CAT, "dpmpp_2m_sde", "karras", 60, 4.0, 5, 1152, 896, 1)),
    ("Fooocus", chunk({**{k: v for k, v in FOOOCUS.items() if k != "steps"},
                       "performance": "Extreme Speed"}), None,
     (*CAT, "dpmpp_2m_sde", "karras", 8, 4.0, 123456789012, 1152, 896, 1)),
    ("Fooocus", chunk({"Prompt": "a cat", "Negative": "dog", "steps": 30, "cfg": 8, "width": 1152,
                       "height": 896, "seed": 3, "sampler_name": "dpmpp_2m_sde_gpu",
                       "scheduler": "karras", "software": "RuinedFooocus"}), None,
     (*CAT, "dpmpp_2m_sde", "karras", 30, 8.0, 3, 1152, 896, 1)),
    ("Fooocus", chunk({
        "prompt": "a cat", "negative_prompt": "dog", "base_model": "x", "sampler": "euler",
        "scheduler": "karras", "steps": 30, "guidance_scale": 4, "seed": 3, "width": 1152,
        "height": 896}, "Comment"), None,
     (*CAT, "euler", "karras", 30, 4.0, 3, 1152, 896, 1)),
    ("InvokeAI", chunk(INVOKE, "invokeai_metadata"), None,
     (*CAT, "dpmpp_2m_sde", "karras", 25, 7.5, 3, 512, 768, 2)),
    ("InvokeAI", chunk(INVOKE_2, "sd-metadata"), None,
     ("a cat", "dog, blurry", "euler_ancestral", "normal", 50, 7.5, 9, 512, 640, 1)),
    ("InvokeAI", {"Dream": '"a "red" cat [dog]" -s 30 -S 77 -W 512 -H 448 -C7.5 -A k_heun'}, None,
     ('a "red" cat', "dog", "heun", "normal", 30, 7.5, 77, 512, 448, 1)),
    ("NovelAI", chunk(NOVEL, "Comment", Software="NovelAI", Description="a cat"), None,
     (*CAT, "euler_ancestral", "karras", 28, 5.0, 3071474384, 832, 1216, 2)),
    ("NovelAI", {}, comment({
        "Software": "NovelAI", "Comment": json.dumps({**NOVEL, "prompt": None,
                                                      "noise_schedule": "native"})}),
     (*CAT, "euler_ancestral", "uniform", 28, 5.0, 3071474384, 832, 1216, 2)),
    ("Draw Things", {"XML:com.adobe.xmp": xmp(DRAWN)}, None,
     ("a cat & <a> dog", "fog", "dpmpp_2m", "trailing", 16, 4.5, 7, 768, 512, 2)),
    ("Draw Things", {"xmp": xmp(DRAWN).encode()}, None,
     ("a cat & <a> dog", "fog", "dpmpp_2m", "trailing", 16, 4.5, 7, 768, 512, 2)),
    ("Draw Things", {"XML:com.adobe.xmp": xmp({
        **{k: v for k, v in DRAWN.items() if k != "size"}, "width": 768, "height": 512,
    }).replace("Draw Things", "")}, None,
     ("a cat & <a> dog", "fog", "dpmpp_2m", "trailing", 16, 4.5, 7, 768, 512, 2)),
    ("Draw Things", {}, comment(DRAWN),
     ("a cat & <a> dog", "fog", "dpmpp_2m", "trailing", 16, 4.5, 7, 768, 512, 2)),
    ("Easy Diffusion", {key: str(value) for key, value in EASY.items()}, None,
     (*CAT, "euler_ancestral", "normal", 25, 7.5, 5, 512, 640, 2)),
    ("Easy Diffusion", {}, comment(EASY),
     (*CAT, "euler_ancestral", "normal", 25, 7.5, 5, 512, 640, 2)),
    ("Easy Diffusion", EASY_TEXT, None, (*CAT, "dpmpp_2m", "normal", 25, 7.5, 5, 512, 640, 1)),
    ("ComfyUI", {}, comment(CIVITAI, "utf-16-le"),
     (*CAT, "euler_ancestral", "karras", 25, 6.0, 4, 832, 1216, 1)),
    ("ComfyUI", {}, comment(CIVITAI),
     (*CAT, "euler_ancestral", "karras", 25, 6.0, 4, 832, 1216, 1)),
    ("Civitai", {}, comment({k: v for k, v in CIVITAI.items() if k != "11"}),
     (*CAT, "euler_ancestral", "normal", 25, 6.0, 4, 832, 1216, 1)),
]  # fmt: skip


@pytest.mark.parametrize("program, info, exif, expected", READ)
def test_a_record_is_read(program, info, exif, expected):
    found, source = read(info, exif)
    run = found.first
    assert program in source
    assert (
        found.positive, found.negative, run.sampler, run.schedule, run.steps, found.cfg,
        found.seed, found.width, found.height, found.clip_skip,
    ) == expected  # fmt: skip
    assert (run.denoise, found.hires.denoise) == (1.0, 0.0)


def test_fooocus_a1111_scheme_is_a_text():
    text = ("a cat\nNegative prompt: dog\nSteps: 30, Sampler: DPM++ 2M SDE Karras, Seed: 5, "
            "Size: 1152x896, CFG scale: 4, Sharpness: 2, Scheduler: karras, "
            "Version: Fooocus v2.5.5")  # fmt: skip
    for info, exif in (
        ({"parameters": text, "fooocus_scheme": "a1111"}, {}),
        ({}, {COMMENT: b"ASCII\0\0\0" + text.encode(), MAKER: "a1111"}),
    ):
        assert pictures.stored(info, exif, SIZE) == pictures.Stored(text=text)


@pytest.mark.parametrize("info, exif", [
    ({}, {}),
    ({}, {COMMENT: b"ASCII\0\0\0Oplus_16908288"}),
    ({}, {COMMENT: "Screenshot"}),
    ({}, {COMMENT: b"UNICODE\0" + "Note: a, Place: b, Day: c".encode("utf-16-le")}),
    ({"parameters": "a cat, best quality"}, {}),
    ({"parameters": '{"a cat": 1, "steps": 20}'}, {}),
    ({"parameters": '{"sui_image_params": {}}'}, {}),
    ({"parameters": '{"sui_image_params": [1]}'}, {}),
    ({"comment": "Created with GIMP"}, {}),
    ({"invokeai_metadata": '{"app_version": "5.0.0"}'}, {}),
    ({"XML:com.adobe.xmp": "<xmp:CreatorTool>Draw Things</xmp:CreatorTool>{"}, {}),
    ({"XML:com.adobe.xmp": xmp(["c", "uc"])}, {}),
    ({"XML:com.adobe.xmp": xmp(DRAWN).replace("exif:UserComment", "dc:title")}, {}),
    ({"XML:com.adobe.xmp": "<exif:UserComment>Screenshot</exif:UserComment>"}, {}),
    ({"Software": "NovelAI", "Comment": "[]"}, {}),
    ({"Dream": "of sheep"}, {}),
    ({"prompt": "a cat", "seed": "1"}, {}),
])  # fmt: skip
def test_any_other_text_is_no_prompt(info, exif):
    found = pictures.stored(info, exif, SIZE)
    assert found.is_empty
    with pytest.raises(ValueError, match="holds neither A1111's .* SwarmUI, .* or Civitai"):
        found.read()


def test_a_text_inside_of_a_graph_is_its_prompt():
    graph = json.loads(json.dumps(CIVITAI))
    graph["6"]["inputs"]["text"] = "Steps: 3, Sampler: Heun, Seed: 8"
    assert read({}, comment(graph))[0].positive == "Steps: 3, Sampler: Heun, Seed: 8"


def test_an_unknown_name_loses_nothing_else():
    found, _ = read(chunk({"sui_image_params": {**SWARM, "sampler": "warp_9"}}))
    assert (found.first.sampler, found.first.schedule) == ("warp_9", "karras")
    assert (found.positive, found.seed, found.width) == ("a cat", 1, 1024)
    assert any("sampler is not known here" in note for note in found.notes)
    found, _ = read(chunk({**FOOOCUS, "scheduler": "warped"}))
    assert (found.first.sampler, found.first.schedule) == ("dpmpp_2m_sde", "warped")
    assert any("schedule is not known here" in note for note in found.notes)
    found, _ = read(chunk({**NOVEL, "sampler": 3}, "Comment", Software="NovelAI"))
    assert found.first.sampler == "euler" and found.seed == NOVEL["seed"]
    assert any("sampler is no name: 3" in note for note in found.notes)


@pytest.mark.parametrize("key, value, field", [
    ("seed", -1, "seed"), ("seed", 2**64, "seed"), ("steps", "many", "steps"),
    ("steps", 2.5, "steps"), ("cfgscale", float("nan"), "cfg"), ("cfgscale", [1, 2], "cfg"),
    ("steps", True, "steps"),
])  # fmt: skip
def test_a_number_that_is_none_is_told(key, value, field):
    found, _ = read(chunk({"sui_image_params": {**SWARM, key: value}}))
    assert field in found.silent and found.positive == "a cat"
    assert any(note.startswith(f"{field} is ") and "from" in note for note in found.notes)


def test_the_largest_seed_keeps_its_digits():
    for seed in (2**64 - 1, str(2**64 - 1)):
        found, _ = read(chunk({"sui_image_params": {**SWARM, "seed": seed}}))
        assert found.seed == 2**64 - 1


def test_swarms_refiner_is_a_second_pass():
    """It begins at step round(20 * 0.6) of 20, as its workflow does."""
    again = {"refinermethod": "PostApply", "refinercontrolpercentage": 0.4, "refinerupscale": 1.5}
    found, _ = read(chunk({"sui_image_params": {**SWARM, **again}}))
    assert (found.hires.steps, found.hires.denoise, found.scale) == (8, 0.4, 1.5)
    swapped = {**SWARM, **again, "refinermethod": "StepSwap", "refinerupscale": 1}
    assert read(chunk({"sui_image_params": swapped}))[0].hires.denoise == 0


def test_image_to_image_is_told():
    for info in (
        chunk({"sui_image_params": {**SWARM, "initimagecreativity": 0.6}}),
        chunk({**INVOKE, "strength": 0.6}, "invokeai_metadata"),
        {**EASY_TEXT, "Prompt Strength": "0.6"},
    ):
        found, _ = read(info)
        assert found.first.denoise == 0.6
        assert any("image to image" in note for note in found.notes)


def test_what_a_record_leaves_out_is_told():
    found, _ = read(chunk({"sui_image_params": {"prompt": "a cat", "seed": 1}}))
    assert {"steps", "cfg", "sampler", "schedule"} <= set(found.silent)
    assert (found.width, found.height) == SIZE  # the picture's own
    assert any("width is not said; 640" in note for note in found.notes)


def test_what_is_not_carried_over_is_told():
    notes = "\n".join(read(chunk({"sui_image_params": SWARM}))[0].notes)
    for word in ("<lora:ink:0.8>: taken out", "model: sub/base_xl", "swarm_version: 0.9.3.1"):
        assert word in notes
    notes = "\n".join(read(chunk(INVOKE, "invokeai_metadata"))[0].notes)
    assert "model: dreamer" in notes and "loras" not in notes
    loras = [{"model": {"name": "ink"}, "weight": 1}, {"lora": {"model_name": "old"}}]
    notes = "\n".join(read(chunk({**INVOKE, "loras": loras}, "invokeai_metadata"))[0].notes)
    assert "loras: ink, old" in notes


def test_flux_of_invoke_has_no_guidance_of_two_prompts():
    said = {k: v for k, v in INVOKE.items() if k != "cfg_scale"}
    assert read(chunk({**said, "guidance": 4}, "invokeai_metadata"))[0].cfg == 1.0


def test_exact_is_what_a1111_makes_of_novel_ais():
    stored = pictures.stored(chunk(NOVEL, "Comment", Software="NovelAI"), {}, SIZE)
    options = {"noise": "a1111_nv", "ensd": 31337}
    assert stored.read()[0].first.options == options
    exact, source = stored.read(exact=True)
    assert source == "A1111's text" and exact.a1111.ensd == 31337


def test_a_pasted_record_is_no_prompt():
    stored = pictures.pasted(json.dumps({"sui_image_params": SWARM}, indent=2))
    assert stored.read()[0].positive == "a cat"
    assert pictures.pasted(json.dumps(CIVITAI)).read()[0].seed == 4
    for text in ("a cat", '{"scene": "a JSON prompt"}', "a\nSteps: 1, Sampler: Heun, Seed: 2"):
        assert pictures.pasted(text) == pictures.Stored(text=text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["1", "euler", "karras", "512x512", "Karras", "fooocus"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["prompt", "caption", "char_captions", "char_caption", "name"]), inner,
        max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip
_KEYS = sorted({key for program in (*records.PROGRAMS, records.programs.CIVITAI)
                for keys in program.keys.values() for key in keys})
_VALUES = st.dictionaries(st.sampled_from(
    [*_KEYS, "v2", "v4_prompt", "guidance", "refinermethod", "image", "performance", "version"]
), _JSON, max_size=12)
_MARKED = st.one_of(
    _VALUES, _JSON,
    _VALUES.map(lambda values: {"sui_image_params": values}),
    _VALUES.map(lambda values: {"image": values}),
    _VALUES.map(lambda values: {"extraMetadata": values}),
    _VALUES.map(lambda values: {"extraMetadata": json.dumps(values), "1": {"inputs": values}}),
)


@given(
    st.sampled_from(["parameters", "UserComment", "Comment", "invokeai_metadata", "sd-metadata",
                     "XML:com.adobe.xmp", "comment", "Dream"]), _MARKED, st.booleans(),
)
@example("parameters", {"sui_image_params": {"prompt": [], "sampler": {}, "steps": {}}}, False)
@example("invokeai_metadata", {"scheduler": "_k", "prompt": {}, "clip_skip": True}, False)
@example("sd-metadata", {"image": {"prompt": [3, {"prompt": 1}], "sampler": [], "steps": 1}}, False)
@example("Comment", {"sampler": "x" * 10**5, "steps": 1, "v4_prompt": {"caption": 3}}, True)
@example("parameters", {"base_model": 1, "performance": [], "resolution": [{}, []]}, True)
def test_any_json_is_a_record_or_none(place, value, marked):
    text = xmp(value) if place == "XML:com.adobe.xmp" else json.dumps(value)
    text = f'"{text}" -s{text} -S {text}' if place == "Dream" else text
    more = {"Software": "NovelAI", "fooocus_scheme": "fooocus"} if marked else {}
    found = pictures.stored({place: text, **more}, {}, SIZE)
    try:
        generation_, source = found.read()
    except ValueError:
        return
    report(generation_, source).encode()
    for name, (low, high) in generation.RANGES.items():
        if name in ("cfg", "seed", "width", "height"):
            assert low <= getattr(generation_, name) <= high


def test_deep_json_is_nobodys():
    for deep in ("[" * 10**5, '{"a":' * 10**5, "{" * 10**5):
        for place in ("parameters", "invokeai_metadata", "Comment", "sd-metadata"):
            assert pictures.stored({place: deep, "Software": "NovelAI"}, {}, SIZE).is_empty
        text = xmp(DRAWN).replace("{", deep + "{")
        assert pictures.stored({"xmp": text}, {}, SIZE).is_empty
