"""The runs of a graph: which of them made the picture, and which of them are parts of one."""

from __future__ import annotations

from dataclasses import dataclass, field

from .table import kind
from .walk import Graph, Step, is_run, is_sampling

_SAVERS = ("Save", "VHS_Video", "Image Saver", "SaveImage")
_OFF = ("disable", False, "false", "False")


@dataclass
class Stage:
    """Runs that go on with each other's noise: one pass.

    steps: what changes the size on the way to it, from the pass before it or from its source.
    """

    keys: list[str]
    steps: list[Step]


@dataclass
class Found:
    """stages: the passes of the picture in their order. others: runs of other pictures.

    redrawing: nodes that sample parts of the finished picture. before: what changed the size in
    passes of which nothing else is left.
    """

    stages: list[Stage]
    others: list[str]
    redrawing: list[str]
    before: list[list[Step]] = field(default_factory=list)

    def start_at(self, number: int) -> None:
        """Leave out the passes before that one."""
        for stage in self.stages[:number]:
            self.before.append(stage.steps)
            self.others += stage.keys
        self.stages = self.stages[number:]


def find(graph: Graph) -> Found:
    """The run that made the picture, with what it goes on from.

    It is the one that no other run goes on from, the nearest to where pictures are saved. Raises
    ValueError where nothing samples.
    """
    sampling = [key for key, node in graph.nodes.items() if is_sampling(node)]
    runs = {key for key in sampling if is_run(graph.nodes[key])} or set(sampling)
    ends = _ends(graph)
    near = {key: None for key in (*ends, *graph.ancestors(ends))}
    reached = [key for key in near if key in runs]
    if not reached:
        kinds = sorted({kind(graph.nodes[key]) for key in near})
        raise ValueError(
            f"the picture's graph has no node with a sampler, steps or sigmas and prompts; it "
            f"has {', '.join(kinds)[:300]}"
        )
    under = graph.ancestors(reached)
    final = [key for key in reached if key not in under] or reached
    stages = _stages(graph, final[0])
    mine = {key for stage in stages for key in stage.keys}
    return Found(
        stages, [key for key in reached if key not in mine],
        [key for key in sampling if key not in runs and key in near],
    )


def draws_noise(graph: Graph, key: str) -> bool:
    """Whether a run adds noise of its own to what it gets."""
    if (noise := graph.link(key, "noise")) is not None:
        return kind(graph.nodes[noise[0]]) != "DisableNoise"
    return graph.value(key, "add_noise") not in _OFF


def _ends(graph: Graph) -> list[str]:
    """Nodes that nothing uses, those that save pictures first."""
    used = {key for node in graph.nodes for key, _ in graph.links(node).values()}
    ends = [key for key in graph.nodes if key not in used]
    return sorted(ends, key=lambda key: not kind(graph.nodes[key]).startswith(_SAVERS))


def _stages(graph: Graph, last: str) -> list[Stage]:
    stages: list[Stage] = []  # the last first, and so their keys
    key: str | None = last
    seen: set[str] = set()
    while key is not None and key not in seen:
        seen.add(key)
        steps, before = graph.way(key)
        if stages and not draws_noise(graph, stages[-1].keys[-1]):
            stages[-1].keys.append(key)
            stages[-1].steps = steps + stages[-1].steps
        else:
            stages.append(Stage([key], steps))
        key = before
    return [Stage(stage.keys[::-1], stage.steps) for stage in reversed(stages)]
