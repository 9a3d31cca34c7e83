"""A1111 webui 1.10.1's own lists of sigmas, recorded in float32.

With A1111's table most values agree in every bit. The others are apart in the last one or two,
because the processor that recorded them rounds exp, tan and square roots otherwise than ours:
PyTorch's own results move as much between its AVX2 and its plain kernels.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stride import schedules
from stride.schedules import ModelSpec

GOLDEN = json.loads((Path(__file__).parent / "golden" / "a1111_schedules.json").read_text())
# Their word for a list, where ours is another or theirs means something else.
OURS = {
    "automatic": "uniform", "beta": "beta_a1111", "kl_optimal": "kl_optimal_a1111",
    "ddim": "ddim_uniform",
}
SETTINGS = {
    "use_old_karras_scheduler_sigmas": {"sigma_min": 0.1, "sigma_max": 10.0},
    "always_discard_next_to_last_sigma": {"discard_penultimate": True},
}
SPELLING = {"beta_dist_alpha": "alpha", "beta_dist_beta": "beta"}


def sd15():
    """A1111's table: float32 alpha_bar, then float32 arithmetic.

    The entries that the recorded lists show as such are put in, two of which differ in the last
    bit from what NumPy makes of the same formula.
    """
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    bar = np.cumprod(1 - betas).astype(np.float32)
    table = ((1 - bar) / bar) ** np.float32(0.5)
    known = {}
    for row in GOLDEN["sd15"]:
        if row["scheduler"] == "simple":
            indices = [999 - int(x * 1000 / row["n"]) for x in range(row["n"])]
            known.update(zip(indices, row["sigmas"]))
        elif row["scheduler"] == "ddim":
            known.update(zip(range(1, 1000, 1000 // row["n"])[::-1], row["sigmas"]))
    changed = 0
    for index, sigma in {**known, 0: GOLDEN["sigma_min"]}.items():
        assert table[index] == pytest.approx(sigma, rel=1.2e-7)
        changed += table[index] != np.float32(sigma)
        table[index] = sigma
    assert changed <= 2 and len(known) > 150
    return bar, table


BAR, TABLE = sd15()


def zero_terminal_snr():
    root = np.sqrt(BAR)
    root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
    bar = root**2
    bar[-1] = 4.8973451890853435e-08
    return ((1 - bar) / bar) ** np.float32(0.5)


def sd3():
    t = np.arange(1, 1001, dtype=np.float32) / np.float32(1000)
    return replace(ModelSpec.flow(3.0), sigmas=(3 * t / (1 + 2 * t)).astype(np.float32))


SPECS = {
    "sd15": ModelSpec.from_table(TABLE),
    "options": ModelSpec.from_table(TABLE),
    "zero_terminal_snr": ModelSpec.from_table(zero_terminal_snr()),
    "sd3_shift3": sd3(),
    "lcm": ModelSpec.from_table(np.array(GOLDEN["lcm_table"], dtype=np.float32)),
}
# share of values with every bit equal; how far the others may be apart, in relative terms
EXPECTED = {
    "sd15": (0.9, 1e-6), "options": (0.9, 1e-6), "zero_terminal_snr": (0.75, 3e-6),
    "sd3_shift3": (0.9, 1e-6), "lcm": (0.6, 1e-6),
}


def both(group, row, spec):
    """(our list, theirs as the contract wants it) or None where theirs has too many values."""
    word = row.get("scheduler", row.get("label")).lower().replace(" ", "_")
    name = OURS.get(word, word)
    options = {}
    for key, value in row.get("opts", {}).items():
        options.update(SETTINGS.get(key) or {SPELLING.get(key, key): value})
    theirs = np.array(row["sigmas"], dtype=np.float32)
    if name == "kl_optimal_a1111":
        theirs[-1] = 0.0  # theirs ends at sigma_min
    if len(theirs) != row["n"] + 1:
        assert name == "ddim_uniform" and 1000 % row["n"]
        return None
    # Their exp(log(sigma_max)) is above sigma_max by one rounding.
    theirs = np.minimum(theirs, np.float32(spec.sigma_max))
    return schedules.get(name).sigmas(spec, row["n"], **options).numpy(), theirs


@pytest.mark.parametrize("group", SPECS)
def test_with_their_table(group):
    same = values = 0
    share, within = EXPECTED[group]
    for row in GOLDEN[group]:
        if pair := both(group, row, SPECS[group]):
            np.testing.assert_allclose(*pair, rtol=within, atol=0, err_msg=str(row)[:80])
            same, values = same + np.sum(pair[0] == pair[1]), values + len(pair[0])
    assert same >= share * values and values > 30


def test_with_the_hosts_table():
    """Another rounding of the same betas: 1.3e-5 apart at sigma_min, where alpha_bar is near 1."""
    spec = ModelSpec.discrete()
    for row in GOLDEN["sd15"]:
        if pair := both("sd15", row, spec):
            np.testing.assert_allclose(*pair, rtol=1.35e-5, atol=0)


def test_ddim_lists_too_long():
    """The counts at which A1111's DDIM list breaks the contract, as recorded."""
    long = {row["n"]: len(row["sigmas"]) for row in GOLDEN["sd15"]
            if row["scheduler"] == "ddim" and len(row["sigmas"]) != row["n"] + 1}
    assert long == {11: 13, 15: 17, 30: 32}
    for n in long:
        assert len(schedules.get("ddim_uniform").sigmas(SPECS["sd15"], n)) == n + 1
