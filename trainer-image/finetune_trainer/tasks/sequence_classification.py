"""Task sequence-classification: {"text": ..., "label": ...}, maybe with a second text, maybe with several labels."""

import json
from collections.abc import Collection, Iterator, Mapping
from itertools import chain, pairwise
from typing import Any, cast

import msgspec

from finetune_trainer.tasks.explain import Problem
from finetune_trainer.tasks.explain.names import Names
from finetune_trainer.tasks.explain.problem import character_problems, kind_of, listed, shown, text_problems, unknown_key
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import Fields, Hint, Records, Unfit, is_label
from finetune_trainer.tasks.learner import MULTI_LABEL, SequenceTask
from finetune_trainer.tasks.plain import PlainLines, say_something
from finetune_trainer.tasks.task import Judged, RowLayout

ONE_LABEL = "one label"
_KEYS = ("text", "text_pair", "label")
_ONE = "expected a label: a string, a whole number or a boolean"


class TextLabel(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, gc=False):
    """A row."""

    text: str
    label: str | list[str]
    """A list is multi-label: every label that holds, sorted, maybe none."""
    text_pair: str | None = None


class _Labelled(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """As files have it."""

    text: str
    label: str | int | bool | list[str | int | bool]
    text_pair: str | None = None


class SequenceClassificationTask(SequenceTask):
    """A text, or two, and what it is. The layout's variant is ONE_LABEL or MULTI_LABEL, "" where the first rows do not say."""

    name = "sequence-classification"
    title = "text/label"
    fields = _KEYS
    optional = ("text_pair",)
    example = {"text": "The parcel never arrived.", "label": "complaint"}
    aliases = (
        {"text": "sentence1", "text_pair": "sentence2", "label": "label"},
        {"text": "premise", "text_pair": "hypothesis", "label": "label"},
        {"text": "question", "text_pair": "sentence", "label": "label"},
        {"text": "question", "text_pair": "passage", "label": "label"},
        {"text": "question1", "text_pair": "question2", "label": "label"},
        {"text": "text1", "text_pair": "text2", "label": "label"},
        {"text": "sentence", "label": "label"},
        {"text": "text", "label": "labels"},
    )
    signs = {frozenset({"text", "label"}): "rows of text and label"}
    json_lists = ("label",)
    hints = {
        "text": Hint(("text", "sentence", "review", "content", "body", "message", "comment", "tweet", "utterance", "question", "title")),
        "label": Hint(
            ("label", "labels", "class", "category", "sentiment", "intent", "stars", "rating", "emotion", "topic", "target", "y"),
            "a label",
            is_label,
        ),
    }

    def judge(self, rows: Records, layout: RowLayout, words: str) -> Judged | None:
        """One label a row, or lists of labels. Raises Unfit for vectors of 0 and 1."""
        labels = [row["label"] for row in rows if row.get("label") is not None]
        if not labels:
            return None
        if is_one_hot(labels):
            name = layout.names.get("label", "label")
            says = f"has vectors of 0 and 1 as {name!r} ({json.dumps(labels[0][:8])} in the first row): each place stands for a class"
            raise Unfit(
                f'{says} that the file does not name. Write the names of the classes that hold instead: "spam", or a list of names',
                "source",
            )
        return Judged(MULTI_LABEL, f"{words}, multi-label") if isinstance(labels[0], list) else Judged(ONE_LABEL, words)

    def problems(self, fields: Fields, layout: RowLayout, names: Names) -> Iterator[Problem]:
        return label_problems(fields, {ONE_LABEL: False, MULTI_LABEL: True}.get(layout.variant), layout.extra, layout.names)

    def build(self, fields: Fields, context: Context) -> TextLabel:
        """Labels become text, and those of a list are sorted."""
        label = fields["label"]
        text = sorted(map(label_text, label)) if isinstance(label, list) else label_text(label)
        return TextLabel(fields["text"], text, fields.get("text_pair"))

    def plain(self, layout: RowLayout) -> PlainLines | None:
        """Where the first rows have no label that is right, the thorough look decides."""
        multi_label = layout.variant == MULTI_LABEL
        return PlainLines(_Labelled, lambda found: _labelled(found, multi_label)) if layout.variant else None

    def input(self, row: TextLabel) -> str | tuple[str, str]:
        return row.text if row.text_pair is None else (row.text, row.text_pair)

    def labels(self, row: TextLabel) -> tuple[str, ...]:
        return (row.label,) if isinstance(row.label, str) else tuple(row.label)


def _labelled(found: list[_Labelled], multi_label: bool) -> list[TextLabel] | None:
    pairs = [row.text_pair for row in found if row.text_pair is not None]
    if not say_something([row.text for row in found]) or (pairs and not say_something(pairs)):
        return None
    if any(isinstance(row.label, list) != multi_label for row in found):
        return None
    rows = []
    for row in found:
        label = [label_text(item) for item in row.label] if isinstance(row.label, list) else label_text(row.label)
        if isinstance(label, list):
            label.sort()
            if any(a == b for a, b in pairwise(label)):
                return None
        rows.append(TextLabel(row.text, label, row.text_pair))
    labels = [row.label for row in rows]
    return rows if say_something(list(chain.from_iterable(labels) if multi_label else cast(list[str], labels))) else None


def is_one_hot(labels: list[Any]) -> bool:
    """True for vectors, which a list of a row's labels cannot be: it would have the same two labels in every row."""
    lists = [label for label in labels if isinstance(label, list)]
    same = len({len(label) for label in lists}) == 1 and len(lists) == len(labels) and len(lists[0]) > 1
    return same and all(isinstance(item, str | bool | int | float) and item in (0, 1, "0", "1") for label in lists for item in label)


def label_problems(
    row: dict[str, Any], multi_label: bool | None, extra: Collection[str] | None = (), names: Mapping[str, str] | None = None
) -> Iterator[Problem]:
    """All that is wrong; `multi_label` tells what the file's first rows have, None: not known."""
    called = {key: (names or {}).get(key, key) for key in _KEYS}
    for key in row:
        if extra is not None and key not in _KEYS and key not in extra:
            yield unknown_key(key, key, _KEYS, "a row")
    for field in ("text", "label"):
        if field not in row:
            expected = f"expected {called['text']!r} and {called['label']!r}"
            yield Problem(f"no {called[field]}", f"has no key {called[field]!r}: its keys are {listed(row) or 'none'}, {expected}")
    if "text" in row:
        yield from text_problems(called["text"], row["text"])
    if row.get("text_pair") is not None:
        yield from text_problems(called["text_pair"], row["text_pair"])
    if "label" in row:
        yield from value_problems(called["label"], row["label"], multi_label)


def value_problems(path: str, label: Any, multi_label: bool | None) -> Iterator[Problem]:
    """What is wrong with a row's label or labels."""
    if not isinstance(label, list):
        if multi_label and label is not None:
            says = f"{path} is {shown(label)}, expected an array as in the first rows: all rows have one label, or all have lists of labels"
            yield Problem("label is no list", says)
            return
        yield from one_label_problems(path, label)
        return
    if multi_label is False:
        says = f"{path} is an array, expected one label as in the first rows: all rows have one label, or all have lists of labels"
        yield Problem("label is a list", says)
        return
    found = [problem for index, item in enumerate(label) for problem in one_label_problems(f"{path}[{index}]", item)]
    yield from found
    if not found and len({label_text(item) for item in label}) < len(label):
        yield Problem("label twice", f"{path} has a label twice: {listed(map(label_text, label))}; remove one")


def one_label_problems(path: str, label: Any) -> Iterator[Problem]:
    """What is wrong with one label."""
    if isinstance(label, str):
        if not label.strip():
            yield Problem("empty label", f"{path} is {'only white space' if label else 'empty'}, {_ONE}")
        else:
            yield from character_problems(path, label)
    elif isinstance(label, float) and label.is_integer():
        return
    elif not isinstance(label, bool | int):
        what = shown(label) if isinstance(label, float) else kind_of(label)
        hint = "; numbers that measure something (regression) cannot be trained on" if isinstance(label, float) else ""
        yield Problem("no label" if label is None else "wrong label", f"{path} is {what}, {_ONE}{hint}")


def label_text(label: Any) -> str:
    """A label as text: what models and answers call it."""
    if isinstance(label, bool):
        return "true" if label else "false"
    return str(int(label)) if isinstance(label, float) else str(label)
