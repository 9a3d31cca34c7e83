"""Exact denoisers, so that a sampler's error can be measured and not guessed.

``x = alpha c + sigma z`` on either process; with ``s = sigma / alpha`` and ``y = x / alpha`` both
are the same problem, so every denoiser is written once, in (x, alpha, sigma).
"""

import torch
from stride.samplers import FLOW, VE

VARIANCE = torch.tensor([0.25, 0.5, 1.0, 2.0], dtype=torch.float64)  # of the Gaussian data
MEANS = torch.tensor([-1.0, 1.2], dtype=torch.float64)  # of the mixture
SPREAD = 0.3**2


def gaussian(process):
    """D(x, sigma) for data N(0, VARIANCE), one variance per coordinate: linear in x."""

    def denoise(x, sigma):
        sigma = sigma.double()[:, None]
        alpha = 1.0 if process is VE else 1.0 - sigma
        return (alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2)) * x

    return denoise


def gaussian_flow(x, sigma, sigma_next, process):
    """The exact ODE solution from sigma to sigma_next for Gaussian data."""

    def scale(level):
        return (process.alpha(level) ** 2 * VARIANCE + level**2).sqrt()

    return x * scale(sigma_next) / scale(sigma)


def mixture(process):
    """D(x, sigma) for two narrow Gaussians: nonlinear, each coordinate by itself."""

    low, high = MEANS.tolist()

    def denoise(x, sigma):
        sigma = sigma.double()[:, None]
        alpha = 1.0 if process is VE else 1.0 - sigma
        var = alpha**2 * SPREAD + sigma**2
        keep = alpha * SPREAD / var
        chance = torch.sigmoid(alpha * (high - low) / var * (x - alpha * (high + low) / 2))
        return keep * x + (1.0 - alpha * keep) * (low + (high - low) * chance)

    return denoise


def runge_kutta(denoise, x, sigma, sigma_next, n):
    """The mixture's reference: classical RK4 in log sigma, written apart from the pack."""
    import math

    def slope(x, u):
        level = torch.full((x.shape[0],), math.exp(u), dtype=torch.float64)
        return x - denoise(x, level)  # dx/dlog(sigma)

    u, end = math.log(sigma), math.log(sigma_next)
    h = (end - u) / n
    for _ in range(n):
        a = slope(x, u)
        b = slope(x + h / 2 * a, u + h / 2)
        c = slope(x + h / 2 * b, u + h / 2)
        d = slope(x + h * c, u + h)
        x, u = x + h / 6 * (a + 2 * b + 2 * c + d), u + h
    return x


PROCESSES = {"VE": VE, "FLOW": FLOW}

# A run of few uneven steps.
LEVELS = {"VE": (9.0, 5.0, 2.5, 1.0, 0.4, 0.15), "FLOW": (0.9, 0.75, 0.6, 0.4, 0.2, 0.1)}


def start(sigma, batch=3, seed=0):
    """Images of pure noise of a level, four coordinates each."""
    generator = torch.Generator().manual_seed(seed)
    return sigma * torch.randn(batch, 4, generator=generator, dtype=torch.float64)


def even_in_log(top, bottom, n):
    """n steps from top to bottom, all of one length in log sigma."""
    return tuple(top * (bottom / top) ** (i / n) for i in range(n + 1))


def uneven(process, n):
    """n steps whose middle level is the same for every n, uneven so that no error cancels."""
    top, bottom = (8.0, 0.2) if process is VE else (0.85, 0.15)
    return tuple(top * (bottom / top) ** ((i / n) ** 1.2) for i in range(n + 1))


def carried(table):
    """The weight of the first latent in the last one where the model always answers 0."""
    latents = [1.0]
    for row in table.rows:
        latents.append(sum(w * latents[j] for j, w in row.x.items()))
    return latents[-1]


def load_bench_problems():
    """benchmarks/known.py, which is a script's module."""
    import importlib.util
    import sys
    from pathlib import Path

    if "bench_problems" not in sys.modules:
        path = Path(__file__).parent.parent / "benchmarks" / "known.py"
        spec = importlib.util.spec_from_file_location("bench_problems", path)
        sys.modules["bench_problems"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["bench_problems"])
    return sys.modules["bench_problems"]
