"""What a KSampler of ours ran, as its LATENT tells the nodes behind it: plain data, no tensors.

The host's nodes copy a latent with all its keys, so that the record comes through scaling,
flipping, masks and batches; a VAE in between, a saved file and other packs may drop it.
"""

from __future__ import annotations

from typing import Any

KEY = "stride_run"  # where a LATENT keeps it, beside the stopped run of ``carry``
# Which part of a run it was, and what is no part of its picture.
_LEFT_OUT = {"denoise", "add_noise", "window", "leftover", "settings", "box"}


def of(
    before: dict[str, Any], seed: int, steps: int, cfg: float, sampler: str, schedule: str,
    asked: dict[str, Any],
) -> dict[str, Any]:
    """The record of a run: names as they were run, all its settings, the seed of its noise.

    before: the latent that it started from. asked: the further arguments of ``ksample``. A run
    that goes on with a noisy latent added no noise of its own: the seed is that of the run which
    did.
    """
    if not asked.get("add_noise", True) and KEY in before:
        seed = before[KEY]["seed"]
    return {
        "seed": seed, "steps": steps, "cfg": cfg, "sampler": sampler, "schedule": schedule,
        "settings": {name: value for name, value in asked.items() if name not in _LEFT_OUT},
    }
