"""What other programs store of a run in their pictures, each under its own keys.

A record is found by what marks it, never guessed: any other text is nobody's. ``programs`` has a
table of keys for each program, ``reader`` puts what they hold into the words of a text.
"""

from .programs import PROGRAMS, Record, Texts, beside_a_graph, find, json_object
from .reader import read

__all__ = ["PROGRAMS", "Record", "Texts", "beside_a_graph", "find", "json_object", "read"]
