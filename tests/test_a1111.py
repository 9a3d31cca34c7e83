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
from stride.a1111 import run as a1111_run
from stride.a1111.run import Model, Settings
from stride.samplers import VE

GOLDEN = json.loads((Path(__file__).parent / "golden" / "a1111_runs.json").read_text())["runs"]
MODEL = Model.discrete()

# Its LCM has a denoiser of its own, whose levels are float32: the last latent is 4e-6 off ours.
WITHIN = {"LCM": 1e-5}


def label(run):
    given = [f"{k}={v}" for k, v in run.get("overrides", {}).items()]
    return "-".join([run["sampler"], run.get("scheduler", ""), str(run["steps"]), *given])


def with_unconditional(x, sigma):
    """(D, U): DDIM CFG++'s guided answer and its unconditional one."""
    s = float(sigma[0])
    r = math.hypot(1.0, s)
    return denoise(VE)(x, sigma), 0.8 * x / r**2 + 0.15 * torch.tanh(x / r)


def settings(run):
    """The recorded overrides as settings; an eta is what that sampler calls so."""
    given = dict(run.get("overrides", {}))
    if "DDIM" in run["sampler"] and "eta" in given:
        given["eta_ddim"] = given.pop("eta")
    return Settings(**{{"uni_pc_variant": "unipc_variant"}.get(k, k): v for k, v in given.items()})


def planned(run, **more):
    schedule = run.get("scheduler", "Automatic")
    return a1111_run.plan(run["sampler"], schedule, run["steps"], MODEL, settings(run), **more)


def result(plan):
    """The plan's run on the formula; DDIM CFG++ also gets the unconditional answer."""
    model = with_unconditional if plan.guidance != 1 else denoise(VE)
    x = samplers.run(
        lambda s, p: plan.sampler.planned(s, p, plan.options), model, start() * plan.noise,
        plan.sigmas, VE, noise=Draws(),
    ).x
    return x * plan.result


def apart(run, plan):
    """How far the result is from the recorded one: (first values, sums), relative and absolute."""
    x, within = result(plan), WITHIN.get(run["sampler"], 1e-9)
    found = [float(x.sum()), float(x.abs().sum()), *x.flatten()[:8].tolist()]
    want = [run["final_sum"], run["final_abs_sum"], *run["final_first8"]]
    return found, want, within


@pytest.mark.parametrize("run", GOLDEN, ids=label)
def test_run(run):
    """From the recorded list of the schedule on, to the last digit."""
    found, want, within = apart(run, planned(run, sigmas=run.get("sigmas")))
    assert found == pytest.approx(want, rel=within, abs=within)


@pytest.mark.parametrize("run", GOLDEN, ids=label)
def test_run_from_the_names_alone(run):
    """The schedule's list is ours as well: float32, the last bits differ between processors."""
    plan = planned(run)
    if run["sampler"] not in ("DPM fast", "DPM adaptive", "Restart") and "sigmas" in run:
        np.testing.assert_allclose(plan.sigmas, run["sigmas"], rtol=3e-7, atol=0)
    found, want, _ = apart(run, plan)
    assert found == pytest.approx(want, rel=3e-5, abs=3e-5)
