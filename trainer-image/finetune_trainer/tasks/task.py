"""What a task is: all that is particular to one kind of row, in one object.

A task says what its rows look like and what others call their fields, what is wrong with a record, and how a row is made of
one. What its learner gets of a row is in learner.py, whose classes a task inherits from. docs/extending.md shows how an installed
package adds one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.explain.names import OPENAI, Names
from finetune_trainer.tasks.explain.problem import kind_of
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import Fields, Form, Hint, Records, spans
from finetune_trainer.tasks.layouts.steps import Known, Step
from finetune_trainer.tasks.plain import PlainLines
from finetune_trainer.tasks.rows import Row

LearnerName = Literal["language", "sequence", "token", "embedding"]
"""What learns from a task's rows: a causal language model, a classifier of whole texts, a classifier of the words of a text, a model that
gives texts vectors."""


@dataclass(frozen=True)
class RowLayout:
    """How the rows of one file are to be judged."""

    extra: frozenset[str] | None = frozenset()
    """Further keys that a row may have; None: any."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Field of the task -> what the file calls it, for messages."""
    chat_names: Names = OPENAI
    variant: str = ""
    """What the first rows of the file have in common, where the task knows several forms of its rows: `Task.judge` names it."""


def what_else(value: Any) -> str:
    """What a record may be that is not an object."""
    if isinstance(value, list) and value and all(isinstance(item, dict) and "role" in item for item in value):
        return ' of messages without {"messages": ...} around it'
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return " that holds the text of an object: the row was encoded twice"
    return ""


@dataclass(frozen=True)
class Judged:
    """What the first rows of a file say of all of them."""

    variant: str
    words: str
    """What the layout is called."""
    notes: tuple[str, ...] = ()


class Task(ABC):
    """One kind of row. Subclasses set the attributes and override what differs."""

    name: str
    """As specs write it."""
    learner: LearnerName
    metrics: tuple[str, ...] = ()
    """What a model is scored by beside its loss, whatever the objective: names of `finetune_api.metrics`."""
    title: str
    """The task's own layout, for people: "OpenAI chat"."""
    fields: tuple[str, ...]
    """What a row has."""
    optional: tuple[str, ...] = ()
    """Those of them that a row may lack."""
    example: Mapping[str, Any]
    """A row, as the documentation shows it."""
    aliases: Sequence[Mapping[str, str]] = ()
    """What public datasets call the fields (the task's name -> theirs), with one meaning each."""
    signs: Mapping[frozenset[str], str] = {}
    """Fields by which rows of this task are known in a file that is given to another task -> what to call them."""
    json_fields: tuple[str, ...] = ()
    """Fields whose cells in a table are JSON texts."""
    json_lists: tuple[str, ...] = ()
    """Fields whose cells in a table may be JSON texts of lists."""
    hints: Mapping[str, Hint] = {}
    """By field: what people call it and what it holds, to propose columns."""
    also: str = ""
    """What `columns` may name besides, for messages: ", or 'text' alone"."""
    pair: tuple[Step, ...] | None = None
    """Steps from a prompt and a completion, which a template builds, to the task's own layout; None: a template is of no use."""
    pair_columns: bool = False
    """`columns` may name prompt and completion instead of the task's own fields."""
    empty_prompt: bool = False
    """A template may build rows without a prompt."""

    @property
    def required(self) -> tuple[str, ...]:
        """Fields that every row has."""
        return tuple(field for field in self.fields if field not in self.optional)

    # What a file looks like

    def own(self, keys: Sequence[str], known: Sequence[str]) -> Known:
        """The task's own layout in a file with these fields; `known` are those that the split names."""
        return Known(self.title)

    def foreign(self, keys: Sequence[str], first: Records, *, signed: bool) -> Known | None:
        """The layout that has these fields; `signed`: they are those of some task's rows. None for one that is not known."""
        return next((Known(columns=columns) for columns in self.aliases if set(columns.values()) <= set(keys)), None)

    def by_columns(self, columns: Mapping[str, str], keys: Sequence[str]) -> Known | None:
        """What `columns` mean in a file with these fields, where they are not just names of the task's fields."""
        return None

    def named(self, columns: Mapping[str, str]) -> tuple[str, Names]:
        """What a layout with these columns is called, "" for their names; and what a conversation's parts are called in it."""
        return "", OPENAI

    def refused(self, keys: Sequence[str], first: Records) -> Form | None:
        """A form that shares fields with the task's rows and must not be read as those."""
        return spans(keys, first)

    def judge(self, rows: Records, layout: RowLayout, words: str) -> Judged | None:
        """What the first rows say, in the task's own layout; None: nothing. Raises Unfit where they cannot be learned from."""
        return None

    # What a row is

    @abstractmethod
    def problems(self, fields: Fields, layout: RowLayout, names: Names) -> Iterator[Problem]:
        """All that is wrong with a record in the task's own layout; `names` are those of a conversation's parts."""

    @abstractmethod
    def build(self, fields: Fields, context: Context) -> Row:
        """The row of a record that nothing is wrong with."""

    def tidied(self, fields: Fields, context: Context) -> Fields:
        """The record without what says nothing; the context gets what is worth a note."""
        return fields

    def row(self, fields: Any, layout: RowLayout, context: Context) -> Row:
        """The row of a record in the task's own layout; the context gets what is worth a note. Raises Wrong."""
        if not isinstance(fields, dict):
            expected = " and ".join(f"{name!r}" for name in self.required)
            raise Wrong([Problem("not an object", f"is {kind_of(fields)}{what_else(fields)}, expected an object with {expected}")])
        fields = self.tidied(fields, context)
        found = list(self.problems(fields, layout, context.names))
        if found:
            raise Wrong(found)
        return self.build(fields, context)

    def plain(self, layout: RowLayout) -> PlainLines | None:
        """Reads many lines at once that are right at first sight; None: each line is read by itself, ten times as slowly."""
        return None

    # What others ask of a row; learner.py has what its learner asks

    @abstractmethod
    def text(self, row: Any) -> str:
        """What of a row is compared to find near duplicates."""

    def turns(self, row: Any) -> int | None:
        """Messages of a conversation, for statistics; None for rows that are none."""
        return None
