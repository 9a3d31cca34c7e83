"""What the warnings are about, in error on an exact problem: `python3 dev.py bench advice`.

The median relative error over 32 samples of the guided mixture of known.py, at step counts and
cfg around those where advice/warnings.py warns. docs/accuracy.md has what it prints.
"""

import argparse

from hostside import load_pack
from known import Problem, guided

ORDERS = ("euler", "dpmpp_2m", "dpmpp_3m", "uni_pc", "ipndm", "deis", "adams_2", "lms")
CURVES = ("karras", "exponential", "kl_optimal", "normal", "trailing", "beta")


def errors(stride, torch, spec, cfg, rows):
    """{(sampler, schedule, steps): median error} on the mixture at that cfg."""
    problem = Problem("guided mixture", spec.process.name == "FLOW", guided(cfg))
    generator = torch.Generator().manual_seed(1)
    shape = problem.batch, problem.size
    noise = torch.randn(shape, generator=generator, dtype=torch.float64) * spec.sigma_max
    exact = problem.solve(noise, spec.sigma_max, steps=600)
    found = {}
    for sampler, schedule, steps in rows:
        sigmas = stride.schedules.get(schedule).sigmas(spec, steps).double()
        end = stride.samplers.sample(sampler, problem, noise, sigmas, spec.process)
        error = (end - exact).norm(dim=1) / exact.norm(dim=1).mean()
        found[sampler, schedule, steps] = float(error.median())
    return found


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    import torch

    stride = load_pack()
    Spec = stride.schedules.ModelSpec
    counts = (6, 8, 11, 12, 20)
    for title, spec, curve in (
        ("eps model, karras", Spec.discrete(), "karras"),
        ("flow model (shift 3), beta", Spec.flow(3.0), "beta"),
    ):
        for cfg in (4, 7.5):
            rows = [(s, curve, n) for s in ORDERS for n in counts]
            found = errors(stride, torch, spec, cfg, rows)
            print(f"\n{title}, cfg {cfg:g}:\n")
            print("| sampler | " + " | ".join(f"{n} steps" for n in counts) + " |")
            print("|---" * (len(counts) + 1) + "|")
            for s in ORDERS:
                cells = " | ".join(f"{found[s, curve, n]:.3f}" for n in counts)
                print(f"| {s} | {cells} |")
    wide = Spec.discrete(zero_terminal_snr=True)
    for steps in (12, 20, 28):
        rows = [(s, c, steps) for s in ("euler", "dpmpp_2m", "uni_pc_bh2") for c in CURVES]
        found = errors(stride, torch, wide, 5, rows)
        print(f"\nzero-terminal-SNR model (sigma up to {wide.sigma_max:.1f}), cfg 5, {steps} "
              "steps:\n")
        print("| sampler | " + " | ".join(CURVES) + " |")
        print("|---" * (len(CURVES) + 1) + "|")
        for s in ("euler", "dpmpp_2m", "uni_pc_bh2"):
            print(f"| {s} | " + " | ".join(f"{found[s, c, steps]:.3f}" for c in CURVES) + " |")


if __name__ == "__main__":
    main()
