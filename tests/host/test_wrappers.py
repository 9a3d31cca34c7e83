"""SAMPLERs made of SAMPLERs: ours, the host's and a neighbour's."""

from dataclasses import replace

import pytest
import torch
from host_models import Denoiser, discrete

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def wrappers(comfy):
    from stride.host.run import wrappers

    return wrappers


@pytest.fixture
def theirs(comfy):
    return comfy.samplers.sampler_object


@pytest.fixture
def ours(comfy, wrappers):
    from stride import samplers
    from stride.host.run.ours import HostRun

    def made(name, **options):
        entry = samplers.get(name)
        return comfy.samplers.KSAMPLER(HostRun(entry, entry.configure(**options)))

    return made


SIGMAS = torch.tensor([10.0, 6.0, 4.0, 2.5, 1.5, 0.8, 0.4, 0.2, 0.0])
X = 10 * torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def go(sampler, model, sigmas=SIGMAS, callback=None, **extra):
    return sampler.sampler_function(
        model, X.clone(), sigmas, extra_args={"seed": 3, **extra}, callback=callback, disable=True,
        **sampler.extra_options,
    )


@pytest.fixture
def model(comfy):
    return Denoiser(discrete(comfy))


def test_pieces_of_a_memoryless_run_are_the_run(wrappers, theirs, model):
    """The host's Euler relieved by itself; its callback counts on."""
    seen = []
    whole = go(theirs("euler"), model)
    both = wrappers.alternating(theirs("euler"), theirs("euler"), 1.6)
    assert torch.equal(go(both, model, callback=lambda info: seen.append(info["i"])), whole)
    assert seen == list(range(8))


@pytest.mark.parametrize("sigma, calls", [(100.0, 8), (2.5, 11), (0.0, 15)])
def test_who_takes_which_step(wrappers, ours, theirs, model, sigma, calls):
    """Heun asks twice in each of its steps but the one to 0, ours and the host's alike."""
    for make in (ours, theirs):
        model.calls = 0
        go(wrappers.alternating(make("heun"), make("euler"), sigma), model)
        assert model.calls == calls


def test_ours_hand_over_their_history_and_the_hosts_cannot(wrappers, ours, theirs, model):
    """dpmpp_2m relieved by itself is dpmpp_2m; the host's function forgets at the change."""
    for make, same in ((ours, True), (theirs, False)):
        both = wrappers.alternating(make("dpmpp_2m"), make("dpmpp_2m"), 1.6)
        assert torch.equal(go(both, model), go(make("dpmpp_2m"), model)) is same


def test_a_registered_name_is_one_of_ours(comfy, wrappers, ours, model):
    """What the host's KSamplerSelect makes of ``stride_dpmpp_2m`` is taken for what it is."""
    from stride import samplers
    from stride.host.lists.names import _registered

    chosen = comfy.samplers.KSAMPLER(_registered(samplers.get("dpmpp_2m")), {"order": 1})
    run = wrappers.run_of(chosen)
    assert (run.sampler.name, run.options.order) == ("dpmpp_2m", 1)
    both = wrappers.alternating(chosen, chosen, 1.6)
    assert torch.equal(go(both, model), go(ours("euler"), model))


def test_mean(wrappers, ours, theirs, model):
    a, b = go(ours("heun"), model), go(theirs("euler"), model)
    seen = []
    mixed = wrappers.averaging(ours("heun"), theirs("euler"), 0.25)
    found = go(mixed, model, callback=lambda info: seen.append(info["i"]))
    torch.testing.assert_close(found, 0.25 * a + 0.75 * b)
    assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == 7
    assert torch.equal(go(wrappers.averaging(ours("heun"), theirs("euler"), 1.0), model), a)


@pytest.mark.parametrize("low, high, expected", [(0.0, 1e9, 7), (0.5, 2.6, 3), (20.0, 30.0, 0)])
def test_injected_noise_is_the_same_for_ours_and_theirs(
    wrappers, ours, theirs, model, low, high, expected
):
    """Euler is the same method in both, and the noise is keyed: seed, image, sigma."""
    found = [go(wrappers.injecting(make("euler"), 0.3, low, high), model)
             for make in (ours, theirs)]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)
    assert torch.equal(found[1], go(theirs("euler"), model)) is (expected == 0)


def test_no_strength_is_the_sampler_itself(wrappers, theirs):
    sampler = theirs("euler")
    assert wrappers.injecting(sampler, 0.0, 0.0, 1e9) is sampler


class Line(Denoiser):
    """An answer that is linear in log sigma at every pixel, plus ``bend`` times its square."""

    def __init__(self, sampling, bend=0.0):
        super().__init__(sampling)
        self.bend = bend

    def __call__(self, x, sigma, **extra_args):
        self.calls += 1
        log = sigma.log().reshape(-1, 1, 1, 1)
        return torch.ones_like(x) + 0.2 * log + self.bend * log.square()


@pytest.mark.parametrize("make", ["ours", "theirs"])
@pytest.mark.parametrize("name", ["euler", "dpmpp_2m"])
def test_guesses_on_a_line_are_exact(comfy, wrappers, request, name, make):
    sampler, said = request.getfixturevalue(make)(name), []
    model = Line(discrete(comfy))
    whole, model.calls = go(sampler, model), 0
    fast = wrappers.skipping(sampler, 2, 0.0, 1e9)
    fast.sampler_function.tell = said.append
    torch.testing.assert_close(go(fast, model), whole, rtol=1e-5, atol=1e-5)
    # Steps 1, 3, 5, 7 are due; at step 1 there are no two answers yet, and 7 is the last one.
    assert model.calls == 6
    assert said[0].startswith("2 of 8 model calls guessed") and float(said[0].split()[-3]) < 1e-3


def test_the_error_that_is_shown(comfy, wrappers, theirs):
    """A parabola in log sigma: the line through u1, u2 is off by (u - u1)(u - u2) bend at u.

    Steps 2 and 5 are guessed; the model is asked again at 3 (knowing 0, 1), 4 (1, 3), 6 (3, 4) and
    7 (4, 6).
    """
    bend, said = 0.05, []
    fast = wrappers.skipping(theirs("euler"), 3, 0.0, 1e9)
    fast.sampler_function.tell = said.append
    go(fast, Line(discrete(comfy), bend))
    u = SIGMAS[:-1].log().double()
    value = 1 + 0.2 * u + bend * u.square()
    pairs = {3: (0, 1), 4: (1, 3), 6: (3, 4), 7: (4, 6)}
    off = [abs((u[k] - u[a]) * (u[k] - u[b]) * bend / value[k]) for k, (a, b) in pairs.items()]
    mean, most = 100 * float(sum(off)) / 4, 100 * float(max(off))
    assert said == [
        "2 of 8 model calls guessed; where the model was asked again, such a guess was off by "
        f"{mean:.2g} % (mean), {most:.2g} % (most)"
    ]


def test_run_settings_go_along(wrappers, ours, model):
    """A wrapped run in float64 is one in float64; two that differ do not make one run."""
    from stride.host.run.watch import Duties, RunSettings

    first, second = ours("dpmpp_2m"), ours("dpmpp_2m")
    first.sampler_function = replace(
        first.sampler_function, duties=Duties(RunSettings(precision="float64"))
    )
    rough = wrappers.injecting(first, 1e-12, 0.0, 1e9)
    assert torch.equal(go(rough, model), go(first, model))
    assert not torch.equal(go(rough, model), go(second, model))
    with pytest.raises(ValueError, match="same Run Settings"):
        wrappers.alternating(first, second, 1.6)


def test_what_cannot_be_wrapped(comfy, wrappers, ours, theirs, model):
    class Odd(comfy.samplers.Sampler):
        pass

    for make in (
        lambda: wrappers.averaging(Odd(), theirs("euler"), 0.5),
        lambda: wrappers.alternating(theirs("euler"), Odd(), 1.0),
    ):
        with pytest.raises(ValueError, match="type Odd has no function"):
            make()
    with pytest.raises(ValueError, match="chooses its own steps"):
        wrappers.skipping(ours("dpm_adaptive"), 2, 0.0, 1e9)
    with pytest.raises(ValueError, match="turn them round"):
        wrappers.injecting(theirs("euler"), 0.1, 5.0, 1.0)


NODES = {
    "StrideAlternate": lambda graph, a, b: {"first": a, "second": b, "sigma": 2.0},
    "StrideAverage": lambda graph, a, b: {"first": a, "second": b, "weight": 0.5},
    "StrideInjectNoise": lambda graph, a, b: {
        "sampler": a, "strength": 0.05, "sigma_high": 10.0, "sigma_low": 0.5},
    "StrideSkipSteps": lambda graph, a, b: {
        "sampler": a, "every": 2, "sigma_high": 10.0, "sigma_low": 0.0},
}


@pytest.mark.parametrize("kind", NODES)
def test_the_nodes(host, scene, kind):
    """On the demo model, with ours and with a neighbour's; a plain run beside them differs."""
    graph = scene()
    mine = graph.add("StrideSampler", sampler="dpmpp_2m")[0]
    other = graph.add("KSamplerSelect", sampler_name="neighbour_halves")[0]
    pairs = [(mine, graph.add("StrideSampler", sampler="heun")[0]), (other, mine)]
    nodes = [graph.custom(graph.add(kind, **NODES[kind](graph, *pair))[0], steps=8)
             for pair in pairs]
    plain = [graph.custom(pair[0], steps=8) for pair in pairs]
    found = host.latents(graph, *nodes, *plain)
    for made, before in zip(found[:2], found[2:]):
        assert torch.isfinite(made).all() and made.shape == before.shape
        assert (made - before).abs().max() > 1e-4


class Both(Line):
    """A guided model: the answer is on a line in log sigma, and so is the unconditional one."""

    def __call__(self, x, sigma, model_options=None, seed=None):
        cond = super().__call__(x, sigma)
        args = {"denoised": cond, "cond_denoised": cond, "uncond_denoised": 0.5 * cond - 0.1,
                "cond": 1, "uncond": 1, "sigma": sigma, "input": x, "model_options": model_options}
        for hook in (model_options or {}).get("sampler_post_cfg_function", ()):
            args["denoised"] = hook(args)
        return args["denoised"]


@pytest.mark.parametrize("make", ["ours", "theirs"])
def test_cfg_pp_is_guessed_as_well(comfy, wrappers, request, make):
    """Both answers lie on lines, so that the run with guesses is the run without."""
    sigmas = SIGMAS[:-1]  # at 0 every sampler has arrived at the answer
    sampler = request.getfixturevalue(make)("euler_cfg_pp")
    model = Both(discrete(comfy))
    whole, model.calls = go(sampler, model, sigmas), 0
    fast = wrappers.skipping(sampler, 2, 0.0, 1e9)
    fast.sampler_function.tell = lambda line: None
    torch.testing.assert_close(go(fast, model, sigmas), whole, rtol=1e-4, atol=1e-4)
    assert model.calls == 5  # of 7; steps 3 and 5 are guessed, for 1 there are no two answers yet
    plain = request.getfixturevalue(make)("euler")
    assert (go(plain, model, sigmas) - whole).abs().max() > 0.1


def test_the_last_answer_is_never_guessed(comfy, wrappers, theirs):
    """Whatever the count of steps: to sigma 0 Euler's latent is the model's last answer."""
    for steps in range(3, 9):
        model = Line(discrete(comfy), bend=1.0)
        fast = wrappers.skipping(theirs("euler"), 2, 0.0, 1e9)
        fast.sampler_function.tell = lambda line: None
        sigmas = SIGMAS[8 - steps :]
        torch.testing.assert_close(
            go(fast, model, sigmas), model(X, sigmas[-2:-1].expand(2)), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("name", ["dpm_fast", "dpm_adaptive"])
def test_others_that_choose_their_own_steps_are_not_skipped(wrappers, theirs, name):
    with pytest.raises(ValueError, match="chooses its own steps"):
        wrappers.skipping(theirs(name), 2, 0.0, 1e9)


@pytest.mark.parametrize("sigmas, wrong", [
    ([14.0, 5.0, -1.0, 0.0], "sigma 3 of 4 is -1"),
    ([14.0, float("nan"), 0.0], "sigma 2 of 3 is n"),
    ([14.0, 0.0, 5.0, 0.0], "sigma 2 of 4 is 0"), ([14.0, 0.0, 0.0], "sigma 2 is 0; only the last"),
])  # fmt: skip
@pytest.mark.parametrize("make", ["alternating", "averaging", "injecting", "skipping"])
def test_sigmas_of_others_are_looked_at(wrappers, theirs, model, make, sigmas, wrong):
    first, second = theirs("euler"), theirs("heun")
    made = {
        "alternating": lambda: wrappers.alternating(first, second, 6.0),
        "averaging": lambda: wrappers.averaging(first, second, 0.5),
        "injecting": lambda: wrappers.injecting(second, 0.1, 0.0, 1e9),
        "skipping": lambda: wrappers.skipping(second, 3, 0.0, 1e9),
    }[make]()
    with pytest.raises(ValueError, match=wrong):
        go(made, model, torch.tensor(sigmas))


def test_two_of_others_take_turns_by_level_whichever_way(wrappers, theirs, model):
    """Up and down again: the second below the change, the first above it, each by itself."""
    sigmas = torch.tensor([0.5, 2.0, 7.0, 12.0, 7.0, 2.0, 0.5, 0.0])
    made = wrappers.alternating(theirs("heun"), theirs("euler"), 6.0)
    x = go(theirs("euler"), model, sigmas[:3])
    x = theirs("heun").sampler_function(model, x, sigmas[2:6])
    x = theirs("euler").sampler_function(model, x, sigmas[5:])
    torch.testing.assert_close(go(made, model, sigmas), x)
