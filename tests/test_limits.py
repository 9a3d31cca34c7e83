"""Inputs without a bound, and of odd types: what they cost, and how short the errors are."""

import ast
import io
import random
import struct
import time
import zlib
from functools import partial
from pathlib import Path

import pytest
import torch
from problems import gaussian
from stride import names, samplers, schedules
from stride.a1111 import generation, infotext, png
from stride.a1111.report import report
from stride.engine.streams import GENERATORS, A1111Noise
from stride.guidance.strength import Points
from stride.names.packs import PACKS
from stride.registry import LONGEST, UnknownName, shown
from stride.samplers import FLOW, VE
from stride.schedules import ModelSpec, transforms

ROOT = Path(__file__).resolve().parent.parent
MEGABYTE = 10**6
LOOKUPS = {
    "resolve": names.resolve, "schedule of a pair": lambda n: names.resolve("euler", n),
    "scheduler": lambda n: names.resolve("euler", scheduler=n), "schedule": names.schedule_named,
    "a1111": lambda n: names.resolve(n, version="1.6.0"), "samplers": samplers.get,
    "schedules": schedules.get, "exact": lambda n: names.resolve(n, exact=True),
}
SHAPES = {
    "words": "a ", "letters": "x", "digits": "9", "brackets": "(", "squares": "[(", "commas": "a,",
    "colons": "a:", "tags": "<lora:", "closed": "<a:b>", "lines": "\n", "keys": "Steps: 1, ",
    "quotes": 'ab: "', "backslashes": "\\", "negatives": "Negative prompt:\n", "weights": "(a:1.",
    "spaces": " ", "versions": "Version: 1.", "sizes": "Size: 9x", "samplers": "Euler a Karras ",
}


def cost(function, *args):
    """CPU seconds of a call, the least of three; whatever it raises."""
    least = float("inf")
    for _ in range(3):
        begun = time.thread_time()
        try:
            function(*args)
        except ValueError:
            pass
        least = min(least, time.thread_time() - begun)
    return least


# Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["a ", "x", "euler ", "dpmpp_2m+", "DPMSolverMultistepScheduler"])
@pytest.mark.parametrize("way", LOOKUPS)
def test_a_name_without_end_is_nobodys_and_costs_less_than_a_short_one(way, shape):
    look_up, long = LOOKUPS[way], shape * (MEGABYTE // len(shape))
    with pytest.raises(UnknownName) as caught:
        look_up(long)
    said = str(caught.value)
    assert len(said) < 300 and "200 characters at most" in said and shape[:5] in said
    assert cost(look_up, long) < 3 * cost(look_up, "nobody's name"[:12] * 8) + 1e-4


def test_a_name_of_the_last_length_is_looked_up():
    name = "euler" + " " * (LONGEST - 5)
    assert names.resolve(name).sampler == "euler" and samplers.REGISTRY.find(name)
    assert samplers.REGISTRY.find(name + " ") is samplers.REGISTRY.spelled(name + " ") is None
    assert name + " " not in samplers.REGISTRY and not names.is_class("Scheduler" * MEGABYTE)
    with pytest.raises(ValueError, match="cannot be called 'aaa"):
        samplers.register(
            samplers.Sampler(name="a" * (LONGEST + 1), label="x", source="x", build=None,
                             options=samplers.get("euler").options, order=1)
        )


@pytest.mark.parametrize("said", [5, 0, 1.5, True, False, [], ["euler"], {}, {"a": 1}, b"euler"])
def test_what_is_no_text_is_no_name(said):
    for way, look_up in LOOKUPS.items():
        with pytest.raises(ValueError, match="is chosen by its name, got "):
            look_up(said)
        assert way


@pytest.mark.parametrize("kind, name, says", [
    ("sampler", "res_2m", "unknown sampler 'res_2m'; it comes with RES4LYF"),
    ("sampler", "RES 3M", "RES4LYF"), ("sampler", "rk_beta", "RES4LYF"),
    ("sampler", "stride_deis_2m", "RES4LYF"), ("sampler", "tcd_euler_a", "TCD"),
    ("sampler", "euler_smea_dy", "Euler Smea Dyn"), ("sampler", "ttm", "Extra Samplers"),
    ("sampler", "sonar_euler", "sonar"), ("schedule", "simple_exponential", "Extra Samplers"),
    ("schedule", "ays_30+", "ppm"), ("schedule", "AYS SD1", "same table here is align_your_steps"),
    ("schedule", "GITS[coeff=1.2]", "same table here is denoising_trajectory"),
    ("schedule", "GITS[coeff=1.45]", "Impact Pack"), ("schedule", "OSS FLUX", "optimal_steps"),
])  # fmt: skip
def test_a_name_of_another_pack_says_whose_it_is(kind, name, says):
    with pytest.raises(UnknownName, match=f"unknown {kind} '") as caught:
        names.resolve(name) if kind == "sampler" else names.resolve("euler", name)
    assert says in str(caught.value) and caught.value.kind == kind and caught.value.pack


def test_the_packs_names_are_not_taken_for_ours():
    """Each is either a spelling of ours, which runs, or an error that names a pack."""
    for pack in PACKS:
        for name in pack.samplers:
            try:
                assert names.resolve(name).schedule is None, name
            except UnknownName as error:
                assert pack.title in error.pack, name
        for name in pack.schedules:
            try:
                assert names.schedule_named(name) == name
            except UnknownName as error:
                assert pack.title in error.pack, name


# Values in errors -------------------------------------------------------------------------------


@pytest.mark.parametrize("value, short", [
    (5, "5"), ("5", "'5'"), (0.25, "0.25"), (None, "None"), (True, "True"), ("it's", '"it\'s"'),
])  # fmt: skip
def test_a_short_value_is_shown_whole(value, short):
    assert shown(value) == short


@pytest.mark.parametrize("value", [
    "x" * MEGABYTE, ["x" * MEGABYTE] * 1000, {"x" * MEGABYTE: [[[[[["x"]]]]]]}, 10**4000,
    torch.zeros(1000), tuple(range(MEGABYTE)),
])  # fmt: skip
def test_a_long_value_is_shortened(value):
    assert 0 < len(shown(value)) < 500


WRONG = "9" * MEGABYTE
REFUSALS = {
    "option": lambda: samplers.get("euler").configure(s_noise=WRONG),
    "option name": lambda: samplers.get("euler").configure(**{WRONG: 1}),
    "choice": lambda: samplers.get("dpmpp_2m_sde").configure(solver_type=WRONG),
    "steps": lambda: schedules.get("karras").sigmas(ModelSpec.discrete(), WRONG),
    "denoise": lambda: schedules.get("karras").sigmas(ModelSpec.discrete(), 5, WRONG),
    "typed": lambda: transforms.parse("a" * MEGABYTE), "points": lambda: Points.parse("a" + WRONG),
    "many typed": lambda: transforms.parse("1," * MEGABYTE),
    "many points": lambda: Points.parse("1," * MEGABYTE),
    "process": lambda: VE.__class__(WRONG), "shift": lambda: transforms.shift([2, 1, 0], 10**400),
    "prediction": lambda: samplers.Stepper(
        samplers.get("euler").plan([1.0, 0.0], VE), ModelSpec.discrete(), WRONG
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSALS)
def test_an_error_is_short(what):
    with pytest.raises(ValueError) as caught:
        REFUSALS[what]()
    assert 20 < len(str(caught.value)) < 500


@pytest.mark.parametrize("given, says", [("5", "got '5'"), (0.5, "got 0.5"), (None, "got None")])
def test_a_text_is_told_from_a_number(given, says):
    with pytest.raises(ValueError, match=f"steps must be a whole number from 1 to 10000, {says}"):
        schedules.get("karras").sigmas(ModelSpec.discrete(), given)


def test_ten_thousand_sigmas_may_be_typed_and_no_more():
    text = ", ".join(map(str, range(10_000, -1, -1)))
    assert len(transforms.parse(text)) == 10_001
    with pytest.raises(ValueError, match="more than 10001 sigmas were typed"):
        transforms.parse("10001, " + text)
    assert len(Points.parse("1 " * 10_000).values) == 10_000
    with pytest.raises(ValueError, match="1 to 10000 numbers"):
        Points.parse("1 " * 10_001)


# Texts ------------------------------------------------------------------------------------------

LINE = "\nSteps: 5, Sampler: Euler a, CFG scale: 4, Seed: 1, Size: 64x64"


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_text_is_read_in_linear_time(shape, exact):
    """Sixteen times the text; work that grew with its square would be 256 times as much."""
    def text(size, before, after):
        return before + SHAPES[shape] * (size // len(SHAPES[shape])) + after

    places = ("", LINE), (f"a{LINE}, Model: ", ", Version: v1.9.0"), (f"a{LINE}, ", "")
    for before, after in places:
        small, large = (
            cost(generation.read, text(size, before, after), exact) for size in (3_000, 48_000)
        )
        assert large < 64 * small + 2e-3, (before, after)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_text_is_written_in_linear_time(shape):
    def write(size):
        text = SHAPES[shape] * (size // len(SHAPES[shape]))
        infotext.with_seed(infotext.write(text, text, dict(Steps=1, Sampler=text, Seed=3)), 1)

    assert cost(write, 48_000) < 64 * cost(write, 3_000) + 2e-3


@pytest.mark.parametrize("text", [
    f"a{LINE}, {'Key' * 10**5}: 1", f"a{LINE}, Key: {'x' * 10**6}", f"a{LINE}, Eta: {'9' * 10**6}",
    f"<lora:{'x' * 10**6}>{LINE}", f"a{LINE}, Size: {'9' * 4}x64, Version: {'1.' * 10**5}",
    "a" + LINE + ', Stride options: "{\\"sampler\\": {\\"eta\\": \\"' + "x" * 10**6 + '\\"}}"',
    "a" + LINE + ', Stride options: "{\\"sampler\\": {\\"zeta\\": \\"' + "x" * 10**6 + '\\"}}"',
])  # fmt: skip
def test_what_is_said_of_a_text_is_short(text):
    """Besides the prompts, which are whole."""
    found = generation.read(text)
    assert found.notes and all(len(note) < 500 for note in found.notes)
    assert len(report(found, "a text")) < 5000


# Pictures ---------------------------------------------------------------------------------------


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(*chunks, size=(64, 48)):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    return png.SIGNATURE + head + b"".join(chunks) + chunk(b"IEND", b"")


def international(text, packed=False, key=b"parameters"):
    data = zlib.compress(text.encode()) if packed else text.encode()
    return chunk(b"iTXt", key + bytes([0, packed, 0]) + b"de\0Schl\0" + data)


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    count = 0

    def read(self, size=-1):
        found = super().read(size)
        self.count += len(found)
        return found


PIXELS = chunk(b"IDAT", bytes(5 * MEGABYTE))
TEXTS = {
    "plain": chunk(b"tEXt", b"parameters\0a text"),
    "latin": chunk(b"tEXt", "parameters\0a text".encode("latin-1")),
    "packed": chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"a text")),
    "international": international("a text"), "both": international("a text", packed=True),
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_is_found_before_and_behind_the_pixels_which_are_not_read(kind, late):
    parts = (PIXELS, TEXTS[kind]) if late else (TEXTS[kind], PIXELS)
    file = Counted(picture(*parts))
    found = png.read(file)
    assert found == ((64, 48), {"parameters": "a text"}, b"") and file.count < 200


def test_what_is_read_is_what_pillow_reads():
    """Where Pillow has read all of a file: texts of every kind, twice the same, exif."""
    from PIL import Image, PngImagePlugin

    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "gr\u00fcn".encode("utf-16-be")
    info = PngImagePlugin.PngInfo()
    for key, text in (("a", "plain"), ("b", "gr\u00fcn"), ("c", "\u7dd1" * 9), ("a", "again")):
        info.add_text(key, text, zip=key != "a")
    info.add_itxt("d", "\u7dd1", zip=True)
    file = io.BytesIO()
    Image.new("RGB", (3, 5)).save(file, "PNG", pnginfo=info, exif=exif)
    with Image.open(file) as opened:
        opened.load()
        want, tags = dict(opened.text), dict(opened.getexif().get_ifd(0x8769))
    file.seek(0)
    found = png.read(file)
    mine = Image.Exif()
    mine.load(found.exif)
    assert (found.size, found.texts, dict(mine.get_ifd(0x8769))) == ((3, 5), want, tags)


def test_imagemagicks_exif_is_found():
    told = "\nexif\n       4\n" + b"MM\0*".hex() + "\n"
    assert png.read(io.BytesIO(picture(
        chunk(b"tEXt", b"Raw profile type exif\0" + told.encode())))).exif == b"MM\0*"


BOMB = zlib.compress(bytes(60 * MEGABYTE), 9)


@pytest.mark.parametrize("chunks, says", [
    ([chunk(b"zTXt", b"parameters\0\0" + BOMB)], "a compressed text of more than 1 MB"),
    ([international("", key=b"x")[:-4].replace(b"\0\0\0de", b"\0\1\0de") + b"1234",
      chunk(b"iTXt", b"y\0\1\0\0\0" + BOMB)], "a compressed text of more than 1 MB"),
    ([chunk(b"zTXt", b"%d\0\0" % i + zlib.compress(bytes(10**6))) for i in range(90)],
     "more than 64 MB of text"),
    ([struct.pack(">I", 2**31) + b"tEXt"], "more than 64 MB of text"),
])  # fmt: skip
def test_a_text_that_swells_is_an_error(chunks, says):
    with pytest.raises(ValueError, match=says):
        png.read(io.BytesIO(picture(*chunks)))


@pytest.mark.slow
def test_a_mutated_file_is_read_or_refused():
    """Bytes changed, cut out and doubled: a ValueError or an answer, whatever the file says."""
    rng = random.Random(5)
    whole = picture(*TEXTS.values(), PIXELS[:5000], chunk(b"eXIf", b"MM\0*\0\0\0\x08" + bytes(60)))
    for _ in range(12_000):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 3)] = rng.choice(
                (b"", bytes([rng.randrange(256)]), bytes(4), b"\xff\xff\xff\xff", data[:20])
            )
        try:
            assert isinstance(png.read(io.BytesIO(bytes(data))), png.Png)
        except ValueError as error:
            assert len(str(error)) < 100


# Torch's default dtype ---------------------------------------------------------------------------


def everything():
    """A run of every sampler, every schedule, every stream, and of the demo's network."""
    def both(x, sigma, exact):
        return (d := exact(x, sigma)), 0.5 * d  # the second for CFG++

    for process, spec in ((VE, ModelSpec.discrete()), (FLOW, ModelSpec.flow())):
        model = partial(both, exact=gaussian(process))
        for schedule in schedules.REGISTRY:
            steps = schedule.counts[0] if schedule.counts else 4
            try:
                yield schedule.sigmas(spec, steps), schedule.sigmas(spec, steps, 0.0)
            except ValueError:  # for another kind of model
                continue
        levels = schedules.get("simple").sigmas(spec, 4).tolist()
        x = levels[0] * torch.linspace(-1, 1, 8, dtype=torch.float32).reshape(2, 4)
        for sampler in samplers.REGISTRY:
            yield (samplers.sample(sampler.name, model, x, levels, process, seed=3),)
    for kind in GENERATORS:
        yield (A1111Noise(kind, 5, range(2)).first((2, 4, 8, 8)),)
    yield transforms.trim([2.0, 1.0, 0.0], 0.0), *transforms.split([2.0, 1.0, 0.0], 0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_the_default_dtype_of_another_pack_changes_nothing(dtype):
    before, default = list(everything()), torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        after = list(everything())
    finally:
        torch.set_default_dtype(default)
    assert len(before) == len(after)
    for mine, theirs in zip(before, after):
        for a, b in zip(mine, theirs):
            assert a.dtype == b.dtype and torch.equal(a, b)


MAKERS = {"arange", "empty", "eye", "full", "linspace", "logspace", "ones", "rand", "randn",
          "tensor", "zeros"}  # fmt: skip
ROOMS = ("advice", "a1111", "engine", "guidance", "host", "measure", "names", "nodes", "samplers",
         "schedules")  # fmt: skip
DEMO = {"TextEncoder", "Block", "Network"}  # parameters that a file's take the place of


def test_no_tensor_is_made_in_the_default_dtype():
    found = []
    files = [*ROOT.glob("*.py"), *(f for room in ROOMS for f in (ROOT / room).rglob("*.py")),
             ROOT / "demo" / "network.py", ROOT / "demo" / "text.py"]
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        skipped = {
            id(inner) for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and node.name in DEMO and "demo" in str(file)
            for part in node.body if getattr(part, "name", "") == "__init__"
            for inner in ast.walk(part)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or id(node) in skipped:
                continue
            made = node.func
            if (
                isinstance(made, ast.Attribute) and made.attr in MAKERS
                and isinstance(made.value, ast.Name) and made.value.id == "torch"
                and "dtype" not in {k.arg for k in node.keywords}
            ):
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert not found, found
