"""A control net of the host's own class without weights, and a model that takes its answer.

The demo network has no control net. This one pulls the clean picture towards its hint, which
needs no training and shows at once whose hint an image has met.
"""

import comfy.controlnet
import torch
from comfy.utils import common_upscale


class Pull(comfy.controlnet.ControlBase):
    """Its answer is the hint at the latent's size, four channels in [-1, 1], times strength."""

    def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
        before = None
        if self.previous_controlnet is not None:
            before = self.previous_controlnet.get_control(
                x_noisy, t, cond, batched_number, transformer_options
            )
        high, low = self.timestep_range
        if t[0] > high or t[0] < low:
            return before
        if self.cond_hint is None or self.cond_hint.shape[2:] != x_noisy.shape[2:]:
            size = x_noisy.shape[3], x_noisy.shape[2]
            hint = common_upscale(self.cond_hint_original, *size, "bilinear", "center") * 2 - 1
            self.cond_hint = torch.nn.functional.pad(hint, (0, 0, 0, 0, 0, 1)).to(x_noisy)
        if x_noisy.shape[0] != self.cond_hint.shape[0]:
            self.cond_hint = comfy.controlnet.broadcast_image_to(
                self.cond_hint, x_noisy.shape[0], batched_number
            )
        answer = {"input": [], "middle": [], "output": [self.cond_hint.clone()]}
        return self.control_merge(answer, before, x_noisy.dtype)

    def copy(self):
        made = Pull()
        self.copy_to(made)
        return made


def _apply(apply_model, args):
    control = args["c"].pop("control", None)
    denoised = apply_model(args["input"], args["timestep"], **args["c"])
    return denoised if control is None else torch.lerp(denoised, control["output"][0], 0.3)


class TestControlNet:
    RETURN_TYPES = ("CONTROL_NET",)
    FUNCTION = "make"
    CATEGORY = "testing"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def make(self):
        return (Pull(),)


class TestControlled:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "testing"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def patch(self, model):
        model = model.clone()
        model.set_model_unet_function_wrapper(_apply)
        return (model,)


NODE_CLASS_MAPPINGS = {"TestControlNet": TestControlNet, "TestControlled": TestControlled}
