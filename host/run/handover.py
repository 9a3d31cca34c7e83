"""A run that two sampler nodes of the host share: what the first leaves, the second goes on with.

SIGMAS and the host's own LATENT carry no history. Two SAMPLERs made here share it between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from .function import SamplerFunction
from .noise import images_of
from .ours import HostRun, OurSampler
from .result import Result, Stopped
from .wrappers import function_of, run_of

_ROUNDING = 1e-4  # what the host's scaling of a latent on its way between two nodes may change


@dataclass(eq=False)
class Handover:
    """Where the first part of a run leaves what the second one needs.

    level: where they meet. ahead: the levels behind it. Of the last run of the first part: seed,
    images (see ``HostRun``), stopped.
    """

    level: float
    ahead: tuple[float, ...]
    seed: int = 0
    images: tuple[int, ...] = ()
    stopped: Stopped | None = field(default=None, repr=False)

    def fitting(self, x: torch.Tensor, sigmas: torch.Tensor) -> Stopped | None:
        """The stopped run, if x [B, ...] at ``sigmas[0]`` is where it stopped."""
        if self.stopped is None or not len(sigmas) or float(sigmas[0]) != self.level:
            return None
        left = self.stopped.carry.x.to(x)
        if left.shape != x.shape or (left - x).norm() > _ROUNDING * left.norm():
            return None
        return self.stopped


@dataclass(frozen=True, eq=False)
class Part(SamplerFunction):
    """One of the two parts of ``run``; ``first`` or not."""

    run: HostRun
    between: Handover
    first: bool

    @property
    def called(self) -> str:
        """As the whole run."""
        return self.run.called

    @property
    def takes(self) -> dict[str, Any]:
        """As the whole run."""
        return self.run.takes

    def __call__(
        self, model: Any, x: torch.Tensor, sigmas: torch.Tensor, extra_args: Any = None,
        *rest: Any, **named: Any,
    ) -> torch.Tensor:
        """The latent at the last sigma, [B, ...]; the host's arguments, as ``HostRun`` has them."""
        extra, between = dict(extra_args or {}), self.between
        run = self.run
        if self.first and len(sigmas) and float(sigmas[-1]) == between.level:
            between.seed = extra.get("seed") or 0
            between.images = images_of(model, x, between.seed)
            run = replace(
                run, images=between.images, ahead=between.ahead, keep=True,
                duties=replace(run.duties, tell=self._leave),
            )
        elif not self.first and (stopped := between.fitting(x, sigmas)) is not None:
            run, extra = replace(run, images=between.images, resume=stopped), extra
            extra["seed"] = between.seed  # a node that adds no noise has none of its own
        return run(model, x, sigmas, extra, *rest, **named)

    def _leave(self, result: Result) -> None:
        self.between.stopped = result.stopped
        if self.run.duties.tell is not None:
            self.run.duties.tell(result)


def parted(sampler: Any, low: torch.Tensor) -> tuple[Any, Any]:
    """Two SAMPLERs of one of ours: up to ``low[0]``, and from there over ``low`` [steps + 1].

    Raises ValueError for a SAMPLER that has no history which could be handed on.
    """
    run = run_of(sampler)
    if run is None:
        name = getattr(function_of(sampler), "__name__", type(sampler).__name__)
        raise ValueError(
            f"'{name}' cannot be parted: Stride's own samplers can, but for those that choose "
            "their own steps"
        )
    level, *ahead = low.tolist() or [0.0]
    between = Handover(level, tuple(ahead))
    first, second = (OurSampler(Part(run, between, part)) for part in (True, False))
    return first, second
