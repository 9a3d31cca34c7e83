"""Integrals that weights are held to, by quadrature and in fractions: no code of the pack."""

import math
from fractions import Fraction

import numpy as np

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(60)

# Adams-Bashforth on steps of 1, newest first (Hairer, Norsett, Wanner, "Solving ODEs I", III.1).
ADAMS_BASHFORTH = {
    1: ("1",),
    2: ("3/2", "-1/2"),
    3: ("23/12", "-16/12", "5/12"),
    4: ("55/24", "-59/24", "37/24", "-9/24"),
    5: ("1901/720", "-2774/720", "2616/720", "-1274/720", "251/720"),
}


def integral(function, start, end):
    """Gauss-Legendre on 8 panels; start may lie above end."""
    edges = np.linspace(start, end, 9)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    return float((function(middle + half * POINTS) * WEIGHTS * half).sum())


def phi(k, z):
    """phi_k(z) = integral over 0..1 of exp(z (1 - s)) s^(k-1) / (k-1)! ds."""
    return integral(lambda s: np.exp(z * (1 - s)) * s ** (k - 1), 0, 1) / math.factorial(k - 1)


def lagrange(nodes, j, u):
    """The polynomial that is 1 at node j and 0 at the others."""
    others = (node for i, node in enumerate(nodes) if i != j)
    return math.prod((u - node) / (nodes[j] - node) for node in others)


def moments(nodes, start, end):
    """Weights that integrate 1, u, u^2 ... exactly: the Vandermonde system in fractions."""
    n = len(nodes)
    nodes, start, end = [Fraction(u) for u in nodes], Fraction(start), Fraction(end)
    rows = [
        [u**p for u in nodes] + [(end ** (p + 1) - start ** (p + 1)) / (p + 1)] for p in range(n)
    ]
    for i in range(n):  # Gauss-Jordan; the pivot of distinct nodes may need a swap
        pivot = next(r for r in range(i, n) if rows[r][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for r in range(n):
            if r != i:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i])]
    return [float(row[-1]) for row in rows]
