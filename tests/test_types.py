"""Types hold: mypy, with the settings in pyproject.toml, over all that does not import the host."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# In the order of the layers; nodes/ and host/ see the host's classes, which have no types.
CHECKED = (
    "registry.py", "process.py", "library.py", "engine", "samplers", "schedules", "guidance",
    "advice", "names", "a1111",
)


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_types_hold(tmp_path):
    try:
        # The folder may be called anything; mypy takes it for the package that it is loaded as.
        (tmp_path / "stride").symlink_to(ROOT, target_is_directory=True)
    except OSError:
        pytest.skip("this system lets nobody make symbolic links")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"),
         "--cache-dir", str(tmp_path / "cache"), *(f"stride/{part}" for part in CHECKED)],
        cwd=tmp_path, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
