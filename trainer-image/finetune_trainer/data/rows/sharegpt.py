"""ShareGPT's layout to OpenAI's: {"conversations": [{"from": "human", "value": ...}, ...], "system": ..., "tools": ...}.

With the roles that LLaMA-Factory and others have added: function_call (the call of a tool as JSON text) and observation (what it
returned).
"""

from collections.abc import Iterator
from typing import Any

from finetune_trainer.data.rows.explain import Problem, Wrong
from finetune_trainer.data.rows.explain.chat import Names
from finetune_trainer.data.rows.explain.json_text import parse_text
from finetune_trainer.data.rows.explain.problem import did_you_mean, kind_of, listed, shown

ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
    "function": "tool",
}
SHOWN = ("system", "human", "gpt", "function_call", "observation")


def names_of(row: dict[str, Any]) -> Names:
    """What the parts are called in this row."""
    turns = row.get("conversations")
    given = [turn["from"] for turn in turns if isinstance(turn, dict) and "from" in turn] if isinstance(turns, list) else []
    words = [word for word in ("human", "gpt", "observation", *given) if isinstance(word, str) and word.lower() != "function_call"]
    own = {ROLES[word.lower()]: word for word in words if word.lower() in ROLES}
    return Names("conversations", "from", "value", 1 if _has_system(row) else 0, own)


def _has_system(row: dict[str, Any]) -> bool:
    return isinstance(row.get("system"), str) and bool(row["system"].strip())


def openai_row(row: dict[str, Any]) -> dict[str, Any]:
    """The same conversation in OpenAI's layout. Raises Wrong."""
    turns = row.get("conversations")
    if not isinstance(turns, list):
        what = f"conversations is {kind_of(turns)}" if "conversations" in row else f"has no key 'conversations': its keys are {listed(row)}"
        raise Wrong([Problem("no messages", f'{what}, expected an array of {{"from": ..., "value": ...}}')])
    found: list[Problem] = []
    messages: list[dict[str, Any]] = []
    if _has_system(row):
        messages.append({"role": "system", "content": row["system"]})
    for index, turn in enumerate(turns):
        try:
            messages.append(_message(f"conversations[{index}]", turn))
        except Wrong as exc:
            found += exc.problems
    tools = None
    try:
        tools = _tools(row.get("tools"))
    except Wrong as exc:
        found += exc.problems
    if found:
        raise Wrong(found)
    return {"messages": messages} | ({"tools": tools} if tools else {})


def _message(path: str, turn: Any) -> dict[str, Any]:
    found = list(_turn_problems(path, turn))
    if found:
        raise Wrong(found)
    role, value = turn["from"].lower(), turn["value"]
    if role == "function_call":
        return {"role": "assistant", "content": None, "tool_calls": _calls(f"{path}.value", value)}
    message = {"role": ROLES[role], "content": value}
    if turn.get("weight") is not None:
        message["weight"] = turn["weight"]
    return message


def _turn_problems(path: str, turn: Any) -> Iterator[Problem]:
    if not isinstance(turn, dict):
        yield Problem("message is not an object", f'{path} is {kind_of(turn)}, expected {{"from": ..., "value": ...}}')
        return
    role = turn.get("from")
    if not isinstance(role, str) or role.lower() not in ROLES:
        what = f"{path} has no from" if "from" not in turn else f"{path}.from is {shown(role)}"
        close = did_you_mean(role, SHOWN) if isinstance(role, str) else ""
        yield Problem("unknown role" if "from" in turn else "no role", f"{what}{close}, expected one of {listed(SHOWN)}")
    if "value" not in turn:
        yield Problem("no content", f"{path} has no value, expected a string")


def _calls(path: str, value: Any) -> list[dict[str, Any]]:
    """Calls without ids: their answers follow in the same order."""
    expected = 'expected the JSON text of {"name": ..., "arguments": {...}}, or of an array of such'
    try:
        calls = parse_text(value) if isinstance(value, str) else value
    except Wrong as exc:
        raise Wrong([Problem("wrong tool call", f"{path} {exc}: {expected}")]) from exc
    calls = calls if isinstance(calls, list) else [calls]
    if not calls or not all(isinstance(call, dict) and "name" in call and "arguments" in call for call in calls):
        raise Wrong([Problem("wrong tool call", f"{path} names no function and arguments: {expected}")])
    return [{"type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}} for call in calls]


def _tools(tools: Any) -> list[Any] | None:
    """An array, or its JSON text; functions stand in it bare or as in OpenAI's layout."""
    if tools is None or tools == "" or tools == []:
        return None
    try:
        value = parse_text(tools) if isinstance(tools, str) else tools
    except Wrong as exc:
        raise Wrong([Problem("wrong tools", f"tools {exc}")]) from exc
    if not isinstance(value, list):
        raise Wrong([Problem("wrong tools", f"tools is {kind_of(value)}, expected an array of functions, or its JSON text")])
    return [{"type": "function", "function": tool} if isinstance(tool, dict) and "function" not in tool else tool for tool in value] or None
