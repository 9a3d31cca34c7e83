"""What a LATENT of ours carries to the nodes behind it: a stopped run, and what made it.

The host's nodes copy a latent with all its keys, so that both come through scaling, flipping, masks
and batches; a VAE in between, a saved file and other packs may drop them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..engine.run import Carry
from ..registry import Options, shown
from .choice import Choice
from .run.result import Stopped

STOPPED, RECORD = "stride", "stride_run"  # the keys of a LATENT


@dataclass(frozen=True)
class Record:
    """A run as a second pass repeats it. seed: that of its noise. Of the choice no settings."""

    seed: int
    steps: int
    cfg: float
    choice: Choice | None


def images(latent: dict[str, Any]) -> tuple[int, ...]:
    """The index of each image of a LATENT in its seed's batch."""
    return tuple(latent.get("batch_index") or range(latent["samples"].shape[0]))


def checked(latent: Any) -> dict[str, Any]:
    """A LATENT as the host's nodes make it; anything else raises ValueError."""
    samples = latent.get("samples") if isinstance(latent, dict) else None
    if not all(hasattr(samples, name) for name in ("shape", "is_nested", "unbind")):
        raise ValueError(
            f"a LATENT is a dict whose 'samples' are a tensor, got {shown(latent)}"
        )
    return latent


def record_in(latent: dict[str, Any]) -> Record | None:
    """What made a LATENT, where one of our nodes told; what others keep there is theirs."""
    found = latent.get(RECORD)
    sound = isinstance(found, Record) and isinstance(found.choice, Choice) and all(
        isinstance(number, (int, float)) for number in (found.seed, found.steps, found.cfg)
    )
    return found if sound else None


def seed_before(latent: dict[str, Any], seed: int) -> int:
    """The seed of the run whose noise is in a LATENT; ``seed`` where nobody told."""
    before = record_in(latent)
    return before.seed if before else seed


def stopped_in(latent: dict[str, Any]) -> Stopped | None:
    """The stopped run that a LATENT carries; what others keep there is theirs."""
    found = latent.get(STOPPED)
    return found if isinstance(found, Stopped) else None


def _whole(stopped: Stopped) -> bool:
    """Whether what a LATENT carries is all that a run needs to go on."""
    carry = stopped.carry
    return (
        isinstance(carry, Carry) and isinstance(stopped.options, Options)
        and torch.is_tensor(carry.x) and bool(carry.sigmas) and isinstance(carry.memory, dict)
    )


def resumable(
    latent: dict[str, Any], sampler: str, options: Options, sigmas: torch.Tensor
) -> tuple[Stopped | None, str | None]:
    """The stopped run that a LATENT carries, or None with the reason why it cannot go on."""
    stopped = stopped_in(latent)
    if stopped is None:
        return None, None
    if not _whole(stopped):
        return None, "new start: what the latent tells of the run before is not whole"
    if stopped.sampler != sampler:
        return None, f"new start: the latent was made by {stopped.sampler}"
    if stopped.options != options:
        other = stopped.options.unlike(options) or options.unlike(stopped.options)
        return None, f"new start: the latent was made with other options, {other}"
    if stopped.carry.sigmas[-1] != float(sigmas[0]):
        return None, (
            f"new start: the latent stopped at sigma {stopped.carry.sigmas[-1]:.6g}, "
            f"this run begins at {float(sigmas[0]):.6g}"
        )
    if stopped.latent is None or not _equal(latent["samples"], stopped.latent):
        return None, "new start: the latent was changed between the two nodes"
    return stopped, None


def anew(stopped: Stopped) -> Stopped:
    """The same latent, bit for bit, and what a mask keeps, without the answers of the model."""
    sigmas, x = stopped.carry.sigmas, stopped.carry.x
    return stopped._replace(carry=Carry(sigmas[-1:], x, {}), guidance={})


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two latents hold the same bits; newer hosts nest several tensors in one."""
    if a is b:
        return True
    if a.is_nested != b.is_nested:
        return False
    return all(map(torch.equal, a.unbind(), b.unbind())) if a.is_nested else torch.equal(a, b)
