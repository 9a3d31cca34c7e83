"""The table of node classes beside the host's own list, and levels beside the host's own nodes."""

import importlib

import pytest
import torch
from stride import schedules
from stride.a1111 import graphs
from stride.a1111.graphs import table
from stride.schedules import ModelSpec

pytestmark = pytest.mark.host
FOLLOWED = {"CONDITIONING", "LATENT"}
# What makes sets for training, and what hands a latent on unread.
APART = {"LoadTrainingDataset", "MakeTrainingDataset", "ResolutionBucket", "SaveLatent"}


def inputs_of(info):
    return {**info["input"].get("required", {}), **info["input"].get("optional", {})}


def kinds_of(info):
    return {kind for kind in info["output"] if isinstance(kind, str)}


def test_the_table_has_the_hosts_outputs_and_inputs(object_info):
    """Classes that are newer than this host are looked at by a newer one."""
    checked = 0
    for kind, row in {**table.OUTPUTS, **table.VALUES}.items():
        if (info := object_info.get(kind)) is None:
            continue
        checked += 1
        count = len(info["output_name"])  # a newer host may have appended some
        assert list(row)[:count] == list(info["output_name"]), kind
        named = {name for made in row.values() for name in made if "." not in name}
        strange = named - inputs_of(info).keys()
        assert not strange, (kind, strange)
    assert checked > 150


def test_every_class_that_makes_a_conditioning_or_a_latent_is_in_it(object_info):
    missing = [
        kind for kind, info in object_info.items()
        if FOLLOWED & kinds_of(info) and kind not in table.OUTPUTS
        and not kind.startswith("Stride") and kind not in APART
        and info["python_module"].startswith(("nodes", "comfy_extras"))
    ]
    assert not missing


def test_every_class_of_levels_samplers_and_guiders_is_in_it(object_info):
    named = {"BasicScheduler", "ManualSigmas", "KSamplerSelect", "StrideSchedule", "StrideSampler",
             "StrideSigmas", "SamplerARVideo", "VOIDSampler"}  # fmt: skip
    for wanted, known in (("SIGMAS", table.LEVELS), ("SAMPLER", table.METHODS),
                          ("GUIDER", table.GUIDERS)):  # fmt: skip
        missing = [
            kind for kind, info in object_info.items()
            if wanted in kinds_of(info) and kind not in {*known, *table.OUTPUTS, *named}
            and info["python_module"].startswith(("nodes", "comfy_extras"))
        ]
        assert not missing, wanted


def test_options_and_guiders_name_the_hosts_inputs(object_info):
    for kind, row in {**table.OPTIONS, **table.GUIDERS}.items():
        if kind in object_info:
            names = inputs_of(object_info[kind])
            wanted = row if kind in table.OPTIONS else [
                name for name in row.values() if isinstance(name, str)]
            assert set(wanted) <= names.keys() | {"eta"}, kind  # SamplerER_SDE's came later


def test_widgets_are_the_hosts_in_their_order(object_info):
    plain = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
    for kind, names in table.WIDGETS.items():
        if (info := object_info.get(kind)) is None:
            continue
        own = [
            name for name, spec in inputs_of(info).items()
            if (isinstance(spec[0], list) or spec[0] in plain)
            and not (len(spec) > 1 and spec[1].get("forceInput"))
        ]
        assert [name for name in names if name in own] == own[: len(names)], kind


class Model:
    """A MODEL as far as the host's nodes of levels look at it."""

    def __init__(self, sampling):
        self.sampling = sampling

    def get_model_object(self, name):
        return self.sampling


NODES = [
    ("KarrasScheduler", "nodes_custom_sampler", dict(
        steps=9, sigma_max=12.0, sigma_min=0.05, rho=5.0)),
    ("ExponentialScheduler", "nodes_custom_sampler", dict(steps=9, sigma_max=12.0, sigma_min=0.05)),
    ("PolyexponentialScheduler", "nodes_custom_sampler", dict(
        steps=9, sigma_max=12.0, sigma_min=0.05, rho=0.7)),
    ("LaplaceScheduler", "nodes_custom_sampler", dict(
        steps=9, sigma_max=12.0, sigma_min=0.05, mu=0.2, beta=0.4)),
    ("BetaSamplingScheduler", "nodes_custom_sampler", dict(
        model=None, steps=9, alpha=0.4, beta=0.5)),
    ("BasicScheduler", "nodes_custom_sampler", dict(
        model=None, scheduler="sgm_uniform", steps=9, denoise=0.75)),
    ("SDTurboScheduler", "nodes_custom_sampler", dict(model=None, steps=4, denoise=1.0)),
    ("AlignYourStepsScheduler", "nodes_align_your_steps", dict(
        model_type="SDXL", steps=10, denoise=1.0)),
    ("GITSScheduler", "nodes_gits", dict(coeff=1.15, steps=9, denoise=1.0)),
]  # fmt: skip


@pytest.mark.parametrize("kind, module, inputs", NODES, ids=[node[0] for node in NODES])
def test_levels_are_those_of_the_hosts_node(comfy, kind, module, inputs):
    """What the node computes, and our schedule by the name and the options that are read."""
    node = getattr(importlib.import_module(f"comfy_extras.{module}"), kind)
    sampling = type("Sampling", (comfy.model_sampling.ModelSamplingDiscrete,
                                 comfy.model_sampling.EPS), {})()  # fmt: skip
    given = {k: Model(sampling) if k == "model" else v for k, v in inputs.items()}
    result = node.execute(**given) if hasattr(node, "execute") else node().get_sigmas(**given)
    theirs = torch.as_tensor(result[0], dtype=torch.float32)
    prompt = {
        "1": {"class_type": kind, "inputs": {k: v for k, v in inputs.items() if k != "model"}},
        "2": {"class_type": "SamplerCustomAdvanced", "inputs": {
            "guider": ["3", 0], "sigmas": ["1", 0], "sampler": ["4", 0]}},
    }  # fmt: skip
    run = graphs.read(prompt).first
    ours = schedules.get(run.schedule).sigmas(
        ModelSpec.discrete(), run.steps, run.denoise, **run.schedule_options
    )
    if kind == "LaplaceScheduler":
        ours = ours[:-1]  # the host leaves out the last 0
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
