"""Samplers for consistency-distilled models: jump to the clean latent, then renoise."""

from __future__ import annotations

SAMPLERS: tuple = ()
