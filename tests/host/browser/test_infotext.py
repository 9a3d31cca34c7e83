"""A text pasted into From A1111 (Stride) in the browser, in a graph that then runs."""

import json
from itertools import count
from pathlib import Path

import pytest

pytestmark = [pytest.mark.host, pytest.mark.browser]

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = json.loads((ROOT / "example_workflows" / "from_a1111.json").read_text(encoding="utf-8"))
TEXT = """a red circle on a blue background
Negative prompt: green
Steps: 8, Sampler: Heun, Schedule type: Exponential, CFG scale: 3, Seed: SEED, Size: 512x448, \
Strange: thing, RNG: CPU, Version: v1.10.1"""
SEEDS = count(21)  # another one for each run: a cached node tells nothing
FIND = "(type) => app.graph.nodes.find((node) => node.type === type).id"
WIDGET = """([type, name]) => app.graph.nodes.find((node) => node.type === type)
  .widgets.find((widget) => widget.name === name).value"""
# The host's own KSampler in place of ours, linked to the same outputs.
STOCK = """() => { const find = (type) => app.graph.nodes.find((node) => node.type === type);
  const from = find("StrideFromA1111"), ours = find("StrideKSampler");
  const stock = LiteGraph.createNode("KSampler"); stock.pos = [750, 500]; app.graph.add(stock);
  const into = (name) => stock.inputs.findIndex((input) => input.name === name);
  const out = (name) => from.outputs.findIndex((output) => output.name === name);
  for (const name of ["model", "positive", "negative", "latent_image"]) {
    const link = app.graph.links.get(ours.inputs.find((input) => input.name === name).link);
    app.graph.getNodeById(link.origin_id).connect(link.origin_slot, stock, into(name));
  }
  const names = { sampler: "sampler_name", schedule: "scheduler", steps: "steps", cfg: "cfg",
                  seed: "seed", denoise: "denoise" };
  for (const [name, input] of Object.entries(names)) from.connect(out(name), stock, into(input));
  stock.connect(0, find("VAEDecode"), 0);
  app.graph.remove(ours); }"""


def run(page, host):
    """Queue what is on the canvas, as the Run button does; the outputs of the run."""
    before = set(host.call("/history"))
    page.evaluate("() => app.queuePrompt(0, 1)")
    for _ in range(300):
        page.wait_for_timeout(200)
        for number in set(host.call("/history")) - before:
            return host.wait(number)
    raise TimeoutError("nothing ran")


def paste(page, text):
    """Click the text, mark all of it and paste over it."""
    old = page.evaluate(WIDGET, ["StrideFromA1111", "text"])
    page.wait_for_timeout(1000)
    fields = page.locator("textarea")
    (index,) = [i for i in range(fields.count()) if fields.nth(i).input_value() == old]
    fields.nth(index).click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)
    page.wait_for_timeout(300)
    assert page.evaluate(WIDGET, ["StrideFromA1111", "text"]) == text


def test_a_pasted_text_runs(page, host):
    page.evaluate("(workflow) => app.loadGraphData(workflow)", EXAMPLE)
    seed = next(SEEDS)
    paste(page, TEXT.replace("SEED", str(seed)))
    assert page.get_by_text("Invalid workflow").count() == 0
    kinds = "StrideFromA1111", "StrideKSampler", "SaveImage"
    source, sampler, save = (str(page.evaluate(FIND, kind)) for kind in kinds)
    outputs = run(page, host)
    report = outputs[source]["text"][0]
    assert f"heun on exponential, 8 steps, cfg 3, seed {seed}, 512 x 448" in report
    assert "Strange: thing" in report
    (told,) = outputs[sampler]["stride"]
    assert (told["sampler"], told["schedule"], told["steps"]) == ("heun", "exponential", 8)
    (file,) = outputs[save]["images"]
    picture = host.image(file["filename"], file["subfolder"])
    assert picture.shape == (448, 512, 3)
    assert (picture[:20].argmax(-1) == 2).mean() > 0.9  # blue
    page.wait_for_timeout(1000)


def test_the_hosts_ksampler_takes_the_same_wires(page, host):
    page.evaluate("(workflow) => app.loadGraphData(workflow)", EXAMPLE)
    paste(page, TEXT.replace("SEED", str(next(SEEDS))))
    page.evaluate(STOCK)
    save = str(page.evaluate(FIND, "SaveImage"))
    (file,) = run(page, host)[save]["images"]
    assert host.image(file["filename"], file["subfolder"]).shape == (448, 512, 3)
