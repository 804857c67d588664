"""What is wrong with a row of two texts: task completion and task summarization."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from finetune_trainer.tasks.explain.problem import Problem, listed, text_problems, unknown_key


def text_pair_problems(
    row: dict[str, Any],
    fields: tuple[str, str],
    extra: Collection[str] | None = (),
    names: Mapping[str, str] | None = None,
    *,
    may_be_empty: bool = False,
) -> Iterator[Problem]:
    """All that is wrong; `extra` are further keys that the row may have (None: any), `names` what the file calls the two fields.

    `may_be_empty`: the first of the two may be "", as in a file of plain text.
    """
    given, said = ((names or {}).get(field, field) for field in fields)
    for key in row:
        if extra is not None and key not in fields and key not in extra:
            yield unknown_key(key, key, fields, "a row")
    found: list[Problem] = []
    for field, name in zip(fields, (given, said), strict=True):
        if may_be_empty and field == fields[0] and row.get(field) == "":
            continue
        if field in row:
            found += text_problems(name, row[field])
        else:
            found.append(
                Problem(f"no {name}", f"has no key {name!r}: its keys are {listed(row) or 'none'}, expected {given!r} and {said!r}")
            )
    yield from found
    if not found and row[fields[0]].strip() == row[fields[1]].strip():
        yield Problem(f"{said} equals {given}", f"{said} is the same text as {given}: there is nothing to learn but to repeat")
