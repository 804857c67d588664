"""Rows of task text-embedding: names in public datasets, and what is wrong with a row."""

import json
from typing import Any

import pytest

from finetune_trainer.data.reading.record import Record
from finetune_trainer.data.rows.shape import Shape, shape_of
from finetune_trainer.tasks import TASKS
from finetune_trainer.tasks.explain import Wrong
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.text_embedding import TextPair

TASK = TASKS["text-embedding"]
PAIR = {"anchor": "Where is my parcel?", "positive": "Track it."}
SCORED = {"sentence1": "A man eats.", "sentence2": "Someone has a meal.", "score": 0.8}


def record(row: Any) -> Record:
    """A line of JSONL."""
    return Record(json.dumps(row).encode(), 1, 0)


def shape(first: dict[str, Any]) -> Shape:
    """Of a file that begins with this row."""
    return shape_of([record(first)], TASK, table=False, columns={}, template=None, fields=())


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (PAIR, TextPair("Where is my parcel?", "Track it.")),
        (PAIR | {"negative": "It rains."}, TextPair("Where is my parcel?", "Track it.", "It rains.")),
        (SCORED, TextPair("A man eats.", "Someone has a meal.", None, 0.8)),
        ({"sentence1": "a", "sentence2": "a", "label": 1}, TextPair("a", "a", None, 1.0)),
        ({"query": "a", "positive": "b", "negative": "c"}, TextPair("a", "b", "c")),
        ({"query": "a", "passage": "b"}, TextPair("a", "b")),
        ({"question": "a", "answer": "b"}, TextPair("a", "b")),
    ],
)
def test_forms_of_public_datasets(row: dict[str, Any], expected: TextPair) -> None:
    """They become the same rows as the task's own; equal texts are wrong only without a score."""
    assert shape(row).read(record(row), Context())[0] == expected


@pytest.mark.parametrize(
    ("first", "row", "words"),
    [
        (PAIR, {"anchor": "a"}, "has no key 'positive'"),
        (PAIR, {"anchor": "a", "positive": " "}, "positive is only white space"),
        (PAIR, {"anchor": "a", "positive": 5}, "positive is the number 5, expected a string"),
        (PAIR, {"anchor": "a", "positive": "a "}, "positive is the same text as anchor"),
        (PAIR, {"anchor": "a", "positive": "b", "negative": "b"}, "negative is the same text as positive"),
        (PAIR, {"anchor": "a", "positive": "b", "negative": "a"}, "negative is the same text as anchor"),
        (PAIR, {"anchor": "a", "positive": "b", "score": 0.5}, "has 'score', and the first rows have none"),
        (PAIR, {"anchor": "a", "positive": "b", "negatives": "c"}, "negatives is not a known key (did you mean 'negative'?)"),
        (SCORED, {"sentence1": "a", "sentence2": "b"}, "has no 'score', expected one as in the first rows"),
        (SCORED, SCORED | {"score": 4.2}, "score is 4.2, expected a number from -1 (opposite) to 1 (same meaning); divide"),
        (SCORED, SCORED | {"score": "high"}, "score is a string, expected a number"),
        (SCORED, SCORED | {"score": True}, "score is true, expected a number"),
    ],
)
def test_what_is_wrong(first: dict[str, Any], row: dict[str, Any], words: str) -> None:
    """Field, value and what is expected; a block of such rows does not pass at first sight either."""
    found = shape(first)
    with pytest.raises(Wrong) as caught:
        found.read(record(row), Context())
    assert words in " ".join(problem.text for problem in caught.value.problems)
    plain = TASK.plain(found.layout)
    assert plain is None or not found.is_own or plain.read(json.dumps(row).encode() + b"\n") is None
