"""What exponential integrators share: phi functions and the weights of an interpolated answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Moments = Callable[[int, float], list[float]]  # ``moments``, or a method's own in their place


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


def moments(n: int, z: float) -> list[float]:
    """The integrals over 0 <= s <= 1 of exp(z (1 - s)) s**k, k! phi_{k+1}(z), for k below n."""
    return [math.factorial(k) * phi(k + 1, z) for k in range(n)]


def apply(functional: Sequence[float], nodes: Sequence[float]) -> list[float]:
    """Weights w with sum_j w_j f(s_j) = L(P), for P the polynomial through f at ``nodes``.

    functional: what the linear L makes of 1, s, s**2, ...; ``moments`` integrate P over a step,
    u**k evaluates it at u. The nodes are in units of the step, 0 where it starts and 1 where it
    ends, and differ.

    Newton's interpolation: P is the sum over m of the divided difference f[s_0 .. s_m], in which
    f_j weighs 1 / prod over i != j of (s_j - s_i), times (s - s_0) ... (s - s_{m-1}).
    """
    weights: list[float] = []
    gaps: list[float] = []  # the product of (s_j - s_i), by j
    powers = [1.0]  # the coefficients of (s - s_0) ... (s - s_{m-1})
    for m, node in enumerate(nodes):
        value = 0.0
        for coefficient, moment in zip(powers, functional):
            value += coefficient * moment
        gap = 1.0
        for j in range(m):
            gaps[j] *= nodes[j] - node
            gap *= node - nodes[j]
        gaps.append(gap)
        weights.append(0.0)
        for j, gap in enumerate(gaps):
            weights[j] += value * (1.0 / gap)
        powers = [low - node * high for low, high in zip([0.0, *powers], [*powers, 0.0])]
    return weights


def shares(
    whole: float, moments: Moments, z: float, nodes: Sequence[float]
) -> list[float]:
    """Weights of the answers at ``nodes`` in an exponential step that D held still would give
    ``whole``.

    P is integrated as ``moments(n, z)`` tells and all is scaled to sum to ``whole``: that is the
    integral of 1, phi_1(z) in the step's units, without its cancellation.
    """
    if len(nodes) == 1:
        return [whole]
    functional = moments(len(nodes), z)
    return [whole * weight / functional[0] for weight in apply(functional, nodes)]
