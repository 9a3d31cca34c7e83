"""The demo network as the host's own MODEL, CLIP and VAE objects.

LoRA, hooks, masks, area conditioning and CFG batching are the host's code and work as on any
model: only the innermost network, the tokenizer and the upscaler are ours.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import comfy.utils
import torch
from torch.nn import functional as F

from ..demo.network import load_networks, unconditional
from ..demo.text import tokenize_weighted, unknown_words
from ..registry import shown

_DEMO = Path(__file__).resolve().parent.parent / "demo"
WEIGHTS, LORA = _DEMO / "stride_demo.safetensors", _DEMO / "stride_demo_lora.safetensors"
KINDS = ("eps", "v", "flow")
PIXELS = 8  # picture pixels along one latent pixel
log = logging.getLogger("stride")


def load(kind: str, outlines: float = 0.0) -> tuple[Any, Any, DemoVAE]:
    """(MODEL, CLIP, VAE) of the demo network as an "eps", "v" or "flow" model.

    outlines: strength of the demo LoRA, put on by the host as by its own loader. Each call reads
    the weights anew, so that patches on one model never reach another. Raises ValueError for
    another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"prediction must be one of {', '.join(KINDS)}, got {shown(kind)}")
    text, denoiser = load_networks(WEIGHTS)
    management = comfy.model_management
    model = comfy.model_patcher.ModelPatcher(
        DemoModel(kind, denoiser), management.get_torch_device(), management.unet_offload_device()
    )
    clip = comfy.sd.CLIP(_target(text))
    if outlines:
        lora = comfy.utils.load_torch_file(str(LORA), safe_load=True)
        model, clip = comfy.sd.load_lora_for_models(model, clip, lora, outlines, outlines)
    return model, clip, DemoVAE()


# MODEL -----------------------------------------------------------------------------------------


class DemoLatent(comfy.latent_formats.LatentFormat):
    """Channels 0 to 2 are red, green and blue in [-1, 1]; channel 3 is empty."""

    latent_rgb_factors = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]


class DemoConfig(comfy.supported_models_base.BASE):
    """What the host asks of a model family; the flow shift is that of SD3."""

    unet_config = {"in_channels": 4, "disable_unet_model_creation": True}
    sampling_settings = {"shift": 3.0}
    latent_format = DemoLatent
    memory_usage_factor = 0.1


class Rewrite(torch.nn.Module):
    """The denoiser as the network that the host expects of a model of its kind."""

    dtype = torch.float32

    def __init__(self, kind: str, denoiser: Any) -> None:
        super().__init__()
        self.kind = kind
        self.denoiser = denoiser

    def forward(
        self, x: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor | None = None,
        sigma: torch.Tensor | None = None, **ignored: Any,
    ) -> torch.Tensor:
        """x [B, 4, H, W] scaled by the host, context [B, T, text], sigma [B]: the prediction."""
        if self.kind == "flow":
            return self.denoiser.flow(x, sigma, context)
        noisy = x * (sigma[:, None, None, None] ** 2 + 1).sqrt()  # undo the host's input scaling
        return getattr(self.denoiser, self.kind)(noisy, sigma, context)


class DemoModel(comfy.model_base.BaseModel):
    """The host's model around ``Rewrite``; it hands on sigma itself, not a rounded timestep."""

    def __init__(self, kind: str, denoiser: Any) -> None:
        types = comfy.model_base.ModelType
        model_type = {"eps": types.EPS, "v": types.V_PREDICTION, "flow": types.FLOW}[kind]
        super().__init__(DemoConfig(DemoConfig.unet_config), model_type)
        self.diffusion_model = Rewrite(kind, denoiser)

    def _apply_model(self, x: torch.Tensor, t: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        return super()._apply_model(x, t, *args, sigma=t, **kwargs)


# CLIP ------------------------------------------------------------------------------------------


class DemoTokenizer:
    """Words to weighted tokens, with the host's ``(word:1.2)`` syntax."""

    def __init__(self, **ignored: Any) -> None:
        pass

    def tokenize_with_weights(
        self, text: str, return_word_ids: bool = False, **ignored: Any
    ) -> dict[str, list[list[tuple[Any, ...]]]]:
        """One row of (token, weight) pairs; words outside the vocabulary are named in the log."""
        clip = comfy.sd1_clip
        parts = [
            (clip.unescape_important(part), weight)
            for part, weight in clip.token_weights(clip.escape_important(text), 1.0)
        ]
        if strange := unknown_words(" ".join(part for part, _ in parts)):
            log.warning("Demo model: it never learnt the words: %s", ", ".join(strange))
        row = tokenize_weighted(parts)
        if return_word_ids:
            row = [(token, weight, i + 1) for i, (token, weight) in enumerate(row)]
        return {"demo": [row]}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Empty: the vocabulary is code, and a saved checkpoint need not hold it."""
        return {}


class DemoText(torch.nn.Module):
    """The text encoder behind the host's CLIP object."""

    dtypes = {torch.float32}

    def __init__(self, text: Any, device: Any = None, **ignored: Any) -> None:
        super().__init__()
        self.text = text.to(device)

    def set_clip_options(self, options: Mapping[str, Any]) -> None:
        """The encoder has no layers to skip; clip skip does nothing."""

    def reset_clip_options(self) -> None:
        """Nothing was set, so nothing is undone."""

    def encode_token_weights(
        self, tokens: Mapping[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Context [1, T, text]; a weight moves a token away from the empty prompt's."""
        pairs = [pair for row in tokens["demo"] for pair in row]
        place = self.text.places
        numbers = torch.tensor(
            [[pair[0] for pair in pairs]], dtype=torch.int64, device=place.device
        )
        weights = torch.tensor(
            [pair[1] for pair in pairs], dtype=torch.float32, device=place.device
        )[:, None]
        empty = unconditional(self.text, 1)
        context = empty + (self.text(numbers) - empty) * weights
        return context.to(comfy.model_management.intermediate_device()), None

    def load_sd(self, state_dict: Mapping[str, torch.Tensor]) -> Any:
        """Take up weights; the names that are missing or strange are returned, as torch does."""
        return self.load_state_dict(state_dict, strict=False)


def _target(text: Any) -> Any:
    target = comfy.supported_models_base.ClipTarget(DemoTokenizer, DemoText)
    target.params = {"text": text}
    return target


# VAE -------------------------------------------------------------------------------------------


class DemoVAE:
    """Latent to picture and back by plain resampling; nothing is learnt here."""

    downscale_ratio = upscale_ratio = PIXELS
    latent_channels = 4

    def decode(self, samples: torch.Tensor, **ignored: Any) -> torch.Tensor:
        """Latents [B, 4, H, W] to pictures [B, 8 H, 8 W, 3] in 0..1."""
        rgb = samples[:, :3].float()
        rgb = F.interpolate(rgb, scale_factor=PIXELS, mode="bicubic", align_corners=False)
        return ((rgb + 1) / 2).clamp(0, 1).movedim(1, -1)

    def encode(self, pixels: torch.Tensor, **ignored: Any) -> torch.Tensor:
        """Pictures [B, H, W, 3] in 0..1 to latents [B, 4, H / 8, W / 8]."""
        rgb = pixels[..., :3].movedim(-1, 1).float() * 2 - 1
        return F.pad(F.avg_pool2d(rgb, PIXELS), (0, 0, 0, 0, 0, 1))

    def decode_tiled(self, samples: torch.Tensor, **ignored: Any) -> torch.Tensor:
        """``decode``, in one piece: resampling needs no tiles."""
        return self.decode(samples)

    def encode_tiled(self, pixels: torch.Tensor, **ignored: Any) -> torch.Tensor:
        """``encode``, in one piece."""
        return self.encode(pixels)

    def spacial_compression_decode(self) -> int:
        """Picture pixels along one latent pixel, 8."""
        return PIXELS

    def spacial_compression_encode(self) -> int:
        """The same, on the way to a latent."""
        return PIXELS

    def temporal_compression_decode(self) -> None:
        """None: these are no videos."""
        return None
