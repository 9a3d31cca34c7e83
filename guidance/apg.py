"""Adaptive projected guidance: the part of the guidance that only saturates is taken down."""

from __future__ import annotations

import torch

from ..registry import Options, option, option_set
from .call import Call, dot, tiny

# A level this many times the last one is a new start of the noise (restarts), not s_churn, which
# goes up by a factor of sqrt(2) at most.
_RISE = 1.5


def project(
    difference: torch.Tensor, cond: torch.Tensor, eta: float, norm_threshold: float
) -> torch.Tensor:
    """The guidance difference ``C - U``, no longer than the threshold, its parallel part by eta.

    Sadat et al. 2025, arXiv:2410.02416, algorithm 1: ``d min(1, r / |d|)``, then
    ``d_orthogonal + eta d_parallel`` with respect to ``cond``, for each image. r 0 is no limit.
    """
    if norm_threshold:
        norm = dot(difference, difference).sqrt().clamp_min(tiny(difference))
        difference = difference * (norm_threshold / norm).clamp_max(1.0)
    parallel = dot(difference, cond) / dot(cond, cond).clamp_min(tiny(cond)) * cond
    return difference + (eta - 1.0) * parallel


@option_set
class APG(Options):
    """Adaptive projected guidance: ``D = C + (w - 1) d`` with d made by ``project``.

    With momentum b the difference is ``d_k = (C - U) + b d_(k-1)`` over the model calls of a run
    that ask for both prompts. It starts anew when sigma rises by more than half.
    """

    eta: float = option(0.0, -10.0, 10.0, "weight of the part along the answer itself; 1 is CFG's")
    norm_threshold: float = option(
        0.0, 0.0, 1000.0, "longest difference of the two answers to an image; 0 is no limit"
    )
    momentum: float = option(
        0.0, -1.0, 0.99, "weight of the call before; below 0 damps what stays from step to step"
    )

    @property
    def neutral(self) -> bool:
        """Whether it is plain guidance: the parallel part kept, no limit, no momentum."""
        return self.eta == 1 and not self.norm_threshold and not self.momentum

    def __call__(self, call: Call) -> torch.Tensor:
        """The answer so far plus what APG changes of plain guidance, [B, C, ...]; cfg 1 as it is.

        With momentum the call's memory holds the last difference and its sigma. Raises ValueError
        where momentum meets another batch than the one it remembers.
        """
        if call.uncond is None:
            return call.denoised
        plain = call.cond - call.uncond
        difference = self._averaged(plain, call) if self.momentum else plain
        change = project(difference, call.cond, self.eta, self.norm_threshold) - plain
        return call.denoised + (call.scale - 1.0) * change

    def _averaged(self, plain: torch.Tensor, call: Call) -> torch.Tensor:
        difference, before = plain, call.memory.get("difference")
        if before is not None:
            earlier, sigma = before.to(plain), call.memory["sigma"].to(call.sigma)
            if earlier.shape != plain.shape:
                raise ValueError(
                    f"APG's momentum remembers latents of {list(earlier.shape)} and was called "
                    f"with {list(plain.shape)}: the batch was cut up within a step"
                )
            goes_on = call.sigma <= _RISE * sigma  # stays on the device
            difference = plain + self.momentum * earlier * goes_on
        call.memory.update(difference=difference, sigma=call.sigma)
        return difference
