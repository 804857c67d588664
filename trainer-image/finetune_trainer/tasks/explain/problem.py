"""One thing that is wrong with a row, and the words that all explanations share. Knows no task."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

from finetune_text.blank import BLANK

_TYPES: dict[type, str] = {dict: "an object", list: "an array", str: "a string"}


class Problem(NamedTuple):
    """One thing that is wrong with a row."""

    kind: str
    """What is counted: "unknown role"."""
    text: str
    """Field, value and what is expected: "messages[2].role is 'assitant', expected ..."."""


def kind_of(value: Any) -> str:
    """A JSON type with its article; numbers, true, false and null as they are."""
    if value is None or isinstance(value, bool):
        return shown(value)
    return f"the number {shown(value)}" if isinstance(value, int | float) else _TYPES.get(type(value), f"of type {type(value).__name__}")


def shown(value: Any) -> str:
    """A value as a message shows it: short, on one line, its type to be seen."""
    if isinstance(value, dict | list):
        return kind_of(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = value[:40] + "..." if isinstance(value, str) and len(value) > 43 else value
    return repr(text)[:80]


def listed(values: Iterable[str], most: int = 8) -> str:
    """'a', 'b', 'c' ..., no more than a person reads."""
    names = list(values)
    return ", ".join(shown(name) for name in names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """(did you mean 'role'?), or nothing."""
    close = get_close_matches(name.lower(), list(known), n=1, cutoff=0.65)
    return f" (did you mean {close[0]!r}?)" if close else ""


def unknown_key(path: str, key: str, known: Iterable[str], whose: str) -> Problem:
    """A key that is not known: what it says would otherwise be dropped without a word."""
    names = tuple(known)
    expected = f"{whose} has {listed(names, 12)}"
    close = did_you_mean(key, names)
    way = "; where columns names a row's fields, other keys are left alone" if path == key and not close else ""
    return Problem("unknown key", f"{path} is not a known key{close}: {expected}; rename or remove it{way}")


def text_problems(path: str, value: Any, *, missing: str = "", expected: str = "expected a string") -> Iterator[Problem]:
    """What is wrong with a text that must say something."""
    if not isinstance(value, str):
        yield Problem(missing or f"{_last(path)} is not text", f"{path} is {kind_of(value)}, {expected}")
    elif not value.strip(BLANK):
        yield Problem(f"empty {_last(path)}", f"{path} is {nothing(value)}, expected text")
    else:
        yield from character_problems(path, value)


def nothing(value: str) -> str:
    """What a text is that says nothing."""
    return "empty" if not value else "only zero-width characters" if value.strip() else "only white space"


def character_problems(path: str, value: str) -> Iterator[Problem]:
    """Characters that no text has."""
    if "\0" in value:
        yield Problem("NUL byte", f"{path} has a NUL character at position {value.index(chr(0)) + 1}: remove it")
    elif not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        yield Problem("not UTF-8", f"{path} has half of a surrogate pair (\\ud800 to \\udfff), which is not a valid character: remove it")


def _last(path: str) -> str:
    """The field that a path ends with: content for messages[0].content."""
    return path.rpartition(".")[2].partition("[")[0]
