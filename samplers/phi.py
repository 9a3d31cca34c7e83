"""What exponential integrators share: phi functions and the weights of an interpolated answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence


def phi(k: int, z: float) -> float:
    """phi_k(z) = sum over n of z**n / (n + k)!, so phi_0 = exp and phi_1(z) = (exp(z) - 1) / z.

    A series near 0, where the closed form cancels; the recurrence
    ``phi_{k+1}(z) = (phi_k(z) - 1/k!) / z`` elsewhere. 0 at minus infinity for k > 0.
    """
    if k == 0:
        return math.exp(z)
    if abs(z) < 1.0:
        term = total = 1.0 / math.factorial(k)
        n = k
        while abs(term) > 1e-18 * abs(total):
            n += 1
            term *= z / n
            total += term
        return total
    value = math.expm1(z) / z
    for j in range(1, k):
        value = (value - 1.0 / math.factorial(j)) / z
    return value


def differences(nodes: Sequence[float]) -> Iterator[tuple[list[float], list[float]]]:
    """Newton's interpolation of f through ``nodes``, term by term.

    For m = 0, 1, ...: the weights of f_0 .. f_m in the divided difference f[s_0 .. s_m], and the
    coefficients by power of s of what multiplies it, (s - s_0) ... (s - s_{m-1}).
    """
    powers = [1.0]
    for m, node in enumerate(nodes):
        chosen = nodes[: m + 1]
        weights = [1.0 / math.prod(a - b for b in chosen if b != a) for a in chosen]
        yield weights, powers
        powers = [low - node * high for low, high in zip([0.0, *powers], [*powers, 0.0])]


def moments(n: int, z: float) -> list[float]:
    """The integrals over 0 <= s <= 1 of exp(z (1 - s)) s**k, k! phi_{k+1}(z), for k below n."""
    return [math.factorial(k) * phi(k + 1, z) for k in range(n)]


def apply(functional: Sequence[float], nodes: Sequence[float]) -> list[float]:
    """Weights w with sum_j w_j f(s_j) = L(P), for P the polynomial through f at ``nodes``.

    functional: what the linear L makes of 1, s, s**2, ...; u**k evaluates P at u.
    """
    out = [0.0] * len(nodes)
    for parts, powers in differences(nodes):
        value = sum(c * m for c, m in zip(powers, functional))
        out = [w + value * p for w, p in zip(out, [*parts, *[0.0] * len(out)])]
    return out


def weights(nodes: Sequence[float], z: float) -> list[float]:
    """Weights w with sum_j w_j f(s_j) = integral over 0 <= s <= 1 of exp(z (1 - s)) P(s) ds.

    The nodes are in units of the step: 0 where it starts, 1 where it ends, history below 0.
    The weights sum to phi_1(z).
    """
    return apply(moments(len(nodes), z), nodes)
