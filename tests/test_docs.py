"""The pages that are made from the registry say what the registry says."""

import importlib.util
from pathlib import Path

import stride

ROOT = Path(__file__).resolve().parent.parent


def test_the_sampler_page_is_up_to_date():
    spec = importlib.util.spec_from_file_location("catalogue", ROOT / "devtools" / "catalogue.py")
    catalogue = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(catalogue)
    page = (ROOT / "docs" / "samplers.md").read_text(encoding="utf-8")
    assert page == catalogue.text(stride), "run: python3 dev.py docs"
    for name in stride.samplers.REGISTRY.names:
        assert f"| `{name}` |" in page
