"""What wrapped samplers do to the error: `python3 dev.py bench compose`.

Distance to the exact solution of the sampling ODE for the same starting noise, relative to the
solution's root mean square, median of 32 samples (4 on the demo model); it is not image quality.
16 steps of karras (eps) or simple, shift 3 (flow). The change of samplers and the start of what
is skipped are after a third of the steps.
"""

from dataclasses import replace
from functools import partial

from hostside import Model, load_host, load_pack, model_sampling
from known import problems

STEPS = 16


def rows(wrappers, sampler, change, top):
    """(label, SAMPLER) of what is measured."""
    euler, heun, multi = (sampler(name) for name in ("euler", "heun", "dpmpp_2m"))
    yield "euler", euler
    yield "heun", heun
    yield "dpmpp_2m", multi
    yield "heun, then dpmpp_2m", wrappers.alternating(heun, multi, change)
    yield "mean of heun and dpmpp_2m", wrappers.averaging(heun, multi, 0.5)
    yield "mean of euler and dpmpp_2m", wrappers.averaging(euler, multi, 0.5)
    for every in (2, 3, 4):
        yield f"dpmpp_2m, skip 1 in {every}", wrappers.skipping(multi, every, 0.0, change)
    yield "dpmpp_2m, skip 1 in 3 from the start", wrappers.skipping(multi, 3, 0.0, 2 * top)
    for strength in (0.02, 0.1):
        yield f"dpmpp_2m, inject {strength}", wrappers.injecting(multi, strength, 0.0, 2 * top)


def main():
    import torch

    stride, comfy = load_pack(), load_host()
    from stride.host.run import wrappers
    from stride.host.run.ours import HostRun

    def sampler(name):
        entry = stride.samplers.get(name)
        return comfy.samplers.KSAMPLER(HostRun(entry, entry.options))

    wanted = {"mixture, CFG 4, eps", "mixture, CFG 4, flow", "demo model, CFG 4, eps"}
    for problem in (replace(p, fine=min(p.fine, 400)) for p in problems() if p.name in wanted):
        flow = problem.flow
        spec = (stride.schedules.ModelSpec.flow(3.0) if flow
                else stride.schedules.ModelSpec.discrete())
        sigmas = stride.schedules.get("simple" if flow else "karras").sigmas(spec, STEPS)
        top, change = float(sigmas[0]), float(sigmas[STEPS // 3])
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(problem.batch, problem.size, generator=generator, dtype=torch.float64)
        exact = problem.solve(x * top, top)
        print(f"\n{problem.name}\n{'':40}{'calls':>6}{'error':>10}  guesses")
        for label, made in rows(wrappers, sampler, change, top):
            model, said = Model(problem, model_sampling(comfy, flow)), [""]
            if isinstance(made.sampler_function, wrappers.Skipping):
                made.sampler_function.tell = partial(said.__setitem__, 0)
            found = made.sampler_function(model, x * top, sigmas, {"seed": 3}, disable=True)
            error = ((found - exact).norm(dim=1) / exact.norm(dim=1).mean()).median()
            guesses = said[0].rpartition("off by ")[2]
            print(f"{label:40}{model.calls:6}{float(error):10.4f}  {guesses}", flush=True)


if __name__ == "__main__":
    main()
