"""Conversations with tools whose last answer a small model gives again, so that its answers are real and known."""

from typing import Any


def tool(name: str, argument: str) -> dict[str, Any]:
    """A function with one text."""
    return {"type": "function", "function": {"name": name, "parameters": {"properties": {argument: {"type": "string"}}}}}


def call(name: str, arguments: str, id: str) -> dict[str, Any]:
    """A call of it."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def asked(question: str) -> list[dict[str, Any]]:
    """A conversation's beginning."""
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]


TOOLS = [tool("weather", "town"), tool("mail", "text")]
ROME, PARIS = call("weather", '{"town": "Rome"}', "call_1"), call("weather", '{"town": "Paris"}', "call_2")
ODD = call("mail", '{"text": "\\"</tool_call>\\" für 5 €"}', "call_3")
BROKEN = "<tool_call>\nI do not know how.\n</tool_call>"

ONE = [*asked("How is the weather in Rome?"), {"role": "assistant", "content": None, "tool_calls": [ROME]}]
TWO = [*asked("Rome or Paris?"), {"role": "assistant", "content": "I look.", "tool_calls": [ROME, PARIS]}]
STRANGE = [*asked("Mail!"), {"role": "assistant", "content": None, "tool_calls": [ODD]}]
WRONG = [*asked("Break!"), {"role": "assistant", "content": BROKEN}]
RESULTS = [
    *TWO,
    {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
    {"role": "tool", "tool_call_id": "call_2", "content": "snow"},
    {"role": "assistant", "content": "Rome."},
]


def again(chat: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The whole conversation twice, its calls answered, and then up to its last answer, which the model repeats."""
    system, *messages = chat
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in messages[-1].get("tool_calls", [])]
    return [system, *messages, *results, *messages, *results, *messages[:-1]]
