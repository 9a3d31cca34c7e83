"""Whether a prompt uses A1111's emphasis: (more), [less], (as much:1.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:\s*([+-]?[.\d]+)\s*\)|\)|]|[^\\()\[\]:]+|:")
MORE, LESS = 1.1, 1 / 1.1
# Weights are multiplied bracket by bracket, as A1111 rounds them. Past this many products a prompt
# is nested as nobody writes; it does use emphasis.
_PRODUCTS = 1_000_000


def uses_emphasis(prompt: str) -> bool:
    """Whether any part of the prompt has another weight than 1; brackets left open count."""
    weights: list[float] = []
    left = _PRODUCTS
    for start, factor in _brackets(prompt, weights):
        left -= len(weights) - start
        if left < 0:
            return True
        weights[start:] = [weight * factor for weight in weights[start:]]
    return any(weight != 1.0 for weight in weights)


def _brackets(prompt: str, weights: list[float]) -> Iterator[tuple[int, float]]:
    """(first part inside, factor) of each pair as it closes; appends each part's weight of 1."""
    open_round: list[int] = []
    open_square: list[int] = []
    for token in _TOKEN.finditer(prompt):
        text, weight = token.group(), token.group(1)
        if text == "(":
            open_round.append(len(weights))
        elif text == "[":
            open_square.append(len(weights))
        elif weight is not None and open_round:
            yield open_round.pop(), _float(weight)
        elif text == ")" and open_round:
            yield open_round.pop(), MORE
        elif text == "]" and open_square:
            yield open_square.pop(), LESS
        else:
            weights.append(1.0)
    yield from ((start, MORE) for start in open_round)
    yield from ((start, LESS) for start in open_square)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # "1.2.3": A1111 refuses such a prompt when it runs
        return MORE
