"""JSON text to values, and what is wrong with text that is none. Stricter than Python: no NaN, no key twice."""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from finetune_trainer.tasks.explain.problem import Problem, shown

_BARE_KEY = re.compile(r"[{,]\s*\w+\s*:")
MAX_DEPTH = 200
"""Deeper values are no data, and libraries further on would stumble over them."""


class Wrong(Exception):
    """A record is no row; `problems` say why."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems[0].text)
        self.problems = problems


def parse(data: bytes) -> Any:
    """The value of one JSON text. Raises Wrong."""
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        says = f"byte 0x{data[exc.start]:02x} at column {exc.start + 1} is not UTF-8: save the file as UTF-8"
        raise Wrong([Problem("not UTF-8", says)]) from exc
    if "\0" in text:
        raise Wrong([Problem("NUL byte", f"a NUL byte at column {text.index(chr(0)) + 1}: this is not text")])
    return parse_text(text, "line")


def parse_text(text: str, what: str = "text") -> Any:
    """The same for text; `what` it is called in messages. Raises Wrong."""
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise Wrong([_TOO_DEEP]) from None
    except ValueError as exc:
        raise Wrong([Problem("not JSON", not_json(text, exc, what))]) from exc
    if text.count("[") + text.count("{") > MAX_DEPTH and depth(value) > MAX_DEPTH:
        raise Wrong([_TOO_DEEP])
    return value


_TOO_DEEP = Problem("not JSON", f"is nested too deeply: more than {MAX_DEPTH} levels of brackets")


def depth(value: Any) -> int:
    """Levels of brackets, counted without recursion."""
    level, layer = 0, [value]
    while layer := [inner for outer in layer for inner in _inside(outer)]:
        level += 1
    return level


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def not_json(text: str, exc: ValueError, what: str) -> str:
    """Words for a syntax error, with a guess at its usual causes."""
    where = f" at column {exc.colno}" if isinstance(exc, json.JSONDecodeError) else ""
    says = exc.msg.removesuffix(" at") if isinstance(exc, json.JSONDecodeError) else str(exc).partition(";")[0]
    stripped = text.strip()
    if not stripped:
        return "is empty: there is an extra comma before it" if what == "line" else "is empty"
    hint = ""
    if "Extra data" in says and text.rstrip().endswith(","):
        hint = (
            ": a comma follows the object, and JSONL has none between its lines: remove them (sed 's/,[[:space:]]*$//' FILE > rows.jsonl)"
        )
    elif stripped in ("{", "}") or (stripped.startswith("{") and not stripped.endswith("}")):
        hint = ": the object does not end on this line, and JSONL has one object per line"
    elif stripped.startswith(("{'", "[{'", "['")):
        hint = ": JSON requires double quotes"
    elif stripped.startswith("\ufeff"):
        hint = ": it starts with a byte order mark, which only the first line of a file may have; were files joined? Remove it"
    elif "\r{" in stripped or "\r[" in stripped:
        hint = ": lines end with a carriage return alone; write line feeds (tr '\\r' '\\n' < FILE > rows.jsonl)"
    elif _BARE_KEY.search(stripped) and says.startswith("Expecting property name"):
        hint = ": keys must be in double quotes"
    elif "Extra data" in says:
        hint = ": there is more text after the object; write one object per line"
    elif stripped.endswith((",}", ",]")) or says.startswith(("Illegal trailing comma", "Expecting property name")):
        hint = ": there may be an extra comma"
    elif "control character" in says:
        hint = ": a tab or line end inside a string is written \\t or \\n"
    return f"is not valid JSON{hint} ({says}{where}; the {what} starts with {shown(stripped)})"


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) == len(items):
        return found
    names = [name for name, _ in items]
    twice = next(name for name in found if names.count(name) > 1)
    says = f"has the key {shown(twice)} more than once in one object, and only the last would count: remove one"
    raise Wrong([Problem("key twice", says)])


def _no_number(name: str) -> NoReturn:
    """NaN, Infinity, -Infinity."""
    raise ValueError(f"{name} is not a JSON number: write null, or leave the field out")


def _finite(text: str) -> float:
    """A fraction, or a number with an exponent: 1e400 would become Infinity."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is too large for a number (at most 1.8e308): write it as text")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_number, parse_float=_finite)
