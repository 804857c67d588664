"""What is wrong with a row that `conversation` did not take, in words for the person who wrote it.

Slow and thorough: it sees only the bad rows.
"""

import json
from collections.abc import Iterator
from typing import Any

from finetune_trainer.data.rows.conversation import ROLES
from finetune_trainer.data.rows.explain.problem import Problem

_TYPES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}
_OTHER_FORMATS = {
    "conversations": "ShareGPT's format",
    "prompt": "the prompt-completion format",
    "instruction": "Alpaca's format",
    "text": "plain text",
}
_TOOL_KEYS = ("tools", "tool_calls", "tool_call_id", "functions", "function_call", "parallel_tool_calls")
_ROW = '{"messages": [{"role": ..., "content": ...}, ...]}'


def explain(data: bytes, decoder_says: str) -> list[Problem]:
    """All that is wrong with one row; `decoder_says` is the fast decoder's own message, for what nobody foresaw."""
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        return [Problem("not UTF-8", f"byte 0x{data[exc.start]:02x} at column {exc.start + 1} is not UTF-8: save the file as UTF-8")]
    if "\0" in text:
        return [Problem("NUL byte", f"a NUL byte at column {text.index(chr(0)) + 1}: this is not text")]
    try:
        row = json.loads(text)
    except ValueError as exc:
        return [Problem("not JSON", not_json(text, exc))]
    except RecursionError:
        return [Problem("not JSON", "is nested too deeply")]
    return list(row_problems(row)) or [Problem("not JSON", f"is not valid: {decoder_says}")]


def not_json(text: str, exc: ValueError) -> str:
    """Words for a syntax error, with a guess at its usual causes."""
    where = f" at column {exc.colno}" if isinstance(exc, json.JSONDecodeError) else ""
    says = exc.msg if isinstance(exc, json.JSONDecodeError) else str(exc)
    stripped = text.strip()
    if not stripped:
        return "is empty: there is a comma too many before it"
    hint = ""
    if stripped in ("{", "}") or (stripped.startswith("{") and not stripped.endswith("}")):
        hint = ": the object does not end on this line, and JSONL has one object a line"
    elif stripped.startswith("{'"):
        hint = ": JSON takes double quotes"
    return f"is not valid JSON{hint} ({says}{where}; the line starts with {shorten(stripped)!r})"


def row_problems(row: Any) -> Iterator[Problem]:
    """What is wrong with a parsed row."""
    if not isinstance(row, dict):
        yield Problem("not an object", f"is {kind_of(row)}, expected an object {_ROW}")
        return
    if "messages" not in row:
        other = next((what for key, what in _OTHER_FORMATS.items() if key in row), None)
        seems = f" (this looks like {other})" if other else ""
        keys = ", ".join(map(repr, list(row)[:5])) or "none"
        yield Problem("no messages", f"has no key 'messages'{seems}: its keys are {keys}, expected {_ROW}")
        return
    for key in row:
        if key != "messages":
            yield unknown_key(key, key, "a row has the key messages alone")
    messages = row["messages"]
    if not isinstance(messages, list):
        yield Problem("no messages", f"messages is {kind_of(messages)}, expected an array of messages")
    elif not messages:
        yield Problem("no messages", "messages is empty, expected at least a user's and an assistant's message")
    else:
        found = [problem for index, message in enumerate(messages) for problem in message_problems(f"messages[{index}]", message)]
        yield from found or order_problems(messages)


def message_problems(path: str, message: Any) -> Iterator[Problem]:
    """What is wrong with one message by itself."""
    if not isinstance(message, dict):
        yield Problem("message is not an object", f"{path} is {kind_of(message)}, expected an object with role and content")
        return
    for key in message:
        if key not in ("role", "content", "weight"):
            yield unknown_key(f"{path}.{key}", key, "a message has role, content and, for the assistant, weight")
    yield from role_problems(path, message)
    yield from content_problems(path, message)
    weight = message.get("weight")
    if weight is not None and (type(weight) is not int or weight not in (0, 1)):
        yield Problem("wrong weight", f"{path}.weight is {shorten(weight)!r}, expected 0 or 1")
    elif weight is not None and message.get("role") in ("system", "user"):
        yield Problem("wrong weight", f"{path}.weight: only an assistant's message has a weight, this is the {message['role']}'s")


def role_problems(path: str, message: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with a role."""
    expected = "expected one of " + ", ".join(map(repr, ROLES))
    if "role" not in message:
        yield Problem("no role", f"{path} has no role, {expected}")
    elif message["role"] not in ROLES:
        yield Problem("unknown role", f"{path}.role is {shorten(message['role'])!r}, {expected}")


def content_problems(path: str, message: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with a content."""
    if "content" not in message:
        yield Problem("no content", f"{path} has no content, expected a string")
        return
    content = message["content"]
    if isinstance(content, list):
        yield Problem("content is not text", f"{path}.content is an array of parts, expected a string: rows are text only")
    elif not isinstance(content, str):
        yield Problem("content is not text", f"{path}.content is {kind_of(content)}, expected a string")
    elif not content.strip():
        yield Problem("empty content", f"{path}.content is {'only white space' if content else 'empty'}, expected text")
    elif "\0" in content:
        yield Problem("NUL byte", f"{path}.content has a NUL character at position {content.index(chr(0)) + 1}: remove it")
    elif any("\ud800" <= char <= "\udfff" for char in content):
        yield Problem("not UTF-8", f"{path}.content has half of a surrogate pair (\\ud800 to \\udfff), which is no character")


def order_problems(messages: list[dict[str, Any]]) -> Iterator[Problem]:
    """What is wrong with messages that are each right."""
    roles = [message["role"] for message in messages]
    for index, role in enumerate(roles[1:], start=1):
        if role == "system":
            yield Problem("wrong order", f"messages[{index}].role is 'system', expected at messages[0] only")
    first = 1 if roles[0] == "system" else 0
    if roles[first:] and roles[first] == "assistant":
        yield Problem("wrong order", f"messages[{first}].role is 'assistant', expected 'user': a conversation starts with the user")
    if "assistant" not in roles:
        yield Problem("no assistant message", "messages has no message of the assistant, so there is nothing to learn")
    elif roles[-1] != "assistant":
        last = f"messages[{len(roles) - 1}].role is {roles[-1]!r}"
        yield Problem("wrong order", f"{last}, expected 'assistant': the last word is the assistant's")
    elif all(message.get("weight") == 0 for message in messages if message["role"] == "assistant"):
        yield Problem("nothing to learn", "every message of the assistant has weight 0, so there is nothing to learn")


def unknown_key(path: str, key: str, expected: str) -> Problem:
    """A key that is not known: what it says would otherwise be dropped without a word."""
    if key in _TOOL_KEYS:
        return Problem("tools", f"{path}: rows with tools cannot be trained on: {expected}")
    return Problem("unknown key", f"{path} is not a known key: {expected}; remove it")


def kind_of(value: Any) -> str:
    """A JSON type with its article."""
    return _TYPES[type(value)]


def shorten(value: Any) -> Any:
    """A value short enough for a message."""
    return value[:40] + "..." if isinstance(value, str) and len(value) > 43 else value
