"""Patches beside the host's code in one process: order, other packs, memory, distilled models."""

import gc
import sys
import weakref

import pytest
import torch

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def demo(comfy):
    """(MODEL, positive, negative) of the demo network by prediction."""
    from stride.host.demo import load

    made = {}
    for prediction in ("eps", "flow"):
        model, clip, _ = load(prediction)
        texts = ("a red circle on a blue background", "")
        made[prediction] = (model, *(
            clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in texts
        ))
    return made


def run(parts, model=None, sampler="euler", cfg=4.0, steps=4, batch=1, guider=None):
    """A run of our sampler as the nodes make it; the latent that comes out."""
    import comfy.samplers
    from stride.host.lists.names import one_sampler, one_schedule
    from stride.host.sampling import sampler_of, sigmas_for

    model, positive, negative = (model or parts[0], *parts[1:])
    sigmas = sigmas_for(model, one_schedule("karras"), steps)
    noise = torch.randn(batch, 4, 32, 32, generator=torch.Generator().manual_seed(1))
    if guider is None:
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(cfg)
    chosen = sampler_of(one_sampler(sampler)) if isinstance(sampler, str) else sampler
    with torch.inference_mode():  # as the host's nodes are called
        return guider.sample(
            noise, torch.zeros_like(noise), chosen, sigmas, disable_pbar=True, seed=3
        )


def with_patches(model, *patches):
    from stride.host.run.patches import patched

    for patch in patches:
        model = patched(model, patch)
    return model


def with_hook(model, hook):
    """Another pack's post-cfg function."""
    model = model.clone()
    model.set_model_sampler_post_cfg_function(hook)
    return model


@pytest.fixture(scope="module")
def kinds():
    """One patch of each kind, all set to do something."""
    from stride import guidance as g

    return [
        g.Rescale(0.7), g.Threshold(0.95, 0.7), g.Mimic(2.0), g.Interval(0.3, 9.0),
        g.Curve("linear", 1.0, 0.3), g.APG(0.0, 5.0, -0.5), g.CFGZero(zero_steps=0),
        g.Temperature(0.6),
    ]


def test_the_model_that_comes_in_is_left_as_it_is(demo, kinds):
    model = demo["eps"][0]
    before, options, wrappers = run(demo["eps"]), dict(model.model_options), dict(model.wrappers)
    patched = with_patches(model, *kinds)
    changed = run(demo["eps"], patched)
    assert model.model_options == options and model.wrappers == wrappers
    assert torch.equal(run(demo["eps"]), before) and not torch.equal(changed, before)
    # a second branch from a patched model leaves that one as it is, too
    with_patches(patched, *kinds)
    assert torch.equal(run(demo["eps"], patched), changed)


def test_neutral_patches_nothing(demo):
    from stride import guidance as g
    from stride.host.run.embedding import embedded

    model = demo["eps"][0]
    for patch in (
        g.Rescale(0.0), g.Threshold(strength=0.0), g.Mimic(strength=0.0), g.Interval(),
        g.Curve(), g.Points((1.0, 1.0)), g.APG(1.0), g.CFGZero(False, 0), g.Temperature(1.0),
    ):
        assert with_patches(model, patch) is model, patch
    assert embedded(model, "from the prompt", 3.5) is model


@pytest.mark.parametrize("prediction", ["eps", "flow"])
def test_patches_of_the_answer_act_in_the_order_wired_with_other_packs(demo, prediction):
    """Each order is the composition of the formulas in that order, another pack's in between."""
    from stride import guidance as g
    from stride.guidance import rescale, threshold
    from stride.samplers import FLOW, VE

    process = FLOW if prediction == "flow" else VE
    parts = demo[prediction]

    def level(a):
        return a["sigma"].reshape(-1, 1, 1, 1)

    formulas = {
        "rescale": lambda d, a: rescale.rescale(
            d, a["cond_denoised"], a["input"], level(a), process, 1.0),
        "threshold": lambda d, a: threshold.threshold(d, 0.9, 0.5),
        "other": lambda d, a: 0.9 * d + 0.05,
    }

    def wired(*names):
        model = parts[0]
        for name in names:
            if name == "other":
                model = with_hook(model, lambda a: formulas["other"](a["denoised"], a))
            else:
                patch = g.Rescale(1.0) if name == "rescale" else g.Threshold(0.9, 0.5)
                model = with_patches(model, patch)
        return run(parts, model)

    def composed(*names):
        def hook(a):
            d = a["denoised"]
            for name in names:
                d = formulas[name](d, a)
            return d

        return run(parts, with_hook(parts[0], hook))

    orders = [("rescale", "other", "threshold"), ("threshold", "other", "rescale"),
              ("other", "rescale", "threshold")]
    pictures = [wired(*order) for order in orders]
    for order, picture in zip(orders, pictures):
        torch.testing.assert_close(picture, composed(*order), rtol=1e-4, atol=1e-4)
    assert (pictures[0] - pictures[1]).abs().max() > 1e-2
    assert (pictures[0] - pictures[2]).abs().max() > 1e-2


def test_another_packs_cfg_function_comes_first_wherever_it_is_wired(demo):
    from stride import guidance as g

    def theirs(args):
        return args["uncond"] + 2.0 * (args["cond"] - args["uncond"])

    parts, pictures = demo["eps"], []
    for order in (0, 1):
        model = parts[0]
        for k in range(2):
            if k == order:
                model = model.clone()
                model.set_model_sampler_cfg_function(theirs)
            else:
                model = with_patches(model, g.Threshold(0.9, 0.5))
        pictures.append(run(parts, model))
    assert torch.equal(*pictures)
    plain = with_patches(parts[0], g.Threshold(0.9, 0.5))
    torch.testing.assert_close(pictures[0], run(parts, plain, cfg=2.0), rtol=1e-3, atol=1e-3)


def watched(model):
    """MODEL that notes (sigma, prompts asked) of each call of the network."""
    seen, model = [], model.clone()

    def note(apply, args):
        seen.append((float(args["timestep"][0]), sorted(args["cond_or_uncond"])))
        return apply(args["input"], args["timestep"], **args["c"])

    model.set_model_unet_function_wrapper(note)
    return model, seen


@pytest.mark.parametrize("sampler, both", [("euler", False), ("euler_cfg_pp", True)])
def test_outside_the_interval_the_negative_prompt_is_not_asked(demo, sampler, both):
    from stride import guidance as g

    parts = demo["eps"]
    model, seen = watched(with_patches(parts[0], g.Interval(0.5, 5.0)))
    inside = run(parts, model, sampler, steps=6)
    assert len(seen) == 6 and {0.5 < s <= 5.0 for s, _ in seen} == {True, False}
    for sigma, prompts in seen:
        assert prompts == ([0, 1] if both or 0.5 < sigma <= 5.0 else [0])

    def by_hand(args):  # the same from outside: cfg 1 is the positive prompt's answer
        on = (args["sigma"] > 0.5) & (args["sigma"] <= 5.0)
        return torch.where(on.reshape(-1, 1, 1, 1), args["denoised"], args["cond_denoised"])

    expected = run(parts, with_hook(parts[0], by_hand), sampler, steps=6)
    torch.testing.assert_close(inside, expected, rtol=1e-3, atol=1e-3)


def test_a_curve_sets_the_cfg_that_everybody_sees(demo):
    """Later patches get the cfg of the call, and two curves multiply in any order."""
    from stride import guidance as g

    parts, seen = demo["flow"], []
    curves = (g.Curve("linear", 2.0, 0.5), g.Points((1.0, 0.0)))
    pictures = []
    for order in (curves, curves[::-1]):
        seen.clear()
        model = with_hook(with_patches(parts[0], *order),
                          lambda a: seen.append(a["cond_scale"]) or a["denoised"])
        pictures.append(run(parts, model, cfg=5.0))
        expected = [1 + 4 * (2 - 1.5 * k / 3) * (1 - k / 3) for k in range(4)]
        assert seen == pytest.approx(expected)
    assert torch.allclose(*pictures, atol=1e-5)


def test_guiders_with_two_cfgs_are_refused_and_patched_otherwise(comfy, demo):
    from comfy_extras.nodes_custom_sampler import Guider_DualCFG
    from stride import guidance as g

    def guider(model):
        made = Guider_DualCFG(model)
        made.set_conds(demo["eps"][1], demo["eps"][1], demo["eps"][2])
        made.set_cfg(4.0, 2.0)
        return made

    with pytest.raises(ValueError, match="Interval changes the cfg .* Guider_DualCFG has two"):
        run(demo["eps"], guider=guider(with_patches(demo["eps"][0], g.Interval(0.5, 5.0))))
    plain = run(demo["eps"], guider=guider(demo["eps"][0]))
    changed = run(demo["eps"], guider=guider(with_patches(demo["eps"][0], g.APG(0.0))))
    assert (changed - plain).abs().max() > 1e-3


@pytest.mark.parametrize("sampler", ["euler", "dpm_adaptive"])
def test_nothing_of_a_run_is_kept_alive_by_its_patches(demo, kinds, sampler):
    seen = []

    def note(args):
        seen.extend(weakref.ref(args[name]) for name in ("input", "cond_denoised", "denoised"))
        return args["denoised"]

    model = with_patches(with_hook(demo["eps"][0], note), *kinds)
    out = run(demo["eps"], model, sampler, batch=2)
    gc.collect()
    assert len(seen) >= 12 and not [ref for ref in seen if ref() is not None]
    assert torch.equal(run(demo["eps"], model, sampler, batch=2), out)  # nor does it remember


def test_a_run_that_fails_leaves_the_guider_and_the_model_clean(comfy, demo):
    import comfy.samplers
    from stride import guidance as g

    def fail(args):
        raise RuntimeError("another pack")

    model = with_hook(with_patches(demo["eps"][0], g.Curve("linear", 0.5, 2.0)), fail)
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(*demo["eps"][1:])
    guider.set_cfg(4.0)
    with pytest.raises(RuntimeError, match="another pack"):
        run(demo["eps"], guider=guider)
    assert guider.cfg == 4.0
    assert not [key for key in model.model_options if key.startswith("stride")]


def test_nothing_is_read_back_in_a_step(comfy, demo, kinds, monkeypatch):
    """With our samplers no patch turns a tensor into a number while the run is going on."""
    going = []

    def watch(name):
        plain = getattr(torch.Tensor, name)

        def read(self, *rest):
            asked_by = sys._getframe(1).f_code.co_filename
            if going and ("/guidance/" in asked_by or asked_by.endswith("run/patches.py")):
                raise AssertionError(f"{name} of a tensor in a step, by {asked_by}")
            return plain(self, *rest)

        monkeypatch.setattr(torch.Tensor, name, read)

    for name in ("item", "tolist", "__float__", "__bool__", "__int__", "cpu", "numpy"):
        watch(name)
    first = with_hook(demo["eps"][0], lambda a: going.append(1) or a["denoised"])
    model = with_patches(first, *kinds)
    run(demo["eps"], model)
    assert len(going) == 4
    with pytest.raises(AssertionError, match="__float__ of a tensor in a step"):
        run(demo["eps"], model, comfy.samplers.sampler_object("euler"))  # told nothing of levels


def flux_model(embed):
    """A Flux of the host's own code with random weights, small enough for a test."""
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models
    from comfy.ldm.flux.model import FluxParams

    newer = {"txt_ids_dims": []} if "txt_ids_dims" in FluxParams.__annotations__ else {}
    config = comfy.supported_models.Flux(dict(
        image_model="flux", in_channels=16, out_channels=16, vec_in_dim=8, context_in_dim=16,
        hidden_size=32, mlp_ratio=2.0, num_heads=2, depth=1, depth_single_blocks=1,
        axes_dim=[4, 6, 6], theta=10_000, patch_size=2, qkv_bias=True, guidance_embed=embed,
        **newer,
    ))  # fmt: skip
    config.unet_config["dtype"] = torch.float32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = comfy.model_base.Flux(config, device="cpu")
        for p in model.diffusion_model.parameters():
            torch.nn.init.normal_(p, std=0.2)
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


def draw(model, **told):
    """A run of that Flux with what is told in its prompt."""
    import comfy.samplers
    from stride.host.lists.names import one_sampler
    from stride.host.sampling import sampler_of

    g = torch.Generator().manual_seed(0)
    cond = [[torch.randn(1, 3, 16, generator=g),
             {"pooled_output": torch.randn(1, 8, generator=g), **told}]]
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(cond, cond)
    guider.set_cfg(1.0)
    noise = torch.randn(1, 16, 8, 8, generator=g)
    with torch.inference_mode():
        return guider.sample(
            noise, torch.zeros_like(noise), sampler_of(one_sampler("euler")),
            torch.tensor([1.0, 0.5, 0.0]), disable_pbar=True, seed=0,
        )


def test_guidance_embedding_is_what_the_hosts_nodes_make_of_the_prompt(comfy):
    """FluxGuidance puts a number into the prompt, FluxDisableGuidance None."""
    from stride.host.run.embedding import embedded

    model = flux_model(True)
    plain = draw(model)
    assert torch.equal(plain, draw(model, guidance=3.5))  # the host's own default
    for number in (1.0, 7.5):
        told = draw(model, guidance=number)
        assert (told - plain).abs().max() > 1e-4
        changed = embedded(model, "set", number)
        assert torch.equal(draw(changed), told)
        assert torch.equal(draw(changed, guidance=None), told)
    without = draw(model, guidance=None)
    assert (without - plain).abs().max() > 1e-4
    assert torch.equal(draw(embedded(model, "bypass", 3.5)), without)
    assert torch.equal(draw(model), plain)
    last = embedded(embedded(model, "bypass", 0.0), "set", 7.5)
    first = embedded(embedded(model, "set", 7.5), "bypass", 0.0)
    assert torch.equal(draw(last), draw(model, guidance=7.5))  # the last one wired counts
    assert torch.equal(draw(first), without)


def test_a_model_without_guidance_embedding_is_refused(demo):
    from stride.host.run.embedding import embedded

    for model in (flux_model(False), demo["eps"][0]):
        with pytest.raises(ValueError, match="has no guidance embedding"):
            embedded(model, "set", 3.5)
    with pytest.raises(ValueError, match="mode must be one of"):
        embedded(flux_model(True), "off", 3.5)


def test_the_hosts_cfg_zero_lacks_the_term_in_x(demo):
    """v = s u + w (c - s u) in D is ours; the host's node leaves (w - 1) (s - 1) x out of it."""
    from comfy_extras.nodes_cfg import CFGZeroStar, optimized_scale
    from stride.guidance.cfg_zero import fitted_change

    (theirs,) = CFGZeroStar.execute(demo["flow"][0]).args[0].model_options[
        "sampler_post_cfg_function"]
    sizes = []

    def compare(args):
        x, c, u, w = (args[k] for k in ("input", "cond_denoised", "uncond_denoised", "cond_scale"))
        plain, sigma = args["denoised"], args["sigma"].reshape(-1, 1, 1, 1)
        s, (v_c, v_u) = optimized_scale(x - c, x - u), ((x - d) / sigma for d in (c, u))
        paper = x - sigma * (s * v_u + w * (v_c - s * v_u))
        ours = plain + fitted_change(c, u, x, w)
        torch.testing.assert_close(ours, paper, rtol=1e-3, atol=1e-4)
        missing = (w - 1) * (s - 1) * x
        torch.testing.assert_close(theirs(args) + missing, paper, rtol=1e-3, atol=1e-4)
        sizes.append(float(missing.abs().max()))
        return plain

    run(demo["flow"], with_hook(demo["flow"][0], compare))
    assert len(sizes) == 4 and max(sizes) > 1e-2


def test_a_curve_goes_over_a_run_in_pieces(comfy, demo):
    """The host's Euler above sigma 1 and ours below: the cfgs of one run."""
    from stride import guidance as g
    from stride.host.lists.names import one_sampler
    from stride.host.run.wrappers import alternating
    from stride.host.sampling import sampler_of

    parts, seen = demo["eps"], []
    model = with_hook(with_patches(parts[0], g.Curve("linear", 1.0, 0.0)),
                      lambda a: seen.append(a["cond_scale"]) or a["denoised"])
    pieces = alternating(
        comfy.samplers.sampler_object("euler"), sampler_of(one_sampler("euler")), 1.0
    )
    for sampler in ("euler", pieces):
        seen.clear()
        run(parts, model, sampler, cfg=5.0, steps=6)
        assert seen == pytest.approx([1 + 4 * (1 - k / 5) for k in range(6)])
