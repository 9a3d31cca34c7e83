"""Fixtures of the host tests: one real server for the session, and comfy in this process."""

import os
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "devtools"))  # never the root itself: its nodes/ hides the host's

from client import Client, Failed, Graph, Rejected  # noqa: E402
from hostserver import PACK, HostServer, link_pack  # noqa: E402

_numbers = count()


class Scene(Graph):
    """A prompt with the demo model, a text, an empty latent, and short ways to sample from them."""

    PROMPT = "a red circle on a blue background"

    def __init__(self, prediction="eps", text=PROMPT, negative="", size=256, batch=1):
        self.size = size
        loader = self.add("StrideDemoModel", prediction=prediction)
        self.model, self.clip, self.vae = loader[0], loader[1], loader[2]
        self.positive = self.add("CLIPTextEncode", clip=self.clip, text=text)[0]
        self.negative = self.add("CLIPTextEncode", clip=self.clip, text=negative)[0]
        self.empty = self.add("EmptyLatentImage", width=size, height=size, batch_size=batch)[0]

    def left_half(self, value=1.0):
        """A mask of the picture's left half."""
        size = self.size
        none = self.add("SolidMask", value=0.0, width=size, height=size)[0]
        half = self.add("SolidMask", value=value, width=size // 2, height=size)[0]
        return self.add("MaskComposite", destination=none, source=half, x=0, y=0,
                        operation="add")[0]

    def masked(self, latent, mask=None):
        """A node with the latent under a mask, of its left half unless another is given."""
        mask = self.left_half() if mask is None else mask
        return self.add("SetLatentNoiseMask", samples=latent, mask=mask)

    def _sample(self, kind, defaults, changes):
        inputs = dict(
            model=self.model, positive=self.positive, negative=self.negative,
            latent_image=self.empty, steps=4, cfg=4.0,
        )  # fmt: skip
        return self.add(kind, **{**inputs, **defaults, **changes})

    def stride(self, **changes):
        """KSampler (Stride); 4 steps of euler on karras unless changed."""
        defaults = dict(seed=5, sampler="euler", schedule="karras", denoise=1.0)
        return self._sample("StrideKSampler", defaults, changes)

    def advanced(self, **changes):
        """KSampler Advanced (Stride), the whole run unless changed."""
        defaults = dict(
            noise_seed=5, sampler="euler", schedule="karras", add_noise="enable",
            start_at_step=0, end_at_step=10000, return_with_leftover_noise="disable",
        )  # fmt: skip
        return self._sample("StrideKSamplerAdvanced", defaults, changes)

    def stock(self, sampler="euler", schedule="karras", **changes):
        """The host's own KSampler."""
        defaults = dict(seed=5, sampler_name=sampler, scheduler=schedule, denoise=1.0)
        return self._sample("KSampler", defaults, changes)

    def custom(self, sampler="euler", schedule="karras", steps=4, **changes):
        """The host's SamplerCustom with StrideSchedule and a StrideSampler or another node."""
        sigmas = self.add(
            "StrideSchedule", model=self.model, schedule=schedule, steps=steps, denoise=1.0
        )
        if isinstance(sampler, str):
            sampler = self.add("StrideSampler", sampler=sampler)[0]
        defaults = dict(add_noise=True, noise_seed=5, sigmas=sigmas[0], sampler=sampler)
        node = self._sample("SamplerCustom", defaults, changes)
        del self[node.id]["inputs"]["steps"]
        return node


class Host(Client):
    """The running server, as the tests talk to it."""

    def __init__(self, server):
        super().__init__(server.url)
        self.server = server
        self.boot_log = server.log()

    def run_saving(self, graph, nodes):
        """Run with the latents of `nodes` saved; return (latents, outputs)."""
        from safetensors.torch import load_file

        graph, saves = Graph(graph), []
        for node in nodes:
            prefix = f"latents/{next(_numbers)}"
            saves.append(graph.add("SaveLatent", samples=node[0], filename_prefix=prefix))
        outputs = self.run(graph)
        tensors = []
        for save in saves:
            file = outputs[save.id]["latents"][0]
            path = self.server.output / file["subfolder"] / file["filename"]
            tensors.append(load_file(str(path))["latent_tensor"])
        return tensors, outputs

    def latents(self, graph, *nodes):
        """The latents that the nodes put out."""
        return self.run_saving(graph, nodes)[0]

    def refusal(self, graph, node=None, match=None, by=(Rejected, Failed)):
        """The error in which the prompt ends, with the latent of `node` asked for if there is one.

        match: what it says. by: `Rejected`, before anything runs, or `Failed`, at a node.
        """
        graph = Graph(graph)
        if node is not None:
            graph.add("SaveLatent", samples=node[0], filename_prefix="latents/refused")
        with pytest.raises(by, match=match) as caught:
            self.run(graph)
        return caught.value

    def image(self, filename, subfolder=""):
        """A saved picture, as an array [H, W, 3] of bytes."""
        import numpy
        from PIL import Image

        with Image.open(self.server.output / subfolder / filename) as picture:
            return numpy.asarray(picture.convert("RGB"))


def _comfy_path():
    path = os.environ.get("COMFYUI_PATH")
    if path and (Path(path) / "main.py").is_file():
        return Path(path)
    why = "no ComfyUI here: `python3 dev.py test` provides one, or set COMFYUI_PATH"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def host():
    """The real ComfyUI with the pack, and a neighbour of it, started once."""
    folders = f"{link_pack()}\n{Path(__file__).parent / 'packs'}"
    server = HostServer(
        _comfy_path(), gpu=os.environ.get("STRIDE_TEST_GPU") == "1", custom_nodes=folders,
        packs=(PACK, "neighbour", "faults", "control", "callers"),
    )
    try:
        server.start()
        yield Host(server)
    finally:
        server.stop()


@pytest.fixture(scope="session")
def object_info(host):
    """What the server tells of every node."""
    return host.object_info()


@pytest.fixture(scope="session")
def scene():
    """The class that builds prompts: `scene(prediction="flow", batch=3)`."""
    return Scene


@pytest.fixture(scope="session")
def comfy():
    """The host's `comfy` package in this process, on the CPU, with its stock lists noted.

    The pack itself is not registered with it, so that `.stock_samplers` and `.stock_schedulers`
    are what the host has by itself.
    """
    tree = _comfy_path()
    import standins

    standins.install()
    # At the end: the tree has folders like `tests` and `app` which must hide nothing of ours.
    if str(tree) not in sys.path:
        sys.path.append(str(tree))
    import comfy.options

    comfy.options.args_parsing = False
    from comfy.cli_args import args

    args.cpu = os.environ.get("STRIDE_TEST_GPU") != "1"
    import comfy.k_diffusion.sampling
    import comfy.model_sampling
    import comfy.samplers

    return SimpleNamespace(
        samplers=comfy.samplers,
        model_sampling=comfy.model_sampling,
        k_diffusion=comfy.k_diffusion.sampling,
        stock_samplers=list(comfy.samplers.SAMPLER_NAMES),
        stock_schedulers=list(comfy.samplers.SCHEDULER_NAMES),
    )


@pytest.fixture(autouse=True, scope="module")
def _log_on_failure(request):
    """After a module with a failure, show the end of the server's log."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed and "host" in request.fixturenames:
        server = request.getfixturevalue("host").server
        print("\n--- the end of the server's log ---\n" + server.log()[-4000:])
