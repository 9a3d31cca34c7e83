"""Trains a small LoRA for the demo network, dark outlines: python training/train_lora.py

It is made for the weights beside it: after new ones, run it again (some minutes on one core).
The file has the keys that the host's LoRA loader knows for the demo MODEL, ``lora_up`` and
``lora_down``, so that it loads as any other.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from beside import DEMO
from network import load_networks
from safetensors.torch import save_file
from torch import nn
from train import batch, loss_of

PREFIX = "diffusion_model.denoiser."  # where the host keeps what we call the denoiser
INK, WIDTH = (0.04, 0.04, 0.06), 1.25  # the outline's colour and its radius over the shape's


def outlined(scene):
    """The scene with a dark, larger copy of every thing below it."""
    items = [
        thing
        for kind, x, y, radius, *colour in scene.items
        for thing in ((kind, x, y, radius * WIDTH, *INK), (kind, x, y, radius, *colour))
    ]
    return replace(scene, items=tuple(items))


class Lora(nn.Module):
    """What a low rank adds to the answer of a linear layer or a convolution (Hu et al. 2021)."""

    def __init__(self, layer, rank):
        super().__init__()
        if isinstance(layer, nn.Conv2d):
            size = dict(kernel_size=layer.kernel_size, padding=layer.padding, bias=False)
            self.down = nn.Conv2d(layer.in_channels, rank, **size)
            self.up = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
        else:
            self.down = nn.Linear(layer.in_features, rank, bias=False)
            self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)
        layer.register_forward_hook(lambda _, given, answer: answer + self.up(self.down(given[0])))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=8e-3)
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", type=Path, default=DEMO / "stride_demo.safetensors")
    parser.add_argument("--out", type=Path, default=DEMO / "stride_demo_lora.safetensors")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    text, denoiser = load_networks(args.weights)
    modules = nn.ModuleDict({"text": text, "denoiser": denoiser})
    layers = {
        name: layer for name, layer in denoiser.named_modules()
        if isinstance(layer, (nn.Linear, nn.Conv2d)) and "level" not in name
    }
    loras = {name: Lora(layer, args.rank) for name, layer in layers.items()}
    opt = torch.optim.Adam([p for lora in loras.values() for p in lora.parameters()], args.lr)
    started, seen = time.time(), []
    for step in range(args.steps):
        opt.param_groups[0]["lr"] = args.lr * min(1, (step + 1) / 20) * (1 - step / args.steps)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(modules, *batch(args.seed, step, args.batch, "cpu", outlined))
        loss.backward()
        opt.step()
        opt.zero_grad()
        seen.append(loss.item())
        if (step + 1) % 20 == 0:
            print(f"{step + 1} loss {sum(seen[-20:]) / 20:.4f} {time.time() - started:.0f} s",
                  flush=True)
    state = {
        f"{PREFIX}{name}.lora_{part}.weight": getattr(lora, part).weight.detach().half()
        for name, lora in loras.items() for part in ("down", "up")
    }
    save_file(state, args.out, {"look": "dark outlines", "rank": str(args.rank)})
    print(f"{args.out.name}: {args.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
