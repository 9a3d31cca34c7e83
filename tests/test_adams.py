"""Linear multistep samplers: their weights, orders and starts, restated from the literature."""

import math
from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
import torch
from problems import PROCESSES, VARIANCE, gaussian, gaussian_flow, start
from quadratures import ADAMS_BASHFORTH, integral, lagrange, moments
from stride import samplers, schedules
from stride.samplers import FLOW, VE
from stride.samplers.adams import vp_time

UNEVEN = (14.6, 9.0, 4.1, 2.9, 1.1, 0.9, 0.31, 0.05)
VARIABLE = [  # (name, options, order once started)
    *(("lms", {"order": k}, k) for k in (1, 2, 3, 4)),
    *(("ipndm_v", {"order": k}, k) for k in (1, 2, 3, 4)),
    ("adams_2", {}, 2),
    ("adams_3", {}, 3),
]
DEIS = [("deis", {"order": k, "variable": v}, k)
        for v in ("time", "log_sigma", "sigma") for k in (1, 2, 3, 4)]
FIXED = [*(("ipndm", {"order": k}, k) for k in (1, 2, 3, 4)), ("plms", {}, 4), ("pndm", {}, 4)]


def rows_of(name, sigmas, process=VE, **options):
    return samplers.get(name).plan(tuple(sigmas), process, **options).rows


def last_weights(name, sigmas, **options):
    """w_j, newest first, of ``x' = x + sum_j w_j (x_j - D_j)/sigma_j`` in the last step."""
    rows = rows_of(name, sigmas, **options)
    k, d = len(rows) - 1, rows[-1].d
    assert rows[-1].x == pytest.approx({j: -w + (j == k) for j, w in d.items()}, abs=1e-12)
    return [-d[j] * rows[j].sigma for j in sorted(d, reverse=True)]


# Weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, options, order", [*VARIABLE, *FIXED, *(d for d in DEIS if d[1]["variable"] == "sigma")]
)
def test_even_steps_have_the_published_adams_bashforth_weights(name, options, order):
    sigmas = [3.0 - 0.25 * i for i in range(6)]
    wanted = [-0.25 * float(Fraction(w)) for w in ADAMS_BASHFORTH[order]]
    assert last_weights(name, sigmas, **options) == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize(
    "name, options, order", [*VARIABLE, *(d for d in DEIS if d[1]["variable"] == "sigma")]
)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
def test_uneven_steps_integrate_polynomials_exactly(name, options, order, steps):
    """eps = sigma^p for every p below the order, the ramp of the first steps included."""
    sigmas = UNEVEN[: steps + 1]
    have = min(order, steps)
    wanted = moments(sigmas[-2 : -2 - have : -1], sigmas[-2], sigmas[-1])
    assert last_weights(name, sigmas, **options) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("spread", [(0.5, 1.0, 2.0), (1.0, 1.0, 1.0), (2.0, 0.3, 0.9)])
def test_third_order_weights_in_closed_form(spread):
    """AB3 on steps h (newest), a, b: the textbook form with the ratios written out."""
    h, a, b = spread
    sigmas = list(accumulate((-b, -a, -h), initial=10.0))
    first = 1 + h / (2 * a) + h * (2 * h + 3 * a) / (6 * a * (a + b))
    third = h * (2 * h + 3 * a) / (6 * b * (a + b))
    wanted = [-h * first, -h * (1 - first - third), -h * third]
    assert last_weights("ipndm_v", sigmas, order=3) == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_deis_weights_are_the_papers_integrals(order):
    """int L_j(t) dsigma/dt dt by quadrature in t, for sigma^2 = exp(b t^2/2 + c t) - 1."""
    high, low = math.log(80**2 + 1), math.log(0.002**2 + 1)
    b = 2 * (high - low / 0.001) / (1 - 0.001)
    c = high - b / 2

    def speed(t):
        rho = np.sqrt(np.expm1(b * t * t / 2 + c * t))
        return (b * t + c) * (rho**2 + 1) / (2 * rho)

    for k in range(order, len(UNEVEN)):
        sigmas = UNEVEN[: k + 1]
        nodes = [(-c + math.sqrt(c * c + 2 * b * math.log(s * s + 1))) / b for s in sigmas]
        past = nodes[-2 : -2 - order : -1]
        wanted = [
            integral(lambda t, past=past, j=j: speed(t) * lagrange(past, j, t), *nodes[-2:])
            for j in range(order)
        ]
        assert last_weights("deis", sigmas, order=order) == pytest.approx(wanted, rel=1e-8)


def test_deis_in_log_sigma_in_closed_form():
    """int log(r/b)/log(a/b) dr = [r (log(r/b) - 1)] / log(a/b), from a to the next sigma."""
    b, a, end = sigmas = (6.0, 2.5, 0.7)
    first = (end * (math.log(end / b) - 1) - a * (math.log(a / b) - 1)) / math.log(a / b)
    found = last_weights("deis", sigmas, order=2, variable="log_sigma")
    assert found == pytest.approx([first, end - a - first], rel=1e-11)


def test_vp_time_at_its_two_constants():
    assert vp_time(np.array([0.002, 80.0])) == pytest.approx([0.001, 1.0], rel=1e-9)


def test_gradient_estimation_between_euler_and_adams_bashforth():
    """gamma 1 is Euler, 1.5 is AB2 with fixed weights; 2 is 2 e_k - e_{k-1}."""
    for gamma, other, options in ((1.0, "euler", {}), (1.5, "ipndm", {"order": 2})):
        found = rows_of("gradient_estimation", (*UNEVEN, 0.0), gamma=gamma)
        for row, wanted in zip(found, rows_of(other, (*UNEVEN, 0.0), **options)):
            trim = {j: w for j, w in wanted.x.items() if w}
            assert row.x == pytest.approx(trim, rel=1e-12, abs=1e-14)
            assert row.d == pytest.approx(wanted.d, rel=1e-12)
    h = UNEVEN[3] - UNEVEN[2]
    found = last_weights("gradient_estimation", UNEVEN[:4])
    assert found == pytest.approx([2 * h, -h], rel=1e-12)


# Order ---------------------------------------------------------------------------------------


def scale(process, sigma):
    """x(sigma) of the exact solution, one value per coordinate of the Gaussian data."""
    return (process.alpha(sigma) ** 2 * VARIANCE + sigma**2).sqrt()


def defect(name, sigmas, process, **options):
    """Error of the last step when every x_j and D_j lies on the exact solution."""
    rows = rows_of(name, sigmas, process, **options)
    out = torch.zeros_like(VARIANCE)
    for j, w in rows[-1].x.items():
        out += w * scale(process, rows[j].sigma)
    for j, w in rows[-1].d.items():
        level = torch.tensor([rows[j].sigma], dtype=torch.float64)
        out += w * gaussian(process)(scale(process, rows[j].sigma), level)[0]
    return float((out - scale(process, sigmas[-1])).abs().max())


def steps_from(top, steps):
    return list(accumulate(steps, lambda sigma, h: sigma - h, initial=top))


def last_from(sigma, h, ratios):
    """Steps of h times the ratios, of which the last starts at sigma."""
    return steps_from(sigma + h * sum(ratios[:-1]), [h * r for r in ratios])


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("name, options, order", [*VARIABLE, *DEIS])
def test_one_step_from_exact_history_has_its_order(name, options, order, process):
    """Steps in the ratio 5 : 3 : 4 : 2 : 3, halved: the defect of one step shrinks as h^(k+1)."""
    found = []
    for h in (0.004, 0.002):
        found.append(defect(name, last_from(0.45, h, (5, 3, 4, 2, 3)), process, **options))
    assert abs(math.log2(found[0] / found[1]) - (order + 1)) < 0.15


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("name, options, order", FIXED)
def test_fixed_weights_have_their_order_on_even_steps_only(name, options, order, process):
    for ratios, wanted in (((1,) * 6, order), ((5, 3, 2, 5, 2, 4), 1)):
        found = []
        for h in (0.004, 0.002):
            found.append(defect(name, last_from(0.45, h, ratios), process, **options))
        assert abs(math.log2(found[0] / found[1]) - (wanted + 1)) < 0.15


def slope(name, process, grid, counts, **options):
    found = []
    for n in counts:
        sigmas = grid(n)
        x = start(sigmas[0])
        exact = gaussian_flow(x, sigmas[0], sigmas[-1], process)
        out = samplers.sample(name, gaussian(process), x, sigmas, process, **options)
        found.append(float((out - exact).abs().max()))
    return math.log2(found[0] / found[1])


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize(
    "name, wanted", [("ipndm", 2), ("lms", 2), ("plms", 3), ("pndm", 4)]
)
def test_the_start_decides_the_order_of_a_run(name, wanted, process):
    """On even steps: Euler's start costs h^2, the improved Euler's h^3, Runge-Kutta's h^4."""
    top, bottom = (0.9, 0.4)
    found = slope(
        name, process, lambda n: np.linspace(top, bottom, n + 1).tolist(), (160, 320)
    )
    assert abs(found - wanted) < 0.15


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize(
    "name, wanted", [("ipndm", 1), ("plms", 1), ("pndm", 1), ("lms", 2), ("adams_2", 2)]
)
def test_fixed_weights_are_of_first_order_where_steps_never_become_equal(name, wanted, process):
    """Steps of h and 2h in turn, however fine the grid; variable weights keep their order."""

    def grid(n):
        parts = [2.0 if i % 2 else 1.0 for i in range(n)]
        return steps_from(0.9, [0.5 * p / sum(parts) for p in parts])

    assert abs(slope(name, process, grid, (320, 640)) - wanted) < 0.15


# Starts and ends -----------------------------------------------------------------------------


def test_plms_starts_with_the_improved_euler_method():
    stage, row = rows_of("plms", (4.0, 3.0, 2.5))[:2]
    assert (stage.sigma_next, row.sigma, row.sigma_next) == (3.0, 3.0, 3.0)
    assert stage.x == pytest.approx({0: 0.75}) and stage.d == pytest.approx({0: 0.25})
    # x_0 - 1/2 ((x_0 - D_0)/4 + (x_1 - D_1)/3)
    assert row.x == pytest.approx({0: 1 - 1 / 8, 1: -1 / 6})
    assert row.d == pytest.approx({0: 1 / 8, 1: 1 / 6})


def test_pndm_starts_with_three_runge_kutta_steps():
    rows = rows_of("pndm", (4.0, 3.0, 2.5, 2.0, 1.5, 0.0))
    assert [row.step for row in rows] == [0] * 4 + [1] * 4 + [2] * 4 + [3, 4]
    assert [row.sigma for row in rows[:5]] == [4.0, 3.5, 3.5, 3.0, 3.0]
    # x_0 - (e_0 + 2 e_1 + 2 e_2 + e_3)/6, with e_j = (x_j - D_j)/sigma_j
    wanted = {0: 1 / 24, 1: 2 / 21, 2: 2 / 21, 3: 1 / 18}
    assert rows[3].d == pytest.approx(wanted)
    assert rows[12].d.keys() == {0, 4, 8, 12}, "the multistep reads what each step asked first"


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_lms_may_take_its_last_step_by_the_formula(process):
    sigmas = (0.9, 0.5, 0.3, 0.1, 0.0)
    plain, formula = (rows_of("lms", sigmas, process, ending=e)[-1]
                      for e in ("denoise", "multistep"))
    assert (plain.x, plain.d) == ({}, {3: 1.0})
    wanted = moments(sigmas[3::-1], 0.1, 0.0)
    assert [-formula.d[3 - j] * sigmas[3 - j] for j in range(4)] == pytest.approx(wanted)


# A1111's own runs ----------------------------------------------------------------------------

Z = torch.arange(256, dtype=torch.float64)
Z = torch.sin(0.37 * Z) + 0.5 * torch.cos(1.7 * Z)  # the noise of the recorded runs


def recorded(x, sigma):
    """The denoiser of the recorded runs."""
    s2 = sigma.double()[:, None] ** 2
    return 0.9 * x / (1 + s2) + 0.1 * torch.tanh(x / (1 + s2).sqrt())


def test_lms_equals_a1111():
    """A1111 v1.10.1, "LMS" with schedule Automatic, 10 steps (its float32 sigmas)."""
    sigmas = (14.614643096923828, 7.839882850646973, 4.6091742515563965, 2.918307065963745,
              1.9501614570617676, 1.3449277877807617, 0.9323579668998718, 0.6249769330024719,
              0.36865776777267456, 0.0291675366461277, 0.0)
    out = samplers.sample("LMS", recorded, Z[None] * sigmas[0], sigmas, ending="multistep")[0]
    assert out[:3].tolist() == pytest.approx(
        [0.5065588385314029, 0.30702114051520496, 0.19857505520642682], abs=2e-7
    )
    assert float(out.abs().sum()) == pytest.approx(166.8398577027377, rel=1e-6)


@pytest.mark.parametrize("steps, absolute, first", [
    (10, 171.41420142812842, [0.5130470396151663, 0.30927394765204885, 0.1996448031407122]),
    (30, 171.59954107257627, [0.516696979802758, 0.31224397662537706, 0.20174452597362577]),
])
def test_plms_equals_a1111(steps, absolute, first):
    """A1111 v1.10.1, "PLMS": its timesteps as sigmas, without a last step to 0, in VP space."""
    spec = schedules.ModelSpec.discrete()
    times = [t + 1.0 for t in range(0, 1000, 1000 // steps)][::-1]
    sigmas = [float(s) for s in spec.sigma(times)]
    x = Z[None] * math.hypot(1.0, sigmas[0])
    out = samplers.sample("PLMS", recorded, x, sigmas)[0] / math.hypot(1.0, sigmas[-1])
    # Its table of alphas is rounded to float32, which moves sigmas by up to 1.3e-5.
    assert out[:3].tolist() == pytest.approx(first, rel=3e-5)
    assert float(out.abs().sum()) == pytest.approx(absolute, rel=3e-5)


# A run that starts at sigma 1 ----------------------------------------------------------------


def test_a_flow_start_at_one_is_an_ordinary_node():
    """The velocity and every variable used here are finite at sigma 1."""
    for name, options, order in (*VARIABLE, *DEIS):
        rows = rows_of(name, (1.0, 0.95, 0.8, 0.5, 0.2), FLOW, **options)
        assert len(rows[1].d) == min(2, order)
