"""Published tables, typed anew from the papers and from the packs that have them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stride import schedules
from stride.schedules import ModelSpec
from stride.schedules.spec import FAMILIES

GOLDEN = Path(__file__).parent / "golden"
SD = ModelSpec.discrete()
ZSNR = ModelSpec.discrete(zero_terminal_snr=True)
WIDE = ModelSpec.from_table(np.geomspace(0.002, 700.0, 1000))  # SVD's range
EDM = ModelSpec.from_table(np.geomspace(0.002, 80.0, 1000))
MODELS = {
    "sd": SD, "zsnr": ZSNR, "wide": WIDE, "edm": EDM, "flow": ModelSpec.flow(),
    "flow 1.15": ModelSpec.flow(1.15), "flow 8": ModelSpec.flow(8.0),
    "flow 12": ModelSpec.flow(12.0), "flux": ModelSpec.flow(3.16, timesteps=10_000),
}
TABLES = ["align_your_steps", "align_your_steps_a1111", "align_your_steps_30",
          "align_your_steps_32", "align_your_steps_gits", "denoising_trajectory", "optimal_steps"]


def of(family, spec=SD):
    return replace(spec, family=family)


def values(name, spec, steps, **options):
    return schedules.get(name).sigmas(spec, steps, **options).double().numpy()


def equal(ours, published, spec=SD):
    """Digit for digit: the published decimals in float32, no value above the model's largest."""
    expected = np.minimum(np.float32(published), np.float32(spec.sigma_max))
    np.testing.assert_array_equal(ours[:-1].astype(np.float32), expected)
    assert ours[-1] == 0


# Table 3 of arXiv:2404.14507; the last value is where 0 is put.
PRINTED = {
    "sd15": "14.615, 6.475, 3.861, 2.697, 1.886, 1.396, .963, .652, .399, .152, .029",
    "sdxl": "14.615, 6.315, 3.771, 2.181, 1.342, .862, .555, .380, .234, .113, .029",
    "svd": "700, 54.5, 15.886, 7.977, 4.248, 1.789, .981, .403, .173, .034, .002",
    "deepfloyd": "160.41, 8.081, 3.315, 1.885, 1.207, .785, .553, .293, .186, .030, .006",
}
FORGE_32 = {
    "sdxl": "14.615, 11.1491618, 8.50522127, 6.48827151, 5.43707402, 4.60398619, 3.89854704, "
            "3.27407457, 2.74396527, 2.29968659, 1.95448514, 1.67108715, 1.42878152, 1.23181009, "
            "1.06789649, .92579443, .80290886, .69660121, .60436903, .52852552, .46773344, "
            ".41393379, .36258186, .31008517, .26518925, .22326461, .17653877, .13959192, "
            ".10587381, .05519369, .02877334, .015",
    "sd15": "14.615, 11.23951352, 8.64363081, 6.64729424, 5.57250862, 4.71648546, 3.99196065, "
            "3.51956090, 3.13490466, 2.79228788, 2.48773628, 2.21663865, 1.97508351, 1.77931720, "
            "1.61475335, 1.46540953, 1.31484900, 1.16642497, 1.03475547, .91573744, .80748169, "
            ".71202361, .62173900, .53065202, .45290960, .37491455, .27461819, .20115290, "
            ".14105873, .06682881, .03166121, .015",
}
FORGE_GITS = {
    "sdxl": "14.615, 4.734, 2.567, 1.529, .987, .652, .418, .268, .179, .127, .029",
    "sd15": "14.615, 4.617, 2.507, 1.236, .702, .402, .240, .156, .104, .094, .029",
}


def numbers(text):
    return [float(part) for part in text.split(",")]


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize(
    "name, tables",
    [("align_your_steps_a1111", PRINTED), ("align_your_steps_32", FORGE_32),
     ("align_your_steps_gits", FORGE_GITS)],
)
def test_forge_and_a1111_tables(name, tables, family):
    """n values make n steps, with 0 behind them."""
    published = numbers(tables[family])
    equal(values(name, of(family), len(published)), published)
    other = {"sd15": "sdxl", "sdxl": "sd15"}[family]
    equal(values(name, of(other), len(published), table=family), published)


@pytest.mark.parametrize("family, timesteps", [
    ("sd15", [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]),
    ("sdxl", [999, 845, 730, 587, 443, 310, 193, 116, 53, 13]),
])  # fmt: skip
def test_align_your_steps_is_the_models_sigma_at_the_authors_timesteps(family, timesteps):
    ours = values("align_your_steps", of(family), 10)
    np.testing.assert_allclose(ours[:-1], SD.sigmas[timesteps], rtol=3e-7)
    # The paper's three decimals are the same but for its own rounding of the timesteps.
    np.testing.assert_allclose(ours[:-1], numbers(PRINTED[family])[:-1], rtol=0.016)
    # On a zero-terminal-SNR model the timesteps are kept, and the sigmas are the model's own.
    rescaled = values("align_your_steps", of(family, ZSNR), 10)
    np.testing.assert_allclose(rescaled[:-1], ZSNR.sigmas[timesteps], rtol=1e-6)


def test_align_your_steps_of_svd_and_deepfloyd():
    for spec in (of("svd", WIDE), WIDE):  # known by name, or by its range
        equal(values("align_your_steps", spec, 10), numbers(PRINTED["svd"])[:-1], WIDE)
    pixels = ModelSpec.from_table(np.geomspace(0.006, 160.41, 1000))
    ours = values("align_your_steps", pixels, 10, table="deepfloyd")
    equal(ours, numbers(PRINTED["deepfloyd"])[:-1], pixels)


def test_thirty_steps_of_sdxl():
    timesteps = numbers(
        "999, 953, 904, 850, 813, 777, 738, 695, 650, 602, 556, 510, 462, 417, 374, 331, 290, 250,"
        " 214, 182, 155, 131, 108, 85, 66, 49, 32, 20, 12, 3"
    )
    for spec in (of("sdxl"), of("sdxl", ZSNR)):
        ours = values("align_your_steps_30", spec, 30)
        np.testing.assert_allclose(ours[:-1], spec.sigmas[np.int64(timesteps)], rtol=1e-6)


@pytest.mark.parametrize("row", json.loads((GOLDEN / "a1111_align_your_steps.json").read_text()),
                         ids=lambda row: f"{row['n']}")
def test_a1111_at_all_step_counts(row):
    ours = values("align_your_steps_a1111", of("sdxl" if row["is_sdxl"] else "sd15"), row["n"])
    if row["n"] == 1:
        assert row["sigmas"][0] == pytest.approx(0.029)  # A1111 would change next to nothing
        assert ours[0] == np.float32(SD.sigma_max)
    else:  # its 14.615 is above the model's largest sigma, ours is that
        np.testing.assert_allclose(ours, np.minimum(row["sigmas"], ours[0]), rtol=2e-7)


def test_optimal_steps():
    flux = numbers(".9968, .9886, .9819, .975, .966, .9471, .9158, .8287, .5512, .2808")
    wan = numbers("1, .997, .995, .993, .991, .989, .987, .985, .98, .975, .973, .968, .96, .946,"
                  ".927, .902, .864, .776, .539, .208")
    for shift in (1.0, 3.0, 8.0):  # whatever the model's own shift
        equal(values("optimal_steps", of("flux", ModelSpec.flow(shift)), 10), flux)
        equal(values("optimal_steps", of("wan", ModelSpec.flow(shift)), 20), wan)
    chroma = values("optimal_steps", of("chroma", ModelSpec.flow()), 40)
    assert chroma[[0, 1, 20, 39]] == pytest.approx([0.992, 0.99, 0.69, 0.048])


def test_denoising_trajectory():
    ten = numbers("14.61464119, 5.85520077, 2.84484982, 1.67050016, 1.08895338, .74807048, "
                  ".50118381, .32104823, .19894916, .09824532")
    equal(values("denoising_trajectory", of("sd15"), 10), ten)
    equal(values("denoising_trajectory", of("sd15"), 10, coefficient=1.2), ten)
    equal(values("denoising_trajectory", of("sd15"), 2, coefficient=0.8), [14.61464119, 7.49001646])
    equal(values("denoising_trajectory", of("sd15"), 1), [14.61464119])
    # Between two published coefficients: the geometric mean of the neighbours half way.
    low, middle, high = (
        values("denoising_trajectory", of("sd15"), 7, coefficient=c)[:-1]
        for c in (1.1, 1.125, 1.15)
    )
    np.testing.assert_allclose(middle, np.sqrt(low * high), rtol=1e-6)
    assert (low != high).any()


@given(coefficient=st.floats(0.8, 1.5), steps=st.integers(1, 30))
@settings(deadline=None, max_examples=60)
def test_denoising_trajectory_takes_any_coefficient(coefficient, steps):
    levels = values("denoising_trajectory", of("sd15"), steps, coefficient=coefficient)
    assert len(levels) == steps + 1 and (np.diff(levels) < 0).all()


# Other models ---------------------------------------------------------------------------------


def snr(spec, sigmas):
    """log(alpha / sigma); a FLOW sigma of 1, where it is infinite, counts as 0.999."""
    sigmas = sigmas if spec.process is SD.process else 0.999 * sigmas
    return np.log([spec.process.alpha(s) / s for s in sigmas])


@pytest.mark.parametrize("model", ["edm", "wide", "flow", "flow 8", "flux"])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_foreign_table_keeps_its_shape_in_log_snr(family, model):
    """Its range becomes the model's, and ratios of log-SNR distances stay what they were."""
    spec = MODELS[model]
    ours = values("align_your_steps", spec, 10, table=family)[:-1]
    home = values("align_your_steps", of(family), 10)[:-1]
    assert ours[0] == pytest.approx(spec.sigma_max, rel=1e-6)
    stretch = np.diff(snr(spec, np.array([spec.sigma_max, spec.sigma_min])))
    stretch /= np.diff(snr(SD, np.array([SD.sigma_max, SD.sigma_min])))
    there, here = np.diff(snr(SD, home)), np.diff(snr(spec, ours))
    np.testing.assert_allclose(here, stretch * there, rtol=1e-3)  # float32 next to sigma 1


def test_what_is_said_of_a_table():
    note = schedules.get("align_your_steps").note
    assert note(of("sd15"), 10) is None and note(of("sdxl"), 10) is None
    assert note(of("svd", WIDE), 10) is None
    assert note(SD, 10) == "made for SD1.5; this model has the same range of noise"
    assert note(of("sdxl"), 10, table="sd15") == note(SD, 10)
    assert note(of("sdxl", ZSNR), 10) == "made for SDXL; used by its timesteps"
    assert note(of("flux", MODELS["flux"]), 10) == "made for SD1.5; mapped through log-SNR"
    note = schedules.get("optimal_steps").note
    assert note(of("flux", MODELS["flux"]), 10) is None
    assert note(MODELS["flow 8"], 10) == "made for FLUX.1; this model has the same range of noise"
    assert "FLUX.1; mapped" in schedules.get("optimal_steps").note(of("sd15"), 10)
    assert "mapped" in schedules.get("denoising_trajectory").note(EDM, 10)
    assert schedules.get("karras").note(EDM, 10) is None


def test_an_unknown_table_is_named():
    with pytest.raises(ValueError, match="option 'table' must be one of auto, sd15, sdxl, svd"):
        schedules.get("align_your_steps").sigmas(SD, 10, table="flux")


@pytest.mark.parametrize("name", TABLES)
@settings(deadline=None, max_examples=60)
@given(
    model=st.sampled_from(sorted(MODELS)), family=st.sampled_from(["", *FAMILIES]),
    steps=st.one_of(st.integers(1, 60), st.integers(1, 10_000)),
)
def test_contract_whatever_the_family(name, model, family, steps):
    spec, entry = of(family, MODELS[model]), schedules.get(name)
    known = entry.options.OPTIONS.get("table")
    for table in known.values if known else [None]:
        sigmas = entry.sigmas(spec, steps, **({"table": table} if table else {}))
        assert len(sigmas) == steps + 1 and sigmas[-1] == 0
        assert torch.isfinite(sigmas).all() and (sigmas[1:] < sigmas[:-1]).all()
        assert float(sigmas[0]) <= np.float32(spec.sigma_max)
        assert float(sigmas[0]) >= 0.99 * spec.sigma_max  # a run begins at pure noise
