"""Text that is nearly a file of rows: what it is, and the command that makes rows of it. Knows no task."""

import json
import re
from collections.abc import Callable
from typing import Any

from finetune_trainer.data.reading.record import NotRows

_LINES = 20
"""Lines that are looked at."""
_PANDAS = re.compile(r'\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\{\s*"0"\s*:|\{\s*"0"\s*:\s*\{|\{\s*"columns"\s*:\s*\[[^\]]*\]\s*,\s*"index"\s*:\s*\[')
"""How pandas writes a table by default (a column an object of numbered values), and with orient index and split."""
_TAG = re.compile(r"(O|[BIESLUM]-\S+)$")


def refuse_near_miss(text: str) -> None:
    """Raises NotRows for text of a kind that is known."""
    if _PANDAS.match(text):
        raise NotRows(
            "is a table as pandas writes it by default, one object for all rows: write one object per row "
            '(df.to_json("rows.jsonl", orient="records", lines=True))'
        )
    lines = [line.strip() for line in text.split("\n", _LINES)[:_LINES]]
    whole = [line for line in lines if line]
    if whole and all(map(_twice, whole[:2])):
        raise NotRows(
            "holds rows that were encoded twice: each line is the text of a JSON object within a string (jq -c fromjson FILE > rows.jsonl)"
        )
    if len(whole) > 1 and all(map(_messages, whole[:2])):
        raise NotRows("holds a bare list of messages per line: each row is an object (jq -c '{messages: .}' FILE > rows.jsonl)")
    if _is_conll(lines):
        raise NotRows(
            "is CoNLL text, a word and its tag per line with blank lines between sentences: write one object per sentence, "
            '{"tokens": ["Maria", "sleeps"], "tags": ["B-PER", "O"]}'
        )


def _value(line: str) -> Any:
    try:
        return json.loads(line.removesuffix(","))
    except (ValueError, RecursionError):
        return None


def _twice(line: str) -> bool:
    value = _value(line) if line.startswith('"') else None
    return isinstance(value, str) and isinstance(_value(value), dict)


def _messages(line: str) -> bool:
    value = _value(line) if line.startswith("[") else None
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "role" in item for item in value)


def _is_conll(lines: list[str]) -> bool:
    """Several short lines that end with a tag, and hardly any others but blank ones."""
    said = [line for line in lines if line and not line.startswith(("#", "-DOCSTART-"))]
    if not said or said[0].startswith(("{", "[", '"')):
        return False
    cells: Callable[[str], list[str]] = lambda line: re.split(r"[ \t]+", line)  # noqa: E731
    tagged = sum(1 for line in said if 2 <= len(cells(line)) <= 12 and _TAG.fullmatch(cells(line)[-1]))
    return tagged >= 2 and tagged * 10 >= 9 * len(said)
