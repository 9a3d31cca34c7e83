"""A1111's texts through the nodes: into a run that is theirs, and out into the saved picture."""

import json
import re
import struct
import zlib
from pathlib import Path

import pytest
import torch
from client import Failed, Rejected, to_prompt
from PIL import Image, PngImagePlugin
from stride.a1111 import infotext

pytestmark = pytest.mark.host

RE_PARAM = re.compile(
    json.loads((Path(__file__).parents[1] / "golden" / "a1111_infotext.json").read_text())[
        "param_regex"
    ]
)
PROMPT = "a red circle on a blue background"
TEXT = f"""{PROMPT}
Negative prompt: green
Steps: 5, Sampler: Euler a, Schedule type: Karras, CFG scale: 4, Seed: 11, Size: 256x256, \
Model hash: 45dee52b, Eta: 0.67, RNG: CPU, Version: v1.10.1"""
OUTPUTS = (
    "positive", "negative", "sampler", "schedule", "steps", "cfg", "seed", "width", "height",
    "denoise", "clip_skip", "hires_sampler", "hires_schedule", "hires_steps", "hires_scale",
    "hires_denoise", "options", "report",
)  # fmt: skip


def reading(graph, text="", image="(none)", exact=False):
    """A From A1111 (Stride) node; its outputs by name."""
    node = graph.add("StrideFromA1111", text=text, image=image, exact=exact)
    return node, {name: node[slot] for slot, name in enumerate(OUTPUTS)}


def shown(host, scene, **inputs):
    """The values of the node's outputs, as ComfyUI shows them."""
    graph = scene()
    _, out = reading(graph, **inputs)
    nodes = {name: graph.add("PreviewAny", source=out[name]) for name in OUTPUTS}
    outputs = host.run(graph)
    return {name: outputs[node.id]["text"][0] for name, node in nodes.items()}


def wired(graph, out, **changes):
    """KSampler (Stride) with all that the text says."""
    graph.positive, graph.negative = (
        graph.add("CLIPTextEncode", clip=graph.clip, text=out[name])[0]
        for name in ("positive", "negative")
    )
    graph.empty = graph.add(
        "EmptyLatentImage", width=out["width"], height=out["height"], batch_size=1
    )[0]
    values = {key: out[key] for key in
              ("steps", "cfg", "seed", "denoise", "sampler", "schedule", "options")}
    return graph.stride(**{**values, **changes})


def test_the_outputs_of_a_text(host, scene):
    found = shown(host, scene, text=TEXT)
    assert (found["positive"], found["negative"]) == (PROMPT, "green")
    assert (found["sampler"], found["schedule"]) == ("euler_ancestral", "karras")
    numbers = ("steps", "cfg", "seed", "width", "height", "denoise")
    assert [float(found[name]) for name in numbers] == [5, 4, 11, 256, 256, 1]
    assert found["clip_skip"] == "-1" and float(found["hires_denoise"]) == 0
    assert "Model hash: 45dee52b" in found["report"]
    assert json.loads(found["options"])["sampler"][1] == {"eta": 0.67, "noise": "a1111"}


def test_a_text_runs_as_if_its_values_were_typed(host, scene):
    graph = scene(text=PROMPT, negative="green")
    options = graph.add("StrideSampler", sampler="euler_ancestral", eta=0.67, noise="a1111")[1]
    typed = graph.stride(
        steps=5, cfg=4.0, seed=11, sampler="euler_ancestral", schedule="karras", options=options
    )
    text = wired(graph, reading(graph, TEXT)[1])
    first, second = host.latents(graph, typed, text)
    assert torch.equal(first, second)


@pytest.mark.parametrize("name, schedule", [("DPM++ 2M", "Karras"), ("Restart", "Polyexponential")])
def test_the_names_fit_the_hosts_own_dropdowns(host, scene, name, schedule):
    """As outputs, and they are entries of its list: those that only we have with our prefix."""
    text = TEXT.replace("Euler a", name).replace("Karras", schedule)
    graph = scene()
    out = reading(graph, text)[1]
    stock = graph.stock(steps=4, sampler=out["sampler"], schedule=out["schedule"])
    select = graph.add("KSamplerSelect", sampler_name=out["sampler"])
    basic = graph.add(
        "BasicScheduler", model=graph.model, scheduler=out["schedule"], steps=4, denoise=1.0
    )
    custom = graph._sample("SamplerCustom", {}, dict(
        add_noise=True, noise_seed=5, sigmas=basic[0], sampler=select[0], cfg=4.0
    ))
    del graph[custom.id]["inputs"]["steps"]
    found = shown(host, scene, text=text)
    info = host.object_info()["KSampler"]["input"]["required"]
    assert found["sampler"] in info["sampler_name"][0] and found["schedule"] in info["scheduler"][0]
    typed = graph.stock(steps=4, sampler=found["sampler"], schedule=found["schedule"])
    first, second, third = host.latents(graph, stock, typed, custom)
    assert torch.equal(first, second) and torch.equal(first, third)


def test_the_saved_picture_reads_back(host, scene):
    """By our reader and by A1111's expression, to the values of the run."""
    graph = scene()
    _, out = reading(graph, TEXT)
    picture = graph.add("VAEDecode", vae=graph.vae, samples=wired(graph, out)[0])
    names = OUTPUTS[: OUTPUTS.index("options") + 1]
    told = graph.add("StrideToA1111", **{name: out[name] for name in names}, model="demo")
    save = graph.add(
        "StrideSaveA1111", images=picture[0], text=told[0], filename_prefix="texts/a",
        count_seeds=False,
    )  # fmt: skip
    (file,) = host.run(graph)[save.id]["images"]
    with Image.open(host.server.output / file["subfolder"] / file["filename"]) as saved:
        text, prompt = saved.info["parameters"], json.loads(saved.info["prompt"])
    assert prompt[save.id]["class_type"] == "StrideSaveA1111"
    lines = text.split("\n")
    assert lines[:2] == [PROMPT, "Negative prompt: green"]
    values = dict(RE_PARAM.findall(lines[2]))
    assert values == {
        "Steps": "5", "Sampler": "Euler a", "Schedule type": "Karras", "CFG scale": "4",
        "Seed": "11", "Size": "256x256", "Model": "demo", "RNG": "CPU", "Eta": "0.67",
        "Version": "ComfyUI",
    }  # fmt: skip
    again = shown(host, scene, image=f"{file['subfolder']}/{file['filename']} [output]")
    first = shown(host, scene, text=TEXT)
    assert {k: v for k, v in again.items() if k != "report"} == {
        k: v for k, v in first.items() if k != "report"
    }


def png_chunks(**texts):
    """A 1 x 1 PNG with zTXt chunks behind its pixels, where few programs look."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0\0\0"))
    late = b"".join(chunk(b"zTXt", key.encode() + b"\0\0" + zlib.compress(text.encode("latin-1")))
                    for key, text in texts.items())
    return b"\x89PNG\r\n\x1a\n" + head + pixels + late + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def files(host):
    """Pictures that carry the text in every way, in the host's input folder."""
    folder = host.server.input
    image = Image.new("RGB", (8, 8))
    text = TEXT.replace("green", "gr\u00fcn \u7dd1")

    def exif(comment):
        found = Image.Exif()
        found.get_ifd(0x8769)[0x9286] = comment
        return found

    def chunks(pairs, **settings):
        info = PngImagePlugin.PngInfo()
        for key, value in pairs.items():
            info.add_text(key, value, **settings)
        return info

    image.save(folder / "plain.png")
    image.save(folder / "itxt.png", pnginfo=chunks({"parameters": text}))
    image.save(folder / "ztxt.png", pnginfo=chunks({"parameters": TEXT}, zip=True))
    (folder / "late.png").write_bytes(png_chunks(parameters=TEXT))
    big, little = (b"UNICODE\0" + text.encode(f"utf-16-{end}") for end in ("be", "le"))
    image.save(folder / "big.jpg", exif=exif(big))
    image.save(folder / "little.webp", exif=exif(little))
    image.save(folder / "ascii.jpg", exif=exif(b"ASCII\0\0\0" + TEXT.encode()))
    image.save(folder / "comment.gif", comment=TEXT.encode())
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    return folder


@pytest.mark.parametrize("name, negative", [
    ("itxt.png", "gr\u00fcn \u7dd1"), ("ztxt.png", "green"), ("late.png", "green"),
    ("big.jpg", "gr\u00fcn \u7dd1"), ("little.webp", "gr\u00fcn \u7dd1"), ("ascii.jpg", "green"),
    ("comment.gif", "green"),
])  # fmt: skip
def test_a_picture_tells_its_text(host, scene, files, name, negative):
    found = shown(host, scene, image=name)
    assert (found["positive"], found["negative"], found["seed"]) == (PROMPT, negative, "11")
    assert name in found["report"]


def test_a_picture_of_comfyui_tells_its_run(host, scene):
    graph = scene(negative="green", size=128)
    latent = graph.stride(seed=77, steps=3, sampler="heun", schedule="beta")
    picture = graph.add("VAEDecode", vae=graph.vae, samples=latent[0])
    save = graph.add("SaveImage", images=picture[0], filename_prefix="texts/own")
    (file,) = host.run(graph)[save.id]["images"]
    found = shown(host, scene, image=f"{file['subfolder']}/{file['filename']} [output]")
    assert (found["positive"], found["negative"]) == (PROMPT, "green")
    assert (found["sampler"], found["schedule"], found["seed"]) == ("heun", "beta", "77")
    assert (found["steps"], found["width"], found["height"]) == ("3", "128", "128")


def test_a_sampler_of_a_pack_that_is_not_here(host, scene):
    """It is handed out as it is named, and the report says that nothing here takes it."""
    graph = {
        "1": {"class_type": "ClownsharKSampler_Beta", "inputs": {
            "positive": ["2", 0], "steps": 30, "cfg": 5.5, "seed": 6, "denoise": 1.0,
            "sampler_name": "linear/ralston_2s", "scheduler": "beta57"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": PROMPT}},
    }  # fmt: skip
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", json.dumps(graph))
    Image.new("RGB", (8, 8)).save(host.server.input / "elsewhere.png", pnginfo=info)
    found = shown(host, scene, image="elsewhere.png")
    assert (found["positive"], found["sampler"]) == (PROMPT, "linear/ralston_2s")
    assert (found["steps"], found["seed"], found["cfg"]) == ("30", "6", "5.5")
    assert "sampler 'linear/ralston_2s' is in no dropdown here" in found["report"]


@pytest.mark.parametrize("name, said", [
    ("../../../etc/passwd", "not in the host's"), ("/etc/passwd", "not in the host's"),
    ("..\\secret.png", "no file"), ("sub/../../outside.png", "not in the host's"),
    ("../user/comfyui.log [output]", "not in the host's"), ("link.png", "not in the host's"),
    ("a\0.png", "not in the host's"), ("nobody.png", "there is no file"),
])  # fmt: skip
def test_only_the_hosts_folders_are_read(host, scene, files, name, said):
    outside = host.server.work / "outside.png"
    Image.new("RGB", (8, 8)).save(outside)
    if not (files / "link.png").is_symlink():
        (files / "link.png").symlink_to(outside)
    graph = scene()
    graph.add("PreviewAny", source=reading(graph, image=name)[1]["report"])
    host.refusal(graph, match=said, by=Rejected)


@pytest.mark.parametrize("inputs, said", [
    ({"text": ""}, "paste A1111's"), ({"text": TEXT, "image": "itxt.png"}, "not both"),
    ({"image": "plain.png"}, "neither"), ({"image": "broken.png"}, "no picture that can be read"),
])  # fmt: skip
def test_what_is_wrong_is_said(host, scene, files, inputs, said):
    graph = scene()
    graph.add("PreviewAny", source=reading(graph, **inputs)[1]["report"])
    host.refusal(graph, match=re.escape(said), by=Failed)


def test_what_is_unknown_loses_nothing_else(host, scene):
    """A name is handed out as it stands, and a node that is given it stops."""
    text = TEXT.replace("Euler a", "res_2m").replace("Steps: 5", "Steps: many")
    found = shown(host, scene, text=text)
    assert (found["positive"], found["negative"], found["seed"]) == (PROMPT, "green", "11")
    assert (found["sampler"], found["schedule"], found["steps"]) == ("res_2m", "karras", "20")
    assert "sampler 'res_2m' is in no dropdown here: a node that is given it stops; it comes " \
        "with RES4LYF" in found["report"]
    assert "Steps: many was left out" in found["report"]
    graph = scene(text=PROMPT)
    node = wired(graph, reading(graph, text)[1])
    host.refusal(graph, node, match="unknown sampler 'res_2m'; it comes with RES4LYF", by=Failed)
    found = shown(host, scene, text=f"a\nSteps: 1, Sampler: {'x' * 10**6}, Seed: 2")
    assert (found["sampler"], found["seed"]) == ("x" * 200, "2")


def test_any_text_is_taken(host, scene):
    """A prompt alone, and a megabyte of nothing: what the text leaves out is put in and said."""
    found = shown(host, scene, text="just a prompt")
    assert (found["positive"], found["sampler"], found["steps"]) == ("just a prompt", "euler", "20")
    assert "Not said there, put in: sampler, schedule, steps" in found["report"]
    found = shown(host, scene, text="[(" * 500_000)
    assert len(found["positive"]) == 10**6


def test_exact_is_what_a1111_makes_of_a_text(host, scene):
    """An unknown sampler runs DPM++ 2M there, and so does "Euler SGM Uniform"."""
    for name in ("Eular", "Euler SGM Uniform"):
        text = TEXT.replace("Euler a, Schedule type: Karras", name)
        found = shown(host, scene, text=text, exact=True)
        assert found["sampler"] == "dpmpp_2m"


def test_a_batch_counts_its_seeds(host, scene):
    graph = scene(batch=2)
    picture = graph.add("VAEDecode", vae=graph.vae, samples=graph.stride(steps=1)[0])
    saves = [
        graph.add("StrideSaveA1111", images=picture[0], text=graph.add("PrimitiveStringMultiline",
                  value=TEXT)[0], filename_prefix=f"texts/batch{counted}", count_seeds=counted)
        for counted in (False, True)
    ]  # fmt: skip
    outputs = host.run(graph)
    seeds = []
    for save in saves:
        for file in outputs[save.id]["images"]:
            with Image.open(host.server.output / file["subfolder"] / file["filename"]) as saved:
                seeds.append(infotext.read(saved.info["parameters"])["Seed"])
    assert seeds == ["11", "11", "11", "12"]


def test_exact_runs_by_a1111s_rules(host, scene):
    """The options carry what A1111 Run (Stride) has, with the text's values."""
    graph = scene(text=PROMPT, negative="green")
    rules = graph.add("StrideA1111Run", eta=0.67, noise="cpu")
    typed = graph.stride(
        steps=5, cfg=4.0, seed=11, sampler="euler_ancestral", schedule="karras", options=rules[0]
    )
    text = wired(graph, reading(graph, TEXT, exact=True)[1])
    plain = wired(graph, reading(graph, TEXT)[1])
    first, second, third = host.latents(graph, typed, text, plain)
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_the_example_draws_its_prompt(host, object_info):
    """A red circle above two blue triangles on yellow: their shares, and red above blue."""
    file = Path(__file__).parents[2] / "example_workflows" / "from_a1111.json"
    outputs = host.run(to_prompt(json.loads(file.read_text(encoding="utf-8")), object_info))
    (saved,) = [found["images"][0] for found in outputs.values() if "images" in found]
    picture = host.image(saved["filename"], saved["subfolder"]).astype(int)
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    circle, triangles, ground = red > 2 * green, blue > red, green > 2 * blue
    assert min(circle.mean(), triangles.mean()) > 0.03 and ground.mean() > 0.5
    rows = [shape.nonzero()[0].mean() for shape in (circle, triangles)]
    assert rows[0] + 100 < rows[1]
