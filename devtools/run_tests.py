"""Runs pytest in the host's Python; the arguments are pytest's.

A script of its own because `python -m pytest` would put the repository root on sys.path, where the
folder `nodes/` hides the host's module of that name.
"""

import os
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def main():
    extra = os.environ.get("STRIDE_TEST_PACKAGES")
    if extra:
        sys.path.append(extra)  # behind the host's own packages
    root = str(REPO)
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != root]
    import pytest

    os.chdir(REPO)
    return pytest.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
