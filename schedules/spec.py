"""What a schedule has to know of a model: its noise levels and its clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from ..process import FLOW, VE, Process
from ..registry import Options, option, option_set
from . import training

# The model families for which somebody published a table of noise levels.
FAMILIES = ("sd15", "sd2", "sdxl", "svd", "flux", "flux_schnell", "flux2", "chroma", "wan", "qwen")


@option_set
class Range(Options):
    """The options of every curve that is given by its two ends (A1111's overrides)."""

    sigma_min: float = option(0.0, 0.0, 20000.0, "last sigma before 0; 0 takes the model's")
    sigma_max: float = option(0.0, 0.0, 20000.0, "first sigma; 0 takes the model's")


WHOLE = Range()  # the model's own range


class Canvas(NamedTuple):
    """The latent that a run draws on. cells: its frames, if any, height and width. ratio: pixels
    of the picture along one cell.
    """

    cells: tuple[int, ...]
    ratio: int = 8

    @property
    def width(self) -> int:
        """Of the picture, in pixels."""
        return self.cells[-1] * self.ratio

    @property
    def height(self) -> int:
        """Of the picture, in pixels; a sound's latent has no more than one row."""
        return (self.cells[-2] if len(self.cells) > 1 else 1) * self.ratio

    @property
    def tokens(self) -> int:
        """All cells."""
        return math.prod(self.cells)

    def __str__(self) -> str:
        cells = " x ".join(map(str, (*self.cells[:-2], *self.cells[:-3:-1])))
        return f"a latent of {cells} ({self.width} x {self.height} px)"


@dataclass(frozen=True)
class ModelSpec:
    """The noise levels of one model.

    process: VE or FLOW. sigmas: its table, [n], increasing, all > 0; curves are computed in its
    precision, float64 or, to have the bits of the host's and A1111's float32 tables, float32.
    timestep: sigma -> the model's time; sigma: times [k] -> sigmas [k].
    shift: the time shift of a flow model, for display (1 where there is none).
    family: which models' published tables are its own: one of FAMILIES, "" where that is unknown.
    canvas: the latent of the run, where it is known.
    """

    process: Process
    sigmas: np.ndarray
    timestep: Callable[[float], float]
    sigma: Callable[[np.ndarray], np.ndarray]
    shift: float = 1.0
    family: str = ""
    canvas: Canvas | None = None

    @property
    def sigma_min(self) -> float:
        """The table's first sigma."""
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        """The table's last sigma."""
        return float(self.sigmas[-1])

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the table."""
        return torch.float32 if self.sigmas.dtype == np.float32 else torch.float64

    def ends(self, asked: Range = WHOLE) -> tuple[float, float]:
        """(lowest, highest) sigma of a curve over the ``asked`` range.

        Raises ValueError for a range that is empty, leaves the model at the top or ends below
        0.0001.
        """
        if 0.0 < asked.sigma_min < 1e-4:
            raise ValueError(f"sigma_min must be 0 or from 0.0001 on, got {asked.sigma_min}")
        low, high = asked.sigma_min or self.sigma_min, asked.sigma_max or self.sigma_max
        if high > self.sigma_max * (1 + 1e-6):
            top = f"{self.sigma_max:.6g}"
            raise ValueError(f"sigma_max must not be above the model's {top}, got {high}")
        if low >= high:
            raise ValueError(f"sigma_min {low:.6g} must be below sigma_max {high:.6g}")
        return low, high

    def ratios(self, asked: Range = WHOLE) -> tuple[float, float]:
        """``ends`` in sigma / alpha.

        A FLOW start has none: there the model's last level below 1 stands for it.
        """
        low, high = self.ends(asked)
        if self.process is FLOW and high == 1.0:
            high = float(np.max(self.sigmas[self.sigmas < 1.0]))
        return self.process.ratio(low), self.process.ratio(high)

    @staticmethod
    def discrete(
        linear_start: float | None = None, linear_end: float | None = None,
        timesteps: int = 1000, zero_terminal_snr: bool = False,
        beta_schedule: str = "scaled_linear",
    ) -> ModelSpec:
        """A VE model trained on a table of betas; defaults: SD1.5 and SDXL.

        beta_schedule: scaled_linear (quadratic), linear, squared_cosine, sigmoid, exponential;
        linear_start, linear_end: its first and last beta, as published unless given.
        zero_terminal_snr: rescale as in Lin et al. 2023 (sigma_max is then 4518.8).
        """
        betas = training.betas(beta_schedule, linear_start, linear_end, timesteps)
        bar = np.cumprod(1.0 - betas)
        if zero_terminal_snr:
            bar = training.zero_terminal_snr(bar)
        return ModelSpec.from_table(np.sqrt((1.0 - bar) / bar))

    @staticmethod
    def from_table(sigmas: np.ndarray) -> ModelSpec:
        """A VE model given by its table alone; between entries log sigma is linear in time."""
        sigmas = np.asarray(sigmas)
        if sigmas.dtype != np.float32:
            sigmas = sigmas.astype(np.float64)
        table = torch.from_numpy(sigmas.copy())
        logs = table.log()

        def timestep(sigma: float) -> float:
            log_sigma = torch.tensor(sigma, dtype=table.dtype).log()
            low = int(torch.searchsorted(logs, log_sigma, right=True)) - 1
            low = min(max(low, 0), len(logs) - 2)
            w = (logs[low] - log_sigma) / (logs[low] - logs[low + 1])
            w = w.clamp(0, 1)
            return float((1 - w) * low + w * (low + 1))

        return ModelSpec(VE, sigmas, timestep, lambda t: interpolate(sigmas, t))

    @staticmethod
    def edm(sigma_min: float = 0.002, sigma_max: float = 120.0) -> ModelSpec:
        """A VE model without a table (Karras et al. 2022, arXiv:2206.00364): time is log(s) / 4."""
        return ModelSpec(
            VE, np.geomspace(sigma_min, sigma_max, 1000),
            timestep=lambda sigma: 0.25 * math.log(sigma), sigma=lambda t: np.exp(4.0 * t),
        )

    @staticmethod
    def svd() -> ModelSpec:
        """Stable Video Diffusion (arXiv:2311.15127, appendix D): EDM with sigma up to 700."""
        return ModelSpec.edm(0.002, 700.0)

    @staticmethod
    def cosmos() -> ModelSpec:
        """Cosmos 1 and 2 as the host shows them: VE from 0.002 to 80, time s / (1 + s)."""
        return ModelSpec(
            VE, np.geomspace(0.002, 80.0, 1000),
            timestep=lambda sigma: sigma / (1.0 + sigma),
            sigma=lambda t: np.minimum(t / (1.0 - np.minimum(t, 80.0 / 81.0)), 80.0),
        )

    @staticmethod
    def flow(shift: float = 1.0, timesteps: int = 1000) -> ModelSpec:
        """A flow model with ``sigma = shift t / (1 + (shift - 1) t)``, t in 0..1 (SD3: 3).

        As in the host, the model's time at a sigma is that sigma, so the schedules that are even
        in time apply the shift to their last sigma once more.
        """

        def sigma(t: np.ndarray) -> np.ndarray:
            return time_shift(np.asarray(t, dtype=np.float64), shift)

        table = sigma(np.arange(1, timesteps + 1) / timesteps)
        return ModelSpec(FLOW, table, timestep=float, sigma=sigma, shift=shift)

    @staticmethod
    def flux(mu: float = 1.15) -> ModelSpec:
        """A flow model shifted by ``exp(mu)``, on 10000 times: Flux as the host shows it."""
        return ModelSpec.flow(math.exp(mu), 10_000)


def time_shift(t: np.ndarray, shift: float) -> np.ndarray:
    """``shift t / (1 + (shift - 1) t)``, times in 0..1 moved up where ``shift`` is above 1.

    Esser et al. 2024, arXiv:2403.03206, eq. 23.
    """
    return shift * t / (1.0 + (shift - 1.0) * t)


def interpolate(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Table entries at fractional indices, linear in log sigma, in the table's precision."""
    logs = torch.from_numpy(table.copy()).log()
    t = torch.from_numpy(np.asarray(index)).to(logs.dtype).clamp(0, len(logs) - 1)
    w = t.frac()
    return ((1 - w) * logs[t.floor().long()] + w * logs[t.ceil().long()]).exp().numpy()


def between(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """``interpolate`` with whole indices left exact."""
    near = np.clip(np.floor(index).astype(int), 0, len(table) - 1)
    return np.where(index == near, table[near], interpolate(table, index))
