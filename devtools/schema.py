"""The schema of our nodes as `/object_info` tells it, and what may change in it.

What is there may grow, and must not change: a saved workflow keeps the values of a node's widgets
by position, and a prompt by name.
"""

# Facts of an input that decide what a saved value means; labels and tooltips may change.
KEPT = ("default", "min", "max", "step", "round", "multiline", "control_after_generate")


def taken(object_info, ours):
    """The snapshot of our nodes. ours: names that a dropdown of ours must keep."""
    return {
        kind: {
            **{group: _inputs(told, group, ours) for group in ("required", "optional")},
            "outputs": [list(pair) for pair in zip(told["output"], told["output_name"])],
        }
        for kind, told in sorted(object_info.items()) if kind.startswith("Stride")
    }


def _inputs(told, group, ours):
    return [_input(name, spec, ours) for name, spec in told["input"].get(group, {}).items()]


def _input(name, spec, ours):
    kind, facts = spec[0], spec[1] if len(spec) > 1 else {}
    found = {"name": name, "type": "COMBO" if isinstance(kind, list) else kind}
    options = kind if isinstance(kind, list) else facts.get("options")
    if options is not None and not facts.get("image_upload"):  # those are files
        # The host's names and other packs' come and go.
        kept = name.removeprefix("hires_") in ours
        found["options"] = [o for o in options if o in ours] if kept else list(options)
    return found | {key: facts[key] for key in KEPT if key in facts}


def changes(old, new):
    """What a workflow saved with ``old`` would not find in ``new``, a sentence each."""
    for kind, was in old.items():
        if kind not in new:
            yield f"{kind} is gone"
            continue
        now = new[kind]
        yield from _changed(f"{kind}, required", was["required"], now["required"], exactly=True)
        # The values of options are kept by name (web/stride.js), so they may come in any order.
        by_name = kind in ("StrideSampler", "StrideSchedule")
        yield from _changed(f"{kind}, optional", was["optional"], now["optional"], by_name=by_name)
        if now["outputs"][: len(was["outputs"])] != was["outputs"]:
            yield f"{kind}: outputs were {was['outputs']}, are {now['outputs']}"


def _changed(where, old, new, exactly=False, by_name=False):
    names = [entry["name"] for entry in old]
    found = [entry["name"] for entry in new]
    if by_name:
        found = [name for name in found if name in names]
        names = [name for name in found if name in names] + [n for n in names if n not in found]
    if found[: len(names)] != names or (exactly and len(found) > len(names)):
        yield f"{where}: inputs were {names}, are {[entry['name'] for entry in new]}"
        return
    now = {entry["name"]: entry for entry in new}
    for was in old:
        yield from _narrowed(f"{where}, {was['name']}", was, now[was["name"]])


def _narrowed(where, was, now):
    for key, value in was.items():
        there = now.get(key)
        if key == "options":
            if lost := [option for option in value if option not in (there or [])]:
                yield f"{where}: without {', '.join(map(str, lost))}"
        elif key in ("min", "max", "step"):
            if there is None or (there < value if key == "max" else there > value):
                yield f"{where}: {key} was {value}, is {there}"
        elif there != value:
            yield f"{where}: {key} was {value}, is {there}"
