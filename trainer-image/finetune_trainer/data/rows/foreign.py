"""Layouts of other programs and of public data sets, known by their fields; and words for files of another task."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finetune_api.resources.finetune_job import Task
from finetune_trainer.data.rows.build import FIELDS, OPTIONAL
from finetune_trainer.data.rows.explain.problem import listed

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
    if task == "completion" and "text" in keys and not any(signs <= set(keys) for signs, *_ in _SIGNS):
        return Foreign("plain text")
    for columns in _ALIASES[task]:
        if set(columns.values()) <= set(keys):
            return Foreign("", columns)
    return None


def unfit(task: Task, keys: tuple[str, ...]) -> Unfit:
    """Why a file with these fields is of no use to the task, and what to do."""
    expected = " and ".join(f"{field!r}" for field in FIELDS[task] if field not in OPTIONAL)
    fields = f"their fields are {listed(keys, 20)}"
    for signs, what, other in _SIGNS:
        if signs <= set(keys) and task not in other:
            says = f"holds {what}, which is data for task {other}, and the job's task is {task}: set task: {other.partition(' ')[0]}"
            return Unfit(f"{says}, or use a file whose rows have {expected}", "task")
    missing = [field for field in FIELDS[task] if field not in keys and field not in OPTIONAL]
    left = [key for key in keys if key not in FIELDS[task]]
    example = ", ".join(f"{field}: {left[index] if len(left) == len(missing) else '...'}" for index, field in enumerate(missing))
    hint = "; or build the texts with template" if task in ("chat", "completion", "summarization") else ""
    if task == "chat":
        example, hint = "prompt: ..., completion: ...", " for rows of a question and an answer; or build the texts with template"
        hint += "; plain text is learnt with task: completion" if "text" in keys else ""
    return Unfit(f"has no rows of task {task}, which have {expected}; {fields}: name them with columns: {{{example}}}{hint}", "columns")
