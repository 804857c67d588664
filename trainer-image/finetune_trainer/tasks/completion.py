"""Task completion: {"prompt": ..., "completion": ...}, or plain text of which every token is learned."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from finetune_trainer.tasks.explain import Problem
from finetune_trainer.tasks.explain.names import Names
from finetune_trainer.tasks.explain.texts import text_pair_problems
from finetune_trainer.tasks.layouts.alpaca import instructions
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import PAIR_HINTS, Fields, Form, Records, is_messages, preference, rated, spans
from finetune_trainer.tasks.layouts.steps import Known, Renamed, as_text
from finetune_trainer.tasks.learner import LanguageTask
from finetune_trainer.tasks.plain import PlainLines, pairs, say_something
from finetune_trainer.tasks.task import Judged, RowLayout

PLAIN_TEXT = "plain text"
NO_PROMPTS = "rows have no prompt: they are plain text, of which every token is learned"


class Completion(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """A row."""

    prompt: str
    """Empty in a file of plain text."""
    completion: str


class CompletionTask(LanguageTask):
    """A text that goes on with another one. The layout's variant is PLAIN_TEXT where the first rows have no prompts."""

    name = "completion"
    title = "prompt/completion"
    fields = ("prompt", "completion")
    example = {"prompt": "2 + 2 =", "completion": " 4"}
    signs = {
        frozenset({"prompt", "completion"}): "rows of prompt and completion",
        frozenset({"instruction", "output"}): "Alpaca rows (instruction and output)",
    }
    hints = PAIR_HINTS
    also = ", or 'text' alone"
    pair = ()
    empty_prompt = True

    def by_columns(self, columns: Mapping[str, str], keys: Sequence[str]) -> Known | None:
        """A text alone is plain text."""
        return plain_text(columns["text"]) if "text" in columns and not set(self.fields) & columns.keys() else None

    def foreign(self, keys: Sequence[str], first: Records, *, signed: bool) -> Known | None:
        """Alpaca's and Dolly's instructions; texts, where nothing else is known of the rows."""
        if known := instructions(keys, as_chat=False):
            return known
        return plain_text("text") if "text" in keys and not signed else None

    def refused(self, keys: Sequence[str], first: Records) -> Form | None:
        """Messages as well."""
        if form := preference(self.answer_fields, keys, first, chat=False):
            return form
        if first and all(is_messages(row.get("prompt")) for row in first):
            return Form(
                "holds chat rows (prompt and completion are lists of messages), which is data for task chat: set task: chat", "task"
            )
        return rated(keys, first) or spans(keys, first)

    def judge(self, rows: Records, layout: RowLayout, words: str) -> Judged | None:
        """None of the rows has a prompt, or all of them must."""
        prompts = [row.get("prompt") for row in rows]
        if not prompts or any(prompt != "" for prompt in prompts):
            return None
        return Judged(PLAIN_TEXT, words if words == PLAIN_TEXT else f"{words}, {PLAIN_TEXT}", (NO_PROMPTS,))

    def problems(self, fields: Fields, layout: RowLayout, names: Names) -> Iterator[Problem]:
        return text_pair_problems(fields, self.fields, layout.extra, layout.names, may_be_empty=layout.variant == PLAIN_TEXT)

    def build(self, fields: Fields, context: Context) -> Completion:
        return Completion(fields["prompt"], fields["completion"])

    def plain(self, layout: RowLayout) -> PlainLines:
        return PlainLines(Completion, _texts if layout.variant == PLAIN_TEXT else pairs)

    def texts(self, row: Completion, *, instructed: bool = False) -> tuple[str, str]:
        return row.prompt, row.completion


def plain_text(column: str) -> Known:
    """Texts without prompts in a column of this name."""
    names = {"completion": column}
    return Known(PLAIN_TEXT, names, (Renamed(names, ("completion",)), as_text), variant=PLAIN_TEXT)


def _texts(found: list[Any]) -> list[Any] | None:
    """Rows of plain text, none of which has a prompt."""
    return None if any(row.prompt for row in found) or not say_something([row.completion for row in found]) else found
