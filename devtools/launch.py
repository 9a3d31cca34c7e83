"""Runs a ComfyUI tree as `python main.py` would, with the stand-ins of `standins.py` in front.

    python devtools/launch.py COMFYUI_FOLDER [ComfyUI's own arguments]

This is the server process. With STRIDE_STOP_WITH_PARENT=1 it ends when its standard input is
closed, so that no server is left behind when the process that started it dies.
"""

import os
import runpy
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))


def _end_with_input():
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    os._exit(0)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    tree = os.path.abspath(sys.argv[1])
    script = os.path.join(tree, "main.py")
    if os.environ.pop("STRIDE_STOP_WITH_PARENT", "") == "1":
        threading.Thread(target=_end_with_input, daemon=True).start()
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != HERE]
    sys.path.insert(0, HERE)
    from standins import install

    install()
    # What `python main.py` would have: the tree first, and nothing of this repository.
    sys.path[0] = tree
    sys.argv = [script, *sys.argv[2:]]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
