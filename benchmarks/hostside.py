"""The pack and the host's own functions in one process, for the benchmarks."""

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent


def load_pack():
    """The pack without a host: numerics alone."""
    spec = importlib.util.spec_from_file_location(
        "stride", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    stride = sys.modules["stride"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stride)
    return stride


def load_host():
    """The host's sampling modules on the CPU; call it after `load_pack`."""
    sys.path.insert(0, str(ROOT / "devtools"))
    import standins

    standins.install()
    sys.path.append(os.environ["COMFYUI_PATH"])
    import comfy.options

    comfy.options.args_parsing = False
    from comfy.cli_args import args

    args.cpu = True
    import comfy.extra_samplers.uni_pc
    import comfy.k_diffusion.sampling
    import comfy.model_sampling
    import comfy.samplers

    return comfy


def host_function(comfy, name):
    """The host's sampler function of that name as f(model, x, sigmas, **options), or None."""
    if name in ("uni_pc", "uni_pc_bh2"):
        return getattr(comfy.extra_samplers.uni_pc, f"sample_{name.replace('uni_pc', 'unipc')}")
    functions = comfy.k_diffusion.sampling
    if name in ("dpm_fast", "dpm_adaptive"):
        function = getattr(functions, f"sample_{name}")

        def whole_range(model, x, sigmas, **options):
            ends = float(sigmas[sigmas > 0][-1]), float(sigmas[0])
            count = (len(sigmas) - 1,) if name == "dpm_fast" else ()
            return function(model, x, *ends, *count, **options)

        return whole_range
    return getattr(functions, f"sample_{name}", None)


def model_sampling(comfy, flow=False, shift=3.0):
    """The host's object for a Stable Diffusion 1.5 model or a flow model."""
    of = comfy.model_sampling
    parts = (of.ModelSamplingDiscreteFlow, of.CONST) if flow else (of.ModelSamplingDiscrete, of.EPS)
    sampling = type("Sampling", parts, {})()  # as the host puts them together
    if flow:
        sampling.set_parameters(shift=shift)
    return sampling


class Model:
    """A denoiser with the attributes that the host's functions ask for; counts its calls."""

    def __init__(self, denoise, sampling):
        self.denoise, self.calls = denoise, 0
        self.inner_model = SimpleNamespace(
            inner_model=SimpleNamespace(model_sampling=sampling),
            model_patcher=SimpleNamespace(get_model_object=lambda name: sampling),
        )

    def __call__(self, x, sigma, **extra):
        self.calls += 1
        answer = self.denoise(x, sigma)
        hooks = extra.get("model_options", {}).get("sampler_post_cfg_function", [])
        for hook in hooks:  # what CFG++ asks of the host
            hook({"denoised": answer, "uncond_denoised": answer, "uncond": True})
        return answer
