"""Time to make a schedule: `python3 dev.py bench schedules [--steps 1000]`.

Milliseconds for one call after the first, median, in float64 and on the host's float32 table;
the goal is under 5 at 1000 steps. "host" is the host's own function of the name.
"""

import argparse
import statistics
import time

from hostside import load_host, load_pack, model_sampling

GOAL = 5.0


def milliseconds(make, runs):
    make()
    spent = []
    for _ in range(runs):
        begun = time.perf_counter()
        make()
        spent.append(1000 * (time.perf_counter() - begun))
    return statistics.median(spent)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    stride, comfy = load_pack(), load_host()
    sampling = model_sampling(comfy)
    specs = {
        "SD": stride.schedules.ModelSpec.discrete(),
        "flow": stride.schedules.ModelSpec.flow(3.0),
    }
    specs["SD float32"] = stride.schedules.ModelSpec.from_table(sampling.sigmas.numpy())
    print(f"milliseconds for {args.steps} steps; goal {GOAL:g}")
    print(f"{'schedule':24}" + "".join(f"{name:>12}" for name in (*specs, "host")))
    worst = 0.0
    for schedule in stride.schedules.REGISTRY:
        steps = max(schedule.counts) if schedule.counts else args.steps
        found = [
            milliseconds(lambda: schedule.sigmas(spec, steps), args.runs)  # noqa: B023
            for spec in specs.values()
        ]
        worst = max(worst, *found)
        theirs = ""
        if schedule.name in comfy.samplers.SCHEDULER_NAMES:
            calculate = comfy.samplers.calculate_sigmas
            spent = milliseconds(lambda: calculate(sampling, schedule.name, steps), 3)  # noqa: B023
            theirs = f"{spent:12.2f}"
        note = "" if steps == args.steps else f"  ({steps} steps)"
        print(f"{schedule.name:24}" + "".join(f"{t:12.2f}" for t in found) + theirs + note)
    print(f"slowest: {worst:.2f} ms")


if __name__ == "__main__":
    main()
