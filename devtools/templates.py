"""What ComfyUI's own workflow templates set: model, steps, cfg, sampler, schedule, shift.

The templates come with the host's frontend, as Python packages. A saved workflow is read as the
frontend would send it: through subgraphs, reroutes and primitives, and a second time with all its
switches on or off where that changes the model and its steps together, since that is how a
template offers a model and its distilled form.
"""

import importlib.metadata
import json
import sys
from dataclasses import dataclass
from pathlib import Path

# Widgets in the order in which a saved node lists their values, those that are looked at.
WIDGETS = {
    "KSampler": ("seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": ("add_noise", "seed", "", "steps", "cfg", "sampler_name", "scheduler"),
    "SamplerCustom": ("add_noise", "seed", "", "cfg"),
    "SamplerCustomAdvanced": (),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "KSamplerSelect": ("sampler_name",),
    "CFGGuider": ("cfg",), "DualModelGuider": ("cfg",), "DualCFGGuider": ("cfg_conds",),
    "LTXVDualCFGGuider": ("cfg",),
    "Flux2Scheduler": ("steps",), "LTXVScheduler": ("steps",), "SDTurboScheduler": ("steps",),
    "BetaSamplingScheduler": ("steps",), "Ideogram4Scheduler": ("steps",),
    "ManualSigmas": ("sigmas",),
    "ModelSamplingSD3": ("shift",), "ModelSamplingAuraFlow": ("shift",),
    "UNETLoader": ("unet_name",), "CheckpointLoaderSimple": ("ckpt_name",),
    "ImageOnlyCheckpointLoader": ("ckpt_name",),
    "LoraLoaderModelOnly": ("lora_name",), "LoraLoader": ("lora_name",),
    "PrimitiveInt": ("value",), "PrimitiveFloat": ("value",), "PrimitiveNode": ("value",),
    "PrimitiveBoolean": ("value",), "PrimitiveString": ("value",), "CustomCombo": ("value",),
    "ComfySwitchNode": ("switch",),
}
SAMPLING = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced")
LOADERS = ("unet_name", "ckpt_name")
PRIMITIVES = tuple(name for name in WIDGETS if name.startswith("Primitive")) + ("CustomCombo",)
SAMPLER_NODES = {
    "SamplerLCM": "lcm", "SamplerEulerAncestral": "euler_ancestral", "SamplerER_SDE": "er_sde",
    "SamplerDPMPP_2M_SDE": "dpmpp_2m_sde", "SamplerDPMPP_SDE": "dpmpp_sde",
}
SCHEDULE_NODES = {
    "Flux2Scheduler": "flux2", "LTXVScheduler": "ltxv", "SDTurboScheduler": "sd_turbo",
    "BetaSamplingScheduler": "beta", "Ideogram4Scheduler": "logit_normal",
}
PASSES = ("SplitSigmas", "SetFirstSigma")  # sigmas in, sigmas out
SOCKETLESS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
OFF, BYPASSED = 2, 4
LONG = 60  # a chain of links beyond this goes in a circle


@dataclass(frozen=True)
class Setting:
    """What one sampling node does.

    model: the file. loras: those on it. denoise: below 1, steps are the end of a longer run.
    levels: typed by hand.
    """

    template: str
    model: str
    loras: tuple[str, ...]
    steps: int
    cfg: float
    sampler: str
    schedule: str
    denoise: float = 1.0
    shift: float | None = None
    levels: tuple[float, ...] = ()


@dataclass(frozen=True)
class Place:
    """A graph, and the node that it is the inside of."""

    graph: dict
    whole: dict
    outside: "Place | None" = None
    node: dict | None = None


def packages(further=()):
    """(name and version, folder of workflows) of every template package that is installed.

    further: more folders to which pip has installed, or into which a wheel was unpacked.
    """
    found = []
    for package in importlib.metadata.distributions(path=[*sys.path, *further]):
        name = (package.metadata["Name"] or "").replace("-", "_")
        if name.startswith("comfyui_workflow_templates"):
            folder = Path(package.locate_file(name)) / "templates"
            if any(folder.glob("*.json")):
                found.append((f"{name} {package.version}", folder))
    return sorted(found)


def settings(folders):
    """Every different setting of the workflows in the folders."""
    found = {}
    for folder in folders:
        for path in sorted(Path(folder).glob("*.json")):
            try:
                whole = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                continue
            if isinstance(whole, dict) and "nodes" in whole:
                found.update(dict.fromkeys(read(path.stem, whole)))
    return list(found)


def read(template, whole):
    """The settings of one saved workflow."""
    for place, node in everything(Place(whole, whole)):
        if node["type"] in SAMPLING and node.get("mode", 0) not in (OFF, BYPASSED):
            saved, on, off = (Reader(s).setting(template, place, node) for s in (None, True, False))
            if saved:
                yield saved
                yield from (other for other in (on, off) if other and another_form(saved, other))


def another_form(saved, other):
    """Whether switches made of one setting that of another model, and not just another setting."""
    model = (saved.model, saved.loras) != (other.model, other.loras)
    return model and (saved.steps, saved.cfg) != (other.steps, other.cfg)


def everything(place):
    """(place, node) of a workflow and of its subgraphs."""
    for node in place.graph["nodes"]:
        if inside := within(place, node):
            yield from everything(inside)
        yield place, node


def within(place, node):
    """The inside of a subgraph's node; None for a node that is none, or is switched off."""
    for graph in place.whole.get("definitions", {}).get("subgraphs", ()):
        if graph["id"] == node["type"] and node.get("mode", 0) not in (OFF, BYPASSED):
            return Place(graph, place.whole, place, node)
    return None


def link(place, number):
    """(origin node's id, origin slot) of a link."""
    for one in place.graph["links"]:
        if isinstance(one, dict) and one["id"] == number:
            return one["origin_id"], one["origin_slot"]
        if not isinstance(one, dict) and one[0] == number:
            return one[1], one[2]
    return None


class Reader:
    """Reads values with the switches as they were saved (None), or all on or off."""

    def __init__(self, switches):
        self.switches = switches

    def setting(self, template, place, node):
        """The setting of a sampling node; None where its model or its levels are not found."""
        cfg = self.value(place, node, "cfg")
        start, sigmas, method = self.source(place, node, "model"), (place, node), (place, node)
        if node["type"].startswith("SamplerCustom"):
            sigmas = self.source(place, node, "sigmas")
            method = self.source(place, node, "sampler")
            if guider := self.source(place, node, "guider"):
                kind = guider[1]["type"]
                cfg = 1.0 if kind == "BasicGuider" else self.value(*guider, WIDGETS.get(kind, (
                    "cfg",))[0])
                start = self.source(*guider, "model")
        if not (start and sigmas and method):
            return None
        model, loras, shift = self.model(*start)
        schedule, steps, denoise, levels = self.levels(*sigmas)
        sampler = SAMPLER_NODES.get(method[1]["type"]) or self.value(*method, "sampler_name")
        if not (model and steps and sampler and schedule and cfg):
            return None
        return Setting(
            template, model, loras, int(steps), round(float(cfg), 3), sampler, schedule,
            round(float(denoise or 1.0), 3), shift, levels,
        )

    def model(self, place, node):
        """(file, LoRAs, shift) of a MODEL."""
        loras, shift = [], None
        for _ in range(LONG):
            widgets = WIDGETS.get(node["type"], ())
            if name := next((w for w in widgets if w in LOADERS), None):
                return self.value(place, node, name), tuple(loras), shift
            if "lora_name" in widgets:
                loras.append(str(self.value(place, node, "lora_name")))
            if "shift" in widgets and shift is None:
                shift = round(float(self.value(place, node, "shift")), 3)
            above = self.source(place, node, "model")
            if above is None:
                return None, (), None
            place, node = above
        return None, (), None

    def levels(self, place, node):
        """(schedule, steps, denoise, levels by hand) of SIGMAS, or of a node with both names."""
        for _ in range(LONG):
            kind = node["type"]
            if kind == "ManualSigmas":
                text = str(self.value(place, node, "sigmas")).replace(",", " ").split()
                return "by hand", len(text) - 1, 1.0, tuple(map(float, text))
            if kind in PASSES:
                if (above := self.source(place, node, "sigmas")) is None:
                    break
                place, node = above
                continue
            name = SCHEDULE_NODES.get(kind) or self.value(place, node, "scheduler")
            return (
                name, self.value(place, node, "steps"), self.value(place, node, "denoise"), ()
            )
        return None, None, None, ()

    def source(self, place, node, name):
        """(place, node) that an input comes from, past reroutes, switches and subgraphs' edges."""
        found = self.origin(place, node, name)
        for _ in range(LONG):
            if found is None or found[1] is None:
                return None
            place, node, slot = found
            if (inside := within(place, node)) is not None:
                ends = inside.graph["outputs"][slot]["linkIds"]
                found = self.cross(inside, link(inside, ends[0])) if ends else None
            elif node["type"] == "ComfySwitchNode":
                on = self.value(place, node, "switch")
                on = on if self.switches is None else self.switches
                found = self.origin(place, node, "on_true" if on else "on_false")
            elif node["type"] == "Reroute" or node.get("mode", 0) == BYPASSED:
                kind = node["outputs"][slot]["type"]
                same = [i for i in node["inputs"] if i["type"] in (kind, "*")]
                found = self.origin(place, node, same[0]["name"]) if same else None
            else:
                return place, node
        return None

    def origin(self, place, node, name):
        """(place, node, slot) at the other end of an input's link; None where it has none."""
        for one in node.get("inputs") or ():
            if one["name"] == name and one.get("link") is not None:
                return self.cross(place, link(place, one["link"]))
        return None

    def cross(self, place, end):
        """The end of a link, outside where it enters a subgraph from there."""
        if end is None:
            return None
        if end[0] != -10:  # the inner edge of a subgraph's inputs
            node = next((n for n in place.graph["nodes"] if n["id"] == end[0]), None)
            return node and (place, node, end[1])
        name = place.graph["inputs"][end[1]]["name"]
        return self.origin(place.outside, place.node, name) or self.promoted(place, end[1])

    def promoted(self, place, slot):
        """A subgraph's input that is a widget outside: a primitive that holds its value."""
        inputs = place.graph["inputs"]
        widgets = [i for i, one in enumerate(inputs) if one["type"].split(",")[0] in SOCKETLESS]
        values = place.node.get("widgets_values") or []
        if slot not in widgets or len(values) != len(widgets):
            return None
        return place, {"type": "PrimitiveNode", "widgets_values": [values[widgets.index(slot)]]}, 0

    def value(self, place, node, name):
        """A widget's value, from what is linked to it where something is."""
        found = self.source(place, node, name)
        if found is not None and found[1]["type"] in PRIMITIVES:
            return self.value(*found, "value")
        values = node.get("widgets_values") or []
        if isinstance(values, dict):
            return values.get(name)
        names = WIDGETS.get(node["type"], ())
        at = names.index(name) if name in names else len(values)
        return values[at] if at < len(values) else None
