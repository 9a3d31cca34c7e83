"""Every example workflow runs as it is, and draws what its picture shows."""

import json
from pathlib import Path

import numpy
import pytest
from client import to_prompt

pytestmark = pytest.mark.host

FOLDER = Path(__file__).resolve().parents[2] / "example_workflows"
WORKFLOWS = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_example_draws_its_picture(host, object_info, path):
    from PIL import Image

    prompt = to_prompt(json.loads(path.read_text(encoding="utf-8")), object_info)
    outputs = host.run(prompt)
    pictures = {
        prompt[key]["inputs"]["filename_prefix"]: host.image(image["filename"], image["subfolder"])
        for key, found in outputs.items() if prompt[key]["class_type"] == "SaveImage"
        for image in found["images"]
    }
    assert all(picture.std() > 5 for picture in pictures.values())
    with Image.open(path.with_suffix(".jpg")) as shown:
        size = shown.size
        shown = numpy.asarray(shown.convert("RGB"), dtype=float)
    drawn = Image.fromarray(pictures[path.stem]).resize(size, Image.Resampling.LANCZOS)
    # Another processor rounds otherwise and JPEG loses some; another picture is far off.
    assert numpy.abs(numpy.asarray(drawn) - shown).mean() < 8
