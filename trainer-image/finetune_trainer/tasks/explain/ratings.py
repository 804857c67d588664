"""What is wrong with the label of a rated answer."""

from collections.abc import Iterator
from typing import Any

from finetune_trainer.tasks.explain.problem import Problem, listed, shown

VALUES = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
"""As files write them: the numbers 1 and 0 are equal to true and false; CSV has texts alone, in any case."""
EXPECTED = "expected true for a desirable answer, false for an undesirable one"


def label_of(value: Any) -> bool | None:
    """The label; None for what is none."""
    return VALUES.get(value.lower() if isinstance(value, str) else value) if isinstance(value, bool | int | float | str) else None


def rating_problems(row: dict[str, Any], name: str) -> Iterator[Problem]:
    """What is wrong with it; `name` is what the file calls it."""
    if "label" not in row:
        yield Problem(f"no {name}", f"has no key {name!r}: its keys are {listed(row) or 'none'}, {EXPECTED}")
    elif label_of(row["label"]) is None:
        yield Problem(f"wrong {name}", f"{name} is {shown(row['label'])}, {EXPECTED}")
