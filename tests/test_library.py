"""The pack without a host: one call to sample, one call to add a method of your own."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from problems import gaussian
from stride import library, samplers, schedules
from stride.samplers import FLOW, VE

ROOT = Path(__file__).resolve().parent.parent


def start(scale):
    return scale * torch.linspace(-1.5, 1.5, 8, dtype=torch.float64).reshape(2, 4)


def test_sample_is_the_schedule_and_the_sampler():
    for model in (None, schedules.ModelSpec.flow(shift=3.0)):
        spec = model or schedules.ModelSpec.discrete()
        x = start(spec.sigma_max)
        found = library.sample(
            gaussian(spec.process), x, "dpmpp_2m", "karras", 7, model,
            schedule_options={"rho": 5.0}, seed=3, eta=0.5,
        )
        sigmas = schedules.get("karras").sigmas(spec, 7, rho=5.0)
        want = samplers.sample(
            "dpmpp_2m", gaussian(spec.process), x, sigmas, spec.process, seed=3, eta=0.5
        )
        assert torch.equal(found, want)
        own = library.sample(
            gaussian(spec.process), x, sigmas=sigmas, process=spec.process, seed=3, eta=0.5
        )
        assert torch.equal(own, want)


def test_names_of_other_programs():
    """In both calls, with the options that a name implies below those that are given."""
    spec = schedules.ModelSpec.discrete()
    x, model = start(spec.sigma_max), gaussian(VE)
    want = library.sample(model, x, "dpmpp_2m", "karras", 7)
    assert torch.equal(library.sample(model, x, "DPM++ 2M Karras", steps=7), want)
    assert torch.equal(library.sample(model, x, "k_dpmpp_2m", "KARRAS", 7), want)
    ended = library.sample(model, x, "lms", "karras", 7, ending="multistep")
    assert torch.equal(library.sample(model, x, "sample_lms", "get_sigmas_karras", 7), ended)
    plain = library.sample(model, x, "lms", "karras", 7)
    assert torch.equal(
        library.sample(model, x, "sample_lms", "karras", 7, ending="denoise"), plain
    )
    levels = library.stepper("EulerDiscreteScheduler", steps=7).sigmas
    assert torch.equal(levels, library.stepper("euler", "linspace", 7).sigmas)
    own = library.sample(model, x, "EulerDiscreteScheduler", sigmas=levels)
    assert torch.equal(own, library.sample(model, x, "euler", "linspace", 7))
    with pytest.raises(ValueError, match="has schedule 'Karras' in its name"):
        library.sample(model, x, "Euler a Karras", "simple")


def test_sample_says_what_does_not_fit():
    x = start(1.0)
    for says, given in (
        ("not both", {"sigmas": [1.0, 0.0], "steps": 3}),
        ("process FLOW does not fit a VE model",
         {"process": FLOW, "model": schedules.ModelSpec.discrete()}),
        ("unknown schedule 'karas'; did you mean karras", {"schedule": "karas"}),
        ("'dpmpp_2m' has no option 'rho'", {"rho": 3}),
        ("steps must be a whole number from 1", {"steps": 0}),
    ):
        with pytest.raises(ValueError, match=says):
            library.sample(gaussian(VE), x, **given)


# Methods of other people ------------------------------------------------------------------------

MADE_UP = '''
from {pack}.samplers import Row, Sampler, register
from {pack}.samplers.entry import Deterministic
from {pack}.schedules import Schedule
from {pack}.schedules import register as register_schedule


def rows(sigmas, process, options):
    """Halfway to the clean latent in sigma, then the rest, from one model answer."""
    for k, (a, b) in enumerate(zip(sigmas, sigmas[1:])):
        yield Row(k, a, b, {{k: b / a}}, {{k: process.alpha(b) - process.alpha(a) * b / a}})


ENTRY = Sampler(name="made_up", label="Made up", aliases=("MadeUpScheduler",), source="a test",
                build=rows, options=Deterministic(), order=1)
LINE = Schedule(name="line", label="Line", source="a test",
                curve=lambda spec, steps, options: [spec.sigma_max * (1 - i / steps)
                                                    for i in range(steps)])
'''


@pytest.fixture
def pack(request, monkeypatch):
    """The pack once more, under a name of its own and without a host: what is added stays."""
    name = "stride_of_" + request.node.name
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    spec.loader.exec_module(module)
    monkeypatch.undo()
    yield module
    for key in [k for k in set(sys.modules) - before | {name} if k.startswith(name)]:
        del sys.modules[key]


@pytest.fixture
def made_up(pack, tmp_path):
    """A file of somebody else's, imported."""
    path = tmp_path / "made_up.py"
    path.write_text(MADE_UP.format(pack=pack.__name__))
    spec = importlib.util.spec_from_file_location("made_up", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_sampler_of_somebody_else_takes_one_call(pack, made_up):
    pack.samplers.register(made_up.ENTRY)
    pack.schedules.register(made_up.LINE)
    assert pack.samplers.REGISTRY.names[-1] == "made_up"
    x = start(14.6)
    found = pack.sample(gaussian(VE), x, "MadeUpScheduler", "line", 5)
    assert torch.allclose(found, pack.sample(gaussian(VE), x, "euler", "line", 5), rtol=1e-12)
    stepper = pack.stepper("made_up", "line", 5)
    assert len(stepper) == 5
    assert stepper.sigmas[0] / stepper.sigmas[4] == pytest.approx(5)


def test_what_is_registered_is_checked(pack, made_up):
    import dataclasses

    register, calls = pack.samplers.register, []
    pack.samplers.REGISTRY.watch(calls.append)
    assert register(made_up.ENTRY) is register(made_up.ENTRY)  # twice is once
    assert len(calls) == 1
    for change, says in (
        ({"name": "euler"}, "two samplers are called 'euler'"),
        ({"name": "other"}, "two samplers are called 'made up': made_up and other"),
        ({"name": "other", "label": "HEUN", "aliases": ()}, "two samplers are called 'heun'"),
        ({"name": "Made-Up 2"}, "cannot be called 'Made-Up 2'"),
        ({"name": "ays"}, "cannot be called 'ays'"),
    ):
        with pytest.raises(ValueError, match=says):
            register(dataclasses.replace(made_up.ENTRY, **change))
    with pytest.raises(TypeError, match="a schedule must be a Schedule"):
        pack.schedules.register(made_up.ENTRY)
    assert len(calls) == 1 and pack.samplers.REGISTRY.names[-1] == "made_up"
    assert "other" not in pack.samplers.REGISTRY
