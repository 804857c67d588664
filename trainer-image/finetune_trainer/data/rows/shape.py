"""What the records of a file look like, judged by the first of them, and how they become rows of the job's task."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from finetune_api.resources.finetune_job import CLASSIFICATION, Task
from finetune_trainer.data.reading.record import Record
from finetune_trainer.data.rows.build import FIELDS, OPTIONAL, Layout
from finetune_trainer.data.rows.foreign import Foreign, Unfit, foreign, refuse_forms, unfit
from finetune_trainer.tasks.explain import Problem, Wrong, parse
from finetune_trainer.tasks.explain.problem import listed
from finetune_trainer.tasks.explain.tags import PREFIXES
from finetune_trainer.tasks.layouts import sharegpt
from finetune_trainer.tasks.layouts.alpaca import Instructions
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import headerless, looks_like_data
from finetune_trainer.tasks.layouts.message_lists import SCHEMA_VERSION, prompt_and_completion, system_first
from finetune_trainer.tasks.layouts.steps import Cells, Fields, Renamed, Step, Templated, Texts, as_chat, as_summary, as_text
from finetune_trainer.tasks.layouts.template import BadTemplate, TextTemplate
from finetune_trainer.tasks.rows import Row

FIRST = 50
"""Records that a file is judged by."""
PLAIN_TEXT = "rows have no prompt: they are plain text, of which every token is learned"
OWN_WORDS: dict[Task, str] = {
    "chat": "OpenAI chat",
    "completion": "prompt/completion",
    "summarization": "document/summary",
    "sequence-classification": "text/label",
    "token-classification": "tokens/tags",
}
_JSON_CELLS = ("messages", "tools", "parallel_tool_calls", "conversations", "tokens", "tags")


@dataclass(frozen=True)
class Shape:
    """How the records of one file become rows."""

    words: str
    """For people: "OpenAI chat"."""
    layout: Layout
    steps: tuple[Step, ...] = ()
    """From the file's layout to the task's."""
    notes: tuple[str, ...] = ()
    used: frozenset[str] | None = None
    """Fields that need no note, where others are left alone."""

    @property
    def is_own(self) -> bool:
        """True when the file's JSON is the task's own layout, letter for letter."""
        return not self.steps

    def read(self, record: Record, context: Context) -> tuple[Row, Fields]:
        """The row, and the record's own fields; the context gets what is worth a note. Raises Wrong."""
        if record.fault:
            raise Wrong([Problem(record.fault.kind, record.fault.text)])
        fields = parse(record.content) if isinstance(record.content, bytes) else record.content
        row, context.names = fields, self.layout.chat_names
        if isinstance(fields, dict):
            for step in self.steps:
                row = step(row, context)
            if self.used is not None:
                for key in fields.keys() - self.used:
                    context.remark(f"field {key!r} is not used")
        return self.layout.build(row, context), fields


def recognise(
    records: Sequence[Record],
    task: Task,
    *,
    table: bool,
    header: bool = False,
    columns: Mapping[str, str],
    template: tuple[str, str] | None,
    fields: Collection[str],
) -> Shape:
    """The shape of a file that begins with `records`.

    `table`: CSV, Parquet or Arrow, where further columns are no mistake; `header`: CSV, whose first line may be a row. `template`:
    the texts of prompt and completion. Raises Unfit.
    """
    first = list(_values(records))
    keys = tuple(dict.fromkeys(key for row in first for key in row))
    if template is None and not columns:
        refuse_forms(task, keys, first)
    if template is not None:
        shape = _templated(task, keys, columns, template)
    elif columns:
        shape = _renamed(task, keys, dict(columns))
    elif not keys or all(field in keys for field in FIELDS[task] if field not in OPTIONAL):
        shape = _own(task, keys, fields, table)
    else:
        found = foreign(task, keys, first)
        if found is None and header and looks_like_data(keys, first):
            form = headerless(keys, ",".join(field for field in FIELDS[task] if field not in OPTIONAL))
            raise Unfit(form.text, form.field)
        if found is None:
            raise unfit(task, keys, first)
        shape = _foreign(task, found, None if table else frozenset(fields))
    if table:
        shape = replace(shape, steps=(_cells(shape), *shape.steps))
    return _noted(_with_labels(_prompted(shape, first), first), keys, fields)


def _values(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The first records that are objects; what is wrong with the others is for the survey."""
    found = []
    for record in records[:FIRST]:
        try:
            value = parse(record.content) if isinstance(record.content, bytes) else record.content
        except Wrong:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _templated(task: Task, keys: tuple[str, ...], columns: Mapping[str, str], texts: tuple[str, str]) -> Shape:
    """Prompt and completion by a template."""
    if task in ("sequence-classification", "token-classification"):
        raise Unfit(f"template builds a prompt and a completion, which task {task} does not have: use columns", "template")
    if not texts[0].strip() and task != "completion":
        raise Unfit(
            f"template.prompt is empty, and a row of task {task} has one: plain text is learned with task completion", "template.prompt"
        )
    found = []
    for name, text in zip(("prompt", "completion"), texts, strict=True):
        try:
            found.append(TextTemplate(text))
        except BadTemplate as exc:
            raise Unfit(f"template.{name} {exc}", f"template.{name}") from exc
        unknown = [field for field in found[-1].fields if field not in keys and field not in columns]
        if keys and unknown:
            says = f"template.{name} takes {listed(unknown)}, and the rows have no such field: their fields are {listed(keys, 20)}"
            raise Unfit(says, f"template.{name}")
    names = {"prompt": "the template's prompt", "completion": "the template's completion"}
    before: tuple[Any, ...] = (Renamed(columns, keys),) if columns else ()
    if task == "completion":
        return Shape("template", Layout(task, None, names), (*before, Templated(*found)))
    return Shape("template", Layout(task, None), (*before, Templated(*found), Texts(names), *_from_pair(task)))


def _from_pair(task: Task) -> tuple[Step, ...]:
    return {"chat": (as_chat,), "summarization": (as_summary,)}.get(task, ())


def _renamed(task: Task, keys: tuple[str, ...], columns: dict[str, str]) -> Shape:
    """Fields by the names that the spec gives them."""
    if task == "completion" and "text" in columns and not {"prompt", "completion"} & columns.keys():
        if keys and columns["text"] not in keys:
            raise Unfit(f"columns: the rows have no field {columns['text']!r}; their fields are {listed(keys, 20)}", "columns")
        return plain_text(columns["text"])
    pair = task == "chat" and "messages" not in columns and bool({"prompt", "completion"} & columns.keys())
    fields: tuple[str, ...] = ("prompt", "completion") if pair else FIELDS[task]
    wrong = [field for field in columns if field not in fields]
    if wrong:
        known = listed(FIELDS[task]) + {"chat": ", or 'prompt' and 'completion'", "completion": ", or 'text' alone"}.get(task, "")
        raise Unfit(f"columns names {listed(wrong)}, which a row of task {task} does not have: its fields are {known}", "columns")
    wanted = columns | {field: field for field in fields if field not in columns and field not in OPTIONAL}
    missing = [name for field, name in wanted.items() if name not in keys]
    if keys and missing:
        raise Unfit(f"columns: the rows have no field {listed(missing)}; their fields are {listed(keys, 20)}", "columns")
    return by_columns(task, columns, fields, pair)


def plain_text(column: str) -> Shape:
    """The shape of a file of texts without prompts."""
    names = {"completion": column}
    return Shape("plain text", Layout("completion", None, names, plain_text=True), (Renamed(names, ("completion",)), as_text))


def _prompted(shape: Shape, first: list[dict[str, Any]]) -> Shape:
    """With what the first rows tell about prompts: none of them has one, or all of them must."""
    if shape.layout.task != "completion":
        return shape
    prompts = [row.get("prompt") for row in _through(shape, first)]
    if not prompts or any(prompt != "" for prompt in prompts):
        return shape
    words = shape.words if shape.words == "plain text" else f"{shape.words}, plain text"
    return replace(shape, words=words, layout=replace(shape.layout, plain_text=True), notes=(*shape.notes, PLAIN_TEXT))


def _through(shape: Shape, first: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first rows in the task's layout, without those that are wrong."""
    rows: list[Any] = []
    for row in first:
        try:
            for step in shape.steps:
                row = step(row, Context())
            rows.append(row)
        except Wrong:
            continue
    return rows


def by_columns(task: Task, columns: dict[str, str], fields: tuple[str, ...], pair: bool = False) -> Shape:
    """The shape of a file with other names."""
    names = {field: columns.get(field, field) for field in fields if field not in OPTIONAL or field in columns}
    words = "/".join(names.values())
    renamed = Renamed(columns, fields, OPTIONAL)
    if pair:
        return Shape(words, Layout(task, None), (renamed, Texts(names), as_chat))
    layout = Layout(task, None, names)
    if task == "chat":
        layout = replace(layout, chat_names=replace(layout.chat_names, messages=columns.get("messages", "messages")))
        words = OWN_WORDS[task]
    return Shape(words, layout, (renamed,))


def _own(task: Task, keys: tuple[str, ...], fields: Collection[str], table: bool) -> Shape:
    """The task's own layout; a system message may stand apart from the other messages."""
    apart = task == "chat" and any(key in keys and key not in fields for key in ("system", SCHEMA_VERSION))
    words = OWN_WORDS[task] + (", system apart" if apart else "")
    steps: tuple[Step, ...] = (system_first,) if apart else ()
    if not table:
        return Shape(words, Layout(task, frozenset(fields)), steps)
    return Shape(words, Layout(task, None), (Renamed({}, (*FIELDS[task], "system") if apart else FIELDS[task]), *steps))


def _foreign(task: Task, found: Foreign, extra: frozenset[str] | None) -> Shape:
    """One of the layouts that people know; `extra` are further keys that a row of it may have where unknown ones are findings."""
    if found.words == "plain text":
        return plain_text("text")
    if found.columns is not None:
        pair = task == "chat" and "messages" not in found.columns
        return by_columns(task, dict(found.columns), ("prompt", "completion") if pair else FIELDS[task], pair)
    if found.words == "ShareGPT":
        return Shape(found.words, Layout(task, None), (sharegpt.openai_row,))
    if found.words == "prompt and completion as messages":
        return Shape(found.words, Layout(task, extra), (prompt_and_completion,))
    dolly = found.words == "Dolly"
    step = Instructions(task == "chat", given="context", output="response") if dolly else Instructions(task == "chat")
    return Shape(found.words, Layout(task, None), (step,))


def _cells(shape: Shape) -> Cells:
    """Which columns of a table hold JSON texts."""
    renamed = next((step for step in shape.steps if isinstance(step, Renamed)), None)
    columns = renamed.columns if renamed else {}
    always = tuple(columns.get(field, field) for field in _JSON_CELLS)
    return Cells(always, (columns.get("label", "label"),), tuple(columns.get(field, field) for field in OPTIONAL))


def _with_labels(shape: Shape, first: list[dict[str, Any]]) -> Shape:
    """With what the first rows tell about labels and tags."""
    rows = _through(shape, first) if shape.layout.task in CLASSIFICATION else []
    if shape.layout.task == "sequence-classification":
        labels = [row["label"] for row in rows if row.get("label") is not None]
        multi = isinstance(labels[0], list) if labels else None
        if labels and is_one_hot(labels):
            name = shape.layout.names.get("label", "label")
            says = f"has vectors of 0 and 1 as {name!r} ({json.dumps(labels[0][:8])} in the first row): each place stands for a class"
            raise Unfit(
                f'{says} that the file does not name. Write the names of the classes that hold instead: "spam", or a list of names',
                "source",
            )
        return replace(shape, words=shape.words + (", multi-label" if multi else ""), layout=replace(shape.layout, multi_label=multi))
    if shape.layout.task == "token-classification":
        tags = [tag for row in rows if isinstance(row.get("tags"), list) for tag in row["tags"] if isinstance(tag, str)]
        bio = any(tag[:2] in PREFIXES for tag in tags) or set(tags) == {"O"}
        note = "" if bio else "tags have no prefixes B- and I-, so each is taken as it is and none is checked against its neighbours"
        words = shape.words + (" (BIO)" if bio else "")
        return replace(shape, words=words, layout=replace(shape.layout, bio=bio), notes=(*shape.notes, *([note] if note and rows else [])))
    return shape


def is_one_hot(labels: list[Any]) -> bool:
    """True for vectors, which a list of a row's labels cannot be: it would have the same two labels in every row."""
    lists = [label for label in labels if isinstance(label, list)]
    same = len({len(label) for label in lists}) == 1 and len(lists) == len(labels) and len(lists[0]) > 1
    return same and all(isinstance(item, str | bool | int | float) and item in (0, 1, "0", "1") for label in lists for item in label)


def _noted(shape: Shape, keys: tuple[str, ...], fields: Collection[str]) -> Shape:
    """With a note on what is not used."""
    if shape.layout.extra is not None:
        return shape
    used: set[str] = set(fields)
    for step in shape.steps:
        if isinstance(step, Renamed):
            used |= {*step.columns.values(), *step.fields}
        elif isinstance(step, Templated):
            used |= {*step.prompt.fields, *step.completion.fields}
        elif step is sharegpt.openai_row:
            used |= {"conversations", "system", "tools"}
        elif step is prompt_and_completion:
            used |= {"prompt", "completion", *FIELDS["chat"]}
        elif isinstance(step, Instructions):
            used |= step.fields
    unused = [key for key in keys if key not in used]
    note = f"fields that are not used: {', '.join(unused[:12])}{' ...' if len(unused) > 12 else ''}"
    return replace(shape, used=frozenset((*used, *unused)), notes=(*shape.notes, *([note] if unused else [])))
