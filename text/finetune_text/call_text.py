"""A tool call as an answer's text: <tool_call>{"name": ..., "arguments": {...}}</tool_call>, as Hermes and Qwen2.5 write it."""

import json
from typing import Any, NamedTuple

OPEN, CLOSE = "<tool_call>", "</tool_call>"


class Called(NamedTuple):
    """What is between the markers."""

    name: str
    arguments: dict[str, Any]


def called(body: str) -> Called | None:
    """The call, or None unless it is an object with a name and an object of arguments."""
    call = json_object(body)
    name, arguments = (call.get("name"), call.get("arguments")) if call else (None, None)
    return Called(name, arguments) if isinstance(name, str) and name and isinstance(arguments, dict) else None


def json_object(text: str) -> dict[str, Any] | None:
    """The object that a JSON text holds; None for every other text."""
    try:
        value = json.loads(text, parse_constant=refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # JSON can spell half a surrogate pair, which no text can hold
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def refuse_constant(name: str) -> None:
    """Python reads NaN and Infinity, which are not JSON."""
    raise ValueError(name)
