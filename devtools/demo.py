"""The demo: boots the real ComfyUI, runs the example workflow, then a grid of pairs.

Runs in the host's Python (`python3 dev.py demo`), which has Pillow and aiohttp.
"""

import argparse
import copy
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # an embedded Python leaves it out

from client import Client, Failed, Rejected, to_prompt
from hostserver import PACK, REPO, HostServer

WORKFLOW = REPO / "example_workflows" / "first_picture.json"
OUTPUT = REPO / "demo_output"
PAIRS = (
    ("euler", "simple"),
    ("euler_ancestral", "karras"),
    ("dpmpp_2m", "karras"),
    ("uni_pc", "simple"),
    ("deis", "sgm_uniform"),
    ("res_2s", "beta"),
    ("dpmpp_2m_sde", "exponential"),
    ("er_sde", "align_your_steps"),
)
STEPS = (4, 8, 20)

PAPER, INK, FAINT = "#f6f4ef", "#22252b", "#6d7078"
TILE, GAP, MARGIN, CAPTION = 256, 20, 48, 30


def say(text):
    print(f"[stride] {text}", flush=True)


class Progress:
    """A bar on a terminal; elsewhere one line for each finished item."""

    def __init__(self, title, items, shown):
        self.title, self.items, self.shown = title, items, shown
        self.live = sys.stdout.isatty()
        self.begun = time.monotonic()
        self.done = 0
        self.wide = 0

    def __call__(self, index, kind, data):
        if kind == "progress":
            self.draw(data["value"] / data["max"], self.label(index, data))
        elif kind == "executing" and data.get("node") is None:
            self.done += 1
            if not self.live and (self.done % self.shown == 0 or self.done == self.items):
                spent = time.monotonic() - self.begun
                say(f"{self.title}: {self.done} of {self.items}, {spent:.1f} s")
            self.draw(0, "")

    def label(self, index, data):
        counted = f"picture {index + 1} of {self.items}, " if self.items > 1 else ""
        return f"{counted}step {data['value']} of {data['max']}"

    def draw(self, part, label):
        if self.live:
            filled = round(24 * (self.done + part) / self.items)
            line = f"  {self.title} [{'#' * filled}{'.' * (24 - filled)}] {label}"
            print("\r" + line.ljust(self.wide), end="", flush=True)
            self.wide = len(line)

    def end(self):
        if self.live:
            print("\r" + " " * self.wide + "\r", end="", flush=True)


def node_of(prompt, *kinds):
    """The id of the prompt's only node of these kinds."""
    (found,) = [key for key, node in prompt.items() if node["class_type"] in kinds]
    return found


def make(client, prompts, title, shown=1):
    """Run the prompts with progress; return their outputs."""
    progress = Progress(title, len(prompts), shown)
    try:
        return client.watch(prompts, progress)
    finally:
        progress.end()


def saved_picture(server, outputs, save_id):
    """The path of the picture that a Save Image node wrote."""
    image = outputs[save_id]["images"][0]
    return server.output / image["subfolder"] / image["filename"]


def pair_prompts(first):
    """The example workflow once for each step count and pair."""
    sampler, save = node_of(first, "StrideKSampler"), node_of(first, "SaveImage")
    prompts = []
    for steps in STEPS:
        for name, schedule in PAIRS:
            prompt = copy.deepcopy(first)
            prompt[sampler]["inputs"].update(sampler=name, schedule=schedule, steps=steps)
            prompt[save]["inputs"]["filename_prefix"] = f"pair_{name}_{schedule}_{steps}"
            prompts.append(prompt)
    return prompts


def draw_comparison(tiles, title, note, path):
    """The labelled grid: a column for each pair, a row for each step count."""
    from PIL import Image, ImageDraw, ImageFont

    big, middle, small = (ImageFont.load_default(size=size) for size in (30, 18, 15))
    top = MARGIN + 96 + 44
    left = MARGIN + 96
    width = left + len(PAIRS) * (TILE + GAP) - GAP + MARGIN
    height = top + len(STEPS) * (TILE + CAPTION + GAP) - GAP + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 8), title, INK, big)
    draw.text((MARGIN, MARGIN + 38), note, FAINT, middle)
    for column, (name, schedule) in enumerate(PAIRS):
        x = left + column * (TILE + GAP) + TILE // 2
        draw.text((x, top - 38), name, INK, middle, anchor="ms")
        draw.text((x, top - 16), schedule, FAINT, middle, anchor="ms")
    for row, steps in enumerate(STEPS):
        y = top + row * (TILE + CAPTION + GAP)
        draw.text((MARGIN, y + TILE // 2 - 14), str(steps), INK, big, anchor="lm")
        draw.text((MARGIN, y + TILE // 2 + 16), "steps", FAINT, middle, anchor="lm")
        for column in range(len(PAIRS)):
            picture, report = tiles[row * len(PAIRS) + column]
            x = left + column * (TILE + GAP)
            with Image.open(picture) as image:
                tile = image.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(tile, (x, y))
            draw.rectangle((x - 1, y - 1, x + TILE, y + TILE), outline="#d6d2c8")
            calls = report["model_calls"]
            text = f"{steps} steps, {calls} model calls"
            draw.text((x + TILE // 2, y + TILE + 21), text, INK, small, anchor="ms")
    sheet.save(path)


def pack_loaded(client):
    """Raise with one sentence when the host has not taken the pack in."""
    info = client.object_info()
    if "StrideKSampler" not in info:
        raise RuntimeError("ComfyUI started but could not load the pack")
    return info


def run(gpu):
    comfy = os.environ["COMFYUI_PATH"]
    OUTPUT.mkdir(exist_ok=True)
    begun = time.monotonic()
    say("starting ComfyUI")
    server = HostServer(comfy, gpu=gpu)
    try:
        server.start()
        say(f"it answers after {time.monotonic() - begun:.0f} s; queueing {WORKFLOW.name}")
        client = Client(server.url)
        try:
            info = pack_loaded(client)
        except RuntimeError:
            lines = [line for line in server.log().splitlines() if PACK in line]
            print("\n".join(lines), file=sys.stderr)
            raise
        workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
        first = to_prompt(workflow, info)
        sampler, save = node_of(first, "StrideKSampler"), node_of(first, "SaveImage")
        inputs = first[sampler]["inputs"]

        (outputs,) = make(client, [first], "first picture")
        picture = OUTPUT / "first_picture.png"
        picture.write_bytes(saved_picture(server, outputs, save).read_bytes())
        report = outputs[sampler]["stride"][0]
        say(
            f"{report['sampler']} / {report['schedule']}: {report['steps']} steps, "
            f"{report['model_calls']} model calls, {report['seconds']:.1f} s"
        )

        prompts = pair_prompts(first)
        results = make(client, prompts, "comparison", shown=len(PAIRS))
        tiles = [
            (saved_picture(server, outputs, save), outputs[sampler]["stride"][0])
            for outputs in results
        ]
        positive = first[inputs["positive"][0]]["inputs"]["text"]
        note = f"seed {inputs['seed']}, cfg {inputs['cfg']:g}; sampler / schedule by column"
        comparison = OUTPUT / "comparison.png"
        draw_comparison(tiles, positive, note, comparison)
    finally:
        server.stop()
    say(f"done in {time.monotonic() - begun:.0f} s")
    say(f"one picture:           {picture}")
    say(f"sampler and schedule:  {comparison}")
    say("to keep ComfyUI open with the pack: python3 dev.py serve")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu", action="store_true")
    options = parser.parse_args()
    try:
        run(options.gpu)
    except KeyboardInterrupt:
        return 130
    except (Failed, Rejected, RuntimeError, OSError) as error:
        print(f"[stride] the demo failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
