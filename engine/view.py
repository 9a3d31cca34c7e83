"""How whoever drives a run step by step sees it: the scale of its sample, its times, its network.

The host's view is the default: on VE models ``x = x0 + sigma eps`` and a network that is shown
``x / sqrt(1 + sigma^2)``, on FLOW models ``x = (1 - sigma) x0 + sigma eps``. Other programs keep
the sample on another scale, or have other networks; tables and loop stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from ..process import FLOW, Process
from ..registry import shown
from .model import Answer

FLOW_TIME = 1000.0  # the time of a flow model at sigma 1, as in diffusers
_SYNONYMS = {
    "epsilon": "eps", "v_prediction": "v", "flow_prediction": "flow", "original_sample": "sample",
}
_PREDICTIONS = {"VE": ("eps", "v", "sample"), "FLOW": ("flow", "sample")}

Bound = Callable[[torch.Tensor], torch.Tensor]  # keeps the clean latent within bounds


class Clock(Protocol):
    """What is asked of a model; ``schedules.ModelSpec`` has it."""

    def timestep(self, sigma: float) -> float:
        """The model's time at a noise level."""

    def sigma(self, times: np.ndarray) -> np.ndarray:
        """The noise levels at times [k]."""


class Thousandths:
    """The ``Clock`` of every flow model: its time is 1000 sigma."""

    def timestep(self, sigma: float) -> float:
        return FLOW_TIME * sigma

    def sigma(self, times: np.ndarray) -> np.ndarray:
        return times / FLOW_TIME


@dataclass(frozen=True)
class View:
    """How a run is seen.

    process: VE or FLOW. clock: the model's times. prediction: what the network answers: "eps",
    "v", "sample" (x0) or "flow", or the diffusers name of it. normed: whether the sample is kept
    as ``x / sqrt(1 + sigma^2)`` (a VP process), which the network is then shown as it is.
    sigma_data: of a network preconditioned as in EDM (arXiv:2206.00364, table 1), 0 for others.
    bound: what is done to every clean latent; the noise in x stays what the unbounded one says
    if the table takes both (it is ``guided``), as in CFG++.
    variance: whether the network also answers a variance, in as many channels more, which no table
    reads. timesteps: [calls], where the clock does not tell them. init_noise_sigma: factor of
    unit noise that makes the first sample, if it is not the model's own.
    Raises ValueError for a prediction that does not fit the process.
    """

    process: Process
    clock: Clock
    prediction: str = "eps"
    normed: bool = False
    sigma_data: float = 0.0
    bound: Bound | None = None
    variance: bool = False
    timesteps: torch.Tensor | None = None
    init_noise_sigma: float | None = None

    def __post_init__(self) -> None:
        given, accepted = self.prediction, _PREDICTIONS[self.process.name]
        object.__setattr__(self, "prediction", _SYNONYMS.get(given, given))
        if self.prediction not in accepted:
            raise ValueError(
                f"prediction {shown(given)} does not fit a {self.process.name} model; "
                f"accepted: {', '.join(accepted)}"
            )

    def scale(self, sigma: float) -> float:
        """The factor from the sample to the run's x."""
        return math.hypot(1.0, sigma) if self.normed else 1.0

    def shown(self, sigma: float) -> float:
        """What the sample is divided by for the network."""
        if self.process is FLOW or self.normed:
            return 1.0
        return math.hypot(self.sigma_data or 1.0, sigma)

    def start(self, sigma: float) -> float:
        """The factor of unit noise that makes the first sample, at ``sigma``."""
        if self.init_noise_sigma is not None:
            return self.init_noise_sigma
        return sigma if self.process is FLOW else math.hypot(1.0, sigma) / self.scale(sigma)

    def clean(self, out: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """D for what the network answered to the latent x at ``sigma``."""
        out = (out[:, : x.shape[1]] if self.variance else out).to(x)
        if self.prediction == "sample":
            return out.clone()  # what is remembered must not be the caller's buffer
        if self.sigma_data:
            r = math.hypot(self.sigma_data, sigma)
            sign = -1.0 if self.prediction == "v" else 1.0
            return x * (self.sigma_data / r) ** 2 + out * (sign * sigma * self.sigma_data / r)
        if self.prediction == "v":  # of x / r = x0 / r + (sigma / r) eps, r = sqrt(1 + sigma^2)
            r = math.hypot(1.0, sigma)
            return x / r**2 - out * (sigma / r)
        return x - sigma * out  # eps on VE, velocity on FLOW

    def answer(
        self, outputs: tuple[torch.Tensor, ...], x: torch.Tensor, sigma: float, time: float,
        guided: bool,
    ) -> Answer:
        """What the run takes for the answer to x at ``sigma`` and the network's ``time``.

        outputs: the network's, the unconditional one behind the guided one where there is one.
        guided: whether the table takes both.
        """
        d, *others = (self.clean(out, x, sigma) for out in outputs)
        other = others[0] if others else None
        if self.bound is None:
            return Answer(d, other)
        return Answer(self.bound(d), other if not guided or other is not None else d)
