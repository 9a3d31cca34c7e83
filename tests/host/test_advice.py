"""Automatic and the warnings on the nodes, and which family each model of the host is."""

from types import SimpleNamespace

import pytest
import torch

pytestmark = pytest.mark.host


def as_model(comfy, config, **network):
    """What advice asks of a MODEL, with the host's own config."""
    import comfy.supported_models

    made = getattr(comfy.supported_models, config)({"in_channels": 4, "hidden_size": 6144})
    made.unet_config = {**made.unet_config, **network}
    sampling = SimpleNamespace(sigma_max=torch.tensor(14.6), shift=1.0)
    return SimpleNamespace(
        model=SimpleNamespace(model_config=made), get_model_object=lambda name: sampling
    )


def family(comfy, config, **network):
    from stride.host.lists.model import facts_of

    return facts_of(as_model(comfy, config, **network))


@pytest.mark.parametrize("config, expected", [
    ("SD15", "sd15"), ("SD20", "sd2"), ("SDXL", "sdxl"), ("SSD1B", "sdxl"), ("SVD_img2vid", "svd"),
    ("SD3", "sd3"), ("Flux", "flux"), ("FluxSchnell", "flux_schnell"), ("Flux2", "flux2"),
    ("WAN21_I2V", "wan"), ("HunyuanVideo", "hunyuan_video"), ("HunyuanVideo15", "hunyuan_video15"),
    ("HunyuanImage21", "hunyuan_image"), ("LTXV", "ltxv"), ("QwenImage", "qwen"),
    ("Lumina2", "lumina2"), ("ZImage", "z_image"), ("HiDream", "hidream"), ("Chroma", "chroma"),
    ("ChromaRadiance", "chroma_radiance"), ("StableAudio", "stable_audio"), ("ACEStep", "ace_step"),
    ("CosmosT2V", "cosmos"), ("CosmosI2VPredict2", "cosmos2"), ("AuraFlow", "aura_flow"),
    ("PixArtSigma", "pixart"), ("GenmoMochi", "mochi"), ("Omnigen2", "omnigen2"),
    ("Stable_Cascade_C", "cascade_c"), ("Stable_Cascade_B", "cascade_b"), ("LotusD", "lotus"),
    ("HunyuanImage21Refiner", "hunyuan_image_refiner"), ("SDXLRefiner", "sdxl_refiner"),
    ("SD_X4Upscaler", "x4_upscaler"), ("Hunyuan3Dv2mini", "hunyuan3d"), ("SV3D_p", "svd"),
])  # fmt: skip
def test_family_of_the_hosts_models(comfy, config, expected):
    assert family(comfy, config).family == expected


DETECTORS = {"RT_DETR_v4", "SAM3", "SAM31", "DepthAnything3"}  # nothing is sampled from them


def test_every_model_class_of_the_host_is_known(comfy):
    """Whatever the host: 0.3.75 has 65 of them, 0.33 has 97 and its detectors."""
    import comfy.supported_models

    classes = {kind.__name__ for kind in comfy.supported_models.models} - DETECTORS
    assert len(classes) > 60
    assert {name for name in classes if not family(comfy, name).family} == set()


def test_facts_that_are_no_class_of_the_host(comfy):
    assert family(comfy, "SD15", in_channels=9).family == "sd15_inpaint"
    assert family(comfy, "Flux", guidance_embed=True).guided
    assert not family(comfy, "Flux", guidance_embed=False).guided
    assert family(comfy, "FluxSchnell", yak_mlp=True).family == "ovis"


def test_the_demo_model_is_known():
    from stride.host.demo import load
    from stride.host.lists.model import facts_of

    for kind, expected in (("eps", "demo"), ("v", "demo"), ("flow", "demo_flow")):
        assert facts_of(load(kind)[0]).kind == expected


@pytest.mark.parametrize("config, steps, distilled, schedule, says", [
    ("FluxSchnell", 4, "none", "flux_schnell", None),
    ("FluxSchnell", 20, "none", "trailing", "made for 1 to 4 steps, not 20"),
    ("SDXL", 8, "lightning", "sdxl_lightning", None),
    ("SDXL", 6, "lightning", "trailing", "made for 1, 2, 4 or 8 steps, not 6"),
    ("WAN21_T2V", 8, "lightning", "wan_lightning", None),
    ("WAN21_T2V", 6, "lightning", "simple", "wan_lightning is made for 4 or 8 steps, not 6"),
    ("WAN21_I2V", 10, "distilled", "simple", "so simple stands in"),
    ("WAN21_T2V", 3, "lightning", "simple", "not 3"),
    ("Flux2", 20, "turbo", "flux2", "flux2_turbo is made for 8 steps, not 20"),
    ("SDXL", 12, "turbo", "trailing", "made for 1 to 10 steps, not 12"),
    ("LTXV", 8, "distilled", "linear_quadratic", None),
    ("LTXV", 5, "distilled", "linear_quadratic", None),
])  # fmt: skip
def test_a_preset_without_levels_for_the_steps(comfy, config, steps, distilled, schedule, says):
    """Like levels where a plain schedule has them, and the note says so."""
    from stride.host.choice import settle

    _, found, why = settle(
        as_model(comfy, config), steps, 1.0, "automatic", "automatic", distilled
    )
    assert found.name == schedule
    assert says in why if says else "stands in" not in why


def test_a_row_brings_the_options_of_its_schedule(comfy):
    """Chroma Radiance's beta distribution, as in its workflow; a person's own go before them."""
    from stride.host import choice

    model = as_model(comfy, "ChromaRadiance")
    _, found, _ = choice.settle(model, 30, 3.5, "automatic", "automatic")
    assert (found.options.alpha, found.options.beta) == (0.4, 0.4)
    _, plain, _ = choice.settle(as_model(comfy, "Chroma"), 26, 3.5, "automatic", "automatic")
    assert plain.options == plain.entry.options
    mine, _ = choice.schedule_for(model, choice.Later("schedule", {"beta": 0.7}), 30)
    assert (mine.options.alpha, mine.options.beta) == (0.4, 0.7)


def test_the_end_of_a_longer_run_is_judged_by_the_whole(comfy):
    """As in an official workflow: 8 steps at denoise 0.35 are the end of 22, so cfg 13 is right."""
    from stride.host.choice import choose

    model = as_model(comfy, "SD15")
    model.get_model_object("").sigmas = torch.linspace(0.03, 14.6, 1000)
    end = choose(model, 8, 13.0, "dpmpp_sde", "simple", denoise=0.35)
    begun = choose(model, 8, 13.0, "dpmpp_sde", "simple")
    assert not end.notes and "goes too far" in begun.notes[0]
    assert choose(model, 6, 7.0, "automatic", "automatic", denoise=0.3).sampler.name == "dpmpp_2m"
    assert choose(model, 6, 7.0, "automatic", "automatic").sampler.name == "adams_2"
    assert choose(model, 6, 7.0, "automatic", "karras", denoise=0.0).sampler.name == "adams_2"


def test_a_distilled_schedule_says_what_the_sampler_is(comfy):
    from stride.host.choice import settle

    sampler, _, why = settle(as_model(comfy, "SDXL"), 4, 1.0, "automatic", "SDXL Lightning")
    assert sampler.name == "euler" and "SDXL lightning" in why
    assert settle(as_model(comfy, "SDXL"), 20, 7.0, "automatic", "karras")[0].name == "dpmpp_2m"


def test_automatic_is_ours_alone(object_info):
    """First in the dropdowns of our nodes, and in no list of the host."""
    for node in ("StrideKSampler", "StrideKSamplerAdvanced", "StrideSampler", "StrideSchedule"):
        for name, (_, told) in object_info[node]["input"]["required"].items():
            if name in ("sampler", "schedule"):
                assert told["options"][0] == "automatic"
    stock = object_info["KSampler"]["input"]["required"]
    assert "automatic" not in stock["sampler_name"][0] + stock["scheduler"][0]


@pytest.mark.parametrize("prediction, sampler, schedule",
                         [("eps", "adams_2", "karras"), ("flow", "euler", "beta")])
def test_automatic_is_what_it_says(host, scene, prediction, sampler, schedule):
    """From every node, whole and in two parts; the node tells the choice and the reason."""
    graph = scene(prediction, size=128)
    auto = dict(sampler="automatic", schedule="automatic", steps=6)
    named = dict(sampler=sampler, schedule=schedule, steps=6)
    first = graph.advanced(**auto, end_at_step=3, return_with_leftover_noise="enable")
    rest = graph.advanced(
        **auto, start_at_step=3, add_noise="disable", latent_image=first[0]
    )
    nodes = [graph.stride(**named), graph.stride(**auto), rest, graph.custom(**named),
             graph.custom(**auto)]
    found, outputs = host.run_saving(graph, nodes)
    by_name, whole, parts, custom_by_name, custom = found
    assert torch.equal(whole, by_name) and torch.equal(parts, by_name)
    assert torch.equal(custom, custom_by_name)
    (report,) = outputs[nodes[1].id]["stride"]
    assert (report["sampler"], report["schedule"]) == (sampler, schedule)
    (line,) = outputs[nodes[1].id]["text"]
    assert f"automatic is {sampler} on {schedule} (the demo model" in line
    assert "note" not in outputs[nodes[0].id]["stride"][0]


def test_a_distillation_without_a_row_is_refused(host, scene):
    graph = scene(size=128)
    node = graph.stride(sampler="automatic", schedule="karras", distilled="lightning")
    host.refusal(graph, node, "knows no 'lightning' for the demo model")


def test_options_of_what_automatic_chose(host, scene):
    """Its own are taken; those of another sampler are refused, and the reason is told."""
    graph = scene(size=128)
    mine = graph.add("StrideSampler", sampler="adams_2", eta=0.5)[1]
    other = graph.add("StrideSampler", sampler="euler", eta=0.5)[1]
    auto = dict(sampler="automatic", schedule="karras")
    loud, named = host.latents(
        graph, graph.stride(**auto, options=mine), graph.stride(sampler="adams_2", options=mine)
    )
    assert torch.equal(loud, named)
    says = "this node runs 'adams_2'.*automatic is adams_2"
    host.refusal(graph, graph.stride(**auto, options=other), says)


def test_options_set_for_automatic_go_to_what_it_chooses(host, scene):
    graph = scene(size=128)
    any_of = graph.add("StrideSampler", sampler="automatic", eta=0.5)[1]
    mine = graph.add("StrideSampler", sampler="adams_2", eta=0.5)[1]
    found, named = host.latents(
        graph, graph.stride(sampler="automatic", options=any_of),
        graph.stride(sampler="adams_2", options=mine),
    )
    assert torch.equal(found, named)


def test_warnings_stand_on_the_node_and_stop_nothing(host, scene):
    graph = scene(size=128)
    bad = graph.stride(sampler="dpmpp_3m", schedule="karras", steps=6, cfg=5.5)
    good = graph.stride(sampler="dpmpp_2m", schedule="karras", steps=6, cfg=5.5)
    burnt = graph.stride(sampler="automatic", schedule="automatic", steps=4, cfg=12.0)
    outputs = host.run_saving(graph, [bad, good, burnt])[1]
    assert "warning: dpmpp_3m combines 3 answers" in outputs[bad.id]["text"][0]
    assert "warning: cfg 12 in 4 steps goes too far" in outputs[burnt.id]["text"][0]
    assert "warning" not in outputs[good.id]["text"][0]


def test_a_zero_terminal_snr_model_is_known_by_its_noise(host, scene):
    graph = scene("v", size=128)
    graph.model = graph.add(
        "ModelSamplingDiscrete", model=graph.model, sampling="v_prediction", zsnr=True
    )[0]
    nodes = [graph.stride(sampler=sampler, schedule=schedule, steps=12) for sampler, schedule in (
        ("automatic", "automatic"), ("euler", "karras"), ("euler", "ddim_uniform"),
        ("euler", "trailing"),
    )]
    outputs = host.run_saving(graph, nodes)[1]
    auto, karras, late, good = (outputs[node.id]["text"][0] for node in nodes)
    assert "automatic is dpmpp_2m on beta (a zero-terminal-SNR model" in auto
    assert "warning: karras spends most steps above sigma 15" in karras
    assert "warning: ddim_uniform starts at sigma" in late
    assert "warning" not in good and "warning: karras" not in late


def test_the_curve_of_automatic(host):
    """Drawn for the kind of model that is chosen, with the reason."""
    for model, schedule in (("sdxl", "karras"), ("zsnr", "beta"), ("flux", "simple")):
        told = host.call(f"/stride/sigmas?schedule=automatic&steps=20&model={model}")
        named = host.call(f"/stride/sigmas?schedule={schedule}&steps=20&model={model}")
        assert told["sigmas"] == named["sigmas"] and told["schedule"] == schedule
        assert f"automatic is {schedule}" in told["note"]
