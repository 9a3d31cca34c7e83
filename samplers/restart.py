"""Samplers that go back up in sigma."""

from __future__ import annotations

SAMPLERS: tuple = ()
