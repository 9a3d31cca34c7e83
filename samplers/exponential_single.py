"""Exponential integrators that forget: every step starts anew, with stages in log-SNR."""

from __future__ import annotations

SAMPLERS: tuple = ()
