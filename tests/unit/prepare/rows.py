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
