"""Names of other programs: A1111's as recorded from 1.10.1 and older releases, and our own."""

import json
import re
from pathlib import Path

import pytest
import stride
from hypothesis import given
from hypothesis import strategies as st
from stride import names, samplers, schedules
from stride.names import a1111, resolve
from stride.names.told import told

FOLDER = Path(__file__).parent / "golden"
GOLDEN = json.loads((FOLDER / "a1111_names.json").read_text())
RELEASES = json.loads((FOLDER / "a1111_legacy_samplers.json").read_text())
# The releases of the recorded tables, by their dates.
VERSIONS = {
    "00117a07": "", "231562ea": "v1.2.1", "be16d274": "v1.5.0", "8d54739d": "v1.6.0",
    "v1.7.0-amd": "v1.7.0", "v1.8.0-amd": "v1.8.0", "v1.9.0": "v1.9.0", "82a973c0": "v1.10.1",
}


def test_it_is_the_librarys():
    assert stride.resolve is names.resolve


# A1111, exact ------------------------------------------------------------------------------------


def test_tables():
    """Labels, aliases and facts, in their order."""
    facts = {
        "discard_penultimate": "discard_next_to_last_sigma", "second_order": "second_order",
        "brownian": "brownian_noise", "uses_ensd": "uses_ensd",
    }
    assert [s["label"] for s in GOLDEN["samplers"]] == [s.label for s in a1111.SAMPLERS]
    for theirs, ours in zip(GOLDEN["samplers"], a1111.SAMPLERS):
        assert theirs["aliases"] == list(ours.aliases)
        assert theirs["options"].get("scheduler", "") == ours.schedule
        for mine, key in facts.items():
            assert theirs["options"].get(key, False) == getattr(ours, mine), (ours.label, key)
    rows = [(s["label"], s["name"], tuple(s["aliases"] or ())) for s in GOLDEN["schedulers"]]
    assert rows == [(s.label, s.name, s.aliases) for s in a1111.SCHEDULES]


def test_resolution():
    for row in GOLDEN["resolution"]:
        names = row["sampler"], row["scheduler"]
        assert list(a1111.sampler_and_schedule(*names)) == row["api"], row
        assert list(a1111.sampler_and_schedule(*names, convert_automatic=False)) == row["process"]
        pair = resolve(*names, exact=True)
        sampler, curve = a1111.ours(*row["process"])
        assert (pair.sampler, pair.schedule) == (sampler[0], curve[0])


def test_hires():
    for row in GOLDEN["hires"]:
        text = row["infotext"]
        assert list(a1111.hires(text)) == row["hires"], text
        base = a1111.sampler_and_schedule(text.get("Sampler"), text.get("Schedule type"))
        assert list(base) == row["base"]


LABELS = [s.label for s in a1111.SAMPLERS]
CURVES = [spelling for s in a1111.SCHEDULES for spelling in (s.label, s.name, *s.aliases)]
words = st.text(max_size=30) | st.sampled_from([*LABELS, *CURVES])


@given(st.lists(words, max_size=4).map(" ".join) | st.none(), words | st.none(), st.booleans())
def test_exact_takes_any_text(sampler, schedule, convert):
    labels = a1111.sampler_and_schedule(sampler, schedule, convert)
    assert labels[0] in a1111.BY_LABEL and labels[1] in a1111.BY_SCHEDULE_LABEL
    # What it says it took is taken for the same when it is read back from a picture.
    assert a1111.sampler_and_schedule(*labels, convert) == labels
    pair = resolve(sampler, schedule, exact=True)
    assert pair.sampler in samplers.REGISTRY.names and pair.schedule in schedules.REGISTRY.names


@given(st.sampled_from(LABELS), st.sampled_from([c for c in CURVES if " " not in c]))
def test_a_suffix_says_what_the_field_says(label, curve):
    """Of one word; "SGM Uniform" and "uniform" are where A1111's rule breaks."""
    row = next(s for s in a1111.SCHEDULES if curve in (s.label, s.name, *s.aliases))
    if curve == "sgm_uniform" or " " not in row.label:
        found = a1111.sampler_and_schedule(f"{label} {curve}", "Beta")
        assert found == a1111.sampler_and_schedule(label, row.label)
        pair = resolve(f"{label} {curve}", exact=True)
        assert pair.sampler == resolve(label, exact=True).sampler


def test_exact_tells_what_it_made_of_an_unknown_name():
    pair = resolve("k_euler_a", exact=True)
    assert pair.sampler == "dpmpp_2m" and "does not know 'k_euler_a'" in pair.notes[0]


# A1111, as it was meant --------------------------------------------------------------------------


def releases():
    for commit, table in RELEASES.items():
        for row in table["samplers"]:
            yield pytest.param(VERSIONS[commit], row, id=f"{VERSIONS[commit]}-{row['label']}")


@pytest.mark.parametrize("version, row", list(releases()))
def test_every_label_of_every_release(version, row):
    """The schedule is the one of that release's own table: Uniform where it names none."""
    pair = resolve(row["label"], version=version)
    function = row["function"].split(".")[-1].removeprefix("sample_")
    if row["options"].get("solver_type") == "heun":
        function += "_heun"
    if not function.startswith("ldm"):
        function = {"restart_sampler": "restart", "ddim_cfgpp": "ddim_cfg_pp"}.get(
            function, function
        )
        assert pair.sampler == samplers.get(function).name
    if pair.sampler not in ("ddim", "ddim_cfg_pp", "plms", "uni_pc", "lcm", "dpm_fast"):
        assert pair.schedule == row["options"].get("scheduler", "uniform")
    for alias in row["aliases"]:
        if alias == "k_dpmpp_2m_sde_ka" and not row["options"].get("scheduler"):
            continue  # two rows of the older tables have it; the one with the schedule is meant
        assert resolve(alias, version=version) == pair, alias


@pytest.mark.parametrize("version, schedule", [
    ("", "uniform"), ("v1.8.0", "uniform"), ("v1.6.0-2-g4afaaf8a", "uniform"), ("???", "uniform"),
    ("1.9.0-RC", "karras"), ("v1.10.1", "karras"), ("f2.0.1v1.10.1-previous-661", "karras"),
    ("f0.0.17v1.8.0rc-latest-276", "uniform"), ("1.10", "karras"), ("v1.8", "uniform"),
])
def test_meaning_changed_at_1_9(version, schedule):
    pair = resolve("DPM++ 2M", "Automatic", version=version)
    assert pair.schedule == schedule
    assert any("before 1.9.0" in note for note in pair.notes) == (schedule == "uniform")
    # 1.10.1 itself does not correct for it.
    assert resolve("DPM++ 2M", "Automatic", exact=True).schedule == "karras"


def test_a_texts_schedules_are_a1111s_own():
    assert resolve("Euler", "Beta", version="v1.10.1").schedule == "beta_a1111"
    assert resolve("Euler KL Optimal", version="v1.10.1").schedule == "kl_optimal_a1111"
    assert resolve("Euler", "Beta").schedule == "beta"
    assert resolve("LMS", version="v1.10.1").options == {"ending": "multistep"}


def test_a_setting_of_1_8_won_over_the_label():
    pair = resolve("DPM++ 2M Karras", "exponential", version="v1.8.0")
    assert (pair.sampler, pair.schedule) == ("dpmpp_2m", "exponential")
    assert "wins over" in pair.notes[0]
    with pytest.raises(ValueError, match="has schedule 'Karras' in its name"):
        resolve("DPM++ 2M Karras", "Exponential", version="v1.10.1")


def test_what_cannot_be_carried_is_said():
    pair = resolve("DDIM", "Karras", version="v1.10.1")
    assert (pair.sampler, pair.schedule) == ("ddim", "ddim_uniform")
    assert any("ignores schedule Karras" in note for note in pair.notes)
    assert any("level before the last" in n for n in resolve("DPM2", version="v1.10.1").notes)


# Ours, and any spelling --------------------------------------------------------------------------


def spelled(entry):
    return [entry.name, entry.label]


@pytest.mark.parametrize("entry", list(samplers.REGISTRY), ids=lambda e: e.name)
def test_our_own_names_stay(entry):
    for name in (*spelled(entry), entry.label.upper(), f"stride_{entry.name}", f" {entry.name} "):
        assert resolve(name) == names.Pair(entry.name)
        for curve in ("karras", "SGM Uniform", "Align Your Steps (A1111)"):
            assert resolve(name, curve) == names.Pair(entry.name, {}, schedules.get(curve).name)


def test_every_combined_name():
    for entry in samplers.REGISTRY:
        for curve in schedules.REGISTRY:
            want = names.Pair(entry.name, {}, curve.name)
            assert resolve(f"{entry.label} {curve.label}") == want
            assert resolve(f"{entry.name}_{curve.name}") == want
            assert resolve(entry.name, curve.label) == want


@given(st.sampled_from(list(samplers.REGISTRY)), st.randoms(use_true_random=False))
def test_case_and_punctuation_do_not_count(entry, random):
    name = random.choice([entry.name, entry.label])
    for old, new in (("_", " "), (" ", "-"), ("++", "pp"), ("ancestral", "a")):
        if random.random() < 0.5:
            name = name.replace(old, new)
    name = "".join(random.choice([c.lower(), c.upper()]) for c in name)
    assert resolve(name).sampler == entry.name


@pytest.mark.parametrize("text, sampler, schedule", [
    ("Euler a Karras", "euler_ancestral", "karras"),
    ("DPM++ 2M SDE Exponential", "dpmpp_2m_sde", "exponential"),
    ("DPM++ 2M SDE Heun Karras", "dpmpp_2m_sde_heun", "karras"),
    ("DPM++ 2M SGM Uniform", "dpmpp_2m", "sgm_uniform"),
    ("DPM++ 2M (Karras)", "dpmpp_2m", "karras"),
    ("dpmpp_2m + karras", "dpmpp_2m", "karras"),
    ("dpmpp_2m/karras", "dpmpp_2m", "karras"),
    ("EulerA", "euler_ancestral", None),
    ("dpmpp_2m_sde_gpu", "dpmpp_2m_sde", None),
    ("k_dpmpp_2m_ka", "dpmpp_2m", "karras"),
    ("DPM++ 2M automatic", "dpmpp_2m", None),
])
def test_spellings(text, sampler, schedule):
    pair = resolve(text)
    assert (pair.sampler, pair.schedule, pair.notes) == (sampler, schedule, ())


@pytest.mark.parametrize("text, sampler, schedule", [
    # InvokeAI: "_k" is Karras; its UniPC is diffusers'.
    ("euler_k", "euler", "karras"), ("heun_k", "heun", "karras"), ("lms_k", "lms", "karras"),
    ("deis_k", "deis", "karras"), ("kdpm_2", "dpm_2", None), ("kdpm_2_k", "dpm_2", "karras"),
    ("kdpm_2_a", "dpm_2_ancestral", None), ("kdpm_2_a_k", "dpm_2_ancestral", "karras"),
    ("dpmpp_2m_k", "dpmpp_2m", "karras"), ("dpmpp_2s_k", "dpmpp_2s", "karras"),
    ("dpmpp_2m_sde_k", "dpmpp_2m_sde", "karras"), ("dpmpp_3m_k", "dpmpp_3m", "karras"),
    ("dpmpp_sde_k", "dpmpp_sde", "karras"), ("unipc_k", "uni_pc_bh2", "karras"),
    # Draw Things
    ("DPM++ 2M AYS", "dpmpp_2m", "align_your_steps"),
    ("DPM++ SDE AYS", "dpmpp_sde", "align_your_steps"),
    ("Euler A AYS", "euler_ancestral", "align_your_steps"),
    ("DPM++ SDE Trailing", "dpmpp_sde", "trailing"), ("UniPC Trailing", "uni_pc", "trailing"),
    ("Euler Ancestral", "euler_ancestral", None),
    # SD.Next
    ("Euler FlowMatch", "euler", None), ("Heun FlowMatch", "heun", None),
    ("LCM FlowMatch", "lcm", None), ("UniPC FlowMatch", "uni_pc_bh2", None),
    ("DPM2 FlowMatch", "dpm_2", None), ("DPM2a FlowMatch", "dpm_2_ancestral", None),
    ("DPM2++ 2M FlowMatch", "dpmpp_2m", None), ("DPM2++ SDE FlowMatch", "dpmpp_sde", None),
    ("DPM2++ 2M SDE FlowMatch", "dpmpp_2m_sde", None),
    ("DPM2++ 3M SDE FlowMatch", "dpmpp_3m_sde", None),
    ("LMSD", "lms", None), ("KDPM2 a", "dpm_2_ancestral", None),
    # NovelAI
    ("ddim_v3", "ddim", None), ("k_dpmpp_2s_ancestral", "dpmpp_2s_ancestral", None),
    ("k_dpmpp_2m_sde", "dpmpp_2m_sde", None), ("k_euler_ancestral", "euler_ancestral", None),
    # stable-diffusion.cpp
    ("dpm++2m", "dpmpp_2m", None), ("dpm++2s_a", "dpmpp_2s_ancestral", None),
    ("euler_a karras", "euler_ancestral", "karras"), ("ddim_trailing", "ddim", "trailing"),
    ("dpm2", "dpm_2", None),
    # WanVideoWrapper: its "dpm++_sde" is the multistep one.
    ("dpm++", "dpmpp_2m", None), ("dpm++_sde", "dpmpp_2m_sde", None),
    ("dpm++_sde/beta", "dpmpp_2m_sde", "beta"), ("dpm++/beta", "dpmpp_2m", "beta"),
    # ComfyUI's Image Saver: the host's names of ours, joined
    ("stride_dpmpp_2m_stride_karras", "dpmpp_2m", "karras"),
    ("euler_stride_beta57", "euler", "beta57"),
])  # fmt: skip
def test_spellings_of_other_programs(text, sampler, schedule):
    pair = resolve(text)
    assert (pair.sampler, pair.schedule, pair.notes) == (sampler, schedule, ())


@pytest.mark.parametrize("name, said", [
    ("res_2m", "'res_2m'; it comes with RES4LYF"),
    ("res_2m_beta57", "'res_2m'; it comes with RES4LYF"),
    ("deis_3m_ode karras", "'deis_3m_ode'; it comes with RES4LYF"),
    ("Euler SMEA Dy CFG++", "it comes with ppm"),
    ("Euler Smea Dy", "it comes with Euler Smea Dyn Sampler"),
    ("dpm++2mv2", "it is a name of stable-diffusion.cpp"),
    ("[Forge] Flux Realistic", "it is a name of Forge"),
    ("[Other] Thing", r"unknown sampler '.Other. Thing'; did you mean"),
    ("DPM++ SDE Turbo", "unknown schedule 'Turbo'; it is a name of Forge"),
    ("DPM++ SDE Substep", "it is a name of Draw Things"),
    ("DPM2++ 2S FlowMatch", "it is a name of SD.Next"),
    ("flowmatch_causvid", "only nodes of WanVideoWrapper"),
    ("DPM SDE", "unknown sampler 'DPM SDE'; did you mean dpmpp_sde"),
    ("nai_smea", "unknown sampler 'nai_smea'"),
])  # fmt: skip
def test_names_of_others_are_no_method_of_ours(name, said):
    with pytest.raises(ValueError, match=said):
        resolve(name)


@given(st.text(max_size=300), st.text(max_size=20) | st.none(), st.none() | st.just("v1.10.1"))
def test_any_names_of_a_text_are_told(sampler, schedule, version):
    """What ``resolve`` knows is the same; of the rest nothing becomes a method of ours."""
    found = told(sampler, schedule, version)
    try:
        assert found == resolve(sampler, schedule, version=version)
    except ValueError as error:
        if "unknown sampler" in str(error):
            assert found.sampler not in samplers.REGISTRY


def test_the_same_schedule_twice_is_no_contradiction():
    assert resolve("Euler a Karras", "KARRAS").schedule == "karras"
    with pytest.raises(ValueError, match="'Euler a Karras' has schedule 'Karras'.*'simple'"):
        resolve("Euler a Karras", "simple")


@pytest.mark.parametrize("names, message", [
    (("DPM++ 2N",), "unknown sampler 'DPM.. 2N'; did you mean .*dpmpp_2m"),
    (("euler a karass",), "'euler a' is a sampler, but unknown schedule 'karass'; did you mean ka"),
    (("euler", "karas"), "unknown schedule 'karas'; did you mean karras"),
    (("",), "no sampler is named"),
    ((None, "karras"), "no sampler is named"),
])
def test_an_unknown_name_is_an_error_with_the_nearest(names, message):
    with pytest.raises(ValueError, match=message):
        resolve(*names)


@given(st.text(max_size=40), st.text(max_size=20) | st.none())
def test_any_text_is_a_pair_or_a_value_error(sampler, schedule):
    try:
        pair = resolve(sampler, schedule)
    except ValueError as error:
        assert re.search("unknown s|no sampler is named|in its name, but", str(error))
    else:
        assert pair.sampler in samplers.REGISTRY.names


def test_settings_go_to_the_one_that_has_them():
    pair = resolve("Euler a", "karras", eta=0.5, rho=5.0)
    assert (pair.options, pair.schedule_options) == ({"eta": 0.5}, {"rho": 5.0})
    with pytest.raises(ValueError, match="'euler' and 'simple' have no option rho"):
        resolve("euler", "simple", rho=5.0)
    with pytest.raises(ValueError, match="option 'eta' must be a number from 0.0 to 100.0"):
        resolve("euler", eta=101.0)
