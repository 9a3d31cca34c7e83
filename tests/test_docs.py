"""The pages that are made from the registries say what the registries say."""

import importlib.util
from pathlib import Path

import pytest
import stride

ROOT = Path(__file__).resolve().parent.parent
REGISTRIES = {"samplers.md": stride.samplers.REGISTRY, "schedules.md": stride.schedules.REGISTRY}


@pytest.mark.parametrize("name", REGISTRIES)
def test_the_page_is_up_to_date(name):
    spec = importlib.util.spec_from_file_location("catalogue", ROOT / "devtools" / "catalogue.py")
    catalogue = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(catalogue)
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert page == catalogue.PAGES[name](stride), "run: python3 dev.py docs"
    for entry in REGISTRIES[name]:
        assert f"| `{entry.name}` |" in page
