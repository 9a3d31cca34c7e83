"""The host's SAMPLER for a name that was looked up, or for ``automatic``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import comfy.samplers
import torch

from ... import advice
from ..choice import Later, Wish, blamed
from ..lists import names
from ..lists.model import facts_of
from ..lists.names import Named
from ..shown.words import show_on_node
from .ours import HostRun
from .theirs import TheirRun


def sampler_of(wish: Wish, node_id: str | None = None, **run: Any) -> Any:
    """The host's SAMPLER: ours, or the host's own for a name of somebody else's.

    node_id: where the choice of ``automatic`` is shown. run: further fields of ``HostRun``; of a
    sampler that is not ours, of ``TheirRun``.
    """
    if isinstance(wish, Later):
        return comfy.samplers.KSAMPLER(AutomaticRun(wish.given, node_id, run))
    if wish.entry is not None:
        return comfy.samplers.KSAMPLER(_run_of(wish)(**run))
    theirs = comfy.samplers.sampler_object(wish.name)
    if hasattr(theirs, "sampler_function"):
        theirs.sampler_function = TheirRun(theirs.sampler_function, **run)
    return theirs


def _run_of(named: Named) -> partial[HostRun]:
    on_device = named.called.endswith("_gpu")
    return partial(HostRun, named.entry, named.options, on_device=on_device)


@dataclass(frozen=True)
class AutomaticRun:
    """A sampler function that is chosen when it runs, since only the run knows its model.

    The steps that count are those of the sigmas that it is given. given: options for what is
    chosen. run: see ``sampler_of``.
    """

    given: Mapping[str, Any]
    node_id: str | None
    run: Mapping[str, Any]

    def __call__(
        self, model: Any, x: torch.Tensor, sigmas: torch.Tensor, extra_args: Any = None,
        callback: Any = None, disable: bool | None = None,
    ) -> torch.Tensor:
        """What the chosen sampler's ``HostRun`` returns; the choice is shown on the node.

        Raises ValueError, with the choice and its reason, for options that it does not take.
        """
        guider = model.inner_model
        row, why = advice.choose(
            facts_of(guider.model_patcher), len(sigmas) - 1, getattr(guider, "cfg", None)
        )
        reason = f"automatic is {row.sampler} ({why})"
        try:
            named = names.one_sampler(row.sampler).but(self.given)
        except ValueError as problem:
            raise blamed(problem, reason) from None
        show_on_node(self.node_id, reason)
        return _run_of(named)(**self.run)(model, x, sigmas, extra_args, callback, disable)
