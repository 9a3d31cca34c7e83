"""Samplers made of samplers. Each is a table again, so all that holds for tables holds for it.

>>> mixed = alternate([Part(get("euler_ancestral")), Part(get("dpmpp_2m"))], [2.0])
>>> rough = inject(Part(get("dpmpp_2m")), strength=0.1, low=0.5, high=5.0)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..engine.levels import rises
from ..engine.table import Draw, Ref, Row
from ..process import Process
from ..registry import Options, option_set
from .entry import Deterministic, Noisy, Sampler, Unable


@dataclass(frozen=True, init=False)
class Part:
    """One of our samplers with its options, the defaults unless given.

    Raises ValueError for one that has no table.
    """

    sampler: Sampler
    options: Options

    def __init__(self, sampler: Sampler, options: Options | None = None) -> None:
        if sampler.adaptive:
            raise ValueError(
                f"'{sampler.name}' chooses its own steps and cannot be a part of another sampler"
            )
        object.__setattr__(self, "sampler", sampler)
        object.__setattr__(self, "options", sampler.options if options is None else options)

    @cached_property
    def stochastic(self) -> bool:
        """Whether it adds noise with these options."""
        return replace(self.sampler, options=self.options).stochastic

    def rows(self, sigmas: tuple[float, ...], process: Process) -> tuple[Row, ...]:
        """Its rows over ``sigmas``, before CFG++."""
        return self.sampler.rows(sigmas, process, self.options)


_WHOLE_RUN = ("version", "s_noise_end", "noise_clip_std", "scale_ratio")  # options


@option_set
class Shared(Noisy, Deterministic):
    """The options that a run has once, whatever its parts."""


def alternate(parts: Sequence[Part], ends: Sequence[float]) -> Sampler:
    """One run that goes from part to part: ``parts[i]`` takes the steps that start above
    ``ends[i]``, the last part the others.

    ends: one sigma fewer than there are parts, falling. A part goes on from the answers that the
    earlier ones were given, as if it had taken their steps itself. Where it cannot (it wants an
    answer that they did not ask for, or would undo fresh noise of theirs) it starts afresh, as at
    the start of a run. Raises ValueError where the parts want different things of one run: CFG++
    or not, kinds of fresh noise.
    """
    if len(parts) != len(ends) + 1 or not all(a > b for a, b in zip(ends, ends[1:])):
        raise ValueError(
            f"{len(parts)} samplers change at {len(parts) - 1} falling sigmas, got {list(ends)}"
        )

    def build(sigmas: tuple[float, ...], process: Process, _: Shared) -> list[Row]:
        rows: list[Row] = []
        which = [_place(sigma, ends) for sigma in sigmas[:-1]]
        for first, place in enumerate(which):
            if first == 0 or place != which[first - 1]:
                end = next((k for k in range(first, len(which)) if which[k] != place), len(which))
                rows += _stretch(parts[place], rows, sigmas, process, first, end)
        return rows

    return Sampler(
        name="alternate", label=" / ".join(part.sampler.label for part in parts),
        source="; ".join(part.sampler.source for part in parts), build=build,
        options=_shared(parts), order=None, calls=max(part.sampler.calls for part in parts),
    )


def _place(sigma: float, ends: Sequence[float]) -> int:
    """Which part takes a step that starts at ``sigma``."""
    return next((i for i, end in enumerate(ends) if sigma > end), len(ends))


def _shared(parts: Sequence[Part]) -> Shared:
    """What the parts agree on, or a ValueError; of fresh noise only those that add some speak."""
    noisy = [part for part in parts if part.stochastic]
    for part in parts:
        own = [name for name in _WHOLE_RUN if name in part.options.OPTIONS
               and getattr(part.options, name) != part.options.OPTIONS[name].default]
        if own:
            raise ValueError(
                f"option '{own[0]}' of '{part.sampler.name}' is for a whole run, not for a part of "
                "one"
            )
    agreed: dict[str, Any] = {}
    for name, among in (("cfg_pp", parts), ("s_noise", noisy), ("noise", noisy), ("ensd", noisy)):
        default = getattr(Shared(), name)
        values = [getattr(part.options, name, default) for part in among]
        if len(set(values)) > 1:
            each = ", ".join(f"{part.sampler.name}: {v}" for part, v in zip(among, values))
            raise ValueError(f"option '{name}' must be the same in all parts of a run; {each}")
        agreed[name] = values[0] if values else default
    return Shared(**agreed)


def _stretch(
    part: Part, before: list[Row], sigmas: tuple[float, ...], process: Process, first: int, end: int
) -> list[Row]:
    """The part's rows for the steps first to end, numbered behind the rows ``before``."""

    def afresh(levels: tuple[float, ...]) -> list[Row]:
        return [_moved(replace(row, step=row.step + first), 0, len(before), {})
                for row in part.rows(levels, process) if row.step < end - first]

    try:
        whole = part.rows(sigmas, process)
    except Unable:  # to take all of the steps, as another part was put there for
        return afresh(sigmas[first : end + 1])
    start = next(k for k, row in enumerate(whole) if row.step == first)
    taken_over = _history(whole[:start], before, sigmas)
    try:
        out = [_moved(row, start, len(before), taken_over)
               for row in whole if first <= row.step < end]
    except _NotThere:
        out = []
    return afresh(sigmas[first:]) if first and (not out or _undoes(out, before)) else out


def _history(
    whole: Sequence[Row], before: Sequence[Row], sigmas: tuple[float, ...]
) -> dict[Ref, Ref]:
    """For what a table would remember of earlier steps: what was remembered of them instead.

    That is the latent at the start of a step and the answer to it. A method that corrects its
    latent there has two, and the second is where its run goes on from.
    """
    asked, there = {}, {}
    for k, row in enumerate(before):
        if row.sigma == sigmas[row.step]:
            there[row.step] = k
            if row.calls:
                asked[row.step] = k
    found: dict[Ref, Ref] = {}
    for j, row in enumerate(whole):
        if row.sigma == sigmas[row.step] and row.step in asked:
            found["x", j] = ("x", (asked if row.calls else there)[row.step])
            if row.calls:
                found["d", j] = ("d", asked[row.step])
    return found


class _NotThere(LookupError):
    """A method reads what the methods before it did not leave."""


def _moved(row: Row, start: int, offset: int, taken_over: Mapping[Ref, Ref]) -> Row:
    """The row with its references renumbered; raises _NotThere where one of them leads nowhere."""
    out: dict[str, dict[int, float]] = {"x": {}, "d": {}}
    for kind, weights in (("x", row.x), ("d", row.d)):
        for j, weight in weights.items():
            ref = (kind, j - start + offset) if j >= start else taken_over.get((kind, j))
            if ref is not None:
                out[kind][ref[1]] = out[kind].get(ref[1], 0.0) + weight
            elif weight:
                raise _NotThere(f"{kind} of row {j}")
    return replace(row, x=out["x"], d=out["d"])


def _undoes(rows: Sequence[Row], before: Sequence[Row]) -> bool:
    """Whether a row goes back to a latent from before fresh noise came, and leaves that out."""
    for k, row in enumerate(rows, len(before)):
        if row.x and k not in row.x:
            since = {d[1:] for r in before[min(row.x):] for d in r.noise + r.excess}
            if not since <= {d[1:] for d in row.noise + row.excess}:
                return True
    return False


def inject(part: Part, strength: float, low: float = 0.0, high: float = 1e9) -> Sampler:
    """The sampler with noise on top: each step that ends at a sigma from low to high, but 0, leaves
    ``strength * sigma`` times a fresh unit normal more in x than the model is told of.

    The model takes some of it for detail. strength 0 changes nothing; 1 doubles the variance. To
    renew noise without adding any, use the sampler's eta instead. The draws are keyed by seed,
    image and sigma, and the latent that a corrector makes of a step's end gets the same noise.
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must be from 0 to 1, got {strength}")
    if not 0.0 <= low <= high:
        raise ValueError(f"noise is added from sigma {high} down to {low}: turn them round")
    kind = getattr(part.options, "noise", "independent")
    if strength and kind not in ("independent", "path"):
        raise ValueError(f"added noise is keyed and does not go with noise '{kind}' of the sampler")

    def build(sigmas: tuple[float, ...], process: Process, options: Any) -> Iterator[Row]:
        levels = {s for s in sigmas[1:] if low <= s <= high and s > 0}
        rows: list[Row] = []
        passes, up = 1, rises(sigmas)
        for row in part.sampler.rows(sigmas, process, options):
            rows.append(row)
            level = row.sigma_next
            # A method that goes back gets other noise when it comes by again.
            back = level != row.sigma and (level > row.sigma) != up
            passes += back
            if strength and level in levels and not back:
                # Stages that are already at this level bring some of it along.
                there = sum(w for j, w in row.x.items() if rows[j].sigma == level)
                weight = strength * level * (1.0 - there)
                if abs(weight) > 1e-12 * level:
                    row = replace(row, excess=(Draw(weight, level, level, passes),))
            yield row

    return replace(part.sampler, build=build, options=part.options)
