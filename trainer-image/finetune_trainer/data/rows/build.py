"""A record in its task's own layout to a Row: checked, then written in the one form that everything further on knows.

A layout is a plain dict: {"messages": ...}, {"prompt": ..., "completion": ...} and so on. What `explain` finds decides.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from finetune_api.resources.finetune_job import Task
from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.explain.chat import chat_problems, is_one_answer
from finetune_trainer.tasks.explain.content import says_nothing, text_of
from finetune_trainer.tasks.explain.labels import label_problems, label_text
from finetune_trainer.tasks.explain.names import OPENAI, Names
from finetune_trainer.tasks.explain.problem import kind_of
from finetune_trainer.tasks.explain.tags import tag_problems, tag_texts
from finetune_trainer.tasks.explain.texts import text_pair_problems
from finetune_trainer.tasks.explain.weights import weight_of
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.nulls import without_nulls
from finetune_trainer.tasks.rows import (
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
ONE_ANSWER = "the assistant's text and the tool calls in the message after it are learned as one message, as the served model returns them"
TWO_ANSWERS = (
    "the assistant has two messages in a row: each is learned as an answer of its own, after which the model stops; "
    "join them if they are one answer"
)


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
    plain_text: bool = False
    """True for task completion where the first rows have no prompts: rows may have an empty one."""

    def problems(self, row: dict[str, Any], names: Names) -> Iterator[Problem]:
        """All that is wrong with a row in the task's layout; `names` are those of a conversation's parts."""
        match self.task:
            case "chat":
                return chat_problems(row, self.extra, names)
            case "sequence-classification":
                return label_problems(row, self.multi_label, self.extra, self.names)
            case "token-classification":
                return tag_problems(row, self.bio, self.extra, self.names)
            case "completion":
                return text_pair_problems(row, ("prompt", "completion"), self.extra, self.names, may_be_empty=self.plain_text)
            case "summarization":
                return text_pair_problems(row, ("document", "summary"), self.extra, self.names)

    def build(self, row: Any, context: Context) -> Row:
        """The row; the context gets what is worth a note. Raises Wrong."""
        if not isinstance(row, dict):
            expected = " and ".join(f"{name!r}" for name in FIELDS[self.task] if name not in OPTIONAL)
            raise Wrong([Problem("not an object", f"is {kind_of(row)}{what_else(row)}, expected an object with {expected}")])
        if self.task == "chat":
            row = without_nulls(row, context)
        found = list(self.problems(row, context.names))
        if found:
            raise Wrong(found)
        return conversation(row, context) if self.task == "chat" else _BUILDERS[self.task](row)


def what_else(row: Any) -> str:
    """What a row may be that is no object."""
    if isinstance(row, list) and row and all(isinstance(item, dict) and "role" in item for item in row):
        return ' of messages without {"messages": ...} around it'
    if isinstance(row, str) and row.lstrip().startswith("{"):
        return " that holds the text of an object: the row was encoded twice"
    return ""


def conversation(row: dict[str, Any], context: Context) -> Conversation:
    """Of a row that is right."""
    tools = row.get("tools")
    return Conversation(
        [_message(message) for message in _joined(row["messages"], context)],
        [_tool(tool["function"]) for tool in tools] if tools else None,
        row.get("parallel_tool_calls"),
    )


def _joined(messages: list[dict[str, Any]], context: Context) -> Iterator[dict[str, Any]]:
    """The messages; an assistant's text and its calls in the message after it are one, as the served model gives them in one answer."""
    before: dict[str, Any] | None = None
    for message in messages:
        if before is None or message["role"] != "assistant" or before["role"] != "assistant":
            pass
        elif is_one_answer(before, message):
            before = {**message, "content": before["content"]}
            if not context.names.calls_are_turns:
                context.remark(ONE_ANSWER)
            continue
        else:
            context.remark(TWO_ANSWERS)
        if before is not None:
            yield before
        before = message
    if before is not None:
        yield before


def _message(message: dict[str, Any]) -> Message:
    content, calls = message.get("content"), message.get("tool_calls")
    role: Role = "system" if message["role"] == "developer" else message["role"]
    return Message(
        role,
        None if role == "assistant" and says_nothing(content) else text_of(content),
        weight_of(message),
        message.get("name"),
        [_call(call) for call in calls] if calls else None,
        message.get("tool_call_id"),
    )


def _call(call: dict[str, Any]) -> ToolCall:
    arguments = call["function"]["arguments"]
    if not isinstance(arguments, str):
        arguments = _json_text(arguments)
    return ToolCall(FunctionCall(call["function"]["name"], arguments), call.get("id"))


def _json_text(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except OverflowError:  # a whole number of more than 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _tool(function: dict[str, Any]) -> Tool:
    return Tool(Function(function["name"], function.get("description"), function.get("parameters"), function.get("strict")))


def text_label(row: dict[str, Any]) -> TextLabel:
    """Of a row that is right: labels as text, those of a list sorted."""
    label = row["label"]
    text = sorted(map(label_text, label)) if isinstance(label, list) else label_text(label)
    return TextLabel(row["text"], text, row.get("text_pair"))


_BUILDERS: dict[Task, Callable[[dict[str, Any]], Row]] = {
    "completion": lambda row: Completion(row["prompt"], row["completion"]),
    "summarization": lambda row: Summary(row["document"], row["summary"]),
    "sequence-classification": text_label,
    "token-classification": lambda row: TokenTags(list(row["tokens"]), tag_texts(row["tags"])),
}
