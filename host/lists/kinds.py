"""Models to draw a schedule for: a few common kinds, and those that a node has run with."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import comfy.model_base
import comfy.supported_models
from comfy.model_base import ModelType

from ...registry import shown
from ...schedules import Canvas
from .model import process_of


class Kind(NamedTuple):
    """A kind of model as the host makes it: its noise levels, its family and what it predicts.

    config: name of the host's model config. settings: what to change in its sampling settings.
    number: (setting, what it is called, default, lowest, highest) of the one that people change.
    """

    label: str
    config: str
    predicts: ModelType
    settings: Mapping[str, Any] = MappingProxyType({})
    number: tuple[str, str, float, float, float] | None = None


_SHIFT = ("shift", "shift")
KINDS = {
    "sd15": Kind("SD1.5", "SD15", ModelType.EPS),
    "sdxl": Kind("SDXL", "SDXL", ModelType.EPS),
    "zsnr": Kind("SDXL v, zero SNR", "SDXL", ModelType.V_PREDICTION, {"zsnr": True}),
    "edm": Kind(
        "EDM", "SDXLRefiner", ModelType.EDM, {"sigma_min": 0.002},
        ("sigma_max", "sigma max", 80.0, 1.0, 10_000.0),
    ),
    "svd": Kind("SVD", "SVD_img2vid", ModelType.V_PREDICTION_EDM),
    "flow": Kind("Flow, SD3", "SD3", ModelType.FLOW, number=(*_SHIFT, 3.0, 0.01, 100.0)),
    "flux": Kind("Flux", "Flux", ModelType.FLUX, number=("shift", "mu", 1.15, -5.0, 10.0)),
    "schnell": Kind("Flux schnell", "FluxSchnell", ModelType.FLOW),
    "flux2": Kind("Flux 2", "Flux2", ModelType.FLUX, number=("shift", "mu", 2.02, -5.0, 10.0)),
    "chroma": Kind("Chroma", "Chroma", ModelType.FLUX),
    "wan": Kind("Wan", "WAN21_T2V", ModelType.FLOW, number=(*_SHIFT, 8.0, 0.01, 100.0)),
    "cosmos": Kind("Cosmos", "CosmosT2V", ModelType.FLOW_COSMOS),
}
_SEEN, _KEPT = "seen-", 8  # of the models that nodes ran with, the last few


@dataclass(frozen=True)
class Drawn:
    """What schedules ask of a host MODEL: its model sampling and its config, without weights.

    canvas: the latent that it was run with, where one was connected.
    """

    sampling: Any
    config: Any
    canvas: Canvas | None = None

    @property
    def model(self) -> SimpleNamespace:
        """The host's inner model, as far as a schedule looks at it."""
        return SimpleNamespace(model_config=self.config)

    def get_model_object(self, name: str) -> Any:
        """The model sampling, which is all that is asked for of what a MODEL has by name."""
        return self.sampling


class _Recent(OrderedDict[str, Drawn]):
    """The last few models that nodes ran with, by name."""

    def keep(self, name: str, drawn: Drawn) -> None:
        """Take up a model as the last used; the one used longest ago goes."""
        self[name] = drawn
        self.move_to_end(name)
        while len(self) > _KEPT:
            self.popitem(last=False)


_recent = _Recent()


def listing() -> list[dict[str, Any]]:
    """The kinds, for a person to choose from."""
    words = ("name", "default", "low", "high")
    return [
        {"kind": kind, "label": k.label, "number": k.number and dict(zip(words, k.number[1:]))}
        for kind, k in KINDS.items()
    ]


def get(model: str) -> Drawn:
    """The model called ``"sd15"``, ``"flow:3"`` or what ``remember`` called it.

    Raises ValueError for an unknown one, and for a number that it does not take.
    """
    if model in _recent:
        return _recent[model]
    if model.startswith(_SEEN):
        raise ValueError(f"the model {shown(model)} was not used since the server started")
    kind, _, text = model.partition(":")
    if kind not in KINDS:
        raise ValueError(f"unknown kind of model {shown(kind)}; known: {', '.join(KINDS)}")
    asked = KINDS[kind].number
    if asked is None:
        if text:
            raise ValueError(f"the model '{kind}' takes no number, got {shown(text)}")
        return _made(kind, None)
    _, name, default, low, high = asked
    number: float | None
    try:
        number = float(text) if text else default
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        raise ValueError(
            f"the {name} of '{kind}' must be a number from {low:g} to {high:g}, got {shown(text)}"
        )
    return _made(kind, number)


@lru_cache(maxsize=32)
def _made(kind: str, number: float | None) -> Drawn:
    k = KINDS[kind]
    cls = getattr(comfy.supported_models, k.config)
    config = cls.__new__(cls)  # its __init__ asks for facts of a network, which nobody has here
    changed = {k.number[0]: number} if k.number else {}
    config.sampling_settings = {**cls.sampling_settings, **k.settings, **changed}
    return Drawn(comfy.model_base.model_sampling(config, k.predicts), config)


def facts(model: str, drawn: Drawn) -> dict[str, Any]:
    """What a person sees of a model: its name here, its process and its noise levels' range."""
    low, high = float(drawn.sampling.sigma_min), float(drawn.sampling.sigma_max)
    process, kind = process_of(drawn.sampling).name, KINDS.get(model.partition(":")[0])
    label = kind.label if kind else f"last run: {process}, sigma {low:.3g} to {high:.4g}"
    return {
        "model": model, "label": label, "process": process, "sigma_min": low, "sigma_max": high
    }


def remember(model: Any, canvas: Canvas | None = None) -> dict[str, Any]:
    """Keep what schedules ask of a MODEL that a node ran with; returns its facts and its name."""
    drawn = Drawn(model.get_model_object("model_sampling"), model.model.model_config, canvas)
    kinds = [[c.__name__ for c in type(part).__mro__] for part in (drawn.sampling, drawn.config)]
    mark = zlib.crc32(f"{kinds}{getattr(drawn.sampling, 'shift', '')}{canvas or ''}".encode())
    mark = zlib.crc32(drawn.sampling.sigmas.double().cpu().numpy().tobytes(), mark)
    name = f"{_SEEN}{mark:08x}"
    _recent.keep(name, drawn)
    return facts(name, drawn)
