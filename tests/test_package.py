"""What the registry and its scanner ask of the files that are shipped."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Whatever the registry's scanner flags, even in comments, must not be in the archive.
TRIPWIRES = re.compile(
    r"(?<![.\w])eval\(|(?<![.\w])exec\(|subprocess|os\.system|os\.environ|urllib|\brequests\b|socket"
    r"|\.connect\(|\.bind\(|__import__|pickle|rm -rf"
)


def tracked(*options):
    listed = subprocess.run(
        ["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.split("\0") if name]


def shipped():
    """Tracked files less .comfyignore, as the registry's archive has them: by git's own rules."""
    left_out = tracked("--ignored", "--cached", "--exclude-from=.comfyignore")
    return [name for name in tracked() if name not in left_out]


def test_the_archive_holds_the_pack_and_nothing_else():
    names = shipped()
    for needed in ("__init__.py", "host/run/ours.py", "pyproject.toml", "node_list.json", "LICENSE",
                   "demo/stride_demo.safetensors", "web/docs/StrideKSampler.md"):
        assert needed in names
    ours = ("tests/", "devtools/", ".ci/", "docs/", "training/")
    assert not [n for n in names if n.startswith(ours)]
    pages = [n for n in tracked() if n.startswith("web/")]
    assert pages and set(pages) <= set(names)  # /docs/ must not take web/docs/ along
    assert sum((ROOT / n).stat().st_size for n in names) < 6_000_000


def test_nothing_that_the_scanner_flags_is_shipped():
    for name in shipped():
        if name.endswith((".py", ".js", ".json", ".toml", ".txt")):
            found = TRIPWIRES.search((ROOT / name).read_text(encoding="utf-8"))
            assert not found, f"{name}: {found.group()}"


def test_run_time_requirements_are_empty():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert all(line.startswith("#") or not line.strip() for line in lines)
    assert re.search(r"^dependencies = \[\]$", (ROOT / "pyproject.toml").read_text(), re.M)


def test_registry_id():
    text = (ROOT / "pyproject.toml").read_text()
    name = re.search(r'^name = "(.*)"$', text, re.M).group(1)
    assert re.fullmatch(r"[a-z][a-z0-9]*([-_.][a-z0-9]+)*", name) and "comfyui" not in name
    version = re.search(r'^version = "(.*)"$', text, re.M).group(1)
    assert f'__version__ = "{version}"' in (ROOT / "__init__.py").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_node_is_found_without_running_it():
    """Literal ids on direct subclasses of ComfyNode, listed and with a help page."""
    found = set()
    for path in (ROOT / "nodes").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and ast.unparse(node.bases[0]) == "io.ComfyNode":
                found |= {
                    k.value.value for k in ast.walk(node)
                    if isinstance(k, ast.keyword) and k.arg == "node_id"
                }
    assert found == set(json.loads((ROOT / "node_list.json").read_text()))
    assert found == {p.stem for p in (ROOT / "web" / "docs").glob("*.md")}
