"""The law of the noise: independent draws, the Brownian path, and the generator under both."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stride import samplers, schedules
from stride.engine.noise import _quantiles
from stride.samplers import VE, Draw, KeyedNoise, PathNoise, run

MANY = torch.empty(1, 400_000)
levels = st.floats(math.log(1e-3), math.log(5e3)).map(math.exp)


def correlation(a, b):
    return float((a * b).mean() / (a.std() * b.std()))


# The generator -------------------------------------------------------------------------------

# Random123 1.14 (Salmon et al. 2011), kat_vectors: counter, key, answer of philox4x64 10.
FULL = 2**64 - 1
KNOWN = [
    ((0, 0, 0, 0), (0, 0),
     (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B)),
    ((FULL,) * 4, (FULL,) * 2,
     (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0)),
    ((0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
     (0x452821E638D01377, 0xBE5466CF34E90C6C),
     (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6)),
]


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_philox_known_answers(counter, key, answer):
    """numpy counts up before it answers, so its first block belongs to the counter plus one."""
    value = (sum(word << 64 * i for i, word in enumerate(counter)) - 1) % 2**256
    before = [value >> 64 * i & FULL for i in range(4)]
    bits = np.random.Philox(
        counter=np.array(before, dtype=np.uint64), key=np.array(key, dtype=np.uint64)
    )
    assert tuple(map(int, bits.random_raw(4))) == answer


def test_draws_are_the_generators_words_through_the_quantiles():
    """seed and image are the key; index, start and end the upper words of the counter."""
    draw = Draw(1.0, 1.5, 0.25, 3)
    found = KeyedNoise(-1, [9])(torch.empty(1, 8), draw)[0]
    upper = [draw.index, *np.array([1.5, 0.25]).view(np.uint64).tolist()]
    bits = np.random.Philox(
        counter=np.array([0, *upper], dtype=np.uint64), key=np.array([FULL, 9], dtype=np.uint64)
    )
    numbers = [word >> 16 * i & 0xFFFF for word in map(int, bits.random_raw(2)) for i in range(4)]
    cells = torch.tensor(numbers, dtype=torch.float64)
    wanted = math.sqrt(2) * torch.erfinv(2 * (cells + 0.5) / 65536 - 1)
    torch.testing.assert_close(found.double(), wanted, rtol=2e-4, atol=2e-4)


def test_the_table_of_quantiles():
    """65 536 levels: variance 1 exactly, cut at 4.33, kurtosis 0.2 per cent low."""
    table = _quantiles().double()
    assert torch.equal(table, -table.flip(0)) and (table.diff() > 0).all()
    assert float(table.square().mean()) == pytest.approx(1, abs=1e-7)
    assert float(table[-1]) == pytest.approx(4.33, abs=0.01)
    assert float(table.pow(4).mean()) == pytest.approx(3, rel=2e-3)


@pytest.mark.parametrize("kind", [KeyedNoise, PathNoise])
@pytest.mark.parametrize("start, end", [(1.0, 0.9), (14.6, 0.03), (0.5, 0.49999)])
def test_normality(kind, start, end):
    """Moments and the Kolmogorov-Smirnov distance (critical at 0.1 per cent) of 400 000 values."""
    z = kind(11, [0])(MANY, Draw(1.0, start, end))[0].double()
    n = len(z)
    for power, mean, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float(z.pow(power).mean()) - mean) < 4 * math.sqrt(spread / n)
    law = 0.5 * (1 + torch.erf(z.sort().values / math.sqrt(2)))
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    distance = max(float((law - steps[:-1]).max()), float((steps[1:] - law).max()))
    assert distance < 1.95 / math.sqrt(n)


@pytest.mark.parametrize("kind", [KeyedNoise, PathNoise])
def test_disjoint_intervals_images_and_seeds_are_independent(kind):
    like = torch.empty(2, 100_000)
    marks = [14.6, 8.0, 7.99, 1.0, 0.3, 0.03]
    draws = []
    for seed in (1, 2):
        noise = kind(seed, [0, 1])
        for start, end in zip(marks, marks[1:]):
            draws += noise(like, Draw(1.0, start, end))
        draws += noise(like, Draw(1.0, 1.0, 2.0))  # up, as in churn
        draws += noise(like, Draw(1.0, 8.0, 7.99, 1))  # the same interval once more
    for a, b in itertools.combinations(draws, 2):
        assert abs(correlation(a, b)) < 5 / math.sqrt(100_000)


@pytest.mark.parametrize("kind", [KeyedNoise, PathNoise])
@pytest.mark.parametrize("shape", [(6, 5), (4, 8, 9), (4, 3, 6, 7)])
def test_an_image_gets_what_it_would_get_alone(kind, shape):
    """Latents of rank 3, 4 and 5; ``of`` is the source that a single image has."""
    like, draw = torch.empty(3, *shape), Draw(1.0, 2.0, 1.3)
    together = kind(7, [0, 3, 8])
    noise = together(like, draw)
    assert noise.shape == like.shape and noise.dtype == like.dtype
    for k, image in enumerate([0, 3, 8]):
        assert torch.equal(noise[k : k + 1], kind(7, [image])(like[:1], draw))
        assert torch.equal(noise[k : k + 1], together.of(k)(like[:1], draw))
    half = together(like.bfloat16(), draw)
    assert half.dtype == torch.bfloat16 and torch.equal(half, noise.bfloat16())


# The path ------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64 - 1), st.lists(levels, min_size=3, max_size=3, unique=True))
def test_two_halves_are_the_whole(seed, marks):
    """W(b) - W(a) and W(c) - W(b) sum to W(c) - W(a), and their variances likewise in octaves."""
    a, b, c = sorted(marks, reverse=True)
    like = torch.empty(1, 50)
    path = PathNoise(seed, [0])
    parts = path.increment(like, a, b) + path.increment(like, b, c)
    torch.testing.assert_close(parts, PathNoise(seed, [0]).increment(like, a, c), atol=1e-5, rtol=0)
    # A leaf is 2**-10 octaves wide; the path is linear in it.
    assert path.variance(a, c) == pytest.approx(math.log2(a / c), abs=2**-10)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64 - 1), st.lists(levels, min_size=2, max_size=8, unique=True))
def test_where_a_run_asks_does_not_change_the_path(seed, marks):
    """W(sigma) has the same bits whatever was asked before, in any order."""
    like, top = torch.empty(2, 9), 6000.0
    walked = PathNoise(seed, [0, 1])
    for end in marks:
        fresh = PathNoise(seed, [0, 1]).increment(like, top, end)
        assert torch.equal(walked.increment(like, top, end), fresh)


@pytest.mark.parametrize("start, end", [(1.0, 0.9), (14.6, 0.03), (1.0, 0.9999), (0.7501, 0.75)])
def test_the_paths_increment_has_its_stated_variance(start, end):
    """Inside one linear leaf, across a few, and over nine octaves."""
    path = PathNoise(3, [0])
    found = float(path.increment(MANY, start, end).var())
    assert found == pytest.approx(path.variance(start, end), rel=5 * math.sqrt(2 / MANY.numel()))


@pytest.mark.parametrize("middle", [8.0, 2.0, 0.11])
def test_the_path_between_two_known_levels_is_a_brownian_bridge(middle):
    """Given both ends, W in the middle is normal about the line with variance l r / (l + r)."""
    path, top, bottom = PathNoise(5, [0]), 14.0, 0.05
    left, right = math.log2(top / middle), math.log2(middle / bottom)
    whole = path.increment(MANY, top, bottom)
    rest = path.increment(MANY, top, middle) - left / (left + right) * whole
    n = MANY.numel()
    assert abs(correlation(rest, whole)) < 5 / math.sqrt(n)
    # The ends lie inside leaves, whose width is the room left here.
    assert float(rest.var()) == pytest.approx(left * right / (left + right), rel=0.012, abs=2**-9)


def test_the_path_beyond_its_ends_and_in_one_point_is_independent_noise():
    like, path = torch.empty(1, 1000), PathNoise(0, [0])
    for draw in (Draw(1.0, 2.0**40, 2.0**35), Draw(1.0, 2.0**-35, 2.0**-40),
                 Draw(1.0, 1.0, math.nextafter(1.0, 0.0))):
        noise = path(like, draw)
        assert torch.isfinite(noise).all() and 0.8 < float(noise.std()) < 1.2


def test_a_path_serves_latents_of_another_shape():
    path, draw = PathNoise(4, [0]), Draw(1.0, 2.0, 1.0)
    for shape in ((1, 8), (1, 3, 3), (1, 8)):
        like = torch.empty(shape)
        assert torch.equal(path(like, draw), PathNoise(4, [0])(like, draw))


def test_finer_steps_follow_the_same_path():
    """dx = sigma dW along one path: twice the steps move the result less and less.

    Independent draws have no such limit: every step count gives another picture.
    """
    x = torch.randn(1, 2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 10
    spec = schedules.ModelSpec.discrete()

    def picture(kind, steps):
        sigmas = schedules.get("exponential").sigmas(spec, steps)
        plan = lambda s, p: samplers.get("euler_ancestral").plan(s, p)  # noqa: E731
        denoise = lambda x, s: x / (1 + s[:, None] ** 2)  # noqa: E731
        return run(plan, denoise, x, sigmas, VE, noise=kind(1, [0])).x

    def moved(kind, steps):
        return float((picture(kind, 2 * steps) - picture(kind, steps)).std())

    assert moved(PathNoise, 160) < 0.6 * moved(PathNoise, 40)
    assert moved(KeyedNoise, 160) > 0.9 * moved(KeyedNoise, 40)


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_a_run_cut_in_two_follows_the_same_path(cut):
    x = torch.randn(2, 6, generator=torch.Generator().manual_seed(0)) * 14
    sigmas = schedules.get("karras").sigmas(schedules.ModelSpec.discrete(), 9).tolist()
    plan = lambda s, p: samplers.get("euler_ancestral").plan(s, p)  # noqa: E731
    denoise = lambda x, s: x / (1 + s[:, None] ** 2)  # noqa: E731

    def part(levels, **extra):
        return run(plan, denoise, x, levels, VE, noise=PathNoise(1, [0, 1]), **extra)

    first = part(sigmas, until=cut)
    assert torch.equal(part(sigmas).x, part(sigmas[cut:], carry=first).x)
