"""The pack's HTTP answers: listings of both registries and the sigmas that the live curve draws."""

import json
import math
import subprocess
import sys
import urllib.error
from pathlib import Path

import pytest
import torch
from stride import samplers, schedules
from stride.samplers import FLOW
from stride.schedules import ModelSpec

pytestmark = pytest.mark.host

# The kinds of model, as the numerics know them by themselves.
SPECS = {
    "sd15": ModelSpec.discrete(),
    "sdxl": ModelSpec.discrete(),
    "zsnr": ModelSpec.discrete(zero_terminal_snr=True),
    "flow:3": ModelSpec.flow(3.0),
    "flow:1": ModelSpec.flow(1.0),
    "wan": ModelSpec.flow(8.0),
    "schnell": ModelSpec.flow(1.0),
    "flux:0.5": ModelSpec.flow(math.exp(0.5), 10_000),
    "flux2": ModelSpec.flow(math.exp(2.02), 10_000),
    "chroma": ModelSpec.flow(math.exp(1.15), 10_000),
    "flux": ModelSpec.flow(math.exp(1.15), 10_000),
}
ENDS = {"edm": (0.002, 80.0), "edm:120": (0.002, 120.0), "svd": (0.002, 700.0),
        "cosmos": (0.002, 80.0)}


def refusal(host, path):
    """The sentence of a 400."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        host.call(path)
    assert caught.value.code == 400
    return json.loads(caught.value.read())["error"]


@pytest.mark.parametrize("kind, registry", [("sampler", samplers.REGISTRY),
                                            ("schedule", schedules.REGISTRY)])
def test_listings_hold_the_registry(host, kind, registry):
    listed = host.call(f"/stride/{kind}s")[f"{kind}s"]
    assert [entry["name"] for entry in listed] == registry.names
    for entry, ours in zip(listed, registry):
        assert (entry["label"], entry["source"]) == (ours.label, ours.source)
        assert entry["aliases"] == list(ours.aliases)
        assert [o["name"] for o in entry["options"]] == list(ours.options.OPTIONS)
        for option in entry["options"]:
            assert option["default"] == getattr(ours.options, option["name"]) and option["help"]
            # What is listed as accepted is accepted.
            for value in (option["default"], *option.get("values", ()),
                          *(option[end] for end in ("low", "high") if end in option)):
                ours.configure(**{option["name"]: value})
        assert host.call(f"/api/stride/{kind}s?name={ours.name}")[f"{kind}s"] == [entry]


def test_facts_of_samplers(host):
    facts = {entry["name"]: entry for entry in host.call("/stride/samplers")["samplers"]}
    published = {"euler": (1, 1, False), "heun": (2, 2, False), "euler_ancestral": (1, 1, True),
                 "dpmpp_2m": (2, 1, False)}
    for name, (order, calls, noisy) in published.items():
        entry = facts[name]
        assert (entry["order"], entry["calls"], entry["stochastic"]) == (order, calls, noisy)


@pytest.mark.parametrize("model", SPECS)
@pytest.mark.parametrize("schedule", ["karras", "normal", "beta"])
def test_sigmas_are_the_schedules(host, model, schedule):
    """The host's own model of the kind gives what our facts of such a model give."""
    spec = SPECS[model]
    answer = host.call(f"/stride/sigmas?schedule={schedule}&steps=11&denoise=0.7&model={model}")
    expected = schedules.get(schedule).sigmas(spec, 11, 0.7).double()
    torch.testing.assert_close(
        torch.tensor(answer["sigmas"], dtype=torch.float64), expected, rtol=1e-5, atol=1e-7
    )
    for sigma, log_snr in zip(answer["sigmas"], answer["log_snr"]):
        alpha = 1 - sigma if spec.process is FLOW else 1.0
        if sigma == 0 or alpha == 0:
            assert log_snr is None
        else:
            assert log_snr == pytest.approx(math.log(alpha / sigma), abs=1e-6)
    facts = answer["model"]
    assert facts["process"] == spec.process.name
    assert facts["sigma_max"] == pytest.approx(spec.sigma_max, rel=1e-5)
    assert facts["sigma_min"] == pytest.approx(spec.sigma_min, rel=1e-4)


@pytest.mark.parametrize("model", ENDS)
def test_ends_of_continuous_models(host, model):
    answer = host.call(f"/stride/sigmas?schedule=exponential&steps=9&model={model}")
    low, high = ENDS[model]
    assert answer["sigmas"][0] == pytest.approx(high, rel=1e-5)
    assert answer["sigmas"][-2] == pytest.approx(low, rel=1e-4)


def test_options_aliases_and_names_of_other_packs(host):
    shaped = host.call("/stride/sigmas?schedule=Karras&steps=9&rho=3")
    expected = schedules.get("karras").sigmas(SPECS["sd15"], 9, rho=3.0)
    assert shaped["schedule"] == "karras"
    assert shaped["sigmas"] == pytest.approx(expected.tolist(), rel=1e-5)
    line = host.call("/stride/sigmas?schedule=neighbour_line&steps=4")["sigmas"]
    assert len(line) == 5 and line[-1] == 0
    assert host.call("/stride/sigmas?steps=20&denoise=0")["sigmas"] == []


def test_every_schedule_is_drawn_on_every_kind(host):
    kinds = [kind["kind"] for kind in host.call("/stride/schedules")["models"]]
    assert set(kinds) == {model.partition(":")[0] for model in (*SPECS, *ENDS)}
    for kind in kinds:
        for name in schedules.REGISTRY.names:
            path = f"/stride/sigmas?schedule={name}&model={kind}&steps=8"
            try:
                sigmas = host.call(path)["sigmas"]
            except urllib.error.HTTPError as error:  # a curve that is tied to other step counts
                assert error.code == 400 and name in json.loads(error.read())["error"]
                continue
            assert len(sigmas) == 9 and sigmas[-1] == 0
            assert all(b < a for a, b in zip(sigmas, sigmas[1:]))


@pytest.mark.parametrize(
    "path, says",
    [
        ("samplers?name=eulr", "unknown sampler 'eulr'; did you mean euler"),
        ("schedules?name=karas", "unknown schedule 'karas'; did you mean karras"),
        ("sigmas?schedule=karas", "unknown schedule 'karas'; did you mean karras"),
        ("sigmas?steps=0", "steps must be a whole number from 1 to 10000, got 0"),
        ("sigmas?steps=2.5", "steps must be a whole number from 1 to 10000, got 2.5"),
        ("sigmas?steps=many", "steps must be a whole number from 1 to 10000, got 'many'"),
        ("sigmas?steps=nan", "steps must be a whole number from 1 to 10000, got nan"),
        ("sigmas?denoise=2", "denoise must be from 0 to 1, got 2"),
        ("sigmas?denoise=1e-12", "are the end of a curve of"),
        ("sigmas?schedule=karras&rho=1e9", "option 'rho' must be a number from 0.1 to 100"),
        ("sigmas?schedule=karras&rho=inf", "option 'rho' must be a number from 0.1 to 100"),
        ("sigmas?schedule=karras&rho=x", "option 'rho' must be a number from 0.1 to 100"),
        ("sigmas?schedule=karras&alpha=1", "'karras' has no option 'alpha'; its options: "),
        ("sigmas?schedule=karras&spec=1", "'karras' has no option 'spec'; its options: "),
        ("sigmas?schedule=karras&self=1", "'karras' has no option 'self'; its options: "),
        ("sigmas?schedule=neighbour_line&alpha=1", "takes no options here, got alpha"),
        ("sigmas?model=sd9", "unknown kind of model 'sd9'; known: sd15, "),
        ("sigmas?model=sd15:3", "the model 'sd15' takes no number, got '3'"),
        ("sigmas?model=flow:0", "the shift of 'flow' must be a number from 0.01 to 100"),
        ("sigmas?model=flow:abc", "the shift of 'flow' must be a number from 0.01 to 100"),
        ("sigmas?model=flow:nan", "the shift of 'flow' must be a number from 0.01 to 100"),
        ("sigmas?model=seen-0", "the model 'seen-0' was not used since the server started"),
    ],
)
def test_bad_input_is_answered_with_400(host, path, says):
    assert says in refusal(host, f"/stride/{path}")


def test_no_server_no_routes(comfy):
    """The pack loads in a process that has comfy but no server, and adds nothing."""
    root = Path(__file__).resolve().parents[2]
    script = f"""
import sys, importlib.util
sys.path.insert(0, {str(root / "devtools")!r})
import standins
standins.install()
sys.path[0] = {str(Path(comfy.samplers.__file__).parents[1])!r}
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
spec = importlib.util.spec_from_file_location(
    "pack", {str(root / "__init__.py")!r}, submodule_search_locations=[{str(root)!r}])
sys.modules["pack"] = pack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
print(pack.host.routes.add(), "server" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["False", "False"], done.stderr[-2000:]
