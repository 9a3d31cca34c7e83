"""A real browser on the real frontend of the host, once for the classic canvas and once for
Nodes 2.0."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
READY = """() => !!(window.app?.graph && window.LiteGraph?.registered_node_types?.StrideSchedule
  && app.extensionManager?.setting)"""


def _missing(why):
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, the one that is installed: playwright's own is never fetched."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("no playwright here: `pip install playwright` (no browser download is needed)")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        _missing("no Chromium on the PATH (Debian and Ubuntu: `apt install chromium`)")
    with sync_playwright() as playwright:
        args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=args)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["classic", "nodes2"])
def editor(request, host, browser):
    """The page with an empty graph's editor open."""
    host.call("/settings", {
        "Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": request.param == "nodes2",
        "Comfy.ColorPalette": "dark",
    })  # fmt: skip
    page = browser.new_page(viewport={"width": 1300, "height": 900}, device_scale_factor=1.5)
    page.mode = request.param
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(host.server.url)
    page.wait_for_function(READY, timeout=120_000)
    page.wait_for_timeout(3000)  # the editor loads its start-up workflow
    yield page
    page.close()


@pytest.fixture
def page(request, editor):
    """The editor, emptied; on the way out a screenshot goes to .host/screenshots."""
    editor.problems.clear()
    editor.keyboard.press("Escape")
    editor.evaluate("""() => { app.graph.clear(); app.canvas.ds.scale = 1;
                               app.canvas.ds.offset = [0, 0]; }""")
    editor.mouse.move(5, 400)
    yield editor
    folder = ROOT / ".host" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    name = request.node.name.replace("[", "-").replace("]", "")
    editor.screenshot(path=folder / f"{name}.png")
    assert not [text for text in editor.problems if "stride" in text.lower()]
