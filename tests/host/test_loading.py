"""How the host takes the pack in: nodes, dropdowns, log, templates."""

import json
import re
from pathlib import Path

import pytest
import torch
from stride import samplers, schedules

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
PACK = "stride-samplers"
NODES = {
    "StrideKSampler", "StrideKSamplerAdvanced", "StrideSampler", "StrideSchedule",
    "StrideDemoModel",
}  # fmt: skip


def choices(spec):
    """The entries of a dropdown, in either of the forms that /object_info has for it."""
    return spec[0] if isinstance(spec[0], list) else spec[1]["options"]


def test_nodes_are_offered(object_info):
    assert NODES <= object_info.keys()
    for name in NODES:
        info = object_info[name]
        assert info["display_name"] and info["category"] and info["description"], name
        assert info["python_module"] == f"custom_nodes.{PACK}"


def test_node_list_is_complete(object_info):
    listed = json.loads((ROOT / "node_list.json").read_text(encoding="utf-8"))
    module = f"custom_nodes.{PACK}"
    assert set(listed) == {k for k, info in object_info.items() if info["python_module"] == module}


@pytest.mark.parametrize(
    "node, name, stock",
    [
        ("KSampler", "sampler_name", "stock_samplers"),
        ("KSampler", "scheduler", "stock_schedulers"),
        ("KSamplerAdvanced", "sampler_name", "stock_samplers"),
        ("KSamplerAdvanced", "scheduler", "stock_schedulers"),
        ("KSamplerSelect", "sampler_name", "stock_samplers"),
        ("BasicScheduler", "scheduler", "stock_schedulers"),
    ],
)
def test_stock_dropdowns_are_only_appended_to(object_info, comfy, node, name, stock):
    names = choices(object_info[node]["input"]["required"][name])
    stock = getattr(comfy, stock)
    registry = samplers.REGISTRY if "sampler" in name else schedules.REGISTRY
    added = [f"stride_{entry.name}" for entry in registry]
    assert [n for n in names if not n.startswith(("neighbour_", "callers_"))] == stock + added


@pytest.mark.parametrize("node", ["StrideKSampler", "StrideKSamplerAdvanced"])
def test_our_dropdowns_offer_ours_first_and_every_other_name(object_info, comfy, node):
    inputs = object_info[node]["input"]["required"]
    for name, first, stock, registry in (
        ("sampler", "euler", comfy.stock_samplers, samplers.REGISTRY),
        ("schedule", "simple", comfy.stock_schedulers, schedules.REGISTRY),
    ):
        names = choices(inputs[name])
        # Twins of one method (dpmpp_sde_gpu and dpmpp_sde) are one entry with two names.
        missing = set(stock) - set(names)
        assert names[:2] == ["automatic", first]
        assert all(registry.get(other).name in names for other in missing)
        assert len(set(names)) == len(names)


def test_another_name_of_a_sampler_is_understood(host, scene):
    """Workflows and the API may use any name of a method, not only the dropdown's."""
    graph = scene()
    nodes = [graph.stride(sampler=name) for name in ("dpmpp_sde", "dpmpp_sde_gpu", "DPM++ SDE")]
    first, *others = host.latents(graph, *nodes)
    assert all(torch.equal(other, first) for other in others)


def test_the_log_is_clean(host):
    log = host.boot_log
    assert "IMPORT FAILED" not in log
    assert "Unable to parse pyproject.toml" not in log
    ours = [line for line in log.splitlines() if PACK in line]
    # What the import took, alone; newer hosts say the level before it, in colour.
    assert len(ours) == 1 and re.fullmatch(r"(\S*INFO\S*)?\s*\d+\.\d+ seconds: \S.*", ours[0]), ours


def test_example_workflow_is_offered_as_a_template(host):
    assert "first_picture" in host.call("/workflow_templates")[PACK]
    workflow = host.call(f"/api/workflow_templates/{PACK}/first_picture.json")
    for node in workflow["nodes"]:
        ours = node["type"] in NODES
        assert node["properties"]["cnr_id"] == (PACK if ours else "comfy-core")


def test_example_workflows_use_only_inputs_that_exist(object_info):
    from client import to_prompt

    files = sorted((ROOT / "example_workflows").glob("*.json"))
    assert files
    for file in files:
        prompt = to_prompt(json.loads(file.read_text(encoding="utf-8")), object_info)
        for node in prompt.values():
            info = object_info[node["class_type"]]["input"]
            required, known = info["required"], {**info["required"], **info.get("optional", {})}
            assert required.keys() <= node["inputs"].keys() <= known.keys(), (file.name, node)
