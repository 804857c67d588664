"""The steps from a record as it is in a file to its task's own layout. Each takes a dict and gives one, or raises Wrong.

What there is to say of a record besides goes into its context.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.explain.json_text import parse_text
from finetune_trainer.tasks.explain.problem import listed
from finetune_trainer.tasks.explain.texts import text_pair_problems
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import Fields
from finetune_trainer.tasks.layouts.template import TextTemplate

Step = Callable[[Fields, Context], Fields]


@dataclass(frozen=True)
class Known:
    """A layout that a task knows beside its own."""

    words: str = ""
    """For people: "ShareGPT"; empty where the names of the columns say it."""
    columns: Mapping[str, str] | None = None
    """The task's name -> the file's, where that is all the difference."""
    steps: tuple[Step, ...] = ()
    """Otherwise: from this layout to the task's own."""
    used: frozenset[str] = frozenset()
    """Fields that the steps read."""
    strict: bool = False
    """Unknown fields are findings, as in the task's own layout."""
    variant: str = ""
    """Of the task's rows."""


@dataclass(frozen=True)
class Cells:
    """Cells of a table that hold JSON texts: a table cannot hold messages in any other way, and CSV no lists."""

    always: tuple[str, ...]
    """Columns whose texts are JSON."""
    lists: tuple[str, ...] = ()
    """Columns whose texts are JSON where they look like an array."""
    optional: tuple[str, ...] = ()
    """Columns whose empty cells say that there is nothing."""

    def __call__(self, row: Fields, _: Context) -> Fields:
        """With the texts' values in their place."""
        values = {key: value for key, value in row.items() if not (key in self.optional and value in (None, "", []))}
        for key in self.always:
            if isinstance(values.get(key), str):
                values[key] = self._value(key, values[key])
        for key in self.lists:
            text = values.get(key)
            if isinstance(text, str) and text.startswith("[") and text.endswith("]"):
                values[key] = self._value(key, text)
        return values

    def _value(self, key: str, text: str) -> Any:
        try:
            return parse_text(text)
        except Wrong as exc:
            raise Wrong([Problem("not JSON", f'{key} {exc}: expected a JSON array, as in ["a", "b"]')]) from exc


@dataclass(frozen=True)
class Renamed:
    """Fields by the task's names."""

    columns: Mapping[str, str]
    """The task's name -> the file's."""
    fields: tuple[str, ...]
    """What the task knows: taken by their own names where `columns` does not name them."""
    optional: tuple[str, ...] = ()

    def __call__(self, row: Fields, _: Context) -> Fields:
        """The task's fields alone."""
        missing = [name for field, name in self.columns.items() if name not in row and field not in self.optional]
        if missing:
            raise Wrong([Problem(f"no {name}", f"has no field {name!r}: its fields are {listed(row) or 'none'}") for name in missing])
        found = {field: row[field] for field in self.fields if field in row and field not in self.columns}
        return found | {field: row[name] for field, name in self.columns.items() if name in row}


@dataclass(frozen=True)
class Templated:
    """Prompt and completion out of any fields."""

    prompt: TextTemplate
    completion: TextTemplate

    def __call__(self, row: Fields, _: Context) -> Fields:
        """The two texts."""
        return {"prompt": self.prompt.render(row), "completion": self.completion.render(row)}


@dataclass(frozen=True)
class Texts:
    """Checks prompt and completion before they become something else, in the file's words for them."""

    names: Mapping[str, str]

    def __call__(self, row: Fields, _: Context) -> Fields:
        """The same row."""
        found = list(text_pair_problems(row, ("prompt", "completion"), None, self.names))
        if found:
            raise Wrong(found)
        return row


def as_text(row: Fields, _: Context) -> Fields:
    """A text that is learned from its first token on."""
    return {**row, "prompt": ""}


def as_chat(row: Fields, _: Context) -> Fields:
    """A question and its answer."""
    return {"messages": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]}


def as_summary(row: Fields, _: Context) -> Fields:
    """The whole request, and what it asks for."""
    return {"document": row["prompt"], "summary": row["completion"]}
