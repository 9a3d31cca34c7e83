"""What is known to work: all rows, in the order in which they are looked through."""

from __future__ import annotations

from .distilled import FAST
from .images import IMAGES
from .motion_sound import SHAPES, SOUNDS, VIDEOS
from .row import Row

_ANY, _CFG = (1, 10_000), (1.0, 100.0)

# Models that no row knows: the two pairs that are in widest use on their process.
OTHERS = (
    Row("zsnr", "dpmpp_2m", "beta", (20, 50), (3, 7), "measured",
        "`dev.py bench advice`, docs/accuracy.md, 'What the warnings are about'"),
    Row("ve", "dpmpp_2m", "karras", _ANY, _CFG, "convention", "as for SD1.5 and SDXL"),
    Row("flow", "euler", "simple", _ANY, _CFG, "convention", "as for Flux and most flow models"),
)
ROWS = (*IMAGES, *VIDEOS, *SOUNDS, *SHAPES, *OTHERS, *FAST)
