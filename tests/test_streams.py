"""Streams of noise beside recorded draws of A1111 webui 1.10.1 and published test vectors."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from problems import gaussian
from stride import library, samplers
from stride.engine.noise import source
from stride.engine.streams import GENERATORS, A1111Noise, NvGenerator, philox_4x32
from stride.samplers import VE, Draw
from stride.samplers.entry import NOISES

GOLDEN = json.loads((Path(__file__).parent / "golden" / "a1111_rng.json").read_text())
KINDS = {"CPU": "a1111", "NV": "a1111_nv"}
SIGMAS = (10.0, 4.0, 1.0, 0.3, 0.0)

# Random123 1.14 (Salmon et al. 2011), kat_vectors: counter, key, answer of philox4x32 10.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_philox_known_answers(counter, key, answer):
    low, high = words(key)
    both = np.array([words(counter), words(KNOWN[0][0])], dtype=np.uint32).T
    assert philox_4x32(both, low | high << 32)[:, 0].tolist() == words(answer)


@pytest.mark.parametrize("row", GOLDEN["philox"], ids=lambda row: str(row["seed"]))
def test_nv_draws(row):
    """Bit for bit; the seed 123456789012 fills both words of the key."""
    generator = NvGenerator(row["seed"])
    first, second = generator.draw(row["shape"]), generator.draw(row["shape"])
    assert first.flatten()[:8].tolist() == row["call0_first8"]
    assert second.flatten()[:8].tolist() == row["call1_first8"]
    assert float(first.double().sum()) == pytest.approx(row["call0_sum"], abs=1e-9)


@pytest.mark.parametrize("known", [True, False], ids=["asked_first", "initial_noise_elsewhere"])
@pytest.mark.parametrize(
    "row", GOLDEN["image_rng"], ids=lambda row: f"{row['source']}-{row['options'].get('ensd', 0)}"
)
def test_images_of_a_batch(row, known):
    """The initial noise and two later draws; the draws follow it whoever drew the initial noise."""
    ensd = row["options"].get("ensd", 0)
    noise = A1111Noise(KINDS[row["source"]], row["seeds"][0], range(2), ensd)
    like = torch.empty(2, 4, 8, 8)
    if known:
        start = noise.first(like.shape)
        assert start[0].flatten()[:8].tolist() == row["initial_0"]
        assert start[1].flatten()[:8].tolist() == row["initial_1"]
    first, second = noise(like, Draw(1.0, 2.0, 1.0)), noise(like, Draw(1.0, 1.0, 0.5))
    assert first[0].flatten()[:8].tolist() == row["step1_0"]
    assert first[1].flatten()[:8].tolist() == row["step1_1"]
    assert second[0].flatten()[:8].tolist() == row["step2_0"]
    assert float(first.double().sum()) == pytest.approx(row["step1_sum"], abs=1e-4)
    assert torch.equal(first, noise(like, Draw(0.5, 2.0, 1.0)))  # a name that comes again


@pytest.mark.parametrize("kind", GENERATORS)
def test_an_image_gets_what_it_would_get_alone(kind):
    like, draw = torch.empty(3, 4, 6, 5), Draw(1.0, 2.0, 1.0)
    together = A1111Noise(kind, 2**64 - 2, [0, 1, 5], 7)  # seeds wrap, they do not overflow
    first = together(like, draw)
    for k, image in enumerate([0, 1, 5]):
        assert torch.equal(first[k : k + 1], together.of(k)(like[:1], draw))
        alone = A1111Noise(kind, 2**64 - 2, [image], 7)
        assert torch.equal(first[k : k + 1], alone(like[:1], draw))
    with pytest.raises(ValueError, match="3 images.*batch of 2"):
        together(like[:2], Draw(1.0, 1.0, 0.5))


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_run_draws_once_for_every_noisy_step(kind):
    """The run and hand-made ancestral Euler steps with the generator's draws agree."""
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)) * SIGMAS[0]
    denoise = lambda x, s: gaussian(VE)(x, s).float()  # noqa: E731
    found = samplers.sample("euler_ancestral", denoise, x, SIGMAS, seed=5, noise=kind, ensd=3)
    out = []
    for k in range(2):
        generator, image = GENERATORS[kind](5 + k + 3), x[k : k + 1]
        for sigma, sigma_next in zip(SIGMAS, SIGMAS[1:]):
            up = sigma_next * (1 - (sigma_next / sigma) ** 2) ** 0.5
            down = (sigma_next**2 - up**2) ** 0.5
            d = denoise(image, torch.tensor([sigma]))
            image = d + down / sigma * (image - d)
            if up:
                image = image + up * generator.draw((1, 4))
        out.append(image)
    torch.testing.assert_close(found, torch.cat(out), rtol=1e-5, atol=1e-5)


def test_the_noise_option_is_heard_wherever_a_run_starts():
    """samplers.sample, the library's sample and its stepper; each kind gives its own noise."""
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)) * SIGMAS[0]
    denoise, found = gaussian(VE), {}
    for kind in NOISES[:2] + tuple(GENERATORS):
        options = dict(sigmas=SIGMAS, process=VE, seed=5, noise=kind)
        found[kind] = library.sample(denoise, x, "euler_ancestral", **options)
        stepper = library.stepper("euler_ancestral", prediction="sample", **options)
        y = x
        for t, sigma in zip(stepper.timesteps, SIGMAS):
            y = stepper.step(denoise(y, torch.full((2,), sigma)), t, y).prev_sample
        torch.testing.assert_close(y, found[kind].to(y), rtol=1e-5, atol=1e-5)
    results = [*found.values()]
    assert not any(torch.equal(a, b) for a, b in zip(results, results[1:]))


def test_kinds_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="one of independent, path, host, a1111, a1111_nv"):
        samplers.sample("euler", gaussian(VE), torch.zeros(1, 4), SIGMAS, noise="pink")
    options = samplers.get("euler").configure(noise="host")
    with pytest.raises(ValueError, match="'host' needs ComfyUI; here.*independent, path, a1111"):
        source(options, 0, range(1))
    options = samplers.get("euler").configure(noise="a1111_nv")
    with pytest.raises(ValueError, match="Brownian tree of torchsde"):
        source(options, 0, range(1), brownian=True)
