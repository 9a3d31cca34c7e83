"""Advice: every row can be run, automatic keeps to its table, warnings fire and stay quiet."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import stride
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import load_bench_problems
from stride import advice, samplers, schedules
from stride.advice import CLASSES, DISTILLED, FAMILIES, ROWS, RULES, Model, Run, choose, warnings

ROOT = Path(__file__).parent.parent
# What ComfyUI's supported_models.py says of each: a curve for it (shift, sigma range).
SPECS = {
    "sd2": schedules.ModelSpec.discrete(), "svd": schedules.ModelSpec.svd(),
    "zsnr": schedules.ModelSpec.discrete(zero_terminal_snr=True),
    "cosmos": schedules.ModelSpec.cosmos(), "cosmos2": schedules.ModelSpec.cosmos(),
    "stable_audio": schedules.ModelSpec.edm(0.03, 500.0),
    "cogvideox": schedules.ModelSpec.discrete(zero_terminal_snr=True),
    **dict.fromkeys(
        ("sd15", "sd15_inpaint", "x4_upscaler", "lotus", "zero123", "sdxl", "sdxl_refiner",
         "cascade_c", "cascade_b", "pixart", "hunyuan_dit", "demo", "ve"),
        schedules.ModelSpec.discrete(),
    ),
}
SDXL = Model("sdxl", False, 14.6)
FLUX = Model("flux", True, 1.0, guided=True)
ZSNR = Model("sdxl", False, 4518.8)
PAGE = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")


def spec_of(row):
    return SPECS.get(row.family) or schedules.ModelSpec.flow(3.0)


def model_of(row):
    spec = spec_of(row)
    family = "" if row.family in ("zsnr", "ve", "flow") else row.family
    return Model(family, spec.process is samplers.FLOW, spec.sigma_max)


def called(row):
    return f"{row.family}-{'-'.join(row.forms)}-{row.sampler}-{row.steps[0]}"


@pytest.mark.parametrize("row", ROWS, ids=called)
def test_a_row_can_be_run(row):
    """Its names are ours, its ranges are ranges, and a model of its family gets levels."""
    assert row.family in FAMILIES and set(row.forms) <= {"", *DISTILLED} and row.forms
    assert row.steps[0] <= row.steps[1] and 1 <= row.cfg[0] <= row.cfg[1]
    for name in (row.sampler, *row.samplers):
        assert samplers.get(name).name == name
    assert row.source and row.grade in advice.SAYS
    for name in (row.schedule, *row.schedules):
        entry = schedules.get(name)
        assert entry.name == name
        counts = [n for n in entry.counts if row.steps[0] <= n <= row.steps[1]]
        assert counts or not entry.counts
        steps = counts[0] if counts else row.steps[0]
        assert len(entry.sigmas(spec_of(row), steps)) == steps + 1
    entry = schedules.get(row.schedule)
    options = dict(row.options)
    assert not options or entry.sigmas(spec_of(row), 10, **options)[1] != entry.sigmas(
        spec_of(row), 10
    )[1]


@pytest.mark.parametrize("row", ROWS, ids=called)
def test_a_row_is_chosen_where_it_is_good_and_has_no_warning_there(row):
    """Both ends of its ranges, by all its names; unknown models have no ends."""
    for form in row.forms:
        for steps in row.steps:
            for cfg in row.cfg:
                picked = choose(model_of(row), steps, cfg, form).row
                shared = row.family == "qwen" and form == "turbo"  # two LoRAs meet at 4 steps
                assert (picked.sampler, picked.schedule) == (row.sampler, row.schedule) or shared
                run = Run(model_of(row), steps, cfg, row.sampler, row.schedule, form)
                assert warnings(run) == [] or row.family in advice.UNKNOWN


def test_measured_rows_name_a_page_that_has_it():
    for source in (r.source for r in ROWS if r.grade == "measured"):
        section = source.split("'")[1]
        assert "docs/accuracy.md" in source
        assert section in PAGE or section == "mixture, CFG 4 and 7.5, eps"
    assert "## mixture, CFG 4, eps" in PAGE and "## mixture, CFG 7.5, eps" in PAGE


def test_every_family_has_a_row_and_every_row_a_model():
    assert {r.family for r in ROWS if "" in r.forms} == set(FAMILIES)
    by_noise = {"sd15_inpaint", "ovis", "demo_flow", "zsnr", *advice.UNKNOWN}
    assert set(CLASSES.values()) == set(FAMILIES) - by_noise


@pytest.fixture(scope="module")
def official():
    """What was read out of ComfyUI's own workflows, and the module that knows how."""
    folder = str(ROOT / "devtools")
    sys.path.append(folder)
    try:
        import official
    finally:
        sys.path.remove(folder)
    return official


def test_no_setting_of_an_official_workflow_is_warned_of(official):
    """With its distillation named and without: a person may not know what a file is."""
    found = official.recorded()
    assert len(found) > 130 and len({name for names in found.values() for name in names}) > 230
    assert {key: said for key in found if (said := official.warned(stride, key))} == {}


def test_automatic_is_a_pair_of_the_official_workflows_or_has_a_better_source(official):
    differs = official.differences(stride, official.recorded())
    assert {row.grade for *_, row in differs} == {"authors"}
    assert {family for family, *_ in differs} == {
        "flux_schnell", "sd3", "wan", "mochi", "flux2"
    }


@pytest.mark.parametrize("key, workflow", [
    # cases/templates.md of the field, one of each kind; typed from there
    (("hidream_o1", "distilled", 28, 1.0, "lcm", "normal"), "image_hidream_o1_dev"),
    (("flux2", "", 20, 5.0, "euler", "flux2"), "image_flux2_klein_text_to_image"),
    (("flux2", "distilled", 4, 1.0, "euler", "flux2"), "image_flux2_klein_image_edit_4b_distilled"),
    (("wan", "", 20, 3.5, "euler", "simple"), "video_wan2_2_14B_t2v"),
    (("wan", "lightning", 4, 1.0, "euler", "simple"), "video_wan2_2_14B_t2v"),
    (("wan", "lightning", 6, 1.0, "uni_pc", "simple"), "video_humo"),
    (("ltxv", "distilled", 8, 1.0, "euler_ancestral", "linear_quadratic"), "video_ltx2_3_ic_lora"),
    (("ltxv", "distilled", 8, 1.0, "euler", "linear_quadratic"), "video_ltx2_i2v_distilled"),
    (("stable_audio3", "", 50, 7.0, "lcm", "simple"), "audio_stable_audio_3_medium_base"),
    (("sdxl", "turbo", 1, 1.0, "euler_ancestral", "sd_turbo"), "sdxlturbo_example"),
    (("qwen", "turbo", 2, 1.0, "euler", "simple"), "image_qwen_image_2512_with_2steps_lora"),
    (("kandinsky5", "", 50, 5.0, "euler_ancestral", "beta"), "video_kandinsky5_t2v"),
    (("z_image", "", 25, 4.0, "res_multistep", "simple"), "image_z_image"),
    (("sd15", "", 22, 13.0, "dpmpp_sde", "simple"), "latent_upscale_different_prompt_model"),
])  # fmt: skip
def test_what_was_read_out_of_the_workflows(official, key, workflow):
    assert workflow in official.recorded()[key]


def node(number, kind, values=(), inputs=(), outputs=()):
    """A node of a saved workflow. inputs: (name, type, link)."""
    return {
        "id": number, "type": kind, "widgets_values": list(values),
        "inputs": [{"name": n, "type": t, "link": k} for n, t, k in inputs],
        "outputs": [{"name": t, "type": t, "links": []} for t in outputs],
    }


def switch(number, kind, on, off):
    inputs = [("on_true", kind, on), ("on_false", kind, off)]
    return node(number, "ComfySwitchNode", [False], inputs, [kind])


def test_a_workflow_is_read_as_the_frontend_would_send_it(official):
    """Through a subgraph's promoted value, a reroute, and switches of model and steps."""
    import templates

    ends = {1: (-10, 0), 2: (-10, 1), 3: (4, 0), 4: (2, 0), 5: (3, 0), 9: (1, 0)}
    inner = {
        "id": "aa", "outputs": [{"name": "LATENT", "linkIds": [9]}],
        "inputs": [{"name": "model", "type": "MODEL"}, {"name": "cfg", "type": "FLOAT"}],
        "nodes": [
            node(1, "KSampler", [0, "fixed", 30, 1.0, "euler", "simple", 0.5],
                 [("model", "MODEL", 1), ("cfg", "FLOAT", 2), ("steps", "INT", 3)], ["LATENT"]),
            node(2, "PrimitiveInt", [8, "fixed"], (), ["INT"]),
            node(3, "PrimitiveInt", [20, "fixed"], (), ["INT"]), switch(4, "INT", 4, 5),
        ],
        "links": [{"id": k, "origin_id": a, "origin_slot": b} for k, (a, b) in ends.items()],
    }
    whole = {
        "nodes": [
            node(1, "UNETLoader", ["a.safetensors", "default"], (), ["MODEL"]),
            node(2, "LoraLoaderModelOnly", ["fast.safetensors", 1.0], [("model", "MODEL", 1)],
                 ["MODEL"]),
            switch(3, "MODEL", 2, 3), node(4, "Reroute", (), [("", "*", 4)], ["MODEL"]),
            node(5, "aa", [4.5], [("model", "MODEL", 5), ("cfg", "FLOAT", None)], ["LATENT"]),
        ],
        "links": [[1, 1, 0, 2, 0, "MODEL"], [2, 2, 0, 3, 0, "MODEL"], [3, 1, 0, 3, 1, "MODEL"],
                  [4, 3, 0, 4, 0, "MODEL"], [5, 4, 0, 5, 0, "MODEL"]],
        "definitions": {"subgraphs": [inner]},
    }
    plain, fast = templates.read("mine", whole)
    assert (plain.model, plain.loras, plain.steps, plain.cfg) == ("a.safetensors", (), 20, 4.5)
    assert (fast.loras, fast.steps, fast.denoise) == (("fast.safetensors",), 8, 0.5)


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
    (Model("hidream", True, 1.0), 28, 5, "", "euler", "normal"),
    (Model("hidream", True, 1.0), 20, 3, "", "euler", "simple"),
    (Model("z_image", True, 1.0), 25, 4, "", "res_multistep", "simple"),
    (Model("flux2", True, 1.0), 20, 5, "", "euler", "flux2"),
    (Model("flux2", True, 1.0), 8, 1, "turbo", "euler", "flux2_turbo"),
    (Model("ltxv", True, 1.0), 8, 1, "", "euler", "linear_quadratic"),
    (Model("qwen", True, 1.0), 8, 1, "turbo", "euler", "qwen_turbo"),
    (Model("cogvideox", False, 4519.0), 50, 6, "", "ddim", "trailing"),
    (Model("demo", False, 14.6), 20, 2, "", "adams_2", "karras"),
    (Model("", True, 1.0), 20, 4, "", "euler", "simple"),
    (Model("", False, 80.0), 20, 4, "", "dpmpp_2m", "karras"),
])  # fmt: skip
def test_automatic_is_what_the_issue_and_the_sources_say(
    model, steps, cfg, distilled, sampler, schedule
):
    row, reason = choose(model, steps, cfg, distilled)
    assert (row.sampler, row.schedule) == (sampler, schedule)
    assert advice.SAYS[row.grade] in reason and "dev.py" not in reason
    assert model.family or "family unknown" in reason


@given(
    st.sampled_from(sorted(FAMILIES)), st.booleans(), st.floats(0.1, 1e4),
    st.integers(1, 10_000), st.one_of(st.none(), st.floats(0.0, 100.0)),
)
def test_automatic_always_finds_a_row(family, flow, top, steps, cfg):
    row, reason = choose(Model(family, flow, top), steps, cfg)
    assert row in ROWS and "" in row.forms and reason


def test_a_number_of_steps_that_no_row_has_is_told():
    model = Model("wan", True, 1.0)
    for steps, far in ((12, True), (20, False), (60, False), (70, True)):
        assert ("the nearest that is known" in choose(model, steps, 5).reason) is far


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
        (Run(Model("wan", True, 1.0), 4, 1, "euler", "karras", "lightning"),
         {"schedule": "simple"}),
        (Run(Model("wan", True, 1.0), 4, 1, "dpmpp_2m", "simple", "lightning"),
         {"sampler": "uni_pc"}),
        (Run(Model("svd", False, 700.0), 4, 1, "euler", "karras", "hyper"), {"distilled": ""}),
    ],
    "doubled_guidance": [(Run(FLUX, 20, 3.5, "euler", "simple"), {"cfg": 1.0})],
    "renoising": [(replace(QUIET, sampler="lcm"), {"distilled": "lcm"}),
                  (replace(QUIET, sampler="lcm"), {"sampler": "euler"}),
                  (Run(Model("wan", True, 1.0), 20, 1, "lcm", "simple"), {"steps": 6}),
                  (replace(QUIET, sampler="lcm"), {"model": Model("stable_audio3", True, 1.0)})],
    "strong_cfg_pp": [(replace(QUIET, cfg_pp=True), {"cfg": 1.5})],
    "overdriven": [
        (Run(Model("demo", False, 14.6), 4, 12, "dpmpp_2m", "karras"), {"steps": 12}),
        (Run(Model("demo", False, 14.6), 20, 30, "dpmpp_2m", "karras"), {"cfg": 20.0}),
        (Run(Model("", False, 14.6), 6, 8, "euler", "normal"), {"steps": 8}),
        (Run(Model("", True, 1.0), 4, 13, "euler", "simple"), {"cfg": 12.0}),
        (Run(SDXL, 4, 7, "adams_2", "karras"), {"cfg_pp": True}),
    ],
    "far_outside": [
        (Run(Model("demo", False, 14.6), 20, 7.5, "euler", "karras"), {"cfg": 4.0}),
        (Run(Model("sd15", False, 14.6), 4, 1, "euler", "karras"), {"distilled": "lcm"}),
        (Run(Model("ace_step15", True, 1.0), 8, 5, "euler", "simple"), {"cfg": 1.0}),
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


@pytest.mark.parametrize("spec, schedule, steps, cfg", [
    (schedules.ModelSpec.discrete(), "normal", 6, 7.5),
    (schedules.ModelSpec.flow(3.0), "simple", 4, 20),
])  # fmt: skip
def test_cfg_above_the_number_of_steps_goes_too_far(spec, schedule, steps, cfg):
    """What the rule warns of is a tenth too large or more; in thrice the steps it is not."""
    bench = load_bench_problems()
    problem = bench.Problem("guided", spec.process is samplers.FLOW, bench.guided(cfg))
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(8, problem.size, generator=generator, dtype=torch.float64)
    noise = noise * spec.sigma_max
    exact = problem.solve(noise, spec.sigma_max, steps=150).norm()

    def size(n):
        sigmas = schedules.get(schedule).sigmas(spec, n).double()
        return samplers.sample("euler", problem, noise, sigmas, spec.process).norm() / exact

    assert size(steps) > 1.1 and size(3 * steps) < 1.05


def test_presets_are_the_schedules_with_step_counts():
    """Flux schnell's apart: that is a family of its own, which the host knows."""
    presets = {entry.name for entry in schedules.REGISTRY if entry.counts} - {"flux_schnell"}
    assert {name for name in schedules.REGISTRY.names if advice.preset_of(name)} == presets


def test_automatic_is_no_name_of_a_registry():
    assert advice.AUTOMATIC not in samplers.REGISTRY and advice.AUTOMATIC not in schedules.REGISTRY
