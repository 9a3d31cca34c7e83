"""What a prompt, a picture or a request may cost the server, and what odd inputs are told."""

import asyncio
import json
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from client import Failed, Graph, Interrupted, Rejected

pytestmark = pytest.mark.host

MEGABYTE = 10**6
SHAPES = {
    "words": "a ", "folders": "a/", "letters": "x", "digits": "9", "numbers": "1, ",
    "brackets": "(", "combined": "euler_", "class": "DPMSolverScheduler.", "up": "../",
    "zeros": "\0",
}  # fmt: skip
_tags = count(1)


# What a prompt costs the loop -------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(object_info):
    """(node, input) of everything that takes a text or a choice."""
    found = []
    for name, info in object_info.items():
        inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
        for key, spec in inputs.items():
            text = isinstance(spec[0], list) or spec[0] in ("STRING", "COMBO")
            if name.startswith("Stride") and text:
                found.append((name, key))
    assert len({name for name, _ in found}) > 10
    return found


def asked(host, kind, output, **inputs):
    """(CPU seconds of the server's loop, the errors in its answer) for a node that cannot run."""
    graph = Graph()
    node = graph.add(kind, **inputs)
    if not output:
        graph.add("PreviewAny", source=node[0])
    errors, prompt_id = [], None
    before = host.call("/faults/loop")
    try:
        prompt_id = host.queue(graph)
    except Rejected as error:
        (found,) = error.answer["node_errors"].values()
        errors = found["errors"]
    seconds = host.call("/faults/loop") - before
    if prompt_id is not None:  # what takes long to look at is looked at when it runs
        with pytest.raises(Failed):
            host.wait(prompt_id)
    return seconds, errors


def least(host, *args, **inputs):
    return min(asked(host, *args, **inputs)[0] for _ in range(3))


def check_costs(host, object_info, texts, shape):
    """None costs the loop more than the host's own node does, which looks into a list of names."""
    value = SHAPES[shape] * (MEGABYTE // len(SHAPES[shape]))
    allowed = 3 * least(host, "KSampler", False, sampler_name=value) + 5e-3
    for kind, name in texts:
        output = object_info[kind]["output_node"]
        seconds, errors = asked(host, kind, output, **{name: value})
        if seconds > allowed:  # somebody else's turn, perhaps
            seconds = least(host, kind, output, **{name: value})
        assert seconds < allowed, (kind, name)
        for problem in custom(errors):
            assert len(problem["details"]) < 500, (kind, name)


def test_a_megabyte_in_any_input_is_nothing(host, object_info, texts):
    check_costs(host, object_info, texts, "words")


@pytest.mark.slow
@pytest.mark.parametrize("shape", list(SHAPES)[1:])
def test_a_megabyte_of_any_shape_is_nothing(host, object_info, texts, shape):
    check_costs(host, object_info, texts, shape)


def custom(errors):
    """Those that a check of ours found."""
    return [error for error in errors if error["type"] == "custom_validation_failed"]


# Who is to blame --------------------------------------------------------------------------------


def blamed(host, graph, node):
    """{input: what is said of it} of a node that is refused."""
    error = host.refusal(graph, node, by=Rejected)
    return {
        problem["extra_info"]["input_name"]: problem["details"]
        for problem in error.answer["node_errors"][node.id]["errors"]
    }


@pytest.mark.parametrize("changes, who, says", [
    (dict(sampler="eulr"), {"sampler"}, "unknown sampler 'eulr'; did you mean euler"),
    (dict(schedule="karas"), {"schedule"}, "unknown schedule 'karas'; did you mean karras"),
    (dict(schedule="AYS SD1"), {"schedule"}, "the same table here is align_your_steps"),
    (dict(sampler="res_2m"), {"sampler"}, "RES4LYF (ClownsharkBatwing/RES4LYF)"),
    (dict(sampler="automatic", schedule="karas"), {"schedule"}, "karras"),
    (dict(sampler="eulr", schedule="automatic"), {"sampler"}, "did you mean euler"),
    (dict(sampler=5), {"sampler"}, "a sampler is chosen by its name, got 5"),
    (dict(schedule={"a": 1}), {"schedule"}, "a schedule is chosen by its name, got {'a': 1}"),
    (dict(sampler="DPM++ 2M Karras", schedule="beta"), {"sampler", "schedule"}, "in its name"),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["stride", "advanced"])
def test_one_input_alone_turns_red(host, scene, kind, changes, who, says):
    graph = scene(size=64)
    found = blamed(host, graph, getattr(graph, kind)(**changes))
    assert set(found) == who
    for name, said in found.items():
        assert said.startswith(f"{name} - ") and says in said and f"{name}: " not in said


def test_nodes_of_others_are_answered_as_they_were(host, scene):
    graph = scene(size=64)
    found = blamed(host, graph, graph.stock(sampler="eulr", schedule="karas"))
    assert set(found) == {"sampler_name", "scheduler"}


NAMES = {
    "StrideKSampler": ("sampler", "schedule"), "StrideKSamplerAdvanced": ("sampler", "schedule"),
    "StrideSampler": ("sampler",), "StrideSchedule": ("schedule",),
    "StrideHires": ("sampler", "schedule"),
    "StrideToA1111": ("sampler", "schedule", "hires_sampler", "hires_schedule"),
}  # fmt: skip


@pytest.mark.parametrize("value", [5, 1.5, True, False, {}, {"a": 1}, {"__value__": [1, 2, 3]}])
@pytest.mark.parametrize("kind", NAMES)
def test_what_is_no_text_is_refused_before_the_run(host, kind, value):
    for name in NAMES[kind]:
        found = custom(asked(host, kind, False, **{name: value})[1])
        assert [p["extra_info"]["input_name"] for p in found] == [name]
        assert "is chosen by its name, got" in found[0]["details"]


@pytest.mark.parametrize("kind", NAMES)
def test_null_is_an_input_that_is_missing(host, object_info, kind):
    required = object_info[kind]["input"]["required"]
    for name in NAMES[kind]:
        _, errors = asked(host, kind, False, **{name: None})
        missing = {error["extra_info"]["input_name"] for error in errors
                   if error["type"] == "required_input_missing"}
        assert missing == set(required)  # an optional one has its default


@pytest.mark.parametrize("changes", [
    dict(add_noise="on"), dict(add_noise=True), dict(return_with_leftover_noise=""),
    dict(distilled="lightnin"), dict(distilled={}),
])  # fmt: skip
def test_a_word_that_no_dropdown_has_is_refused(host, scene, changes):
    graph = scene(size=64)
    (name,) = changes
    said = str(host.refusal(graph, graph.advanced(**changes)))
    assert name in said and len(said) < 1000


# What other packs hand to us ---------------------------------------------------------------------


def odd(graph, kind, **inputs):
    return graph.add("Odd", kind=kind, **inputs)[0]


@pytest.mark.parametrize("sampler", ["euler", "dpm_adaptive", "dpmpp_2m_sde", "dpmpp_2m"])
@pytest.mark.parametrize("kind", ["stride", "advanced", "custom", "hires", "stock"])
def test_a_batch_of_no_images_comes_back(host, scene, kind, sampler):
    graph = scene(size=64)
    none = odd(graph, "no images", latent=graph.empty)
    if kind == "stock":
        node = graph.stock(sampler=f"stride_{sampler}", latent_image=none)
    elif kind == "hires":
        node = hires(graph, none, sampler=sampler)
    else:
        node = getattr(graph, kind)(sampler=sampler, latent_image=none)
    (found,), outputs = host.run_saving(graph, [node])
    assert found.shape[0] == 0 and found.shape[1] == 4
    if "text" in outputs.get(node.id, {}):
        assert ", 0 model calls" in outputs[node.id]["text"][0]


def hires(graph, latent, **changes):
    inputs = dict(
        model=graph.model, positive=graph.positive, negative=graph.negative, latent_image=latent,
        upscale_by=2.0, width=0, height=0, upscale_method="bilinear", denoise=0.6, steps=3, cfg=2.0,
        sampler="euler", schedule="karras", seed_from="new_seed", new_seed=4,
    )  # fmt: skip
    return graph.add("StrideHires", **{**inputs, **changes})


def test_a_mask_that_is_none_is_none(host, scene):
    graph = scene(size=64)
    first = graph.stride()
    bare = odd(graph, "no mask", latent=first[0])
    nodes = hires(graph, first[0]), hires(graph, bare), graph.stride(latent_image=bare)
    one, other, third = host.latents(graph, *nodes)
    assert torch.equal(one, other) and third.shape == (1, 4, 8, 8)


def test_what_an_empty_latent_was_rescaled_by_is_not_handed_on(host, scene):
    """Ours take it out as newer hosts do; else the next node would rescale once more."""
    graph = scene(size=64)
    for denoise in (1.0, 0.0):
        node = graph.stride(latent_image=odd(graph, "ratio", latent=graph.empty), denoise=denoise)
        keys = graph.add("PreviewAny", source=odd(graph, "keys", latent=node[0]))
        said = host.run(graph)[keys.id]["text"][0]
        assert "samples" in said and "downscale" not in said


def test_what_is_not_ours_in_a_latent_is_not_read(host, scene):
    graph = scene(size=64)
    plain = graph.advanced(seed=5)
    marked = graph.advanced(seed=5, latent_image=odd(graph, "foreign run", latent=graph.empty))
    first = graph.advanced(sampler="dpmpp_2m", end_at_step=2, return_with_leftover_noise="enable")
    torn = odd(graph, "torn run", latent=first[0])
    second = graph.advanced(
        sampler="dpmpp_2m", start_at_step=2, add_noise="disable", latent_image=torn
    )
    (one, other, _), outputs = host.run_saving(graph, [plain, marked, second])
    assert torch.equal(one, other)
    assert "what the latent tells of the run before is not whole" in outputs[second.id]["text"][0]
    graph = scene(size=64)
    latent = odd(graph, "foreign run", latent=graph.empty)
    host.refusal(graph, hires(graph, latent, steps=0), "does not tell how it was made", Failed)
    node = hires(graph := scene(size=64), odd(graph, "foreign run", latent=graph.empty))
    assert "still holds noise" not in host.run_saving(graph, [node])[1][node.id]["text"][0]


@pytest.mark.parametrize("kind", ["no dict", "no samples", "none", "number", "list", "dict"])
@pytest.mark.parametrize("node", ["stride", "hires"])
def test_what_is_no_latent_is_said_to_be_none(host, scene, kind, node):
    graph = scene(size=64)
    latent = odd(graph, kind, latent=graph.empty)
    made = hires(graph, latent) if node == "hires" else graph.stride(latent_image=latent)
    said = str(host.refusal(graph, made, "a LATENT is a dict whose 'samples' are a tensor", Failed))
    assert len(said) < 500


@pytest.mark.parametrize("kind", ["number", "text", "list", "dict"])
def test_options_and_reports_of_others_are_refused(host, scene, kind):
    graph = scene(size=64)
    host.refusal(
        graph, graph.stride(options=odd(graph, kind)), "options come from a node of Stride's, got"
    )
    graph.add("StrideReport", report=odd(graph, kind), latent=graph.empty, save_in_picture=False)
    said = str(host.refusal(graph, match="a report comes from a node of Stride's, got"))
    assert len(said) < 500


def test_options_made_by_hand_are_looked_at(comfy):
    from stride import host
    from stride.host.lists.names import one_sampler, one_schedule

    held = host.Wishes(one_sampler("euler"), one_schedule("karras"), host.RunSettings())
    assert held.sampler.name == "euler"
    for wrong in (
        dict(sampler="euler"), dict(schedule=5), dict(settings={}), dict(a1111=host.RunSettings()),
        dict(sampler=one_schedule("karras")), dict(schedule=one_sampler("euler")),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"their {next(iter(wrong))} is none of Stride's, got"):
            host.Wishes(**wrong)


# Runs that go wrong ------------------------------------------------------------------------------


def test_a_stop_tells_the_image_and_the_absurd_answer_before_it(host, scene):
    def stopped(fault, at, batch):
        graph = scene(size=64, batch=batch)
        broken = graph.add(
            "FaultyModel", model=graph.model, fault=fault, at=at, fits=1, tag=next(_tags)
        )
        return str(host.refusal(graph, graph.stride(model=broken[0]), by=Failed))

    assert "NaN or Inf in image 2 of 3 at step 3 of 4 (sigma" in stopped("nan image 1", 3, 3)
    said = stopped("huge", 2, 1)
    assert "at step 3 of 4 (sigma" in said and "its answer at step 2 of 4 (sigma" in said
    assert "was finite, but reached" in said


@pytest.mark.parametrize("sampler, noted", [("dpmpp_2m_sde", True), ("dpmpp_2m", False)])
def test_another_seed_in_a_chain_is_noted_where_it_draws(host, scene, sampler, noted):
    graph = scene(size=64)
    first = graph.advanced(sampler=sampler, end_at_step=2, return_with_leftover_noise="enable")
    chained = dict(sampler=sampler, start_at_step=2, add_noise="disable", latent_image=first[0])
    same, other = graph.advanced(**chained), graph.advanced(**chained, noise_seed=6)
    (one, two), outputs = host.run_saving(graph, [same, other])
    assert "seed" not in outputs[same.id]["text"][0]
    said = outputs[other.id]["text"][0]
    assert ("is seed 6's, that of the steps before seed 5's" in said) == noted
    assert torch.equal(one, two) != noted


@pytest.mark.parametrize("dtype, batch", [("float64", 2), ("float16", 3)])
def test_under_another_packs_default_dtype_the_host_runs_and_so_do_ours(host, scene, dtype, batch):
    """The picture is the host's for it: its empty latent, and so the noise, is of that dtype.

    batch: one of its own, so that no latent of another dtype is in the host's cache.
    """
    def drawn(prediction, batch=1):
        host.call("/free", {"free_memory": True, "unload_models": True})
        graph = scene(prediction, size=64, text="a (red:1.2) circle", batch=batch)
        return host.latents(
            graph, graph.stride(), graph.stock(), graph.stride(sampler="dpmpp_2m_sde")
        )

    before = drawn("flow")
    host.call(f"/faults/loop?dtype={dtype}")
    try:
        for kind in ("eps", "flow"):
            ours, theirs, noisy = drawn(kind, batch)
            torch.testing.assert_close(ours.float(), theirs.float(), rtol=0.02, atol=0.02)
            assert torch.isfinite(noisy).all()
    finally:
        host.call("/faults/loop?dtype=float32")
    assert all(map(torch.equal, before, drawn("flow")))


# Pictures ---------------------------------------------------------------------------------------


@pytest.fixture
def pictures(comfy, tmp_path, monkeypatch):
    """The host's pictures in this process, in folders of their own."""
    import folder_paths
    from stride.host.shown import pictures

    for name in ("input", "output", "temp"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    return pictures


def test_no_pixel_of_a_picture_is_decoded(pictures, tmp_path, monkeypatch):
    from PIL import Image, ImageFile, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a text\nSteps: 1, Sampler: Euler, Seed: 3")
    Image.new("1", (9000, 9000)).save(tmp_path / "input" / "large.png", pnginfo=info)
    Image.new("1", (9000, 9000)).save(tmp_path / "input" / "bare.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "input" / "a.webp")
    Image.new("RGB", (64, 64)).save(tmp_path / "input" / "a.jpg")

    def never(*args):
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", never)
    assert pictures.stored_in("large.png").text.startswith("a text")
    for name in ("bare.png", "a.webp", "a.jpg"):
        assert pictures.stored_in(name) == (type(pictures.stored_in(name)))()


@pytest.mark.parametrize("name", ["a/" * 10**5, "x" * 10**6, "../" * 1000, 5, True, {"a": 1}])
def test_a_file_name_without_end_is_no_file(pictures, name, monkeypatch):
    import os

    asked = []
    monkeypatch.setattr(os, "lstat", lambda path, *a, real=os.lstat: asked.append(1) or real(path))
    with pytest.raises(ValueError) as caught:
        pictures.check(name)
    assert len(str(caught.value)) < 300 and not asked


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Pillow's own, on every other file
def test_a_mutated_picture_is_read_or_refused(pictures, tmp_path):
    """A ValueError of one short line, or an answer; nothing else, whatever the file says."""
    import io

    from PIL import Image, PngImagePlugin

    rng, exif = random.Random(7), Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a\nSteps: 1, Seed: 2".encode("utf-16-be")
    exif[0x0110] = 'prompt:{"1": {"class_type": "KSampler", "inputs": {"seed": 1}}}'
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", '{"1": {"class_type": "KSampler", "inputs": {"seed": 1}}}')
    info.add_itxt("parameters", "a\nSteps: 1, Seed: 2", zip=True)
    wholes = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF"):
        file = io.BytesIO()
        more = {"pnginfo": info} if kind == "PNG" else {"comment": b"Steps: 1"}
        Image.new("RGB", (8, 8)).save(file, kind, exif=exif, **more)
        wholes.append((kind.lower(), file.getvalue()))
    for _ in range(12_000):
        kind, data = rng.choice(wholes)
        data = bytearray(data)
        for _ in range(rng.randint(1, 10)):
            at = rng.randrange(len(data) or 1)
            data[at : at + rng.randint(0, 4)] = rng.choice(
                (b"", bytes([rng.randrange(256)]), bytes(4), b"\xff\xff\xff\xff", data[:20])
            )
        (tmp_path / "input" / f"m.{kind}").write_bytes(data)
        try:
            pictures.stored_in(f"m.{kind}")
        except ValueError as error:
            assert len(str(error)) < 400


def test_half_a_character_is_saved_as_a_question_mark(host, scene):
    graph = scene(size=64)
    picture = graph.add("VAEDecode", vae=graph.vae, samples=graph.empty)
    text = graph.add("PrimitiveStringMultiline", value="a \ud83d b\nSteps: 1, Seed: 2, Size: 8x8")
    save = graph.add("StrideSaveA1111", images=picture[0], text=text[0], filename_prefix="half")
    (file,) = host.run(graph)[save.id]["images"]
    from PIL import Image

    with Image.open(host.server.output / file["subfolder"] / file["filename"]) as saved:
        assert saved.info["parameters"].startswith("a ? b\n")


def test_a_text_that_cannot_be_read_back_is_not_saved(pictures, tmp_path, monkeypatch):
    from stride.a1111 import png

    monkeypatch.setattr(png, "MOST", 1000)
    images, out = torch.zeros(2, 8, 8, 3), tmp_path / "output"
    saved, _ = pictures.save(images, "fine", ["x" * 400] * 2, {"a": "y" * 400}, None)
    assert len(saved) == 2
    for texts, prompt in ((["x", "x" * 1001], None), (["x" * 400] * 2, {"a": "y" * 700})):
        with pytest.raises(ValueError, match="can be read back"):
            pictures.save(images, "large", texts, prompt, None)
    assert len(list(out.iterdir())) == 2


# Requests ---------------------------------------------------------------------------------------


def test_two_requests_are_worked_on_at_once_and_none_on_the_loop(comfy, monkeypatch):
    from aiohttp import web
    from stride.host.shown import routes

    now = most = 0
    lock, threads, gate = threading.Lock(), set(), threading.Event()

    def counted(query):
        nonlocal now, most
        with lock:
            now, most = now + 1, max(most, now + 1)
            threads.add(threading.current_thread())
            if most == 2:
                gate.set()
        gate.wait(5)
        with lock:
            now -= 1
        return {"query": dict(query)}

    counted.__name__ = "sigmas"
    table = web.RouteTableDef()
    server = SimpleNamespace(PromptServer=SimpleNamespace(instance=SimpleNamespace(routes=table)))
    monkeypatch.setitem(sys.modules, "server", server)
    monkeypatch.setattr(routes, "sigmas", counted)
    assert routes.add()
    (handler,) = [route.handler for route in table if route.path == "/stride/sigmas"]

    async def ask(k):
        answer = await handler(SimpleNamespace(rel_url=SimpleNamespace(query={"k": str(k)})))
        return json.loads(answer.body)["query"]["k"]

    async def all_at_once():
        return await asyncio.gather(*map(ask, range(40)))

    with ThreadPoolExecutor(1) as apart:  # the browser tests leave a loop running in this thread
        loop = apart.submit(threading.current_thread).result()
        answers = apart.submit(lambda: asyncio.run(all_at_once())).result()
    assert answers == [str(k) for k in range(40)]
    assert most == 2 and loop not in threads and len(threads) == 2


@pytest.mark.slow
def test_many_requests_leave_the_loop_its_turn(host):
    """A hundred of the dearest, all at once: the loop's own work is that for a hundred small ones.
    """
    def cost(steps):
        before = host.call("/faults/loop")
        with ThreadPoolExecutor(20) as pool:
            answers = [*pool.map(host.call, [f"/stride/sigmas?steps={steps}"] * 100)]
        assert all(len(answer["sigmas"]) == steps + 1 for answer in answers)
        return host.call("/faults/loop") - before

    cost(1)
    assert cost(10_000) < 5 * cost(1) + 0.2


# What held ---------------------------------------------------------------------------------------


def some_prompt(scene, rng):
    """A run of ours with what it is made of drawn at random; the host has nothing of it cached."""
    from stride import samplers, schedules

    graph = scene(rng.choice(["eps", "v", "flow"]), size=64, batch=rng.randint(1, 3))
    model = graph.add("FaultyModel", model=graph.model, fault="none", at=1, fits=1,
                      tag=rng.randrange(2**30))  # fmt: skip
    names = [s.name for s in samplers.REGISTRY]
    curves = [s.name for s in schedules.REGISTRY if not s.counts]
    changes = dict(
        sampler=rng.choice(names), schedule=rng.choice(curves), steps=rng.randint(1, 6),
        cfg=rng.choice([1.0, 2.5, 7.0]), seed=rng.randrange(2**40), model=model[0],
        denoise=rng.choice([1.0, 0.6]), latent_image=graph.empty,
    )  # fmt: skip
    if rng.random() < 0.3:
        changes["latent_image"] = graph.masked(graph.empty)[0]
    return graph, graph.stride(**changes)


def outcome(host, graph, node):
    try:
        return host.latents(graph, node)[0]
    except (Rejected, Failed) as error:
        return str(error)[:200]


@pytest.mark.slow
def test_prompts_in_two_orders_with_faults_between_are_the_same(host, scene):
    """Whatever ran or failed before, a prompt draws its own picture, bit for bit."""
    kinds = ["raise", "nan cond", "nan uncond", "oom once", "oom above", "interrupt", "huge"]

    def played(order, seed):
        rng, found = random.Random(seed), {}
        for k in order:
            if rng.random() < 0.5:
                graph = scene(size=64)
                broken = graph.add("FaultyModel", model=graph.model, fault=rng.choice(kinds),
                                   at=rng.randint(1, 4), fits=1, tag=next(_tags))  # fmt: skip
                node = graph.stride(model=broken[0], sampler=rng.choice(["heun", "dpmpp_2m_sde"]))
                try:
                    host.latents(graph, node)
                except (Failed, Interrupted):
                    pass
            found[k] = outcome(host, *some_prompt(scene, random.Random(k)))
            host.call("/free", {"free_memory": True})
        return found

    order = list(range(40))
    first = played(order, 1)
    random.Random(3).shuffle(order)
    second = played(order, 2)
    assert sum(torch.is_tensor(found) for found in first.values()) > 25
    for k, found in first.items():
        same = torch.equal if torch.is_tensor(found) else str.__eq__
        assert type(found) is type(second[k]) and same(found, second[k]), k
