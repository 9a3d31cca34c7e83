"""Advice: every row can be run, automatic keeps to its table, warnings fire and stay quiet."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import load_bench_problems
from stride import advice, samplers, schedules
from stride.advice import DISTILLED, FAMILIES, ROWS, RULES, Model, Run, choose, warnings

# What ComfyUI's supported_models.py says of each: a curve for it (shift, sigma range).
SPECS = {
    "sd2": schedules.ModelSpec.discrete(), "svd": schedules.ModelSpec.svd(),
    "zsnr": schedules.ModelSpec.discrete(zero_terminal_snr=True),
    "cosmos": schedules.ModelSpec.cosmos(), "cosmos2": schedules.ModelSpec.cosmos(),
    "stable_audio": schedules.ModelSpec.edm(0.03, 500.0),
    **dict.fromkeys(("sd15", "sd15_inpaint", "sdxl", "pixart", "ve"),
                    schedules.ModelSpec.discrete()),
}
SDXL = Model("sdxl", False, 14.6)
FLUX = Model("flux", True, 1.0, guided=True)
ZSNR = Model("sdxl", False, 4518.8)
PAGE = (Path(__file__).parent.parent / "docs" / "accuracy.md").read_text(encoding="utf-8")


def spec_of(row):
    return SPECS.get(row.family) or schedules.ModelSpec.flow(3.0)


def model_of(row):
    spec = spec_of(row)
    family = "" if row.family in ("zsnr", "ve", "flow") else row.family
    return Model(family, spec.process is samplers.FLOW, spec.sigma_max)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.family}-{r.distilled}-{r.sampler}")
def test_a_row_can_be_run(row):
    """Its names are ours, its ranges are ranges, and a model of its family gets levels."""
    assert row.family in FAMILIES and row.distilled in ("", *DISTILLED)
    assert row.steps[0] <= row.steps[1] and 1 <= row.cfg[0] <= row.cfg[1]
    assert samplers.get(row.sampler).name == row.sampler
    assert row.source and row.grade in ("measured", "authors", "convention")
    for name in (row.schedule, *row.also):
        entry = schedules.get(name)
        assert entry.name == name
        counts = [n for n in entry.counts if row.steps[0] <= n <= row.steps[1]]
        assert counts or not entry.counts
        steps = counts[0] if counts else row.steps[0]
        assert len(entry.sigmas(spec_of(row), steps)) == steps + 1


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.family}-{r.distilled}-{r.sampler}")
def test_a_row_is_chosen_where_it_is_good_and_has_no_warning_there(row):
    """Both ends of its ranges, by its own names."""
    for steps in row.steps:
        for cfg in row.cfg:
            picked = choose(model_of(row), steps, cfg, row.distilled).row
            assert (picked.sampler, picked.schedule) == (row.sampler, row.schedule)
            run = Run(model_of(row), steps, cfg, row.sampler, row.schedule, row.distilled)
            assert warnings(run) == []


def test_measured_rows_name_a_page_that_has_it():
    for source in (r.source for r in ROWS if r.grade == "measured"):
        section = source.split("'")[1]
        assert "docs/accuracy.md" in source
        assert section in PAGE or section == "mixture, CFG 4 and 7.5, eps"
    assert "## mixture, CFG 4, eps" in PAGE and "## mixture, CFG 7.5, eps" in PAGE


def test_every_family_has_a_row_and_every_row_a_model():
    assert {r.family for r in ROWS if not r.distilled} == set(FAMILIES)


@pytest.mark.parametrize("model, steps, cfg, distilled, sampler, schedule", [
    (Model("sd15", False, 14.6), 20, 7, "", "dpmpp_2m", "karras"),
    (Model("sd15", False, 14.6), 50, 7.5, "", "ddim", "ddim_uniform"),
    (Model("sd15_inpaint", False, 14.6), 20, 7, "", "ddim", "ddim_uniform"),
    (SDXL, 25, 8, "", "dpmpp_2m", "karras"),
    (SDXL, 8, 7, "", "adams_2", "karras"),
    (SDXL, 4, 1, "lightning", "euler", "sdxl_lightning"),
    (SDXL, 4, 1, "dmd2", "lcm", "trailing"),
    (ZSNR, 28, 5, "", "dpmpp_2m", "beta"),
    (FLUX, 20, 1, "", "euler", "simple"),
    (Model("flux_schnell", True, 1.0), 4, 1, "", "euler", "flux_schnell"),
    (Model("hidream", True, 1.0), 50, 5, "", "uni_pc", "simple"),
    (Model("hidream", True, 1.0), 28, 1, "", "lcm", "normal"),
    (Model("", True, 1.0), 20, 4, "", "euler", "simple"),
    (Model("", False, 80.0), 20, 4, "", "dpmpp_2m", "karras"),
])  # fmt: skip
def test_automatic_is_what_the_issue_and_the_sources_say(
    model, steps, cfg, distilled, sampler, schedule
):
    row, reason = choose(model, steps, cfg, distilled)
    assert (row.sampler, row.schedule) == (sampler, schedule)
    assert row.source in reason and row.grade in reason
    assert model.family or "family unknown" in reason


@given(
    st.sampled_from(sorted(FAMILIES)), st.booleans(), st.floats(0.1, 1e4),
    st.integers(1, 10_000), st.one_of(st.none(), st.floats(0.0, 100.0)),
)
def test_automatic_always_finds_a_row(family, flow, top, steps, cfg):
    row, reason = choose(Model(family, flow, top), steps, cfg)
    assert row in ROWS and not row.distilled and reason


def test_a_distillation_that_nobody_knows_is_an_error_with_those_that_are_known():
    with pytest.raises(ValueError, match="no 'hyper' for Wan; known for it: distilled, lightning"):
        choose(Model("wan", True, 1.0), 4, 1, "hyper")


def test_dmd2_runs_at_the_timesteps_of_its_authors():
    """999, 749, 499 and 249 of SD's 1000 times (tianweiy/DMD2, model card)."""
    spec = schedules.ModelSpec.discrete()
    levels = schedules.get("trailing").sigmas(spec, 4)[:-1]
    assert [round(spec.timestep(float(level))) for level in levels] == [999, 749, 499, 249]


QUIET = Run(SDXL, 25, 8, "dpmpp_2m", "karras")
LATE = Run(ZSNR, 20, 5, "euler", "ddim_uniform", start=42.3)
LOUD = {  # rule: (runs that it warns of, each with its nearest run of which it does not)
    "high_order": [
        (replace(QUIET, sampler="dpmpp_3m", steps=8, answers=3), {"steps": 20}),
        (replace(QUIET, sampler="uni_pc", steps=11, answers=3), {"cfg": 4.0}),
        (replace(QUIET, model=FLUX, sampler="lms", steps=8, answers=4), {"model": SDXL}),
    ],
    "wide_range": [(replace(QUIET, model=ZSNR), {"schedule": "beta"}),
                   (replace(QUIET, model=ZSNR), {"model": SDXL})],
    "late_start": [(LATE, {"model": SDXL}), (LATE, {"start": 4518.0}), (LATE, {"start": None})],
    "distilled_pair": [
        (Run(SDXL, 4, 1, "euler", "karras", "lightning"), {"schedule": "sdxl_lightning"}),
        (Run(SDXL, 4, 1, "dpmpp_2m", "sdxl_lightning"), {"sampler": "euler"}),
        (Run(SDXL, 4, 7, "euler", "sdxl_lightning"), {"cfg": 1.0}),
        (Run(Model("wan", True, 1.0, shift=8.0), 4, 1, "euler", "simple", "lightning"),
         {"model": Model("wan", True, 1.0, shift=5.0)}),
        (Run(Model("svd", False, 700.0), 4, 1, "euler", "karras", "hyper"), {"distilled": ""}),
    ],
    "doubled_guidance": [(Run(FLUX, 20, 3.5, "euler", "simple"), {"cfg": 1.0})],
    "renoising": [(replace(QUIET, sampler="lcm"), {"distilled": "lcm"}),
                  (replace(QUIET, sampler="lcm"), {"sampler": "euler"})],
    "strong_cfg_pp": [(replace(QUIET, cfg_pp=True), {"cfg": 1.5})],
    "far_outside": [
        (replace(QUIET, steps=200), {"steps": 60}), (replace(QUIET, cfg=20.0), {"cfg": 9.0}),
        (replace(QUIET, cfg=1.0), {"cfg": 7.0}),
        (replace(QUIET, cfg=1.0), {"model": Model("", False, 14.6)}),
        (Run(Model("sd3", True, 1.0), 28, 12, "dpmpp_2m", "normal"), {"cfg": 7.0}),
    ],
}


def test_every_rule_is_tried():
    assert [rule.check.__name__ for rule in RULES] == list(LOUD)
    assert all(rule.source and rule.name for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.check.__name__)
def test_a_rule_warns_of_what_is_bad_and_of_nothing_near(rule):
    for run, better in LOUD[rule.check.__name__]:
        assert rule.check(run) in warnings(run)
        assert rule.check(replace(run, **better)) is None
    assert rule.check(QUIET) is None


def median_error(problem, spec, sampler, schedule, steps, noise, exact):
    sigmas = schedules.get(schedule).sigmas(spec, steps).double()
    end = samplers.sample(sampler, problem, noise, sigmas, spec.process)
    return float(((end - exact).norm(dim=1) / exact.norm(dim=1).mean()).median())


@pytest.fixture(scope="module")
def guided():
    """(spec, cfg, sampler, schedule, steps) -> the median error on the guided mixture."""
    solved = {}
    bench = load_bench_problems()

    def error(spec, cfg, sampler, schedule, steps):
        key = (spec.process, spec.sigma_max, cfg)
        flow = spec.process is samplers.FLOW
        if key not in solved:
            problem = bench.Problem("guided", flow, bench.guided(cfg))
            noise = torch.randn(
                8, problem.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64
            ) * spec.sigma_max
            exact = problem.solve(noise, spec.sigma_max, steps=150)
            solved[key] = problem, noise, exact
        problem, noise, exact = solved[key]
        return median_error(problem, spec, sampler, schedule, steps, noise, exact)

    return error


@pytest.mark.parametrize("sampler", ["dpmpp_3m", "uni_pc", "ipndm", "deis"])
def test_three_answers_do_harm_under_strong_guidance_at_few_steps(guided, sampler):
    """Behind Euler where the rule warns; far ahead of it where it does not."""
    for spec, schedule in ((schedules.ModelSpec.discrete(), "karras"),
                           (schedules.ModelSpec.flow(3.0), "beta")):
        assert guided(spec, 7.5, sampler, schedule, 8) > 1.5 * guided(
            spec, 7.5, "euler", schedule, 8
        )
    spec = schedules.ModelSpec.discrete()
    assert guided(spec, 7.5, sampler, "karras", 20) < guided(spec, 7.5, "euler", "karras", 20) / 2


def test_adams_methods_in_sigma_are_spared_on_ve_models_alone(guided):
    ve, flow = schedules.ModelSpec.discrete(), schedules.ModelSpec.flow(3.0)
    assert guided(ve, 7.5, "lms", "karras", 8) < guided(ve, 7.5, "euler", "karras", 8)
    assert guided(flow, 7.5, "lms", "beta", 8) > 2 * guided(flow, 7.5, "euler", "beta", 8)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "uni_pc_bh2"])
def test_karras_does_harm_over_the_range_of_zero_terminal_snr(guided, sampler):
    wide, narrow = schedules.ModelSpec.discrete(zero_terminal_snr=True), SPECS["sdxl"]
    assert guided(wide, 5, sampler, "karras", 20) > 2 * guided(wide, 5, sampler, "beta", 20)
    assert guided(narrow, 5, sampler, "karras", 20) < 2 * guided(narrow, 5, sampler, "beta", 20)


def test_presets_are_the_schedules_with_step_counts():
    """Flux schnell's apart: that is a family of its own, which the host knows."""
    presets = {entry.name for entry in schedules.REGISTRY if entry.counts} - {"flux_schnell"}
    assert {name for name in schedules.REGISTRY.names if advice.preset_of(name)} == presets


def test_automatic_is_no_name_of_a_registry():
    assert advice.AUTOMATIC not in samplers.REGISTRY and advice.AUTOMATIC not in schedules.REGISTRY
