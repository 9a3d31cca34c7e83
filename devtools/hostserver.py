"""Starts the real ComfyUI with this repository as its one custom node, and stops it again.

Standard library only: `dev.py`, the demo and the host tests all start the server through here.
Nothing is written into the ComfyUI folder: the pack is a link in a folder of ours which the host is
told to look in, and user, input, output and temp folders are ours as well.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
STATE = REPO / ".host"
PACK = "stride-samplers"
BOOT_SECONDS = 300


def child_env(**extra):
    """The environment of the processes we start: the user's, less what would change imports."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    env["PYTHONUTF8"] = "1"
    env.update({key: str(value) for key, value in extra.items()})
    return env


def link_pack():
    """Make `.host/custom_nodes/stride-samplers` point at this repository; return its parent."""
    folder = STATE / "custom_nodes"
    link = folder / PACK
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if link.resolve(strict=True) == REPO:
            return folder
    except OSError:
        pass
    try:
        link.unlink()  # a dangling or moved link (on Windows a junction goes with rmdir)
    except FileNotFoundError:
        pass
    except OSError:
        os.rmdir(link)
    if os.name == "nt":
        import _winapi

        _winapi.CreateJunction(str(REPO), str(link))  # needs no administrator, unlike a symlink
    else:
        try:
            link.symlink_to(REPO, target_is_directory=True)
        except FileExistsError:
            pass  # another run made it in between
    return folder


def free_port():
    """A port that the operating system says is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def arguments(work, port, gpu=False, custom_nodes=None, packs=(PACK,)):
    """The host's command line: our folders, our pack only, and the CPU unless `gpu`."""
    work = Path(work)
    for name in ("user", "input", "output", "temp"):
        (work / name).mkdir(parents=True, exist_ok=True)
    paths = work / "extra_paths.yaml"
    folder = str(custom_nodes or link_pack())
    folders = {"custom_nodes": folder, "loras": str(_loras(work))}
    lines = [f"  {kind}: {json.dumps(path)}\n" for kind, path in folders.items()]
    paths.write_text("stride:\n" + "".join(lines), encoding="utf-8")
    args = ["--listen", "127.0.0.1", "--port", str(port), "--disable-auto-launch"]
    for name in ("user", "input", "output", "temp"):
        args += [f"--{name}-directory", str(work / name)]
    args += ["--extra-model-paths-config", str(paths)]
    # The in-memory database spares a file; API nodes would only cost start-up time.
    args += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
    args += ["--disable-all-custom-nodes", "--whitelist-custom-nodes", *packs]
    if frontend := os.environ.get("STRIDE_TEST_FRONTEND"):  # the `static` folder of another one
        args += ["--front-end-root", frontend]
    return args if gpu else [*args, "--cpu"]


def _loras(work):
    """A folder of LoRAs, with the demo model's in it."""
    folder = work / "loras"
    folder.mkdir(exist_ok=True)
    for file in (REPO / "demo").glob("*_lora.safetensors"):
        shutil.copy(file, folder)
    return folder


def command(python, comfy, args):
    """The command that runs the ComfyUI tree `comfy` under `python`."""
    return [str(python), str(REPO / "devtools" / "launch.py"), str(comfy), *args]


class HostServer:
    """One running server. Use as a context manager, or call `start` and `stop`."""

    def __init__(self, comfy, python=sys.executable, gpu=False, work=None, **kwargs):
        self.comfy = Path(comfy)
        self.python = python
        self.own_work = work is None
        self.work = Path(work or tempfile.mkdtemp(prefix="stride-host-"))
        self.output = self.work / "output"
        self.input = self.work / "input"
        self.log_path = self.work / "server.log"
        self.options = dict(gpu=gpu, **kwargs)
        self.process = None
        self.port = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, waiting=None):
        """Start the server and wait until it answers; `waiting(seconds)` is called meanwhile."""
        self.port = free_port()
        args = arguments(self.work, self.port, **self.options)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command(self.python, self.comfy, args),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=str(self.work),
                env=child_env(STRIDE_STOP_WITH_PARENT=1),
            )
        begun = time.monotonic()
        while True:
            spent = time.monotonic() - begun
            try:
                with urllib.request.urlopen(self.url + "/system_stats", timeout=5):
                    return self
            except (urllib.error.URLError, OSError):
                pass
            if self.process.poll() is not None:
                why = f"ComfyUI ended with exit code {self.process.returncode} while starting"
            elif spent > BOOT_SECONDS:
                why = f"ComfyUI did not answer within {BOOT_SECONDS} s"
            else:
                if waiting:
                    waiting(spent)
                time.sleep(0.1)
                continue
            text = self.log()[-3000:]
            self.stop()
            raise RuntimeError(f"{why}. The end of its log:\n{text}")

    def log(self):
        """What the server has printed so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def stop(self):
        """Stop the server; a second call does nothing."""
        process, self.process = self.process, None
        if process is not None:
            try:
                process.stdin.close()
                process.wait(10)
            except (OSError, subprocess.TimeoutExpired):
                process.kill()
                process.wait()
        if self.own_work:
            shutil.rmtree(self.work, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()
