"""A graph's settings in the words of a text, and what of it could not be carried over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..generation import RANGES, SEED_MAX, SILENT, Generation, Pass
from . import left, methods, runs, table
from .methods import Chosen
from .prompts import Guided, guided, quoted
from .table import Node, is_number, kind
from .walk import Graph, Size

_NAMED = 100  # characters of a list of classes
_MOST = 100  # lines, of which a report shows the first
_PARTS = 10  # nodes of a run that are looked at
_HIGH, _LOW = 0, 1  # the outputs of the nodes that cut levels in two


def read(prompt: Mapping[str, Node]) -> Generation:
    """The run that made a graph's picture, in the words of a text.

    Raises ValueError where the graph has no sampler.
    """
    return _Reader(Graph(prompt)).generation()


@dataclass
class _Run:
    """What one pass says; None is what it leaves out. start: the first step of so many."""

    sampler: Chosen
    schedule: Chosen
    steps: int | None
    denoise: float
    start: int
    seed: int | None
    guided: Guided
    notes: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether it draws all of its picture: nothing is left of what it began with."""
        return self.denoise >= 1 and not self.start


class _Reader:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.notes: list[str] = []
        self.silent: list[str] = []

    def generation(self) -> Generation:
        graph, found = self.graph, runs.find(self.graph)
        passes = self._passes(found)
        first, second = passes[0], passes[1] if len(passes) > 1 else None
        for run, prefix in zip(passes, ("", "second pass: ")):
            self.notes += [prefix + note for note in run.notes]
        self.notes += self._told(found)
        start = Size().after([step for steps in found.before for step in steps])
        start = start.after(found.stages[0].steps)
        width, height = start.size or (None, None)
        mine = self._pass(first)
        again = self._again(second, first, mine)
        scale = self._scale(start, found.stages[1]) if second else 1.0
        numbers = {
            name: self._number(name, value) for name, value in (
                ("cfg", first.guided.cfg), ("seed", first.seed), ("width", width),
                ("height", height),
            )
        }
        for side in table.SIDES:
            if getattr(first.guided, side) is None:
                self.silent.append(f"{side} prompt")
        if any(kind(graph.nodes[key]).startswith("TextGenerate") for key in graph.read):
            self.notes.append("a language model rewrote the prompt; what it was given stands here")
        self.notes += self._left(found)
        return Generation(
            first.guided.positive or "", first.guided.negative or "", mine, numbers["cfg"],
            numbers["seed"], numbers["width"], numbers["height"], again, scale,
            first.guided.clip_skip, notes=tuple(dict.fromkeys(self.notes))[:_MOST],
            silent=tuple(dict.fromkeys(self.silent)),
        )

    def _passes(self, found: runs.Found) -> list[_Run]:
        """The passes from the last that draws its whole picture; those before gave it a size."""
        passes: list[_Run] = []
        for at in range(len(found.stages) - 1, max(len(found.stages) - _PARTS, 0) - 1, -1):
            passes.insert(0, self._run(found.stages[at]))
            if passes[0].whole:
                break
        found.start_at(len(found.stages) - len(passes))
        return passes

    def _pass(self, run: _Run) -> Pass:
        """The first pass, what it leaves out put in."""
        return Pass(
            run.sampler.name or self._assumed("sampler"),
            run.schedule.name or self._assumed("schedule"),
            self._number("steps", run.steps), run.denoise, run.sampler.options,
            run.schedule.options,
        )

    def _again(self, run: _Run | None, first: _Run, mine: Pass) -> Pass:
        """The second pass; denoise 0 where there is none."""
        if run is None:
            return Pass(mine.sampler, mine.schedule, mine.steps, 0.0, mine.options,
                        mine.schedule_options)
        same = {"use same": None}
        sampler, schedule = (
            same.get(chosen.name or "", chosen.name) for chosen in (run.sampler, run.schedule)
        )
        steps, denoise = run.steps or mine.steps, run.denoise
        if run.start and steps > run.start:
            # The same levels: as many steps of a longer schedule, its last ones.
            steps, denoise = steps - run.start, round((steps - run.start) / steps, 6)
        self.notes += self._differing(run, first)
        return Pass(
            sampler or mine.sampler, schedule or mine.schedule, steps, denoise,
            run.sampler.options if sampler else mine.options,
            run.schedule.options if schedule else mine.schedule_options,
        )

    def _differing(self, run: _Run, first: _Run) -> Iterator[str]:
        """What the second pass has of its own and a text has but once."""
        if run.guided.cfg and run.guided.cfg != first.guided.cfg:
            yield f"the second pass has cfg {run.guided.cfg:g}"
        if run.seed is not None and run.seed != first.seed:
            yield f"the second pass has seed {run.seed}"
        for side in table.SIDES:
            mine, other = getattr(first.guided, side), getattr(run.guided, side)
            if other is not None and other != mine:
                yield f"the second pass has a {side} prompt of its own: {quoted(other)}"

    def _scale(self, start: Size, stage: runs.Stage) -> float:
        """The second pass's size over the first's."""
        end = Size(start.size, 1.0).after(stage.steps)
        if end.factor is None and start.size and end.size:
            return max(new / old for new, old in zip(end.size, start.size))
        if end.factor is None:
            said = f"{end.size[0]} x {end.size[1]}" if end.size else "not in the graph"
            self.notes.append(f"the second pass's size over the first's is not known; it is {said}")
            return 1.0
        return round(end.factor, 6)

    def _run(self, stage: runs.Stage) -> _Run:
        graph, key = self.graph, stage.keys[0]
        pair = {what: methods.chosen(graph, key, what) for what in ("sampler", "schedule")}
        methods.with_options(graph, key, pair)
        source = pair["schedule"].source
        typed = pair["schedule"].typed
        steps = max(len(typed) - 1, 1) if typed else graph.number(source, "steps")
        denoise = graph.number(source, "denoise")
        if denoise is None and source != key:
            denoise = graph.number(key, "denoise")
        guidance = guided(graph, key)
        start, cut = self._cut(stage, pair["schedule"], methods.whole(steps))
        if denoise is None and typed and 0 < typed[0] < 1:
            denoise = typed[0]  # what a flow model redraws from there
        run = _Run(
            pair["sampler"], pair["schedule"], methods.whole(steps),
            1.0 if denoise is None else min(max(float(denoise), 0.0), 1.0), start,
            self._seed(stage), guidance,
        )
        run.notes += [*cut, *guidance.notes, *pair["sampler"].notes, *pair["schedule"].notes]
        if typed and pair["schedule"].name is None:
            levels = " ".join(f"{level:g}" for level in typed)
            run.notes.append(f"its levels were typed (for Sigmas (Stride)): {quoted(levels)}")
        run.notes += self._parts(stage, run)
        return run

    def _seed(self, stage: runs.Stage) -> int | None:
        """The seed of the node that drew the noise."""
        graph = self.graph
        for key in stage.keys:
            if not runs.draws_noise(graph, key):
                graph.use(key, "seed", "noise_seed")
                continue
            if graph.value(key, "seed_from") == "first pass":
                return None
            noise = graph.link(key, "noise")
            return self._seed_of(noise[0] if noise else key)
        # Nobody draws any: it was added to the latent before.
        name = next((n for n in ("latent_image", "latent") if graph.link(stage.keys[0], n)), "")
        for key, _ in graph.chain(graph.link(stage.keys[0], name), table.drawn_from):
            if (noise := graph.link(key, "noise")) is not None:
                return self._seed_of(noise[0])
        return None

    def _seed_of(self, key: str) -> int | None:
        seed = methods.whole(self.graph.number(key, "seed", "noise_seed", "new_seed"))
        return seed if seed is not None and seed <= SEED_MAX else None

    def _cut(
        self, stage: runs.Stage, schedule: Chosen, steps: int | None
    ) -> tuple[int, list[str]]:
        """(the first step of a pass, sentences on where it begins and ends)."""
        graph, first, last = self.graph, stage.keys[0], stage.keys[-1]
        start, notes = methods.whole(graph.number(first, "start_at_step")) or 0, []
        for key, output in schedule.passed:
            step = methods.whole(graph.number(key, "step"))
            if output == _LOW and step:
                start = step
        stop = methods.whole(graph.number(last, "end_at_step"))
        ends = methods.chosen(graph, last, "schedule") if last != first else schedule
        for key, output in ends.passed:
            if output == _HIGH and kind(graph.nodes[key]) == "SplitSigmas":
                stop = methods.whole(graph.number(key, "step"))
        if steps and start and start < steps:
            notes.append(
                f"it is a part of a run: it begins at step {start} of {steps}; in a KSampler that "
                f"is {steps - start} steps at denoise {(steps - start) / steps:.4g}"
            )
        if steps and stop is not None and stop < steps:
            notes.append(f"it is a part of a run: it stops at step {stop} of {steps}")
        return start, notes

    def _parts(self, stage: runs.Stage, run: _Run) -> Iterator[str]:
        """What the later nodes of a pass do otherwise than its first."""
        if len(stage.keys) < 2:
            return
        yield f"the run was done in {len(stage.keys)} nodes, one going on with the other's noise"
        graph = self.graph
        models = {self._model(key) for key in stage.keys}
        if len(models) > 1:
            yield "its nodes have different models, as two KSampler Advanced nodes can"
        for key in stage.keys[1:_PARTS]:
            guidance = guided(graph, key)
            other = [methods.chosen(graph, key, what) for what in ("sampler", "schedule")]
            graph.number(other[1].source, "steps")
            differing = [] if guidance.cfg in (None, run.guided.cfg) else [f"cfg {guidance.cfg:g}"]
            differing += [
                str(chosen.name) for chosen, mine in zip(other, (run.sampler, run.schedule))
                if chosen.name != mine.name
            ]
            differing += [
                f"the {side} prompt {quoted(text)}" for side in table.SIDES
                if (text := getattr(guidance, side)) not in (None, getattr(run.guided, side))
            ]
            if differing:
                yield f"a later node of it has {', '.join(differing)}"

    def _model(self, key: str) -> tuple[str, int] | None:
        guider = self.graph.link(key, "guider")
        return self.graph.link(guider[0] if guider else key, "model")

    def _told(self, found: runs.Found) -> Iterator[str]:
        """Sentences on what samples besides the passes that are carried over."""
        graph = self.graph
        for key in found.redrawing:
            if key not in found.stages[0].keys:
                yield f"{self._line(key)}: it redraws parts of the finished picture or enlarges it"
        for stage in found.stages[2:]:
            yield f"{self._line(stage.keys[0])}: a further pass"
        if found.others:
            yield (
                f"the graph has {len(found.others)} more run{'s' * (len(found.others) > 1)}, of "
                f"other pictures or of what this one is made of: "
                + ", ".join(dict.fromkeys(kind(graph.nodes[key]) for key in found.others))[:_NAMED]
            )

    def _line(self, key: str) -> str:
        graph = self.graph
        values = {name: graph.value(key, name) for name in ("steps", "denoise", "cfg")}
        told = ", ".join(f"{n} {v:g}" for n, v in values.items() if is_number(v))
        return kind(graph.nodes[key]) + (f" ({told})" if told else "")

    def _left(self, found: runs.Found) -> list[str]:
        """A line for each node, before the picture or behind it, that says more than was read."""
        graph = self.graph
        mine = [key for stage in found.stages for key in stage.keys]
        before = list(graph.ancestors(mine))
        behind = [key for key in self._between(mine[-1]) if key not in set(before)]
        skipped = {*found.redrawing, *found.others, *(
            key for stage in found.stages[2:] for key in stage.keys)}
        keys = [*mine, *before, *behind]
        return list(left.lines(graph, list(dict.fromkeys(keys)), skipped))[:_MOST]

    def _between(self, run: str) -> list[str]:
        """The nodes that the picture went through after its last run, the nearest first."""
        users: dict[str, list[str]] = {}
        for key in self.graph.nodes:
            for link, _ in self.graph.links(key).values():
                users.setdefault(link, []).append(key)
        found = {run: None}
        waiting = [run]
        for key in waiting:
            for user in users.get(key, ()):
                if user not in found:
                    found[user] = None
                    waiting.append(user)
        return list(found)[1:]

    def _assumed(self, name: str) -> Any:
        self.silent.append(name)
        return SILENT[name]

    def _number(self, name: str, value: Any) -> Any:
        """A number as its setting has it, put in where it is not said or is none."""
        low, high = RANGES[name]
        if value is None:
            return self._assumed(name)
        if not low <= value <= high:
            self.notes.append(f"{name} {value:g} is out of range, from {low} to {high}")
            return self._assumed(name)
        return type(SILENT[name])(value)
