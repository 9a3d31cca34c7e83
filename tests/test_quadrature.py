"""The integrals behind the multistep weights, against closed forms and exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from quadratures import ADAMS_BASHFORTH, moments
from stride.samplers.quadrature import integrate, lagrange


@pytest.mark.parametrize("order", ADAMS_BASHFORTH)
def test_even_nodes_give_the_published_adams_bashforth_weights(order):
    wanted = [float(Fraction(w)) for w in ADAMS_BASHFORTH[order]]
    assert integrate([-j for j in range(order)], 0.0, 1.0) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("nodes", [(3.0,), (3.0, 7.5), (0.25, 0.5, 2.0), (0.1, 0.4, 1.5, 14.6)])
def test_uneven_nodes_integrate_polynomials_exactly(nodes):
    for start, end in ((nodes[0], 0.0), (nodes[0], nodes[0] / 2), (2.0, 3.0)):
        wanted = moments(nodes, start, end)
        scale = max(map(abs, wanted))
        assert integrate(nodes, start, end) == pytest.approx(wanted, rel=1e-11, abs=1e-13 * scale)


def test_the_basis_is_one_at_its_own_node_and_zero_at_the_others():
    nodes = [0.3, -1.0, 2.5]
    assert np.allclose(lagrange(nodes, np.array(nodes)), np.eye(3), atol=1e-15)


@pytest.mark.parametrize("h", [1e-3, 0.5, 3.0, 9.0])
def test_an_exponential_kernel_gives_the_phi_functions(h):
    """int_0^h exp(q - h) (1, q/h) dq = h (phi_1, phi_2)(-h), in closed form."""
    found = integrate([0.0, h], 0.0, h, kernel=lambda q: np.exp(q - h))
    linear = 1.0 + math.expm1(-h) / h
    if h < 0.01:
        linear = h / 2 - h**2 / 6 + h**3 / 24
    assert found == pytest.approx([-math.expm1(-h) - linear, linear], rel=1e-11)


def test_a_change_of_variable_is_the_same_integral():
    """d sigma as exp(q) dq; and a polynomial in q^2 is integrated exactly."""
    sigmas = [0.3, 0.8, 2.0]
    direct = integrate(sigmas, 0.3, 0.1)
    logs = [math.log(s) for s in sigmas]
    assert integrate(logs, logs[0], math.log(0.1), kernel=np.exp, variable=np.exp) == (
        pytest.approx(direct, rel=1e-12)
    )
    weights = integrate(sigmas, 0.3, 0.1, variable=np.square)
    assert sum(w * s**4 for w, s in zip(weights, sigmas)) == (
        pytest.approx((0.1**5 - 0.3**5) / 5, rel=1e-11)
    )
