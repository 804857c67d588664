"""What is wrong with a row of task sequence-classification."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from finetune_trainer.tasks.explain.problem import Problem, character_problems, kind_of, listed, shown, text_problems, unknown_key

KEYS = ("text", "text_pair", "label")
_ONE = "expected a label: a string, a whole number or a boolean"


def label_problems(
    row: dict[str, Any], multi_label: bool | None, extra: Collection[str] | None = (), names: Mapping[str, str] | None = None
) -> Iterator[Problem]:
    """All that is wrong; `multi_label` tells what the file's first rows have, None: not known."""
    called = {key: (names or {}).get(key, key) for key in KEYS}
    for key in row:
        if extra is not None and key not in KEYS and key not in extra:
            yield unknown_key(key, key, KEYS, "a row")
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
