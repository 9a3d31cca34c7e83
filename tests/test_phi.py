"""The phi functions and interpolation weights against quadrature that shares no code with them."""

import math
from fractions import Fraction

import numpy as np
import pytest
import quadratures
from quadratures import integral, lagrange
from stride.samplers.phi import apply, moments, phi, shares


@pytest.mark.parametrize("z", [-30.0, -4.0, -1.0, -0.999, -0.3, -1e-6, 0.0, 1e-9, 0.7, 1.0, 6.0])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_phi_is_its_integral(k, z):
    assert phi(k, z) == pytest.approx(quadratures.phi(k, z), rel=1e-12)


def test_phi_near_zero_is_the_series_in_rationals():
    """At |z| = 1e-3 the closed form of phi_4 has lost all digits; the series has not."""
    z = Fraction(-1, 1000)
    exact = sum(z**n / math.factorial(n + 4) for n in range(12))
    assert phi(4, -1e-3) == pytest.approx(float(exact), rel=1e-15)
    assert phi(0, 1.0) == math.e and phi(1, -math.inf) == phi(3, -math.inf) == 0.0


@pytest.mark.parametrize("z", [-5.0, -0.4, 0.4, 3.0])
@pytest.mark.parametrize("nodes", [(0.0,), (0.0, -0.3), (0.0, -2.0, -2.5), (0.0, -1.0, 1.0),
                                   (0.0, -0.7, -3.0, -3.4), (0.0, -0.7, -3.0, -3.4, 1.0)])
def test_weights_integrate_the_lagrange_basis(nodes, z):
    exact = [integral(lambda s, j=j: np.exp(z * (1 - s)) * lagrange(nodes, j, s), 0, 1)
             for j in range(len(nodes))]
    found = apply(moments(len(nodes), z), nodes)
    assert found == pytest.approx(exact, rel=1e-10, abs=1e-12)
    assert sum(found) == pytest.approx(phi(1, z), rel=1e-10)
    total = sum(exact)
    parts = shares(3.0, moments, z, nodes)
    assert parts == pytest.approx([3.0 * w / total for w in exact], rel=1e-9, abs=1e-12)


def test_interpolation_is_exact_for_polynomials_and_one_at_its_own_node():
    """The functional "value at u": the weights are the Lagrange basis there."""
    nodes = (0.0, -0.5, 1.0, -2.0)
    for u in (-1.3, 0.4, *nodes):
        found = apply([u**power for power in range(4)], nodes)
        exact = [lagrange(nodes, j, u) for j in range(4)]
        assert found == pytest.approx(exact, abs=1e-12)
    third = apply([0.0, 0.0, 0.0, 1.0], nodes)  # of s**3: Newton's divided difference f[s_0 .. s_3]
    for power in range(4):
        value = sum(w * s**power for w, s in zip(third, nodes))
        assert value == pytest.approx(float(power == 3), abs=1e-12)


def test_one_answer_gets_all():
    """Also in an infinite step, in which phi_1 is 0."""
    assert shares(0.3, moments, -math.inf, [0.0]) == [0.3]
