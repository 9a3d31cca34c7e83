"""Multistep solvers of the reverse SDE: D extrapolated in log-SNR, fresh noise at every step."""

from __future__ import annotations

SAMPLERS: tuple = ()
