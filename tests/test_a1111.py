"""Whole runs recorded from A1111 webui 1.10.1 in float64, on a denoiser given by a formula.

Random draws are replaced on both sides by a fixed sequence, so stochastic samplers are compared
as well. ``golden/a1111_runs.json`` has the sigmas or timesteps of each run, and of its result the
sums and the first values.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers_driver import Draws, denoise, start
from stride import samplers
from stride.samplers import VE

GOLDEN = json.loads((Path(__file__).parent / "golden" / "a1111_runs.json").read_text())["runs"]

# From the model's first sigma to its last, whatever the list: see test_adaptive.py.
ELSEWHERE = {"DPM adaptive"}
# Its LCM has a denoiser of its own, whose levels are float32: the last latent is 4e-6 off ours.
WITHIN = {"LCM": 1e-5}
# Options of A1111 that differ from our defaults.
OPTIONS = {
    "LMS": {"ending": "multistep"},
    "DPM fast": {"eta": 1.0, "longest": 100.0},
}


def label(run):
    given = [f"{k}={v}" for k, v in run.get("overrides", {}).items()]
    return "-".join([run["sampler"], run.get("scheduler", ""), str(run["steps"]), *given])


def level(t):
    """SD1.5's sigma at a fractional timestep: log alpha_bar (float32) is linear in between."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    logs = np.log(np.cumprod(1 - betas).astype(np.float32).astype(np.float64))
    bar = math.exp(np.interp(t, np.arange(1000), logs))
    return math.sqrt((1 - bar) / bar)


def with_unconditional(x, sigma):
    """(D, U): DDIM CFG++'s guided answer and its unconditional one."""
    s = float(sigma[0])
    r = math.hypot(1.0, s)
    return denoise(VE)(x, sigma), 0.8 * x / r**2 + 0.15 * torch.tanh(x / r)


def restarted(steps, sigmas):
    """A1111's own list: Karras' levels, without the steps that the restarts take, and 0."""
    times, length = (2, steps // 4) if steps >= 36 else (1, 9)
    count = steps - times * length
    ends = sigmas[0] ** (1 / 7), sigmas[-2] ** (1 / 7)
    levels = [float(u) ** 7 for u in np.linspace(*ends, count)]
    return [*levels, 0.0], {"times": times, "restart_steps": length}


def fast(steps):
    """A1111's levels for DPM fast: even in log sigma over the whole model, in blocks of three.

    Each block has the same length, whatever its order; there is no step to sigma 0.
    """
    top, bottom = math.log(14.614642143249512), math.log(0.029167532920837402)
    count = steps // 3 + 1
    orders = [3] * (count - 2) + [2, 1] if steps % 3 == 0 else [3] * (count - 1) + [steps % 3]
    h = (bottom - top) / count
    inner = [top + h * (k + i / n) for k, n in enumerate(orders) for i in range(n)]
    return [math.exp(u) for u in (*inner, bottom)]


def result(run):
    """The run with our sampler of A1111's label, in A1111's scaling."""
    name, options = run["sampler"], {**OPTIONS.get(run["sampler"], {}), **run.get("overrides", {})}
    sigmas, model, scales = run.get("sigmas"), denoise(VE), None
    if sigmas is None:  # their VP samplers: levels from timesteps, no step to sigma 0
        times = run["timesteps"][::-1]
        if name == "UniPC":
            count = len(times)
            times = [999 * (1 - k / count) for k in range(count + 1)]
            name = "uni_pc_" + options.pop("uni_pc_variant")
            options["lower_order_final"] = "always"
        sigmas = [level(t) for t in times]
        scales = [math.hypot(1.0, s) for s in sigmas]
    if name == "DPM fast":
        sigmas = fast(run["steps"])
    if name == "Restart" and run["steps"] >= 20:
        sigmas, options = restarted(run["steps"], sigmas)
    if name == "DDIM CFG++":
        name, model = "DDIM", with_unconditional
        options["cfg_pp"] = True
    x = samplers.run(
        lambda s, p: samplers.get(name).plan(s, p, **options), model,
        start() * (scales[0] if scales else run["sigmas"][0]), sigmas, VE, noise=Draws(),
    ).x
    return x / scales[-1] if scales else x


def values(run):
    """(found, recorded): the sums and the first values of the result."""
    x = result(run)
    found = [float(x.sum()), float(x.abs().sum()), *x.flatten()[:8].tolist()]
    return found, [run["final_sum"], run["final_abs_sum"], *run["final_first8"]]


def inside(run):
    """Whether noise is added to a method whose inner calls we make elsewhere."""
    return run["sampler"] == "DPM fast" and run["overrides"].get("eta") != 0.0


@pytest.mark.parametrize(
    "run", [r for r in GOLDEN if r["sampler"] not in ELSEWHERE and not inside(r)], ids=label
)
def test_run(run):
    found, want = values(run)
    within = WITHIN.get(run["sampler"], 1e-9)
    assert found == pytest.approx(want, rel=within, abs=within)


@pytest.mark.parametrize("run", list(filter(inside, GOLDEN)), ids=label)
def test_dpm_fast_with_noise(run):
    """A1111 makes the inner calls on the way to the level that the fresh noise starts from.

    Ours are made at the levels of the list, which is what makes the sampler run on any schedule.
    """
    found, want = values(run)
    apart = np.abs(np.subtract(found, want)[2:]).max() / np.abs(want[2:]).max()
    assert 0.10 < apart < 0.12
