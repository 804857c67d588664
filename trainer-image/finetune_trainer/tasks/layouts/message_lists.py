"""Conversations whose messages do not all stand in one list: TRL's prompt and completion, and a key `system` beside `messages`."""

from dataclasses import replace
from typing import Any

from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.explain.chat import empty
from finetune_trainer.tasks.explain.names import MessagePath, Names
from finetune_trainer.tasks.explain.problem import kind_of
from finetune_trainer.tasks.layouts.context import Context

SCHEMA_VERSION = "schemaVersion"
"""What Bedrock's rows begin with: "bedrock-conversation-2024"."""


def prompt_and_completion(row: dict[str, Any], context: Context) -> dict[str, Any]:
    """TRL's: both are lists of messages, and only the completion's are learned. Raises Wrong."""
    messages: list[Any] = []
    places: list[MessagePath] = []
    for key, role in (("prompt", "user"), ("completion", "assistant")):
        value = row.get(key)
        if not isinstance(value, str | list):
            what = f"{key} is {kind_of(value)}" if key in row else f"has no key {key!r}"
            raise Wrong([Problem(f"no {key}", f"{what}, expected an array of messages")])
        given = [{"role": role, "content": value}] if isinstance(value, str) else value
        for index, message in enumerate(given):
            path = key if isinstance(value, str) else f"{key}[{index}]"
            calls = message.get("tool_calls") if isinstance(message, dict) else None
            count = len(calls) if isinstance(calls, list) else 0
            places.append(MessagePath(path, f"{path}.content", tuple(f"{path}.tool_calls[{number}]" for number in range(count))))
            asked = key == "prompt" and isinstance(message, dict) and message.get("role") == "assistant"
            messages.append({**message, "weight": 0} if asked else message)
    context.names = Names("prompt and completion", places=tuple(places), function=".function")
    rest = {key: value for key, value in row.items() if key not in ("prompt", "completion")}
    return {**rest, "messages": messages}


def system_first(row: dict[str, Any], context: Context) -> dict[str, Any]:
    """Anthropic's and Bedrock's: the system message has a key of its own, as text or as parts."""
    row = {key: value for key, value in row.items() if not (key == SCHEMA_VERSION and str(value).startswith("bedrock-conversation"))}
    system = row.pop("system", None)
    if empty(system) or (isinstance(system, str) and not system.strip()) or not isinstance(row.get("messages"), list):
        return row
    context.names = replace(context.names, shift=1)
    return {**row, "messages": [{"role": "system", "content": system}, *row["messages"]]}
