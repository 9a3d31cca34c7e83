"""Other packs around, inside and beside our samplers; `packs/callers` does what they do."""

import pytest
import torch

pytestmark = pytest.mark.host

CLOSE = dict(rtol=1e-3, atol=1e-3)


def sampler(s, name):
    """A SAMPLER of ours, or from the host's own node."""
    if name.startswith("stride_") or name == "host":
        return s.add("KSamplerSelect", sampler_name="euler" if name == "host" else name)[0]
    return s.add("StrideSampler", sampler=name)[0]


def daemon(s, inner, factor=1.0, shows="some"):
    return s.add("TestDaemon", sampler=inner, factor=factor, shows=shows)[0]


def filled(s, object_info, name, **given):
    """A node with its defaults for what is not given."""
    required = object_info[name]["input"]["required"]
    values = {key: spec[1]["default"] for key, spec in required.items() if "default" in spec[1]}
    return s.add(name, **{**values, **given})


# Wrappers around ours ---------------------------------------------------------------------------

WRAPPED = ("euler", "stride_dpmpp_2m", "heun", "euler_ancestral", "dpmpp_2m_sde", "dpm_adaptive",
           "euler_cfg_pp", "restart", "automatic")


@pytest.mark.parametrize("prediction", ["eps", "flow"])
def test_a_wrapper_that_hides_what_a_mask_keeps(host, scene, prediction):
    """One that tells the model the same sigma changes nothing; what the mask keeps is kept."""
    s = scene(prediction, batch=2)
    picture = s.stride(seed=1)
    masked = s.masked(picture[0])[0]
    names = WRAPPED if prediction == "eps" else WRAPPED[:5]
    nodes = [
        s.custom(made, latent_image=masked)
        for name in names for inner in [sampler(s, name)] for made in (inner, daemon(s, inner))
    ]
    before, *latents = host.latents(s, picture, *nodes)
    for name, plain, wrapped in zip(names, latents[::2], latents[1::2]):
        # Images that run alone are asked for with the batch around them here, which rounds.
        alike = dict(rtol=0, atol=0) if name != "dpm_adaptive" else dict(rtol=0, atol=2e-3)
        torch.testing.assert_close(wrapped, plain, **alike, msg=lambda m, n=name: f"{n}: {m}")
        torch.testing.assert_close(wrapped[..., 17:], before[..., 17:], **CLOSE)
        assert (wrapped - before)[..., :16].abs().max() > 0.1


@pytest.mark.parametrize("around", ["none", "alternate", "average", "inject", "skip"])
def test_a_wrapper_does_to_ours_what_it_does_to_the_hosts(host, scene, around):
    """Another sigma for the model, with a mask: Euler is the same arithmetic in both."""
    s = scene()
    masked = s.masked(s.stride(seed=1)[0])[0]
    window = dict(sigma_high=1e4, sigma_low=0.0)
    nodes = []
    for name in ("host", "euler"):
        made = daemon(s, sampler(s, name), 0.9)
        made = {
            "none": lambda made: made,
            "alternate": lambda made: s.add(
                "StrideAlternate", first=made, second=made, sigma=2.0)[0],
            "average": lambda made: s.add(
                "StrideAverage", first=made, second=made, weight=0.3)[0],
            "inject": lambda made: s.add(
                "StrideInjectNoise", sampler=made, strength=0.1, **window)[0],
            "skip": lambda made: s.add("StrideSkipSteps", sampler=made, every=3, **window)[0],
        }[around](made)
        nodes.append(s.custom(made, steps=7, latent_image=masked))
    theirs, ours = host.latents(s, *nodes)
    torch.testing.assert_close(ours, theirs, **CLOSE)


def test_a_caller_that_shows_nothing_of_the_host(host, scene):
    """A plain function: methods that are the same on every model run, others say what they miss."""
    s = scene()
    names = ("host", "euler", "heun", "stride_lms")
    nodes = [s.custom(daemon(s, sampler(s, name), shows="nothing")) for name in names]
    plain = [s.custom(sampler(s, name)) for name in names]
    latents = host.latents(s, *nodes, *plain)
    for name, found, wanted in zip(names, latents, latents[len(names) :]):
        assert torch.equal(found, wanted), name
    for name, said in (("dpmpp_2m", "'dpmpp_2m' has to know whether the model is a flow model"),
                       ("dpm_adaptive", "has to know"), ("automatic", "looks at the model")):
        node = s.custom(daemon(s, sampler(s, name), shows="nothing"))
        host.refusal(s, node, said)


def test_skipping_inside_and_outside_of_a_wrapper(host, scene):
    """Our own hook on the answer is no CFG++."""
    s = scene()
    inner = sampler(s, "dpmpp_2m")
    skip = dict(every=2, sigma_high=1e4, sigma_low=0.0)
    outside = s.add("StrideSkipSteps", sampler=daemon(s, inner), **skip)[0]
    inside = daemon(s, s.add("StrideSkipSteps", sampler=inner, **skip)[0])
    one, other, plain = host.latents(
        s, *(s.custom(made, steps=8) for made in (outside, inside, inner)))
    assert torch.equal(one, other) and not torch.equal(one, plain)


# Options and noise that are handed in -----------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["euler_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m_sde"]
)
@pytest.mark.parametrize("node", ["KSamplerSelect", "StrideSampler"])
def test_noise_and_options_by_signature(host, scene, name, node):
    """The same noise in the host's function and in ours: the same picture, and not that of ours."""
    s = scene()
    mine = s.add("StrideSampler", sampler=name)[0] if node == "StrideSampler" else s.add(
        node, sampler_name=f"stride_{name}")[0]
    theirs = s.add("KSamplerSelect", sampler_name=name)[0]
    given = dict(eta=0.3, s_noise=1.05, noise="ones")
    nodes = [s.custom(s.add("TestOverride", sampler=made, **given)[0]) for made in (theirs, mine)]
    found, wanted, plain = host.latents(s, *reversed(nodes), s.custom(mine))
    torch.testing.assert_close(found, wanted, **CLOSE)
    assert (found - plain).abs().max() > 0.1


def test_a_signature_tells_the_options(comfy):
    import inspect

    from stride import samplers
    from stride.host.lists.names import _registered
    from stride.host.run.ours import HostRun

    entry = samplers.get("dpmpp_2m_sde")
    for function in (_registered(entry), HostRun(entry, entry.configure(eta=0.5))):
        takes = inspect.signature(function).parameters
        assert [*takes][:6] == ["model", "x", "sigmas", "extra_args", "callback", "disable"]
        assert takes["noise_sampler"].default is None and "s_noise" in takes
        assert function.__name__ == "sample_stride_dpmpp_2m_sde"
    assert takes["eta"].default == 0.5


def test_an_option_that_is_handed_in_is_looked_at(host, scene):
    s = scene()
    made = s.add("TestOverride", sampler=sampler(s, "stride_euler_ancestral"), eta=-1.0,
                 s_noise=1.0, noise="own")[0]
    host.refusal(s, s.custom(made), "'euler_ancestral': option 'eta' must be")


# Samplers and patches of others in our nodes ----------------------------------------------------


@pytest.mark.parametrize("name", ["callers_stray", "callers_probe", "neighbour_halves"])
def test_a_sampler_of_others_gives_what_it_gives_in_the_hosts_node(host, scene, name):
    s, curve = scene(batch=2), "simple"  # of the same bits in both
    part = s.add("StrideSampler", sampler=name)[0]
    watched = s.add("StrideSkipSteps", sampler=part, every=100, sigma_high=1e4, sigma_low=0.0)[0]
    nodes = [
        s.stock(name, curve), s.stride(sampler=name, schedule=curve),
        s.advanced(sampler=name, schedule=curve), s.custom(part, curve), s.custom(watched, curve),
    ]
    wanted, *latents = host.latents(s, *nodes)
    for k, found in enumerate(latents):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0, msg=lambda m, k=k: f"{k}: {m}")


@pytest.mark.parametrize("noise", [True, False])
def test_a_patch_that_draws_from_the_global_generator(host, scene, noise):
    """It finds the generator where the host's node leaves it; ours does not move with it."""
    s = scene()
    s.model = s.add("TestStray", model=s.model, strength=0.1)[0]
    first = s.stock(seed=9)  # where no noise is added nobody seeds, so somebody has to before
    changes = {} if noise else dict(latent_image=first[0], denoise=0.5)
    latents = [host.latents(s, node)[0] for node in (
        s.stock(**changes), s.stride(**changes), s.stride(**changes))]
    assert torch.allclose(latents[0], latents[1], **CLOSE)
    assert torch.equal(latents[1], latents[2])


def test_our_noise_does_not_depend_on_the_global_generator(host, scene):
    """A patch that draws and adds nothing of it."""
    s = scene()
    plain = s.stride(sampler="dpmpp_2m_sde")
    s.model = s.add("TestStray", model=s.model, strength=0.0)[0]
    one, other = host.latents(s, plain, s.stride(sampler="dpmpp_2m_sde"))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


# Nodes that are called from outside, and hosts that were changed --------------------------------


@pytest.mark.parametrize("kind", ["KSampler", "Advanced", "parts"])
def test_nodes_called_from_a_script(host, scene, kind):
    s = scene()
    direct = s.add("TestDirect", latent=s.empty, model=s.model, positive=s.positive,
                   negative=s.negative, kind=kind, sampler="dpmpp_2m")
    wanted, found = host.latents(s, s.stride(sampler="dpmpp_2m"), direct)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_a_cache_that_spares_the_model_with_cfg_pp(host, scene):
    """LazyCache leaves out both answers; the last ones go on, as in the host's sampler."""
    s = scene()
    s.model = s.add("LazyCache", model=s.model, reuse_threshold=0.2, start_percent=0.15,
                    end_percent=0.95, verbose=False)[0]
    shared = dict(steps=12, cfg=2.0)
    wanted, found = host.latents(s, s.stock("euler_cfg_pp", **shared),
                                 s.stride(sampler="euler_cfg_pp", **shared))
    torch.testing.assert_close(found, wanted, **CLOSE)


PATCHES = {
    "StrideRescaleCFG": {}, "StrideAPG": {}, "StrideMimicCFG": {},
    "StrideCFGZero": {"zero_steps": 0},
}


def test_a_host_whose_hooks_are_not_told_the_cfg(host, scene, object_info):
    """Another pack has replaced its guidance code: our patches find the cfg where it is."""
    names = [name for name in PATCHES if name in object_info]
    assert names
    results = {}
    for forget in (False, True, False):
        s = scene()
        s.model = s.add("TestNoScale", model=s.model, forget=forget)[0]
        nodes = []
        for name in names:
            patched = filled(s, object_info, name, model=s.model, **PATCHES[name])[0]
            nodes += [s.stride(model=patched), s.stride(model=patched, cfg=1.0)]
        results.setdefault(forget, host.latents(s, *nodes))
    for found, wanted in zip(results[True], results[False]):
        assert torch.equal(found, wanted)


# What the host does not hand to a sampler -------------------------------------------------------


@pytest.mark.parametrize("node", ["host", "parts"])
def test_image_k_of_a_batch_alone_in_the_hosts_nodes(host, scene, node):
    """The index of an image shows in its initial noise."""
    s = scene(batch=4)

    def run(latent):
        if node == "host":
            return s.stock("stride_euler_ancestral", latent_image=latent)
        rough = s.add("StrideInjectNoise", sampler=sampler(s, "host"), strength=0.1,
                      sigma_high=1e4, sigma_low=0.0)[0]
        return s.custom(rough, latent_image=latent)

    alone = s.add("LatentFromBatch", samples=s.empty, batch_index=2, length=2)[0]
    batch, two = host.latents(s, run(s.empty), run(alone))
    torch.testing.assert_close(two, batch[2:], **CLOSE)
    assert (batch[2] - batch[0]).abs().max() > 0.1


def test_image_k_of_a_batch_of_several_streams(comfy):
    """Video and sound: an image alone begins with the noise that it has in the batch."""
    from comfy.nested_tensor import NestedTensor
    from comfy.sample import prepare_noise
    from stride.host.sampling import _initial_noise

    def parts(count, **latent):
        samples = NestedTensor([torch.zeros(count, 2, 8, 8), torch.zeros(count, 3, 64)])
        return _initial_noise({"samples": samples, **latent}, 5, True).unbind(), samples

    whole, _ = parts(3)
    alone, one = parts(2, batch_index=[1, 2])
    assert all(torch.equal(a, b[1:]) for a, b in zip(alone, whole))
    first, one = parts(1)
    assert all(torch.equal(a, b) for a, b in zip(first, prepare_noise(one, 5).unbind()))


@pytest.mark.parametrize("kind", ["standard_uniform", "looped_uniform"])
def test_context_windows_see_the_whole_run(host, scene, object_info, kind):
    """Windows that move from step to step: two nodes are the one, bit for bit."""
    s = scene()
    s.model = filled(s, object_info, "ContextWindowsManual", model=s.model, context_length=24,
                     context_overlap=8, context_schedule=kind, dim=3)[0]
    whole = s.advanced(steps=6)
    first = s.advanced(steps=6, end_at_step=3, return_with_leftover_noise="enable")
    second = s.advanced(steps=6, start_at_step=3, add_noise="disable", latent_image=first[0])
    whole, cut = host.latents(s, whole, second)
    assert torch.equal(whole, cut)
