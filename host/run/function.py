"""Sampler functions as other packs look at them: a name, and a signature that tells the options.

Packs wrap a sampler function and hand it a ``noise_sampler``, eta or s_noise where its signature
has one of that name, as the functions of k-diffusion have.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

_EMPTY = inspect.Parameter.empty
_KIND = inspect.Parameter.POSITIONAL_OR_KEYWORD
_CALLED_WITH = tuple(
    inspect.Parameter(name, _KIND, default=default)
    for name, default in (
        ("model", _EMPTY), ("x", _EMPTY), ("sigmas", _EMPTY), ("extra_args", None),
        ("callback", None), ("disable", None),
    )
)
NOISE = "noise_sampler"  # (sigma, sigma_next) -> unit noise, in place of the sampler's own


def signature(options: Mapping[str, Any]) -> inspect.Signature:
    """That of a function of the host's kind which takes these options, by name and default."""
    own = (inspect.Parameter(name, _KIND, default=default) for name, default in options.items())
    return inspect.Signature([*_CALLED_WITH, *own])


def options_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Name and default of what a function takes beyond the host's arguments."""
    called_with = {parameter.name for parameter in _CALLED_WITH}
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in called_with and parameter.kind in (_KIND, inspect.Parameter.KEYWORD_ONLY)
        and parameter.default is not _EMPTY
    }


class SamplerFunction:
    """A callable (model, x, sigmas, extra_args, callback, disable, **options) -> latent.

    A subclass says what it is called and which options it takes.
    """

    @property
    def called(self) -> str:
        """Its name, as a function has one."""
        return f"stride_{type(self).__name__.lower()}"

    @property
    def takes(self) -> Mapping[str, Any]:
        """Name and default of its options."""
        return {}

    def __getattr__(self, name: str) -> Any:
        # Made when somebody looks; ``inspect`` finds it on an instance and nothing on the class.
        if name == "__signature__":
            return signature(self.takes)
        if name in ("__name__", "__qualname__"):
            return self.called
        raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")

