"""Reports: numbers in closed form, nothing read in a step, nothing kept after a run."""

import json
import math
import time
import weakref
from collections import Counter

import pytest
import torch
from problems import gaussian
from sampler_rows import TABLES, answers, quiet
from stride import samplers
from stride.engine.model import Function
from stride.engine.report import Recorder
from stride.samplers import FLOW, VE

SIGMAS = (10.0, 4.0, 1.0, 0.3, 0.0)


def reported(name, denoise, x, sigmas=SIGMAS, process=VE, **options):
    """(latent, report) of a run with one of our samplers."""
    recorder = Recorder(sigmas, process, x.device)
    timed = recorder.timed(Function(denoise))
    end = samplers.sample(name, timed, x, sigmas, process, on_step=recorder.step, **options)
    return end, recorder.finish(end)


@pytest.mark.parametrize("process, sigmas", [(VE, SIGMAS), (FLOW, (1.0, 0.7, 0.4, 0.1, 0.0))])
def test_the_numbers_of_an_euler_run_to_a_fixed_picture(process, sigmas):
    """With D constant, euler has x - D fall as sigma does: every number is known."""
    picture, x = torch.tensor([[1.0, 2.0, 5.0, 0.0]]), torch.tensor([[9.0, -4.0, 3.0, 8.0]])
    _, report = reported("euler", lambda x, s: picture.expand_as(x), x, sigmas, process)
    assert [step.step for step in report.steps] == [0, 1, 2, 3] and report.model_calls == 4
    gap = (x - picture).double()
    for k, step in enumerate(report.steps):
        a, b = sigmas[k], sigmas[k + 1]
        assert step.sigma == a and step.model_calls == 1
        assert step.log_snr == process.log_snr(a)
        latent = picture + gap * (a / sigmas[0])
        for part, values in ((step.latent, latent), (step.clean, picture)):
            assert part.mean == pytest.approx(float(values.mean()), rel=1e-5)
            assert part.deviation == pytest.approx(float(values.std(correction=0)), rel=1e-5)
            assert (part.low, part.high) == pytest.approx(
                (float(values.min()), float(values.max())), rel=1e-5
            )
        assert step.moved == pytest.approx(
            float(gap.square().mean().sqrt()) * (a - b) / sigmas[0], rel=1e-5
        )
        if k == 0:
            assert step.ratio is None
        else:
            assert step.ratio == pytest.approx((a - b) / (sigmas[k - 1] - a), rel=1e-5)


@pytest.mark.parametrize("name", TABLES)
def test_model_calls_are_those_of_each_step(name):
    options = quiet(name)
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)) * 10
    plain = samplers.sample(name, answers(name, gaussian(VE)), x, SIGMAS, **options)
    end, report = reported(name, answers(name, gaussian(VE)), x, **options)
    assert torch.equal(end, plain)
    rows = samplers.get(name).plan(SIGMAS, VE, **options).rows
    calls = Counter(row.step for row in rows if row.calls)
    assert {s.step: s.model_calls for s in report.steps} == calls
    assert report.model_calls == sum(calls.values())


def test_time_in_the_model_is_told_from_time_in_the_sampler(monkeypatch):
    """A clock that only moves inside the model, one second a call, and 1/4 in each callback."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def slow(x, sigma):
        now[0] += 1.0
        return 0.5 * x

    recorder = Recorder(SIGMAS, VE, torch.device("cpu"))

    def on_step(info):
        recorder.step(info)
        now[0] += 0.25

    timed = recorder.timed(Function(slow))
    end = samplers.sample("heun", timed, torch.ones(1, 4), SIGMAS, on_step=on_step)
    report = recorder.finish(end)
    assert (report.seconds, report.model_seconds) == (8.0, 7.0)
    assert [step.seconds for step in report.steps] == [2.25, 2.25, 2.25, 1.25]
    assert "7.000 in the model (87.5%), 1.000 outside it" in report.table()


def test_images_that_go_one_by_one_are_told_apart():
    x = torch.randn(3, 4, dtype=torch.float64) * 10
    _, report = reported("adaptive_steps", gaussian(VE), x)
    assert [step.image for step in report.steps if step.step == 0] == [0, 1, 2]
    assert sum(step.model_calls for step in report.steps) == report.model_calls
    for step, after in zip(report.steps, report.steps[1:]):
        assert (after.image, after.step) > (step.image, step.step)
        assert (after.ratio is None) == (after.image > step.image or math.isnan(step.moved))
    assert "image" in report.table()


def test_a_report_survives_as_json():
    """A flow run begins where log-SNR is minus infinity, which JSON lacks."""
    sigmas = (1.0, 0.5, 0.0)
    _, report = reported("euler", gaussian(FLOW), torch.ones(1, 4), sigmas, FLOW)
    data = json.loads(report.json(), parse_constant=lambda name: pytest.fail(name))
    assert [step["sigma"] for step in data["steps"]] == [1.0, 0.5]
    assert [step["log_snr"] for step in data["steps"]] == [None, 0.0]
    assert data["steps"][1]["clean"].keys() == {"mean", "deviation", "low", "high"}
    assert len(report.table().splitlines()) == len(report.summary()) + 2 + 2


def test_no_step_of_a_report_reads_a_tensor_back():
    """Tensors of the device "meta" have no values; the first read is that of ``finish``."""
    recorder = Recorder(SIGMAS, VE, torch.device("meta"))
    x = torch.ones(2, 4, device="meta")
    for i in range(4):
        d = recorder.call(torch.empty_like, x)
        recorder.step({"i": i, "x": x, "denoised": d, "sigma": x.new_empty(())})
    with pytest.raises(NotImplementedError):
        recorder.finish(x)


@pytest.mark.parametrize("name", ["euler", "dpmpp_2m", "heun", "dpmpp_2m_sde"])
def test_a_report_keeps_no_latent(name):
    """At most one copy of a latent between steps, and none when the run is over."""
    seen, alive = weakref.WeakSet(), []

    def model(x, sigma):
        alive.append(len([t for t in seen if t.shape == x.shape]))
        d = gaussian(VE)(x, sigma)
        seen.update((x, d))
        return d

    end, report = reported(name, model, torch.ones(2, 4, dtype=torch.float64) * 10)
    held = samplers.get(name).plan(SIGMAS, VE).peak_memory
    assert max(alive) <= held + 1
    del end
    assert not [t for t in seen if t.shape == (2, 4)]
    assert report.steps
