"""Our samplers' own time beside the host's functions: `python3 dev.py bench overhead`.

Both run with a model that answers at once, so that what is left is the sampler's work, in
milliseconds per model call. The two take turns in one process; the ratio of the medians is what
counts (below 1: ours is faster). "path" rows draw their noise from one Brownian path that is the
same at every step count, as the host's Brownian samplers do; "draws" rows from independent draws.
"memory" is the number of latents remembered between two model calls beside x.
"""

import argparse
import statistics
import time

from hostside import Model, host_function, load_host, load_pack, model_sampling

COMMON = (
    "euler", "euler_ancestral", "heun", "heunpp2", "dpm_2", "dpm_2_ancestral", "lms", "ipndm",
    "ipndm_v", "deis", "dpmpp_2m", "dpmpp_2s_ancestral", "res_multistep", "gradient_estimation",
    "lcm", "ddpm", "euler_cfg_pp",
)
SPECIAL = ("uni_pc", "uni_pc_bh2", "er_sde", "sa_solver")
BROWNIAN = ("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde")
TARGETS = {"common": 0.6, "special": 0.3, "path": 0.15, "draws": 0.05}
SHAPES = ((1, 4, 128, 128), (1, 16, 128, 128), (1, 16, 21, 60, 104))


def rows(registry):
    """(sampler, our options, kind of row)."""
    groups = (("common", COMMON), ("special", SPECIAL), ("path", BROWNIAN), ("draws", BROWNIAN))
    for kind, names in groups:
        options = {"path": {"noise": "path"}, "draws": {"noise": "independent"}}.get(kind, {})
        yield from ((name, options, kind) for name in names if name in registry)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--runs", type=int, default=9, help="timed runs of each (3 for video)")
    parser.add_argument("--only", nargs="*", default=None, help="samplers to time")
    args = parser.parse_args()
    import torch

    stride = load_pack()
    comfy = load_host()
    sampling = model_sampling(comfy)
    spec = stride.schedules.ModelSpec.discrete()
    sigmas = stride.schedules.get("karras").sigmas(spec, args.steps)
    print(f"milliseconds per model call outside the model, {args.steps} steps, median")
    print(f"{'sampler':21}{'noise':8}{'latent':>16}{'host':>9}{'ours':>9}{'ratio':>7}"
          f"{'goal':>6}{'memory':>8}")
    for shape in SHAPES:
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * sigmas[0]
        ready = x * 0.5
        model = Model(lambda x, sigma, ready=ready: ready, sampling)
        both = lambda x, sigma, ready=ready: (ready, ready)  # noqa: E731
        for name, options, kind in rows(stride.samplers.REGISTRY):
            if args.only and name not in args.only:
                continue
            theirs = host_function(comfy, name)
            entry = stride.samplers.get(name)
            plan = entry.plan(tuple(sigmas.tolist()), stride.samplers.VE, **options)
            denoise = both if plan.guided else lambda x, sigma, ready=ready: ready
            spent = {"host": [], "ours": []}
            runs = args.runs if len(shape) == 4 else 3
            with torch.inference_mode():
                for _ in range(runs + 1):
                    model.calls = 0
                    begun = time.perf_counter()
                    theirs(model, x.clone(), sigmas, extra_args={"seed": 1}, disable=True)
                    middle = time.perf_counter()
                    stride.samplers.sample(name, denoise, x, sigmas, seed=1, **options)
                    spent["ours"].append((time.perf_counter() - middle) / plan.calls)
                    spent["host"].append((middle - begun) / model.calls)
            host, ours = (1000 * statistics.median(spent[k][1:]) for k in ("host", "ours"))
            noise = kind if kind in ("path", "draws") else ""
            print(f"{name:21}{noise:8}{'x'.join(map(str, shape)):>16}{host:9.3f}{ours:9.3f}"
                  f"{ours / host:7.2f}{TARGETS[kind]:6.2f}{plan.peak_memory:8}", flush=True)


if __name__ == "__main__":
    main()
