"""What the world says of every schedule: levels that somebody else's code or paper gives.

One row for each registered name, in the order of the registry's families. The numbers are typed
from the outputs of others or from their tables; none comes from this pack.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A run's levels, and where they are from.

    model: a name in ``SPECS`` of test_schedules.py. levels: the positive ones, as many as the run
    has steps; the final 0 is left out. source: whose numbers they are. options: ours, where the
    list is not that of the defaults. within: how far ours may be off, in relative terms; the
    others compute in float32, so seven digits are all that they have.
    """

    model: str
    levels: tuple[float, ...]
    source: str
    options: Mapping[str, Any] = {}  # noqa: RUF012
    within: float = 2e-6


# SD1.5's table of A1111 and of diffusers is made of rounded betas: 1.3e-5 off at its low end.
ROUNDED = 1.4e-5
A1111 = "A1111 webui 1.10.1, recorded: "
HOST = "ComfyUI 0.3.75, "
DIFFUSERS = "diffusers 0.42.1, "

MODEL_GRID = {
    "simple": Row(
        "sd", (14.614642, 7.297352, 4.0817294, 2.4925306, 1.6128862, 1.0689515, 0.69320494,
               0.39774564),
        A1111 + "Simple",
    ),
    "sgm_uniform": Row(
        "sd", (14.614643, 7.301982, 4.086081, 2.495967, 1.6155803, 1.0711591, 0.6951496,
               0.3997014),
        A1111 + "SGM Uniform",
    ),
    "normal": Row(
        "sd", (14.614643, 7.839883, 4.6091743, 2.918307, 1.9501615, 1.3449278, 0.93235797,
               0.62497693, 0.36865777, 0.029167537),
        A1111 + "Normal", within=ROUNDED,
    ),
    "uniform": Row(
        "sd", (14.614643, 6.6779995, 3.5220568, 2.0606415, 1.2768321, 0.7912598, 0.43966573,
               0.029167537),
        A1111 + "Uniform", within=ROUNDED,
    ),
    "ddim_uniform": Row(
        "sd", (7.3718443, 4.1166964, 2.5109215, 1.6236922, 1.0760311, 0.6983981, 0.40221775,
               0.04131448),
        A1111 + "DDIM",
    ),
}
CLOSED_FORM = {
    "karras": Row(
        "sd", (14.614643, 9.102934, 5.4783993, 3.1686094, 1.7494234, 0.91407657, 0.44692087,
               0.20139983, 0.08191108, 0.029167539),
        A1111 + "Karras", within=ROUNDED,
    ),
    "exponential": Row(
        "sd", (14.614643, 6.012982, 2.4739532, 1.0178719, 0.41878858, 0.17230444, 0.07089214,
               0.029167537),
        A1111 + "Exponential", within=ROUNDED,
    ),
    # With rho 1 it would be exponential's list.
    "polyexponential": Row(
        "sd", (14.614643, 2.2967713, 0.5435227, 0.18402074, 0.08469223, 0.0503416, 0.0367194,
               0.031226851, 0.029417334, 0.029167537),
        A1111 + "Polyexponential with rho 3", {"rho": 3.0}, within=ROUNDED,
    ),
    "kl_optimal": Row(
        "sd", (14.614633, 3.4934831, 1.8781236, 1.1878667, 0.77703708, 0.48318735, 0.24432784,
               0.029167159),
        HOST + "kl_optimal_scheduler",
    ),
    # The list's 11th value, sigma_min, is where ours has the final 0.
    "kl_optimal_a1111": Row(
        "sd", (14.614633, 4.565038, 2.6328883, 1.786446, 1.2947679, 0.9615884, 0.71162707,
               0.50941974, 0.3356377, 0.17834684),
        A1111 + "KL Optimal", within=ROUNDED,
    ),
    "cosine": Row(
        "sd", (14.6146412, 10.0498447, 6.532516, 3.91642952, 2.07000923, 0.8751809, 0.226303369,
               0.0291671585),
        "reForge of 11 March 2026, k_diffusion/sampling.py cosine_scheduler",
    ),
}
BETA = {
    "beta": Row(
        "sd", (14.614641, 10.483473, 5.6865916, 2.9636128, 1.6182789, 0.9198333, 0.51539063,
               0.24326976),
        HOST + "beta_scheduler",
    ),
    "beta57": Row(
        "sd", (14.614641, 7.8805819, 3.6009886, 1.8208925, 1.0239253, 0.59809089, 0.33488911,
               0.15152326),
        HOST + "beta_scheduler with RES4LYF's alpha 0.5 and beta 0.7",
    ),
    "beta_a1111": Row(
        "sd", (14.614642, 13.927786, 12.490981, 10.597609, 8.442437, 6.201372, 4.046201,
               2.1528287, 0.71602404, 0.029167533),
        A1111 + "Beta", within=ROUNDED,
    ),
}
LOG_SNR = {
    "laplace": Row(
        "svd", (316.22772, 1.870796, 1.3228641, 1.0801171, 0.92582554, 0.75593555, 0.53453183,
                0.0031622781),
        HOST + "get_sigmas_laplace; its list has no final 0",
    ),
    # The last level is the host's, whose expm1 keeps digits that k-diffusion's exp - 1 loses.
    "vp": Row(
        "svd", (152.16698, 40.401985, 13.106684, 5.1394181, 2.350117, 1.1523327, 0.49590638,
                0.010485994),
        "k-diffusion of 12 February 2026 and " + HOST + "get_sigmas_vp",
    ),
    "edm": Row(
        "edm", (80.0, 34.9921875, 13.698575, 4.63707495, 1.2866143, 0.267475367, 0.0351866521,
                0.002),
        DIFFUSERS + "EDMEulerScheduler(sigma_max=80)",
    ),
    "log_snr": Row(
        "sd", (14.6146469, 6.01298285, 2.47395372, 1.0178721, 0.418788612, 0.172304451,
               0.0708921477, 0.0291675366),
        DIFFUSERS + "DPMSolverMultistepScheduler(use_lu_lambdas=True)", within=ROUNDED,
    ),
}
FLOW = {
    "linear_quadratic": Row(
        "flow", (1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875),
        "genmoai/mochi of 13 November 2025, linear_quadratic_schedule(8, 0.025)",
    ),
    # With the default shift of 1 it is 1 - i / n.
    "linear": Row(
        "flow", (1.0, 0.954545438, 0.899999976, 0.833333313, 0.75, 0.642857134, 0.5, 0.300000012),
        DIFFUSERS + "FlowMatchEulerDiscreteScheduler(shift=3), sigmas from 1 to 1/8",
        {"shift": 3.0},
    ),
    # At 4096 tokens, the defaults' number, the lower end of mu's line would not show.
    "flux_shift": Row(
        "flux", (1.0, 0.934781969, 0.859998584, 0.773379385, 0.671872616, 0.551279306, 0.405657709,
                 0.226313874),
        "black-forest-labs/flux of 31 July 2025, get_schedule(8, 1536): 512 x 768 pixels",
        {"width": 512, "height": 768},
    ),
    "ltxv": Row(
        "flow", (1.0, 0.949120164, 0.886844218, 0.808860838, 0.708369136, 0.573981285, 0.38506794,
                 0.100000024),
        "LTX-Video of 25 October 2025, RectifiedFlowScheduler: SD3 shifting, 2048 tokens to 0.1",
        {"tokens": 2048},
    ),
    # At 10 steps or 200 only one of its two lines would show.
    "flux2": Row(
        "flow", (1.0, 0.994190693, 0.987814426, 0.980784237, 0.97299391, 0.964313209, 0.954580009,
                 0.94359082, 0.931085646, 0.916727543, 0.9000718, 0.880518734, 0.857240498,
                 0.829060435, 0.794248044, 0.750149488, 0.692477524, 0.61382544, 0.500199378,
                 0.321602553),
        "black-forest-labs/flux2 of 1 December 2025, get_schedule(20, 4096)",
    ),
    "logit_normal": Row(
        "flow", (0.999876618, 0.91824007, 0.84617126, 0.763344884, 0.666666687, 0.553590417,
                 0.421020031, 0.262623549),
        DIFFUSERS + "Ideogram 4's _logit_normal_sigmas, 1024 x 1024 and std 1.5",
    ),
    "bong_tangent": Row(
        "flow", (1.0, 0.971343875, 0.929422975, 0.862887859, 0.74429971, 0.5, 0.213121623,
                 0.0696460307),
        "RES4LYF of 17 July 2026, bong_tangent_scheduler",
    ),
}
SPACING = {
    "leading": Row(
        "sd", (7.37184668, 4.11669827, 2.51092243, 1.62369299, 1.07603157, 0.69839859,
               0.402218342, 0.041314479),
        DIFFUSERS + "EulerDiscreteScheduler, 'leading' with steps_offset 1",
    ),
    "linspace": Row(
        "sd", (14.6146469, 6.67801809, 3.52206516, 2.06064367, 1.27683377, 0.791261554,
               0.439667493, 0.0291675348),
        DIFFUSERS + "EulerDiscreteScheduler, 'linspace'", within=ROUNDED,
    ),
    "trailing": Row(
        "sd", (14.6146469, 7.29735374, 4.08173084, 2.49253178, 1.61288702, 1.06895185,
               0.693205416, 0.397746354),
        DIFFUSERS + "EulerDiscreteScheduler, 'trailing'",
    ),
}
TABLES = {
    "align_your_steps": Row(
        "sd", (14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177,
               1.3943805092, 0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662),
        HOST + "AlignYourStepsScheduler, SD1: arXiv:2404.14507, table 3, with more digits",
    ),
    # Ours starts at the model's 14.61464, 2.5e-5 below the rounded 14.615.
    "align_your_steps_a1111": Row(
        "sd", (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
        "arXiv:2404.14507, table 3, SD1.5", within=3e-5,
    ),
    "align_your_steps_30": Row(
        "sd", (14.614641, 11.154202, 8.5247412, 6.474576, 5.426487, 4.6091743, 3.8962104,
               3.2685502, 2.7458072, 2.301105, 1.9569113, 1.6733589, 1.4268551, 1.2310874,
               1.0689514, 0.92607915, 0.80412632, 0.69579893, 0.60537583, 0.52930051, 0.46737981,
               0.41340235, 0.3619298, 0.30980566, 0.26525241, 0.22300313, 0.17632149, 0.13799073,
               0.10719486, 0.058614008),
        HOST + "its table at Koitenshin's SDXL timesteps (A1111, pull request 15751)",
    ),
    "align_your_steps_32": Row(
        "sd", (14.615, 11.23951352, 8.64363081, 6.64729424, 5.57250862, 4.71648546, 3.99196065,
               3.51956090, 3.13490466, 2.79228788, 2.48773628, 2.21663865, 1.97508351,
               1.77931720, 1.61475335, 1.46540953, 1.31484900, 1.16642497, 1.03475547,
               0.91573744, 0.80748169, 0.71202361, 0.62173900, 0.53065202, 0.45290960,
               0.37491455, 0.27461819, 0.20115290, 0.14105873, 0.06682881, 0.03166121, 0.015),
        "Forge of 26 June 2025, modules/sd_schedulers.py, SD1", within=3e-5,
    ),
    "align_your_steps_gits": Row(
        "sd", (14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029),
        "Forge of 26 June 2025, modules/sd_schedulers.py, SD1", within=3e-5,
    ),
    "denoising_trajectory": Row(
        "sd", (14.61464119, 5.85520077, 2.84484982, 1.67050016, 1.08895338, 0.74807048,
               0.50118381, 0.32104823, 0.19894916, 0.09824532),
        HOST + "GITSScheduler, coefficient 1.20, 10 steps",
    ),
    "optimal_steps": Row(
        "flow", (0.9968, 0.9886, 0.9819, 0.975, 0.966, 0.9471, 0.9158, 0.8287, 0.5512, 0.2808),
        HOST + "OptimalStepsScheduler, FLUX (arXiv:2503.21774)",
    ),
}
# The timesteps are the trainers'; ComfyUI's table has these sigmas there.
DISTILLED = {
    "lcm_timesteps": Row(
        "sd", (14.614641, 7.4854212, 4.2605567, 2.6347957, 1.6128862, 1.0867294, 0.7193796,
               0.43132627),
        DIFFUSERS + "LCMScheduler: 999, 879, 759, 639, 499, 379, 259, 139",
    ),
    "sd_turbo": Row(
        "sd", (14.61464, 8.302803, 5.0877633, 3.3210831, 2.276463, 1.6128862, 1.1605784,
               0.82985955, 0.56928492, 0.34167385),
        HOST + "SDTurboScheduler",
    ),
    "sdxl_lightning": Row(
        "sd", (14.614641, 7.2973518, 4.0817294, 2.4925306, 1.6128862, 1.0689514, 0.69320488,
               0.39774564),
        "arXiv:2402.13929, 8 steps: 999, 874, 749, 624, 499, 374, 249, 124",
    ),
    "hyper_sd": Row(
        "sd", (14.614641, 9.0890055, 5.9347019, 4.0817294, 2.9183071, 2.1429088, 1.6128862,
               1.2270629, 0.92921442, 0.69320488, 0.49240923, 0.30289289),
        DIFFUSERS + "DDIMScheduler, 'trailing': 999, 916, 832, 749, 666, 582, 499 ... 82",
    ),
    "flux_schnell": Row(
        "flow", (1.0, 0.75, 0.5, 0.25),
        "black-forest-labs/flux of 31 July 2025, get_schedule(4, 4096, shift=False)",
    ),
    "flux2_turbo": Row(
        "flow", (1.0, 0.6509, 0.4374, 0.2932, 0.1893, 0.1108, 0.0495, 0.00031),
        "fal/FLUX.2-dev-Turbo, model card",
    ),
    "wan_lightning": Row(
        "flow", (1.0, 0.9722224, 0.9375001, 0.8928571, 0.8333333, 0.7500001, 0.625, 0.4166667),
        "LightX2V-Wan2.2-Lightning, issue 3: its scheduler's timesteps over 1000",
    ),
    "qwen_turbo": Row(
        "flow", (1.0, 0.978453, 0.95418, 0.926626, 0.89508, 0.845148, 0.704534, 0.414568),
        "ComfyUI's template image_qwen_image_2_1_turbo_t2i, ManualSigmas",
    ),
}
ROWS = {
    **MODEL_GRID, **CLOSED_FORM, **BETA, **LOG_SNR, **FLOW, **SPACING, **TABLES, **DISTILLED,
}
