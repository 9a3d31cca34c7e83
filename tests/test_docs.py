"""The pages that are made from the registries say what the registries say."""

import importlib.util
import sys
from pathlib import Path

import pytest
import stride

ROOT = Path(__file__).resolve().parent.parent
BOTH = (stride.samplers.REGISTRY, stride.schedules.REGISTRY)
REGISTRIES = {"samplers.md": BOTH[:1], "schedules.md": BOTH[1:], "compatibility.md": BOTH}


@pytest.mark.parametrize("name", REGISTRIES)
def test_the_page_is_up_to_date(name, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "devtools")])
    spec = importlib.util.spec_from_file_location("catalogue", ROOT / "devtools" / "catalogue.py")
    catalogue = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(catalogue)
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert page == catalogue.PAGES[name](stride), "run: python3 dev.py docs"
    for entry in (entry for registry in REGISTRIES[name] for entry in registry):
        assert f"\n| `{entry.name}`" in page
