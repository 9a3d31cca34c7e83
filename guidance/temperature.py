"""Temperature: the predicted noise scaled so that samples of each mode spread less, or more."""

from __future__ import annotations

import torch

from ..process import VE, Process
from ..registry import Options, option, option_set
from .call import Call


def temper(
    denoised: torch.Tensor, x: torch.Tensor, sigma: torch.Tensor, process: Process,
    temperature: float, spread: float,
) -> torch.Tensor:
    """The answer whose predicted noise is ``r eps``, ``r = (a + s) / (a T + s)``.

    a is ``(alpha spread)**2`` and s is ``sigma**2``: temporal score rescaling, Xu et al. 2025,
    arXiv:2510.01184, eq. 6 with ``k = 1 / T``. For data made of Gaussians of deviation ``spread``
    apart from each other it is the exact score of the same with variance ``T spread**2``. As
    ``spread`` grows r becomes 1/T, the constant scaling of the noise (Ning et al. 2023,
    arXiv:2308.15321) wherever there is signal at all.
    """
    alpha = 1.0 if process is VE else 1.0 - sigma  # ``process.alpha``, of a tensor
    gain = alpha * spread**2 * (1.0 - temperature)
    gain = gain / (alpha**2 * spread**2 * temperature + sigma**2)
    # D - x0 of the rescaled noise, with the division by alpha taken out: alpha may be 0.
    return denoised - gain * (x - alpha * denoised)


@option_set
class Temperature(Options):
    """Temperature on the predicted noise."""

    temperature: float = option(
        0.9, 0.1, 2.0, "variance of each mode's samples: below 1 calmer, above more varied; 1 none"
    )
    spread: float = option(
        0.5, 0.01, 1000.0,
        "deviation of clean latents of one kind; a large one scales all steps alike",
    )

    @property
    def neutral(self) -> bool:
        """Whether the predicted noise stays as it is."""
        return self.temperature == 1

    def __call__(self, call: Call) -> torch.Tensor:
        """The answer so far by ``temper`` (arXiv:2510.01184, eq. 6), [B, C, ...]."""
        return temper(
            call.denoised, call.x, call.sigma, call.process, self.temperature, self.spread
        )
