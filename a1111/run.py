"""A1111 webui 1.10.1's runs on our samplers: which levels, which noise, and how much of it.

A run there is not what the schedule contract calls a run: the timestep samplers stop at their
lowest timestep, KL Optimal at the model's smallest sigma, DDIM's list has values to spare. So
``plan`` turns what A1111 was asked for into the levels that it visits, and they are run as they
are, never offered as schedules.

The rules are restated from its behaviour; ``tests/test_a1111.py`` holds recorded runs against them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .. import samplers, schedules
from ..engine.streams import A1111Noise, Start
from ..names import a1111
from ..registry import Options, key, unknown
from ..samplers import FLOW, VE
from ..samplers.dpm_fast import whole_blocks
from ..schedules import ModelSpec, training
from ..schedules.spec import Range
from .settings import DEFAULT, Settings

_CHURNED = {"euler", "heun", "dpm_2"}  # it hands these all four of Karras' settings
_BROWNIAN = {"dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"}
_NOISED = {"dpm_fast", "dpm_2_ancestral", "dpmpp_2s_ancestral", *_BROWNIAN}  # and these s_noise
_ANCESTRAL = {"euler_ancestral", "dpm_adaptive", *_NOISED}
_DDIM = {"ddim", "ddim_cfg_pp"}
_RANGED = {"normal", "sgm_uniform", "karras", "exponential", "polyexponential", "kl_optimal_a1111",
           "beta_a1111"}
_OURS = {row.name: row.ours for row in a1111.SCHEDULES if row.ours}
_CFG_PP = 1.0 / 12.5  # its DDIM CFG++ takes the guidance scale of plain guidance
_MOST = 0.999  # of the way up, whatever the denoising strength


@dataclass(frozen=True)
class Model:
    """A model as A1111 sees it: a float32 table of sigmas; between entries log sigma is linear.

    alpha_bar: the signal's share of variance by timestep, float32, where it has timesteps.
    """

    spec: ModelSpec
    alpha_bar: np.ndarray | None = None

    @classmethod
    def discrete(
        cls, betas: np.ndarray | None = None, zero_terminal_snr: bool = False, family: str = ""
    ) -> Model:
        """A model trained on betas [1000], SD1.5's and SDXL's unless given.

        A1111 rounds alpha_bar to float32 and goes on in float32, by which its smallest sigma is
        1.3e-5 above the host's.
        """
        betas = training.betas("scaled_linear", None, None, 1000) if betas is None else betas
        bar = np.cumprod(1.0 - betas).astype(np.float32)
        if zero_terminal_snr:
            bar = training.zero_terminal_snr(bar)
        spec = replace(ModelSpec.from_table(np.sqrt((1 - bar) / bar)), family=family)
        return cls(spec, bar)

    @classmethod
    def flow(cls, table: np.ndarray) -> Model:
        """A flow model (SD3) by its table [n] of sigmas."""
        return cls(replace(ModelSpec.from_table(table.astype(np.float32)), process=FLOW))

    @classmethod
    def like(
        cls, table: np.ndarray, start: float | None, end: float | None, family: str = ""
    ) -> Model | None:
        """A1111's own rounding of a host's table [1000] of sigmas, or None for other betas.

        start, end: first and last beta, as published where None, even in its root or in itself;
        zero terminal SNR is seen.
        """
        for name in ("scaled_linear", "linear"):
            betas = training.betas(name, start, end, 1000)
            for rescaled in (False, True):
                model = cls.discrete(betas, rescaled, family)
                if np.allclose(model.spec.sigmas, table, rtol=1e-4, atol=0.0):
                    return model
        return None

    def at(self, times: np.ndarray) -> np.ndarray:
        """Sigmas at fractional timesteps, float64; log alpha_bar is linear in between."""
        if self.alpha_bar is None:
            raise ValueError("this model has no timesteps")
        logs = np.log(self.alpha_bar.astype(np.float64))
        bar = np.exp(np.interp(times, np.arange(len(logs)), logs))
        sigmas: np.ndarray = np.sqrt((1.0 - bar) / bar)
        return sigmas


@dataclass(frozen=True)
class Plan:
    """A run of A1111's: run ``sampler`` with ``options`` over ``sigmas``, then multiply by result.

    It begins with ``latent * (what came in) + noise * (the initial noise)``. All its samplers
    are k-diffusion's, whose formulas are those of VE, on SD3's levels too. sigmas: may end above
    0; none where there is nothing to do. span: the whole list, by whose ends a Brownian
    tree is cut. guidance: what the guidance scale is multiplied by. steady: whether noise is
    drawn at every step, used or not. notes: for whoever looks.
    """

    sampler: samplers.Sampler
    options: Options
    sigmas: tuple[float, ...]
    span: tuple[float, ...]
    latent: float
    noise: float
    settings: Settings
    result: float = 1.0
    guidance: float = 1.0
    steady: bool = False
    notes: tuple[str, ...] = ()

    @property
    def stream(self) -> str:
        """Our name for the noise source."""
        return "a1111_nv" if self.settings.noise == "nv" else "a1111"

    def source(self, seed: int, images: Sequence[int], scale: int = 8) -> A1111Noise:
        """The run's noise: ask it for the ``first`` draw, then hand it to the run.

        images: index of each image in the seed's batch. scale: pixels by latent pixel.
        """
        s = self.settings
        size = s.resize_from_height // scale, s.resize_from_width // scale
        start = Start(s.variation_seed, s.variation_strength, size if all(size) else None)
        levels = self.sigmas[:-1] if self.steady else ()
        return A1111Noise(self.stream, seed, images, s.ensd, start, levels)


def plan(
    sampler: str, schedule: str, steps: int, model: Model, settings: Settings = DEFAULT, *,
    denoise: float | None = None, sigmas: Sequence[float] | None = None,
) -> Plan:
    """A1111's run for what was chosen there.

    sampler, schedule: its labels or our names for the same. denoise: its denoising strength
    where it starts from a picture, None where it starts from noise. sigmas: the schedule's list,
    where it is known (a recorded one). Raises ValueError for what A1111 has not.
    """
    row = sampler_row(sampler)
    steps = schedules.check_steps(row.label, steps)
    planned, climbed = _image_steps(steps, denoise, settings)
    if row.ours in _DDIM | {"plms", "uni_pc"}:
        made = _on_timesteps(row, planned, climbed, model, settings)
    else:
        whole = tuple(sigmas or _schedule(row, schedule, planned, model, settings))
        made = _on_sigmas(row, whole, planned, climbed, model, settings)
    curve = a1111.AUTOMATIC if key(schedule) == "automatic" else schedule_row(schedule).label
    ignored = row.own_levels and curve != a1111.AUTOMATIC
    note = f"A1111's {row.label}" + ("" if row.own_levels else f" on {curve}")
    if ignored:
        note += f", which has levels of its own and ignores {curve}"
    return replace(made, notes=(f"{note}, {len(made.sigmas) - 1} steps, noise {settings.noise}",))


def sampler_row(name: str) -> a1111.Sampler:
    """A1111's sampler for its label or alias, or for our name of the same method."""
    label = {key(s): row for row in a1111.SAMPLERS for s in (row.label, *row.aliases)}
    ours = {row.ours: row for row in a1111.SAMPLERS}
    plain = samplers.get(name).name if name in samplers.REGISTRY else name
    plain = "uni_pc" if plain == "uni_pc_bh2" else plain  # the variant is a setting there
    if found := ours.get(plain) or label.get(key(name)):
        return found
    raise ValueError(f"A1111 1.10.1: {unknown('sampler', name, list(ours))}")


def schedule_row(name: str) -> a1111.Schedule:
    """A1111's schedule for its name or label, or for ours of the same curve."""
    label = {key(s): row for row in a1111.SCHEDULES for s in (row.label, row.name, *row.aliases)}
    ours = {row.ours: row for row in a1111.SCHEDULES if row.ours}
    plain = schedules.get(name).name if name in schedules.REGISTRY else name
    if found := label.get(key(name)) or ours.get(plain):
        return found
    names = [row.name for row in a1111.SCHEDULES]
    raise ValueError(f"A1111 1.10.1: {unknown('schedule', name, names)}")


def _image_steps(
    steps: int, denoise: float | None, settings: Settings
) -> tuple[int, int | None]:
    """(steps of the whole list, steps climbed into it); None where it starts from noise."""
    if denoise is None:
        return steps, None
    if not 0.0 <= denoise <= 1.0:
        raise ValueError(f"denoise must be from 0 to 1, got {denoise}")
    part = min(denoise, _MOST)
    if settings.fixed_steps:
        return (int(steps / part) if denoise > 0 else 0), steps - 1
    return steps, int(part * steps)


def _schedule(
    row: a1111.Sampler, schedule: str, steps: int, model: Model, settings: Settings
) -> list[float]:
    """The list of a schedule, in float32 as A1111 computes it; ``automatic`` is the sampler's."""
    if steps == 0:
        return []
    spec = model.spec
    if row.ours == "lcm" and len(spec.sigmas) == 1000:
        # Its denoiser knows every twentieth timestep.
        known = ModelSpec.from_table(spec.sigmas[19::20])
        spec = replace(known, process=spec.process, family=spec.family)
    asked = schedule_row(schedule)
    own = asked.ours is None and not row.schedule
    name = asked.ours or _OURS[row.schedule or "uniform"]
    discard = row.discard_penultimate or settings.discard_penultimate
    curve = _curve(name, steps + discard, spec, DEFAULT if own else settings)
    levels: list[float] = np.asarray(curve, dtype=np.float32).tolist()
    if discard:
        del levels[-2]
    return levels


def _curve(name: str, count: int, spec: ModelSpec, settings: Settings) -> list[float]:
    """A1111's list for a curve of ours, not cut to the contract."""
    if name == "ddim_uniform":
        stride = max(len(spec.sigmas) // count, 1)
        return [*spec.sigmas[1::stride][::-1], 0.0]
    chosen: dict[str, Any] = {}
    if name in _RANGED:
        low, high = (0.1, 10.0) if settings.old_karras_sigmas else (0.0, 0.0)
        chosen = {"sigma_min": settings.sigma_min or low, "sigma_max": settings.sigma_max or high}
    if settings.rho and name in ("karras", "polyexponential"):
        chosen["rho"] = settings.rho
    if name == "beta_a1111":
        chosen |= {"alpha": settings.beta_alpha, "beta": settings.beta_beta}
    if name == "align_your_steps_a1111":
        chosen["table"] = "sdxl" if spec.family == "sdxl" else "sd15"
    entry = schedules.get(name)
    options = entry.configure(**chosen)
    values = np.asarray(entry.curve(spec, count, options), dtype=np.float64)
    if name == "kl_optimal_a1111" and isinstance(options, Range):  # ends at its lowest sigma
        return [*values, spec.ends(options)[0]]
    return [*values, 0.0]


def _on_sigmas(
    row: a1111.Sampler, whole: tuple[float, ...], planned: int, climbed: int | None,
    model: Model, settings: Settings,
) -> Plan:
    """A run of a k-diffusion sampler."""
    entry, chosen = samplers.get(row.ours), _options(row, settings)
    levels: Sequence[float] = whole
    if climbed is not None:
        levels = whole[max(planned - climbed - 1, 0) :]
    if len(levels) < 2:
        return Plan(entry, entry.options, (), whole, 1.0, 0.0, settings)
    top, latent = levels[0], 0.0
    noise = math.hypot(1.0, top) if settings.sgm_noise_multiplier else top
    if climbed is not None:
        latent = model.spec.process.alpha(top)
        noise = (top + settings.extra_noise) * settings.noise_multiplier
    if row.ours in ("dpm_fast", "dpm_adaptive"):
        ends = (top, levels[-2])
        if climbed is None:
            ends = (model.spec.sigma_max, model.spec.sigma_min)
        if ends[0] <= ends[1]:
            raise ValueError(f"A1111's {row.label} has no way to go: use a higher denoise or steps")
        calls = len(levels) - 1 if climbed is not None else planned
        levels = ends
        if row.ours == "dpm_fast":
            entry = replace(entry, build=partial(whole_blocks, calls))
            levels = _even(*ends, calls // 3 + 1)
    if row.ours == "restart":
        levels, restarts = _restarted(levels)
        chosen |= restarts
    return Plan(
        entry, entry.configure(**chosen), tuple(levels), whole, latent, noise, settings,
        steady=row.ours in _CHURNED,
    )


def _options(row: a1111.Sampler, settings: Settings) -> dict[str, Any]:
    """The sampler's options as A1111 sets them."""
    chosen, name = dict(row.options), row.ours
    if name in _ANCESTRAL:
        chosen["eta"] = settings.eta
    if name in _DDIM:
        chosen["eta"] = settings.eta_ddim
    if name in _NOISED | _CHURNED:
        chosen["s_noise"] = settings.s_noise
    if name in _CHURNED:
        chosen |= {
            "s_churn": settings.s_churn, "s_tmin": settings.s_tmin,
            "s_tmax": settings.s_tmax or 1e6,
        }
    if name == "uni_pc":
        final = "always" if settings.unipc_lower_order_final else "never"
        chosen |= {"variant": settings.unipc_variant, "order": settings.unipc_order,
                   "lower_order_final": final}
    return chosen


def _even(top: float, bottom: float, count: int) -> list[float]:
    """count + 1 levels from top to bottom, even in log sigma."""
    logs = np.linspace(math.log(top), math.log(bottom), count + 1)[1:-1]
    return [top, *np.exp(logs).tolist(), bottom]


def _restarted(levels: Sequence[float]) -> tuple[Sequence[float], dict[str, int]]:
    """Karras' levels for any schedule, less the steps that the restarts take; Heun below 20."""
    steps = len(levels) - 1
    if steps < 20:
        return levels, {"times": 0}
    times, length = (2, steps // 4) if steps >= 36 else (1, 9)
    ends = levels[0] ** (1 / 7), levels[-2] ** (1 / 7)
    main = np.linspace(*ends, steps - times * length) ** 7
    return [*main.tolist(), 0.0], {"times": times, "restart_steps": length}


def timesteps(steps: int) -> np.ndarray:
    """The rising whole timesteps of DDIM, DDIM CFG++ and PLMS; there may be more than ``steps``."""
    if not 1 <= steps <= 500:
        raise ValueError(f"A1111's timestep samplers have grids for 1 to 500 steps, got {steps}")
    return np.clip(np.arange(0, 1000, 1000 // steps) + 1, 0, 999)


def _on_timesteps(
    row: a1111.Sampler, steps: int, climbed: int | None, model: Model, settings: Settings
) -> Plan:
    """A run of a timestep sampler, in the variance-preserving latents that A1111 runs it in.

    They are ours divided by ``sqrt(1 + sigma^2)``, so the start and the result are scaled.
    """
    bar = model.alpha_bar
    if model.spec.process is not VE or bar is None or len(bar) != 1000:
        raise ValueError(
            f"A1111's {row.label} runs on 1000 timesteps, and this model has none; choose a "
            "sampler that runs on sigmas"
        )
    grid = timesteps(steps) if steps else np.empty(0)
    times = grid if climbed is None else grid[:climbed]
    entry = samplers.get(row.ours)
    options = entry.configure(**_options(row, settings))
    if row.ours == "uni_pc":
        levels = _unipc_levels(times, climbed is None, model, settings)
    else:
        levels = model.at(times[::-1])
    if len(levels) < 2:
        return Plan(entry, options, (), (), 1.0, 0.0, settings)
    scale, latent, noise = math.hypot(1.0, levels[0]), 0.0, 1.0
    if climbed is not None:  # noised as one step further up than where it starts
        sigma = float(model.at(grid[climbed : climbed + 1])[0])
        latent = 1.0 / math.hypot(1.0, sigma)
        noise = (latent * sigma + settings.extra_noise) * settings.noise_multiplier
    visited = tuple(levels.tolist())
    return Plan(
        entry, options, visited, visited, latent * scale, noise * scale, settings,
        result=1.0 / math.hypot(1.0, levels[-1]),
        guidance=_CFG_PP if row.ours == "ddim_cfg_pp" else 1.0,
    )


def _unipc_levels(
    times: np.ndarray, from_noise: bool, model: Model, settings: Settings
) -> np.ndarray:
    """UniPC's own levels: as many steps as the grid has timesteps, down to timestep 0."""
    count, last = len(times), 1.0 / 1000.0
    if not count:
        return np.empty(0)
    first = 1.0 if from_noise else times[-1] / 1000.0 + last
    if settings.unipc_skip == "logSNR":
        top, bottom = model.at((np.array([first, last]) - last) * 1000.0).tolist()
        return np.array(_even(top, bottom, count))
    power = 2 if settings.unipc_skip == "time_quadratic" else 1
    line = np.linspace(first ** (1 / power), last ** (1 / power), count + 1) ** power
    return model.at((line - last) * 1000.0)
