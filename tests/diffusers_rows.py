"""Which scheduler of diffusers, with which settings, equals which of our samplers."""

from dataclasses import replace

from diffusers_driver import Row

V = {"prediction_type": "v_prediction"}
FLOW = {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"}
# The last level is 0, or the model's smallest, where their DPM-Solver has to end.
ZERO = {"final_sigmas_type": "zero"}
SDE = {**ZERO, "algorithm_type": "sde-dpmsolver++"}
SMALLEST = {"final_sigmas_type": "sigma_min"}
# DDIM steps by 1000 / steps whatever its list of timesteps, which only these two agree with.
PLAIN = {"clip_sample": False, "timestep_spacing": "trailing"}
LEADING = {"clip_sample": False, "timestep_spacing": "leading", "steps_offset": 1}
# Below 15 steps their DPM-Solver and DEIS lower the order in the last steps.
MANY = 15
PUBLISHED = {"third": "published"}
TAPER = {"lower_order_final": "always"}

SPACINGS = (
    {"timestep_spacing": "linspace"},
    {"timestep_spacing": "leading", "steps_offset": 1},
    {"timestep_spacing": "trailing"},
)
CURVES = (
    {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True},
)
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}  # sigma 4096


def over(settings, *rows):
    """Each row with each of the settings."""
    return [replace(row, config={**row.config, **given}) for row in rows for given in settings]


ONE_STEP = (
    *over(
        (PLAIN, LEADING, {**PLAIN, **V}, {**LEADING, "rescale_betas_zero_snr": True}),
        Row("DDIM", {}, "ddim"),
        Row("DDIM", {}, "ddim", {"eta": 1.0}, {"eta": 1.0}),
        Row("DDIM", {}, "ddim", {"eta": 0.4}, {"eta": 0.4}),
        # Theirs adds noise of standard deviation 1e-10 in the step to sigma 0.
        Row("DDPM", {"variance_type": "fixed_small"}, "ddpm", within=1e-9),
    ),
    Row(
        "DDIM", {"clip_sample": False, "timestep_spacing": "linspace"}, "ddim",
        between=(0.040, 0.045),
        differs="theirs leaves each timestep t for t - 1000 / steps, which is not the next one of "
        "an evenly spaced list that holds both ends; ours goes to the next one",
    ),
    Row(
        "DDPM", {**PLAIN, "variance_type": "fixed_large"}, "ddpm", between=(0.82, 0.90),
        differs="fixed_large draws noise of variance beta, more than the marginals of the model "
        "leave room for at a few large steps; our ddpm is the posterior variance, fixed_small",
    ),
    *over((*SPACINGS, *CURVES, ZERO_SNR, SMALLEST, V), Row("EulerDiscrete", {}, "euler")),
    Row(
        "EulerDiscrete", {}, "euler", {"s_churn": 1.0}, {"s_churn": 1.0}, between=(0.33, 0.37),
        differs="theirs asks the model before it raises the noise level, so that the answer "
        "belongs to another latent and level than the step that uses it",
    ),
    *over(
        (*SPACINGS, ZERO_SNR, V), Row("EulerAncestralDiscrete", {}, "euler_ancestral"),
    ),
    *over(({}, {"sigma_schedule": "exponential"}), Row("EDMEuler", {}, "euler")),
)

RUNGE_KUTTA = over(
    (*SPACINGS, *CURVES, V),
    Row("HeunDiscrete", {}, "heun"),
    Row("KDPM2Discrete", {}, "dpm_2"),
    Row("KDPM2AncestralDiscrete", {}, "dpm_2_ancestral"),
)

ADAMS = (
    *over((*SPACINGS, *CURVES, V), Row("LMSDiscrete", {}, "lms", {"ending": "multistep"})),
    Row(
        "LMSDiscrete", {}, "lms", between=(2.3e-3, 2.6e-3),
        differs="the step to sigma 0 is their Adams formula, ours by default the denoised latent",
    ),
    *over(
        ({"steps_offset": 1}, {"timestep_spacing": "trailing"}),
        Row("PNDM", {"skip_prk_steps": True}, "plms"),
    ),
    Row(
        "PNDM", {"steps_offset": 1}, "pndm", between=(1.0e-3, 1.2e-3),
        differs="the Runge-Kutta stages stand at the middle of the model's timesteps, ours at "
        "the middle in sigma, since a list of sigmas has no timesteps",
    ),
    *over(
        (*SPACINGS, V),
        Row("DEISMultistep", {"solver_order": 1}, "deis", {"order": 1, "variable": "log_sigma"}),
        Row("DEISMultistep", {"solver_order": 2}, "deis", {"order": 2, "variable": "log_sigma"},
            steps=MANY),
        Row("DEISMultistep", {"solver_order": 3}, "deis", {"order": 3, "variable": "log_sigma"},
            steps=MANY),
    ),
    Row("DEISMultistep", {"solver_order": 1, **FLOW}, "deis", {"order": 1}),
    Row(
        "DEISMultistep", {"solver_order": 2, **FLOW}, "deis",
        {"order": 2, "variable": "log_sigma"}, steps=MANY, between=(0.025, 0.029),
        differs="on a flow model theirs extrapolates the noise, ours the velocity",
    ),
)

EXPONENTIAL = (
    *over(
        (*SPACINGS, *CURVES, ZERO_SNR, V, FLOW),
        Row("DPMSolverMultistep", {**ZERO, "solver_order": 1}, "euler"),
        Row("DPMSolverMultistep", {**ZERO, "solver_order": 2}, "dpmpp_2m"),
        Row("DPMSolverMultistep", {**ZERO, "solver_order": 3}, "dpmpp_3m",
            {**PUBLISHED, "solver_type": "midpoint"}, steps=MANY),
        Row("DPMSolverMultistep", {**ZERO, "solver_order": 3, "solver_type": "heun"}, "dpmpp_3m",
            PUBLISHED, steps=MANY),
    ),
    Row(
        "DPMSolverMultistep", {**ZERO, "solver_order": 3}, "dpmpp_3m", {"solver_type": "midpoint"},
        steps=MANY, between=(2.2e-3, 2.5e-3),
        differs="their third-order steps have half of the weight that the second difference has "
        "in the exact integral; ours by default has the exact one",
    ),
    *over(
        (*SPACINGS, V),
        Row("DPMSolverMultistep", {**SMALLEST, "algorithm_type": "dpmsolver"}, "dpm_solver",
            steps=MANY),
        Row("DPMSolverMultistep", {**SMALLEST, "algorithm_type": "dpmsolver", "solver_order": 3},
            "dpm_solver", {**PUBLISHED, "order": 3}, steps=MANY),
    ),
    Row(
        "DPMSolverMultistep", {**SMALLEST, "algorithm_type": "sde-dpmsolver", "solver_order": 1},
        "dpm_solver", {"eta": 1.0, "order": 1}, between=(0.95, 1.05),
        differs="after a step from a to b their noise form of the reverse SDE has 2 (a - b)^2 more "
        "variance than the model expects at b; ours has what it expects",
    ),
    *over(
        (*SPACINGS, *CURVES, V),
        Row("DPMSolverMultistep", {**SDE, "solver_order": 1}, "euler_ancestral"),
    ),
    # On a flow model the two variances part, and theirs is DDPM's.
    Row("DPMSolverMultistep", {**SDE, **FLOW, "solver_order": 1}, "ddpm"),
    *over(
        ({}, {"sigma_schedule": "exponential"}),
        Row("EDMDPMSolverMultistep", {"solver_order": 1}, "euler"),
        Row("EDMDPMSolverMultistep", {}, "dpmpp_2m"),
    ),
)

UNIPC = (
    *over(
        (*SPACINGS, V),
        Row("UniPCMultistep", {**SMALLEST, "solver_order": 1, "solver_type": "bh1"}, "uni_pc",
            {"order": 1}),
        Row("UniPCMultistep", {**SMALLEST, "solver_type": "bh1"}, "uni_pc", {**TAPER, "order": 2}),
        Row("UniPCMultistep", {**SMALLEST, "solver_order": 3, "solver_type": "bh1"}, "uni_pc",
            TAPER),
        Row("UniPCMultistep", SMALLEST, "uni_pc_bh2", {**TAPER, "order": 2}),
        Row("UniPCMultistep", {**SMALLEST, "solver_order": 3}, "uni_pc_bh2", TAPER),
    ),
    *over(
        (*SPACINGS, *CURVES, ZERO_SNR, V, FLOW),
        Row("UniPCMultistep", {**ZERO, "solver_order": 2}, "uni_pc_bh2", {"order": 2}),
        Row("UniPCMultistep", {**ZERO, "solver_order": 3}, "uni_pc_bh2"),
    ),
    Row(
        "UniPCMultistep", {**SMALLEST, "predict_x0": False}, "uni_pc_bh2", {**TAPER, "order": 2},
        between=(4.4e-3, 4.9e-3),
        differs="theirs extrapolates the noise here; ours is the data form, their default",
    ),
)

FLOWS = (
    *over(
        ({}, {"shift": 3.0}, *CURVES),
        Row("FlowMatchEulerDiscrete", {}, "euler"),
    ),
    Row("FlowMatchEulerDiscrete", {"use_dynamic_shifting": True}, "euler", times={"mu": 1.15}),
    *over(({}, {"shift": 3.0}), Row("FlowMatchHeunDiscrete", {}, "heun")),
)

ROWS = (*ONE_STEP, *RUNGE_KUTTA, *ADAMS, *EXPONENTIAL, *UNIPC, *FLOWS)
