"""Hires (Stride) beside the host's own nodes in a row, and its enlarging beside the host's."""

from types import SimpleNamespace

import pytest
import torch
from client import Failed

pytestmark = pytest.mark.host


def hires(graph, latent, **changes):
    """Hires (Stride) of a latent, 1.5 times, all other settings the first pass's."""
    inputs = dict(
        model=graph.model, positive=graph.positive, negative=graph.negative,
        latent_image=latent[0], upscale_by=1.5, width=0, height=0, upscale_method="bislerp",
        denoise=0.6, steps=0, cfg=0.0, sampler="use same", schedule="use same",
        seed_from="first pass", new_seed=0,
    )  # fmt: skip
    return graph.add("StrideHires", **{**inputs, **changes})


def enlarged(graph, latent, method="bislerp"):
    return graph.add("LatentUpscaleBy", samples=latent[0], upscale_method=method, scale_by=1.5)


FIRST = dict(seed=9, sampler="euler_ancestral", schedule="karras", steps=6, cfg=3.0)


def by_hand(graph, latent, **changes):
    return graph.stride(**{**FIRST, "latent_image": latent[0], "denoise": 0.6, **changes})


@pytest.mark.parametrize("prediction", ["eps", "flow"])
def test_use_same_is_the_first_passs_own_settings(host, scene, prediction):
    graph = scene(prediction)
    first = graph.stride(**FIRST)
    (ours, theirs), outputs = host.run_saving(
        graph, nodes := [hires(graph, first), by_hand(graph, enlarged(graph, first))]
    )
    assert torch.equal(ours, theirs) and ours.shape[-2:] == (48, 48)
    reports = [outputs[node.id]["stride"][0] for node in nodes]
    keys = ("sampler", "schedule", "steps", "model_calls")
    assert [reports[0][key] for key in keys] == [reports[1][key] for key in keys]
    said = outputs[nodes[0].id]["text"][0]
    assert "32 x 32 to 48 x 48: euler_ancestral on karras, cfg 3, seed 9" in said


def test_a_setting_chosen_here_counts(host, scene):
    graph = scene()
    first = graph.stride(**FIRST)
    large = enlarged(graph, first)
    chosen = dict(sampler="dpmpp_2m", schedule="sgm_uniform", steps=4, cfg=5.0)
    pairs = [
        (hires(graph, first, **{name: value}), by_hand(graph, large, **{name: value}))
        for name, value in chosen.items()
    ]
    pairs.append((hires(graph, first, seed_from="new_seed", new_seed=4),
                  by_hand(graph, large, seed=4)))
    found = host.latents(graph, *(node for pair in pairs for node in pair))
    for ours, theirs in zip(found[::2], found[1::2]):
        assert torch.equal(ours, theirs)
    assert not any(torch.equal(found[0], other) for other in found[2::2])


def test_options_of_the_first_pass_go_with_its_sampler(host, scene):
    graph = scene()
    eta = graph.add("StrideSampler", sampler="euler_ancestral", eta=0.4)[1]
    rho = graph.add("StrideSchedule", model=graph.model, schedule="karras", steps=6, denoise=1.0,
                    rho=5.0, options=eta)[1]
    first = graph.stride(**FIRST, options=rho)
    large = enlarged(graph, first)
    ours, theirs, other, theirs_other = host.latents(
        graph,
        hires(graph, first), by_hand(graph, large, options=rho),
        hires(graph, first, schedule="simple"),
        by_hand(graph, large, schedule="simple", options=eta),
    )
    assert torch.equal(ours, theirs)
    assert torch.equal(other, theirs_other)
    assert not torch.equal(ours, other)


def test_use_same_of_automatic_is_what_it_chose(host, scene):
    graph = scene()
    settings = {**FIRST, "sampler": "automatic", "schedule": "automatic"}
    first = graph.stride(**settings)
    (ours, theirs), outputs = host.run_saving(
        graph,
        [node := hires(graph, first), by_hand(graph, enlarged(graph, first), **settings)],
    )
    assert torch.equal(ours, theirs)
    (chosen,) = outputs[node.id]["stride"]
    assert "automatic" not in (chosen["sampler"], chosen["schedule"])


def test_the_record_comes_through_a_chain_and_the_hosts_nodes(host, scene):
    """Two halves, the second without noise and with another seed; then flipped and flipped back."""
    graph = scene()
    settings = {key: FIRST[key] for key in ("sampler", "schedule", "steps", "cfg")}
    half = graph.advanced(
        noise_seed=9, end_at_step=3, return_with_leftover_noise="enable", **settings
    )
    chain = graph.advanced(
        noise_seed=0, start_at_step=3, add_noise="disable", latent_image=half[0], **settings
    )
    flip = chain
    for _ in range(2):
        flip = graph.add("LatentFlip", samples=flip[0], flip_method="y-axis: horizontally")
    same_size = dict(upscale_by=1.0, upscale_method="nearest-exact", denoise=0.3)
    again = hires(graph, hires(graph, chain), **same_size)
    twice = by_hand(graph, by_hand(graph, enlarged(graph, chain)), denoise=0.3)
    ours, flipped, theirs, ours_again, theirs_again = host.latents(
        graph, hires(graph, chain), hires(graph, flip), by_hand(graph, enlarged(graph, chain)),
        again, twice,
    )
    assert torch.equal(ours, theirs)
    assert torch.equal(flipped, theirs)
    assert torch.equal(ours_again, theirs_again)


def test_an_image_of_a_batch_is_the_image_alone(host, scene):
    graph = scene(batch=2)
    first = graph.stride(**FIRST)
    one = [
        graph.add("LatentFromBatch", samples=first[0], batch_index=k, length=1) for k in (0, 1)
    ]
    batch, *alone = host.latents(graph, hires(graph, first), *(hires(graph, x) for x in one))
    # Not bit for bit: a CPU sums a batch of two in another order than one image.
    torch.testing.assert_close(batch, torch.cat(alone), rtol=1e-3, atol=1e-3)
    assert (batch[0] - batch[1]).abs().mean() > 1e-2


def test_a_mask_stays_in_place(host, scene):
    graph = scene()
    first = graph.stride(**FIRST)
    masked = graph.masked(first[0])
    large = enlarged(graph, masked)
    ours, theirs, source = host.latents(graph, hires(graph, masked), by_hand(graph, large), large)
    assert torch.equal(ours, theirs)
    middle = source.shape[-1] // 2
    torch.testing.assert_close(
        ours[..., middle + 2 :], source[..., middle + 2 :], rtol=0, atol=1e-4
    )
    assert (ours - source)[..., : middle - 2].abs().mean() > 1e-2


def test_with_a_vae_the_picture_is_enlarged(host, scene):
    graph = scene()
    first = graph.stride(**FIRST)
    picture = graph.add("VAEDecode", samples=first[0], vae=graph.vae)
    large = graph.add("ImageScale", image=picture[0], upscale_method="lanczos", width=384,
                      height=320, crop="center")
    encoded = graph.add("VAEEncode", pixels=large[0], vae=graph.vae)
    ours, theirs = host.latents(
        graph,
        hires(graph, first, vae=graph.vae, width=384, height=320, upscale_method="lanczos"),
        by_hand(graph, encoded),
    )
    assert ours.shape[-2:] == (40, 48)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_without_a_record_it_says_what_to_choose(host, scene):
    graph = scene()
    stock = graph.stock(sampler="euler", schedule="karras", steps=4)
    node = hires(graph, stock, steps=3, sampler="euler")
    host.refusal(graph, node, "so schedule and cfg and seed cannot be the first pass's", Failed)
    chosen = dict(sampler="euler", schedule="karras", steps=3, cfg=4.0)
    graph = scene()
    stock = graph.stock(sampler="euler", schedule="karras", steps=4)
    ours, theirs = host.latents(
        graph, hires(graph, stock, seed_from="new_seed", new_seed=9, **chosen),
        by_hand(graph, enlarged(graph, stock), **chosen),
    )
    assert torch.equal(ours, theirs)


def model_of(latent_format):
    """A host MODEL as far as enlarging asks it."""
    return SimpleNamespace(get_model_object={"latent_format": latent_format}.get)


@pytest.mark.parametrize("method", ["bilinear", "nearest-exact", "area", "bicubic", "bislerp"])
def test_a_video_is_enlarged_frame_by_frame(comfy, method):
    import comfy.latent_formats as formats
    import comfy.utils
    from stride.host import hires

    video = torch.randn(2, 16, 3, 6, 8, generator=torch.Generator().manual_seed(1))
    latent = {"samples": video, "noise_mask": torch.ones(1, 1, 3, 6, 8), "batch_index": [4, 5]}
    large = hires.enlarge(model_of(formats.Wan21()), latent, hires.Size(by=1.5), method)
    for k in range(3):
        frame = comfy.utils.common_upscale(video[:, :, k], 12, 9, method, "disabled")
        assert torch.equal(large["samples"][:, :, k], frame)
    assert large["batch_index"] == [4, 5] and video.shape[-2:] == (6, 8)


@pytest.mark.parametrize("latent_format, ratio", [
    ("SD15", 8), ("SDXL", 8), ("Flux", 8), ("Flux2", 16), ("Wan21", 8), ("Wan22", 16),
    ("LTXV", 32), ("HunyuanImage21", 32), ("ChromaRadiance", 1),
])  # fmt: skip
def test_pixels_are_counted_in_the_models_own_latent(comfy, latent_format, ratio):
    import comfy.latent_formats as formats
    from stride.host import hires

    model = model_of(getattr(formats, latent_format)())
    latent = {"samples": torch.zeros(1, 4, 8, 12)}
    for size, expected in (
        (hires.Size(width=18 * ratio), (12, 18)), (hires.Size(height=16 * ratio), (16, 24)),
        (hires.Size(width=16 * ratio, height=20 * ratio), (20, 16)), (hires.Size(2.0), (16, 24)),
    ):
        assert hires.enlarge(model, latent, size, "area")["samples"].shape[-2:] == expected


@pytest.mark.parametrize("width, height", [(20, 10), (10, 20), (16, 24), (30, 20)])
def test_both_sides_given_cut_as_the_host_does_and_the_mask_alike(comfy, width, height):
    import comfy.latent_formats as formats
    import comfy.utils
    from stride.host import hires

    samples = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(2))
    # A mask at the picture's size that repeats the latent, to be cut at the same places.
    mask = samples[:, :1].repeat_interleave(8, -1).repeat_interleave(8, -2)
    size = hires.Size(width=width * 8, height=height * 8)
    large = hires.enlarge(
        model_of(formats.SD15()), {"samples": samples, "noise_mask": mask}, size, "bilinear"
    )
    expected = comfy.utils.common_upscale(samples, width, height, "bilinear", "center")
    assert torch.equal(large["samples"], expected)
    kept = [a / b for a, b in zip(large["noise_mask"].shape[-2:], mask.shape[-2:])]
    new = width / height
    assert kept == pytest.approx([min(1, 1.5 / new), min(1, new / 1.5)], abs=1 / 32)


@pytest.mark.parametrize("theirs, ours, by", [
    (dict(mode="bilinear"), "bilinear", 1.5),
    (dict(mode="bilinear", antialias=True), "bilinear", 1.5),
    (dict(mode="nearest-exact"), "nearest-exact", 1.5), (dict(mode="nearest"), "nearest-exact", 2),
    (dict(mode="bicubic"), "bicubic", 1.5),
])  # fmt: skip
def test_a1111s_latent_upscalers(comfy, theirs, ours, by):
    """Its "Latent" upscalers are torch's interpolate with these arguments."""
    from stride.host import hires

    samples = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(3))
    large = hires.enlarge(None, {"samples": samples}, hires.Size(by), ours)["samples"]
    size = (int(8 * by), int(12 * by))
    expected = torch.nn.functional.interpolate(samples, size=size, **theirs)
    torch.testing.assert_close(large, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("latent", [
    {"samples": torch.zeros(1, 64, 100)}, {"samples": torch.zeros(1, 8, 16, 50), "type": "audio"},
])
def test_sound_is_refused(comfy, latent):
    from stride.host import hires

    with pytest.raises(ValueError, match="latent of pictures"):
        hires.enlarge(None, latent, hires.Size(), "bilinear")


def test_lanczos_is_for_pictures(comfy):
    from stride.host import hires

    latent = {"samples": torch.zeros(1, 4, 8, 8)}
    with pytest.raises(ValueError, match="connect a vae, or choose one of bilinear"):
        hires.enlarge(None, latent, hires.Size(), "lanczos")
