"""Our defaults beside those in the host's own signatures and on its nodes."""

import importlib
import inspect
import math

import pytest
from host_models import discrete
from stride import guidance, samplers, schedules

pytestmark = pytest.mark.host


def same(ours, theirs):
    """Equal, and a switch in both or a number in both."""
    return isinstance(ours, bool) == isinstance(theirs, bool) and ours == theirs


# Functions -------------------------------------------------------------------------------------

# What all functions take, and objects that no number of ours stands for.
NO_OPTION = {"extra_args", "callback", "disable", "noise_sampler", "tau_func", "noise_scaler",
             "return_info"}  # fmt: skip
CALLED = {"max_order": "order", "ge_gamma": "gamma", "use_pece": "pece"}
# Parameters there that are the method itself here: the nodes of SEEDS-3, the form of DEIS.
FIXED = {("seeds_3", "r_1"), ("seeds_3", "r_2"), ("deis", "deis_mode")}


@pytest.fixture
def functions(comfy):
    """The host's function for each sampler of ours of which it has the name."""
    unipc = importlib.import_module("comfy.extra_samplers.uni_pc")
    found = {n: getattr(comfy.k_diffusion, f"sample_{n}", None) for n in samplers.REGISTRY.names}
    found.update(uni_pc=unipc.sample_unipc, uni_pc_bh2=unipc.sample_unipc_bh2)
    return {name: function for name, function in found.items() if function}


def defaults(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters
            if p.default is not inspect.Parameter.empty and p.name not in NO_OPTION}


def test_every_number_in_the_signature_of_a_function(functions):
    compared = 0
    for name, function in functions.items():
        options = vars(samplers.get(name).options)
        for parameter, theirs in defaults(function).items():
            if (name, parameter) in FIXED:
                assert parameter not in options
                continue
            ours = options[CALLED.get(parameter, parameter)]
            if parameter == "s_tmax":
                assert theirs == math.inf and ours == 1e6
            elif parameter == "s_noise_end":  # below 0: the same as s_noise
                assert theirs is None and ours == -1
            else:
                assert same(ours, theirs), (name, parameter)
            compared += 1
    assert compared > 70


@pytest.mark.parametrize("name, says, option, value", [
    ("uni_pc", "order = min(3,", "order", 3),
    ("uni_pc_bh2", "variant='bh2'", "variant", "bh2"),
    ("sa_solver_pece", "use_pece=True", "pece", True),
    ("er_sde", "num_integration_points = 200.0", "points", 200),
    ("gradient_estimation_cfg_pp", "cfg_pp=True", "cfg_pp", True),
    ("res_multistep_cfg_pp", "cfg_pp=True", "cfg_pp", True),
    ("res_multistep_ancestral_cfg_pp", "cfg_pp=True", "cfg_pp", True),
])
def test_what_a_function_has_in_its_text(functions, name, says, option, value):
    assert says in inspect.getsource(functions[name])
    assert same(getattr(samplers.get(name).options, option), value)


def test_who_draws_from_a_brownian_path(functions):
    texts = {name: inspect.getsource(function) for name, function in functions.items()}
    theirs = {name for name, text in texts.items() if "BrownianTreeNoiseSampler" in text}
    theirs |= {n for n, text in texts.items() if any(f" sample_{t}(" in text for t in theirs)}
    ours = {n for n in texts if getattr(samplers.get(n).options, "noise", "") == "path"}
    assert ours == theirs and len(ours) == 4


def test_the_window_of_sa_solver(functions, comfy):
    """Four digits, rounded outwards: a step that ends at the host's own level is inside."""
    text = inspect.getsource(functions["sa_solver"])
    options, sampling = samplers.get("sa_solver").options, discrete(comfy)
    for percent, sigma, sign in ((0.2, options.tau_start, 1), (0.8, options.tau_end, -1)):
        assert f"percent_to_sigma({percent})" in text
        assert 0 < sign * (sigma - sampling.percent_to_sigma(percent)) < 1e-4


# Nodes -----------------------------------------------------------------------------------------

# What a run or a model has, and what is no option here.
NO_SETTING = {"model", "steps", "denoise", "sigma_min", "sigma_max", "noise_device", "solver_type",
              "sde_start_percent", "sde_end_percent", "latent"}  # fmt: skip
NODES = {
    "nodes_custom_sampler.KarrasScheduler": "karras",
    "nodes_custom_sampler.PolyexponentialScheduler": "polyexponential",
    "nodes_custom_sampler.LaplaceScheduler": "laplace",
    "nodes_custom_sampler.VPScheduler": "vp",
    "nodes_custom_sampler.BetaSamplingScheduler": "beta",
    "nodes_flux.Flux2Scheduler": "flux2",
    "nodes_lt.LTXVScheduler": "ltxv",
    "nodes_gits.GITSScheduler": "denoising_trajectory",
    "nodes_custom_sampler.SamplerDPMPP_3M_SDE": "dpmpp_3m_sde",
    "nodes_custom_sampler.SamplerDPMPP_2M_SDE": "dpmpp_2m_sde",
    "nodes_custom_sampler.SamplerDPMPP_SDE": "dpmpp_sde",
    "nodes_custom_sampler.SamplerDPMPP_2S_Ancestral": "dpmpp_2s_ancestral",
    "nodes_custom_sampler.SamplerEulerAncestral": "euler_ancestral",
    "nodes_custom_sampler.SamplerEulerAncestralCFGPP": "euler_ancestral_cfg_pp",
    "nodes_custom_sampler.SamplerLMS": "lms",
    "nodes_custom_sampler.SamplerDPMAdaptative": "dpm_adaptive",
    "nodes_custom_sampler.SamplerER_SDE": "er_sde",
    "nodes_custom_sampler.SamplerSASolver": "sa_solver",
    "nodes_model_advanced.RescaleCFG": guidance.Rescale(),
    "nodes_apg.APG": guidance.APG(),
}
SPELLED = {
    ("GITSScheduler", "coeff"): "coefficient", ("SamplerSASolver", "eta"): "tau",
    ("SamplerSASolver", "use_pece"): "pece", ("RescaleCFG", "multiplier"): "phi",
}
# Ours are others on purpose (tests/test_defaults.py): what the host has.
DIFFERENT = {
    ("APG", "eta"): 1.0, ("APG", "norm_threshold"): 5.0,
    ("Flux2Scheduler", "width"): 1024, ("Flux2Scheduler", "height"): 1024,  # 0: the latent's
}


def settings(node):
    """The default of each input of a node of either kind; a switch without one is off."""
    if hasattr(node, "define_schema"):
        inputs = {i.id: getattr(i, "default", None) for i in node.define_schema().inputs
                  if i.id not in NO_SETTING}
        return {name: False if value is None else value for name, value in inputs.items()}
    required = node.INPUT_TYPES()["required"]
    return {n: kind[1]["default"] for n, kind in required.items() if n not in NO_SETTING}


@pytest.mark.parametrize("node", NODES)
def test_every_setting_of_a_node(comfy, node):
    module, name = node.split(".")
    made = getattr(importlib.import_module(f"comfy_extras.{module}"), name, None)
    if made is None:
        pytest.skip(f"this host has no {name}")
    ours = NODES[node]
    if isinstance(ours, str):
        ours = (samplers if ours in samplers.REGISTRY else schedules).get(ours).options
    found = settings(made)
    for setting, theirs in found.items():
        value = getattr(ours, SPELLED.get((name, setting), setting))
        if (name, setting) in DIFFERENT:
            assert theirs == DIFFERENT[name, setting] != value
        else:
            assert same(value, theirs), setting
    assert found
