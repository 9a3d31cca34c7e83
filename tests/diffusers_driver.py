"""Runs of diffusers' schedulers and of our samplers on the same levels, model and noise.

Both sides get the same denoiser (a formula), the same start and the same fixed sequence instead
of random draws, in float64, so they either agree to rounding or differ in the method.
"""

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from stride import samplers
from stride.samplers import FLOW, VE

ROUNDING = 1e-12  # relative to the largest value of the result


@dataclass(frozen=True)
class Row:
    """scheduler: diffusers' class, without "Scheduler". config: its settings. ours: our sampler.

    step, times: keywords of its ``step`` and ``set_timesteps``. every: we step over so many of
    their levels at once, where they are stages to us. unused: draws that theirs multiplies by 0
    before the first one that counts. differs: why the two differ, and ``between``: by how much,
    relative. Without it they are equal to ``within``.
    """

    scheduler: str
    config: Mapping[str, Any]
    ours: str
    options: Mapping[str, Any] = field(default_factory=dict)
    step: Mapping[str, Any] = field(default_factory=dict)
    times: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 10
    every: int = 1
    unused: int = 0
    within: float = ROUNDING
    differs: str = ""
    between: tuple[float, float] = (0.0, 0.0)

    def __str__(self) -> str:
        given = {**self.config, **self.step, **self.times}
        said = [f"{k}={getattr(v, '__name__', v)}" for k, v in given.items()]
        return "-".join([self.scheduler, *said, self.ours])

    def apart(self, monkeypatch) -> float:
        """The largest difference of the two results, relative to the largest value."""
        theirs = Theirs(self, monkeypatch)
        want = theirs.run()
        entry, levels = samplers.get(self.ours), theirs.sigmas
        levels = [*levels[: -1 : self.every], levels[-1]]
        found = samplers.run(
            lambda s, p: entry.plan(s, p, **self.options), denoise(theirs.process),
            start() * levels[0], levels, theirs.process, noise=Draws(self.unused),
        ).x
        return float((found - want).abs().max() / want.abs().max())


def noise(k, like):
    """Draw k of both sides: fixed, smooth, of variance near 1."""
    i = torch.arange(like.numel(), dtype=torch.float64).reshape(like.shape)
    return math.sqrt(2) * torch.sin(0.5 + 0.7310585 * (k + 1) + i * (1.1 + 0.013 * k))


class Draws:
    """The fixed draws one after the other, for their ``randn_tensor`` and for our loop.

    A draw that our table names again is the same noise again.
    """

    def __init__(self, count=0):
        self.count, self.named = count, {}

    def __call__(self, like, draw=None, **_):
        k = self.named.get(draw and draw[1:], self.count)
        if k == self.count:
            self.count += 1
        if draw is not None:
            self.named[draw[1:]] = k
        return noise(k, like if isinstance(like, torch.Tensor) else torch.empty(like))


def denoise(process):
    """A smooth nonlinear D(x, sigma) for sigma [B]."""

    def model(x, sigma):
        s = sigma.double().reshape(-1, 1, 1, 1)
        alpha = torch.ones_like(s) if process is VE else 1 - s
        r = (alpha**2 + s**2).sqrt()
        return 0.9 * alpha * x / r**2 + 0.1 * torch.tanh(x / r)

    return model


def start():
    i = torch.arange(256, dtype=torch.float64).reshape(1, 4, 8, 8)
    return torch.sin(0.37 * i) + 0.5 * torch.cos(1.7 * i)


# Schedulers that keep the sample as we do (others: divided by sqrt(1 + sigma^2)), and those that
# know their noise level by the timestep alone.
KEEPS_SIGMA = ("Euler", "Heun", "KDPM2", "LMS", "DPMSolverSDE", "EDM", "Cosine")
BY_TIME = ("DDIM", "DDPM", "PNDM", "LCM", "TCD")
# Those without a VP schedule.
NO_BETAS = ("FlowMatch", "EDM", "Cosine")
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


class _Double:
    """torch or numpy as one of their modules sees it, with float32 read as float64."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        return getattr(self._module, "float64" if name == "float32" else name)


class Theirs:
    """A scheduler of diffusers in float64, driven by a denoiser of ours on its own noise levels."""

    def __init__(self, row, monkeypatch):
        import diffusers.schedulers

        self.row, self.name = row, row.scheduler
        flow = self.name.startswith("FlowMatch") or row.config.get("use_flow_sigmas")
        self.process = FLOW if flow else VE
        cls = getattr(diffusers.schedulers, f"{self.name}Scheduler")
        module = importlib.import_module(cls.__module__)
        for name in ("torch", "np"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, _Double(getattr(module, name)))
        draws = Draws()
        monkeypatch.setattr(module, "randn_tensor", draws, raising=False)
        monkeypatch.setattr(  # of a start, two levels and a seed, and then of two levels
            module, "BrownianTreeNoiseSampler", lambda x, *_, **__: lambda *_: draws(x),
            raising=False,
        )
        betas = {} if self.name.startswith(NO_BETAS) else SD
        self.scheduler = cls(**betas, **row.config)
        self.scheduler.set_timesteps(row.steps, **row.times)
        self.scheduler.is_scale_input_called = True  # or it warns at every step
        if self.name in BY_TIME:
            bar = self.scheduler.alphas_cumprod
            self.by_time = ((1 - bar) / bar).sqrt().tolist()

    def level(self, i, t):
        """The sigma of call i, at timestep t."""
        name, scheduler = self.name, self.scheduler
        if name in BY_TIME:
            return self.by_time[int(t)]
        if name.startswith("KDPM2") and i % 2:
            return float(scheduler.sigmas_interpol[i if name == "KDPM2Discrete" else i - 1])
        if name == "DPMSolverSDE" and i % 2:
            return float(scheduler.mid_point_sigma)
        return float(scheduler.sigmas[i])

    @property
    def sigmas(self):
        """The levels of the whole steps, as our samplers take them."""
        if self.name in BY_TIME:
            times = self.scheduler.timesteps.tolist()
            if self.name == "PNDM":
                times = self.scheduler._timesteps[::-1].tolist()
            end = self.by_time[0] if self.name in ("PNDM", "TCD") else 0.0
            return [*(self.by_time[int(t)] for t in times), end]
        levels = self.scheduler.sigmas.tolist()
        return [s for k, s in enumerate(levels) if k == 0 or s != levels[k - 1]]

    def scale(self, sigma):
        """The factor from their sample to ours."""
        plain = self.name.startswith(KEEPS_SIGMA) or self.process is FLOW
        return 1.0 if plain else math.hypot(1.0, sigma)

    def answer(self, x, d, sigma):
        """What their model says where ours says d, by their prediction type."""
        slope = (x - d) / sigma  # the noise, or the velocity of a flow model
        config = self.scheduler.config
        if "sigma_data" in config:
            r = math.hypot(config.sigma_data, sigma)
            out = (d - (config.sigma_data / r) ** 2 * x) * r / (sigma * config.sigma_data)
            return -out if config.prediction_type == "v_prediction" else out
        if config.get("prediction_type") == "v_prediction":
            return (slope - sigma * d) / math.hypot(1.0, sigma)
        return slope

    def run(self):
        """Their result from our ``start``, in our scaling."""
        sigmas, model = self.sigmas, denoise(self.process)
        x = start() * sigmas[0] / self.scale(sigmas[0])
        for i, t in enumerate(self.scheduler.timesteps):
            sigma = self.level(i, t)
            ours = x * self.scale(sigma)
            d = model(ours, torch.tensor([sigma], dtype=torch.float64))
            answer = self.answer(ours, d, sigma)
            x = self.scheduler.step(answer, t, x, **self.row.step).prev_sample
        assert x.dtype == torch.float64
        return x * self.scale(sigmas[-1])
