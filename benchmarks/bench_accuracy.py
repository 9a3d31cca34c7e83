"""Error of every deterministic sampler on every schedule: `python3 dev.py bench accuracy`.

The error is the distance to the exact solution of the sampling ODE for the same starting noise,
relative to the solution's root mean square: median and 90th percentile over 32 samples. It is not
image quality. NFE is the number of model calls. On problems whose exact denoiser is known
(problems.py). "host" rows are the host's own function of that name, on the host's schedule of
that name, where it differs by more than a tenth from ours.
"""

import argparse

from hostside import Model, host_function, load_host, load_pack, model_sampling
from problems import problems

BUDGETS = (5, 8, 10, 15, 20)
BATCH = 32


def steps_within(entry, budget, sigmas_of, process):
    """The largest number of steps whose run costs at most ``budget`` model calls."""
    for steps in range(budget, 0, -1):
        plan = entry.plan(tuple(sigmas_of(steps).tolist()), process)
        if plan.calls <= budget:
            return steps
    return None


def percentiles(found, exact):
    import torch

    error = (found - exact).norm(dim=1) / exact.norm(dim=1).mean()
    error = torch.nan_to_num(error, nan=9.99).clamp(max=9.99)
    return tuple(error.quantile(torch.tensor([0.5, 0.9], dtype=error.dtype)).tolist())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nfe", type=int, nargs="*", default=BUDGETS)
    parser.add_argument("--only", nargs="*", default=None, help="samplers")
    parser.add_argument("--problem", default="", help="part of a problem's name")
    args = parser.parse_args()
    import torch

    stride, comfy = load_pack(), load_host()
    specs = {
        False: stride.schedules.ModelSpec.discrete(), True: stride.schedules.ModelSpec.flow(3.0)
    }
    entries = [
        e for e in stride.samplers.REGISTRY
        if not e.stochastic and e.order and not getattr(e, "adaptive", False)
        and not getattr(e.options, "cfg_pp", False) and (not args.only or e.name in args.only)
    ]
    # Presets of distilled models approximate no ODE: an error against one means nothing.
    curves = [s.name for s in stride.schedules.REGISTRY if not s.counts]
    for problem in problems():
        if args.problem not in problem.name:
            continue
        spec, sampling = specs[problem.flow], model_sampling(comfy, problem.flow)
        generator = torch.Generator().manual_seed(1)
        top = float(spec.sigmas[-1])
        noise = torch.randn(BATCH, 324, generator=generator, dtype=torch.float64) * top
        exact = problem.solve(noise, top)
        check = problem.solve(noise, top, steps=750)
        agree = float((check - exact).norm(dim=1).median() / exact.norm(dim=1).mean())
        print(f"\n## {problem.name}\n\nTwo references agree to {agree:.0e}.")
        for budget in args.nfe:
            print(f"\n### {budget} model calls\n")
            print("| sampler | steps | " + " | ".join(curves) + " |")
            print("|---" * (len(curves) + 2) + "|")
            for entry in entries:
                ours, theirs, steps = [], [], None
                for curve in curves:
                    def sigmas_of(n, curve=curve, spec=spec):
                        return stride.schedules.get(curve).sigmas(spec, n).double()

                    steps = steps_within(entry, budget, sigmas_of, spec.process)
                    if steps is None:
                        ours.append(None)
                        theirs.append(None)
                        continue
                    sigmas = sigmas_of(steps)
                    found = stride.samplers.sample(entry.name, problem, noise, sigmas, spec.process)
                    ours.append(percentiles(found, exact))
                    theirs.append(
                        of_host(comfy, entry, problem, sampling, curve, steps, noise, exact)
                    )
                print_row(entry.name, steps, ours)
                pairs = [(o, t) for o, t in zip(ours, theirs) if o and t]
                if any(abs(o[0] - t[0]) > 0.1 * min(o[0], t[0]) for o, t in pairs):
                    print_row(f"{entry.name}, host", steps, theirs)


def of_host(comfy, entry, problem, sampling, curve, steps, noise, exact):
    """The same with the host's function and the host's schedule, where it has both."""
    function = host_function(comfy, entry.name)
    if function is None or curve not in comfy.samplers.SCHEDULER_NAMES:
        return None
    sigmas = comfy.samplers.calculate_sigmas(sampling, curve, steps).double()
    try:
        found = function(Model(problem, sampling), noise.clone(), sigmas, disable=True)
    except Exception:  # a host's function that cannot run this pair is a gap in the table
        return None
    return percentiles(found, exact)


def print_row(name, steps, errors):
    cells = ["" if e is None else f"{e[0]:.3f} ({e[1]:.3f})" for e in errors]
    print(f"| {name} | {'' if steps is None else steps} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
