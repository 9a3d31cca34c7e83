"""What nodes of values hand out: texts and numbers that other nodes' inputs are linked to."""

from __future__ import annotations

import ast
import json
import math
import operator
import re
from collections.abc import Callable
from typing import Any

Get = Callable[[str], Any]  # the value of an input by its name

_LONGEST = 100_000  # characters of a text that is put together
_OPERATIONS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_BITS: dict[type, Callable[[int, int], int]] = {ast.BitAnd: operator.and_, ast.BitOr: operator.or_}
_COMPARED: dict[type, Callable[[Any, Any], bool]] = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min, "max": max, "abs": abs, "round": round, "int": int, "float": float,
    "floor": math.floor, "ceil": math.ceil, "sqrt": math.sqrt,
}
_MEGAPIXEL = 1024 * 1024


def _joined(get: Get, output: int) -> Any:
    parts = [get("string_a"), get("string_b")]
    delimiter = get("delimiter")
    return _bounded((delimiter if isinstance(delimiter, str) else "").join(
        part for part in parts if isinstance(part, str)
    ))


def _replaced(get: Get, output: int) -> Any:
    text, old, new = get("string"), get("find"), get("replace")
    if not all(isinstance(part, str) for part in (text, old, new)):
        return text
    found = text.count(old)
    return text if len(text) + found * len(new) > _LONGEST else text.replace(old, new)


def _trimmed(get: Get, output: int) -> Any:
    text, how = get("string"), get("mode")
    if not isinstance(text, str):
        return None
    return {"Left": text.lstrip, "Right": text.rstrip}.get(str(how), text.strip)()


def _cased(get: Get, output: int) -> Any:
    text, how = get("string"), get("mode")
    if not isinstance(text, str):
        return None
    cases = {
        "UPPERCASE": text.upper, "lowercase": text.lower, "Capitalize": text.capitalize,
        "Title Case": text.title,
    }
    return cases.get(str(how), lambda: text)()


def _chosen(get: Get, output: int) -> Any:
    return get("on_true" if get("switch") else "on_false")


def _calculated(get: Get, output: int) -> Any:
    text = get("expression")
    if not isinstance(text, str) or len(text) > 500:
        return None
    try:
        found = _term(ast.parse(text.strip(), mode="eval").body, lambda name: get(f"values.{name}"))
        return (float, int, bool)[output](found)
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError,
            IndexError, KeyError):
        return None


def _term(term: ast.AST, get: Get) -> Any:
    """The number of a formula; ValueError for whatever is no arithmetic."""
    if isinstance(term, ast.Constant) and isinstance(term.value, (int, float)):
        return term.value
    if isinstance(term, ast.Name):
        return _number(get(term.id))
    if isinstance(term, ast.UnaryOp):
        return _OPERATIONS[type(term.op)](_term(term.operand, get))
    if isinstance(term, ast.BinOp):
        left, right = _term(term.left, get), _term(term.right, get)
        if type(term.op) in _BITS:
            return _BITS[type(term.op)](int(left), int(right))
        return _OPERATIONS[type(term.op)](left, right)
    if isinstance(term, ast.Compare) and len(term.ops) == 1:
        left, right = _term(term.left, get), _term(term.comparators[0], get)
        return _COMPARED[type(term.ops[0])](left, right)
    if isinstance(term, ast.Call) and isinstance(term.func, ast.Name) and not term.keywords:
        return _FUNCTIONS[term.func.id](*(_term(part, get) for part in term.args))
    raise ValueError("no arithmetic")


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or abs(value) > 1e15:
        raise ValueError("no number")
    return value


def _resolution(get: Get, output: int) -> Any:
    """The host's ResolutionSelector: sides in a ratio with so many megapixels, in whole steps."""
    sides = re.match(r"(\d{1,4}):(\d{1,4})\b", str(get("aspect_ratio")))
    try:
        pixels, step = float(get("megapixels")) * _MEGAPIXEL, int(get("multiple"))
        ratio = [int(side) for side in sides.groups()] if sides else []
        scale = math.sqrt(pixels / (ratio[0] * ratio[1]))
        return round(ratio[output] * scale / step) * step
    except (ValueError, TypeError, ArithmeticError, IndexError):
        return None


def _extracted(get: Get, output: int) -> Any:
    text, wanted = get("json_string"), get("key")
    try:
        found = json.loads(text)
        return str(found[wanted]) if isinstance(found, dict) and wanted in found else None
    except (ValueError, TypeError, RecursionError):
        return None


def _converted(get: Get, output: int) -> Any:
    try:
        return (float, int)[output](float(get("value")))
    except (ValueError, TypeError, ArithmeticError, IndexError):
        return None


def _bounded(text: str) -> str:
    return text[:_LONGEST]


# By class: (a way to its inputs, the number of its output) -> value.
EVALUATED: dict[str, Callable[[Get, int], Any]] = {
    "CaseConverter": _cased, "ComfyMathExpression": _calculated, "ComfyNumberConvert": _converted,
    "ComfySwitchNode": _chosen, "JsonExtractString": _extracted, "ResolutionSelector": _resolution,
    "StringConcatenate": _joined, "StringReplace": _replaced, "StringTrim": _trimmed,
}
