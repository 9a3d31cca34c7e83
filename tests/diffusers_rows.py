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
EXPONENTIAL_CURVE = {"use_exponential_sigmas": True}
CURVES = ({"use_karras_sigmas": True}, EXPONENTIAL_CURVE, {"use_beta_sigmas": True})
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}  # sigma 4096


def no_noise(t):
    """tau of SA-Solver."""
    return 0.0


def all_noise(t):
    return 1.0


SHORT = {"simple_order_2": True}
TAUS = (
    (no_noise, {"tau": 0.0, **SHORT}),
    (all_noise, {"tau_start": 1e6, "tau_end": 0.0, **SHORT}),
)


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

RUNGE_KUTTA = (
    *over(
        (*SPACINGS, *CURVES, V), Row("HeunDiscrete", {}, "heun"),
        Row("KDPM2Discrete", {}, "dpm_2"),
    ),
    # Half a second each: it works out its thousand training levels one by one.
    *over((SPACINGS[1], *CURVES[::2]), Row("KDPM2AncestralDiscrete", {}, "dpm_2_ancestral")),
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

_STAGE = (
    "their second stage is the midpoint formula, of which D's slope gets phi_1 / 2; the paper's "
    "(and ours) the exact phi_2"
)
SINGLESTEP = (
    # Their steps are the stages of ours: two or three to one, then one to sigma 0. Ours have
    # their stages even in log sigma, as the exponential curve has its levels.
    Row("DPMSolverSinglestep", {**ZERO, **EXPONENTIAL_CURVE}, "dpmpp_2s", steps=9, every=2),
    Row("DPMSolverSinglestep", {**ZERO, **EXPONENTIAL_CURVE, "solver_type": "heun"}, "dpmpp_2s",
        {"solver_type": "phi_2"}, steps=9, every=2),
    Row("DPMSolverSinglestep", {**ZERO, **EXPONENTIAL_CURVE, "solver_order": 1}, "euler"),
    Row("DPMSolverSinglestep", {**SDE, **EXPONENTIAL_CURVE}, "dpmpp_sde", steps=9, every=2),
    Row(
        "DPMSolverSinglestep", {**ZERO, **EXPONENTIAL_CURVE, "solver_order": 3}, "dpmpp_3s",
        every=3, between=(0.018, 0.020), differs=_STAGE,
    ),
    Row(
        "DPMSolverSinglestep",
        {**SMALLEST, **EXPONENTIAL_CURVE, "algorithm_type": "dpmsolver", "solver_order": 3},
        "dpm_fast", steps=9, between=(0.058, 0.065), differs=_STAGE,
    ),
    Row(
        "DPMSolverSinglestep",
        {**ZERO, **EXPONENTIAL_CURVE, "solver_order": 3, "solver_type": "heun"}, "dpmpp_3s",
        every=3, between=(3.8e-3, 4.2e-3),
        differs="their result takes all three answers, the paper's the first and the last",
    ),
    *over(
        (*SPACINGS, *CURVES, V),
        Row("DPMSolverSDE", {}, "dpmpp_sde"),
    ),
)

STOCHASTIC = (
    *over(
        (*SPACINGS, *CURVES, ZERO_SNR, V, FLOW),
        Row("DPMSolverMultistep", SDE, "dpmpp_2m_sde"),
        Row("DPMSolverMultistep", {**SDE, "solver_type": "heun"}, "dpmpp_2m_sde_heun"),
    ),
    Row(
        "DPMSolverMultistep", {**SDE, "solver_order": 3, "solver_type": "heun"}, "dpmpp_3m_sde",
        steps=MANY, between=(0.82, 0.91),
        differs="with H twice the step in log-SNR the second difference of D belongs with "
        "1/2 + (1 - exp(-H) - H) / H^2, near H / 6; theirs has -1/2 there, near -1",
    ),
    *over(
        ({}, {"sigma_schedule": "karras"}),
        Row("CosineDPMSolverMultistep", {}, "dpmpp_2m_sde"),
        Row("CosineDPMSolverMultistep", {"solver_type": "heun"}, "dpmpp_2m_sde_heun"),
    ),
    *over(
        (*SPACINGS, V),
        *(Row("SASolver", {"tau_func": tau, "predictor_order": n, "corrector_order": m,
                           "lower_order_final": False},
              "sa_solver", {**ours, "predictor_order": n, "corrector_order": m})
          for tau, ours in TAUS
          for n, m in ((1, 1), (2, 2), (3, 3), (2, 4))),
    ),
    # Theirs asks for tau at the time where a step starts, from 800 to 200, ours where it ends, so
    # that the same steps are stochastic with another window.
    Row("SASolver", {"lower_order_final": False}, "sa_solver",
        {**SHORT, "tau_start": 4.0, "tau_end": 0.1, "predictor_order": 2, "corrector_order": 2},
        unused=2),
    Row(
        "SASolver", {"tau_func": no_noise, "lower_order_final": False, **FLOW}, "sa_solver",
        {"tau": 0.0, **SHORT, "predictor_order": 2, "corrector_order": 2}, between=(0.034, 0.038),
        differs="their flow list has its last level twice, so that one more call corrects the last "
        "prediction",
    ),
)

CONSISTENCY = (
    *over(
        ({}, V),
        Row("TCD", {}, "tcd", {"gamma": 0.3}, {"eta": 0.3}, steps=4),
        Row("TCD", {}, "tcd", {"gamma": 0.0}, {"eta": 0.0}, steps=4),
        Row("TCD", {}, "tcd", {"gamma": 1.0}, {"eta": 1.0}, steps=4),
        Row("LCM", {}, "lcm", steps=4, within=1e-6),
    ),
)

FLOWS = (
    *over(
        ({}, {"shift": 3.0}, *CURVES),
        Row("FlowMatchEulerDiscrete", {}, "euler"),
        Row("FlowMatchEulerDiscrete", {"stochastic_sampling": True}, "lcm"),
    ),
    Row("FlowMatchEulerDiscrete", {"use_dynamic_shifting": True}, "euler", times={"mu": 1.15}),
    *over(({}, {"shift": 3.0}), Row("FlowMatchHeunDiscrete", {}, "heun")),
)

ROWS = (
    *ONE_STEP, *RUNGE_KUTTA, *ADAMS, *EXPONENTIAL, *UNIPC, *SINGLESTEP, *STOCHASTIC, *CONSISTENCY,
    *FLOWS,
)
