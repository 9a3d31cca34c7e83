"""What the guidance patches do to the demo model's pictures: `python3 dev.py bench guidance`.

Held-out prompts of `training/evaluate.py`, 12 steps of dpmpp_2m, a high cfg with each patch and
without, in ComfyUI. Of the last latents, whose range is -1 to 1: their standard deviation, the
share of values beyond the range (which a picture cuts off), the mean distance to the same run at
the demo's own cfg; the share of prompts that the rule of `training/recognise.py` recognises, kinds
with background and everything asked; and how many prompts the network answered in a run. Nothing
here is a quality on your model.
"""

import argparse
import sys

from hostside import ROOT, load_host, load_pack

OWN, HIGH = 4.0, 10.0


def patches(g, kind):
    """(name, patches, cfg) of each row, the first one what the others' distance is measured to."""
    rows = [(f"cfg {OWN:g}", [], OWN), (f"cfg {HIGH:g}", [], HIGH)]
    # Behind the first steps, which fix the layout, and before the last ones.
    interval = g.Interval(0.2, 0.8) if kind == "flow" else g.Interval(0.3, 5.0)
    high = [
        ("Rescale, phi 0.7", [g.Rescale(0.7)]),
        ("Threshold, 0.995 to 1.5", [g.Threshold(0.995, 1.5)]),
        (f"Mimic, cfg {OWN:g}", [g.Mimic(OWN)]),
        (f"Interval, {interval.sigma_low:g} to {interval.sigma_high:g}", [interval]),
        ("Curve, 1 to 0, linear", [g.Curve("linear", 1.0, 0.0)]),
        ("APG, eta 0", [g.APG(0.0)]),
        ("APG, eta 0, momentum -0.5", [g.APG(0.0, 0.0, -0.5)]),
        ("APG, eta 0, Curve, 1 to 0", [g.APG(0.0), g.Curve("linear", 1.0, 0.0)]),
        ("CFG-Zero*, fit", [g.CFGZero(zero_steps=0)]),
        ("Temperature 0.9", [g.Temperature(0.9)]),
    ]
    if kind == "flow":
        high.append(("CFG-Zero*, fit, 1 waits", [g.CFGZero(zero_steps=1)]))
    return rows + [(name, chain, HIGH) for name, chain in high]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--kind", choices=("eps", "flow"), default="flow")
    args = parser.parse_args()
    kind = args.kind
    import numpy as np
    import torch

    load_pack()
    comfy = load_host()
    sys.path += [str(ROOT / "demo"), str(ROOT / "training")]
    from recognise import verdict
    from scenes import caption, random_scene
    from stride import guidance
    from stride.host.demo import load
    from stride.host.run.patches import patched
    from stride.host.sampling import sampler_object, sigmas_for

    rng = np.random.default_rng(20_000)
    scenes = [random_scene(rng, "test") for _ in range(args.prompts)]
    noise = torch.randn(len(scenes), 4, 64, 64, generator=torch.Generator().manual_seed(0))

    def counted(model):
        asked, model = [], model.clone()

        def note(apply, args):
            asked.append(len(args["cond_or_uncond"]))
            return apply(args["input"], args["timestep"], **args["c"])

        model.set_model_unet_function_wrapper(note)
        return model, asked

    def run(model, positive, negative, cfg):
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(cfg)
        out = guider.sample(
            noise, torch.zeros_like(noise), sampler_object("dpmpp_2m"),
            sigmas_for(model, "karras" if kind == "eps" else "simple", args.steps),
            disable_pbar=True, seed=0,
        )
        return out[:, :3]

    model, clip, _ = load(kind)

    def encode(text, clip=clip):
        return clip.encode_from_tokens_scheduled(clip.tokenize(text))

    each = [encode(caption(scene)) for scene in scenes]
    positive = [[torch.cat([cond[0][0] for cond in each]), dict(each[0][0][1])]]
    reference = None
    print(f"{kind}, {args.prompts} prompts, {args.steps} steps")
    print(f"{'':28}{'deviation':>10}{'beyond':>9}{'distance':>10}{'kinds':>8}{'all':>7}"
          f"{'asked':>8}")
    for name, chain, cfg in patches(guidance, kind):
        chosen = model
        for patch in chain:
            chosen = patched(chosen, patch)
        chosen, asked = counted(chosen)
        with torch.inference_mode():
            latent = run(chosen, positive, encode(""), cfg)
        reference = latent if reference is None else reference  # the first row is cfg OWN
        pictures = ((latent + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()
        seen = [verdict(scene, picture) for scene, picture in zip(scenes, pictures)]
        kinds = np.mean([v["background"] and v["kinds"] for v in seen])
        whole = np.mean([v["background"] and v["relation"] for v in seen])
        beyond = float((latent.abs() > 1.02).float().mean())  # 1.02: rounding at the edge
        distance = float((latent - reference).abs().mean())
        print(f"{name:28}{float(latent.std()):10.3f}{100 * beyond:8.1f}%{distance:10.3f}"
              f"{100 * kinds:7.0f}%{100 * whole:6.0f}%{sum(asked):8d}", flush=True)


if __name__ == "__main__":
    main()
