"""How well the demo network follows held-out prompts: python training/evaluate.py

Draws prompts whose colour, shape and background were never seen together in training, samples
them with Euler steps and lets the rule of ``recognise.py`` judge. ``--sheet`` also writes
``sheet.png``, a few prompts at 4, 8 and 20 steps.
"""

import argparse
import time

import numpy as np
import torch
from beside import DEMO
from network import load_networks, unconditional
from recognise import verdict
from scenes import caption, draw_batch, random_scene
from text import tokenize

SHEET = (
    "a red circle above two blue squares on a green background",
    "three yellow circles on a purple background",
    "a white square left of a black ring on an orange background",
    "two small green triangles on a white background",
)
RUNS = (  # kind of model, steps, cfg
    ("eps", 4, 2.0), ("eps", 8, 2.0), ("eps", 20, 2.0), ("eps", 20, 4.0), ("eps", 20, 1.0),
    ("flow", 4, 2.0), ("flow", 8, 2.0), ("flow", 20, 2.0), ("flow", 20, 4.0), ("flow", 20, 1.0),
)


def levels(kind, steps):
    """Sigmas of a run: karras for eps, shift 3 for flow."""
    if kind == "flow":
        t = torch.linspace(1, 0, steps + 1)
        return 3 * t / (1 + 2 * t)
    ramp = torch.linspace(14.6146 ** (1 / 7), 0.0292 ** (1 / 7), steps) ** 7
    return torch.cat([ramp, torch.zeros(1)])


@torch.no_grad()
def sample(text, denoiser, prompts, steps, cfg, kind="eps", seed=0):
    """Pictures [B, 64, 64, 3] in 0..1 for the prompts, by Euler steps."""
    context = text(torch.tensor([tokenize(p) for p in prompts]))
    empty = unconditional(text, len(prompts))
    noise = torch.randn(len(prompts), 4, 64, 64, generator=torch.Generator().manual_seed(seed))
    sigmas = levels(kind, steps)
    x = noise * sigmas[0]
    for sigma, sigma_next in zip(sigmas, sigmas[1:]):
        level = sigma.expand(len(prompts))
        alpha = 1 - level if kind == "flow" else torch.ones_like(level)
        d = denoiser(x, alpha, level, context)
        if cfg != 1:
            d = torch.lerp(denoiser(x, alpha, level, empty), d, cfg)
        x = d + (sigma_next / sigma) * (x - d)
    return ((x[:, :3] + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()


def judge(scenes, pictures):
    """Percentages over all scenes, as one line of the table."""
    verdicts = [verdict(scene, picture) for scene, picture in zip(scenes, pictures)]
    keys = ("background", "kinds", "counts", "relation")
    return "".join(f"{100 * np.mean([v[k] for v in verdicts]):12.1f}" for k in keys)


def write_sheet(text, denoiser, path, cfg=2.0):
    """Prompts in rows; 4, 8 and 20 steps in columns, three seeds each."""
    from PIL import Image

    rows = []
    for prompt in SHEET:
        tiles = [np.pad(picture, ((2, 2), (2, 2), (0, 0)), constant_values=1)
                 for steps in (4, 8, 20)
                 for picture in sample(text, denoiser, [prompt] * 3, steps, cfg)]
        rows.append(np.concatenate(tiles, 1))
    sheet = Image.fromarray((np.concatenate(rows) * 255).round().astype("uint8"))
    sheet = sheet.resize((sheet.width * 3 // 2, sheet.height * 3 // 2), Image.Resampling.BICUBIC)
    sheet.quantize(128).save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--sheet", action="store_true", help="also write sheet.png")
    args = parser.parse_args()
    rng = np.random.default_rng(20_000)
    scenes = [random_scene(rng, "test") for _ in range(args.prompts)]
    prompts = [caption(scene) for scene in scenes]
    text, denoiser = load_networks(DEMO / "stride_demo.safetensors")
    print(f"{args.prompts} held-out prompts, per cent recognised")
    print(f"{'':26}  background       kinds      counts    relation   seconds")
    drawn = ((draw_batch(scenes) + 1) / 2).permute(0, 2, 3, 1).numpy()
    print(f"{'the drawings themselves':26}{judge(scenes, drawn)}")
    for kind, steps, cfg in RUNS:
        started = time.time()
        pictures = np.concatenate([
            sample(text, denoiser, prompts[i : i + 50], steps, cfg, kind, seed=i)
            for i in range(0, len(prompts), 50)
        ])
        name = f"{kind}, {steps} steps, cfg {cfg:g}"
        print(f"{name:26}{judge(scenes, pictures)}{time.time() - started:10.0f}", flush=True)
    if args.sheet:
        write_sheet(text, denoiser, DEMO / "sheet.png")


if __name__ == "__main__":
    main()
