"""Exact denoisers with known solutions, and the demo model: what `bench accuracy` measures.

The exact ones work in coordinates where the data covariance is diagonal, with energies that fall
as 1/f^2 like those of natural latents. x is [B, D] float64; denoisers take (x, sigma [B], alpha).
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

SIDE = 18  # frequencies of a SIDE x SIDE lattice
GROUP, COMPONENTS = 4, 6


def energies():
    """Variance of each coordinate: 1/f^2 over the lattice, mean 1, largest first."""
    f = torch.fft.fftfreq(SIDE, 1 / SIDE, dtype=torch.float64)
    square = (f[:, None] ** 2 + f[None] ** 2).flatten()
    values = 1 / square.clamp(min=0.5)
    return (values / values.mean()).sort(descending=True).values


@dataclass(frozen=True)
class Problem:
    """name: as printed. flow: rectified flow instead of VE. denoise: (x, sigma, alpha) to D.

    size: numbers in a sample. batch: samples. fine: steps of the reference solution.
    """

    name: str
    flow: bool
    denoise: Callable
    size: int = SIDE * SIDE
    batch: int = 32
    fine: int = 1500

    def __call__(self, x, sigma):
        sigma = sigma.to(x).view(-1, 1)
        alpha = 1.0 - sigma if self.flow else torch.ones_like(sigma)
        return self.denoise(x, sigma, alpha)

    def solve(self, x, top, steps=None, bottom=1e-4):
        """The end of the exact trajectory: classical RK4 in log(sigma), then D."""
        steps = steps or self.fine

        def slope(x, u):
            return x - self(x, torch.full((len(x),), math.exp(u), dtype=torch.float64))

        u, h = math.log(top), (math.log(bottom) - math.log(top)) / steps
        for i in range(steps):
            at = u + i * h
            a = slope(x, at)
            b = slope(x + h / 2 * a, at + h / 2)
            c = slope(x + h / 2 * b, at + h / 2)
            d = slope(x + h * c, at + h)
            x = x + h / 6 * (a + 2 * b + 2 * c + d)
        return self(x, torch.full((len(x),), bottom, dtype=torch.float64))


def gaussian(x, sigma, alpha):
    variance = energies()
    return alpha * variance / (alpha**2 * variance + sigma**2) * x


def mixture(weights):
    """A Gaussian mixture in every group of 4 coordinates, 6 narrow components each."""
    generator = torch.Generator().manual_seed(7)
    scale = energies().view(-1, GROUP)
    means = torch.randn(len(scale), COMPONENTS, GROUP, generator=generator, dtype=torch.float64)
    means = (means - means.mean(1, keepdim=True)) * (0.8 * scale).sqrt()[:, None]
    within = 0.2 * scale[:, None]  # variance inside a component

    def denoise(x, sigma, alpha):
        y = x.view(len(x), -1, 1, GROUP)
        a, s = alpha[..., None, None], sigma[..., None, None]
        var = a**2 * within + s**2
        away = y - a * means
        logits = -(away**2 / (2 * var)).sum(-1) + weights.log()
        p = logits.softmax(-1)[..., None]
        return (p * (means + a * within / var * away)).sum(2).view_as(x)

    return denoise


def guided(scale):
    """Classifier-free guidance: the condition prefers some components, most in low bands."""
    count = SIDE * SIDE // GROUP
    generator = torch.Generator().manual_seed(8)
    flat = torch.full((count, COMPONENTS), 1 / COMPONENTS, dtype=torch.float64)
    taste = torch.randn(count, COMPONENTS, generator=generator, dtype=torch.float64)
    strength = torch.linspace(3.0, 0.3, count, dtype=torch.float64)[:, None]
    without, given = mixture(flat), mixture((strength * taste).softmax(-1))
    if scale == 1:
        return given

    def denoise(x, sigma, alpha):
        base = without(x, sigma, alpha)
        return base + scale * (given(x, sigma, alpha) - base)

    return denoise


def demo_model():
    """The bundled network, guided at CFG 4, on one prompt."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))
    from network import load_networks, unconditional
    from text import tokenize

    text, denoiser = load_networks(Path(__file__).parent.parent / "demo/stride_demo.safetensors")
    prompt = text(torch.tensor([tokenize("a yellow triangle above a red square")]))
    empty = unconditional(text, 1)

    @torch.inference_mode()
    def denoise(x, sigma, alpha):
        y, a, s = x.view(-1, 4, 64, 64).float(), alpha[:, 0].float(), sigma[:, 0].float()
        base, given = (
            denoiser(y, a, s, context.expand(len(y), -1, -1)) for context in (empty, prompt)
        )
        return (base + 4.0 * (given - base)).view_as(x).to(x)

    return denoise


def problems():
    for flow in (False, True):
        kind = "flow" if flow else "eps"
        yield Problem(f"Gaussian, {kind}", flow, gaussian)
        for scale in (1, 4, 7.5):
            yield Problem(f"mixture, CFG {scale:g}, {kind}", flow, guided(scale))
    for flow in (False, True):
        kind = "flow" if flow else "eps"
        yield Problem(
            f"demo model, CFG 4, {kind}", flow, demo_model(), size=4 * 64 * 64, batch=4, fine=150
        )
