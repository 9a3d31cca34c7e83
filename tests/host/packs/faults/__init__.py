"""A MODEL that fails when it is asked for the k-th time, as models fail in the host; what other
packs may hand to our nodes; and what the server's event loop has cost so far."""

import time

import comfy.model_management
import comfy.samplers
import torch


class FaultyModel:
    """fault: what happens at call ``at`` (from 1): an error, NaN in an answer, memory that runs
    out once or for more than ``fits`` images from then on, or the interrupt button."""

    FAULTS = ["none", "raise", "nan cond", "nan uncond", "oom once", "oom above", "interrupt",
              "huge", "nan image 1"]

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
            if fault == "huge" and now:
                return [part * 1e30 for part in out]
            if fault == "nan image 1" and now:
                out[0][1, ..., 3, 2] = torch.nan
            elif fault.startswith("nan") and now:
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


class Any(str):
    """A type that links to any other."""

    def __ne__(self, other):
        return False


class Odd:
    """What another pack might hand to a node of ours."""

    LATENTS = {
        "no mask": lambda latent: {**latent, "noise_mask": None},
        "no images": lambda latent: {**latent, "samples": latent["samples"][:0]},
        "ratio": lambda latent: {**latent, "downscale_ratio_temporal": 4},
        "foreign run": lambda latent: {**latent, "stride": {"a": 1}, "stride_run": (1, 2)},
        "torn run": lambda latent: {**latent, "stride": latent["stride"]._replace(carry=None)},
        "no dict": lambda latent: latent["samples"],
        "no samples": lambda latent: {"noise_mask": None},
        "keys": lambda latent: sorted(latent),
        "none": lambda latent: None, "number": lambda latent: 5, "text": lambda latent: "x" * 10**5,
        "list": lambda latent: [1, 2], "dict": lambda latent: {"sampler": "euler"},
    }

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"kind": (list(cls.LATENTS),)}, "optional": {"latent": ("LATENT",)}}

    RETURN_TYPES, FUNCTION, CATEGORY = (Any("*"),), "make", "testing"

    def make(self, kind, latent=None):
        return (self.LATENTS[kind](latent),)


try:
    from aiohttp import web
    from server import PromptServer

    routes = PromptServer.instance.routes
except (ImportError, AttributeError):  # loaded without a server
    routes = None

if routes is not None:

    @routes.get("/faults/loop")
    async def loop(request):
        """CPU seconds of the loop's thread; ?dtype= sets torch's default as a pack might."""
        if dtype := request.rel_url.query.get("dtype"):
            torch.set_default_dtype(getattr(torch, dtype))
        return web.json_response(time.thread_time())


NODE_CLASS_MAPPINGS = {"FaultyModel": FaultyModel, "HalfModel": HalfModel, "Odd": Odd}
