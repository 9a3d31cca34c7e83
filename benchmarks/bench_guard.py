"""What safety costs: `python3 dev.py bench guard`.

Runs of 20 steps with a model that answers at once, so that a step is the sampler's own work alone;
three ways in turn, the fastest of the runs, in microseconds a step:

bare: without the watch for NaN and Inf. watched: with it, as every run is. report: with a report
taken down as well, which no run does unless it is asked for.
"""

import argparse
import sys
import time

from hostside import load_pack

SHAPES = ((1, 4, 8, 8), (1, 4, 64, 64), (1, 16, 128, 128), (1, 16, 21, 60, 104))
SAMPLERS = ("euler", "dpmpp_2m")


class NoGuard:
    """A guard that looks away."""

    def __init__(self, *args):
        pass

    def watch(self, *args):
        pass

    def finish(self):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    import torch

    stride = load_pack()
    module = sys.modules["stride.engine.run"]
    from stride.engine.model import Function
    from stride.engine.report import Recorder

    samplers = stride.samplers
    spec = stride.schedules.ModelSpec.discrete()
    sigmas = stride.schedules.get("karras").sigmas(spec, args.steps)
    levels, watched_guard = sigmas.tolist(), module.Guard
    print(f"microseconds a step, {args.steps} steps, fastest of {args.runs} runs")
    print(f"{'sampler':15}{'latent':>16}{'bare':>10}{'watched':>10}{'cost':>8}{'report':>10}"
          f"{'cost':>8}")
    for shape in SHAPES:
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * sigmas[0]
        ready = x * 0.5

        def answer(x, sigma, ready=ready):
            return ready

        for name in SAMPLERS:
            spent = {"bare": [], "watched": [], "report": []}
            for _ in range(args.runs if x.numel() < 1e5 else 10):
                for kind, times in spent.items():
                    module.Guard = NoGuard if kind == "bare" else watched_guard
                    recorder = Recorder(levels, samplers.VE, x.device)
                    step = recorder.step if kind == "report" else None
                    model = recorder.timed(Function(answer)) if kind == "report" else answer
                    begun = time.perf_counter()
                    end = samplers.sample(name, model, x, levels, seed=1, on_step=step)
                    if kind == "report":
                        recorder.finish(end)
                    times.append((time.perf_counter() - begun) / args.steps)
            bare, watched, report = (1e6 * min(t[1:]) for t in spent.values())
            print(f"{name:15}{'x'.join(map(str, shape)):>16}{bare:10.1f}{watched:10.1f}"
                  f"{watched / bare - 1:8.1%}{report:10.1f}{report / bare - 1:8.1%}", flush=True)
    module.Guard = watched_guard


if __name__ == "__main__":
    main()
