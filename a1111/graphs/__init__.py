"""ComfyUI's own record in a picture: the run that made it, found in the graph that was queued.

A prompt is {node id: {"class_type": ..., "inputs": {name: value or [node id, output]}}}. Graphs are
followed by output: what an output is made of stands in a table of node classes, and is guessed by
the names of the inputs for classes that nobody knows, so that samplers of other packs are read.
"""

from .reader import read
from .stored import load

__all__ = ["load", "read"]
