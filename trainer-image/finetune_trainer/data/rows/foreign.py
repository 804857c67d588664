"""Layouts of other programs and of public data sets, known by their fields; and words for files of another task."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finetune_api.resources.finetune_job import Task
from finetune_trainer.data.rows.build import FIELDS, OPTIONAL
from finetune_trainer.tasks.explain.problem import listed
from finetune_trainer.tasks.layouts.forms import is_messages, is_turns, known_form, never_read, proposal

_ALIASES: dict[Task, tuple[Mapping[str, str], ...]] = {
    "chat": ({"prompt": "prompt", "completion": "completion"},),
    "completion": (),
    "summarization": (
        {"document": "article", "summary": "highlights"},
        {"document": "dialogue", "summary": "summary"},
        {"document": "article", "summary": "summary"},
        {"document": "text", "summary": "summary"},
    ),
    "sequence-classification": (
        {"text": "sentence1", "text_pair": "sentence2", "label": "label"},
        {"text": "premise", "text_pair": "hypothesis", "label": "label"},
        {"text": "question", "text_pair": "sentence", "label": "label"},
        {"text": "question", "text_pair": "passage", "label": "label"},
        {"text": "question1", "text_pair": "question2", "label": "label"},
        {"text": "text1", "text_pair": "text2", "label": "label"},
        {"text": "sentence", "label": "label"},
        {"text": "text", "label": "labels"},
    ),
    "token-classification": ({"tokens": "tokens", "tags": "ner_tags"}, {"tokens": "words", "tags": "ner_tags"}),
}
"""Names that public data sets use, with one meaning each."""
_SIGNS: tuple[tuple[frozenset[str], str, str], ...] = (
    (frozenset({"messages"}), "chat rows (messages)", "chat"),
    (frozenset({"conversations"}), "ShareGPT chat rows (conversations)", "chat"),
    (frozenset({"prompt", "completion"}), "rows of prompt and completion", "completion"),
    (frozenset({"instruction", "output"}), "Alpaca rows (instruction and output)", "chat or completion"),
    (frozenset({"document", "summary"}), "rows of document and summary", "summarization"),
    (frozenset({"tokens", "tags"}), "rows of tokens and tags", "token-classification"),
    (frozenset({"tokens", "ner_tags"}), "rows of tokens and tags", "token-classification"),
    (frozenset({"text", "label"}), "rows of text and label", "sequence-classification"),
)


PAIR = ("prompt", "completion")


class Unfit(Exception):
    """A file cannot be read for this task; says why. `field` is what to change: task, columns, template, or the source itself."""

    def __init__(self, text: str, field: str) -> None:
        super().__init__(text)
        self.field = field

    @property
    def about_file(self) -> bool:
        """True when the text goes on after the file's name, False when it begins with the field."""
        return not str(self).startswith(self.field)


@dataclass(frozen=True)
class Foreign:
    """A layout that is known."""

    words: str
    columns: Mapping[str, str] | None = None
    """The task's name -> the file's, where that is all the difference."""


def foreign(task: Task, keys: tuple[str, ...], first: list[dict[str, Any]]) -> Foreign | None:
    """The layout that has these fields; None for one that nobody knows."""
    if task == "chat" and "conversations" in keys:
        turns = next((row["conversations"] for row in first if row.get("conversations")), None)
        if isinstance(turns, list) and isinstance(turns[0], dict) and "role" in turns[0] and "from" not in turns[0]:
            return Foreign("chat", {"messages": "conversations"})
        return Foreign("ShareGPT")
    if task in ("chat", "completion") and {"instruction", "output"} <= set(keys):
        return Foreign("Alpaca")
    if task in ("chat", "completion") and {"instruction", "response"} <= set(keys):
        return Foreign("Dolly")
    if task == "chat" and {"prompt", "completion"} <= set(keys) and any(is_messages(row.get(key)) for row in first for key in PAIR):
        return Foreign("prompt and completion as messages")
    if task == "completion" and "text" in keys and not any(signs <= set(keys) for signs, *_ in _SIGNS):
        return Foreign("plain text")
    for columns in _ALIASES[task]:
        if set(columns.values()) <= set(keys):
            return Foreign("", columns)
    return None


def refuse_forms(task: Task, keys: tuple[str, ...], first: list[dict[str, Any]]) -> None:
    """Raises Unfit for rows that share fields with others and must not be read as those."""
    if form := never_read(task, keys, first):
        raise Unfit(form.text, form.field)


def unfit(task: Task, keys: tuple[str, ...], first: list[dict[str, Any]]) -> Unfit:
    """Why a file with these fields is of no use to the task, and what to do."""
    expected = " and ".join(f"{field!r}" for field in FIELDS[task] if field not in OPTIONAL)
    fields = f"their fields are {listed(keys, 20)}"
    for signs, what, other in _SIGNS:
        if signs <= set(keys) and task not in other:
            says = f"holds {what}, which is data for task {other}, and the job's task is {task}: set task: {other.partition(' ')[0]}"
            return Unfit(f"{says}, or use a file whose rows have {expected}", "task")
    if form := known_form(keys, first):
        return Unfit(f"{form.text}; {fields}", form.field)
    return Unfit(f"has no rows of task {task}, which have {expected}; {fields}: {advice(task, keys, first)}", "columns")


def advice(task: Task, keys: tuple[str, ...], first: list[dict[str, Any]]) -> str:
    """What to do about fields with other names: columns for those that hold what the task needs."""
    turns = next((key for key in keys if any(is_turns(row.get(key)) for row in first)), None)
    if task == "chat" and turns:
        return f"rename {turns!r} to 'conversations', which ShareGPT's turns (from, value) are read from"
    wanted = [field for field in FIELDS[task] if field not in OPTIONAL]
    missing = [field for field in wanted if field not in keys]
    left = [key for key in keys if key not in FIELDS[task]]
    named = proposal(missing, left, first)
    if task == "chat" and named is None:
        missing = [field for field in PAIR if field not in keys]
        named = proposal(missing, left, first)
    plain = "; plain text is learned with task: completion" if task == "chat" and "text" in keys else ""
    template = "; or build the texts with template" if task in ("chat", "completion", "summarization") else ""
    if named is None:
        kinds = {"tokens": "a list of words", "tags": "a list of tags", "label": "a label", "messages": "a list of messages"}
        what = " and ".join(kinds.get(field, "a text") for field in (wanted if task != "chat" else ["messages"]))
        return f"none of them holds {what}{template}{plain}"
    names = ", ".join(f"{field}: {name}" for field, name in named.items())
    return f"name them with columns: {{{names}}}{template}{plain}"
