"""What further programs call a sampler, where our rule of spelling does not lead to the method.

``key`` of such a name finds nothing, or another method: each row is what that program runs.
"""

from __future__ import annotations

from typing import NamedTuple

from ..registry import key


class Method(NamedTuple):
    """A sampler of ours, and the schedule that the name has in it."""

    sampler: str
    schedule: str | None = None


# Letter by letter: ComfyUI-WanVideoWrapper's two are diffusers' multistep DPM-Solver of order 2,
# and its "dpm++_sde" is not DPM++ SDE.
_EXACT = {"dpm++": Method("dpmpp_2m"), "dpm++_sde": Method("dpmpp_2m_sde")}
_NAMES = {
    # NovelAI: the DDIM of its third model.
    "ddim_v3": Method("ddim"),
    # InvokeAI: diffusers' UniPC; "_k" is Karras, as in its other names.
    "unipc_k": Method("uni_pc_bh2", "karras"),
    # SD.Next: diffusers' classes, and k-diffusion's methods on flow models.
    "LMSD": Method("lms"),
    "Euler FlowMatch": Method("euler"),
    "Heun FlowMatch": Method("heun"),
    "LCM FlowMatch": Method("lcm"),
    "UniPC FlowMatch": Method("uni_pc_bh2"),
    "DPM2 FlowMatch": Method("dpm_2"),
    "DPM2a FlowMatch": Method("dpm_2_ancestral"),
    "DPM2++ 2M FlowMatch": Method("dpmpp_2m"),
    "DPM2++ SDE FlowMatch": Method("dpmpp_sde"),
    "DPM2++ 2M SDE FlowMatch": Method("dpmpp_2m_sde"),
    "DPM2++ 3M SDE FlowMatch": Method("dpmpp_3m_sde"),
}
_BY_KEY = {key(name): method for name, method in _NAMES.items()}
# At the end of a sampler's name: InvokeAI's and Draw Things' words for a schedule.
_ENDINGS = {"k": "karras", "ays": "align_your_steps"}


def method(name: str) -> Method | None:
    """What a program's ``name`` of a sampler means, where it is one of these."""
    return _EXACT.get(name) or _BY_KEY.get(key(name))


def ending(word: str) -> str | None:
    """The schedule of ours that ``word`` stands for at the end of a sampler's name."""
    return _ENDINGS.get(word.strip(" )").lower())
