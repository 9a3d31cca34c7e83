"""Samplers that choose their own steps, image by image."""

from __future__ import annotations

SAMPLERS: tuple = ()
