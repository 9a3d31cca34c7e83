"""What the warnings are about, in error on an exact problem: `python3 dev.py bench advice`.

The median relative error over 32 samples of the guided mixture of known.py, at step counts and
cfg around those where advice/warnings.py warns. docs/accuracy.md has what it prints.
"""

import argparse

from hostside import load_pack
from known import Problem, guided

ORDERS = ("euler", "dpmpp_2m", "dpmpp_3m", "uni_pc", "ipndm", "deis", "adams_2", "lms")
CURVES = ("karras", "exponential", "kl_optimal", "normal", "trailing", "beta")


def runs(stride, torch, spec, cfg, rows, fine=600):
    """{(sampler, schedule, steps): (end, exact end)} on the mixture at that cfg."""
    problem = Problem("guided mixture", spec.process.name == "FLOW", guided(cfg))
    generator = torch.Generator().manual_seed(1)
    shape = problem.batch, problem.size
    noise = torch.randn(shape, generator=generator, dtype=torch.float64) * spec.sigma_max
    exact = problem.solve(noise, spec.sigma_max, steps=fine)
    found = {}
    for sampler, schedule, steps in rows:
        sigmas = stride.schedules.get(schedule).sigmas(spec, steps).double()
        end = stride.samplers.sample(sampler, problem, noise, sigmas, spec.process)
        found[sampler, schedule, steps] = end, exact
    return found


def errors(*asked):
    """{(sampler, schedule, steps): median error}; the arguments are those of ``runs``."""
    return {
        row: float(((end - exact).norm(dim=1) / exact.norm(dim=1).mean()).median())
        for row, (end, exact) in runs(*asked).items()
    }


def oversize(stride, torch, spec, curve):
    """The table of how much larger Euler's result is than the exact one."""
    counts = (4, 6, 8, 10, 12, 15, 20)
    print("| cfg | " + " | ".join(f"{n} steps" for n in counts) + " |")
    print("|---" * (len(counts) + 1) + "|")
    for cfg in (4, 7.5, 12, 20, 30):
        found = runs(stride, torch, spec, cfg, [("euler", curve, n) for n in counts], 150)
        cells = (f"{float(end.norm() / exact.norm()) - 1:+.0%}" for end, exact in found.values())
        print(f"| {cfg:g} | {' | '.join(cells)} |")


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
    for title, spec, curve in (("eps model, normal", Spec.discrete(), "normal"),
                               ("flow model (shift 3), simple", Spec.flow(3.0), "simple")):
        print(f"\n{title}, euler, size of the result beside that of the exact one:\n")
        oversize(stride, torch, spec, curve)


if __name__ == "__main__":
    main()
