"""Published tables of sigmas that were found by optimisation on one model family.

Each entry holds the tables of several families and takes the model's own, which ``table`` can
override. On a model of another family the table is mapped (``published.Origin.place``), and the
entry says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..process import FLOW
from ..registry import Options, choice, option, option_set
from .entry import Schedule
from .published import Origin, along, at_times
from .spec import ModelSpec
from .trajectory_data import LEVELS, TABLES

_HELP = "whose published table; auto takes the model's own, where it has one"
_SD = {family: Origin((family,)) for family in ("sd15", "sdxl")}
_ORIGINS = {
    **_SD, "svd": Origin(("svd",), top=700.0, bottom=0.002),
    "deepfloyd": Origin(("deepfloyd",), top=160.41, bottom=0.006),
    "flux": Origin(("flux",), FLOW, 0.9968, 0.001),
    "wan": Origin(("wan",), FLOW, 1.0, 0.001),
    "chroma": Origin(("chroma",), FLOW, 0.992, 0.001),
}

# Sabour et al. 2024, arXiv:2404.14507, table 3; SD1.5 and SDXL with the 10 digits that the
# authors' timesteps (850, 736 ... and 845, 730 ...) have on the models, as in ComfyUI.
ALIGN = {
    "sd15": (14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092,
             0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582),
    "sdxl": (14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141,
             0.5550693289, 0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582),
    "svd": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
    "deepfloyd": (160.41, 8.081, 3.315, 1.885, 1.207, 0.785, 0.553, 0.293, 0.186, 0.030, 0.006),
}
# The same as printed in the paper: what A1111 and Forge have.
ALIGN_PRINTED = {
    "sd15": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
}
# Forge and reForge, sd_schedulers.py; both end below the models' smallest sigma, 0.0292.
ALIGN_32 = {
    "sd15": (14.615, 11.23951352, 8.64363081, 6.64729424, 5.57250862, 4.71648546, 3.99196065,
             3.51956090, 3.13490466, 2.79228788, 2.48773628, 2.21663865, 1.97508351, 1.77931720,
             1.61475335, 1.46540953, 1.31484900, 1.16642497, 1.03475547, 0.91573744, 0.80748169,
             0.71202361, 0.62173900, 0.53065202, 0.45290960, 0.37491455, 0.27461819, 0.20115290,
             0.14105873, 0.06682881, 0.03166121, 0.015),
    "sdxl": (14.615, 11.1491618, 8.50522127, 6.48827151, 5.43707402, 4.60398619, 3.89854704,
             3.27407457, 2.74396527, 2.29968659, 1.95448514, 1.67108715, 1.42878152, 1.23181009,
             1.06789649, 0.92579443, 0.80290886, 0.69660121, 0.60436903, 0.52852552, 0.46773344,
             0.41393379, 0.36258186, 0.31008517, 0.26518925, 0.22326461, 0.17653877, 0.13959192,
             0.10587381, 0.05519369, 0.02877334, 0.015),
}
ALIGN_GITS = {
    "sd15": (14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029),
    "sdxl": (14.615, 4.734, 2.567, 1.529, 0.987, 0.652, 0.418, 0.268, 0.179, 0.127, 0.029),
}
# Timesteps on SDXL, by Koitenshin.
ALIGN_30 = (
    999, 953, 904, 850, 813, 777, 738, 695, 650, 602, 556, 510, 462, 417, 374, 331, 290, 250, 214,
    182, 155, 131, 108, 85, 66, 49, 32, 20, 12, 3, 0,
)
# Pei et al. 2025, arXiv:2503.21774, and ComfyUI's comfy_extras/nodes_optimalsteps.py.
OPTIMAL = {
    "flux": (0.9968, 0.9886, 0.9819, 0.975, 0.966, 0.9471, 0.9158, 0.8287, 0.5512, 0.2808, 0.001),
    "wan": (1.0, 0.997, 0.995, 0.993, 0.991, 0.989, 0.987, 0.985, 0.98, 0.975, 0.973, 0.968, 0.96,
            0.946, 0.927, 0.902, 0.864, 0.776, 0.539, 0.208, 0.001),
    "chroma": (0.992, 0.99, 0.988, 0.985, 0.982, 0.978, 0.973, 0.968, 0.961, 0.953, 0.943, 0.931,
               0.917, 0.9, 0.881, 0.858, 0.832, 0.802, 0.769, 0.731, 0.69, 0.646, 0.599, 0.55,
               0.501, 0.451, 0.402, 0.355, 0.311, 0.27, 0.232, 0.199, 0.169, 0.143, 0.12, 0.101,
               0.084, 0.07, 0.058, 0.048, 0.001),
}


@option_set
class AlignChoice(Options):
    """Which model's table, of the paper's four."""

    table: str = choice("auto", ("auto", *ALIGN), _HELP)


@option_set
class StableDiffusionChoice(Options):
    """Which model's table, of those for SD1.5 and SDXL."""

    table: str = choice("auto", ("auto", *_SD), _HELP)


@option_set
class OptimalChoice(Options):
    """Which model's table of Optimal Steps."""

    table: str = choice("auto", ("auto", *OPTIMAL), _HELP)


Tables = Mapping[str, tuple[float, ...]]  # by family
Choice = AlignChoice | StableDiffusionChoice | OptimalChoice


@option_set
class Coefficient(Options):
    """Which of the denoising trajectories."""

    coefficient: float = option(1.2, 0.8, 1.5, "larger spends more steps at low noise")


def _family(table: str, tables: Tables, spec: ModelSpec) -> str:
    """Whose table is used: "auto" is the model's own, else the first that suits it."""
    if table != "auto":
        return table
    if spec.family in tables:
        return spec.family
    wide = spec.sigma_max > 300 and spec.sigma_min < 0.01  # 0.002 to 700: SVD and nobody else
    return "svd" if wide and "svd" in tables else next(iter(tables))


def _entry(tables: Tables, ends_in_zero: bool, **facts: Any) -> Schedule:
    """The entry of several families' tables; facts: its other fields.

    ends_in_zero: the table's last value stands for the final 0, so that n values make n - 1 steps
    (the authors, ComfyUI, diffusers); else 0 comes behind it, and n values make n steps (A1111).
    Other step counts are resampled log-linearly. One step goes from the top to 0; A1111's would
    begin at the table's last value and change next to nothing.
    """

    def curve(spec: ModelSpec, steps: int, options: Choice) -> np.ndarray:
        family = _family(options.table, tables, spec)
        values = along(np.array(tables[family]), steps + ends_in_zero)
        return _ORIGINS[family].place(values[:steps], spec)

    def remark(spec: ModelSpec, steps: int, options: Choice) -> str | None:
        return _ORIGINS[_family(options.table, tables, spec)].remark(spec)

    return Schedule(curve=curve, remark=remark, **facts)


def align_30(spec: ModelSpec, steps: int, options: Options) -> np.ndarray:
    """SDXL's sigmas at 31 timesteps, the last of which stands for the final 0."""
    return _SD["sdxl"].place(along(at_times(ALIGN_30), steps + 1)[:-1], spec)


def trajectory(spec: ModelSpec, steps: int, options: Coefficient) -> np.ndarray:
    """The table for the coefficient and the number of steps, its last value left to the final 0.

    Published are the coefficients 0.80, 0.85 ... 1.50 with 2 to 20 steps each. Between two
    coefficients log sigma is interpolated; more steps resample the table of 20; one step goes
    from the top to 0.
    """
    known = np.array(sorted(TABLES))
    high = int(np.searchsorted(known, options.coefficient - 1e-9))
    upper = _trajectory(known[high], steps)
    if known[high] > options.coefficient + 1e-9:
        w = (known[high] - options.coefficient) / (known[high] - known[high - 1])
        upper = upper ** (1.0 - w) * _trajectory(known[high - 1], steps) ** w
    return _SD["sd15"].place(upper, spec)


def _trajectory(coefficient: float, steps: int) -> np.ndarray:
    """The sigmas [steps] of one published coefficient."""
    texts = TABLES[coefficient].split("/")
    inner = map(int, texts[min(max(steps, 2), len(texts) + 1) - 2].split())
    table = np.array(LEVELS)[[0, *inner, -1]]
    return table[:1] if steps == 1 else along(table, steps + 1)[:-1]


_PAPER = "Sabour et al. 2024, arXiv:2404.14507"
SCHEDULES = (
    _entry(
        ALIGN, ends_in_zero=True,
        name="align_your_steps", label="Align Your Steps", options=AlignChoice(),
        aliases=("AlignYourStepsScheduler",),
        source=f"{_PAPER}, table 3, as in ComfyUI's AlignYourStepsScheduler",
    ),
    _entry(
        ALIGN_PRINTED, ends_in_zero=False,
        name="align_your_steps_a1111", label="Align Your Steps (A1111)",
        aliases=("Align Your Steps 11",),
        options=StableDiffusionChoice(),
        source=f"{_PAPER}, table 3, as A1111 1.10 reads it: down to 0.029, then 0",
    ),
    Schedule(
        name="align_your_steps_30", label="Align Your Steps 30", curve=align_30,
        remark=lambda spec, steps, options: _SD["sdxl"].remark(spec),
        source="Koitenshin, in AUTOMATIC1111/stable-diffusion-webui PR 15751 (SDXL timesteps)",
    ),
    _entry(
        ALIGN_32, ends_in_zero=False,
        name="align_your_steps_32", label="Align Your Steps 32", options=StableDiffusionChoice(),
        source="Forge and reForge, ays_32_sigmas in sd_schedulers.py",
    ),
    _entry(
        ALIGN_GITS, ends_in_zero=False,
        name="align_your_steps_gits", label="Align Your Steps GITS",
        options=StableDiffusionChoice(),
        source="Forge and reForge, 'Align Your Steps GITS' in sd_schedulers.py",
    ),
    Schedule(
        name="denoising_trajectory", label="Denoising trajectory (GITS)", curve=trajectory,
        options=Coefficient(), aliases=("GITSScheduler",),
        remark=lambda spec, steps, options: _SD["sd15"].remark(spec),
        source="Chen et al. 2024, arXiv:2405.11326, as in ComfyUI's GITSScheduler",
    ),
    _entry(
        OPTIMAL, ends_in_zero=True,
        name="optimal_steps", label="Optimal Steps", options=OptimalChoice(),
        aliases=("OptimalStepsScheduler",),
        source="Pei et al. 2025, arXiv:2503.21774, as in ComfyUI's OptimalStepsScheduler",
    ),
)
