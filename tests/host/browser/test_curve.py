"""The Schedule (Stride) node in the browser: its options, its live curve, what it saves."""

import re
import urllib.parse

import pytest
from stride import schedules

pytestmark = [pytest.mark.host, pytest.mark.browser]

ADD = """([type, x, y]) => { const node = LiteGraph.createNode(type); node.pos = [x, y];
  app.graph.add(node); return node.id; }"""
# What a click on the canvas does to a widget.
SET = """([id, values]) => { const node = app.graph.getNodeById(id);
  for (const [name, value] of Object.entries(values)) {
    const widget = node.widgets.find((w) => w.name === name);
    widget.value = value; widget.callback?.(value, app.canvas, node); } }"""
WIDGETS = """(id) => Object.fromEntries(app.graph.getNodeById(id).widgets
  .filter((w) => !w.hidden && w.name !== "stride_curve").map((w) => [w.name, w.value]))"""
PROMPT = "async () => (await app.graphToPrompt()).output"


class Node:
    """One Schedule (Stride) node and its curve."""

    def __init__(self, page, x=90, y=120, **values):
        self.page, self.index = page, page.locator(".stride-curve").count()
        self.id = page.evaluate(ADD, ["StrideSchedule", x, y])
        self.root = page.locator(".stride-curve").nth(self.index)
        self.root.wait_for()
        self.set(**values)

    def set(self, **values):
        self.page.evaluate(SET, [self.id, values])
        self.settle()

    def settle(self):
        """Until the answer to the last change is drawn."""
        self.page.wait_for_timeout(50)
        self.root.and_(self.page.locator('[aria-busy="false"]')).wait_for()

    def widgets(self):
        return self.page.evaluate(WIDGETS, self.id)

    def path(self, name):
        found = self.root.locator(f"path.{name}")
        return found.get_attribute("d") if found.count() else ""

    def points(self, name="sigma-main"):
        """[(x, y)] in pixels of the plot."""
        numbers = [float(n) for n in re.findall(r"-?[\d.]+(?:e-?\d+)?", self.path(name))]
        return list(zip(numbers[::2], numbers[1::2]))

    def sigmas(self, top, name="sigma-main"):
        """The points as noise levels, where the first is `top`, the last 0 and the axis linear."""
        points = self.points(name)
        high, low = points[0][1], points[-1][1]
        return [top * (low - y) / (low - high) for _, y in points]

    def said(self):
        return self.root.locator(".stride-curve-said").inner_text()


def answer(host, **query):
    return host.call(f"/stride/sigmas?{urllib.parse.urlencode(query)}")


def drawn_as(node, levels, name="sigma-main"):
    """Whether the curve stands where the levels are, to half a pixel of about a hundred."""
    found = node.sigmas(levels[0], name)
    return len(found) == len(levels) and all(
        abs(a - b) < 0.006 * levels[0] for a, b in zip(found, levels)
    )


def test_the_curve_is_the_schedule_and_follows_its_options(page, host):
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    node = Node(page, schedule="karras", steps=14)
    assert drawn_as(node, schedules.get("karras").sigmas(
        schedules.ModelSpec.discrete(), 14).tolist())
    before = node.points()
    node.set(rho=2.0)
    after = node.points()
    assert [x for x, _ in before] == [x for x, _ in after]
    assert before != after
    assert drawn_as(node, answer(host, schedule="karras", steps=14, rho=2)["sigmas"])
    node.set(steps=5, denoise=0.5)
    assert drawn_as(node, answer(host, schedule="karras", steps=5, rho=2, denoise=0.5)["sigmas"])
    # log-SNR rises where sigma falls, and ends at the top edge.
    heights = [y for _, y in node.points("snr-main")]
    assert heights == sorted(heights, reverse=True)
    assert not [url for url in sent if url.endswith("/prompt")], "a curve needs no run"


def test_each_schedule_shows_its_own_options(page):
    node = Node(page)
    common = {"schedule", "steps", "denoise"}
    for entry in schedules.REGISTRY:
        node.page.evaluate(SET, [node.id, {"schedule": entry.name}])
        shown = node.widgets()
        assert set(shown) == common | set(vars(entry.options)), entry.name
        assert {k: v for k, v in shown.items() if k not in common} == vars(entry.options)
        sent = page.evaluate(PROMPT)[str(node.id)]["inputs"]
        assert set(sent) == set(shown), "the prompt holds what applies and nothing else"
    assert node.root.is_visible()


def test_a_second_curve(page, host):
    node = Node(page, schedule="karras", steps=9)
    assert node.path("sigma-other") == "M0 0"
    node.root.locator("select.compare").select_option("simple")
    node.settle()
    assert drawn_as(node, answer(host, schedule="simple", steps=9)["sigmas"], "sigma-other")
    assert "karras" in node.said() and "simple" in node.said()
    node.root.locator("button.pin").click()  # now with itself, as it is
    node.settle()
    pinned = node.points()
    assert node.points("sigma-other") == pinned
    node.set(rho=1.5)
    assert node.points("sigma-other") == pinned and node.points() != pinned
    node.root.locator("select.compare").select_option("")
    node.settle()
    assert node.path("sigma-other") == "M0 0"


def test_the_model_is_chosen_on_the_node(page, host):
    node = Node(page, schedule="normal", steps=10)
    number = node.root.locator("input.number")
    assert not number.is_visible()
    node.root.locator("select.model").select_option("flow")
    node.settle()
    assert number.is_visible() and number.input_value() == "3"
    assert drawn_as(node, answer(host, schedule="normal", steps=10, model="flow:3")["sigmas"])
    number.fill("12")
    number.press("Enter")
    node.settle()
    assert drawn_as(node, answer(host, schedule="normal", steps=10, model="flow:12")["sigmas"])
    number.fill("0")
    number.press("Enter")
    node.settle()
    assert "shift of 'flow' must be a number from 0.01 to 100" in node.said()
    # Over 4519 to 0.03 the axis is logarithmic by itself, and linear when asked.
    node.root.locator("select.model").select_option("zsnr")
    node.set(schedule="exponential")
    heights = [y for _, y in node.points()][:-1]
    steps = [b - a for a, b in zip(heights, heights[1:])]
    assert max(steps) - min(steps) < 0.01 * max(steps)  # equal ratios: a straight line
    node.root.locator("button.scale").click()
    node.settle()
    assert drawn_as(node, answer(host, schedule="exponential", steps=10, model="zsnr")["sigmas"])


def test_the_pointer_reads_the_curve(page, host):
    node = Node(page, schedule="karras", steps=8)
    levels = answer(host, schedule="karras", steps=8)
    box = node.root.locator("svg").bounding_box()
    x = node.points()[3][0]
    page.mouse.move(box["x"] + x, box["y"] + box["height"] / 2)
    said = node.said().replace("\u2212", "-")
    assert re.search(r"step 3: \u03c3 ([\d.]+), log-SNR (-?[\d.]+), step of", said), said
    sigma, log_snr = map(float, re.search(r"\u03c3 ([\d.]+), log-SNR (-?[\d.]+)", said).groups())
    assert sigma == pytest.approx(levels["sigmas"][3], rel=1e-3)
    assert log_snr == pytest.approx(levels["log_snr"][3], rel=1e-3)
    page.mouse.move(5, 400)
    assert "8 steps" in node.said()


def test_what_is_wrong_is_said(page):
    tied = next(entry for entry in schedules.REGISTRY if entry.counts)
    node = Node(page, schedule="karras", steps=8)
    node.set(schedule=tied.name, steps=tied.counts[-1] + 1)
    assert f"schedule '{tied.name}' is made for {tied.counts[0]}" in node.said()
    node.set(steps=tied.counts[0])
    assert f"{tied.counts[0]} steps" in node.said()
    node.set(schedule="karras", denoise=0)
    assert "nothing to do" in node.said()


def test_a_workflow_keeps_everything(page):
    node = Node(page, schedule="karras", steps=11, denoise=0.9, rho=3.5)
    node.root.locator("select.model").select_option("edm")
    node.root.locator("select.compare").select_option("beta")
    node.root.locator("button.pin").click()
    node.root.locator("button.scale").click()
    node.settle()
    size = "(id) => [...app.graph.getNodeById(id).size]"
    before = node.widgets(), node.sigmas(1), node.sigmas(1, "sigma-other")
    was = page.evaluate(size, node.id)
    saved = page.evaluate("async () => { const { workflow } = await app.graphToPrompt();"
                          " await app.loadGraphData(workflow); return workflow; }")
    widgets = "(id) => app.graph.getNodeById(id).widgets.length"  # all but the curve are saved
    assert len(saved["nodes"][0]["widgets_values"]) == page.evaluate(widgets, node.id) - 1
    assert "stride_curve" not in page.evaluate(PROMPT)[str(node.id)]["inputs"]
    node.root = page.locator(".stride-curve").first
    node.settle()
    assert node.widgets() == before[0]
    assert node.sigmas(1) == pytest.approx(before[1], abs=1e-3)
    assert node.sigmas(1, "sigma-other") == pytest.approx(before[2], abs=1e-3)
    if page.mode == "classic":  # Nodes 2.0 scales the nodes that it loads
        assert page.evaluate(size, node.id) == was
    assert node.root.locator("select.model").input_value() == "edm"
    assert node.root.locator("select.compare").input_value() == "pinned"


def test_values_are_found_by_name(page):
    """A workflow of a version with other options keeps those that there still are."""
    node = Node(page, schedule="beta", alpha=0.9, beta=1.1)
    page.evaluate("""async () => { const { workflow } = await app.graphToPrompt();
      const saved = workflow.nodes[0]; saved.widgets_values.splice(3);
      saved.properties.stride_options.of_another_version = 3;
      await app.loadGraphData(workflow); }""")
    assert node.widgets() == {
        "schedule": "beta", "steps": 20, "denoise": 1, "alpha": 0.9, "beta": 1.1
    }


def test_after_a_run_the_curve_is_the_models(page, host):
    host.call("/free", {"free_memory": True})  # a cached node tells nothing
    node = Node(page, x=420, schedule="normal", steps=7)
    page.evaluate("""(id) => { const make = (type, y) => { const node = LiteGraph.createNode(type);
        node.pos = [90, y]; app.graph.add(node); return node; };
      const [model, show] = [make("StrideDemoModel", 120), make("PreviewAny", 320)];
      model.widgets[0].value = "flow";
      const schedule = app.graph.getNodeById(id);
      model.connect(0, schedule, 0); schedule.connect(0, show, 0);
      app.queuePrompt(0, 1); }""", node.id)
    chosen = node.root.locator("select.model")
    for _ in range(100):
        page.wait_for_timeout(200)
        if chosen.input_value().startswith("seen-"):
            break
    node.settle()
    assert "FLOW" in chosen.locator("option").first.inner_text()
    flow = answer(host, schedule="normal", steps=7, model="flow:3")  # the demo model's shift
    assert drawn_as(node, flow["sigmas"])
    chosen.select_option("sd15")
    node.settle()
    assert drawn_as(node, answer(host, schedule="normal", steps=7)["sigmas"])
