"""Objects of the host's that see other values for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Swap = tuple[object, str, Any]  # whose attribute, its name, what it is meanwhile


@contextmanager
def swapped(swaps: Iterable[Swap]) -> Iterator[None]:
    """The attributes are what ``swaps`` say, and afterwards what they were, come what may."""
    swaps = list(swaps)
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in swaps]
    try:
        for owner, name, value in swaps:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
