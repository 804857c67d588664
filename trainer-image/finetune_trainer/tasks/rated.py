"""Rows of a prompt, an answer, and whether it is desirable: what the tasks chat and completion learn from with the objective kto."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from finetune_trainer.tasks.conversation import Conversation, Message, Tool, conversation, said
from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.explain.names import Names
from finetune_trainer.tasks.explain.preferences import answer_problems, unknown_keys
from finetune_trainer.tasks.explain.ratings import label_of, rating_problems
from finetune_trainer.tasks.explain.texts import text_pair_problems
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import PAIR_HINTS, SINGLE_ANSWERS, Fields, Form, Hint, Records, is_messages
from finetune_trainer.tasks.layouts.preferences import OPENAI_KEYS
from finetune_trainer.tasks.layouts.ratings import FromConversation, in_one_field, prompt_and_answer
from finetune_trainer.tasks.layouts.steps import Known, Renamed
from finetune_trainer.tasks.learner import LanguageTask
from finetune_trainer.tasks.plain import PlainLines, pairs
from finetune_trainer.tasks.preference import unlearned
from finetune_trainer.tasks.rows import Row
from finetune_trainer.tasks.task import RowLayout

LABEL = Hint(
    ("label", "desirable", "rating", "feedback", "thumbs_up", "liked", "good"), "true or false", lambda value: label_of(value) is not None
)


def is_said(value: Any) -> bool:
    """A text, or messages."""
    return isinstance(value, str) or is_messages(value)


def has_messages(field: str, first: Records) -> bool:
    """True where rows have messages in a field; ShareGPT's turns are none."""
    return any(is_messages(row.get(field)) for row in first)


class RatedChat(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, gc=False):
    """A conversation whose end is rated."""

    prompt: list[Message]
    """The assistant's messages in it have weight 0."""
    completion: list[Message]
    label: bool
    """True: desirable."""
    tools: list[Tool] | None = None
    parallel_tool_calls: bool | None = None


class RatedText(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """A text that goes on with another one, which is rated."""

    prompt: str
    completion: str
    label: bool


class RatedTask(LanguageTask):
    """What rated conversations and texts have in common."""

    title = "prompt/completion/label"
    fields: tuple[str, ...] = ("prompt", "completion", "label")

    def label(self, row: Any) -> bool:
        """True for a desirable answer."""
        label: bool = row.label
        return label

    def labels(self, row: Any) -> tuple[str, ...]:
        """As JSON has it."""
        return ("true" if row.label else "false",)

    def refused(self, keys: Sequence[str], first: Records) -> Form | None:
        """Pairs of answers, and answers that are not rated."""
        if {"chosen", "rejected"} <= set(keys) or set(OPENAI_KEYS) <= set(keys):
            return Form("holds pairs of answers, and objective kto rates single ones: set method.objective: dpo (or orpo)", "objective")
        single = next((field for field in SINGLE_ANSWERS if field in keys and (field != "conversations" or has_messages(field, first))), "")
        if not single or LABEL.names[0] in keys:
            return None
        columns = ", ".join(f"{field}: {name}" for field, name in {SINGLE_ANSWERS[single]: single, "label": "..."}.items() if field != name)
        return Form(
            f"holds answers without a label ({single!r}), and objective kto learns whether an answer is desirable: add 'label' to each "
            f"row, true or false (where another field says it, name it with columns: {{{columns}}}), or set method.objective: sft to learn "
            "the answers as they are",
            "objective",
        )


class RatedChatTask(RatedTask):
    """Rated answers of task chat."""

    name = "chat"
    fields = ("prompt", "completion", "label", "tools", "parallel_tool_calls")
    optional = ("tools", "parallel_tool_calls")
    example = {
        "prompt": [{"role": "user", "content": "What is 2 + 2?"}],
        "completion": [{"role": "assistant", "content": "4"}],
        "label": True,
    }
    json_fields = ("tools", "parallel_tool_calls", "messages")
    json_lists = ("prompt", "completion")
    hints = {
        "prompt": PAIR_HINTS["prompt"]._replace(what="a question, as text or as messages", holds=is_said),
        "completion": PAIR_HINTS["completion"]._replace(what="an answer, as text or as messages", holds=is_said),
        "label": LABEL,
    }
    also = ", or 'messages' instead of 'prompt' and 'completion'"
    prompting = "chat"
    tools = True

    def foreign(self, keys: Sequence[str], first: Records, *, signed: bool) -> Known | None:
        """A conversation and a label."""
        if {"conversations", "label"} <= set(keys) and has_messages("conversations", first):
            return self.by_columns({"messages": "conversations"}, keys)
        if {"messages", "label"} <= set(keys):
            step, used = FromConversation(), frozenset({"messages", *self.fields[2:]})
            return Known("messages/label", step.names, (step,), used=used, strict=True)
        return super().foreign(keys, first, signed=signed)

    def by_columns(self, columns: Mapping[str, str], keys: Sequence[str]) -> Known | None:
        """A conversation and a label, one of which has another name."""
        fields = ("messages", *self.fields[2:])
        if not columns.keys() <= set(fields) or ("messages" not in columns and ("messages" not in keys or "completion" in keys)):
            return None
        columns = {"messages": "messages", "label": "label", **columns}
        step = FromConversation(columns["messages"])
        names = step.names | {field: name for field, name in columns.items() if field != "messages"}
        words = f"{columns['messages']}/{columns['label']}"
        return Known(words, names, (Renamed(columns, fields, self.optional), step), used=frozenset(self.optional))

    def row(self, fields: Any, layout: RowLayout, context: Context) -> Row:
        """Of two lists of messages and a label."""
        if not isinstance(fields, dict):
            return super().row(fields, layout, context)
        known = ("messages", *self.fields[2:]) if in_one_field(layout.names) else self.fields
        if unknown := list(unknown_keys({key: value for key, value in fields.items() if key not in self.fields}, known, layout.extra)):
            raise Wrong(unknown)
        return super().row(prompt_and_answer(fields, layout.names, context), layout, context)

    def problems(self, fields: Fields, layout: RowLayout, names: Names) -> Iterator[Problem]:
        yield from answer_problems(fields, layout.names, names, ("completion",))
        yield from rating_problems(fields, layout.names.get("label", "label"))

    def build(self, fields: Fields, context: Context) -> RatedChat:
        tools = {key: fields.get(key) for key in ("tools", "parallel_tool_calls")}
        prompt = conversation({"messages": fields["prompt"], **tools}, context)
        whole = conversation({"messages": [*fields["prompt"], *fields["completion"]], **tools}, context)
        return RatedChat(
            list(map(unlearned, prompt.messages)),
            whole.messages[len(prompt.messages) :],
            label_of(fields["label"]) is True,
            prompt.tools,
            prompt.parallel_tool_calls,
        )

    def conversation(self, row: RatedChat, *, instructed: bool = False) -> Conversation:
        return Conversation([*row.prompt, *row.completion], row.tools, row.parallel_tool_calls)

    def request(self, *, chat: bool) -> tuple[str, str]:
        return "Hello!", "As any chat model:"

    def text(self, row: RatedChat) -> str:
        """What was said; not system messages and tools, which many rows share."""
        return said((*row.prompt, *row.completion))

    def turns(self, row: RatedChat) -> int:
        return len(row.prompt) + len(row.completion)


class RatedTextTask(RatedTask):
    """Rated answers of task completion."""

    name = "completion"
    example = {"prompt": "2 + 2 =", "completion": " 4", "label": True}
    hints = PAIR_HINTS | {"label": LABEL}

    def refused(self, keys: Sequence[str], first: Records) -> Form | None:
        """Messages as well."""
        if any(has_messages(key, first) for key in ("prompt", "completion", "messages", "conversations")):
            return Form("holds answers as messages, which is data for task chat: set task: chat", "task")
        return super().refused(keys, first)

    def problems(self, fields: Fields, layout: RowLayout, names: Names) -> Iterator[Problem]:
        yield from unknown_keys(fields, self.fields, layout.extra)
        yield from text_pair_problems(fields, ("prompt", "completion"), None, layout.names)
        yield from rating_problems(fields, layout.names.get("label", "label"))

    def build(self, fields: Fields, context: Context) -> RatedText:
        return RatedText(fields["prompt"], fields["completion"], label_of(fields["label"]) is True)

    def plain(self, layout: RowLayout) -> PlainLines:
        return PlainLines(RatedText, pairs)

    def texts(self, row: RatedText, *, instructed: bool = False) -> tuple[str, str]:
        return row.prompt, row.completion


RATED: Mapping[str, RatedTask] = {task.name: task for task in (RatedChatTask(), RatedTextTask())}
"""By the task whose model learns from them."""
