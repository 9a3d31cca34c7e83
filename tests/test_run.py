"""The loop and the tables: what is refused, what is reported, what is checked when built."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import gaussian
from sampler_rows import TABLES, answers, quiet, with_eta
from stride import samplers, schedules
from stride.samplers import FLOW, VE, Draw, KeyedNoise, NotFinite, Table, check_sigmas, run

SIGMAS = (10.0, 4.0, 1.0, 0.3, 0.0)


def sample(denoise, sigmas=SIGMAS, **kwargs):
    x = torch.ones(2, 4, dtype=torch.float64)
    return samplers.sample(kwargs.pop("name", "dpmpp_2m"), denoise, x, sigmas, **kwargs)


@pytest.mark.parametrize(
    "sigmas, says",
    [
        ([2.0, math.nan, 0.0], "sigma 2 of 3 is nan"), ([math.nan], "sigma 1 of 1 is nan"),
        ([math.inf, 1.0, 0.0], "sigma 1 of 3 is inf"), ([2.0, 1.0, -0.5], "sigma 3 of 3 is -0.5"),
        ([1e38, 1.0, 0.0], r"sigma 1 of 3 is 1e\+38; .* is 1000000"),
        ([0.0, 1.0], "sigma 1 of 2 is 0 .*no way leads up from 0.*FlipSigmas takes 0.0001"),
        ([1.0, 0.0, 0.5, 0.0], "sigma 2 of 4 is 0 and the next one is 0.5"),
    ],
)
def test_bad_sigmas_are_named(sigmas, says):
    with pytest.raises(ValueError, match=says):
        sample(gaussian(VE), sigmas)


def test_a_model_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \[1, 4\].*\[2, 4\].*sigma 10"):
        sample(lambda x, s: x[:1])


@pytest.mark.parametrize("name", samplers.REGISTRY.names)
def test_a_batch_of_no_images_is_handed_back(name):
    """No call and no error, of any sampler, with its noise or without."""
    def never(x, sigma):
        raise AssertionError("the model was asked")

    for process, levels in ((VE, SIGMAS), (FLOW, (1.0, 0.6, 0.2, 0.0))):
        x = samplers.sample(name, never, torch.empty(0, 4, 3, 3), levels, process)
        assert x.shape == (0, 4, 3, 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("step", range(4))
def test_the_first_bad_answer_stops_the_run(step, bad):
    calls = []

    def denoise(x, sigma):
        calls.append(1)
        out = 0.5 * x
        if len(calls) - 1 == step:
            out[1, 2] = bad
        return out

    with pytest.raises(NotFinite, match=rf"step {step + 1} of 4 \(sigma {SIGMAS[step]:g}\)"):
        sample(denoise)
    assert len(calls) == step + 1


def test_unknown_names_and_options_say_what_there_is():
    with pytest.raises(ValueError, match="unknown sampler 'dpmpp_2x'; did you mean .*dpmpp_2m"):
        samplers.get("dpmpp_2x")
    with pytest.raises(ValueError, match="'euler' has no option 'rho'; its options: .*eta"):
        sample(gaussian(VE), name="euler", rho=7)
    with pytest.raises(ValueError, match="'euler': option 'eta' must be a number from 0.0 to 1"):
        sample(gaussian(VE), name="euler", eta=101)
    with pytest.raises(ValueError, match="'ipndm': option 'order' must be a whole number"):
        sample(gaussian(VE), name="ipndm", order=2.5)


@pytest.mark.parametrize("name", ["DPM++ 2M", "k_dpmpp_2m", "DPMSolverMultistepScheduler"])
def test_a_sampler_has_one_identity_under_all_its_names(name):
    assert samplers.get(name) is samplers.get("dpmpp_2m")


def test_callback_sees_each_step_as_in_the_host():
    for name in TABLES:
        seen = []
        sample(answers(name, gaussian(VE)), name=name, on_step=seen.append, **quiet(name))
        assert [info["i"] for info in seen] == [0, 1, 2, 3]
        assert [float(info["sigma"]) for info in seen] == list(SIGMAS[:-1])
        for info in seen:
            level = info["sigma"].expand(2)
            assert torch.equal(info["denoised"], gaussian(VE)(info["x"], level))
            assert float(info["sigma_hat"]) == float(info["sigma"])


def test_an_interrupt_passes_through():
    class Interrupted(Exception):
        pass

    def on_step(info):
        if info["i"] == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        sample(gaussian(VE), on_step=on_step)


def test_a_carried_run_must_fit():
    x = torch.ones(1, 4, dtype=torch.float64)
    build = samplers.get("dpmpp_2m").plan
    kwargs = {"noise": KeyedNoise(0, [0])}
    first = run(build, gaussian(VE), x, SIGMAS, VE, until=2, **kwargs)
    with pytest.raises(ValueError, match="stopped at sigma 1, this one starts at 0.9"):
        run(build, gaussian(VE), x, (0.9, 0.0), VE, carry=first, **kwargs)
    with pytest.raises(ValueError, match="another sampler"):
        run(samplers.get("ipndm").plan, gaussian(VE), x, SIGMAS[2:], VE, carry=first, **kwargs)
    with pytest.raises(ValueError, match="until must be from 0 to 4"):
        run(build, gaussian(VE), x, SIGMAS, VE, until=5, **kwargs)


# Tables check themselves ----------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_wrong_coefficient_cannot_load(data):
    """Move any weight of any row of any table by 0.1 % and the table refuses to be built."""
    name = data.draw(st.sampled_from(TABLES))
    process = data.draw(st.sampled_from([VE, FLOW]))
    eta = data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    spec = schedules.ModelSpec.discrete() if process is VE else schedules.ModelSpec.flow()
    sigmas = check_sigmas(schedules.get("karras").sigmas(spec, 6), process)
    table = samplers.get(name).plan(sigmas, process, **with_eta(name, eta))
    k = data.draw(st.integers(0, len(table.rows) - 1))
    row = table.rows[k]
    column = data.draw(st.sampled_from(["x", "d"]))
    weights = {j: w for j, w in getattr(row, column).items() if abs(w) > 1e-6}
    if not weights:
        return
    j = data.draw(st.sampled_from(sorted(weights)))
    spoiled = {**getattr(row, column), j: weights[j] * 1.001}
    rows = list(table.rows)
    rows[k] = dataclasses.replace(row, **{column: spoiled})
    # At sigma 1 a flow latent holds no data, and a weight of x_0 can only be wrong in its noise.
    with pytest.raises(ValueError, match=f"row {k}"):
        Table(sigmas, process, tuple(rows))


def test_tables_refuse_rows_that_do_not_fit():
    good = samplers.get("heun").plan(SIGMAS, VE)
    for k, change, says in (
        (1, {"noise": (Draw(math.nan, 10.0, 4.0),)}, "not finite"),
        (1, {"d": {0: 0.3, 1: math.inf}}, "not finite"),
        (1, {"sigma": 3.9}, "starts at sigma"), (2, {"step": 3}, "after step 0"),
        (1, {"d": {5: 0.5}}, "has not made"),
        (1, {"x": {5: 0.5}}, "has not made"),
        (1, {"noise": (Draw(0.5, 10.0, 4.0),)}, "noise level"),
    ):
        rows = list(good.rows)
        rows[k] = dataclasses.replace(rows[k], **change)
        with pytest.raises(ValueError, match=says):
            Table(SIGMAS, VE, tuple(rows))
    with pytest.raises(ValueError, match="ends at step"):
        Table(SIGMAS, VE, good.rows[:-1])


def test_a_tableau_checks_itself():
    from stride.samplers.runge_kutta import Tableau

    with pytest.raises(ValueError, match="sum to 1"):
        Tableau((0.0, 1.0), ((1.0,),), (0.5, 0.4))
    with pytest.raises(ValueError, match="sum to its node"):
        Tableau((0.0, 0.5), ((1.0,),), (0.5, 0.5))
