"""Curves that go by the size of the picture: the run's latent tells it, unless an option does."""

from dataclasses import replace

import pytest
import torch
from stride import schedules
from stride.schedules import Canvas, ModelSpec
from stride.schedules.flow import LTXV, SCHEDULES, Size

SIZED = [entry for entry in SCHEDULES if isinstance(entry.options, (Size, LTXV))]
CANVAS = Canvas((9, 48, 80), 16)  # frames, height, width


def spec(canvas=None):
    return replace(ModelSpec.flow(), canvas=canvas)


def asked(entry):
    """The same size, said by options."""
    if isinstance(entry.options, LTXV):
        return {"tokens": 9 * 48 * 80}
    return {"width": 80 * 16, "height": 48 * 16}


def test_what_a_canvas_is():
    assert (CANVAS.width, CANVAS.height, CANVAS.tokens) == (1280, 768, 34560)
    assert str(CANVAS) == "a latent of 9 x 80 x 48 (1280 x 768 px)"
    assert str(Canvas((128, 128), 16)) == "a latent of 128 x 128 (2048 x 2048 px)"
    assert Canvas((500,), 1).tokens == 500  # a sound


@pytest.mark.parametrize("entry", SIZED, ids=lambda entry: entry.name)
def test_the_size_of_the_latent(entry):
    options = asked(entry)
    own, said = entry.sigmas(spec(CANVAS), 8), entry.sigmas(spec(), 8, **options)
    plain = entry.sigmas(spec(), 8)
    assert torch.equal(own, said) and not torch.equal(own, plain)
    assert entry.note(spec(CANVAS), 8) == f"for {CANVAS}"
    assert "no latent is connected" in entry.note(spec(), 8)
    # What is said wins, and needs no words.
    other = Canvas((16, 16))
    assert torch.equal(entry.sigmas(spec(other), 8, **options), said)
    assert entry.note(spec(other), 8, **options) is None


def test_without_a_latent_it_is_the_hosts_default():
    for name, options in (("flux2", {"width": 1024, "height": 1024}), ("ltxv", {"tokens": 4096})):
        entry = schedules.get(name)
        assert torch.equal(entry.sigmas(spec(), 8), entry.sigmas(spec(), 8, **options))


def test_one_side_alone():
    entry = schedules.get("flux2")
    both = entry.sigmas(spec(), 8, width=512, height=768)
    assert torch.equal(entry.sigmas(spec(CANVAS), 8, width=512), both)


def test_a_shift_that_is_given_asks_for_no_size():
    entry = schedules.get("flux_shift")
    assert entry.note(spec(), 8, by="mu") is None
    assert torch.equal(entry.sigmas(spec(CANVAS), 8, by="mu"), entry.sigmas(spec(), 8, by="mu"))
