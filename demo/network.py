"""The demo's text-conditional denoiser: a small convolution-and-attention network in plain torch.

Pictures are latents [B, 4, H, W] (H and W in latent pixels, 64 x 64 for a 512 x 512 picture):
channels 0 to 2 are red, green and blue in [-1, 1], channel 3 is zero in all data. One trained
denoiser serves three forms of model, which are linear rewrites of each other: eps, v and flow.
"""

import json
import math

import torch
from torch import nn
from torch.nn import functional as F

try:
    from .text import LENGTH, PAD, VOCABULARY
except ImportError:  # run as a script, with this folder on the path
    from text import LENGTH, PAD, VOCABULARY

CONFIG = {
    "words": len(VOCABULARY),  # size of the vocabulary
    "length": LENGTH,  # tokens per prompt
    "text": 96,  # width of the text tokens
    "text_blocks": 2,
    "wide": 64,  # channels of the quarter-size grid
    "wide_blocks": 2,  # before and again after the deep ones
    "deep": 128,  # channels of the eighth-size grid
    "deep_blocks": 2,
    "head": 32,  # channels per attention head
    "embed": 128,  # width of the noise-level embedding
}
SIGMA_DATA = 0.7  # standard deviation of the pictures' colour channels
# Beyond these noise levels (sigma over alpha) the answer no longer depends on the level.
LEVELS = (0.01, 300.0)


def split_heads(x, head):
    """[B, T, C] to [B, C / head, T, head]."""
    return x.unflatten(-1, (-1, head)).transpose(1, 2)


def attend(q, k, v, head):
    """Multi-head attention of q [B, T, C] over k and v [B, S, C]: [B, T, C]."""
    q, k, v = (split_heads(part, head) for part in (q, k, v))
    # Written out: on grids this small torch's fused kernel trains more slowly on a CPU.
    scores = (q * head**-0.5) @ k.transpose(2, 3)
    return (scores.softmax(-1, dtype=q.dtype) @ v).transpose(1, 2).flatten(2)


class TextBlock(nn.Module):
    """Pre-norm transformer block over text tokens [B, T, C]."""

    def __init__(self, width, head):
        super().__init__()
        self.head = head
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)

    def forward(self, x):
        x = x + self.merge(attend(*self.qkv(self.norm1(x)).chunk(3, -1), self.head))
        return x + self.narrow(F.silu(self.widen(self.norm2(x))))


class TextEncoder(nn.Module):
    """Token numbers [B, T] to context [B, T, text]; an all-PAD prompt is the unconditional one."""

    def __init__(self, config):
        super().__init__()
        width = config["text"]
        self.words = nn.Embedding(config["words"], width)
        self.places = nn.Parameter(torch.randn(config["length"], width) * 0.1)
        self.blocks = nn.ModuleList(
            TextBlock(width, config["head"]) for _ in range(config["text_blocks"])
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens):
        x = self.words(tokens) + self.places[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def modulate(x, shift, scale):
    """Layer norm of x over its last axis, then a scale and a shift given by the noise level."""
    return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


class ConvBlock(nn.Module):
    """Residual 3x3 convolutions on [B, H, W, C], modulated by an embedding [B, embed]."""

    def __init__(self, width, embed):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.level = nn.Linear(embed, 2 * width)

    def forward(self, x, embedding):
        shift, scale = self.level(embedding)[:, None, None].chunk(2, -1)
        y = conv(self.conv1, F.silu(F.layer_norm(x, x.shape[-1:])))
        return x + conv(self.conv2, F.silu(modulate(y, shift, scale)))


class Block(nn.Module):
    """Self-attention, cross-attention to the text and an MLP over grid tokens [B, T, C]."""

    def __init__(self, width, text, head):
        super().__init__()
        self.head = head
        self.qkv = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.ask = nn.Linear(width, width)
        self.answer = nn.Linear(text, 2 * width)
        self.merge_text = nn.Linear(width, width)
        self.widen = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)
        self.level = nn.Parameter(torch.zeros(6 * width))

    def forward(self, x, context, level):
        parts = (level + self.level)[:, None].chunk(6, -1)
        y = modulate(x, parts[0], parts[1])
        x = x + self.merge(attend(*self.qkv(y).chunk(3, -1), self.head))
        y = modulate(x, parts[2], parts[3])
        x = x + self.merge_text(attend(self.ask(y), *self.answer(context).chunk(2, -1), self.head))
        y = modulate(x, parts[4], parts[5])
        return x + self.narrow(F.silu(self.widen(y)))


def conv(layer, x):
    """A convolution layer on [B, H, W, C]; the permuted view is torch's channels-last layout."""
    return layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def unshuffle(x, n):
    """[B, H, W, C] to [B, H / n, W / n, C n n]: each n x n square becomes one cell."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // n, n, w // n, n, c).transpose(2, 3)
    return x.reshape(b, h // n, w // n, n * n * c)


def shuffle(x, n):
    """The inverse of `unshuffle`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, n, n, c // (n * n)).transpose(2, 3)
    return x.reshape(b, h * n, w * n, c // (n * n))


def stack(kind, count, *args):
    """count blocks of one kind."""
    return nn.ModuleList(kind(*args) for _ in range(count))


class Network(nn.Module):
    """F(c_in x, level, context): the trained part of the denoiser, on RGB latents."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        wide, deep, embed = config["wide"], config["deep"], config["embed"]
        self.level1 = nn.Linear(64, embed)
        self.level2 = nn.Linear(embed, embed)
        self.pool = nn.Linear(config["text"], embed)
        self.modulation = nn.Linear(embed, 6 * deep)
        self.enter = nn.Conv2d(48, wide, 3, padding=1)
        self.down = stack(ConvBlock, config["wide_blocks"], wide, embed)
        self.sink = nn.Linear(4 * wide, deep)
        self.places = nn.Parameter(torch.randn(1, deep, 8, 8) * 0.1)
        self.convs = stack(ConvBlock, config["deep_blocks"], deep, embed)
        self.blocks = stack(Block, config["deep_blocks"], deep, config["text"], config["head"])
        self.rise = nn.Linear(deep, 4 * wide)
        self.join = nn.Linear(2 * wide, wide)
        self.up = stack(ConvBlock, config["wide_blocks"], wide, embed)
        self.leave = nn.Conv2d(wide, 48, 3, padding=1)

    def embed(self, level, context):
        """Embedding [B, embed] of log noise levels [B] and the text's mean."""
        ends = math.log(0.5), math.log(12.0)
        wave = torch.linspace(*ends, 32, dtype=torch.float32, device=level.device).exp()
        phase = level[:, None] * wave
        waves = torch.cat((phase.cos(), phase.sin()), -1)
        return F.silu(self.level2(F.silu(self.level1(waves))) + self.pool(context.mean(1)))

    def forward(self, x, level, context):
        """x [B, 3, H, W] with H and W multiples of 8, level [B], context [B, T, text]: like x."""
        embedding = self.embed(level, context)
        x = conv(self.enter, unshuffle(x.permute(0, 2, 3, 1), 4))
        for block in self.down:
            x = block(x, embedding)
        kept = x
        x = self.sink(unshuffle(x, 2))
        h, w = x.shape[1:3]
        places = self.places
        if (h, w) != (8, 8):
            places = F.interpolate(places, (h, w), mode="bilinear", align_corners=False)
        x = x + places.permute(0, 2, 3, 1)
        modulation = self.modulation(embedding)
        for near, far in zip(self.convs, self.blocks, strict=True):
            x = near(x, embedding)
            x = far(x.flatten(1, 2), context, modulation).unflatten(1, (h, w))
        x = shuffle(self.rise(x), 2)
        x = self.join(torch.cat((x, kept), -1))
        for block in self.up:
            x = block(x, embedding)
        x = conv(self.leave, F.silu(F.layer_norm(x, x.shape[-1:])))
        return shuffle(x, 4).permute(0, 3, 1, 2)


class Denoiser(nn.Module):
    """D(x, alpha, sigma, context): the expected clean picture behind x = alpha * clean + sigma * n.

    Written in alpha and sigma rather than in their quotient, so that pure noise (alpha = 0) is an
    ordinary input. The preconditioning is that of Karras et al. 2022 (EDM).
    """

    def __init__(self, config=None):
        super().__init__()
        self.network = Network(CONFIG if config is None else config)

    def forward(self, x, alpha, sigma, context):
        """x [B, 4, H, W] (any H, W), alpha and sigma [B], context [B, T, text]: like x.

        Channel 3 of the answer is exactly zero, whatever x holds there.
        """
        h, w = x.shape[-2:]
        rgb = F.pad(x[:, :3], (0, -w % 8, 0, -h % 8), mode="replicate")
        clean = self.rgb(rgb, alpha, sigma, context)[..., :h, :w]
        return F.pad(clean, (0, 0, 0, 0, 0, x.shape[1] - 3))

    def rgb(self, x, alpha, sigma, context):
        """The same on three channels with H and W multiples of 8."""
        c_skip, c_out, c_in, level = scalings(alpha, sigma)
        return c_skip * x + c_out * self.network(c_in * x, level, context).to(x.dtype)

    def eps(self, x, sigma, context):
        """Noise (x - D) / sigma of x = clean + sigma * noise; sigma [B]."""
        return (x - self(x, torch.ones_like(sigma), sigma, context)) / divisor(sigma)

    def v(self, x, sigma, context):
        """Velocity alpha * noise - sigma' * clean of x = clean + sigma * noise; sigma [B].

        alpha = 1 / sqrt(1 + sigma^2) and sigma' = sigma * alpha are the variance-preserving pair.
        """
        s = divisor(sigma)
        clean = self(x, torch.ones_like(sigma), sigma, context)
        return (x / (1 + s * s) - clean) * (1 + s * s).sqrt() / s

    def flow(self, x, sigma, context):
        """Velocity noise - clean of x = (1 - sigma) clean + sigma noise; sigma [B] in (0, 1]."""
        return (x - self(x, 1 - sigma, sigma, context)) / divisor(sigma)


def column(values):
    """[B] to [B, 1, 1, 1]."""
    return values[:, None, None, None]


def divisor(sigma):
    """sigma [B] as something to divide by, also where it is 0."""
    return column(sigma.clamp(min=1e-8))


def scalings(alpha, sigma):
    """EDM's c_skip, c_out, c_in ([B, 1, 1, 1]) and the log noise level [B]; all finite."""
    level = (sigma.clamp(min=1e-6) / alpha.clamp(min=1e-6)).clamp(*LEVELS).log()
    a, s = column(alpha) * SIGMA_DATA, column(sigma)
    c_in = 1 / (a * a + s * s).sqrt()
    return a * SIGMA_DATA * c_in**2, s * SIGMA_DATA * c_in, c_in, level


def read_weights(path):
    """State dict in float32 and metadata (config, seed, samples) of a weights file."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        meta = dict(file.metadata())
    meta["config"] = json.loads(meta["config"])
    return state, meta


def load_networks(path):
    """New (TextEncoder, Denoiser) with the weights of a file, in evaluation mode."""
    state, meta = read_weights(path)
    text, denoiser = TextEncoder(meta["config"]), Denoiser(meta["config"])
    for module, prefix in ((text, "text."), (denoiser, "denoiser.")):
        part = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
        # In the dtype of the weights, whatever torch's default is that the module was made in.
        module.load_state_dict(part, assign=True)
        module.eval().requires_grad_(False)
    return text, denoiser


def unconditional(text, batch):
    """Context [batch, LENGTH, text] of the empty prompt."""
    empty = torch.full((batch, LENGTH), PAD, dtype=torch.int64, device=text.places.device)
    return text(empty)
