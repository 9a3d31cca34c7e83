"""The demo model's folder, from which the scripts here import ``network`` and ``text``."""

import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parent.parent / "demo"
sys.path.append(str(DEMO))
