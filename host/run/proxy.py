"""The host's model as a sampler function of others sees it, with its calls passed through us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Ask = Callable[..., torch.Tensor]  # (x [B, ...], sigma [B], **what the host wants) -> D


class Proxy:
    """``host`` in all but its calls, which go to ``ask``.

    Packs tell what they are called with by its class and by the attributes that it has
    (``inner_model``, ``model``, ``model_sampling``), so this has those of the host's own object
    and no public one of its own.
    """

    def __init__(self, host: Any, ask: Ask) -> None:
        self.__dict__.update(_stride_host=host, _stride_ask=ask)

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """What ``ask`` answers, [B, ...]."""
        return self._stride_ask(*args, **kwargs)

    @property
    def __class__(self) -> type:
        return self._stride_host.__class__  # which may be another Proxy's

    def __getattr__(self, name: str) -> Any:
        if name == "_stride_host":  # of a copy in the making
            raise AttributeError(name)
        return getattr(self._stride_host, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._stride_host, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._stride_host, name)
