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
    ("HunyuanImage21", ""), ("LTXV", "ltxv"), ("QwenImage", "qwen"), ("Lumina2", "lumina2"),
    ("ZImage", "z_image"), ("HiDream", "hidream"), ("Chroma", "chroma"),
    ("ChromaRadiance", "chroma"), ("StableAudio", "stable_audio"), ("ACEStep", "ace_step"),
    ("CosmosT2V", "cosmos"), ("CosmosI2VPredict2", "cosmos2"), ("AuraFlow", "aura_flow"),
    ("PixArtSigma", "pixart"), ("GenmoMochi", "mochi"), ("Omnigen2", "omnigen2"),
    ("Stable_Cascade_C", ""), ("LotusD", ""), ("HunyuanImage21Refiner", ""),
])  # fmt: skip
def test_family_of_the_hosts_models(comfy, config, expected):
    assert family(comfy, config).family == expected


def test_facts_that_are_no_class_of_the_host(comfy):
    assert family(comfy, "SD15", in_channels=9).family == "sd15_inpaint"
    assert family(comfy, "Flux", guidance_embed=True).guided
    assert not family(comfy, "Flux", guidance_embed=False).guided


@pytest.mark.parametrize("config, steps, distilled, schedule", [
    ("FluxSchnell", 4, "none", "flux_schnell"), ("FluxSchnell", 20, "none", "trailing"),
    ("SDXL", 8, "lightning", "sdxl_lightning"), ("SDXL", 6, "lightning", "trailing"),
    ("WAN21_T2V", 8, "lightning", "wan_lightning"), ("WAN21_T2V", 6, "lightning", None),
])
def test_a_preset_without_levels_for_the_steps(comfy, config, steps, distilled, schedule):
    """Like levels where a plain schedule has them; else an error that says what was chosen."""
    from stride.host.choice import settle

    model = as_model(comfy, config)
    if schedule:
        _, found, _ = settle(model, steps, 1.0, "automatic", "automatic", distilled)
        assert found.name == schedule
    else:
        with pytest.raises(ValueError, match="wan_lightning.*made for 4 or 8 steps, not 6"):
            settle(model, steps, 1.0, "automatic", "automatic", distilled)


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
                         [("eps", "dpmpp_2m", "karras"), ("flow", "euler", "simple")])
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
    assert f"automatic is {sampler} on {schedule} (family unknown" in line
    assert "note" not in outputs[nodes[0].id]["stride"][0]


def test_a_distillation_without_a_row_is_refused(host, scene):
    graph = scene(size=128)
    node = graph.stride(sampler="automatic", schedule="karras", distilled="lightning")
    host.refusal(graph, node, "knows no 'lightning' for a VE model")


def test_options_of_what_automatic_chose(host, scene):
    """Its own are taken; those of another sampler are refused, and the reason is told."""
    graph = scene(size=128)
    mine = graph.add("StrideSampler", sampler="dpmpp_2m", eta=0.5)[1]
    other = graph.add("StrideSampler", sampler="euler", eta=0.5)[1]
    auto = dict(sampler="automatic", schedule="karras")
    loud, named = host.latents(
        graph, graph.stride(**auto, options=mine), graph.stride(sampler="dpmpp_2m", options=mine)
    )
    assert torch.equal(loud, named)
    says = "this node runs 'dpmpp_2m'.*automatic is dpmpp_2m"
    host.refusal(graph, graph.stride(**auto, options=other), says)


def test_options_set_for_automatic_go_to_what_it_chooses(host, scene):
    graph = scene(size=128)
    any_of = graph.add("StrideSampler", sampler="automatic", eta=0.5)[1]
    mine = graph.add("StrideSampler", sampler="dpmpp_2m", eta=0.5)[1]
    found, named = host.latents(
        graph, graph.stride(sampler="automatic", options=any_of),
        graph.stride(sampler="dpmpp_2m", options=mine),
    )
    assert torch.equal(found, named)


def test_warnings_stand_on_the_node_and_stop_nothing(host, scene):
    graph = scene(size=128)
    bad = graph.stride(sampler="dpmpp_3m", schedule="karras", steps=5, cfg=7.5)
    good = graph.stride(sampler="dpmpp_2m", schedule="karras", steps=5, cfg=7.5)
    outputs = host.run_saving(graph, [bad, good])[1]
    assert "warning: dpmpp_3m combines 3 answers" in outputs[bad.id]["text"][0]
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
