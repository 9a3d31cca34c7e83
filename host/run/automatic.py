"""A sampler that is chosen when it runs: ``automatic`` as a SAMPLER."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ... import advice
from ..choice import blamed
from ..lists import names
from ..lists.model import facts_of
from ..shown.words import show_on_node
from .function import NOISE, SamplerFunction
from .noise import NoiseSampler
from .ours import HostRun
from .watch import Duties


@dataclass(frozen=True)
class AutomaticRun(SamplerFunction):
    """A sampler function that is chosen when it runs, since only the run knows its model.

    The steps that count are those of the sigmas that it is given. given: options for what is
    chosen.
    """

    given: Mapping[str, Any]
    node_id: str | None
    duties: Duties

    @property
    def called(self) -> str:
        """Its name in our own lists."""
        return names.PREFIX + advice.AUTOMATIC

    @property
    def takes(self) -> dict[str, Any]:
        """What is given to it, and the host's word for fresh noise."""
        return {**self.given, NOISE: None}

    def __call__(
        self, model: Any, x: torch.Tensor, sigmas: torch.Tensor, extra_args: Any = None,
        callback: Any = None, disable: bool | None = None,
        noise_sampler: NoiseSampler | None = None, **options: Any,
    ) -> torch.Tensor:
        """What the chosen sampler's ``HostRun`` returns; the choice is shown on the node.

        Raises ValueError, with the choice and its reason, for options that it does not take.
        """
        guider = getattr(model, "inner_model", None)
        patcher = getattr(guider, "model_patcher", None)
        if patcher is None:
            raise ValueError(
                "automatic looks at the model, and what called it hides the model: a function "
                "without the host's attribute inner_model; choose a sampler by name there"
            )
        row, why = advice.choose(
            facts_of(patcher), max(len(sigmas) - 1, 1), getattr(guider, "cfg", None)
        )
        reason = f"automatic is {row.sampler} ({why})"
        try:
            named = names.one_sampler(row.sampler).but({**self.given, **options})
        except ValueError as problem:
            raise blamed(problem, reason) from None
        show_on_node(self.node_id, reason)
        run = HostRun.of(named, self.duties)
        return run(model, x, sigmas, extra_args, callback, disable, noise_sampler)
