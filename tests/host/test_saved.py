"""What was saved yesterday loads today: the frozen schema of our nodes, and old workflows."""

import copy
import json
import os
from pathlib import Path

import pytest
import schema
from client import to_prompt
from stride import samplers, schedules

pytestmark = pytest.mark.host

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SNAPSHOT = GOLDEN / "object_info.json"
WORKFLOWS = sorted((GOLDEN / "workflows").glob("*.json"))
REGROW = "STRIDE_REGROW=1 python3 dev.py test -m host tests/host/test_saved.py"
OURS = {
    "sampler", "schedule", "automatic", "use same",
    *samplers.REGISTRY.names, *schedules.REGISTRY.names,
}


@pytest.fixture(scope="module")
def now(object_info):
    return schema.taken(object_info, OURS)


def test_nodes_have_grown_and_not_changed(now):
    """On purpose only: `STRIDE_REGROW=1` writes the snapshot anew, for the diff to be judged."""
    if os.environ.get("STRIDE_REGROW"):
        SNAPSHOT.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    then = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    found = list(schema.changes(then, now))
    assert not found, "\n".join([*found, f"saved workflows would break; if it is meant: {REGROW}"])
    new = sorted(set(now) - set(then))
    assert not new, f"not in the snapshot yet: {', '.join(new)}; freeze them: {REGROW}"


def edits():
    """(what is done to a schema, whether saved workflows survive it)."""
    def at(group, index=0):
        return lambda node: node[group][index]

    def set_to(find, **facts):
        return lambda node: find(node).update(facts)

    first = at("required", 1)  # the seed of KSampler (Stride)
    yield "an option is added", lambda n: n["optional"].append({"name": "z", "type": "INT"}), True
    yield "an output is added", lambda n: n["outputs"].append(["LATENT", "z"]), True
    yield "a wider range", set_to(first, max=2**65), True
    yield "one more choice", lambda n: n["required"][4]["options"].append("zz"), True
    yield "a required input", lambda n: n["required"].append({"name": "z", "type": "INT"}), False
    yield "an option in front", lambda n: n["optional"].insert(0, {"name": "z", "type": "I"}), False
    yield "another order", lambda n: n["required"].reverse(), False
    yield "another name", set_to(first, name="noise"), False
    yield "another type", set_to(first, type="FLOAT"), False
    yield "another default", set_to(first, default=1), False
    yield "a narrower range", set_to(first, max=10), False
    yield "a choice is gone", lambda n: n["required"][4]["options"].pop(), False
    yield "an output is gone", lambda n: n["outputs"].clear(), False


@pytest.mark.parametrize("edit, survives", [pytest.param(e, s, id=w) for w, e, s in edits()])
def test_the_rule_tells_growth_from_change(now, edit, survives):
    edited = copy.deepcopy(now)
    edit(edited["StrideKSampler"])
    assert (not list(schema.changes(now, edited))) == survives


def test_a_node_that_is_gone_is_a_change(now):
    assert list(schema.changes(now, {})) == [f"{kind} is gone" for kind in now]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_saved_workflow_still_draws(host, object_info, path):
    """Those of the editor are named after the commit that saved them, prompts after their words."""
    saved = json.loads(path.read_text(encoding="utf-8"))
    prompt = to_prompt(saved, object_info) if "nodes" in saved else saved
    steps = []
    for node in prompt.values():
        inputs = node["inputs"]
        if node["class_type"] == "StrideKSampler":
            inputs["steps"] = min(inputs["steps"], 4)  # enough to run
            steps.append(inputs["steps"])
        if "width" in inputs:
            inputs["width"] = inputs["height"] = 128
    outputs = host.run(prompt)
    (image,) = [found["images"][0] for found in outputs.values() if "images" in found]
    assert host.image(image["filename"], image["subfolder"]).std() > 5
    calls = [found["stride"][0]["model_calls"] for found in outputs.values() if "stride" in found
             and "model_calls" in found["stride"][0]]
    assert not steps or calls[-1] == steps[-1]


def test_names_of_the_host_are_understood_as_ours(host):
    """A prompt with sampler_name and scheduler draws what ours draw under their own names."""
    saved = GOLDEN / "workflows" / "api_scheduler.json"
    theirs = json.loads(saved.read_text(encoding="utf-8"))
    ours = copy.deepcopy(theirs)
    inputs = ours["5"]["inputs"]
    inputs["sampler"], inputs["schedule"] = inputs.pop("sampler_name"), inputs.pop("scheduler")
    pictures = []
    for prompt in (theirs, ours):
        prompt["99"]["inputs"]["filename_prefix"] = f"renamed{len(pictures)}"
        (image,) = host.run(prompt)["99"]["images"]
        pictures.append(host.image(image["filename"], image["subfolder"]))
    assert (pictures[0] == pictures[1]).all()
