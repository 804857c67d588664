"""Texts with the fields of a record in braces: "Translate to French: {english}". {{ and }} are braces themselves.

No expressions, no attributes, no formats: what stands between braces is a field's name and nothing else.
"""

import re
from collections.abc import Mapping
from typing import Any

from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.explain.problem import kind_of

_PIECES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class BadTemplate(ValueError):
    """The text is no template; says where and why."""


class TextTemplate:
    """One text with fields."""

    def __init__(self, text: str) -> None:
        self._parts: list[tuple[str, bool]] = []
        """Texts, and names of fields (True), in order."""
        position = 0
        for match in _PIECES.finditer(text):
            self._parts.append((text[position : match.start()], False))
            position = match.end()
            if match[0] in ("{{", "}}"):
                self._parts.append((match[0][0], False))
            elif match[1] is None:
                says = f"a single {match[0]!r} at position {match.start() + 1}: write {match[0] * 2!r} for the character itself"
                raise BadTemplate(f"has {says}, or the name of a field between braces, as in '{{question}}'")
            elif not match[1].strip():
                raise BadTemplate(f"has empty braces at position {match.start() + 1}: write the name of a field between them")
            else:
                self._parts.append((match[1].strip(), True))
        self._parts.append((text[position:], False))
        self.fields = tuple(dict.fromkeys(name for name, is_field in self._parts if is_field))
        """The fields that it takes."""

    def render(self, record: Mapping[str, Any]) -> str:
        """The text with a record's values. Raises Wrong."""
        return "".join(_text(record, name) if is_field else name for name, is_field in self._parts)


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    what = f"has no field {name!r}" if name not in record else f"{name} is {kind_of(value)}"
    kind = "no field" if name not in record else "field is not text"
    raise Wrong([Problem(kind, f"{what}, expected a string or a number for the template's {{{name}}}")])
