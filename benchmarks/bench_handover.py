"""Error where a second model goes on with a run: `python3 dev.py bench handover`.

The first model takes the steps above a noise level, the second the rest. "carried": a multistep
method goes on with the first model's answers in its history; "anew": it starts with none. The
error is the distance to the exact solution (the first model's path down to that level, the second
one's from there on), relative to its root mean square, mean over the batch: not image quality.
The first model is the demo model at CFG 4, the second one is it with the demo LoRA at a strength.
"""

import argparse
import sys

from hostside import ROOT, load_pack

NAMES = ("dpmpp_2m", "dpmpp_3m", "res_multistep", "uni_pc", "deis", "ipndm", "adams_2")


def demo(prompt, strength, cfg=4.0):
    """The demo model with a part of its LoRA, as D(x, sigma) of an eps model."""
    import torch
    from network import load_networks, unconditional
    from safetensors.torch import load_file
    from text import tokenize

    text, denoiser = load_networks(ROOT / "demo" / "stride_demo.safetensors")
    lora = load_file(ROOT / "demo" / "stride_demo_lora.safetensors")
    prefix, suffix = "diffusion_model.denoiser.", ".lora_up.weight"
    for key in (k for k in lora if k.endswith(suffix)):
        up, down = lora[key].float(), lora[key.replace("lora_up", "lora_down")].float()
        weight = denoiser.get_submodule(key[len(prefix) : -len(suffix)]).weight
        weight.add_((up.flatten(1) @ down.flatten(1)).view_as(weight), alpha=strength)
    contexts = unconditional(text, 1), text(torch.tensor([tokenize(prompt)]))

    @torch.inference_mode()
    def denoise(x, sigma):
        x, sigma = x.float(), sigma.float()
        one = torch.ones_like(sigma)
        base, given = (denoiser(x, one, sigma, c.expand(len(x), -1, -1)) for c in contexts)
        return (base + cfg * (given - base)).double()

    return denoise


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="*", default=(10, 20))
    parser.add_argument("--level", type=float, default=3.0)
    parser.add_argument("--strengths", type=float, nargs="*", default=(0.0, 0.3, 1.0))
    parser.add_argument("--samplers", nargs="*", default=NAMES)
    parser.add_argument("--batch", type=int, default=2)
    args = parser.parse_args()
    import torch

    stride = load_pack()
    sys.path.insert(0, str(ROOT / "demo"))
    prompt = "a red circle above two blue squares on a green background"
    spec, process = stride.schedules.ModelSpec.discrete(), stride.samplers.VE
    noise = torch.randn(
        args.batch, 4, 64, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    first = demo(prompt, 0.0)

    def run(name, denoise, x, sigmas, until=None, carry=None):
        return stride.samplers.run(
            lambda s, p: stride.samplers.get(name).plan(s, p), denoise, x, sigmas, process,
            noise=None, until=until, carry=carry,
        )

    def exact(denoise, x, start, end):
        """RK4 in sigma over many levels, even in log sigma; at the end D where end is 0."""
        low = max(end, 1e-3)
        levels = torch.logspace(
            torch.tensor(start).log10(), torch.tensor(low).log10(), 61, dtype=torch.float64
        )
        levels[0], levels[-1] = start, low
        x = run("rk4", denoise, x, levels).x
        return x if end else denoise(x, x.new_full((len(x),), low))

    plans = {}
    for steps in args.steps:
        sigmas = stride.schedules.get("karras").sigmas(spec, steps).tolist()
        cut = next(i for i, sigma in enumerate(sigmas) if sigma < args.level)
        x = noise * sigmas[0]
        plans[steps] = sigmas, cut, x, exact(first, x, sigmas[0], sigmas[cut])
    for strength in args.strengths:
        second = demo(prompt, strength)
        print(f"\n## second model: LoRA at {strength:g}\n")
        print("| sampler | " + " | ".join(f"{n} steps: carried, anew" for n in args.steps) + " |")
        print("|---" * (len(args.steps) + 1) + "|")
        ends = {n: exact(second, x, s[c], 0.0) for n, (s, c, _, x) in plans.items()}
        for name in args.samplers:
            cells = []
            for n, (sigmas, cut, x, _) in plans.items():
                stopped = run(name, first, x, sigmas, until=cut)
                found = (run(name, second, x, sigmas[cut:], carry=stopped).x,
                         run(name, second, stopped.x, sigmas[cut:]).x)
                size = ends[n].flatten(1).norm(dim=1).mean()
                errors = [float((f - ends[n]).flatten(1).norm(dim=1).mean() / size) for f in found]
                cells.append(", ".join(f"{e:.3f}" for e in errors))
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
