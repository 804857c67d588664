"""Rows for the tests of prepare."""

import json
from typing import Any


def row(*messages: Any, **extra: Any) -> bytes:
    """A row's JSON text."""
    return json.dumps({"messages": list(messages), **extra}).encode()


def system(content: Any = "Be kind.") -> dict[str, Any]:
    """A system message."""
    return {"role": "system", "content": content}


def user(content: Any = "Hi", **extra: Any) -> dict[str, Any]:
    """A user's message."""
    return {"role": "user", "content": content, **extra}


def assistant(content: Any = "Hello", **extra: Any) -> dict[str, Any]:
    """An assistant's message."""
    return {"role": "assistant", "content": content, **extra}


def good(number: int) -> bytes:
    """A right row, another one for each number."""
    return row(user(f"Question {number}"), assistant(f"Answer {number}"))


def tool(content: Any = "12 degrees", call: str | None = "c1", **extra: Any) -> dict[str, Any]:
    """A tool's answer."""
    return {"role": "tool", "content": content, **({"tool_call_id": call} if call else {}), **extra}


def call(name: Any = "weather", arguments: Any = '{"city": "Oslo"}', call_id: Any = "c1", **extra: Any) -> dict[str, Any]:
    """A call of a tool."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **extra}


def calling(*calls: Any, **extra: Any) -> dict[str, Any]:
    """An assistant's message that calls tools."""
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **extra}


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}}, "required": ["city"]},
    },
}


def asked(*messages: Any, tools: Any = (WEATHER,), **extra: Any) -> bytes:
    """A row with tools, whose first message is the user's."""
    return row(user("Weather?"), *messages, tools=list(tools) if isinstance(tools, tuple) else tools, **extra)
