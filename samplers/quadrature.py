"""Exact weights of multistep methods: integrals of a Lagrange basis.

A method that extrapolates a quantity through its values at ``nodes`` and integrates the
polynomial gives value j the weight

    w_j = int_start^end kernel(q) L_j(u(q)) dq,    L_j(u_i) = 1 if i = j else 0.

Gauss-Legendre with 32 points is exact for polynomials up to degree 63; where kernel and u are
smooth over the step it is exact to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

Curve = Callable[[np.ndarray], np.ndarray]
Values = Sequence[float] | np.ndarray


@cache
def _gauss() -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of 32-point Gauss-Legendre on -1..1."""
    return np.polynomial.legendre.leggauss(32)


def lagrange(nodes: Values, u: np.ndarray) -> np.ndarray:
    """L_j(u) [node, *u.shape] of the polynomials through ``nodes``, which must differ."""
    basis = np.ones((len(nodes), *np.shape(u)))
    for j, node in enumerate(nodes):
        for i, other in enumerate(nodes):
            if i != j:
                basis[j] *= (u - other) / (node - other)
    return basis


def integrate(
    nodes: Values, start: float, end: float,
    kernel: Curve | None = None, variable: Curve | None = None,
) -> list[float]:
    """Weight of each node's value in the integral from start to end.

    kernel(q): what the polynomial is multiplied by, 1 if not given. variable(q): the u in which
    it is a polynomial, q itself if not given; ``nodes``, start and end are values of q.
    """
    points, weights = _gauss()
    half = 0.5 * (end - start)
    q = 0.5 * (start + end) + half * points
    weights = half * weights * (1.0 if kernel is None else kernel(q))
    u = q
    if variable is not None:
        nodes, u = variable(np.asarray(nodes, dtype=float)), variable(q)
    found: list[float] = (lagrange(nodes, u) @ weights).tolist()
    return found
