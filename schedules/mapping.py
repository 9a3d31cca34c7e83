"""A curve of one process on a model of the other, level by level at equal log-SNR.

A formula that speaks of sigma as such (karras, cosine ...) takes the model's two ends, whatever
the process; that is what the host and A1111 do (``ModelSpec.ends``). One that speaks of log-SNR,
or of another process than the model's, is brought to the model here.
"""

from __future__ import annotations

import numpy as np

from ..process import FLOW
from .spec import ModelSpec


def from_ve(spec: ModelSpec, ratios: np.ndarray, start: float) -> np.ndarray:
    """The model's levels at the log-SNR of VE sigmas [n]; on a FLOW model the first is ``start``.

    No finite sigma / alpha is the pure noise that a FLOW run starts from.
    """
    if spec.process is not FLOW:
        return ratios
    values = ratios / (1.0 + ratios)
    values[0] = start
    return values


def from_flow(spec: ModelSpec, values: np.ndarray) -> np.ndarray:
    """The model's levels for flow sigmas [n] in (0, 1].

    On a FLOW model they are its own. On a VE model they are first scaled to its top, which has
    flow sigma ``sigma_max / (1 + sigma_max)`` (0.936 for SD1.5), and then taken at equal log-SNR.
    """
    top = spec.sigma_max
    if spec.process is FLOW:
        return values * top
    values = values * (top / (1.0 + top))
    return values / (1.0 - values)
