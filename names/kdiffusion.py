"""k-diffusion's functions by name: ``sample_dpmpp_2m``, ``get_sigmas_karras``.

Samplers of ours carry the names of its functions, and so do those that ComfyUI added; their
parameters (eta, s_churn, s_noise, order, solver_type, rtol ...) are options of ours by the same
names.
"""

from __future__ import annotations

from typing import Any

# Where its function does otherwise than the sampler of ours by default.
_OPTIONS: dict[str, dict[str, Any]] = {
    "lms": {"ending": "multistep"},  # ComfyUI's own sample_lms ends with the denoised latent
}


def sampler(name: str) -> tuple[str, dict[str, Any]] | None:
    """(name without its prefix, options) for ``sample_...``, with a module before it or not."""
    last = _last(name)
    if not last.startswith("sample_"):
        return None
    plain = last.removeprefix("sample_")
    return plain, dict(_OPTIONS.get(plain, {}))


def schedule(name: str) -> str | None:
    """The name without its prefix for ``get_sigmas_...``."""
    last = _last(name)
    return last.removeprefix("get_sigmas_") if last.startswith("get_sigmas_") else None


def _last(name: str) -> str:
    return name.strip().rpartition(".")[2].lower()
