"""Published lists of sigmas: where each was made, and how it is put on another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..process import VE, Process
from .spec import ModelSpec

_TITLES = {
    "sd15": "SD1.5", "sd2": "SD2", "sdxl": "SDXL", "svd": "SVD", "deepfloyd": "DeepFloyd IF",
    "flux": "FLUX.1", "flux_schnell": "FLUX.1 schnell", "flux2": "FLUX.2", "chroma": "Chroma",
    "wan": "Wan", "qwen": "Qwen-Image",
}
# A FLOW run starts at sigma 1, where log-SNR is minus infinity: it counts as 0.999, the first
# noise level below it of a model with 1000 steps, and the others in proportion.
_FLOW_TOP = 0.999


@cache
def sd() -> ModelSpec:
    """The noise levels that SD1.5, SD2 and SDXL share."""
    return ModelSpec.discrete()


def at_times(times: Sequence[float] | np.ndarray) -> np.ndarray:
    """Their sigmas at timesteps 0..999."""
    return np.exp(np.interp(times, np.arange(1000), np.log(sd().sigmas)))


def has_sd_clock(spec: ModelSpec) -> bool:
    """Whether a model's 1000 times are those of SD1.5 and SDXL, zero-terminal-SNR ones included."""
    same = spec.process is VE and len(spec.sigmas) == len(sd().sigmas)
    return same and _near(spec.sigma_min, sd().sigma_min) and spec.sigma_max > 14


def _log_snr(process: Process, sigmas: np.ndarray) -> np.ndarray:
    """log(alpha / sigma), with a FLOW sigma of 1 at the finite end that ``_FLOW_TOP`` tells."""
    if process is VE:
        return -np.log(sigmas)
    return np.log1p(-_FLOW_TOP * sigmas) - np.log(_FLOW_TOP * sigmas)


def _at_log_snr(process: Process, values: np.ndarray) -> np.ndarray:
    """The inverse of ``_log_snr``."""
    return np.exp(-values) if process is VE else 1.0 / (_FLOW_TOP * (1.0 + np.exp(values)))


def along(curve: np.ndarray, count: int) -> np.ndarray:
    """``count`` values along a decreasing curve, even in its index, linear in log sigma.

    The interpolation of the Align Your Steps authors (their quick start guide), used by every
    pack that has the tables. The curve itself where ``count`` is its length.
    """
    if count == len(curve):
        return curve
    at = np.linspace(0.0, len(curve) - 1.0, count)
    return np.exp(np.interp(at, np.arange(len(curve)), np.log(curve)))


@dataclass(frozen=True)
class Origin:
    """What a published list was made for.

    families: the models (``spec.FAMILIES``). process, top, bottom: their kind and range of sigmas.
    """

    families: tuple[str, ...]
    process: Process = VE
    top: float = 14.614641
    bottom: float = 0.029167158

    def _relation(self, spec: ModelSpec) -> str:
        """A model's noise levels beside the list's: own, alike, clock or foreign."""
        if self.process is spec.process and _near(self.top, spec.sigma_max):
            # The smallest sigma does not matter: it belongs to the model's own time grid, and the
            # same sigma of the same process is the same noise on any model.
            return "own" if spec.family in self.families else "alike"
        sds = self.process is VE and _near(self.top, sd().sigma_max)
        return "clock" if sds and has_sd_clock(spec) else "foreign"

    def place(self, curve: np.ndarray, spec: ModelSpec) -> np.ndarray:
        """The curve [n] on a model.

        Its own numbers on the same process with the same largest sigma; its timesteps on a model
        with SD's clock (zero-terminal-SNR); else mapped so that the range of log-SNR from ``top``
        to ``bottom`` becomes the model's.
        """
        relation = self._relation(spec)
        if relation == "clock":
            logs, clock = np.log(sd().sigmas), np.arange(1000)
            own = np.interp(np.interp(np.log(curve), logs, clock), clock, np.log(spec.sigmas))
            curve = np.where(curve < self.bottom, curve, np.exp(own))
        elif relation == "foreign":
            old = _log_snr(self.process, np.array([self.top, self.bottom]))
            new = _log_snr(spec.process, np.array([spec.sigma_max, spec.sigma_min]))
            slope = (new[1] - new[0]) / (old[1] - old[0])
            curve = _at_log_snr(
                spec.process, new[0] + (_log_snr(self.process, curve) - old[0]) * slope
            )
        return np.minimum(curve, spec.sigma_max)  # published tops are rounded, 14.615 up

    def remark(self, spec: ModelSpec) -> str | None:
        """What a person should know of the list on that model."""
        how = {
            "own": None, "alike": "this model has the same range of noise",
            "clock": "used by its timesteps", "foreign": "mapped through log-SNR",
        }[self._relation(spec)]
        if how is None:
            return None
        return f"made for {' and '.join(_TITLES[f] for f in self.families)}; {how}"


def _near(a: float, b: float) -> bool:
    """Whether two levels are the same but for rounding and conventions."""
    return abs(a / b - 1.0) < 0.02
