"""Reports of runs on the real host: of ours and of anybody's samplers, shown, saved, let go."""

import json
import math
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from client import Failed, to_prompt
from host_models import Denoiser, models
from stride import samplers, schedules

pytestmark = pytest.mark.host
WORKFLOW = Path(__file__).resolve().parents[2] / "example_workflows" / "report.json"


def shown(host, graph, *reports):
    """(JSON as data, lines on the node) of each Report node."""
    texts = [graph.add("PreviewAny", source=report[2]) for report in reports]
    outputs = host.run(graph)
    return [(json.loads(outputs[text.id]["text"][0]), outputs[report.id]["text"][0])
            for text, report in zip(texts, reports)]


def report_of(graph, node, slot=1, latent=0, **more):
    settings = dict(save_in_picture=False) | more
    return graph.add("StrideReport", report=node[slot], latent=node[latent], **settings)


def watched(graph, sampler, **more):
    """(SamplerCustom, Report) with a SAMPLER node's output watched."""
    watch = graph.add("StrideWatch", sampler=sampler)
    custom = graph.custom(sampler=watch[0], **more)
    return custom, graph.add(
        "StrideReport", report=watch[1], latent=custom[0], save_in_picture=False
    )


@pytest.mark.parametrize("sampler, calls", [
    ("euler", [1] * 4), ("heun", [2, 2, 2, 1]), ("dpmpp_2m_sde", [1] * 4),
])
def test_a_report_tells_of_the_run(host, scene, sampler, calls):
    graph = scene(size=64, batch=2)
    node = graph.stride(sampler=sampler)
    ((data, line),) = shown(host, graph, report_of(graph, node))
    assert [step["model_calls"] for step in data["steps"]] == calls
    sigmas = [step["sigma"] for step in data["steps"]]
    spec = schedules.ModelSpec.discrete()
    wanted = schedules.get("karras").sigmas(spec, 4).tolist()[:-1]
    assert sigmas == pytest.approx(wanted, rel=1e-4)
    assert data["facts"]["sampler"] == sampler and data["facts"]["schedule"] == "karras"
    assert data["facts"]["seed"] == 5 and data["facts"]["cfg"] == 4.0
    assert data["seconds"] > data["model_seconds"] > 0
    first = data["steps"][0]["latent"]  # the host's noise, at the largest sigma
    assert first["deviation"] == pytest.approx(sigmas[0], rel=0.05)
    held = samplers.get(sampler).plan((*wanted, 0.0), samplers.VE).peak_memory + 1
    assert data["memory"] == held * 2 * 4 * 8 * 8 * 4 and f"the {held} latents" in line
    assert f"{sampler} on karras: 4 steps, {sum(calls)} model calls" in line


@pytest.mark.parametrize("theirs", ["euler", "dpmpp_2m", "uni_pc", "dpmpp_2m_sde", "dpm_adaptive"])
def test_any_sampler_is_watched_and_left_as_it_is(host, scene, theirs):
    """The host's own samplers: the same latent bit for bit, and what each step did."""
    graph = scene(size=64)
    select = graph.add("KSamplerSelect", sampler_name=theirs)
    custom, report = watched(graph, select[0])
    plain = graph.custom(sampler=select[0])
    left, bare = host.latents(graph, custom, plain)
    assert torch.equal(left, bare)
    ((data, line),) = shown(host, graph, report)
    assert data["model_calls"] == sum(step["model_calls"] for step in data["steps"]) > 3
    if theirs != "dpm_adaptive":  # whose steps are its own, and may be rejected
        assert [step["step"] for step in data["steps"]] == [0, 1, 2, 3]
        assert all(step["moved"] > 0 for step in data["steps"])
    assert "model calls" in line


def test_ours_watched_is_ours_reported(host, scene):
    """From SamplerCustom through the watch, or from KSampler (Stride): the same numbers."""
    graph = scene("flow", size=64)
    node = graph.stride(sampler="dpmpp_2m", schedule="karras")
    ours = graph.add("StrideSampler", sampler="dpmpp_2m")
    _, report = watched(graph, ours[0])
    one, other = shown(host, graph, report_of(graph, node), report)
    for mine, theirs in zip(one[0]["steps"], other[0]["steps"], strict=True):
        for step in (mine, theirs):
            del step["seconds"]
        assert mine == theirs


def test_a_report_asked_for_too_late_says_so(host, scene):
    """The run is in the host's cache, without a report; switched on, it would have had one."""
    graph = scene(size=64)
    node = graph.stride(seed=123)
    host.latents(graph, node)
    report_of(graph, node)
    host.refusal(graph, match="before its report was asked for.*Run Settings", by=Failed)
    graph = scene(size=64)
    node = graph.stride(seed=123, options=graph.add("StrideRunSettings", report=True)[0])
    host.latents(graph, node)
    ((data, _),) = shown(host, graph, report_of(graph, node))
    assert len(data["steps"]) == 4


def test_the_picture_carries_the_report(host, scene):
    """In the metadata of what the host's SaveImage writes, beside the workflow."""
    from PIL import Image

    graph = scene(size=64)
    node = graph.stride(seed=9)
    report = report_of(graph, node, save_in_picture=True)
    decoded = graph.add("VAEDecode", samples=report[3], vae=graph.vae)
    saves = [graph.add("SaveImage", images=images, filename_prefix="reported")
             for images in (decoded[0], report[1])]
    text = graph.add("PreviewAny", source=report[2])
    extra = {"extra_pnginfo": {"workflow": {"nodes": []}}}
    answer = host.call("/prompt", {"prompt": graph, "extra_data": extra})
    outputs = host.wait(answer["prompt_id"])
    data = json.loads(outputs[text.id]["text"][0])
    pictures = []
    for save in saves:
        file = outputs[save.id]["images"][0]
        with Image.open(host.server.output / file["subfolder"] / file["filename"]) as picture:
            assert json.loads(picture.text["stride_report"]) == [data]
            assert json.loads(picture.text["workflow"]) == {"nodes": []}
            pictures.append(picture.size)
    assert pictures == [(64, 64), (1040, 760)]
    # A prompt without such metadata runs as well, and says that nothing was saved.
    graph = scene(size=64)
    report = report_of(graph, graph.stride(seed=10), save_in_picture=True)
    assert "no metadata for pictures" in host.run(graph)[report.id]["text"][0]


def test_the_example_shows_and_saves_its_report(host, object_info):
    prompt = to_prompt(json.loads(WORKFLOW.read_text(encoding="utf-8")), object_info)
    outputs = host.run(prompt)
    by_kind = {node["class_type"]: outputs.get(key) for key, node in prompt.items()}
    table = by_kind["PreviewAny"]["text"][0].splitlines()
    assert "12 steps, 12 model calls" in table[0] and len(table) >= 2 + 1 + 1 + 12
    saved = [found["images"][0] for found in outputs.values() if "images" in found]
    sizes = sorted(host.image(f["filename"], f["subfolder"]).shape for f in saved
                   if f["type"] == "output")
    assert sizes == [(512, 512, 3), (760, 1040, 3)]


# Beside the host's modules, in one process ----------------------------------------------------


class Seen(Denoiser):
    """The model as a sampler function gets it; it notes what it was given and what it answers.

    fails: call number -> what is done instead of an answer.
    """

    def __init__(self, sampling, dtype=torch.float32, fails=None):
        super().__init__(sampling)
        self.model = SimpleNamespace(inner_model=self.inner_model)
        self.tensors, self.types, self.dtype = [], set(), dtype
        self.fails = fails or {}

    def __call__(self, x, sigma, **extra):
        self.types |= {x.dtype, sigma.dtype}
        d = super().__call__(x, sigma, **extra).to(self.dtype)
        self.tensors += [weakref.ref(x), weakref.ref(d)]
        if fail := self.fails.get(self.calls):
            fail()
        return d


def run_of(name="dpmpp_2m", box=None, **settings):
    from stride.host.run.ours import HostRun
    from stride.host.run.watch import Duties, RunSettings

    entry = samplers.get(name)
    return HostRun(entry, entry.options, duties=Duties(RunSettings(**settings), box))


def sigmas_of(comfy, steps=6):
    sampling, spec = models(comfy)["sd"]
    return sampling, schedules.get("karras").sigmas(spec, steps)


def latent(sigmas, dtype=torch.float32):
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    return (noise * sigmas[0]).to(dtype)


def run_out():
    raise torch.cuda.OutOfMemoryError("CUDA out of memory.")


def press_stop():
    import comfy.model_management

    comfy.model_management.interrupt_current_processing()


KEEP = "keep the picture so far"


@pytest.mark.parametrize("settings, fails", [
    ({}, {}), (dict(report=True), {}), (dict(precision="float64"), {}),
    (dict(images_at_a_time=1), {}), ({}, {3: run_out}),
    (dict(report=True), {3: run_out, 4: run_out}),
    (dict(when_interrupted=KEEP, report=True), {3: press_stop}),
    (dict(when_interrupted=KEEP), {}),
])
@pytest.mark.parametrize("name", ["dpmpp_2m", "heun", "dpmpp_2m_sde"])
def test_nothing_of_a_run_outlives_it(comfy, name, settings, fails):
    """The host keeps SAMPLERs in its cache: what is in them must not hold a latent."""
    from stride.host.run.watch import Box

    sampling, sigmas = sigmas_of(comfy)
    model, run = Seen(sampling, fails=fails), run_of(name, Box(), **settings)
    end = run(model, latent(sigmas), sigmas, {"seed": 1}, disable=True)
    assert torch.isfinite(end).all() and model.calls > 2
    del end
    assert not [tensor for tensor in model.tensors if tensor() is not None]
    assert run.duties.box.report is not None


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_state_has_its_own_precision(comfy, precision, half):
    """A half-precision model and latent: the model is asked in float32, the state rounds as set."""
    sampling, sigmas = sigmas_of(comfy, 30)
    model, shown = Seen(sampling, half), []
    x = latent(sigmas, half)
    end = run_of("dpmpp_2m", precision=precision)(
        model, x, sigmas, {"seed": 1}, callback=shown.append, disable=True
    )
    assert model.types == {torch.float32} and end.dtype == torch.float32
    assert {info[key].dtype for info in shown for key in ("x", "denoised")} == {torch.float32}
    exact = getattr(torch, precision)
    bare = Seen(sampling, half)
    wanted = samplers.sample(
        "dpmpp_2m", lambda x, s: bare(x.float(), s.float()), x.to(exact), sigmas
    )
    assert wanted.dtype == exact and torch.equal(end, wanted.float())


def test_float64_accumulates_less_rounding(comfy):
    """Against a run in double precision throughout; a thousand steps of euler."""
    sampling, sigmas = sigmas_of(comfy, 1000)
    x = latent(sigmas)
    bare = Seen(sampling)
    wanted = samplers.sample("euler", lambda x, s: bare(x.float(), s.float()), x.double(), sigmas)
    errors = [
        float((run_of("euler", precision=p)(Seen(sampling), x, sigmas, {}, disable=True)
               - wanted).abs().max()) for p in ("float32", "float64")
    ]
    assert errors[1] <= torch.finfo(torch.float32).eps * float(wanted.abs().max())
    assert errors[0] > 3 * errors[1]


def test_a_report_is_only_taken_down_where_it_is_asked_for(comfy):
    from stride.nodes.ksampler import _connected

    def wanted(inputs):
        return _connected({"3": {"inputs": {}}, "7": {"inputs": inputs}}, "3", 1)

    assert not wanted({}) and not wanted({"samples": ["3", 0]}) and not wanted({"x": ["4", 1]})
    assert wanted({"report": ["3", 1]})


def test_every_value_of_a_report_can_be_drawn(comfy):
    """Infinite log-SNR, NaN steps, one step, none, a thousand: a picture with ink on it."""
    from stride.engine.report import Report, Spread, StepReport
    from stride.host.shown.drawing import HEIGHT, WIDTH, draw

    def step(i, moved=1.0, image=0):
        spread = Spread(0.0, 1.0, -2.0 * (i + 1), 3.0)
        return StepReport(i, image, 10.0 / (i + 1), -math.inf, 1, 0.1, spread, spread, moved, None)

    runs = [[], [step(0)], [step(0, math.nan), step(1)], [step(i) for i in range(1000)],
            [step(i, image=k) for k in range(3) for i in range(5)],
            [step(i, moved=0.0) for i in range(3)]]
    for steps in runs:
        picture = draw(Report(tuple(steps), 5, 1.0, 0.5, facts={"sampler": "euler"}))
        assert picture.shape == (1, HEIGHT, WIDTH, 3) and picture.dtype == torch.float32
        assert 0 <= picture.min() < 0.3 and picture.max() <= 1
