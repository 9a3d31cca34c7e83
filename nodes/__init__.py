"""The nodes: thin, no numerics. The host finds them through ``comfy_entrypoint``."""

from __future__ import annotations

from ..host import ComfyExtension, io
from .a1111 import StrideA1111Run
from .demo_model import StrideDemoModel
from .guidance import (
    StrideAPG,
    StrideCFGCurve,
    StrideCFGInterval,
    StrideCFGZero,
    StrideGuidanceEmbedding,
    StrideMimicCFG,
    StrideRescaleCFG,
    StrideTemperature,
    StrideThreshold,
)
from .hires import StrideHires
from .infotext import StrideFromA1111, StrideSaveA1111, StrideToA1111
from .ksampler import StrideKSampler, StrideKSamplerAdvanced
from .levels import StrideSigmas, StrideSigmasAdjust, StrideSigmasBlend, StrideSigmasSplit
from .parts import StrideSampler, StrideSchedule
from .safety import StrideReport, StrideRunSettings, StrideWatch
from .wrappers import StrideAlternate, StrideAverage, StrideInjectNoise, StrideSkipSteps


class StrideExtension(ComfyExtension):
    """The pack as the host sees it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes, in the order in which they are listed."""
        return [
            StrideKSampler, StrideKSamplerAdvanced, StrideSampler, StrideSchedule,
            StrideSigmas, StrideSigmasAdjust, StrideSigmasBlend, StrideSigmasSplit,
            StrideA1111Run,
            StrideRescaleCFG, StrideThreshold, StrideMimicCFG, StrideCFGInterval, StrideCFGCurve,
            StrideAPG, StrideCFGZero, StrideTemperature, StrideGuidanceEmbedding,
            StrideFromA1111, StrideToA1111, StrideSaveA1111,
            StrideAlternate, StrideAverage, StrideInjectNoise, StrideSkipSteps,
            StrideHires, StrideRunSettings, StrideReport, StrideWatch, StrideDemoModel,
        ]


async def comfy_entrypoint() -> StrideExtension:
    """What the host asks a pack of nodes for."""
    return StrideExtension()
