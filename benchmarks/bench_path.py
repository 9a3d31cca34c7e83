"""How far one run of KSampler (Stride) goes through the pack: `python3 dev.py bench path`.

The node is validated and executed as the host does it, with the demo model, and every call of a
function of the pack is counted, the demo network's own aside: calls, different functions, files,
and moves, which are calls that lead from one file of the pack straight to another. The names were
never used before in the process, so that nothing is answered from a cache. Beside them:

* how often a name was normalised (``registry.key``) and options were checked, by what was checked;
* how often sigmas changed their form: the array, tensor or list of a run's levels became another
  kind, or one of another precision.
"""

import argparse
import functools
import os
import sys
from collections import Counter

from hostside import ROOT, load_host, load_pack

OPTIONS = ("Options.__post_init__",)
NAMES = ("key",)
_ASIDE = (".", "demo", "host/demo.py", "benchmarks", "devtools")
CHANGES = ("tolist", "astype", "numpy", "new_tensor", "float", "double", "to", "cpu")


class Walk:
    """What ``sys.setprofile`` tells of the functions of the pack."""

    def __init__(self, stride, length):
        self.stride, self.lengths = stride, {length, length + 1}
        self.calls, self.functions, self.moves = 0, Counter(), Counter()
        self.names, self.checked, self.changes = Counter(), Counter(), Counter()
        self._root = os.path.join(str(ROOT), "")

    def _place(self, frame):
        """The pack's file of a frame; None for others', and for the demo network."""
        file = frame.f_code.co_filename
        if not file.startswith(self._root):
            return None
        part = file[len(self._root) :]
        return None if part.startswith(_ASIDE) else part

    def __call__(self, frame, event, argument):
        if event == "c_call":
            of = getattr(argument, "__self__", None)
            if argument.__name__ in CHANGES and self._place(frame) and self._levels(of):
                self.changes[f"{argument.__name__} in {frame.f_code.co_qualname}"] += 1
        if event != "call" or (place := self._place(frame)) is None:
            return
        name = frame.f_code.co_qualname
        self.calls += 1
        self.functions[place, name] += 1
        if (before := self._place(frame.f_back)) not in (None, place):
            self.moves[before, place] += 1
        if name in NAMES:
            self.names[frame.f_locals["name"]] += 1
        if name in OPTIONS:
            self.checked[type(frame.f_locals["self"]).__name__] += 1

    def _levels(self, value):
        """Whether a value is a list of levels, one for each step or one more."""
        shape = getattr(value, "shape", None)
        return shape is not None and len(shape) == 1 and shape[0] in self.lengths

    def making(self, function):
        """``function``, which makes an array or a tensor, with its use on levels counted."""

        @functools.wraps(function)
        def made(*given, **named):
            out = function(*given, **named)
            caller = sys._getframe(1)
            if self._levels(out) and self._place(caller):
                self.changes[f"{function.__name__} in {caller.f_code.co_qualname}"] += 1
            return out

        return made


def node(cls, **inputs):
    """What a node puts out, asked as the host asks it."""
    hidden = {"UNIQUE_ID": "1", "PROMPT": {}, "EXTRA_PNGINFO": {}}
    made = cls.PREPARE_CLASS_CLONE(hidden)
    return made.EXECUTE_NORMALIZED(**inputs).args


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", default="dpmpp_2m_sde")
    parser.add_argument("--schedule", default="karras")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--functions", action="store_true", help="list them, with their calls")
    args = parser.parse_args()
    import numpy as np
    import torch

    sys.path.insert(0, os.environ["COMFYUI_PATH"])  # others have modules of its modules' names
    load_host()
    import utils.install_util  # noqa: F401 - nodes puts a folder in front in which it is not

    import nodes as host_nodes

    stride = load_pack()
    of = sys.modules["stride.nodes"]
    with torch.inference_mode():
        model, clip, _ = node(of.StrideDemoModel, prediction="eps")
        text = host_nodes.CLIPTextEncode()
        positive, negative = (text.encode(clip, words)[0] for words in ("a red circle", ""))
        latent = {"samples": torch.zeros(1, 4, 32, 32)}
        inputs = dict(
            model=model, seed=1, steps=args.steps, cfg=4.0, sampler="euler", schedule="simple",
            positive=positive, negative=negative, latent_image=latent, denoise=1.0,
        )  # fmt: skip
        node(of.StrideKSampler, **inputs)  # loads the model
        inputs |= {"sampler": args.sampler, "schedule": args.schedule}
        walk = Walk(stride, args.steps)
        makers = [(torch, "tensor"), (torch, "as_tensor"), (torch, "from_numpy"),
                  (np, "asarray"), (np, "array")]
        before = [getattr(module, name) for module, name in makers]
        for (module, name), function in zip(makers, before):
            setattr(module, name, walk.making(function))
        sys.setprofile(walk)
        try:
            of.StrideKSampler.validate_inputs(sampler=args.sampler, schedule=args.schedule)
            node(of.StrideKSampler, **inputs)
        finally:
            sys.setprofile(None)
            for (module, name), function in zip(makers, before):
                setattr(module, name, function)
    files = {file for file, _ in walk.functions}
    print(f"{args.sampler} on {args.schedule}, {args.steps} steps")
    print(f"calls {walk.calls}, functions {len(walk.functions)}, files {len(files)}, "
          f"moves {sum(walk.moves.values())}")
    for what, found in (("names normalised", walk.names), ("options checked", walk.checked),
                        ("changes of form", walk.changes)):
        each = ", ".join(f"{name} {count}" for name, count in found.most_common())
        print(f"{what} {sum(found.values())}" + (f": {each}" if each else ""))
    if args.functions:
        for (before, after), count in walk.moves.most_common():
            print(f"{count:6} {before} to {after}")
        for (file, name), count in sorted(walk.functions.items()):
            print(f"{count:6} {file}: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
