"""What a schedule has to know of a model: its noise levels and its clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..samplers.process import FLOW, VE, Process

# The model families for which somebody published a table of noise levels.
FAMILIES = ("sd15", "sd2", "sdxl", "svd", "flux", "flux_schnell", "flux2", "chroma", "wan")


@dataclass(frozen=True)
class ModelSpec:
    """The noise levels of one model.

    process: VE or FLOW. sigmas: its table, float64 [n], increasing, all > 0.
    timestep: sigma -> the model's time; sigma: times [k] -> sigmas [k], float64.
    shift: the time shift of a flow model, for display (1 where there is none).
    family: which models' published tables are its own: one of FAMILIES, "" where that is unknown.
    """

    process: Process
    sigmas: np.ndarray
    timestep: Callable[[float], float]
    sigma: Callable[[np.ndarray], np.ndarray]
    shift: float = 1.0
    family: str = ""

    @property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])

    @staticmethod
    def discrete(
        linear_start: float = 0.00085, linear_end: float = 0.012, timesteps: int = 1000,
        zero_terminal_snr: bool = False,
    ) -> ModelSpec:
        """A VE model trained on the scaled-linear beta schedule; defaults: SD1.5 and SDXL.

        zero_terminal_snr: rescale as in Lin et al. 2023 (arXiv:2305.08891, algorithm 1), with
        the host's final alpha_bar of 4.8973e-08 instead of 0 (sigma_max is then 4518.8).
        """
        betas = np.linspace(linear_start**0.5, linear_end**0.5, timesteps) ** 2
        bar = np.cumprod(1.0 - betas)
        if zero_terminal_snr:
            root = np.sqrt(bar)
            bar = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
            bar[-1] = 4.8973451890853435e-08
        return ModelSpec.from_table(np.sqrt((1.0 - bar) / bar))

    @staticmethod
    def from_table(sigmas: np.ndarray) -> ModelSpec:
        """A VE model given by its table alone; between entries log sigma is linear in time."""
        sigmas = np.asarray(sigmas, dtype=np.float64)
        times, logs = np.arange(len(sigmas), dtype=np.float64), np.log(sigmas)
        return ModelSpec(
            VE, sigmas,
            timestep=lambda sigma: float(np.interp(np.log(sigma), logs, times)),
            sigma=lambda t: np.exp(np.interp(t, times, logs)),
        )

    @staticmethod
    def flow(shift: float = 1.0, timesteps: int = 1000) -> ModelSpec:
        """A flow model with ``sigma = shift t / (1 + (shift - 1) t)``, t in 0..1 (SD3: 3).

        As in the host, the model's time at a sigma is that sigma, so the schedules that are even
        in time apply the shift to their last sigma once more.
        """

        def sigma(t: np.ndarray) -> np.ndarray:
            t = np.asarray(t, dtype=np.float64)
            return shift * t / (1.0 + (shift - 1.0) * t)

        table = sigma(np.arange(1, timesteps + 1) / timesteps)
        return ModelSpec(FLOW, table, timestep=float, sigma=sigma, shift=shift)


def between(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Table entries at fractional indices, linear in log sigma; whole indices stay exact."""
    low = np.clip(np.floor(index).astype(int), 0, len(table) - 1)
    high = np.minimum(low + 1, len(table) - 1)
    w = np.clip(index - low, 0.0, 1.0)
    logs = (1 - w) * np.log(table[low]) + w * np.log(table[high])
    return np.where(w == 0, table[low], np.exp(logs))
