"""What a text asks for, and the text of a run, back and forth."""

import dataclasses
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stride import samplers, schedules
from stride.a1111 import generation, graphs, infotext, pictures, telling
from stride.a1111.generation import Generation, Pass, read
from stride.names import a1111

TAIL = "CFG scale: 7, Seed: 4, Size: 512x768"


def text(names, *more):
    return ", ".join([f"p\nSteps: 20, {names}", TAIL, *more])


@pytest.mark.parametrize("names, pair", [
    ("Sampler: DPM++ 2M Karras", ("dpmpp_2m", "karras")),
    ("Sampler: DPM++ 2M, Schedule type: Automatic", ("dpmpp_2m", "karras")),
    ("Sampler: DPM++ 2M", ("dpmpp_2m", "uniform")),  # before 1.9.0 every text was like this
    ("Sampler: Euler a, Version: v1.10.1", ("euler_ancestral", "uniform")),
    ("Sampler: DPM++ 2M, Version: v1.10.1", ("dpmpp_2m", "karras")),
    ("Sampler: DPM++ 2M, Version: v1.8.0", ("dpmpp_2m", "uniform")),
    ("Sampler: Euler, Schedule type: Beta", ("euler", "beta_a1111")),
])  # fmt: skip
def test_names_mean_what_the_release_meant(names, pair):
    """parity.md 1.3: what a label without a schedule means changed with 1.9.0."""
    run = read(text(names)).first
    assert (run.sampler, run.schedule) == pair


@pytest.mark.parametrize("row", a1111.SAMPLERS, ids=lambda row: row.label)
def test_settings_go_where_a1111_hands_them(row):
    """Its documented table: eta to ancestral and SDE samplers, churn to Euler, Heun and DPM2."""
    said = "Eta: 0.5, Eta DDIM: 0.25, Sigma churn: 3, Sigma tmin: 0.1, Sigma noise: 1.01"
    options = read(text(f"Sampler: {row.label}", said)).first.options
    eta = {"Euler a", "DPM++ 2S a", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun",
           "DPM++ 3M SDE", "DPM2 a", "DPM fast", "DPM adaptive"}  # fmt: skip
    churned = {"Euler", "Heun", "DPM2"}
    expected = 0.5 if row.label in eta else 0.25 if row.label.startswith("DDIM") else None
    assert options.get("eta") == expected
    assert (options.get("s_churn") == 3) == (row.label in churned)
    assert (options.get("s_tmin") == 0.1) == (row.label in churned)
    noised = row.label in churned | eta - {"Euler a", "DPM adaptive"}
    assert (options.get("s_noise") == 1.01) == noised


@pytest.mark.parametrize("said, noise", [
    ("RNG: CPU", "a1111"), ("RNG: NV", "a1111_nv"), ("ENSD: 1", "a1111_nv"),
    ("Version: ComfyUI", None),
])  # fmt: skip
def test_the_noise_source(said, noise):
    assert read(text("Sampler: Euler a", said)).first.options.get("noise") == noise


def test_the_second_pass():
    found = read(text("Sampler: Euler a", "Denoising strength: 0.4, Hires upscale: 1.5",
                      "Hires steps: 7, Hires sampler: Heun, Version: v1.10.1"))  # fmt: skip
    assert (found.first.denoise, found.hires.denoise, found.scale) == (1.0, 0.4, 1.5)
    assert (found.hires.sampler, found.hires.schedule, found.hires.steps) == ("heun", "uniform", 7)
    found = read(text("Sampler: Euler a", "Denoising strength: 0.4, Hires resize: 1024x1536"))
    assert (found.scale, found.hires.steps) == (2.0, 20)
    found = read(text("Sampler: Euler a", "Denoising strength: 0.4"))
    assert (found.first.denoise, found.hires.denoise, found.scale) == (0.4, 0.0, 1.0)
    assert any("image to image" in note for note in found.notes)


def test_what_is_not_carried_over_is_told():
    said = "Model: sd15, Lora hashes: \"a: 1\", ControlNet 0: \"x, y\", Strange: thing"
    found = read("<lora:a:1>a [cat] BREAK (b:1.3)\nSteps: 1, Sampler: Euler, Seed: 2, " + said)
    assert found.positive == "a [cat] BREAK (b:1.3)"
    notes = "\n".join(found.notes)
    for word in ("<lora:a:1>", "[...]", "BREAK", "mean", "Model: sd15", "Lora hashes: a: 1",
                 "ControlNet 0: x, y", "Strange: thing"):  # fmt: skip
        assert word in notes
    assert set(found.silent) == {"cfg", "width", "height"}


@pytest.mark.parametrize("said, put_in", [
    ("Steps: x", "steps"), ("Steps: 0", "steps"), ("Seed: 99999999999999999999999", "seed"),
    ("Seed: 18446744073709551616", "seed"), ("CFG scale: nan", "cfg"), ("Size: 2x2", "width"),
    ("Steps: 2.5", "steps"), ("Steps: inf", "steps"), ("Denoising strength: 3", None),
])  # fmt: skip
def test_a_number_that_is_none_is_left_out_and_told(said, put_in):
    """The prompts and all other numbers are read."""
    key = said.split(":")[0]
    found = read(f"p\nSteps: 1, Sampler: Heun, CFG scale: 3, Seed: 1, Size: 64x80, {said}")
    assert (found.positive, found.first.sampler) == ("p", "heun")
    notes = [note for note in found.notes if note.startswith(key)]
    assert len(notes) == 1 + (key == "Size")
    assert all("was left out, it must be a" in note and "number from" in note for note in notes)
    was = {"steps": 1, "cfg": 3.0, "seed": 1, "width": 64, "height": 80}
    names = [put_in, "height"] if key == "Size" else [put_in] if put_in else []
    assert list(found.silent) == names
    expected = {**was, **{name: generation.SILENT[name] for name in names}}
    assert {"steps": found.first.steps} | {
        name: getattr(found, name) for name in was if name != "steps"
    } == expected


def test_whole_numbers_and_the_random_seed():
    found = read("p\nSteps: 20.0, Sampler: Euler, Seed: 18446744073709551615, Size: 64x64")
    assert (found.first.steps, found.seed) == (20, 2**64 - 1)
    found = read("p\nSteps: 20, Sampler: Euler, Seed: -1, Size: 64x64")
    assert found.seed == 0 and "seed" in found.silent
    assert any("Seed: -1 is another seed in each run" in note for note in found.notes)


@pytest.mark.parametrize("version", ["neo", "1.10", "ComfyUI", "82a973c0", "<none>", "Easy v3.0"])
def test_automatic_beside_a_version_that_is_no_release(version):
    """Only texts since 1.9.0 have a schedule type: Automatic is the sampler's own."""
    found = read(text("Sampler: DPM++ 2M, Schedule type: Automatic", f"Version: {version}"))
    assert found.first.schedule == "karras"
    assert not any("1.9.0" in note for note in found.notes)
    said = any("drawn on a GPU" in note for note in found.notes)
    assert said == (version not in ("ComfyUI", "Easy v3.0"))


@pytest.mark.parametrize("said, pair", [
    ("Sampler: dpmpp_2m_sde_gpu, Scheduler: karras, Version: Fooocus v2.5.5",
     ("dpmpp_2m_sde", "karras")),
    ("Sampler: Euler, Scheduler: sgm_uniform", ("euler", "sgm_uniform")),
    ("Sampler: Euler a, Scheduler: beta", ("euler_ancestral", "beta")),  # ComfyUI's, not A1111's
    ("Sampler: DPM++ 2M, Sampler sigma: karras, App: SD.Next, Version: cb0eb55",
     ("dpmpp_2m", "karras")),
    ("Sampler: DPM++ 2M, Sampler sigma: default, App: SD.Next", ("dpmpp_2m", "normal")),
    ("Sampler: k_euler_ancestral, noise_schedule: exponential", ("euler_ancestral", "exponential")),
    ("Sampler: stride_dpmpp_2m_stride_karras, Version: ComfyUI", ("dpmpp_2m", "karras")),
    ("Sampler: dpmpp_2m_beta, Version: ComfyUI", ("dpmpp_2m", "beta")),
    ("Sampler: euler_a karras, RNG: cuda, Version: stable-diffusion.cpp",
     ("euler_ancestral", "karras")),
])  # fmt: skip
def test_other_programs_say_the_schedule_elsewhere(said, pair):
    """And their noise is not A1111's, so nothing is said of it."""
    found = read(text(said))
    assert (found.first.sampler, found.first.schedule) == pair
    assert "noise" not in found.first.options
    assert not any("GPU" in note or "1.9.0" in note for note in found.notes)


@pytest.mark.parametrize("said, pair, unknown", [
    ("Sampler: [Forge] Flux Realistic, Schedule type: Beta, Version: f2.0.1v1.10.1-previous-1",
     ("[Forge] Flux Realistic", "beta_a1111"), "sampler"),
    ("Sampler: Euler SMEA Dy CFG++ Karras", ("Euler SMEA Dy CFG++", "karras"), "sampler"),
    ("Sampler: DPM SDE", ("DPM SDE", "normal"), "sampler"),
    ("Sampler: Euler, Schedule type: Turbo, Version: neo", ("euler", "Turbo"), "schedule"),
    ("Sampler: Euler, Schedule type: stride_karras", ("euler", "karras"), ""),
    ("Sampler: res_2m_beta57, Version: ComfyUI", ("res_2m", "beta57"), "sampler"),
    ("Sampler: dpmpp_2m_AYS SDXL, Version: ComfyUI", ("dpmpp_2m", "AYS SDXL"), "schedule"),
    ("Sampler: linear/ralston_2s, Schedule type: bong_tangent",
     ("linear/ralston_2s", "bong_tangent"), "sampler"),
    ("Sampler: DPM++ 2M Karras, Schedule type: Exponential, Version: v1.10.1",
     ("dpmpp_2m", "karras"), ""),
])  # fmt: skip
def test_an_unknown_name_never_loses_the_rest(said, pair, unknown):
    found = read(text(said))
    assert (found.first.sampler, found.first.schedule) == pair
    assert (found.positive, found.first.steps, found.seed) == ("p", 20, 4)
    assert (found.cfg, found.width, found.height) == (7.0, 512, 768)
    name = pair[unknown == "schedule"]
    told = f"{unknown} '{name}' is unknown to Stride: it is handed out as it stands"
    assert (told in found.notes) == bool(unknown)
    assert read(telling.write(found)[0]).first == found.first


def test_numbers_under_other_programs_keys():
    """SD.Next's second pass, and Draw Things' guidance."""
    found = read(
        "a man\nNegative prompt: \nSteps: 30, Size: 832x1216, Sampler: DPM++ 2M, Seed: 3873706916, "
        "CFG scale: 6, CFG rescale: 0.7, App: SD.Next, Version: cb0eb55, Backend: Diffusers, "
        "Hires steps: 12, Hires scale: 2, Hires size: 1664x2432, Hires strength: 0.3, "
        "Hires sampler: DPM2++ 3M SDE FlowMatch, Sampler sigma: karras"
    )
    assert (found.first.sampler, found.first.schedule, found.first.denoise) == (
        "dpmpp_2m", "karras", 1.0
    )
    assert (found.hires.sampler, found.hires.schedule, found.hires.steps) == (
        "dpmpp_3m_sde", "karras", 12
    )
    assert (found.scale, found.hires.denoise, found.cfg) == (2.0, 0.3, 6.0)
    assert not found.silent and "CFG rescale: 0.7" in found.notes
    found = read("p\nSteps: 8, Sampler: DPM++ 2M AYS, Guidance Scale: 4.5, Seed: 3, Size: 64x64")
    assert (found.first.schedule, found.cfg, found.silent) == ("align_your_steps", 4.5, ())


def test_an_unknown_second_sampler_is_handed_out():
    more = "Denoising strength: 0.3, Hires upscale: 2, Hires sampler: UFOGen"
    found = read(text("Sampler: DPM++ 2M Karras", more))
    assert (found.first.sampler, found.hires.sampler, found.hires.denoise) == (
        "dpmpp_2m", "UFOGen", 0.3
    )
    found = read(text("Sampler: DPM++ 2M", more.replace("UFOGen", "DPM2++ 3M SDE FlowMatch"),
                      "Sampler sigma: karras, App: SD.Next, Version: cb0eb55"))  # fmt: skip
    assert (found.hires.sampler, found.hires.schedule) == ("dpmpp_3m_sde", "karras")
    found = read(text("Sampler: Heun", more.replace("UFOGen", "Undefined")))
    assert found.hires.sampler == "heun"


@pytest.mark.parametrize("none", ["Undefined", "None", "undefined"])
def test_a_sampler_that_there_is_none(none):
    found = read(text(f"Sampler: {none}"))
    assert (found.first.sampler, found.first.schedule) == ("euler", "normal")
    assert found.silent == ("sampler", "schedule") and not found.notes
    found = read(text(f"Sampler: {none}, Schedule type: Karras"))
    assert (found.first.schedule, found.silent) == ("karras", ("sampler",))


@pytest.mark.parametrize("below", [
    "Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+",
    "Postprocess upscale by: 4, Postprocess upscaler: a, Postprocess upscaler 2: b",
    "Template: a {red|blue} cat\nNegative Template: worst, bad: 1",
])
def test_lines_below_the_parameters(below):
    """Nothing of them, and nothing of the parameters, is in a prompt; exact reads as A1111."""
    whole = text("Sampler: Heun").replace("p\n", "p\nNegative prompt: n\n") + f"\n{below}"
    found = read(whole)
    assert (found.positive, found.negative) == ("p", "n")
    assert (found.first.sampler, found.first.steps, found.seed) == ("heun", 20, 4)
    assert f"below the parameters stood: {below}" in found.notes
    assert "Steps: 20" in read(whole, exact=True).negative
    turned = read(f"p\nSampler: Heun, Seed: 4, Steps: 20, Size: 64x64\n{below}")
    assert (turned.positive, turned.seed, turned.first.steps) == ("p", 4, 20)


def test_exact_has_a1111s_settings():
    said = "Eta: 0.5, ENSD: 31337, RNG: CPU, Schedule rho: 5, Discard penultimate sigma: True"
    found = read(text("Sampler: DPM++ 3M SDE, Schedule type: Karras", said), exact=True)
    mode = found.a1111
    assert (mode.eta, mode.ensd, mode.noise, mode.rho) == (0.5, 31337, "cpu", 5)
    assert mode.discard_penultimate and not found.first.options
    assert read(text("Sampler: Euler")).a1111 is None


PAIRS = st.tuples(*(st.sampled_from(ours.REGISTRY.names) for ours in (samplers, schedules)))
CURVES = [row for row in a1111.SCHEDULES if row.ours]
LINE = st.text(alphabet=st.characters(exclude_categories=["C"]), max_size=30).map(str.strip)


@given(PAIRS, LINE, LINE, st.data())
def test_any_run_comes_back_from_its_text(pair, positive, negative, data):
    """Options by A1111's keys where it has them, else by ours."""
    def number(low, high):
        return data.draw(st.integers(low, high))

    sampler, schedule = pair
    options = {}
    for name, option in samplers.get(sampler).options.OPTIONS.items():
        if option.kind is float and data.draw(st.booleans()):
            options[name] = option.low + data.draw(st.sampled_from([0.25, 0.5]))
    if "noise" in vars(samplers.get(sampler).options):
        options["noise"] = data.draw(st.sampled_from(["a1111", "a1111_nv", "host"]))
    default = vars(samplers.get(sampler).options)
    options = {name: value for name, value in options.items() if default[name] != value}
    run = Pass(sampler, schedule, number(1, 99), number(1, 100) / 100, options)
    hires = dataclasses.replace(run, denoise=0.0)
    mine = Generation(positive, negative, run, number(0, 300) / 10, number(0, 2**64 - 1),
                      number(16, 2048), number(16, 2048), hires, 1.0, number(1, 12))
    back = read(telling.write(mine)[0])
    expected = generation.without_tags(positive), generation.without_tags(negative)
    if not any(p.startswith(infotext.NEGATIVE) for p in (positive, negative)):
        assert (back.positive, back.negative) == expected
    names = ("first", "cfg", "seed", "width", "height", "clip_skip")
    assert [getattr(back, name) for name in names] == [getattr(mine, name) for name in names]


@pytest.mark.parametrize("row", a1111.SAMPLERS, ids=lambda row: row.label)
@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.label)
def test_a1111_reads_the_pair_that_was_meant(row, curve):
    """By A1111's own rule of names, in the text of every pair that it has."""
    run = Pass(row.ours, curve.ours, 20, 1.0)
    said = infotext.read(telling.write(Generation("p", "", run, 7.0, 1, 64, 64, run))[0])
    labels = a1111.sampler_and_schedule(said["Sampler"], said["Schedule type"], False)
    assert labels == (row.label, curve.label)


GRAPH = {
    "1": {"class_type": "CLIPTextEncode", "inputs": {"text": ["9", 0], "clip": ["8", 0]}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad", "clip": ["8", 0]}},
    "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 640, "height": 448}},
    "4": {"class_type": "KSampler", "inputs": {
        "seed": ["10", 0], "steps": 12, "cfg": 5.5, "sampler_name": "stride_heun",
        "scheduler": "strange_one", "denoise": 0.6, "positive": ["1", 0], "negative": ["2", 0],
        "latent_image": ["3", 0]}},
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0]}},
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0]}},
    "9": {"class_type": "PrimitiveString", "inputs": {"value": "good"}},
    "10": {"class_type": "PrimitiveInt", "inputs": {"value": 99}},
}  # fmt: skip


def test_a_graph_is_read_through_its_links():
    found = graphs.read(graphs.load(json.dumps(GRAPH)))
    assert (found.positive, found.negative, found.seed, found.cfg) == ("good", "bad", 99, 5.5)
    run = found.first
    assert (run.sampler, run.schedule, run.steps, run.denoise) == ("heun", "strange_one", 12, 0.6)
    assert (found.width, found.height) == (640, 448)


def test_a_graph_of_parts_is_read():
    """SamplerCustomAdvanced: noise, guider, sampler and sigmas are nodes of their own."""
    parts = {
        **{key: GRAPH[key] for key in ("1", "2", "3", "9")},
        "20": {"class_type": "CFGGuider", "inputs": {
            "positive": ["1", 0], "negative": ["2", 0], "cfg": 3}},
        "21": {"class_type": "RandomNoise", "inputs": {"noise_seed": 8}},
        "22": {"class_type": "StrideSampler", "inputs": {"sampler": "euler", "eta": 0.5}},
        "23": {"class_type": "StrideSchedule", "inputs": {
            "schedule": "karras", "steps": 9, "denoise": 1.0, "rho": 7.0}},
        "24": {"class_type": "SamplerCustomAdvanced", "inputs": {
            "noise": ["21", 0], "guider": ["20", 0], "sampler": ["22", 0], "sigmas": ["23", 0],
            "latent_image": ["3", 0]}},
    }  # fmt: skip
    found = graphs.read(parts)
    assert (found.positive, found.seed, found.cfg, found.width) == ("good", 8, 3.0, 640)
    assert found.first == Pass("euler", "karras", 9, 1.0, {"eta": 0.5})


def test_a_workflow_without_a_prompt_is_read():
    from pathlib import Path

    file = Path(__file__).parents[1] / "example_workflows" / "first_picture.json"
    found = graphs.read(graphs.load(file.read_text()))
    assert found.positive.startswith("a yellow triangle")
    assert (found.first.sampler, found.first.schedule, found.first.steps) == (
        "dpmpp_2m", "karras", 20
    )
    assert (found.seed, found.cfg, found.width) == (1, 2.0, 512)


def test_graphs_that_lead_nowhere():
    loop = {str(i): {"inputs": {"positive": [str((i + 1) % 9), 0], "steps": [str(i), 0],
                                "sampler": "euler"}} for i in range(9)}  # fmt: skip
    with pytest.raises(ValueError, match="no node with a sampler"):
        graphs.read(loop)
    loop["end"] = {"inputs": {"x": ["0", 0]}}
    assert graphs.read(loop).first.steps == generation.SILENT["steps"]
    for text in ("", "[", "[]", "{}", "3", '{"1": 2}', "[" * 10**5, '{"nodes": [3]}'):
        assert graphs.load(text) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["1", "steps"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["1", "2", "inputs", "nodes", "links", "link", "sampler", "steps",
                         "positive", "widgets_values", "widget", "name", "seed", "id", "type"]),
        inner),
    max_leaves=30,
)  # fmt: skip
# A workflow to the depth where its parts are looked at, and then anything.
_SLOT = st.fixed_dictionaries({}, optional={"name": _JSON, "link": _JSON, "widget": _JSON})
_NODE = st.fixed_dictionaries({"inputs": _JSON | st.lists(_JSON | _SLOT)}, optional={
    "id": _JSON, "type": _JSON, "mode": _JSON, "widgets_values": _JSON | st.lists(_JSON),
})
_LINK = st.lists(_JSON, max_size=4) | st.fixed_dictionaries({}, optional={
    name: _JSON | st.sampled_from([1, -10, -20])
    for name in ("id", "origin_id", "origin_slot", "target_id", "target_slot")
})
_INSIDE = {
    "nodes": st.lists(_JSON | _NODE, max_size=3),
    "links": _JSON | st.lists(_LINK, max_size=3),
}
_SUBGRAPH = st.fixed_dictionaries({
    **_INSIDE, "id": st.sampled_from(["1", "2"]), "inputs": _JSON | st.lists(_SLOT),
})
_WORKFLOW = st.fixed_dictionaries(_INSIDE, optional={
    "definitions": _JSON | st.fixed_dictionaries({"subgraphs": st.lists(_SUBGRAPH, max_size=2)}),
})


@given(_JSON | _WORKFLOW)
@example({"links": True, "nodes": []})
@example({"nodes": [{"inputs": True}, {"inputs": [{"link": []}]}, {"inputs": [{"name": {}}]}]})
@example({"nodes": [], "links": [[[], 1, 2], [{}, 1, 2]]})
def test_any_json_is_a_graph_or_none(value):
    graph = graphs.load(json.dumps(value))
    if graph is not None:
        try:
            graphs.read(graph)
        except ValueError:
            pass


def test_novel_ais_record_is_what_a1111_makes_of_it():
    """parity.md 1.4: converted to a text, the sampler by its k-diffusion name."""
    told = {"uc": "bad", "steps": 28, "sampler": "k_dpmpp_2m", "scale": 11, "seed": 3}
    info = {"Software": "NovelAI", "Description": "good", "Comment": json.dumps(told)}
    text = pictures.stored(info, {}, (640, 448)).text
    assert text == (
        "good\nNegative prompt: bad\nSteps: 28, Sampler: DPM++ 2M, CFG scale: 11, Seed: 3, "
        "Size: 640x448, Clip skip: 2, ENSD: 31337"
    )
    info["Comment"] = json.dumps({**told, "sampler": "new"})
    assert "Sampler: Euler a" in pictures.stored(info, {}, (640, 448)).text
