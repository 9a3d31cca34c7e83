"""A sampler function of the host or of another pack, watched over as ours are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import torch

from ...samplers import VE
from ..lists.model import process_of, sampling_of
from .function import SamplerFunction, options_of
from .proxy import Proxy
from .result import Result
from .watch import PLAIN, Duties, Interrupted, RunSettings, Watch


@dataclass(frozen=True, eq=False)
class TheirRun(SamplerFunction):
    """``function`` with its model calls counted and the interrupt button looked for before each."""

    function: Callable[..., torch.Tensor]
    duties: Duties = PLAIN

    @property
    def called(self) -> str:
        """The function's own name."""
        return getattr(self.function, "__name__", super().called)

    @property
    def takes(self) -> dict[str, Any]:
        """The function's own options."""
        return options_of(self.function)

    def __call__(
        self, model: Any, x: torch.Tensor, sigmas: torch.Tensor, extra_args: Any = None,
        callback: Any = None, disable: bool | None = None, **options: Any,
    ) -> torch.Tensor:
        """What ``function`` returns, [B, ...], or the last picture of an interrupted run.

        The arguments are the host's, as ``HostRun`` has them; options: those of ``function``.
        Raises ValueError for settings that only our own samplers can follow.
        """
        settings = self.duties.settings
        if settings.images_at_a_time or settings.precision != RunSettings.precision:
            raise ValueError(
                "images_at_a_time and precision of Run Settings (Stride) act on Stride's own "
                "samplers; this one is ComfyUI's or another pack's"
            )
        sampling = sampling_of(model)
        process = VE if sampling is None else process_of(sampling)  # for the report
        watch = Watch(self.duties, sigmas.tolist(), process, x, callback)
        calls = 0

        def ask(*given: Any, **named: Any) -> torch.Tensor:
            nonlocal calls
            comfy.model_management.throw_exception_if_processing_interrupted()
            calls += 1
            if watch.recorder is not None:
                return watch.recorder.call(model, *given, **named)
            return model(*given, **named)

        try:
            end = self.function(
                Proxy(model, ask), x, sigmas, extra_args=extra_args, callback=watch.step,
                disable=disable, **options,
            )
        except Interrupted:
            end = watch.so_far()
        watch.finish(end)
        if self.duties.tell is not None:
            self.duties.tell(Result(end, calls, tuple(watch.notes)))
        return end
