"""A record in its task's own layout to a Row: checked, then written in the one form that everything further on knows.

A layout is a plain dict: {"messages": ...}, {"prompt": ..., "completion": ...} and so on. What `explain` finds decides.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from finetune_api.resources.finetune_job import Task
from finetune_trainer.data.rows.explain import Problem, Wrong
from finetune_trainer.data.rows.explain.chat import OPENAI, Names, chat_problems
from finetune_trainer.data.rows.explain.labels import label_problems, label_text
from finetune_trainer.data.rows.explain.problem import kind_of
from finetune_trainer.data.rows.explain.tags import tag_problems
from finetune_trainer.data.rows.explain.texts import text_pair_problems
from finetune_trainer.data.rows.types import (
    Completion,
    Conversation,
    Function,
    FunctionCall,
    Message,
    Role,
    Row,
    Summary,
    TextLabel,
    TokenTags,
    Tool,
    ToolCall,
)

FIELDS: dict[Task, tuple[str, ...]] = {
    "chat": ("messages", "tools", "parallel_tool_calls"),
    "completion": ("prompt", "completion"),
    "summarization": ("document", "summary"),
    "sequence-classification": ("text", "text_pair", "label"),
    "token-classification": ("tokens", "tags"),
}
"""What a row of each task has."""
OPTIONAL = ("tools", "parallel_tool_calls", "text_pair")


@dataclass(frozen=True)
class Layout:
    """How rows of one file are to be judged."""

    task: Task
    extra: frozenset[str] | None = frozenset()
    """Further keys that a row may have; None: any."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Field of the task -> what the file calls it, for messages."""
    chat_names: Names = OPENAI
    multi_label: bool | None = None
    bio: bool = False

    def problems(self, row: dict[str, Any]) -> Iterator[Problem]:
        """All that is wrong with a row in the task's layout."""
        match self.task:
            case "chat":
                return chat_problems(row, self.extra, self.chat_names)
            case "sequence-classification":
                return label_problems(row, self.multi_label, self.extra, self.names)
            case "token-classification":
                return tag_problems(row, self.bio, self.extra, self.names)
            case "completion":
                return text_pair_problems(row, ("prompt", "completion"), self.extra, self.names)
            case "summarization":
                return text_pair_problems(row, ("document", "summary"), self.extra, self.names)

    def build(self, row: Any) -> Row:
        """The row. Raises Wrong."""
        if not isinstance(row, dict):
            expected = " and ".join(f"{name!r}" for name in FIELDS[self.task] if name not in OPTIONAL)
            raise Wrong([Problem("not an object", f"is {kind_of(row)}, expected an object with {expected}")])
        found = list(self.problems(row))
        if found:
            raise Wrong(found)
        return _BUILDERS[self.task](row)


def conversation(row: dict[str, Any]) -> Conversation:
    """Of a row that is right."""
    tools = row.get("tools")
    return Conversation(
        [_message(message) for message in row["messages"]],
        [_tool(tool["function"]) for tool in tools] if tools else None,
        row.get("parallel_tool_calls"),
    )


def _message(message: dict[str, Any]) -> Message:
    content, calls, weight = message.get("content"), message.get("tool_calls"), message.get("weight")
    if isinstance(content, list):
        content = "\n".join(part["text"] for part in content)
    role: Role = "system" if message["role"] == "developer" else message["role"]
    return Message(
        role,
        content or None,
        None if weight is None else 1 if weight else 0,
        message.get("name"),
        [_call(call) for call in calls] if calls else None,
        message.get("tool_call_id"),
    )


def _call(call: dict[str, Any]) -> ToolCall:
    arguments = call["function"]["arguments"]
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    return ToolCall(FunctionCall(call["function"]["name"], arguments), call.get("id"))


def _tool(function: dict[str, Any]) -> Tool:
    return Tool(Function(function["name"], function.get("description"), function.get("parameters"), function.get("strict")))


def text_label(row: dict[str, Any]) -> TextLabel:
    """Of a row that is right: labels as text, those of a list sorted."""
    label = row["label"]
    text = sorted(map(label_text, label)) if isinstance(label, list) else label_text(label)
    return TextLabel(row["text"], text, row.get("text_pair"))


_BUILDERS: dict[Task, Callable[[dict[str, Any]], Row]] = {
    "chat": conversation,
    "completion": lambda row: Completion(row["prompt"], row["completion"]),
    "summarization": lambda row: Summary(row["document"], row["summary"]),
    "sequence-classification": text_label,
    "token-classification": lambda row: TokenTags(list(row["tokens"]), [label_text(tag) for tag in row["tags"]]),
}
