"""Schedules written for flow models: sigma in 0..1, the curve starts at 1.

On a FLOW model they are as published and ignore the model's own shift. On a VE model they are
taken at equal log-SNR, scaled to the model's top (``mapping.from_flow``). linear_quadratic alone is
multiplied by sigma_max, as in the host.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from ..process import FLOW
from ..registry import Options, choice, option, option_set
from .entry import NoOptions, Schedule
from .mapping import from_flow
from .spec import ModelSpec


@option_set
class LinearQuadratic(Options):
    """Options of Linear Quadratic."""

    threshold_noise: float = option(0.025, 0.001, 0.3, "share of the way done by the linear half")


_SIDE, _CELLS = 1024, 4096  # where no latent is known: the host's defaults
_OWN = "0: the connected latent's, else "


@option_set
class Size(Options):
    """Size of the picture, for curves that depend on it."""

    width: int = option(0, 0, 16384, "width of the picture in pixels; " + _OWN + "1024")
    height: int = option(0, 0, 16384, "height of the picture in pixels; " + _OWN + "1024")


_LOGIT = (-7.5, 9.0)
_LATE = 0.99  # a last level before 0 from which a single step makes the picture
_TERMINAL = "last sigma before 0 (shift_terminal); 0 leaves it"


@option_set
class Linear(Options):
    """Options of the straight line."""

    shift: float = option(1.0, 0.01, 100.0, "time shift of the straight line; SD3.5 uses 3")
    terminal: float = option(0.0, 0.0, 0.99, _TERMINAL)


@option_set
class FluxShift(Size):
    """Options of Flux's shift."""

    by: str = choice("size", ("size", "mu", "shift"), "what sets the shift")
    mu: float = option(1.15, -10.0, 10.0, "log of the shift, where set by mu")
    shift: float = option(3.0, 0.01, 100.0, "the shift, where set by shift")
    base_shift: float = option(0.5, -10.0, 10.0, "mu at 256 tokens (a picture of 256 x 256)")
    max_shift: float = option(1.15, -10.0, 10.0, "mu at 4096 tokens (a picture of 1024 x 1024)")
    terminal: float = option(0.0, 0.0, 0.99, _TERMINAL)


@option_set
class LTXV(Options):
    """Options of LTX-Video's shift."""

    tokens: int = option(0, 0, 1_000_000, "latent frames x height x width; " + _OWN + "4096")
    base_shift: float = option(0.95, -10.0, 10.0, "mu at 1024 tokens")
    max_shift: float = option(2.05, -10.0, 10.0, "mu at 4096 tokens")
    stretch: bool = option(True, help="let the curve end at terminal")
    terminal: float = option(0.1, 0.0, 0.99, "last sigma before 0, where stretched")


@option_set
class LogitNormal(Size):
    """Options of the logit-normal curve."""

    mu: float = option(0.0, -3.0, 3.0, "mean of logit sigma at 512 x 512 pixels")
    std: float = option(1.5, 0.1, 5.0, "standard deviation of logit sigma")


def linear_quadratic(spec: ModelSpec, steps: int, options: LinearQuadratic) -> torch.Tensor:
    """Linear in sigma over the first half of the steps, then quadratic to 0, times sigma_max.

    With f the way done: ``f = threshold i / m`` up to ``m = steps // 2``, then the parabola that
    goes on with the same value and slope and reaches 1 at ``steps``.
    """
    half, rest = max(steps // 2, 1), steps - steps // 2
    threshold = options.threshold_noise
    slope, gap = threshold / half, half - threshold * steps
    curvature = gap / (half * rest**2)
    i = np.arange(steps)
    done = slope * i + np.where(i < half, 0.0, curvature * (i - half) ** 2)
    return torch.from_numpy(1.0 - done).to(spec.dtype) * spec.sigma_max


def _shifted(steps: int, mu: float, terminal: float = 0.0, by: str = "mu") -> np.ndarray:
    """``e^mu / (e^mu + 1 / t - 1)``: even times t = 1 - i / n shifted by ``e^mu``.

    terminal: where it is not 0, ``1 - value`` is scaled so that this is the last value (two steps
    or more). by: the option that mu comes from, for errors.
    """
    if not -20.0 <= mu <= 300.0:
        raise ValueError(f"{by} would shift by mu = {mu:.6g}; a shift has mu from -20 to 300")
    if 0.0 < terminal < 1e-3:
        raise ValueError(f"terminal must be 0 or from 0.001 on, got {terminal}")
    t = 1.0 - np.arange(steps) / steps
    u = 1.0 / t - 1.0
    if terminal == 0.0 or steps == 1:
        return 1.0 / (1.0 + math.exp(-mu) * u)
    done = u / (u + math.exp(mu))  # 1 - value, to all its digits
    return 1.0 - done * ((1.0 - terminal) / done[-1])


def _sides(spec: ModelSpec, options: Size) -> tuple[int, int]:
    """(width, height) of the picture in pixels: as asked, or as the run's latent has them."""
    canvas = spec.canvas
    own = (canvas.width, canvas.height) if canvas else (_SIDE, _SIDE)
    return options.width or own[0], options.height or own[1]


def _tokens(spec: ModelSpec, options: Size) -> int:
    """Patches of 16 x 16 pixels: what a Flux transformer sees."""
    return max(round(math.prod(_sides(spec, options)) / 256), 1)


def size_remark(spec: ModelSpec, steps: int, options: Size | LTXV) -> str | None:
    """Which size a curve is for, where nobody gave one."""
    if isinstance(options, FluxShift) and options.by != "size":
        return None
    sides = isinstance(options, Size)
    if (options.width and options.height) if isinstance(options, Size) else options.tokens:
        return None
    if spec.canvas is not None:
        return f"for {spec.canvas}"
    default = f"{_SIDE} x {_SIDE} px" if sides else f"{_CELLS} tokens"
    given = "width and height" if sides else "tokens"
    return f"where no latent is connected: for {default}, unless {given} say another size"


def _mu(tokens: int, base: tuple[int, float], top: tuple[int, float]) -> float:
    """mu on the straight line through two points (tokens, mu)."""
    slope = (top[1] - base[1]) / (top[0] - base[0])
    return tokens * slope + (base[1] - slope * base[0])


def linear(spec: ModelSpec, steps: int, options: Linear) -> np.ndarray:
    """A straight line in sigma, or with a shift ``s t / (1 + (s - 1) t)`` of it."""
    return from_flow(spec, _shifted(steps, math.log(options.shift), options.terminal, "shift"))


def flux_shift(spec: ModelSpec, steps: int, options: FluxShift) -> np.ndarray:
    """A straight line in time shifted by mu, itself linear in the number of tokens."""
    if options.by == "size":
        mu = _mu(_tokens(spec, options), (256, options.base_shift), (4096, options.max_shift))
    else:
        mu = options.mu if options.by == "mu" else math.log(options.shift)
    by = "width and height" if options.by == "size" else options.by
    return from_flow(spec, _shifted(steps, mu, options.terminal, by))


def flux_shift_remark(spec: ModelSpec, steps: int, options: FluxShift) -> str | None:
    """Which size it is for, and whether nearly the whole way is left to the last step there."""
    said = size_remark(spec, steps, options)
    if spec.process is not FLOW or steps == 1 or options.terminal:
        return said
    last = float(flux_shift(spec, steps, options)[-1])
    if last < _LATE:
        return said
    late = (
        f"this shift leaves the last step {last:.4g} of the noise: it is made for about 1 "
        "megapixel, set the shift or the mu of a smaller picture"
    )
    return f"{said}; {late}" if said else late


def ltxv(spec: ModelSpec, steps: int, options: LTXV) -> np.ndarray:
    """Flux's shift with mu from 0.95 to 2.05, stretched to end at 0.1.

    The host divides 0 by 0 for one step; here that step starts at the top.
    """
    tokens = options.tokens or (spec.canvas.tokens if spec.canvas else _CELLS)
    mu = _mu(tokens, (1024, options.base_shift), (4096, options.max_shift))
    terminal = options.terminal if options.stretch else 0.0
    return from_flow(spec, _shifted(steps, mu, terminal, "tokens"))


def flux2(spec: ModelSpec, steps: int, options: Size) -> np.ndarray:
    """Flux's shift with mu fitted to the number of tokens and of steps.

    Above 4300 tokens ``mu = 1.6927e-4 n + 0.45667``, else between that (at 200 steps) and
    ``8.738e-5 n + 1.89833`` (at 10 steps). Above 200 steps the fit's own end is kept; published
    code goes on to a shift of e^-50 at 10000 steps.
    """
    n = _tokens(spec, options)
    mu = 0.00016927 * n + 0.45666666
    if n <= 4300:
        at_10 = 8.73809524e-05 * n + 1.89833333
        mu += (mu - at_10) / 190.0 * (min(steps, 200) - 200)
    return from_flow(spec, _shifted(steps, mu, by="width and height"))


def logit_normal(spec: ModelSpec, steps: int, options: LogitNormal) -> np.ndarray:
    """Logit sigma at even quantiles of a normal distribution, its mean raised with the size.

    ``logit sigma = mu + log(width height / 512^2) / 2 + std probit(1 - i / n)``, held within
    -7.5 and 9 (Ideogram 4's limits of log-SNR, 15 and -18, halved). Where more than one step would
    be held at a limit, the quantiles are those of the distribution cut to the limits.
    """
    mean = options.mu + 0.5 * math.log(math.prod(_sides(spec, options)) / 512**2)
    u = torch.from_numpy(1.0 - np.arange(steps) / steps)
    logit = mean + options.std * torch.special.ndtri(u)
    if torch.sum(logit >= _LOGIT[1]) > 1 or torch.sum(logit <= _LOGIT[0]) > 1:
        below = torch.special.ndtr((torch.tensor(_LOGIT, dtype=u.dtype) - mean) / options.std)
        logit = mean + options.std * torch.special.ndtri(below[0] + u * (below[1] - below[0]))
    return from_flow(spec, torch.sigmoid(logit.clamp(*_LOGIT)).numpy())


def bong_tangent(spec: ModelSpec, steps: int, options: NoOptions) -> np.ndarray:
    """Two arcs of arctan, from 1 to 1/2 and from 1/2 to 0.

    With N = steps + 2 and p = floor(0.6 N) both are ``-atan(8 (i - p) / N)``, i from 0 to p - 1
    and from p to N - 1, each moved and scaled to its own two ends. RES4LYF gives these values
    to every model, SD's included, and cannot do one step; here that step starts at 1.
    """
    count = steps + 2
    pivot = int(0.6 * count)
    arc = -np.arctan(8.0 / count * (np.arange(count) - pivot))
    first, second = arc[:pivot], arc[pivot:]
    upper = 0.5 + 0.5 * (first - first[-1]) / max(first[0] - first[-1], 1e-300)
    lower = 0.5 * (second - second[-1]) / (second[0] - second[-1])
    if steps == 1:
        return from_flow(spec, np.ones(1))
    return from_flow(spec, np.concatenate([upper[:-1], lower[:-1]]))


SCHEDULES = (
    Schedule(
        name="linear_quadratic", label="Linear Quadratic", curve=linear_quadratic,
        options=LinearQuadratic(),
        source="genmoai/models mochi_preview/infer.py; ComfyUI linear_quadratic_schedule",
    ),
    Schedule(
        name="linear", label="Linear", curve=linear, options=Linear(),
        source="Esser et al. 2024, arXiv:2403.03206, eq. 23 (shift); diffusers FlowMatchEuler",
    ),
    Schedule(
        name="flux_shift", label="Flux Shift", curve=flux_shift, options=FluxShift(),
        remark=flux_shift_remark,
        source="black-forest-labs/flux get_schedule; diffusers use_dynamic_shifting",
    ),
    Schedule(
        name="ltxv", label="LTXV", curve=ltxv, options=LTXV(), remark=size_remark,
        source="Lightricks/LTX-Video schedulers/rf.py; ComfyUI LTXVScheduler",
    ),
    Schedule(
        name="flux2", label="Flux 2", curve=flux2, options=Size(), remark=size_remark,
        source="black-forest-labs/flux2 compute_empirical_mu; ComfyUI Flux2Scheduler",
    ),
    Schedule(
        name="logit_normal", label="Logit-normal", curve=logit_normal, options=LogitNormal(),
        remark=size_remark,
        aliases=("ideogram4",),
        source="Ideogram 4 as in diffusers _logit_normal_sigmas; ComfyUI's node has std 1.75",
    ),
    Schedule(
        name="bong_tangent", label="Bong Tangent", curve=bong_tangent,
        source="RES4LYF bong_tangent, its published constants",
    ),
)
