"""What the world says of every sampler: the rows that the tests hold the registry to."""

from collections.abc import Callable
from dataclasses import fields
from typing import NamedTuple

from stride import samplers
from stride.samplers import FLOW, Process


class Row(NamedTuple):
    """order: published, of the deterministic form; None where no ODE is solved.

    calls: model calls of n steps that end at sigma 0, None where the latent decides. stochastic: by
    default. counts: the two step counts between which the order is measured. slopes: what is
    measured instead where a problem flatters the method, by problem or by problem and process.
    host: the models ("sd", "flow") on which the sampler equals the host's function of its name to
    rounding. spared: calls fewer where a FLOW run starts at sigma 1, from which the first step is
    one of first order. quiet: what switches its fresh noise off, where that is not eta. marginal:
    whether its noise keeps the data's variance with the D of an ordinary model; a consistency
    sampler needs a consistency model's.
    """

    order: int | None
    calls: Callable[[int], int] | None = lambda n: n
    stochastic: bool = False
    counts: tuple[int, int] = (160, 320)
    slopes: dict[str, float] = {}  # noqa: RUF012
    host: tuple[str, ...] = ()
    spared: int = 0
    quiet: dict[str, float] = {}  # noqa: RUF012
    marginal: bool = True

    def slope(self, problem: str, process: Process) -> float:
        """How fast the error of a run falls, as a power of the step."""
        whole = self.slopes.get(problem, self.order)
        return self.slopes.get(f"{problem} {process.name}", whole)

    def calls_from(self, sigma: float, process: Process, steps: int) -> int:
        """Model calls of a run from ``sigma`` to 0."""
        spares = steps > 1 and process is FLOW and sigma == 1.0
        return self.calls(steps) - (self.spared if spares else 0)


BOTH = ("sd", "flow")
EULER = {
    "euler": Row(1, host=BOTH),
    "euler_ancestral": Row(1, stochastic=True, host=BOTH),
    "ddim": Row(1),
    # The host's own knows no flow: it takes x to be variance preserving, with sigma / alpha.
    "ddpm": Row(1, stochastic=True, host=("sd",)),
    "euler_cfg_pp": Row(1, host=BOTH),
    "euler_ancestral_cfg_pp": Row(1, stochastic=True, host=BOTH),
    "ddim_cfg_pp": Row(1),
}
RUNGE_KUTTA = {
    "heun": Row(2, lambda n: 2 * n - 1, host=BOTH),
    # Its weights are consistent and no more: far down the list it is nearly Euler.
    "heunpp2": Row(1, lambda n: max(3 * n - 3, 1), host=BOTH),
    "dpm_2": Row(2, lambda n: 2 * n - 1, host=BOTH),
    "dpm_2_ancestral": Row(2, lambda n: 2 * n - 1, stochastic=True, host=BOTH),
    # Where x^2 is quadratic in sigma, as it is for Gaussian data, its h^3 is the exact solution's.
    "midpoint": Row(2, lambda n: 2 * n - 1, slopes={"gaussian": 3}),
    "ralston": Row(2, lambda n: 2 * n - 1),
    "heun3": Row(3, lambda n: 3 * n - 2),
    "ssprk3": Row(3, lambda n: 3 * n - 2),
    "rk4": Row(4, lambda n: 4 * n - 3),
    "bogacki_shampine": Row(3, lambda n: 3 * n - 2),
    # Made to have little error of order 5: the next orders lead, from few steps on until rounding
    # does. That the tableau is of order 5 and no more is shown in test_runge_kutta.py.
    "dormand_prince": Row(5, lambda n: 6 * n - 5, counts=(10, 20), slopes={
        "gaussian VE": 6.67, "gaussian FLOW": 5.32, "mixture VE": 6.01, "mixture FLOW": 6.25,
    }),
}
ADAMS = {
    # The Euler start alone costs h^2. Fixed weights, which want even steps, cost as much.
    "ipndm": Row(2, host=BOTH),
    "lms": Row(2, host=BOTH),
    # The host's coefficients of order 3 and 4, and its sums for DEIS, are off: host/test_adams.py.
    "ipndm_v": Row(2),
    "adams_2": Row(2),
    "adams_3": Row(2),
    "deis": Row(2),
    "plms": Row(2, lambda n: n + 1 if n > 1 else 1),
    "pndm": Row(2, lambda n: n + 3 * min(n - 1, 3)),
    "gradient_estimation": Row(1, host=BOTH),
    "gradient_estimation_cfg_pp": Row(1, host=("sd",)),
}
EXPONENTIAL_MULTISTEP = {
    # The host's own knows no flow: it takes alpha to be 1.
    "dpmpp_2m": Row(2, host=("sd",)),
    "res_multistep": Row(2, host=("sd",)),
    "res_multistep_ancestral": Row(2, stochastic=True, host=("sd",)),
    "dpmpp_2m_cfg_pp": Row(2),
    "res_multistep_cfg_pp": Row(2),
    "res_multistep_ancestral_cfg_pp": Row(2, stochastic=True),
    # Third order once running: the first step is an Euler step, of local order 2.
    "dpmpp_3m": Row(2),
    "dpm_solver": Row(2),
    # Its first step is corrected, which leaves local order 3.
    "uni_pc": Row(3),
    "uni_pc_bh2": Row(3),
    "dc_solver": Row(3),
}


def two_stages(**facts) -> Row:
    return Row(2, lambda n: 2 * n - 1, spared=1, **facts)


def three_stages(**facts) -> Row:
    return Row(3, lambda n: 3 * n - 2, spared=2, **facts)


EXPONENTIAL_SINGLE = {
    # On flow the host replaces a start at sigma 1, which all its lists have: see
    # test_exponential_single.py beside the host.
    "dpmpp_2s": two_stages(),
    "dpmpp_2s_ancestral": two_stages(stochastic=True, host=("sd",)),
    "dpmpp_2s_ancestral_cfg_pp": two_stages(stochastic=True),
    "dpmpp_3s": three_stages(),
    "dpmpp_sde": two_stages(stochastic=True, host=("sd",)),
    "res_2s": two_stages(),
    "res_3s": three_stages(),
    "seeds_2": two_stages(stochastic=True, host=("sd",)),
    "seeds_3": three_stages(stochastic=True, host=("sd",)),
    "exp_heun_2_x0": two_stages(),
    "exp_heun_2_x0_sde": two_stages(stochastic=True),
    # A last block of order 1 caps these counts at 2; the host ignores the schedule.
    "dpm_fast": Row(2, counts=(600, 1200)),
}
SDE, NO_TAU = dict(stochastic=True, host=("sd",)), {"tau": 0.0}
STOCHASTIC = {
    # On FLOW the host moves sigma 1 to 0.9999: see host/test_stochastic.py, as for all of these.
    "dpmpp_2m_sde": Row(2, **SDE),
    "dpmpp_2m_sde_heun": Row(2, **SDE),
    # Half of its quadratic term is missing: see test_stochastic.py.
    "dpmpp_3m_sde": Row(2, **SDE),
    "dpmpp_2m_sde_cfg_pp": Row(2, stochastic=True),
    "dpmpp_3m_sde_cfg_pp": Row(2, stochastic=True),
    # The first correction is of order 2, which caps the run at 3.
    "sa_solver": Row(3, quiet=NO_TAU, **SDE),
    "sa_solver_pece": Row(3, lambda n: 2 * n - 1, quiet=NO_TAU, **SDE),
    # The sum of 200 points that stands for an integral leaves a little of Euler's error, which
    # only many steps bring out from under that of order 2.
    "er_sde": Row(1, counts=(2560, 5120), **SDE),
}
CONSISTENCY = {
    "lcm": Row(None, stochastic=True, host=BOTH, marginal=False),
    "tcd": Row(1, stochastic=True, quiet={"gamma": 0.0}, marginal=False),
}


def heun_and_restarts(n: int) -> int:
    """A1111's rule: a way back of 9 Heun steps from 20 steps on, two of n // 4 from 36 on."""
    return 2 * n - 1 + (4 * (n // 4) if n >= 36 else 18 * (n >= 20))


OTHERS = {
    "restart": Row(2, heun_and_restarts, stochastic=True, quiet={"times": 0}),
    # Their order is that of the pair, and shows in the error by tolerance: see test_adaptive.py.
    "dpm_adaptive": Row(None, calls=None),
    "adaptive_steps": Row(None, calls=None),
}
ROWS = {
    **EULER, **RUNGE_KUTTA, **ADAMS, **EXPONENTIAL_MULTISTEP, **EXPONENTIAL_SINGLE, **STOCHASTIC,
    **CONSISTENCY, **OTHERS,
}

# An adaptive run has neither a fixed number of calls nor steps at which a cut changes nothing.
TABLES = sorted(name for name, row in ROWS.items() if row.calls)


def with_eta(name: str, eta: float) -> dict[str, float]:
    """The option eta where the sampler has it."""
    has = {f.name for f in fields(samplers.get(name).options)}
    return {"eta": eta} if "eta" in has else {}


def quiet(name: str) -> dict[str, float]:
    """Options that switch all fresh noise off."""
    return {**with_eta(name, 0.0), **ROWS[name].quiet}


def exact(name: str) -> dict[str, float]:
    """Options that switch all fresh noise off and hold an adaptive sampler's error down."""
    return quiet(name) if name in TABLES else {"eta": 0.0, "rtol": 1e-4, "atol": 1e-4}


def is_guided(name: str) -> bool:
    """Whether the sampler is CFG++ by default and so asks for the unconditional answer."""
    return getattr(samplers.get(name).options, "cfg_pp", False)


def host_pairs(guided: bool) -> list[tuple[str, str]]:
    """(sampler, model) wherever the sampler equals the host's function of its name."""
    return [
        (name, model) for name, row in ROWS.items() for model in row.host
        if is_guided(name) == guided
    ]


def answers(name: str, denoise: Callable) -> Callable:
    """The denoiser as the sampler wants it: CFG++ asks for the unconditional answer as well."""
    if not is_guided(name):
        return denoise

    def both(x, sigma):
        d = denoise(x, sigma)
        return d, d

    return both
