"""The full loops that diffusers' own tests publish numbers of (tests/schedulers, Apache 2.0).

Each is a config, a loop and the sum or mean of absolute values that it ends with: facts, restated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Loop:
    """test: theirs, without "test_". mean, total: of the result's absolute values, to ``within``
    and ``near``. begin: index of the first timestep used. noisy: the sample is noised there first.
    scaled: they give step() what scale_model_input returned. shown: the network sees what
    scale_model_input returned. unit: the start is multiplied by init_noise_sigma. drawn: a
    generator of seed 0 draws the noise. flat: the sample has one dimension. step: keywords.
    """

    scheduler: str
    test: str
    config: Mapping[str, Any]
    mean: float
    total: float | None = None
    steps: int = 10
    begin: int = 0
    noisy: bool = False
    scaled: bool = False
    shown: bool = False
    unit: bool = False
    drawn: bool = False
    flat: bool = False
    step: Mapping[str, Any] = field(default_factory=dict)
    within: float = 1e-3
    near: float = 1e-2

    def __str__(self) -> str:
        return f"{self.scheduler}-{self.test}"

    def run(self, scheduler: Any, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """The result of a scheduler, theirs or ours, with the timesteps set."""
        x = sample(self.flat).to(dtype)
        times = scheduler.timesteps[self.begin :]
        if self.unit:
            x = x * scheduler.init_noise_sigma
        if self.noisy:
            x = scheduler.add_noise(x, sample(self.flat, True).to(dtype), times[:1])
        more = {"generator": torch.Generator().manual_seed(0)} if self.drawn else {}
        for t in times:
            shown = scheduler.scale_model_input(x, t) if self.scaled or self.shown else x
            x = shown if self.scaled else x
            x = scheduler.step(network(shown, t), t, x, **more).prev_sample
        return x

    def met(self, x: torch.Tensor) -> bool:
        """Whether a result has the published numbers."""
        size = x.abs()
        total = self.total is None or abs(float(size.sum()) - self.total) < self.near
        return total and abs(float(size.mean()) - self.mean) < self.within


def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Their dummy model."""
    t = t.to(x)
    return x * t / (t + 1)


def sample(flat: bool = False, backwards: bool = False) -> torch.Tensor:
    """Their deterministic sample of 4 images, and backwards their noise."""
    shape = (3, 8) if flat else (3, 8, 8)
    count = 4 * torch.Size(shape).numel()
    x = torch.arange(count)
    x = (x.flip(-1) if backwards else x).reshape(*shape, 4) / count
    return x.movedim(-1, 0)


LINEAR = {"num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02,
          "beta_schedule": "linear"}
LONG = {**LINEAR, "num_train_timesteps": 1100}
SCALED = {**LINEAR, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
V = {"prediction_type": "v_prediction"}
KARRAS = {"use_karras_sigmas": True}
SMALLEST = {"final_sigmas_type": "sigma_min"}
THRESHOLD = {"thresholding": True, "dynamic_thresholding_ratio": 0.87, "sample_max_value": 0.5}


def over(scheduler, config, rows, **facts):
    """The loops of one class: (test, settings, mean, total or None, further facts)."""
    return tuple(
        Loop(scheduler, test, {**config, **given}, mean, total, **{**facts, **more})
        for test, given, mean, total, *rest in rows for more in [rest[0] if rest else {}]
    )


LATE = {"noisy": True, "begin": 8}
FED = {"scaled": True, "unit": True}

DDIM = (
    ("full_loop_no_noise", {}, 0.223967, 172.0067),
    ("full_loop_with_v_prediction", V, 0.0684, 52.5302),
    ("full_loop_with_set_alpha_to_one", {"set_alpha_to_one": True, "beta_start": 0.01}, 0.1951,
     149.8295),
    ("full_loop_with_no_set_alpha_to_one", {"set_alpha_to_one": False, "beta_start": 0.01}, 0.1941,
     149.0784),
    ("full_loop_with_noise", {}, 0.4616, 354.5418, LATE),
)
LOOPS = (
    *over("DDIM", {**LINEAR, "clip_sample": True}, DDIM),
    *over("DDIMParallel", {**LINEAR, "clip_sample": True}, DDIM),
    *over("PNDM", LINEAR, (
        ("full_loop_no_noise", {}, 0.2580, 198.1318),
        ("full_loop_with_v_prediction", V, 0.0878, 67.3986),
        ("full_loop_with_set_alpha_to_one", {"set_alpha_to_one": True, "beta_start": 0.01}, 0.2995,
         230.0399),
        ("full_loop_with_no_set_alpha_to_one", {"set_alpha_to_one": False, "beta_start": 0.01},
         0.2434, 186.9482),
    )),
    *over("DPMSolverMultistep", {**LINEAR, **SMALLEST, "lower_order_final": False}, (
        ("full_loop_no_noise", {}, 0.3301, None),
        ("full_loop_with_noise", {}, 0.4146, 318.4111, {"noisy": True, "begin": 5}),
        ("full_loop_no_noise_thres", THRESHOLD, 1.1364, None),
        ("full_loop_with_v_prediction", V, 0.2251, None),
        ("full_loop_with_karras_and_v_prediction", {**V, **KARRAS}, 0.2096, None),
        ("full_loop_with_lu_and_v_prediction", {**V, "use_lu_lambdas": True}, 0.1554, None),
    )),
    *over("DPMSolverSinglestep", {**LINEAR, **SMALLEST}, (
        ("full_loop_no_noise", {}, 0.2791, None),
        ("full_loop_with_karras", KARRAS, 0.2248, None),
        ("full_loop_with_v_prediction", V, 0.1453, None),
        ("full_loop_with_karras_and_v_prediction", {**V, **KARRAS}, 0.0649, None),
        ("full_loop_with_noise", {}, 0.3505, 269.2187, {"noisy": True, "begin": 5}),
        ("full_uneven_loop", {}, 0.2574, None, {"steps": 50, "begin": 3}),
    )),
    *over("DEISMultistep", {**LINEAR, "solver_order": 2}, (
        ("full_loop_no_noise", {}, 0.23916, None),
        ("full_loop_with_v_prediction", V, 0.091, None),
        ("full_loop_with_noise", {}, 0.41054, 315.3016, LATE),
    )),
    *over("UniPCMultistep", {**LINEAR, **SMALLEST}, (
        ("full_loop_no_noise", {}, 0.2464, None),
        ("full_loop_with_karras", KARRAS, 0.2925, None),
        ("full_loop_with_v_prediction", V, 0.1014, None),
        ("full_loop_with_karras_and_v_prediction", {**V, **KARRAS}, 0.1966, None),
        ("full_loop_with_noise", {}, 0.4109, 315.5757, LATE),
    )),
    *over("UniPCMultistep", {**LINEAR, **SMALLEST}, (
        ("1d_full_loop_no_noise", {}, 0.2441, None),
        ("1d_full_loop_with_karras", KARRAS, 0.2898, None),
        ("1d_full_loop_with_v_prediction", V, 0.1014, None),
        ("1d_full_loop_with_karras_and_v_prediction", {**V, **KARRAS}, 0.1944, None),
        ("1d_full_loop_with_noise", {}, 0.4072, 39.0870, LATE),
    ), flat=True),
    *over("EDMEuler", {"num_train_timesteps": 256, "sigma_min": 0.002, "sigma_max": 80.0}, (
        ("full_loop_no_noise", {}, 0.044, 34.1855),
    ), unit=True, shown=True, near=1e-3),
    *over("EDMDPMSolverMultistep", {**SMALLEST, "lower_order_final": False}, (
        ("full_loop_no_noise", {}, 0.0001, None),
        ("full_loop_with_noise", {}, 0.0106, 8.1661, {"noisy": True, "begin": 5}),
        ("full_loop_no_noise_thres", THRESHOLD, 0.0080, None),
        ("full_loop_with_v_prediction", V, 0.0092, None),
    )),
    *over("EulerDiscrete", LONG, (
        ("full_loop_no_noise", {}, 0.0131, 10.0807),
        ("full_loop_with_v_prediction", V, 2.2676e-06, 0.0002),
        ("full_loop_device_karras_sigmas", KARRAS, 0.16213932633399963, 124.52299499511719),
        ("full_loop_with_noise", {}, 74.3007, 57062.9297, LATE),
    ), **FED),
    *over("HeunDiscrete", LONG, (
        ("full_loop_no_noise", {}, 0.0002, 0.1233),
        ("full_loop_with_v_prediction", V, 6.1112e-10, 4.6934e-07),
        ("full_loop_device_karras_sigmas", KARRAS, 1.9869554535034695e-07, 0.00015),
        ("full_loop_with_noise", {}, 97.7538, 75074.8906, {"noisy": True, "begin": 16}),
    ), **FED),
    *over("KDPM2Discrete", LONG, (
        ("full_loop_no_noise", {}, 0.0266, 20.4125),
        ("full_loop_with_v_prediction", V, 6.1112e-10, 4.6934e-07),
        ("full_loop_with_noise", {}, 91.6776, 70408.4062, {"noisy": True, "begin": 16}),
    ), **FED),
    *over("LMSDiscrete", LONG, (
        ("full_loop_no_noise", {}, 1.31, 1006.388),
        ("full_loop_with_v_prediction", V, 2.2676e-06, 0.0017),
        ("full_loop_device_karras_sigmas", KARRAS, 4.9648, 3812.9927, {"near": 2e-2}),
        ("full_loop_with_noise", {}, 36.0204, 27663.6895, LATE),
    ), **FED),
    *over("LCM", SCALED, (
        ("full_loop_onestep", {}, 0.0244, 18.7097, {"steps": 1}),
        ("full_loop_multistep", {}, 0.2575, 197.7616),
    ), drawn=True, near=1e-3),
    *over("TCD", SCALED, (
        ("full_loop_onestep_deter", {}, 0.0389, 29.8715, {"steps": 1}),
        ("full_loop_multistep_deter", {}, 0.2359, 181.2040),
    ), step={"eta": 0.0}, near=1e-3),
    *over("SASolver", LONG, (
        ("full_loop_no_noise", {}, 0.43931546807289124, 337.394287109375),
        ("full_loop_with_v_prediction", V, 0.2514931857585907, 193.1467742919922),
        ("full_loop_device_karras_sigmas", KARRAS, 1.0901764631271362, 837.2554931640625),
    ), drawn=True),
    *over("EulerAncestralDiscrete", LONG, (
        ("full_loop_no_noise", {}, 0.1983, 152.3192),
        ("full_loop_with_v_prediction", V, 0.1412, 108.4439),
        ("full_loop_with_noise", {}, 73.1290, 56163.0508, LATE),
    ), drawn=True, **FED),
    *over("KDPM2AncestralDiscrete", LONG, (
        ("full_loop_no_noise", {}, 18.2030, 13979.9433, {"within": 5e-3}),
        ("full_loop_with_v_prediction", V, 0.4320, 331.8133),
        ("full_loop_with_noise", {}, 121.2074, 93087.3437,
         {"noisy": True, "begin": 16, "within": 5e-3}),
    ), drawn=True, **FED),
    *over("DDPM", {**LINEAR, "variance_type": "fixed_small", "clip_sample": True}, (
        ("full_loop_no_noise", {}, 0.3372, 258.9606),
        ("full_loop_with_v_prediction", V, 0.2631, 202.0296),
        ("full_loop_with_noise", {}, 0.5051, 387.9466, {"noisy": True, "begin": 998}),
    ), drawn=True, steps=1000),
    *over("IPNDM", {"num_train_timesteps": 1000}, (
        ("full_loop_no_noise", {}, 2540529.0, None, {"within": 10.0}),
    )),
    *over("DPMSolverSDE", {**LONG, "noise_sampler_seed": 0}, (
        ("full_loop_no_noise", {}, 0.2178705964565277, 167.47821044921875),
        ("full_loop_with_v_prediction", V, 0.16226289014816284, 124.77149200439453),
        ("full_loop_device_karras_sigmas", KARRAS, 0.23003872730981811, 176.66974135742188),
    ), **FED),
)
