"""An experiment: node density from Gaussian theory against the best published curve, cell by cell.

For Gaussian data with eigenvalues L, the local error of a solver of order p over a step h in
log-SNR is about h**(p + 1) g(s) with g(s)**2 = mean(L**3 s**4 / (L + s**2)**4), s = sigma / alpha.
Equal errors need nodes of density g**(1 / (p + 1)) in log-SNR; the spectrum is taken as 1/f**2
with mean 1, as natural latents have. Measured on guided mixtures with that spectrum and with four
that the curve does not assume; "no worse" is the share of cells where it is at or under the best
of the others in that cell, or under the one named ("against"). Five minutes on one core.

Found, with p = 1 (the best of the three p that were tried): at or under the best of eight in 36 %
of the eps cells and 54 % of the flow cells; against beta alone, the best single curve, 89 % and
74 %, median ratio 0.75 and 0.91. The pack does not have it: in most cells some curve is better.
"""

import math

import known
import numpy as np
import torch
from hostside import load_pack

BATCH, BUDGETS = 12, (5, 8, 12, 20)
SAMPLERS = {"euler": 1, "dpmpp_2m": 2, "ipndm": 3, "uni_pc": 2, "res_multistep": 2, "deis": 3}
OTHERS = ("simple", "normal", "sgm_uniform", "karras", "exponential", "beta", "align_your_steps",
          "optimal_steps")
SPECTRA = {"1/f^2": (2, 1.0), "1/f": (1, 1.0), "1/f^3": (3, 1.0), "1/f^2, variance 0.4": (2, 0.4),
           "1/f^2, variance 2": (2, 2.0)}


def curve(spec, steps, p):
    """Sigmas [steps]: quantiles 0, 1/n ... of the density from the model's top down to s = 1e-3."""
    f = np.fft.fftfreq(64, 1 / 64)
    energy = 1 / np.maximum(f[:, None] ** 2 + f[None] ** 2, 0.5).ravel()
    values, weights = np.unique(energy / energy.mean(), return_counts=True)
    flow = spec.process.name == "FLOW"
    top = math.log(1e6 if flow and spec.sigma_max == 1 else spec.sigma_max)
    u = np.linspace(top, math.log(1e-3), 2000)
    s2 = np.exp(2 * u)[:, None]
    g = np.sqrt((values**3 * s2**2 / (values + s2) ** 4) @ weights / weights.sum())
    density = g ** (1 / (p + 1))
    mass = np.append(0, np.cumsum((density[1:] + density[:-1]) / 2))
    s = np.exp(np.interp(np.arange(steps) / steps * mass[-1], mass, u))
    return np.append(spec.sigma_max, (s / (1 + s) if flow else s)[1:])


def energies(power, variance):
    f = torch.fft.fftfreq(known.SIDE, 1 / known.SIDE, dtype=torch.float64)
    square = (f[:, None] ** 2 + f[None] ** 2).flatten().clamp(min=0.5)
    values = square ** (-power / 2)
    return (variance * values / values.mean()).sort(descending=True).values


def main():
    stride = load_pack()
    specs = (stride.schedules.ModelSpec.discrete(), stride.schedules.ModelSpec.flow(3.0))
    wins, ratios = {}, {}
    for spectrum, (power, variance) in SPECTRA.items():
        print(spectrum, flush=True)
        known.energies = lambda power=power, variance=variance: energies(power, variance)
        for problem in known.problems():
            if "mixture" not in problem.name:
                continue
            spec = specs[problem.flow]
            generator = torch.Generator().manual_seed(1)
            noise = torch.randn(BATCH, 324, generator=generator, dtype=torch.float64)
            noise *= spec.sigma_max
            exact = problem.solve(noise, spec.sigma_max, steps=250)

            def error(sampler, sigmas, problem=problem, spec=spec, noise=noise, exact=exact):
                found = stride.samplers.sample(sampler, problem, noise, sigmas, spec.process)
                return float(((found - exact).norm(dim=1) / exact.norm(dim=1).mean()).median())

            for sampler, order in SAMPLERS.items():
                for steps in BUDGETS:
                    errors = {
                        o: error(sampler, stride.schedules.get(o).sigmas(spec, steps).double())
                        for o in OTHERS
                    }
                    name = min(errors, key=errors.get)
                    for p in (1, 2, "matched"):
                        power_p = min(order, 2) if p == "matched" else p
                        sigmas = torch.tensor([*curve(spec, steps, power_p), 0.0])
                        mine, kind = error(sampler, sigmas), "flow" if problem.flow else "eps"
                        ratio = mine / errors[name]
                        for other, value in errors.items():
                            ratios.setdefault((p, f"against {other}", kind), []).append(
                                mine / value
                            )
                        for key in ((p, spectrum, kind), (p, "cfg", problem.name),
                                    (p, "sampler", sampler), (p, "all", kind)):
                            ratios.setdefault(key, []).append(ratio)
                    wins[name] = wins.get(name, 0) + 1
    print("| p | group | part | cells | no worse | median ratio | worst tenth |")
    print("|---" * 7 + "|")
    for (p, group, part), found in sorted(ratios.items(), key=str):
        r = np.array(found)
        print(f"| {p} | {group} | {part} | {len(r)} | {np.mean(r <= 1):.0%} | {np.median(r):.2f} "
              f"| {np.quantile(r, 0.9):.2f} |")
    print("\nbest of the others:", dict(sorted(wins.items(), key=lambda item: -item[1])))


if __name__ == "__main__":
    main()
