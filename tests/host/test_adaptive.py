"""Adaptive samplers in the host: its own DPM adaptive, the nodes, and images of a batch apart."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from host_models import Denoiser, models
from stride import samplers

pytestmark = pytest.mark.host


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("model", ["sd", "zsnr", "flow"])
def test_dpm_adaptive_equals_the_hosts(comfy, monkeypatch, model, order, eta):
    """One image: the same steps, accepted and rejected, and the same latent to rounding.

    The host keeps log sigma in the default precision; in float32 that costs 0.02 at sigma 4519,
    so it is double here. It stops at its last positive sigma; we go on to 0 where the list does. It
    takes a flow model's ancestral noise to be that of VE, so eta is compared on VE.
    """
    if eta and model == "flow":
        pytest.skip("the host's noise is not that of a flow model")
    sampling, spec = models(comfy)[model]
    top, bottom = float(spec.sigmas[-1]), float(spec.sigmas[0])
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)).double() * top
    monkeypatch.setattr(torch, "tensor", partial(torch.tensor, dtype=torch.float64))

    def steady():
        """One fixed tensor after another, as the host draws them."""
        generator = torch.Generator().manual_seed(2)
        return lambda *_: torch.randn(x.shape, generator=generator).to(x)

    theirs, info = comfy.k_diffusion.sample_dpm_adaptive(
        Denoiser(sampling), x.clone(), bottom, top, disable=True, order=order, eta=eta,
        noise_sampler=steady(), return_info=True,
    )
    plan = samplers.get("dpm_adaptive").plan((top, bottom), spec.process, order=order, eta=eta)
    ours = samplers.run(
        lambda s, p: plan, Denoiser(sampling), x, (top, bottom), spec.process, noise=steady()
    ).x
    taken = plan.taken[0]
    assert (taken.accepted, taken.rejected) == (info["n_accept"], info["n_reject"])
    assert taken.calls == info["nfe"] - taken.rejected  # we remember the first answer of a step
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sampler", ["dpm_adaptive", "adaptive_steps"])
def test_images_of_a_batch_on_the_node(host, scene, sampler):
    """Image 1 of a batch is what its seed gives alone; the node tells what the steps were."""
    graph, batch = scene(), scene(batch=2)

    def node(graph, **settings):
        chosen = graph.add("StrideSampler", sampler=sampler, noise="a1111", eta=0.5)
        return graph.stride(sampler=sampler, options=chosen[1], **settings)

    alone = host.latents(graph, node(graph, seed=5), node(graph, seed=6))
    last = node(batch, seed=5)
    both, outputs = host.run_saving(batch, [last])
    torch.testing.assert_close(both[0], torch.cat(alone), rtol=1e-3, atol=1e-3)
    report = outputs[last.id]["stride"][0]
    assert report["accepted"] > 4 and report["model_calls"] > 2 * report["accepted"]
    line = outputs[last.id]["text"][0]
    assert f"{report['accepted']} steps accepted, {report['rejected']} rejected, " in line


def test_an_image_meets_its_own_conditions(comfy):
    """Prompts, masks, hints and inpainting latents given image by image; all are put back."""
    from comfy.conds import CONDConstant, CONDCrossAttn, CONDRegular
    from comfy.controlnet import ControlBase
    from stride.host.run.model import HostModel

    prompts = CONDCrossAttn(torch.arange(2.0).reshape(2, 1, 1))
    shared = CONDRegular(torch.full((1, 3), 7.0))
    constant = CONDConstant("as it is")
    control = ControlBase().set_cond_hint(torch.arange(4.0).reshape(4, 1, 1, 1))
    control.cond_hint = made = torch.zeros(4, 1, 1, 1)  # what the host keeps of it for the batch
    entry = {"model_conds": {"prompts": prompts, "shared": shared, "constant": constant},
             "mask": torch.arange(4.0).reshape(4, 1, 1), "control": control}
    conds = {"positive": [entry], "negative": None}
    guider = SimpleNamespace(conds=conds)
    noise, picture = torch.arange(4.0).reshape(4, 1, 1, 1), torch.zeros(4, 1, 1, 1)
    seen = []

    class Host(SimpleNamespace):
        def __call__(self, x, sigma, denoise_mask, model_options):
            entry = guider.conds["positive"][0]
            part = entry["model_conds"]
            seen.append((
                float(part["prompts"].cond), part["shared"].cond.tolist(), part["constant"].cond,
                float(entry["mask"]), float(self.noise), float(denoise_mask),
                float(control.cond_hint_original), control.cond_hint,
            ))
            return x

    host = Host(inner_model=guider, noise=noise, latent_image=picture)
    model = HostModel(host, {"denoise_mask": torch.arange(10.0, 14.0).reshape(4, 1, 1, 1)}, 4)
    for k in (3, 2):
        model.alone(k)(torch.zeros(1, 1, 1, 1), 1.0)
    assert seen == [(k % 2, [[7.0] * 3], "as it is", k, k, 10 + k, k, None) for k in (3, 2)]
    assert control.cond_hint is made and control.cond_hint_original.shape[0] == 4
    assert guider.conds is conds and host.noise is noise and host.latent_image is picture
