"""Trains the demo network from nothing on freshly drawn scenes: python training/train.py

Every step draws its own scenes from (seed, step), so an interrupted run goes on where it stopped
and gives the same scenes. Uses CUDA where there is a device, else the CPU in bfloat16.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from beside import DEMO
from network import CONFIG, Denoiser, TextEncoder, scalings
from safetensors.torch import save_file
from scenes import caption, draw_batch, random_scene
from text import PAD, tokenize
from torch.nn import functional as F


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates (Jordan et al. 2024) for matrices and convolutions.

    Small networks learn markedly faster with it than with Adam. Updates are scaled to the size of
    Adam's, so that both share one learning rate.
    """

    def __init__(self, params, lr, momentum=0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(buffer, group["momentum"]).flatten(1))
                scale = 0.2 * math.sqrt(max(update.shape))
                p.add_(update.view_as(p), alpha=-group["lr"] * scale)


def orthogonal(matrix):
    """The nearest semi-orthogonal matrix, roughly: five quintic Newton-Schulz iterations."""
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)


def optimizers(modules, lr):
    """Muon for hidden matrices; Adam for embeddings, biases and the first and last layers."""
    hidden, rest = [], []
    for name, p in modules.named_parameters():
        edge = any(part in name for part in ("enter", "leave", "words", "places", "level1"))
        (hidden if p.ndim in (2, 4) and not edge else rest).append(p)
    return [Muon(hidden, lr), torch.optim.Adam(rest, lr, betas=(0.9, 0.99))]


def rate(step, steps):
    """Learning-rate factor: a short warm-up, flat for a third, then down to 0, ever more slowly."""
    return float(np.interp(step + 1, (0, 100, steps / 3, steps * 7 / 12, steps), (0, 1, 1, 0.5, 0)))


def batch(seed, step, size, device, look=None):
    """(pictures [B, 3, 64, 64], tokens [B, T], sigma [B], noise) of one training step.

    look: a change of every scene that its caption does not tell, as a LoRA learns it.
    """
    rng = np.random.default_rng([seed, step])
    scenes = [random_scene(rng, "train") for _ in range(size)]
    tokens = torch.tensor([tokenize(caption(scene, rng)) for scene in scenes])
    pictures = draw_batch(list(map(look, scenes)) if look else scenes)
    tokens[torch.from_numpy(rng.random(size) < 0.06)] = PAD
    # Most levels where pictures are composed and outlined, a few over the whole range.
    log_sigma = rng.normal(0.5, 1.2, size)
    everywhere = rng.random(size) < 0.1
    log_sigma[everywhere] = rng.uniform(math.log(0.01), math.log(300), int(everywhere.sum()))
    sigma = torch.from_numpy(np.exp(log_sigma)).float()
    noise = torch.from_numpy(rng.standard_normal(pictures.shape, dtype=np.float32))
    return pictures.to(device), tokens.to(device), sigma.to(device), noise.to(device)


def loss_of(modules, pictures, tokens, sigma, noise):
    """EDM's loss: the squared error of the network's own output, equally weighted by level."""
    context = modules["text"](tokens)
    # All-zero contexts (ConditioningZeroOut in the host) are a second name for "no prompt".
    context = context * (torch.rand(len(tokens), 1, 1, device=sigma.device) > 0.04)
    c_skip, c_out, c_in, level = scalings(torch.ones_like(sigma), sigma)
    x = pictures + sigma[:, None, None, None] * noise
    target = (pictures - c_skip * x) / c_out
    return F.mse_loss(modules["denoiser"].network(c_in * x, level, context).float(), target)


def export(average, path, seed, samples):
    """Writes the averaged weights as float16 safetensors with what is needed to rebuild them."""
    meta = {"config": json.dumps(CONFIG), "seed": str(seed), "samples": str(samples)}
    state = {key: value.half().cpu().contiguous() for key, value in average.items()}
    part = Path(path).with_suffix(".part")
    save_file(state, part, meta)
    part.chmod(0o644)
    part.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="torch.compile; needs a compiler")
    parser.add_argument("--every", type=int, default=500, help="steps between checkpoints")
    parser.add_argument("--checkpoint", type=Path, default=DEMO / "stride_demo.ckpt")
    parser.add_argument("--out", type=Path, default=DEMO / "stride_demo.safetensors")
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    modules = torch.nn.ModuleDict({"text": TextEncoder(CONFIG), "denoiser": Denoiser()}).to(device)
    network = modules["denoiser"].network
    torch.nn.init.zeros_(network.leave.weight)
    average = {key: value.detach().clone() for key, value in modules.state_dict().items()}
    opts = optimizers(modules, args.lr)
    first, spent = 0, 0.0
    if args.checkpoint.exists():
        saved = torch.load(args.checkpoint, map_location=device)
        modules.load_state_dict(saved["modules"])
        average, first, spent = saved["average"], saved["step"], saved["seconds"]
        for opt, state in zip(opts, saved["optimizers"], strict=True):
            opt.load_state_dict(state)
    if args.compile:
        network.compile()
    print(f"{sum(v.numel() for v in average.values())} parameters on {device}", flush=True)

    started, losses = time.time() - spent, []
    for step in range(first, args.steps):
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = args.lr * rate(step, args.steps)
        with torch.autocast(device, torch.bfloat16):
            loss = loss_of(modules, *batch(args.seed, step, args.batch, device))
        loss.backward()
        for opt in opts:
            opt.step()
        modules.zero_grad()
        losses.append(loss.item())
        keep = min(0.9985, (1 + step) / (10 + step))
        with torch.no_grad():
            for key, value in modules.state_dict().items():
                average[key].lerp_(value, 1 - keep)
        done = step + 1
        if done % 50 == 0:
            seconds = time.time() - started
            print(f"{done} loss {np.mean(losses[-50:]):.4f} {seconds:.0f} s", flush=True)
        if done % args.every == 0 or done == args.steps:
            saved = {"modules": modules.state_dict(), "average": average, "step": done}
            saved |= {"optimizers": [o.state_dict() for o in opts]}
            saved |= {"seconds": time.time() - started}
            part = args.checkpoint.with_suffix(".part")
            torch.save(saved, part)
            part.replace(args.checkpoint)
            export(average, args.out, args.seed, done * args.batch)


if __name__ == "__main__":
    main()
