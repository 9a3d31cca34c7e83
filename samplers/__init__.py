"""Samplers as tables of coefficients: one file per family, one loop (``run.py``) for all.

>>> from stride import samplers, schedules
>>> spec = schedules.ModelSpec.discrete()
>>> sigmas = schedules.get("karras").sigmas(spec, steps=20)
>>> x = samplers.sample("dpmpp_2m", denoise, noise * sigmas[0], sigmas, spec.process)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from ..engine.guard import NotFinite
from ..engine.levels import check_sigmas
from ..engine.model import Denoise
from ..engine.noise import KeyedNoise, PathNoise, source
from ..engine.resize import interpolation
from ..engine.run import Carry, OnStep, run
from ..engine.stepper import StepOutput, Stepper
from ..engine.table import Draw, Row, Table, cfg_pp
from ..process import FLOW, VE, Process
from ..registry import Registry
from . import (
    adams,
    adaptive,
    consistency,
    dpm_fast,
    er_sde,
    euler,
    exponential_multistep,
    exponential_single,
    restart,
    runge_kutta,
    sa_solver,
    stochastic,
    unipc,
)
from .compose import Part, alternate, inject
from .entry import Sampler

FAMILIES = (
    euler, exponential_multistep, unipc, stochastic, sa_solver, er_sde, exponential_single,
    runge_kutta, adams, consistency, restart, dpm_fast, adaptive,
)
REGISTRY: Registry[Sampler] = Registry(
    "sampler", Sampler,
    (sampler for family in FAMILIES for sampler in family.SAMPLERS),
)
get, register = REGISTRY.get, REGISTRY.add


def sample(
    name: str, denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float],
    process: Process = VE, *, seed: int = 0, on_step: OnStep | None = None, **options: float,
) -> torch.Tensor:
    """Sample with the sampler called ``name`` and return the latent at the last sigma.

    denoise: (x [B, ...], sigma [B]) -> D [B, ...]. x: the noisy latent at ``sigmas[0]``.
    sigmas: as ``check_sigmas`` takes them; up as well as down where the sampler adds no noise.
    seed: keys the fresh noise of stochastic samplers.
    options: the sampler's own, see its ``options``. Raises ValueError on bad input.
    """
    sampler = get(name)
    chosen = sampler.configure(**options)
    return run(
        partial(sampler.planned, options=chosen), denoise, x, sigmas, process,
        noise=source(chosen, seed, range(x.shape[0]), sampler.brownian), on_step=on_step,
        resize=interpolation(getattr(chosen, "upscale_method", "")),
    ).x


__all__ = [
    "FLOW", "REGISTRY", "VE", "Carry", "Draw", "KeyedNoise", "NotFinite", "Part", "PathNoise",
    "Process", "Row", "Sampler", "StepOutput", "Stepper", "Table", "alternate", "cfg_pp",
    "check_sigmas", "get", "inject", "register", "run", "sample",
]
