"""A MODEL that fails when it is asked for the k-th time, as models fail in the host."""

import comfy.model_management
import comfy.samplers
import torch


class FaultyModel:
    """fault: what happens at call ``at`` (from 1): an error, NaN in an answer, memory that runs
    out once or for more than ``fits`` images from then on, or the interrupt button."""

    FAULTS = ["none", "raise", "nan cond", "nan uncond", "oom once", "oom above", "interrupt"]

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {
            "model": ("MODEL",), "fault": (cls.FAULTS,), "at": ("INT", {"default": 1}),
            "fits": ("INT", {"default": 1}), "tag": ("INT", {"default": 0, "max": 2**31}),
        }}

    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL",), "patch", "testing"

    def patch(self, model, fault, at, fits, tag):
        calls = 0

        def asked(args):
            nonlocal calls
            calls += 1
            now = calls == at
            if fault == "raise" and now:
                raise RuntimeError(f"a hole in the model at call {at}")
            if (fault == "oom once" and now) or (
                fault == "oom above" and calls >= at and args["input"].shape[0] > fits
            ):
                raise torch.cuda.OutOfMemoryError(f"CUDA out of memory at call {calls}")
            if fault == "interrupt" and now:  # what POST /interrupt does
                comfy.model_management.interrupt_current_processing()
            out = comfy.samplers.calc_cond_batch(
                args["model"], args["conds"], args["input"], args["sigma"], args["model_options"]
            )
            if fault.startswith("nan") and now:
                out[fault == "nan uncond"][..., 3, 2] = torch.nan
            return out

        model = model.clone()
        model.set_model_sampler_calc_cond_batch_function(asked)
        return (model,)


class HalfModel:
    """The demo model's network in half precision, weights and activations."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "dtype": (["float16", "bfloat16"],)}}

    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL",), "halve", "testing"

    def halve(self, model, dtype):
        network, dtype = model.model.diffusion_model, getattr(torch, dtype)
        network.to(dtype)
        network.dtype = dtype
        return (model,)


NODE_CLASS_MAPPINGS = {"FaultyModel": FaultyModel, "HalfModel": HalfModel}
