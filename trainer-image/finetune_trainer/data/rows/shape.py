"""What the records of a file look like, judged by the first of them, and how they become rows of the job's task."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from finetune_trainer.data.reading.record import Record
from finetune_trainer.data.rows.unfit import known_elsewhere, unfit
from finetune_trainer.tasks import AnyTask
from finetune_trainer.tasks.explain import Problem, Wrong, parse
from finetune_trainer.tasks.explain.problem import listed
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import PAIR, Fields, Records, Unfit, headerless, looks_like_data
from finetune_trainer.tasks.layouts.steps import Cells, Known, Renamed, Step, Templated, Texts
from finetune_trainer.tasks.layouts.template import BadTemplate, TextTemplate
from finetune_trainer.tasks.rows import Row
from finetune_trainer.tasks.task import RowLayout

FIRST = 50
"""Records that a file is judged by."""


@dataclass(frozen=True)
class Shape:
    """How the records of one file become rows."""

    words: str
    """For people: "OpenAI chat"."""
    task: AnyTask
    layout: RowLayout
    steps: tuple[Step, ...] = ()
    """From the file's layout to the task's."""
    notes: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()
    """Fields that the steps read."""
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
        return self.task.row(row, self.layout, context), fields


def shape_of(
    records: Sequence[Record],
    task: AnyTask,
    *,
    table: bool,
    header: bool = False,
    columns: Mapping[str, str],
    template: tuple[str, str] | None,
    fields: Collection[str],
) -> Shape:
    """The shape of a file that begins with `records`.

    `table`: CSV, Parquet or Arrow, where further columns are no mistake; `header`: CSV, whose first line may be a row. `template`:
    the texts of prompt and completion. `fields`: further fields that rows may have. Raises Unfit.
    """
    first = _objects(records)
    keys = tuple(dict.fromkeys(key for row in first for key in row))
    if template is None and not columns and (form := task.refused(keys, first)):
        raise Unfit(form.text, form.field)
    if template is not None:
        shape = _templated(task, keys, columns, template)
    elif columns:
        shape = _renamed(task, keys, dict(columns))
    elif not keys or set(task.required) <= set(keys):
        shape = _own(task, keys, tuple(fields), table)
    else:
        shape = _foreign(task, keys, first, None if table else frozenset(fields), header)
    if table:
        shape = replace(shape, steps=(_cells(shape), *shape.steps))
    return _noted(_judged(shape, first), keys, fields)


def _objects(records: Sequence[Record]) -> Records:
    """The first records that are objects; what is wrong with the others is found when all rows are read."""
    found = []
    for record in records[:FIRST]:
        try:
            value = parse(record.content) if isinstance(record.content, bytes) else record.content
        except Wrong:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _templated(task: AnyTask, keys: tuple[str, ...], columns: Mapping[str, str], texts: tuple[str, str]) -> Shape:
    """Prompt and completion by a template."""
    if task.pair is None:
        raise Unfit(f"template builds a prompt and a completion, which task {task.name} does not have: use columns", "template")
    if not texts[0].strip() and not task.empty_prompt:
        raise Unfit(
            f"template.prompt is empty, and a row of task {task.name} has one: plain text is learned with task completion",
            "template.prompt",
        )
    found = []
    for name, text in zip(PAIR, texts, strict=True):
        try:
            found.append(TextTemplate(text))
        except BadTemplate as exc:
            raise Unfit(f"template.{name} {exc}", f"template.{name}") from exc
        unknown = [field for field in found[-1].fields if field not in keys and field not in columns]
        if keys and unknown:
            says = f"template.{name} takes {listed(unknown)}, and the rows have no such field: their fields are {listed(keys, 20)}"
            raise Unfit(says, f"template.{name}")
    names = {"prompt": "the template's prompt", "completion": "the template's completion"}
    steps: tuple[Step, ...] = (*((Renamed(columns, keys),) if columns else ()), Templated(*found))
    reads = frozenset((*columns.values(), *(keys if columns else ()), *found[0].fields, *found[1].fields))
    if not task.pair:
        return Shape("template", task, RowLayout(None, names), steps, reads=reads)
    return Shape("template", task, RowLayout(None), (*steps, Texts(names), *task.pair), reads=reads)


def _renamed(task: AnyTask, keys: tuple[str, ...], columns: dict[str, str]) -> Shape:
    """Fields by the names that the spec gives them."""
    meant = task.by_columns(columns, keys)
    if meant is not None:
        missing = [name for name in (meant.columns or {}).values() if name not in keys]
        if keys and missing:
            raise Unfit(f"columns: the rows have no field {missing[0]!r}; their fields are {listed(keys, 20)}", "columns")
        return _known(task, meant, None)
    fields = PAIR if _is_pair(task, columns) else task.fields
    wrong = [field for field in columns if field not in fields]
    if wrong:
        known = listed(task.fields) + task.also
        raise Unfit(f"columns names {listed(wrong)}, which a row of task {task.name} does not have: its fields are {known}", "columns")
    wanted = columns | {field: field for field in fields if field not in columns and field not in task.optional}
    missing = [name for field, name in wanted.items() if name not in keys]
    if keys and missing:
        raise Unfit(f"columns: the rows have no field {listed(missing)}; their fields are {listed(keys, 20)}", "columns")
    return _by_columns(task, columns)


def _is_pair(task: AnyTask, columns: Mapping[str, str]) -> bool:
    """True where columns name a prompt and a completion instead of the task's own fields."""
    return task.pair_columns and not set(task.required) & columns.keys() and bool(set(PAIR) & columns.keys())


def _by_columns(task: AnyTask, columns: Mapping[str, str]) -> Shape:
    """The shape of a file with other names."""
    pair = _is_pair(task, columns)
    fields = PAIR if pair else task.fields
    names = {field: columns.get(field, field) for field in fields if field not in task.optional or field in columns}
    words, chat_names = task.named(columns)
    renamed, reads = Renamed(columns, fields, task.optional), frozenset((*columns.values(), *fields))
    if pair:
        return Shape("/".join(names.values()), task, RowLayout(None), (renamed, Texts(names), *(task.pair or ())), reads=reads)
    return Shape(words or "/".join(names.values()), task, RowLayout(None, names, chat_names), (renamed,), reads=reads)


def _own(task: AnyTask, keys: tuple[str, ...], fields: tuple[str, ...], table: bool) -> Shape:
    """The task's own layout."""
    own = task.own(keys, fields)
    if not table:
        return Shape(own.words, task, RowLayout(frozenset(fields), own.columns or {}), own.steps)
    read = (*task.fields, *own.used)
    return Shape(own.words, task, RowLayout(None, own.columns or {}), (Renamed({}, read), *own.steps), reads=frozenset(read))


def _foreign(task: AnyTask, keys: tuple[str, ...], first: Records, extra: frozenset[str] | None, header: bool) -> Shape:
    """A layout that the task knows beside its own. Raises Unfit."""
    found = task.foreign(keys, first, signed=known_elsewhere(keys))
    if found is not None:
        return _known(task, found, extra)
    if header and looks_like_data(keys, first):
        form = headerless(keys, ",".join(task.required))
        raise Unfit(form.text, form.field)
    raise unfit(task, keys, first)


def _known(task: AnyTask, found: Known, extra: frozenset[str] | None) -> Shape:
    """`extra` are further keys that a row may have where unknown ones are findings."""
    if found.columns is not None and not found.steps:
        return _by_columns(task, found.columns)
    layout = RowLayout(extra if found.strict else None, found.columns or {}, variant=found.variant)
    return Shape(found.words, task, layout, found.steps, reads=found.used | set((found.columns or {}).values()))


def _cells(shape: Shape) -> Cells:
    """Which columns of a table hold JSON texts."""
    renamed = next((step for step in shape.steps if isinstance(step, Renamed)), None)
    called = renamed.columns if renamed else {}
    always, lists, optional = (
        tuple(called.get(field, field) for field in fields)
        for fields in (shape.task.json_fields, shape.task.json_lists, shape.task.optional)
    )
    return Cells(always, lists, optional)


def _judged(shape: Shape, first: Records) -> Shape:
    """With what the first rows say of all of them."""
    rows: list[Any] = []
    for row in first:
        try:
            for step in shape.steps:
                row = step(row, Context())
            rows.append(row)
        except Wrong:
            continue
    judged = shape.task.judge(rows, shape.layout, shape.words)
    if judged is None:
        return shape
    layout = replace(shape.layout, variant=judged.variant)
    return replace(shape, words=judged.words, layout=layout, notes=(*shape.notes, *judged.notes))


def _noted(shape: Shape, keys: tuple[str, ...], fields: Collection[str]) -> Shape:
    """With a note on what is not used."""
    if shape.layout.extra is not None:
        return shape
    used = shape.reads | set(fields)
    unused = [key for key in keys if key not in used]
    note = f"fields that are not used: {', '.join(unused[:12])}{' ...' if len(unused) > 12 else ''}"
    return replace(shape, used=frozenset((*used, *unused)), notes=(*shape.notes, *([note] if unused else [])))
