"""NaN, out of memory, many images: what a run does then, and that its result stays the same."""

import math
import weakref

import pytest
import torch
from problems import gaussian
from stride import samplers
from stride.engine import guard, model
from stride.engine.model import Answer
from stride.engine.sparing import Sparing, out_of_memory
from stride.samplers import VE, NotFinite

SIGMAS = (10.0, 4.0, 1.0, 0.3, 0.0)
# A one-stage, a multistep, a two-stage and two stochastic methods, one with CFG++.
RUNS = {
    "euler": {}, "dpmpp_2m": {}, "heun": {}, "dpmpp_2m_sde": {}, "dpmpp_sde": {"noise": "path"},
    "euler_ancestral": {"cfg_pp": True},
}
OOM = torch.cuda.OutOfMemoryError


class Model(model.Model):
    """The exact answers of a Gaussian, image by image, as a host's model would be asked.

    fails: call number -> what is done then. offset: of each image, so that none is another.
    """

    computes_in = torch.float16

    def __init__(self, fails=None, images=range(5), parts=False, guided=False, log=None):
        self.fails, self.images, self.parts, self.guided = fails or {}, list(images), parts, guided
        self.log = [] if log is None else log

    def some(self, part):
        """Images of a part of the batch."""
        images = [self.images[k] for k in part]
        return type(self)(self.fails, images, self.parts, self.guided, self.log)

    def __call__(self, x, level):
        assert len(x) == len(self.images)
        self.log.append(len(x))
        d = gaussian(VE)(x, x.new_full((len(x),), level))
        d = d + torch.tensor(self.images, dtype=x.dtype)[:, None]
        self.made = [(f"the {prompt} prompt's answer", d) for prompt in ("positive", "negative")]
        if fail := self.fails.get(len(self.log)):
            d = fail(self, d)
        return Answer(d, 0.5 * d if self.guided else None, tuple(self.made) if self.parts else ())


def start():
    return 10.0 * torch.randn(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def sample(name, model, **more):
    model.guided = bool(RUNS[name].get("cfg_pp"))
    model = more.pop("wrap", lambda m: m)(model)
    return samplers.sample(name, model, start(), SIGMAS, seed=3, **RUNS[name], **more)


def calls_of(name):
    return samplers.get(name).plan(SIGMAS, VE, **RUNS[name]).calls


EVERY_CALL = [(name, k) for name in RUNS for k in range(1, calls_of(name) + 1)]


# NaN -------------------------------------------------------------------------------------------


def spoil(part, value=math.nan):
    """An answer of which a part, or only the guided sum, is bad."""

    def fail(model, d):
        bad = d.clone()
        bad[2, 1] = value
        model.made = [(f"the {p} prompt's answer", bad if p == part else d)
                      for p in ("positive", "negative")]
        return bad

    return fail


@pytest.mark.parametrize("part, says", [
    ("positive", "in the positive prompt's answer but not in the negative prompt's answer; .*"
                 "float16. Likely causes: a broken embedding in the prompt"),
    ("negative", "in the negative prompt's answer but not in the positive prompt's answer"),
    ("neither", "made by guidance: .* were finite.*Likely causes: a very high cfg"),
])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_prompt_whose_answer_was_bad_is_named(part, says, value):
    model = Model({3: spoil(part, value)}, parts=True)
    with pytest.raises(NotFinite, match=rf"step 3 of 4 \(sigma 1\), {says}"):
        sample("euler", model)


def test_the_images_that_were_bad_are_named():
    with pytest.raises(NotFinite, match=r"Inf in image 3 of 5 at step 3 of 4"):
        sample("euler", Model({3: spoil("positive")}))

    def two(model, d):
        d = d.clone()
        d[[0, 4], 1] = math.inf
        return d

    with pytest.raises(NotFinite, match=r"Inf in images 1, 5 of 5 at step 2 of 4"):
        sample("dpmpp_2m", Model({2: two}))
    with pytest.raises(NotFinite, match=r"NaN or Inf at step 1 of 4"):  # all of them
        sample("euler", Model({1: lambda model, d: d * math.nan}))


def test_of_images_run_one_by_one_the_one_is_named():
    model = Model()

    def third(x, sigma):
        d = gaussian(VE)(x, sigma)
        return d * math.nan if x[0, 0] == start()[2, 0] else d

    with pytest.raises(NotFinite, match=r"Inf in image 3 of 5 at step 1 of 4"):
        samplers.sample("adaptive_steps", third, start(), SIGMAS)
    assert model.log == []


@pytest.mark.parametrize("lag", [None, 0, 2, 99])
def test_an_answer_beyond_all_sense_is_named_behind_which_nan_came(monkeypatch, lag):
    """Finite, so the run goes on; what it led to says where it began."""
    if lag is not None:
        monkeypatch.setattr(guard, "_Sizes", Lagging)
        monkeypatch.setattr(guard, "_ON_CPU", ())
        monkeypatch.setattr(Lagging, "lag", lag, raising=False)
        monkeypatch.setattr(Lagging, "under_way", [])
    model = Model({2: lambda model, d: d * 1e30, 4: lambda model, d: d * math.nan})
    with pytest.raises(NotFinite, match=(
        r"at step 4 of 4 \(sigma 0.3\); its answer at step 2 of 4 \(sigma 4\) was finite, but "
        r"reached \d.*e\+30; .*Likely causes: a model or a patch that scales its answer wrongly"
    )):
        sample("euler", model)


def test_a_latent_that_was_bad_before_the_model_is_named():
    x = start()
    x[0, 0] = math.nan
    model = Model()
    with pytest.raises(NotFinite, match="computes in float16.*already held NaN, as this one did"):
        samplers.sample("euler", model, x, SIGMAS)


class Lagging(guard._Sizes):
    """The numbers of a device that is ``lag`` answers behind, as CUDA's arrive."""

    under_way = []

    def __init__(self, on_device):
        super().__init__(on_device)
        self.copied = on_device
        Lagging.under_way.append(self)

    def arrived(self):
        behind = len(Lagging.under_way) - 1 - Lagging.under_way.index(self)
        return behind >= Lagging.lag


@pytest.mark.parametrize("lag", [0, 1, 2, 99])
@pytest.mark.parametrize("k", range(1, 5))
def test_a_device_that_lags_behind_still_names_the_step(monkeypatch, k, lag):
    """The run stops when the number arrives, at the latest at its end, and names the first step."""
    monkeypatch.setattr(guard, "_Sizes", Lagging)
    monkeypatch.setattr(guard, "_ON_CPU", ())  # take the CPU for a device
    monkeypatch.setattr(Lagging, "lag", lag, raising=False)
    monkeypatch.setattr(Lagging, "under_way", [])
    model = Model({k: spoil("negative")}, parts=True)
    with pytest.raises(NotFinite, match=rf"step {k} of 4 .*in the negative prompt's answer but"):
        sample("euler", model)
    assert len(model.log) == min(k + lag, 4)


# Memory ----------------------------------------------------------------------------------------


def run_out(model, d):
    raise OOM("CUDA out of memory. Tried to allocate a test.")


@pytest.mark.parametrize("name, k", EVERY_CALL)
def test_memory_that_runs_out_once_changes_nothing(name, k):
    """At any call: caches are freed, the call is made again, and the bits are the same."""
    freed, model = [], Model({k: run_out})
    found = sample(name, model, wrap=lambda m: Sparing(m, free=lambda: freed.append(1)))
    assert torch.equal(found, sample(name, Model()))
    assert len(freed) == 1 and len(model.log) == calls_of(name) + 1


@pytest.mark.parametrize("fits", [1, 3])
@pytest.mark.parametrize("name, k", EVERY_CALL)
def test_a_batch_that_no_longer_fits_is_split(name, k, fits):
    """From call k on more than ``fits`` images are too many: halves until it fits, same bits."""
    freed, whole = [], Model()

    class Small(Model):
        def __call__(self, x, level):
            if len(self.log) >= k - 1 and len(x) > fits:
                run_out(self, x)
            return super().__call__(x, level)

    model = Small()
    found = sample(name, model, wrap=lambda m: Sparing(m, free=lambda: freed.append(1)))
    assert torch.equal(found, sample(name, whole))
    assert freed and max(model.log[k - 1 :]) <= fits
    assert sum(model.log) == 5 * calls_of(name)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("name", RUNS)
def test_images_at_a_time_change_nothing(name, most):
    model = Model()
    found = sample(name, model, wrap=lambda m: Sparing(m, most))
    assert torch.equal(found, sample(name, Model()))
    assert max(model.log) == min(most, 5) and sum(model.log) == 5 * calls_of(name)


@pytest.mark.parametrize("name", RUNS)
def test_one_image_that_does_not_fit_is_an_error(name):
    model = Model(dict.fromkeys(range(1, 99), run_out))
    with pytest.raises(OOM):
        sample(name, model, wrap=lambda m: Sparing(m, free=list))
    assert model.log == [5, 5, 3, 2, 1]  # once more after freeing, then in halves


def test_other_errors_are_not_taken_for_it():
    def broken(model, d):
        raise RuntimeError("a hole in the model")

    freed, model = [], Model({2: broken})
    with pytest.raises(RuntimeError, match="a hole"):
        sample("euler", model, wrap=lambda m: Sparing(m, free=lambda: freed.append(1)))
    assert not freed and len(model.log) == 2
    with pytest.raises(OOM):  # and where nothing is to be freed it stays what it is
        sample("euler", Model({2: run_out}), wrap=Sparing)


@pytest.mark.parametrize("error, is_it", [
    (OOM("CUDA out of memory."), True), (MemoryError(), True),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
    (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False), (ValueError("x"), False),
])
def test_what_counts_as_out_of_memory(error, is_it):
    assert out_of_memory(error) is is_it


@pytest.mark.parametrize("name", RUNS)
def test_a_failed_call_keeps_no_tensor(name):
    """When caches are freed, nothing that the failed call made is alive."""
    made = []

    def fail(model, d):
        made.append(weakref.ref(d))
        model.made = []
        run_out(model, d)

    def free():
        assert made and made[-1]() is None

    sample(name, Model({2: fail}), wrap=lambda m: Sparing(m, free=free))
    assert len(made) == 1


def test_a_sampler_that_takes_images_one_by_one_goes_on_too():
    freed, model = [], Model({7: run_out})
    more = dict(rtol=0.01)
    found = samplers.sample(
        "adaptive_steps", Sparing(model, free=lambda: freed.append(1)), start(), SIGMAS, **more
    )
    assert torch.equal(found, samplers.sample("adaptive_steps", Model(), start(), SIGMAS, **more))
    assert freed == [1]
