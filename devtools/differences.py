"""docs/differences.md: every sampler of ComfyUI beside ours, on four kinds of model.

One exact denoiser, guided at cfg 3, and one list of levels for both, so that nothing but the
sampler can differ. `python3 dev.py docs` writes the page, tests/host/test_differences.py holds it
to a run.
"""

import math
from types import SimpleNamespace
from typing import NamedTuple

import torch

STEPS, CFG, BATCH, SIDE = 12, 3.0, 4, 9
SAME = 1e-4  # |ours - theirs| / |theirs| below which only rounding differs
KINDS = ("eps", "v", "flow", "flux")
TWINS = "_gpu"  # the host's names for noise that is drawn on the device

PAGE = """# ComfyUI's samplers and ours

Every sampler of ComfyUI's own list (0.3.75) beside ours of the same name: the same levels
(`simple`, {steps} steps), the same model, the same initial noise, and ours with `noise` = `host`
where a sampler adds noise. The model is an exact denoiser (a Gaussian mixture, guided at cfg
{cfg:g}) as four kinds of model: SD1.5 (eps), the same as a v-prediction model, a flow model with
shift 3, and Flux. This page is written by `python3 dev.py docs`; a test runs the comparison
again.

A cell is `|ours - theirs| / |theirs|` over the latents; "same" is below {same:g}, which is
rounding. Where a method solves the sampling ODE, the brackets hold the distance of ours and of
theirs to its exact solution, which is not image quality. The host's twins `..._gpu` draw on the
device and are left out.

| sampler | eps | v | flow | flux | why |
|---|---|---|---|---|---|
"""

LOG_SNR = "on flow models ours extrapolates in log-SNR, ComfyUI in -log(sigma)"
START = "ComfyUI moves a flow model's sigma 1 to just below 1"
CFG_PP = (
    "CFG++ is one rule for all of ours: the clean part from the guided answer, the noise part from "
    "the unconditional one; ComfyUI's mixes them differently"
)
VE_ALONE = "ComfyUI's formula is that of VE models, and it takes it on flow models too"
REASONS = {
    "dpm_fast": "ComfyUI's takes levels of its own, even in log(sigma), whatever the schedule says",
    "dpm_adaptive": "ours chooses the steps of each image apart and goes on to sigma 0",
    "dpmpp_2s_ancestral_cfg_pp": CFG_PP,
    "dpmpp_2m_cfg_pp": CFG_PP,
    "res_multistep_cfg_pp": CFG_PP,
    "res_multistep_ancestral_cfg_pp": CFG_PP,
    "gradient_estimation_cfg_pp": VE_ALONE,
    "res_multistep_ancestral": VE_ALONE,
    "ddpm": VE_ALONE,
    "dpmpp_2m": LOG_SNR,
    "res_multistep": LOG_SNR,
    "uni_pc": f"{LOG_SNR}; it ends at sigma 0.001 where ours ends at 0",
    "uni_pc_bh2": f"{LOG_SNR}; it ends at sigma 0.001 where ours ends at 0",
    "dpmpp_sde": f"the level between two steps is rounded to float32 there; {START}",
    "dpmpp_2m_sde": START,
    "dpmpp_2m_sde_heun": START,
    "dpmpp_3m_sde": START,
    "ipndm_v": "ComfyUI has the published coefficients, which are wrong from order 3 on",
    "sa_solver": START,
    "sa_solver_pece": START,
    "seeds_2": START,
    "seeds_3": START,
}


class Cell(NamedTuple):
    """apart: ours from theirs. errors: of ours and of theirs to the exact solution, if it has one.
    """

    apart: float
    errors: tuple[float, float] | None

    def __str__(self):
        if not self.apart >= SAME:
            return "same"
        text = f"{self.apart:.2g}"
        return text if self.errors is None else "{} ({:.2g}, {:.2g})".format(text, *self.errors)


class Guided:
    """The exact denoiser as ComfyUI hands a model to a sampler, guidance included."""

    def __init__(self, comfy, sampling, flow, base, given):
        self.comfy, self.flow, self.base, self.given = comfy, flow, base, given
        patcher = SimpleNamespace(get_model_object=lambda name: sampling)
        self.inner_model = SimpleNamespace(
            inner_model=SimpleNamespace(model_sampling=sampling), model_patcher=patcher, cfg=CFG,
            conds={},
        )

    def answers(self, x, sigma):
        flat, sigma = x.double().reshape(len(x), -1), sigma.double().reshape(-1, 1)
        alpha = 1.0 - sigma if self.flow else torch.ones_like(sigma)
        return [f(flat, sigma, alpha).reshape(x.shape).to(x) for f in (self.given, self.base)]

    def __call__(self, x, sigma, model_options=None, seed=None, denoise_mask=None):
        cond, uncond = self.answers(x, sigma)
        return self.comfy.samplers.cfg_function(
            None, cond, uncond, CFG, x, sigma, model_options=model_options or {}, cond=[],
            uncond=[],
        )


def sampling_of(comfy, kind):
    """The host's own object for a kind of model."""
    of = comfy.model_sampling
    parts = {
        "eps": (of.ModelSamplingDiscrete, of.EPS),
        "v": (of.ModelSamplingDiscrete, of.V_PREDICTION),
        "flow": (of.ModelSamplingDiscreteFlow, of.CONST), "flux": (of.ModelSamplingFlux, of.CONST),
    }[kind]
    sampling = type("Sampling", parts, {})()
    if kind == "flow":
        sampling.set_parameters(shift=3.0)
    if kind == "flux":
        sampling.set_parameters(shift=1.15)
    return sampling


def measure(stride, comfy, names):
    """{name: {kind: Cell}} of the host's samplers of these names, its twins left out."""
    import known
    from stride.host.run.ours import HostRun

    base, given = known.guided(0), known.guided(1)
    noise = torch.randn(BATCH, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    found = {name: {} for name in names if not name.endswith(TWINS)}
    for kind in KINDS:
        flow, sampling = kind in ("flow", "flux"), sampling_of(comfy, kind)
        model = Guided(comfy, sampling, flow, base, given)
        sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", STEPS)
        x = noise * float(sigmas[0])
        problem = known.Problem(kind, flow, known.guided(CFG), batch=BATCH, fine=150)
        exact = problem.solve(x.double().reshape(BATCH, -1), float(sigmas[0])).reshape(x.shape)
        for name in found:
            entry = stride.samplers.get(name)
            options = {"noise": "host"} if entry.stochastic else {}
            ends = []
            for sampler in (
                comfy.samplers.KSAMPLER(HostRun(entry, entry.configure(**options))),
                comfy.samplers.sampler_object(name),
            ):
                torch.manual_seed(5)
                ends.append(sampler.sampler_function(
                    model, x.clone(), sigmas.clone(), extra_args={"seed": 5, "model_options": {}},
                    callback=lambda info: None, disable=True, **sampler.extra_options,
                ))
            ours, host = ends
            errors = None
            if not entry.stochastic and not getattr(entry.options, "cfg_pp", False):
                errors = tuple(float((end - exact).norm() / exact.norm()) for end in ends)
            apart = float((ours - host).norm() / host.norm())
            found[name][kind] = Cell(apart if math.isfinite(apart) else math.inf, errors)
    return found


def page(stride, comfy, names):
    """docs/differences.md, as it should be."""
    lines = []
    for name, cells in measure(stride, comfy, names).items():
        texts = [str(cells[kind]) for kind in KINDS]
        why = "" if set(texts) == {"same"} else REASONS[name]
        lines.append(f"| `{name}` | {' | '.join(texts)} | {why} |")
    head = PAGE.format(steps=STEPS, cfg=CFG, same=SAME)
    return head + "\n".join(lines) + "\n"


def read(text):
    """The page's rows: {name: ({kind: apart, or None for the same}, why)}."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            name, *cells, why = [part.strip() for part in line.strip("|").split("|")]
            apart = [None if cell == "same" else float(cell.split()[0]) for cell in cells]
            rows[name.strip("`")] = dict(zip(KINDS, apart)), why
    return rows
