"""A report as a picture: four panels of curves over the steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ...engine.report import Report, Spread, StepReport

WIDTH, HEIGHT = 1040, 760
_FINE = 2  # drawn this many times larger and scaled down, for smooth lines
_PAPER, _PANEL, _GRID, _INK, _FAINT = "#f6f4ef", "#fffdf8", "#e2ddd1", "#22252b", "#6d7078"
_BLUE, _BAND, _RANGE, _ORANGE = "#2b6cb0", "#bcd6ef", "#dfe9f3", "#dd6b20"

Runs = Sequence[Sequence[StepReport]]


def draw(report: Report) -> torch.Tensor:
    """An IMAGE [1, HEIGHT, WIDTH, 3] in 0..1."""
    sheet = Image.new("RGB", (WIDTH * _FINE, HEIGHT * _FINE), _PAPER)
    pen = ImageDraw.Draw(sheet)
    lines = report.summary()
    pen.text(_at(28, 18), lines[0], _INK, _font(21))
    pen.text(_at(28, 48), "   ".join(lines[1:3])[:120], _FAINT, _font(14))
    runs = [list(steps) for _, steps in groupby(report.steps, lambda step: step.image)]
    left, right, top, bottom = 28, 536, 84, 424
    for x, y, title, show in (
        (left, top, "noise level sigma at the start of each step", _sigma),
        (right, top, "how far each step moved the latent", _moved),
        (left, bottom, "the model's clean picture: mean, deviation, range", _clean),
        (right, bottom, "the latent: mean, deviation, range", _latent),
    ):
        _Panel(pen, x, y, title).show(runs, show)
    small = sheet.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(small, dtype=np.float32) / 255.0)[None]


def _at(x: float, y: float) -> tuple[float, float]:
    return x * _FINE, y * _FINE


def _font(size: int) -> Any:
    try:
        return ImageFont.load_default(size=size * _FINE)
    except TypeError:  # before Pillow 10.1 there is one size, a small one
        return ImageFont.load_default()


class _Panel:
    """A box with a title, axes and what is drawn over the steps in it."""

    WIDE, HIGH, MARGIN = 476, 312, (58, 38, 16, 34)  # margins: left, top, right, bottom

    def __init__(self, pen: ImageDraw.ImageDraw, x: float, y: float, title: str) -> None:
        self.pen = pen
        pen.rectangle((_at(x, y), _at(x + self.WIDE, y + self.HIGH)), fill=_PANEL, outline=_GRID)
        pen.text(_at(x + 14, y + 10), title, _INK, _font(15))
        left, top, right, bottom = self.MARGIN
        self.left, self.right = x + left, x + self.WIDE - right
        self.top, self.bottom = y + top, y + self.HIGH - bottom
        self.count, self.low, self.high, self.log = 1, 0.0, 1.0, False

    def show(self, runs: Runs, what: Callable[[_Panel, Runs], None]) -> None:
        """runs: the steps of each image; a batch that goes together counts as one."""
        self.count = max([step.step + 1 for run in runs for step in run], default=1)
        if runs:
            what(self, runs)

    def scale(self, values: Sequence[float], log: bool = False, zero: bool = False) -> None:
        """Set the vertical axis so that all finite values are in it, and draw it."""
        fine = [v for v in values if math.isfinite(v) and (v > 0 or not log)] or [0.0 + log]
        low, high = min(fine), max(fine)
        self.log = log and high > 20 * low  # a straight axis is easier to read
        if self.log:
            low, high = math.log10(low), math.log10(high)
        elif zero:
            low = min(low, 0.0)
        room = 0.06 * (high - low) or abs(high) or 1.0
        self.low, self.high = (low if zero and not self.log else low - room), high + room
        for value in self._ticks():
            y = self.y(value)
            self.pen.line((_at(self.left, y), _at(self.right, y)), _GRID, _FINE)
            self.pen.text(_at(self.left - 8, y), f"{value:.4g}", _FAINT, _font(12), anchor="rm")
        for step in sorted({0, self.count - 1, (self.count - 1) // 2}):
            self.pen.text(
                _at(self.x(step), self.bottom + 8), f"step {step + 1}", _FAINT, _font(12),
                anchor="ma",
            )

    def _ticks(self) -> list[float]:
        """Round values on the vertical axis."""
        if self.log:
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            marks = (1,) if self.high - self.low > 2.5 else (1, 2, 5)
            values = [mark * 10.0**power for power in powers for mark in marks]
            return [v for v in values if self.low <= math.log10(v) <= self.high]
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(mark * unit for mark in (1, 2, 5, 10) if mark * unit >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [k * step for k in range(first, last + 1)]

    def x(self, step: float) -> float:
        return self.left + (self.right - self.left) * (step + 0.5) / self.count

    def y(self, value: float) -> float:
        if self.log:
            value = math.log10(value) if value > 0 else self.low
        part = (value - self.low) / (self.high - self.low)
        return self.bottom - (self.bottom - self.top) * min(max(part, 0.0), 1.0)

    def points(self, run: Sequence[StepReport], of: Callable[[StepReport], float]) -> list[Any]:
        return [_at(self.x(s.step), self.y(of(s))) for s in run if math.isfinite(of(s))]

    def line(
        self, run: Sequence[StepReport], of: Callable[[StepReport], float], colour: str,
        dots: bool = True,
    ) -> None:
        points = self.points(run, of)
        if len(points) > 1:
            self.pen.line(points, colour, 2 * _FINE, joint="curve")
        if dots and self.count <= 60:
            for x, y in points:
                size = 3 * _FINE
                self.pen.ellipse((x - size, y - size, x + size, y + size), fill=colour)

    def band(
        self, run: Sequence[StepReport], low: Callable[[StepReport], float],
        high: Callable[[StepReport], float], colour: str,
    ) -> None:
        outline = self.points(run, low) + self.points(run, high)[::-1]
        if len(outline) > 4:
            self.pen.polygon(outline, fill=colour)
        elif len(outline) == 2:
            (x, bottom), (_, top) = outline
            self.pen.line((x, bottom, x, top), colour, 8 * _FINE)


def _sigma(panel: _Panel, runs: Runs) -> None:
    panel.scale([step.sigma for run in runs for step in run], log=True)
    for run in runs:
        panel.line(run, lambda step: step.sigma, _BLUE)


def _moved(panel: _Panel, runs: Runs) -> None:
    panel.scale([step.moved for run in runs for step in run], zero=True)
    if len(runs) > 1 or panel.count > 60:
        for run in runs:
            panel.line(run, lambda step: step.moved, _ORANGE)
        return
    half = 0.35 * (panel.x(1) - panel.x(0))
    for step in runs[0]:
        if math.isfinite(step.moved):
            x, y = panel.x(step.step), panel.y(step.moved)
            panel.pen.rectangle((_at(x - half, y), _at(x + half, panel.bottom)), fill=_ORANGE)


def _spread(panel: _Panel, runs: Runs, of: Callable[[StepReport], Spread]) -> None:
    parts = [of(step) for run in runs for step in run]
    panel.scale([value for part in parts for value in (part.low, part.high)])
    for run in runs:
        panel.band(run, lambda s: of(s).low, lambda s: of(s).high, _RANGE)
    for run in runs:
        panel.band(run, lambda s: of(s).mean - of(s).deviation,
                   lambda s: of(s).mean + of(s).deviation, _BAND)
    for run in runs:
        panel.line(run, lambda s: of(s).mean, _BLUE)


def _clean(panel: _Panel, runs: Runs) -> None:
    _spread(panel, runs, lambda step: step.clean)


def _latent(panel: _Panel, runs: Runs) -> None:
    _spread(panel, runs, lambda step: step.latent)
