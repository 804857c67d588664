"""ShareGPT's layout to OpenAI's: {"conversations": [{"from": "human", "value": ...}, ...], "system": ..., "tools": ...}.

With the roles that LLaMA-Factory and others have added: function_call (the call of a tool as JSON text) and observation (what it
returned). Calls in a row are parallel calls of one message; the text before a call is of the same message, which build.py joins.
"""

import re
from collections.abc import Iterator
from typing import Any

from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.explain.chat import empty, legacy, not_learnt
from finetune_trainer.tasks.explain.json_text import parse_text
from finetune_trainer.tasks.explain.names import MessagePath, Names
from finetune_trainer.tasks.explain.problem import did_you_mean, kind_of, listed, shown, text_problems, unknown_key
from finetune_trainer.tasks.explain.weights import FLAGS
from finetune_trainer.tasks.layouts.context import Context

CALLING = ("function_call", "tool_call", "function-call", "tool-call")
ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    **dict.fromkeys(CALLING, "assistant"),
    "observation": "tool",
    "tool": "tool",
    "function": "tool",
    "tool_response": "tool",
    "function_response": "tool",
    "tool-response": "tool",
    "function-response": "tool",
}
SHOWN = ("system", "human", "gpt", "function_call", "observation")
TURN_KEYS = ("from", "value", "name", *FLAGS)
_FLAG = re.compile(r"train|learn|loss|weight|mask|label|ignore", re.IGNORECASE)
"""Keys that may say whether a turn is learned."""


def openai_row(row: dict[str, Any], context: Context) -> dict[str, Any]:
    """The same conversation in OpenAI's layout; the context learns what its parts are called. Raises Wrong."""
    turns = row.get("conversations")
    if not isinstance(turns, list):
        what = f"conversations is {kind_of(turns)}" if "conversations" in row else f"has no key 'conversations': its keys are {listed(row)}"
        raise Wrong([Problem("no messages", f'{what}, expected an array of {{"from": ..., "value": ...}}')])
    found = [problem for key in ("images", "videos", "audios") if (problem := media_problem(key, row.get(key)))]
    messages, places = _system(row, found)
    for index, turn in enumerate(turns):
        try:
            _take(messages, places, *_message(f"conversations[{index}]", turn, context), turn)
        except Wrong as exc:
            found += exc.problems
    tools: list[Any] = []
    try:
        tools = _tools(row.get("tools"))
    except Wrong as exc:
        found += exc.problems
    if found:
        raise Wrong(found)
    bare = [isinstance(tool, dict) and "function" not in tool for tool in tools]
    context.names = _names(
        turns, tuple(places), tuple(f"tools[{index}]{'' if is_bare else '.function'}" for index, is_bare in enumerate(bare))
    )
    wrapped = [{"type": "function", "function": tool} if is_bare else tool for tool, is_bare in zip(tools, bare, strict=True)]
    return {"messages": messages} | ({"tools": wrapped} if wrapped else {})


def media_problem(key: str, value: Any) -> Problem | None:
    """A row's images, videos or sounds."""
    return None if empty(value) else Problem("not learned", f"{key} is not empty: only text is supported, no images, audio or files")


def _names(turns: list[Any], places: tuple[MessagePath, ...], functions: tuple[str, ...]) -> Names:
    """What the parts are called in this row."""
    words = [word for word in ("human", "gpt", "observation", *(turn["from"] for turn in turns)) if word.lower() not in CALLING]
    own = {ROLES[word.lower()]: word for word in words}
    calling = next((turn["from"] for turn in turns if turn["from"].lower() in CALLING), "function_call")
    return Names(
        "conversations",
        "from",
        "value",
        roles=own,
        places=places,
        functions=functions,
        turn="a turn from",
        calling=f"a turn from {shown(calling)}",
        calls_are_turns=True,
    )


def _system(row: dict[str, Any], found: list[Problem]) -> tuple[list[dict[str, Any]], list[MessagePath]]:
    """The message that a key of its own holds, if it says something."""
    text = row.get("system")
    if empty(text) or (isinstance(text, str) and not text.strip()):
        return [], []
    found += text_problems("system", text)
    return [{"role": "system", "content": text}], [MessagePath("system", "system")]


def _take(
    messages: list[dict[str, Any]], places: list[MessagePath], message: dict[str, Any], place: MessagePath, turn: dict[str, Any]
) -> None:
    """Adds a turn; a call right behind another is a parallel call of the same message."""
    before = messages[-1] if messages else {}
    flags = [{flag: bool(said[flag]) for flag in FLAGS if said.get(flag) is not None} for said in (before, turn)]
    if message.get("tool_calls") and before.get("tool_calls") and flags[0] == flags[1]:
        messages[-1] = {**before, "tool_calls": [*before["tool_calls"], *message["tool_calls"]]}
        places[-1] = places[-1]._replace(calls=(*places[-1].calls, *place.calls))
        return
    messages.append(message)
    places.append(place)


def _message(path: str, turn: Any, context: Context) -> tuple[dict[str, Any], MessagePath]:
    found = list(_turn_problems(path, turn, context))
    if found:
        raise Wrong(found)
    role, value = turn["from"].lower(), turn["value"]
    flags = {flag: turn[flag] for flag in FLAGS if turn.get(flag) is not None and (ROLES[role] == "assistant" or turn[flag])}
    named = {"name": turn["name"]} if not empty(turn.get("name")) else {}
    if role not in CALLING:
        return {"role": ROLES[role], "content": value, **named, **flags}, MessagePath(path, f"{path}.value")
    calls = _calls(f"{path}.value", value)
    message = {"role": "assistant", "content": None, "tool_calls": calls, **flags}
    where = (f"{path}.value",) if len(calls) == 1 else tuple(f"{path}.value[{number}]" for number in range(len(calls)))
    return message, MessagePath(path, f"{path}.value", where)


def _turn_problems(path: str, turn: Any, context: Context) -> Iterator[Problem]:
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
    for key, value in turn.items():
        if key not in TURN_KEYS and not empty(value):
            yield from _key_problems(path, key, value, context)


def _key_problems(path: str, key: str, value: Any, context: Context) -> Iterator[Problem]:
    """A key of a turn that is not ShareGPT's: what may matter is refused, what only describes the turn is ignored, with a remark."""
    problem = legacy(f"{path}.{key}", key) or not_learnt(path, key)
    if key == "tool_calls":
        problem = Problem("unknown key", f"{path}.tool_calls is not ShareGPT's: write each call as a turn from 'function_call'")
    if problem:
        yield problem
    elif isinstance(value, str | int) and not isinstance(value, bool) and not _FLAG.search(key) and not did_you_mean(key, TURN_KEYS):
        context.remark(f"the key {shown(key)} of turns is not used")
    else:
        yield unknown_key(f"{path}.{key}", key, TURN_KEYS, "a turn")


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
    for call in calls:
        if extra := next((key for key in call if key not in ("name", "arguments", "id", "type") and not empty(call[key])), None):
            raise Wrong([unknown_key(f"{path}.{extra}", extra, ("name", "arguments"), "a call")])
    return [{"type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}} for call in calls]


def _tools(tools: Any) -> list[Any]:
    """An array, or its JSON text; functions stand in it bare or as in OpenAI's layout."""
    if empty(tools):
        return []
    try:
        value = parse_text(tools) if isinstance(tools, str) else tools
    except Wrong as exc:
        raise Wrong([Problem("wrong tools", f"tools {exc}")]) from exc
    if not isinstance(value, list):
        raise Wrong([Problem("wrong tools", f"tools is {kind_of(value)}, expected an array of functions, or its JSON text")])
    return value
