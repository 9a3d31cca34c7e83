"""A drop-in for a scheduler of diffusers: its levels, its end, its scale and its rules of order.

Tables and loop are the pack's own. What is theirs alone is how a run is seen (``engine/view.py``),
where its levels lie (``grid.py``), and which of our rows each step takes near the ends of a run.
What has no such form is refused with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from ... import samplers
from ...engine.model import Answer
from ...engine.table import Row, Table
from ...engine.view import Thousandths, View
from ...process import Process
from ...registry import Options
from ...samplers import adams, exponential_single, sa_solver
from ...samplers.runge_kutta import CLASSICAL_4, EULER, HEUN_EULER, Tableau
from ...schedules.configs import facts, is_edm, is_flow, prediction
from .grid import LIKE_EULER, Grid, NoExactForm, grid
from .settings import Settings

Rows = Callable[[tuple[float, ...], Process], Iterable[Row]]
_SHORT = 15  # runs of fewer steps lower their order at the end


@dataclass(frozen=True)
class DropIn:
    """What makes the stepper: a table for any last part of the levels, and its view."""

    grid: Grid
    rows: Rows
    options: Options
    view: View

    def table(self, levels: tuple[float, ...] | None = None) -> Table:
        """The table of the whole run, or of what begins at one of its levels."""
        levels = self.grid.levels if levels is None else levels
        process = self.view.process
        return Table(levels, process, tuple(self.rows(levels, process)),
                     getattr(self.options, "s_noise", 1.0))


def drop_in(
    name: str, s: Settings, config: Mapping[str, Any], sampler: str, options: Mapping[str, Any],
    steps: int,
) -> DropIn:
    """The class ``name`` (without "Scheduler") over ``steps`` steps.

    s: its settings. config: all that was said, the model's settings included, and ``mu`` or
    ``sigmas`` where a pipeline would hand them over. sampler, options: ours for it.
    Raises NoExactForm where theirs has none here, ValueError for bad settings.
    """
    levels = grid(name, s, config, steps)
    if any(b >= a for a, b in zip(levels.levels, levels.levels[1:-1])):
        raise ValueError(f"{name}Scheduler lists the same level twice at {steps} steps")
    chosen = samplers.get(sampler).configure(**options)
    rows = _rows(name, s, levels, sampler, chosen)
    view = _view(name, s, config, levels)
    made = DropIn(levels, rows, chosen, view)
    table = made.table()
    calls = [row.sigma for row in table.rows if row.calls]
    return replace(made, view=replace(view, timesteps=levels.timesteps(calls)))


# What a step does --------------------------------------------------------------------------------


def _rows(name: str, s: Settings, at: Grid, sampler: str, options: Any) -> Rows:
    build: Callable[..., Iterable[Row]] = samplers.get(sampler).build
    steps = len(at.levels) - 1
    if name in _WITHOUT:
        raise NoExactForm(f"{name}Scheduler {_WITHOUT[name]}")
    if name == "PNDM":
        if steps < (least := 2 if s["skip_prk_steps"] else 4):
            raise ValueError(f"the first steps of PNDM are {least} at least, steps are {steps}")
        return partial(_pndm, at=at, prk=not s["skip_prk_steps"])
    if name in ("DPMSolverMultistep", "EDMDPMSolverMultistep"):
        return _dpm(s, build, options, steps)
    if name == "DPMSolverSinglestep":
        return _singlestep(s, at)
    if name == "DEISMultistep":
        if s["use_flow_sigmas"] and s["solver_order"] > 1:
            raise NoExactForm("on a flow model their DEIS extrapolates the noise")
        return partial(adams.deis, options=options, taper=_taper(s, steps))
    if name == "UniPCMultistep":
        return _unipc(s, build, options)
    if name == "SASolver":
        return _sa(s, at, options)
    if name in ("DDPM", "DDPMParallel", "UnCLIP"):
        if s["variance_type"] not in ("fixed_small", "fixed_small_log"):
            raise NoExactForm(f"variance_type '{s['variance_type']}' draws another noise than ours")
    guided = name.startswith("DDIM") and (s["clip_sample"] or s["thresholding"])
    if guided:  # the noise in x is what the network said, as the unconditional one in CFG++
        return lambda levels, process: samplers.cfg_pp(build(levels, process, options), process)
    return partial(build, options=options)


_TREE = "draws its noise from a Brownian tree of torchsde"
_WITHOUT = {
    "DPMSolverSDE": _TREE, "CosineDPMSolverMultistep": _TREE,
    "IPNDM": "begins without any signal and divides by 1e-8 there",
    "CogVideoXDPM": "takes other arguments in step()",
    "DDPMWuerstchen": "has levels of its own in every step()",
    "MiniMaxH3": "runs on a clock of its own, backwards",
    "FlowMatchLCM": "may change the size of the latent on the way",
}


def _taper(s: Settings, steps: int) -> int:
    """How many of the last steps have a lower order."""
    if s["lower_order_final"] and steps < _SHORT:
        return 2
    return 1 if s["euler_at_final"] else 0


def _dpm(s: Settings, build: Callable[..., Iterable[Row]], options: Any, steps: int) -> Rows:
    kind, order = s["algorithm_type"], s["solver_order"]
    if kind == "sde-dpmsolver":
        raise NoExactForm("their sde-dpmsolver adds more noise than the model's marginals have")
    if kind == "sde-dpmsolver++" and order > 2:
        raise NoExactForm("their third-order SDE step gives the second difference another weight")
    if kind == "dpmsolver" and s["final_sigmas_type"] == "zero":
        raise ValueError("algorithm_type 'dpmsolver' needs final_sigmas_type 'sigma_min'")
    if order == 1:
        return partial(build, options=options)
    return partial(build, options=options, taper=_taper(s, steps))


def _singlestep(s: Settings, at: Grid) -> Rows:
    if s["algorithm_type"] == "dpmsolver":
        raise NoExactForm("the noise-prediction form of single steps has no table here")
    orders = _orders(s["solver_order"], len(at.levels) - 1,
                     bool(s["lower_order_final"]), at.levels[-1] == 0)
    eta = 1.0 if s["algorithm_type"] == "sde-dpmsolver++" else 0.0
    exact = s["solver_type"] == "heun"

    def rows(levels: tuple[float, ...], process: Process) -> Iterable[Row]:
        mine = orders[len(orders) - len(levels) + 1 :]
        return exponential_single.listed(levels, process, mine, exact, eta)

    return rows


def _orders(order: int, steps: int, lower: bool, zero: bool) -> list[int]:
    """The order of every model call: 1, 2 ... again and again, and what is left at the end."""
    lower = lower or zero or steps % order != 0
    blocks = steps // order
    rest = steps % order
    if lower and rest == 0 and order > 1:
        blocks, rest = blocks - 1, order
    tail = [*range(1, rest + 1)]
    if rest == order and lower and order > 1:
        tail = [*range(1, order), 1]
    orders = [*range(1, order + 1)] * blocks + tail
    return [*orders[:-1], 1] if zero else orders


def _unipc(s: Settings, build: Callable[..., Iterable[Row]], options: Any) -> Rows:
    if not s["predict_x0"]:
        raise NoExactForm("their UniPC with predict_x0=False extrapolates the noise")
    if s["disable_corrector"] or s["solver_p"]:
        raise NoExactForm("disable_corrector and solver_p have no exact form here")
    final = "always" if s["lower_order_final"] else "never"
    return partial(build, options=replace(options, lower_order_final=final))


def _sa(s: Settings, at: Grid, options: Any) -> Rows:
    if s["algorithm_type"] != "data_prediction":
        raise NoExactForm("their SA-Solver with noise_prediction has no table here")
    given = s["tau_func"] or (lambda t: 200 <= t <= 800)

    def tau(sigma: float, sigma_next: float) -> float:
        return float(given(at.times[sigma]))  # theirs asks where a step starts

    spare = 1 if s["lower_order_final"] else None
    return partial(sa_solver.steps, options=options, tau=tau, spare=spare)


def _pndm(levels: tuple[float, ...], process: Process, at: Grid, prk: bool) -> Iterable[Row]:
    if not prk:
        return adams.fixed(levels, process, start=(HEUN_EULER,), ending="multistep")
    times, starts = at.times, []
    for a, b in zip(levels[:3], levels[1:4]):
        middles = [m for m in times if b < m < a]
        starts.append(_halved((middles[0] - a) / (b - a)) if middles else EULER)
    return adams.fixed(levels, process, start=tuple(starts), ending="multistep")


def _halved(c: float) -> Tableau:
    """The classical Runge-Kutta weights with the middle of the step at c."""
    return Tableau((0.0, c, c, 1.0), ((c,), (0.0, c), (0.0, 0.0, 1.0)), CLASSICAL_4.b)


# How it is seen ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Boundary(View):
    """The view of LCM, whose clean latent is mixed with the sample next to time 0."""

    scaling: float = 10.0

    def answer(
        self, outputs: tuple[torch.Tensor, ...], x: torch.Tensor, sigma: float, time: float,
        guided: bool,
    ) -> Answer:
        d = super().answer(outputs, x, sigma, time, guided).denoised
        scaled = time * self.scaling
        skip = 0.25 / (scaled**2 + 0.25)
        out = scaled / math.sqrt(scaled**2 + 0.25)
        return Answer(d * out + x * (skip / self.scale(sigma)))


def _view(name: str, s: Settings, config: Mapping[str, Any], at: Grid) -> View:
    flow, edm, answers = is_flow(config), is_edm(config), prediction(config)
    if name == "PNDM" and answers == "v_prediction":
        raise NoExactForm(
            "on a v model their PNDM extrapolates v, which does not keep the clean latent"
        )
    top = at.levels[0]
    start: float | None = 1.0
    if edm:
        start = math.hypot(1.0, float(s["sigma_max"]))
    elif name in LIKE_EULER:
        leading = s["timestep_spacing"] not in ("linspace", "trailing")
        start = math.hypot(1.0, top) if leading else top
    view: Callable[..., View] = View
    if name == "LCM":
        view = partial(Boundary, scaling=float(s["timestep_scaling"]))
    return view(
        at.model.process, Thousandths() if flow else at.model, answers,
        normed=not (flow or edm or name in LIKE_EULER),
        sigma_data=float(facts(config)["sigma_data"]) if edm else 0.0,
        variance=str(s["variance_type"]).startswith("learned"), bound=_bound(name, s),
        init_noise_sigma=start,
    )


def _bound(name: str, s: Settings) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """What keeps the clean latent of a class within bounds."""
    if name.startswith(("TCD", "CogVideoX")):
        return None
    if s["thresholding"]:
        ratio, most = float(s["dynamic_thresholding_ratio"]), float(s["sample_max_value"])
        return partial(_thresholded, ratio=ratio, most=most)
    if s["clip_sample"]:
        reach = float(s["clip_sample_range"])
        return lambda d: d.clamp(-reach, reach)
    return None


def _thresholded(d: torch.Tensor, ratio: float, most: float) -> torch.Tensor:
    """Dynamic thresholding, image by image (Saharia et al. 2022, arXiv:2205.11487, section 2.3)."""
    size = torch.quantile(d.flatten(1).abs(), ratio, dim=1)
    size = size.clamp(min=1.0).clamp(max=most).reshape(-1, *(1,) * (d.ndim - 1))
    return d.clamp(-size, size) / size


__all__ = ["DropIn", "NoExactForm", "drop_in"]
