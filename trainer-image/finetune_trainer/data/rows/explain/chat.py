"""What is wrong with a row of task chat, in OpenAI's words. Tools have a file of their own."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from finetune_trainer.data.rows.explain.problem import (
    BLANK,
    Problem,
    character_problems,
    did_you_mean,
    kind_of,
    listed,
    nothing,
    shown,
    text_problems,
    unknown_key,
)
from finetune_trainer.data.rows.explain.tools import Calls, tool_list_problems

ROLES = ("system", "developer", "user", "assistant", "tool")
OTHER_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "ai": "assistant", "model": "assistant", "function": "tool"}
EXPECTED = '{"messages": [{"role": ..., "content": ...}, ...]}'
KEYS = ("messages", "tools", "parallel_tool_calls")
MESSAGE_KEYS = ("role", "content", "weight", "name", "tool_calls", "tool_call_id")
EMPTY_IN_LOGS = ("refusal", "audio", "annotations", "function_call", "functions", "reasoning_content")
"""Keys that OpenAI's own answers carry although they say nothing: passed over while they are null or empty."""
_ONE_ROLE = {"weight": "assistant", "tool_calls": "assistant", "tool_call_id": "tool"}


@dataclass(frozen=True)
class Names:
    """What a file calls the parts of a conversation."""

    messages: str = "messages"
    role: str = "role"
    content: str = "content"
    shift: int = 0
    """Messages that stand before the file's own list, as a system message of a key of its own does."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Roles that the file has other words for."""

    def message(self, index: int) -> str:
        """messages[2], conversations[1], system."""
        return f"{self.messages}[{index - self.shift}]" if index >= self.shift else "system"

    def said(self, role: str) -> str:
        """A role in the file's words, in quotes."""
        return shown(self.roles.get(role, role))


OPENAI = Names()


def chat_problems(row: dict[str, Any], fields: Collection[str] | None = (), names: Names = OPENAI) -> Iterator[Problem]:
    """All that is wrong with a row; `fields` are further keys that it may have (None: any)."""
    if "messages" not in row:
        yield Problem("no messages", f"has no key 'messages': its keys are {listed(row) or 'none'}, expected {EXPECTED}")
        return
    for key, value in row.items():
        if key not in KEYS and fields is not None and key not in fields and not (key in EMPTY_IN_LOGS and not value):
            yield legacy(key, key) or unknown_key(key, key, KEYS, "a row")
    messages = row["messages"]
    if not isinstance(messages, list):
        yield Problem("no messages", f"{names.messages} is {kind_of(messages)}, expected an array of messages")
    elif not messages:
        yield Problem("no messages", f"{names.messages} is empty, expected at least a user's and an assistant's message")
    else:
        yield from _conversation_problems(row, messages, names)


def _conversation_problems(row: dict[str, Any], messages: list[Any], names: Names) -> Iterator[Problem]:
    found = [problem for index, message in enumerate(messages) for problem in message_problems(names.message(index), message, names)]
    tools = list(tool_list_problems(row))
    yield from found
    yield from tools
    if not found:
        yield from order_problems(messages, names)
        if not tools:
            yield from Calls(row, names.message).problems()


def message_problems(path: str, message: Any, names: Names = OPENAI) -> Iterator[Problem]:
    """What is wrong with one message by itself."""
    if not isinstance(message, dict):
        says = f"{path} is {kind_of(message)}, expected an object with {names.role} and {names.content}"
        yield Problem("message is not an object", says)
        return
    for key, value in message.items():
        if key not in MESSAGE_KEYS and not (key in EMPTY_IN_LOGS and not value):
            yield legacy(f"{path}.{key}", key) or unknown_key(f"{path}.{key}", key, MESSAGE_KEYS, "a message")
    yield from role_problems(path, message, names)
    yield from content_problems(f"{path}.{names.content}", message)
    yield from small_problems(path, message)


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


def content_problems(path: str, message: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with a content: only a message that calls tools needs none."""
    content, calls = message.get("content"), any(message.get(key) not in (None, []) for key in ("tool_calls", "function_call"))
    if calls and message.get("role") == "assistant" and content in (None, "", []):
        return
    if "content" not in message:
        yield Problem("no content", f"{path.rpartition('.')[0]} has no {path.rpartition('.')[2]}, expected a string")
    elif isinstance(content, list):
        yield from part_problems(path, content)
    elif isinstance(content, str) and not content.strip(BLANK) and message.get("role") == "tool":
        yield Problem("empty content", f'{path} is {nothing(content)}, expected what the tool returned: for nothing write "(no output)"')
    else:
        yield from text_problems(path, content, missing="content is not text")


def part_problems(path: str, parts: list[Any]) -> Iterator[Problem]:
    """What is wrong with a content of parts: they must be texts."""
    wrong = False
    for index, part in enumerate(parts):
        what = part.get("type") if isinstance(part, dict) else None
        if what != "text":
            seen = f"of type {shown(what)}" if isinstance(part, dict) else kind_of(part)
            kind = "content is not text"
            says = f'{path}[{index}] is {seen}, expected {{"type": "text", "text": ...}}: training takes text, no images, audio or files'
        elif not isinstance(part.get("text"), str):
            kind, says = "content is not text", f"{path}[{index}].text is {kind_of(part.get('text'))}, expected a string"
        elif extra := next((key for key in part if key not in ("type", "text")), None):
            kind, says = "unknown key", f"{path}[{index}].{extra} is not a known key: a part has 'type' and 'text'; remove it"
        else:
            yield from character_problems(f"{path}[{index}].text", part["text"])
            continue
        wrong = True
        yield Problem(kind, says)
    if not wrong and not any(part["text"].strip(BLANK) for part in parts):
        yield Problem("empty content", f"{path} is {nothing(''.join(part['text'] for part in parts))}, expected text")


def small_problems(path: str, message: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with weight, name, and fields that belong to one role alone."""
    role, weight, name = message.get("role"), message.get("weight"), message.get("name")
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        yield Problem("wrong weight", f"{path}.weight is {shown(weight)}, expected 0 or 1")
    if name is not None and (not isinstance(name, str) or not name.strip()):
        yield Problem("wrong name", f"{path}.name is {shown(name)}, expected a name, or no such key")
    elif isinstance(name, str):
        yield from character_problems(f"{path}.name", name)
    for key, owner in _ONE_ROLE.items():
        if message.get(key) not in (None, []) and role in ROLES and role != owner:
            kind = "wrong weight" if key == "weight" else "wrong role"
            article = "an" if owner == "assistant" else "a"
            yield Problem(kind, f"{path}.{key}: only {article} {owner}'s message has a {key}, this is the {role}'s; remove it")


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
        yield Problem("wrong order", f"{last}, expected {names.said('assistant')}: the last word is the assistant's")
    elif all(message.get("weight") == 0 for message in messages if message["role"] == "assistant"):
        yield Problem("nothing to learn", "every message of the assistant has weight 0, so there is nothing to learn")
