"""What is wrong with a row of task chat, in OpenAI's words. Tools have a file of their own."""

from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

from finetune_trainer.tasks.explain.content import content_problems, says_nothing
from finetune_trainer.tasks.explain.names import OPENAI, Names
from finetune_trainer.tasks.explain.problem import Problem, character_problems, did_you_mean, kind_of, listed, shown, unknown_key
from finetune_trainer.tasks.explain.tools import Calls, tool_list_problems
from finetune_trainer.tasks.explain.weights import FLAGS, is_learnt, weight_problems

ROLES = ("system", "developer", "user", "assistant", "tool")
OTHER_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "ai": "assistant", "model": "assistant", "function": "tool"}
EXPECTED = '{"messages": [{"role": ..., "content": ...}, ...]}'
KEYS = ("messages", "tools", "parallel_tool_calls")
MESSAGE_KEYS = ("role", "content", "weight", "name", "tool_calls", "tool_call_id")
NOT_LEARNT = {
    "refusal": "the served model refuses in content: move the text there to learn it",
    "reasoning_content": "it is not learned apart from content: write it there as the base's chat template does (<think>...</think>)",
    "reasoning": "it is not learned apart from content: write it there as the base's chat template does (<think>...</think>)",
    "thinking": "it is not learned apart from content: write it there as the base's chat template does (<think>...</think>)",
    "audio": "training takes text",
    "images": "training takes text",
    "annotations": "they are no part of the text that is learned",
    "train_detail": "parts of a message cannot be left out of the loss: use weight 0 for the whole message",
}
"""Keys of messages that other programs know, and why they cannot be honoured."""
_ONE_ROLE = {"tool_calls": "assistant", "tool_call_id": "tool"}


def chat_problems(row: dict[str, Any], fields: Collection[str] | None = (), names: Names = OPENAI) -> Iterator[Problem]:
    """All that is wrong with a row; `fields` are further keys that it may have (None: any)."""
    if "messages" not in row:
        yield Problem("no messages", f"has no key 'messages': its keys are {listed(row) or 'none'}, expected {EXPECTED}")
        return
    for key, value in row.items():
        if key not in KEYS and fields is not None and key not in fields and not empty(value):
            yield legacy(key, key) or unknown_key(key, key, KEYS, "a row")
    messages = row["messages"]
    if not isinstance(messages, list):
        yield Problem(
            "no messages", f"{names.messages} is {kind_of(messages)}{as_text(names.messages, messages)}, expected an array of messages"
        )
    elif not messages:
        yield Problem("no messages", f"{names.messages} is empty, expected at least a user's and an assistant's message")
    else:
        yield from _conversation_problems(row, messages, names)


def _conversation_problems(row: dict[str, Any], messages: list[Any], names: Names) -> Iterator[Problem]:
    found = [problem for index, message in enumerate(messages) for problem in message_problems(index, message, names)]
    tools = list(tool_list_problems(row, names))
    yield from found
    yield from tools
    if not found:
        yield from order_problems(messages, names)
        if not tools:
            yield from Calls(row, names).problems()


def message_problems(index: int, message: Any, names: Names = OPENAI) -> Iterator[Problem]:
    """What is wrong with one message by itself."""
    path = names.message(index)
    if not isinstance(message, dict):
        says = f"{path} is {kind_of(message)}, expected an object with {names.role} and {names.content}"
        yield Problem("message is not an object", says)
        return
    for key, value in message.items():
        if key not in MESSAGE_KEYS and key not in FLAGS and not empty(value):
            yield legacy(f"{path}.{key}", key) or not_learnt(path, key) or unknown_key(f"{path}.{key}", key, MESSAGE_KEYS, "a message")
    yield from role_problems(path, message, names)
    yield from content_problems(names.content_of(index), message, path)
    yield from weight_problems(path, message)
    yield from small_problems(path, message)


def as_text(key: str, value: Any) -> str:
    """What a string may be that stands in place of an array."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return ""
    return f" that holds the text of an array (jq -c '.{key} |= fromjson' FILE > rows.jsonl)"


def empty(value: Any) -> bool:
    """True for null and for what has nothing in it: OpenAI's own answers, and rows out of Arrow, are full of such keys."""
    return value is None or value in ("", [], {})


def not_learnt(path: str, key: str) -> Problem | None:
    """Keys that hold something which would be lost."""
    why = NOT_LEARNT.get(key)
    return Problem("not learned", f"{path}.{key} cannot be learned: {why}; or remove it") if why else None


def legacy(path: str, key: str) -> Problem | None:
    """Keys of OpenAI's API before tools."""
    instead = {"functions": "tools", "function_call": "tool_calls"}.get(key)
    return Problem("functions", f"{path} is OpenAI's older form of {instead}: use {instead} instead") if instead else None


def role_problems(path: str, message: dict[str, Any], names: Names) -> Iterator[Problem]:
    """What is wrong with a role."""
    if "role" not in message:
        yield Problem("no role", f"{path} has no {names.role}, expected one of {listed(ROLES)}")
    elif message["role"] not in ROLES:
        role = message["role"]
        hint = OTHER_ROLES.get(role.lower()) if isinstance(role, str) else None
        close = f" (did you mean {hint!r}?)" if hint else did_you_mean(role, ROLES) if isinstance(role, str) else ""
        yield Problem("unknown role", f"{path}.{names.role} is {shown(role)}{close}, expected one of {listed(ROLES)}")


def small_problems(path: str, message: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with the name, and with fields that belong to one role alone."""
    role, name = message.get("role"), message.get("name")
    if name is not None and (not isinstance(name, str) or not name.strip()):
        yield Problem("wrong name", f"{path}.name is {shown(name)}, expected a name, or no such key")
    elif isinstance(name, str):
        yield from character_problems(f"{path}.name", name)
    for key, owner in _ONE_ROLE.items():
        if message.get(key) not in (None, []) and role in ROLES and role != owner:
            article = "an" if owner == "assistant" else "a"
            yield Problem("wrong role", f"{path}.{key}: only {article} {owner}'s message has a {key}, this is the {role}'s; remove it")


def order_problems(messages: list[dict[str, Any]], names: Names) -> Iterator[Problem]:
    """What is wrong with messages that are each right."""
    roles = ["system" if message["role"] == "developer" else message["role"] for message in messages]
    for index, role in enumerate(roles[1:], start=1):
        if role == "system":
            says = f"{names.message(index)}.{names.role} is 'system', expected at {names.message(0)} only"
            yield Problem("wrong order", says)
    first = 1 if roles[0] == "system" else 0
    if roles[first:] and roles[first] in ("assistant", "tool"):
        says = f"{names.message(first)}.{names.role} is {names.said(roles[first])}, expected {names.said('user')}"
        yield Problem("wrong order", f"{says}: a conversation starts with the user")
    if "assistant" not in roles:
        yield Problem("no assistant message", f"{names.messages} has no message of the assistant, so there is nothing to learn")
    elif roles[-1] != "assistant":
        last = f"{names.message(len(roles) - 1)}.{names.role} is {names.said(roles[-1])}"
        yield Problem("wrong order", f"{last}, expected {names.said('assistant')}: the last message must be the assistant's")
    elif not any(is_learnt(message) for message in messages if message["role"] == "assistant"):
        yield Problem("nothing to learn", "every message of the assistant has weight 0, so there is nothing to learn")
    for index, (message, after) in enumerate(pairwise(messages)):
        if is_one_answer(message, after) and is_learnt(message) != is_learnt(after):
            both = f"{names.message(index)} and {names.message(index + 1)}"
            says = f"{both} are one answer of the assistant, a text and its tool calls, and only one of them has weight 0"
            yield Problem("wrong weight", f"{says}: give both the same weight")


def is_one_answer(message: dict[str, Any], after: dict[str, Any]) -> bool:
    """True for an assistant's text, and its tool calls in the message after it: what a model is asked for once."""
    return (
        message["role"] == after["role"] == "assistant"
        and message.get("tool_calls") in (None, [])
        and after.get("tool_calls") not in (None, [])
        and says_nothing(after.get("content"))
        and message.get("name") == after.get("name")
    )
