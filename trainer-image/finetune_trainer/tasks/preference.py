"""Rows of a prompt and two answers, of which the first is preferred: what the tasks chat and completion learn from with the
objectives dpo and orpo."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from finetune_trainer.tasks.completion import Completion
from finetune_trainer.tasks.conversation import Conversation, Message, Tool, conversation, said
from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.explain.names import Names
from finetune_trainer.tasks.explain.preferences import answer_problems, same_answer, text_pair_of_answers_problems, unknown_keys
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import SINGLE_ANSWERS, Fields, Form, Hint, Records, is_messages, rated
from finetune_trainer.tasks.layouts.preferences import (
    OPENAI_KEYS,
    OPENAI_NAMES,
    PROMPT_NAMES,
    Prompted,
    as_messages,
    from_openai,
)
from finetune_trainer.tasks.layouts.steps import Known
from finetune_trainer.tasks.learner import LanguageTask
from finetune_trainer.tasks.plain import PlainLines, say_something
from finetune_trainer.tasks.rows import Row
from finetune_trainer.tasks.task import RowLayout

CHOSEN = ("chosen", "preferred", "chosen_response", "winner", "accepted", "better")
REJECTED = ("rejected", "dispreferred", "rejected_response", "loser", "worse")


class ChatPair(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, gc=False):
    """A conversation that goes on in two ways."""

    prompt: list[Message]
    """The assistant's messages in it have weight 0."""
    chosen: list[Message]
    rejected: list[Message]
    tools: list[Tool] | None = None
    parallel_tool_calls: bool | None = None


class TextPair(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """A text that goes on in two ways."""

    prompt: str
    chosen: str
    rejected: str


class PairTask(LanguageTask):
    """What pairs of conversations and of texts have in common."""

    fields: tuple[str, ...] = ("prompt", "chosen", "rejected")

    def sides(self, row: Any) -> tuple[Row, Row]:
        """The preferred answer and the other one, each as a row that is rendered by itself."""
        raise NotImplementedError

    def refused(self, keys: Sequence[str], first: Records) -> Form | None:
        """Single answers, and rated ones."""
        if form := rated(keys, first):
            return form
        if {"chosen", "rejected"} <= set(keys) or set(OPENAI_KEYS) <= set(keys):
            return None
        single = next((field for field in SINGLE_ANSWERS if field in keys), "")
        if not single:
            return None
        return Form(
            f"holds one answer a row ({single!r}), and this objective learns from pairs: write each row with 'prompt', 'chosen' and "
            "'rejected', or set method.objective: sft to learn the answers as they are",
            "objective",
        )


class ChatPairTask(PairTask):
    """Pairs for task chat: the row is rendered by the chat template once with each answer."""

    name = "chat"
    title = "prompt/chosen/rejected"
    fields = ("prompt", "chosen", "rejected", "tools", "parallel_tool_calls")
    optional = ("prompt", "tools", "parallel_tool_calls")
    example = {
        "prompt": [{"role": "user", "content": "What is 2 + 2?"}],
        "chosen": [{"role": "assistant", "content": "4"}],
        "rejected": [{"role": "assistant", "content": "Why do you ask?"}],
    }
    aliases = (
        {"chosen": "preferred", "rejected": "rejected"},
        {"chosen": "chosen_response", "rejected": "rejected_response"},
    )
    json_fields = ("tools", "parallel_tool_calls", "input", "preferred_output", "non_preferred_output")
    json_lists = ("prompt", "chosen", "rejected")
    hints = {
        "chosen": Hint(CHOSEN, "an answer, as text or as messages", lambda value: isinstance(value, str) or is_messages(value)),
        "rejected": Hint(REJECTED, "an answer, as text or as messages", lambda value: isinstance(value, str) or is_messages(value)),
    }
    prompting = "chat"
    tools = True

    def own(self, keys: Sequence[str], known: Sequence[str]) -> Known:
        """The prompt may have another name, and a system message beside it."""
        other = next((name for name in PROMPT_NAMES if name in keys and name not in known), "")
        if "prompt" in keys or not other:
            return Known(self.title)
        step = Prompted(other)
        return Known(f"{other}/chosen/rejected", {"prompt": other}, (step,), used=frozenset({other, "system"}))

    def foreign(self, keys: Sequence[str], first: Records, *, signed: bool) -> Known | None:
        """OpenAI's form."""
        if set(OPENAI_KEYS) <= set(keys):
            return Known("OpenAI preference", OPENAI_NAMES, (from_openai,), used=frozenset(OPENAI_KEYS), strict=True)
        return super().foreign(keys, first, signed=signed)

    def row(self, fields: Any, layout: RowLayout, context: Context) -> Row:
        """Of three lists of messages."""
        if not isinstance(fields, dict):
            return super().row(fields, layout, context)
        known = OPENAI_KEYS if layout.names.get("chosen") == OPENAI_NAMES["chosen"] else self.fields
        unknown = list(unknown_keys({key: value for key, value in fields.items() if key not in self.fields}, known, layout.extra))
        if unknown:
            raise Wrong(unknown)
        return super().row(as_messages(fields, layout.names, context), layout, context)

    def problems(self, fields: Fields, layout: RowLayout, names: Names) -> Iterator[Problem]:
        return answer_problems(fields, layout.names, names)

    def build(self, fields: Fields, context: Context) -> ChatPair:
        tools = {key: fields.get(key) for key in ("tools", "parallel_tool_calls")}
        prompt = conversation({"messages": fields["prompt"], **tools}, context)
        chosen, rejected = (
            conversation({"messages": [*fields["prompt"], *fields[side]]}, context).messages[len(prompt.messages) :]
            for side in ("chosen", "rejected")
        )
        if chosen == rejected:
            raise Wrong([same_answer({})])
        return ChatPair(list(map(unlearned, prompt.messages)), chosen, rejected, prompt.tools, prompt.parallel_tool_calls)

    def sides(self, row: ChatPair) -> tuple[Conversation, Conversation]:
        chosen, rejected = (
            Conversation([*row.prompt, *answer], row.tools, row.parallel_tool_calls) for answer in (row.chosen, row.rejected)
        )
        return chosen, rejected

    def conversation(self, row: ChatPair | Conversation, *, instructed: bool = False) -> Conversation:
        """With the preferred answer; a side is one already."""
        return row if isinstance(row, Conversation) else self.sides(row)[0]

    def request(self, *, chat: bool) -> tuple[str, str]:
        return "Hello!", "As any chat model:"

    def text(self, row: ChatPair) -> str:
        """What was said before the answers, and both of them."""
        return said((*row.prompt, *row.chosen, *row.rejected))

    def turns(self, row: ChatPair) -> int:
        return len(row.prompt) + len(row.chosen)


class TextPairTask(PairTask):
    """Pairs for task completion."""

    name = "completion"
    title = "prompt/chosen/rejected"
    example = {"prompt": "2 + 2 =", "chosen": " 4", "rejected": " five"}
    hints = {
        "prompt": Hint(("prompt", *PROMPT_NAMES)),
        "chosen": Hint(CHOSEN),
        "rejected": Hint(REJECTED),
    }

    def refused(self, keys: Sequence[str], first: Records) -> Form | None:
        """Messages as well."""
        if any(is_messages(row.get("chosen")) for row in first) or set(OPENAI_KEYS) <= set(keys):
            return Form("holds pairs of answers as messages, which is data for task chat: set task: chat", "task")
        return super().refused(keys, first)

    def problems(self, fields: Fields, layout: RowLayout, names: Names) -> Iterator[Problem]:
        return text_pair_of_answers_problems(fields, self.fields, layout.extra, layout.names)

    def build(self, fields: Fields, context: Context) -> TextPair:
        return TextPair(fields["prompt"], fields["chosen"], fields["rejected"])

    def plain(self, layout: RowLayout) -> PlainLines:
        return PlainLines(TextPair, _pairs)

    def sides(self, row: TextPair) -> tuple[Completion, Completion]:
        return Completion(row.prompt, row.chosen), Completion(row.prompt, row.rejected)

    def texts(self, row: TextPair | Completion, *, instructed: bool = False) -> tuple[str, str]:
        """With the preferred answer; a side has one alone."""
        return (row.prompt, row.completion) if isinstance(row, Completion) else (row.prompt, row.chosen)

    def text(self, row: TextPair) -> str:
        return "\n".join((row.prompt, row.chosen, row.rejected))


def unlearned(message: Message) -> Message:
    """A message of the prompt, which is no answer."""
    return msgspec.structs.replace(message, weight=0) if message.role == "assistant" else message


def _pairs(found: list[Any]) -> list[Any] | None:
    """Rows of three texts with two different answers."""
    texts = [text for row in found for text in (row.prompt, row.chosen, row.rejected)]
    if not say_something(texts) or any(row.chosen.strip() == row.rejected.strip() for row in found):
        return None
    return found


PAIRS: Mapping[str, PairTask] = {task.name: task for task in (ChatPairTask(), TextPairTask())}
"""By the task whose model learns from them."""
