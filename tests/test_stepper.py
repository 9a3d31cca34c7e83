"""The step-wise object: a loop of the caller's gives what the pack's own loop gives."""

import math

import pytest
import torch
from problems import gaussian, mixture, start
from sampler_rows import ROWS, answers
from stride import library, samplers, schedules
from stride.samplers import FLOW, VE, Stepper, Table

SPECS = {"sd": schedules.ModelSpec.discrete(), "flow": schedules.ModelSpec.flow(shift=3.0)}
ZSNR = schedules.ModelSpec.discrete(zero_terminal_snr=True)


def tables():
    """Names of samplers whose whole run is known before it starts."""
    some = (10.0, 4.0, 1.0, 0.3, 0.0)
    return sorted(n for n in ROWS if isinstance(samplers.get(n).plan(some, VE), Table))


def network(spec, prediction, denoise):
    """What a network of that prediction type answers, for its own input and time.

    A VE network sees ``x / r`` with r = sqrt(1 + sigma^2); v is ``(eps - sigma x0) / r``.
    """

    def model(scaled, t):
        sigma = float(spec.sigma(torch.tensor([float(t)]).double().numpy())[0])
        if spec.process is FLOW:
            sigma = float(t) / 1000
        r = 1.0 if spec.process is FLOW else math.hypot(1.0, sigma)
        x = scaled * r
        d = denoise(x, torch.full((x.shape[0],), sigma, dtype=torch.float64))
        eps = (x - d) / sigma
        return {"sample": d, "eps": eps, "flow": eps, "v": (eps - sigma * d) / r}[prediction]

    return model


def drive(stepper, model, x):
    for t in stepper.timesteps:
        x = stepper.step(model(stepper.scale_model_input(x, t), t), t, x).prev_sample
    return x


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", tables())
def test_the_callers_loop_is_the_packs_loop(name, spec):
    """Bit for bit, noise included, for every sampler with a table, where the network answers x0."""
    model = SPECS[spec]
    stepper = library.stepper(name, "karras", 6, model, prediction="sample", seed=4)
    sigmas = schedules.get("karras").sigmas(model, 6)
    denoise = answers(name, mixture(model.process))
    x = start(float(sigmas[0]))
    whole = samplers.sample(name, denoise, x, sigmas, model.process, seed=4)
    levels = iter(stepper.sigmas)

    def network(scaled, t):
        sigma = next(levels)
        r = 1.0 if model.process is FLOW else torch.hypot(torch.tensor(1.0), sigma)
        assert torch.allclose(scaled * r, seen[0], rtol=1e-12)
        return denoise(seen[0], sigma.repeat(3))

    found, seen = x, []
    for t in stepper.timesteps:
        seen[:] = [found]
        found = stepper.step(network(stepper.scale_model_input(found, t), t), t, found).prev_sample
    assert torch.equal(found, whole)
    assert len(stepper) == len(stepper.timesteps) == samplers.get(name).plan(
        tuple(sigmas.tolist()), model.process).calls


@pytest.mark.parametrize(
    "prediction, spec", [("eps", "sd"), ("v", "sd"), ("sample", "sd"), ("flow", "flow")]
)
@pytest.mark.parametrize("name", ["euler_ancestral", "heun", "dpmpp_2m"])
def test_every_prediction_type(name, prediction, spec):
    """The same data behind eps, v, x0 and velocity networks gives the same samples."""
    model = SPECS[spec]
    stepper = library.stepper(name, "simple", 8, model, prediction=prediction)
    sigmas = schedules.get("simple").sigmas(model, 8)
    x = start(float(sigmas[0]))
    found = drive(stepper, network(model, prediction, mixture(model.process)), x)
    whole = samplers.sample(name, mixture(model.process), x, sigmas, model.process)
    assert torch.allclose(found, whole, atol=1e-4)  # timesteps are float32


def test_zero_terminal_snr_v_models():
    """From sigma 4519, where x / sigma is pure noise, in float32; an eps network knows nothing
    there, since its noise answer leaves no digit for the picture."""
    stepper = library.stepper("dpmpp_2m", "simple", 20, ZSNR, prediction="v_prediction")
    assert stepper.init_noise_sigma == pytest.approx(4518.76, rel=1e-5)
    assert float(stepper.timesteps[0]) == 999
    x = start(stepper.init_noise_sigma).float()
    assert abs(float(stepper.scale_model_input(x, 999).std()) - float(start(1.0).std())) < 1e-5
    found = drive(stepper, network(ZSNR, "v", gaussian(VE)), x)
    sigmas = schedules.get("simple").sigmas(ZSNR, 20)
    whole = samplers.sample("dpmpp_2m", gaussian(VE), x.double(), sigmas)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), whole, atol=1e-3)


def test_timesteps_list_every_model_call():
    stepper = library.stepper("heun", "karras", 3)
    sigmas = schedules.get("karras").sigmas(SPECS["sd"], 3).tolist()
    assert stepper.sigmas.tolist() == [sigmas[0], sigmas[1], sigmas[1], sigmas[2], sigmas[2], 0]
    times = [SPECS["sd"].timestep(s) for s in stepper.sigmas[:-1].tolist()]
    assert stepper.timesteps.tolist() == pytest.approx(times, rel=1e-6)
    flow = library.stepper("euler", "simple", 4, SPECS["flow"])
    assert flow.timesteps.tolist() == pytest.approx([1000 * s for s in flow.sigmas[:-1].tolist()])
    assert (flow.init_noise_sigma, flow.prediction) == (1.0, "flow")


def test_add_noise_is_the_process():
    """``alpha x0 + sigma eps`` at a timestep of the run, and at any other one of the model."""
    x0, eps = start(1.0), start(1.0).flip(0)
    for spec, times in (("sd", [500.0, 20.5, 999.0]), ("flow", [500.0, 20.5, 1000.0])):
        stepper = library.stepper("euler", "karras", 5, SPECS[spec])
        noisy = stepper.add_noise(x0, eps, torch.tensor(times))
        for k, t in enumerate(times):
            if spec == "sd":
                want = x0[k] + float(SPECS["sd"].sigma([t])[0]) * eps[k]
            else:
                want = (1 - t / 1000) * x0[k] + t / 1000 * eps[k]
            assert torch.allclose(noisy[k], want)
        for k, sigma in enumerate(stepper.sigmas[:-1].tolist()):
            alpha = stepper.process.alpha(sigma)
            noisy = stepper.add_noise(x0, eps, stepper.timesteps[k])
            assert torch.allclose(noisy, alpha * x0 + sigma * eps, rtol=1e-14)


def test_a_changed_sample_is_followed():
    """What the caller does to the sample between two calls (a mask, say) is not undone."""
    stepper = library.stepper("dpmpp_2m", "karras", 4)
    x = start(stepper.init_noise_sigma)
    for t in stepper.timesteps:
        x = stepper.step(torch.zeros_like(x), t, x * 0 + 1).prev_sample
    assert torch.equal(x, torch.ones_like(x))  # eps 0: D is the sample, whose value is 1


@pytest.mark.parametrize("name", ["heun", "dpmpp_2m", "ipndm"])
def test_buffers_of_the_caller_may_be_reused(name):
    """Samples and answers written into the same memory every time, as captured graphs do."""
    model = network(SPECS["sd"], "sample", mixture(VE))
    plain = library.stepper(name, "karras", 5, prediction="sample")
    x = start(plain.init_noise_sigma)
    want = drive(plain, model, x)
    stepper, out = library.stepper(name, "karras", 5, prediction="sample"), torch.empty_like(x)
    buffer = x.clone()
    for t in stepper.timesteps:
        out.copy_(model(stepper.scale_model_input(buffer, t), t))
        buffer.copy_(stepper.step(out, t, buffer).prev_sample)
    assert torch.equal(buffer, want)


def test_half_precision_is_computed_in_float32():
    stepper = library.stepper("dpmpp_2m", "karras", 5, prediction="v")
    x = start(stepper.init_noise_sigma).half()
    out = stepper.step(torch.ones_like(x), stepper.timesteps[0].bfloat16(), x)
    assert out.prev_sample.dtype == out.pred_original_sample.dtype == torch.float16
    sigma = stepper.sigmas[0]
    clean = x.double() / (1 + sigma**2) - sigma / (1 + sigma**2).sqrt()
    assert torch.allclose(out.pred_original_sample.double(), clean, rtol=1e-3)


def test_cfg_pp_takes_both_answers():
    """Song's step with the clean part of the guided answer and the noise of the other one."""
    stepper = library.stepper("euler", "karras", 3, prediction="sample", cfg_pp=True)
    x, d, u = start(stepper.init_noise_sigma), start(0.3), start(0.2)
    found = stepper.step((d, u), stepper.timesteps[0], x).prev_sample
    sigma, below = stepper.sigmas[:2].tolist()
    assert torch.allclose(found, d + below * (x - u) / sigma)
    with pytest.raises(ValueError, match="CFG"):
        stepper.step(d, stepper.timesteps[1], found)


def test_misuse_is_told():
    stepper = library.stepper("heun", "karras", 2)
    x = start(stepper.init_noise_sigma)
    with pytest.raises(ValueError, match=r"call 1 of 3 is at timestep 999, not at 0"):
        stepper.step(x, 0, x)
    for t in stepper.timesteps:
        x = stepper.step(x, t, x).prev_sample
    with pytest.raises(ValueError, match="reset"):
        stepper.step(x, stepper.timesteps[-1], x)
    stepper.reset()
    stepper.step(x, stepper.timesteps[0], x)
    for prediction, spec in (("flow", "sd"), ("eps", "flow"), ("v", "flow"), ("x", "sd")):
        with pytest.raises(ValueError, match=f"prediction '{prediction}' does not fit"):
            library.stepper("euler", "karras", 2, SPECS[spec], prediction=prediction)
    with pytest.raises(ValueError, match="need the model"):
        Stepper(samplers.get("euler").plan((1.0, 0.0), VE))
    with pytest.raises(samplers.NotFinite, match="step 1 of 2"):
        library.stepper("euler", "karras", 2).step(x * math.nan, 999, x)


def test_levels_that_rise_and_levels_that_stay():
    """The same latents as a run's; a list that asks the model nothing is refused."""
    sigmas, x = (0.5, 2.0, 2.0, 6.0, 1.0, 0.0), start(0.5)
    denoise = mixture(VE)
    stepper = library.stepper("dpmpp_2m", sigmas=sigmas, prediction="sample")
    assert stepper.sigmas.tolist() == [0.5, 2.0, 6.0, 1.0, 0.0]
    out = x
    for t, level in zip(stepper.timesteps, stepper.sigmas):
        out = stepper.step(denoise(out, level.repeat(len(x))), t, out).prev_sample
    torch.testing.assert_close(out, library.sample(denoise, x, "dpmpp_2m", sigmas=sigmas))
    for nothing in ((3.0,), (3.0, 3.0)):
        with pytest.raises(ValueError, match="asks the model"):
            library.stepper("euler", sigmas=nothing)
        assert torch.equal(library.sample(denoise, x, "euler", sigmas=nothing), x)
