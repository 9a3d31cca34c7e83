"""Error of every deterministic sampler on every schedule: `python3 dev.py bench accuracy`.

The error is the distance to the exact solution of the sampling ODE for the same starting noise,
relative to the solution's root mean square: median and 90th percentile over 32 samples. It is not
image quality. NFE is the number of model calls. On problems whose exact denoiser is known and on
the demo model (known.py). "host" rows are the host's own function of that name, on the host's
schedule of that name, where it differs by more than a tenth from ours.

Printed is each sampler on the schedule where its median is smallest; `--all` prints all schedules.
"""

import argparse

from hostside import Model, host_function, load_host, load_pack, model_sampling
from known import problems

BUDGETS = (5, 8, 10, 15, 20)


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
    parser.add_argument("--schedules", nargs="*", default=None, help="names; all unless given")
    parser.add_argument("--all", action="store_true", help="every schedule, not only the best")
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
    curves = [s.name for s in stride.schedules.REGISTRY
              if not s.counts and (not args.schedules or s.name in args.schedules)]
    for problem in problems():
        if args.problem not in problem.name:
            continue
        spec, sampling = specs[problem.flow], model_sampling(comfy, problem.flow)
        generator = torch.Generator().manual_seed(1)
        top = float(spec.sigmas[-1])
        shape = problem.batch, problem.size
        noise = torch.randn(shape, generator=generator, dtype=torch.float64) * top
        exact = problem.solve(noise, top)
        check = problem.solve(noise, top, steps=problem.fine // 2)
        agree = float((check - exact).norm(dim=1).median() / exact.norm(dim=1).mean())
        print(f"\n## {problem.name}\n\nTwo references agree to {agree:.0e}.")
        found = {}
        for budget in args.nfe:
            for entry in entries:
                for curve in curves:
                    def sigmas_of(n, curve=curve, spec=spec):
                        return stride.schedules.get(curve).sigmas(spec, n).double()

                    steps = steps_within(entry, budget, sigmas_of, spec.process)
                    if steps is None:
                        continue
                    sigmas = sigmas_of(steps)
                    end = stride.samplers.sample(entry.name, problem, noise, sigmas, spec.process)
                    cell = found.setdefault((entry.name, budget), {})
                    cell[curve] = percentiles(end, exact)
                    end = of_host(comfy, entry, problem, sampling, curve, steps, noise)
                    if end is not None:
                        cell = found.setdefault((f"{entry.name}, host", budget), {})
                        cell[curve] = percentiles(end, exact)
        (every if args.all else digest)(entries, args.nfe, curves, found)


def differing(name, budgets, found):
    """Whether the host's function and ours are more than a tenth apart anywhere."""
    for budget in budgets:
        ours, theirs = found.get((name, budget), {}), found.get((f"{name}, host", budget), {})
        for curve in ours.keys() & theirs.keys():
            a, b = ours[curve][0], theirs[curve][0]
            if abs(a - b) > 0.1 * min(a, b):
                return True
    return False


def rows(entries, budgets, found):
    """Names of the rows: ours, each followed by the host's where that differs."""
    for entry in entries:
        yield entry.name
        if differing(entry.name, budgets, found):
            yield f"{entry.name}, host"


def digest(entries, budgets, curves, found):
    """One table: the best schedule of each sampler at each number of model calls."""
    print("\n| sampler | " + " | ".join(f"{n} calls" for n in budgets) + " |")
    print("|---" * (len(budgets) + 1) + "|")
    for name in rows(entries, budgets, found):
        cells = []
        for budget in budgets:
            cell = found.get((name, budget))
            best = min(cell, key=lambda c: cell[c][0]) if cell else None
            cells.append(f"{show(cell[best])} {best}" if best else "")
        print(f"| {name} | " + " | ".join(cells) + " |")


def every(entries, budgets, curves, found):
    """A table for each number of model calls: all samplers on all schedules."""
    for budget in budgets:
        print(f"\n### {budget} model calls\n")
        print("| sampler | " + " | ".join(curves) + " |")
        print("|---" * (len(curves) + 1) + "|")
        for name in rows(entries, [budget], found):
            cell = found.get((name, budget), {})
            print(f"| {name} | " + " | ".join(
                show(cell[curve]) if curve in cell else "" for curve in curves) + " |")


def show(errors):
    return f"{errors[0]:.3f} ({errors[1]:.3f})"


def of_host(comfy, entry, problem, sampling, curve, steps, noise):
    """What the host's function makes on the host's schedule, where it has both."""
    function = host_function(comfy, entry.name)
    if function is None or curve not in comfy.samplers.SCHEDULER_NAMES:
        return None
    sigmas = comfy.samplers.calculate_sigmas(sampling, curve, steps).double()
    try:
        return function(Model(problem, sampling), noise.clone(), sigmas, disable=True)
    except Exception:  # a host's function that cannot run this pair is a gap in the table
        return None


if __name__ == "__main__":
    main()
