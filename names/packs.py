"""Whose a name is that nobody here has: what well known packs add to ComfyUI's lists, and more.

Names alone, as the packs register them, and as other programs have them to themselves. Read where
a name is unknown, to say what to install.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..registry import key


class Pack(NamedTuple):
    """A pack by its repository on GitHub, and the names that come with it.

    own: its own nodes alone know the names; the host's lists never have them. program: it is no
    pack but a program, which has them to itself.
    """

    title: str
    repository: str
    samplers: Sequence[str] = ()
    schedules: Sequence[str] = ()
    own: bool = False
    program: bool = False


_AYS = ("AYS SD1", "AYS SDXL", "AYS SVD")
_OSS = ("OSS FLUX", "OSS Wan", "OSS Chroma")
PACKS = (
    Pack(
        "RES4LYF", "ClownsharkBatwing/RES4LYF",
        "res_2m res_3m res_2s res_3s res_5s res_6s res_2m_ode res_3m_ode res_2s_ode res_3s_ode "
        "res_5s_ode res_6s_ode deis_2m deis_3m deis_2m_ode deis_3m_ode rk_beta rk legacy_rk "
        "deis_4m res_2m_sde res_2s_sde res_3s_sde res_5s_sde res_6s_sde deis_2m_sde deis_3m_sde "
        "deis_4m_sde".split(),
        ("bong_tangent", "beta57"),
    ),
    Pack(
        "Extra Samplers", "Clybius/ComfyUI-Extra-Samplers",
        "res_momentumized dpmpp_dualsde_momentumized clyb_4m_sde_momentumized ttm "
        "lcm_custom_noise euler_ancestral_dancing dpmpp_3m_sde_dynamic_eta supreme".split(),
        ("simple_exponential",),
    ),
    Pack(
        "Euler Smea Dyn Sampler", "Koishi-Star/Euler-Smea-Dyn-Sampler",
        "euler_dy euler_smea_dy euler_negative euler_dy_negative Kohaku_LoNyu_Yog "
        "sample_Kohaku_LoNyu_Yog".split(),
    ),
    Pack(
        "sonar", "blepping/ComfyUI-sonar",
        ("sonar_euler", "sonar_euler_ancestral", "sonar_dpmpp_sde"),
    ),
    Pack("TCD", "JettHu/ComfyUI-TCD", ("tcd_euler_a",)),
    Pack(
        "ppm", "pamparamm/ComfyUI-ppm",
        "euler_ancestral_dy_cfg_pp euler_dy_cfg_pp euler_smea_dy_cfg_pp dpmpp_2m_dy_cfg_pp".split(),
        ("ays", "ays+", "ays_30", "ays_30+", "gits", "beta_1_1"),
    ),
    Pack(
        "Impact Pack", "ltdrdata/ComfyUI-Impact-Pack",
        schedules=(*_AYS, *_OSS, "GITS[coeff=1.2]", "LTXV[default]"), own=True,
    ),
    Pack(
        "Inspire Pack", "ltdrdata/ComfyUI-Inspire-Pack",
        schedules=(*_AYS, *_OSS, "GITS[coeff=1.2]"), own=True,
    ),
    Pack(
        "Efficiency Nodes", "jags111/efficiency-nodes-comfyui", schedules=(*_AYS, "GITS"), own=True
    ),
    Pack(
        "WanVideoWrapper", "kijai/ComfyUI-WanVideoWrapper",
        "flowmatch_causvid flowmatch_distill flowmatch_pusa longcat_distill_euler multitalk "
        "sa_ode_stable rcm vibt_unipc".split(), own=True,
    ),
    Pack("stable-diffusion.cpp", "leejet/stable-diffusion.cpp", ("dpm++2mv2",), program=True),
    Pack(
        "Forge", "lllyasviel/stable-diffusion-webui-forge",
        ("[Forge] Flux Realistic", "[Forge] Flux Realistic (Slow)", "DPM++ 2M Turbo",
         "DPM++ 2M SDE Turbo", "Euler A Turbo"),
        ("Turbo",), program=True,
    ),
    Pack(
        "SD.Next", "vladmandic/sdnext",
        ("DPM2++ 2S FlowMatch", "Flash FlowMatch", "VDM Solver", "TDD", "PeRFlow", "UFOGen",
         "BDIA DDIM", "CMSI"),
        program=True,
    ),
    Pack(
        "Draw Things", "drawthingsai/draw-things-community",
        ("DPM++ SDE Substep", "Euler A Substep"), program=True,
    ),
)
# The same published tables here, by how the names begin.
_OURS = {"ays": "align_your_steps", "gits": "denoising_trajectory", "oss": "optimal_steps"}


def whose(kind: str, name: str) -> str:
    """What is known of a "sampler" or "schedule" of that name, as a part of a sentence, or ""."""
    wanted = _mark(name)
    packs = [
        pack for pack in PACKS
        if wanted in map(_mark, pack.samplers if kind == "sampler" else pack.schedules)
    ]
    if not packs:
        return ""
    titles = " or ".join(f"{pack.title} ({pack.repository})" for pack in packs)
    if packs[0].program:
        said = f"it is a name of {titles} alone, a program of its own"
    elif not packs[0].own:
        said = f"it comes with {titles}, which is not loaded here"
    else:
        said = f"only nodes of {titles} know it, no list of ComfyUI's has it"
    near = next((ours for start, ours in _OURS.items() if wanted.startswith(start)), None)
    return f"{said}; the same table here is {near}" if near and kind == "schedule" else said


def _mark(name: str) -> str:
    """What two spellings have in common; a number in brackets is a setting."""
    start, bracket, rest = name.partition("[")
    if not start:
        return key(name)
    return key(start) + ("[" if bracket and rest.startswith("coeff") else "")
