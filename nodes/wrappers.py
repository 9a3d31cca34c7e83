"""Samplers made of samplers: SAMPLER in, SAMPLER out."""

from __future__ import annotations

from typing import Any

from .. import host
from ..host import io
from .common import hidden

_SIGMA_MAX = 100_000.0


def _sampler(name: str, tip: str) -> io.Sampler.Input:
    return io.Sampler.Input(name, tooltip=tip)


def _sigma(name: str, default: float, tip: str) -> io.Float.Input:
    return io.Float.Input(
        name, default=default, min=0.0, max=_SIGMA_MAX, step=0.01, round=False, tooltip=tip
    )


def _window() -> list[io.Input]:
    return [
        _sigma("sigma_high", _SIGMA_MAX, "Nothing is done at noise levels above this one."),
        _sigma("sigma_low", 0.0, "Nothing is done at noise levels below this one."),
    ]


def _output(tip: str) -> list[io.Output]:
    return [io.Sampler.Output(tooltip=tip)]


class StrideAlternate(io.ComfyNode):
    """One sampler above a noise level, another below it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideAlternate",
            display_name="Alternate Samplers (Stride)",
            category="sampling/stride/samplers",
            description="Changes the sampler in mid-run; the second goes on from what it finds.",
            inputs=[
                _sampler("first", "Takes the steps that start above sigma."),
                _sampler("second", "Takes the rest. Connect another of these for a third."),
                _sigma("sigma", 1.0, "Noise level of the change; a flow model's are in 0 to 1."),
            ],
            outputs=_output("Both as one, for SamplerCustom and SamplerCustomAdvanced."),
        )

    @classmethod
    def execute(cls, first: Any, second: Any, sigma: float) -> io.NodeOutput:
        """SAMPLER by ``host.wrappers.alternating``; ValueError for two that do not go together."""
        return io.NodeOutput(host.wrappers.alternating(first, second, sigma))


class StrideAverage(io.ComfyNode):
    """The weighted mean of two samplers' latents."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideAverage",
            display_name="Average Samplers (Stride)",
            category="sampling/stride/samplers",
            description="Runs two samplers from the same noise and mixes what they end with.",
            inputs=[
                _sampler("first", "Runs first."),
                _sampler("second", "Runs second. Connect another of these for three."),
                io.Float.Input(
                    "weight", default=0.5, min=0.0, max=1.0, step=0.01, round=False,
                    tooltip="Share of the first sampler's latent; at 1 and 0 only one runs.",
                ),
            ],
            outputs=_output("The mean of both; it costs the model calls of both."),
        )

    @classmethod
    def execute(cls, first: Any, second: Any, weight: float) -> io.NodeOutput:
        """SAMPLER by ``host.wrappers.averaging``; ValueError for one that cannot be wrapped."""
        return io.NodeOutput(host.wrappers.averaging(first, second, weight))


class StrideInjectNoise(io.ComfyNode):
    """Noise on top of a sampler's steps."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideInjectNoise",
            display_name="Inject Noise (Stride)",
            category="sampling/stride/samplers",
            description="Leaves more noise after a step than the model is told of: more texture.",
            inputs=[
                _sampler("sampler", "The sampler to roughen."),
                io.Float.Input(
                    "strength", default=0.1, min=0.0, max=1.0, step=0.01, round=False,
                    tooltip="Noise added after a step, as a share of sigma; 0 changes nothing.",
                ),
                *_window(),
            ],
            outputs=_output("The sampler with noise on top."),
        )

    @classmethod
    def execute(
        cls, sampler: Any, strength: float, sigma_high: float, sigma_low: float
    ) -> io.NodeOutput:
        """SAMPLER by ``host.wrappers.injecting``; ValueError for sigmas the wrong way round."""
        return io.NodeOutput(host.wrappers.injecting(sampler, strength, sigma_low, sigma_high))


class StrideSkipSteps(io.ComfyNode):
    """Some of the model's answers guessed from the last two."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrideSkipSteps",
            display_name="Skip Steps (Stride)",
            category="sampling/stride/samplers",
            description="Guesses some of the model's answers, and shows how far off guesses were.",
            inputs=[
                _sampler("sampler", "The sampler to speed up."),
                io.Int.Input(
                    "every", default=3, min=2, max=100,
                    tooltip="Every so many steps one is guessed: 2 is every other one.",
                ),
                *_window(),
            ],
            outputs=_output("The sampler with fewer model calls."),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, sampler: Any, every: int, sigma_high: float, sigma_low: float
    ) -> io.NodeOutput:
        """SAMPLER by ``host.wrappers.skipping``; ValueError for adaptive ones."""
        return io.NodeOutput(host.wrappers.skipping(
            sampler, every, sigma_low, sigma_high, hidden(cls).unique_id
        ))
