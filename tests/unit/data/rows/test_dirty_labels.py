"""Dirty rows of the other tasks and the finding that each must lead to."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_api.resources.finetune_job import TaskName
from finetune_trainer.tasks.completion import Completion
from finetune_trainer.tasks.rows import Row
from finetune_trainer.tasks.sequence_classification import TextLabel
from finetune_trainer.tasks.summarization import Summary
from finetune_trainer.tasks.token_classification import TokenTags
from tests.unit.data.rows.files import finding, refusal, rows_of


def lines(*rows: Any) -> list[bytes]:
    """JSON texts."""
    return [json.dumps(row).encode() for row in rows]


def tags(*values: Any) -> dict[str, Any]:
    """A row of so many words with these tags."""
    return {"tokens": [f"w{number}" for number in range(len(values))], "tags": list(values)}


LABEL = lines({"text": "good", "label": "pos"}, {"text": "bad", "label": "neg"}, {"text": "so so", "label": "neg"})
LABELS = lines({"text": "a", "label": ["x", "y"]}, {"text": "b", "label": []}, {"text": "c", "label": ["x"]})
TAGS = lines(tags("B-PER", "I-PER", "O"), tags("O"), tags("B-ORG", "B-ORG"))
WORDS = lines(tags("NOUN", "VERB"), tags("O"), tags("VERB"))
PAIRS = lines(*({"prompt": f"p{number}", "completion": "c"} for number in range(3)))
TEXTS = lines(*({"document": f"p{number}", "summary": "c"} for number in range(3)))
ANY_LABEL = "expected a label: a string, a whole number or a boolean"

# (task, the file's other lines, the third line, the kind that is counted, the finding's words)
LINES: list[tuple[TaskName, list[bytes], Any, str, str]] = [
    ("completion", PAIRS, {"prompt": "a"}, "no completion", "has no key 'completion': its keys are 'prompt', expected 'prompt' and 'compl"),
    ("completion", PAIRS, {"prompt": " ", "completion": "a"}, "empty prompt", "prompt is only white space, expected text"),
    ("completion", PAIRS, {"prompt": "a", "completion": ""}, "empty completion", "completion is empty, expected text"),
    ("completion", PAIRS, {"prompt": 1, "completion": "a"}, "prompt is not text", "prompt is the number 1, expected a string"),
    ("completion", PAIRS, {"prompt": "a", "completion": ["a"]}, "completion is not text", "completion is an array, expected a string"),
    ("completion", PAIRS, {"prompt": "a", "completion": " a\n"}, "completion equals prompt", "completion is the same text as prompt"),
    ("completion", PAIRS, {"prompt": "a", "completion": "b\0"}, "NUL byte", "completion has a NUL character at position 2"),
    ("completion", PAIRS, {"prompt": "a", "completion": "b", "x": 1}, "unknown key", "x is not a known key: a row has 'prompt', 'completi"),
    ("completion", PAIRS, {"promt": "a", "prompt": "a", "completion": "b"}, "unknown key", "(did you mean 'prompt'?)"),
    ("summarization", TEXTS, {"document": "a", "summary": "a"}, "summary equals document", "summary is the same text as document"),
    ("summarization", TEXTS, {"document": "a"}, "no summary", "has no key 'summary'"),
    ("sequence-classification", LABEL, {"text": "a"}, "no label", "has no key 'label': its keys are 'text', expected 'text' and 'label'"),
    ("sequence-classification", LABEL, {"label": "a"}, "no text", "has no key 'text'"),
    ("sequence-classification", LABEL, {"text": "", "label": "a"}, "empty text", "text is empty, expected text"),
    ("sequence-classification", LABEL, {"text": "a", "label": ""}, "empty label", f"label is empty, {ANY_LABEL}"),
    ("sequence-classification", LABEL, {"text": "a", "label": None}, "no label", f"label is null, {ANY_LABEL}"),
    ("sequence-classification", LABEL, {"text": "a", "label": 0.5}, "wrong label", "0.5, expected a label: a string, a whole number or a"),
    ("sequence-classification", LABEL, {"text": "a", "label": {}}, "wrong label", f"label is an object, {ANY_LABEL}"),
    ("sequence-classification", LABEL, {"text": "a", "label": ["b"]}, "label is a list", "label is an array, expected one label as in the"),
    ("sequence-classification", LABEL, {"text": "a", "label": "b", "text_pair": " "}, "empty text_pair", "text_pair is only white space"),
    ("sequence-classification", LABEL, {"text": "a", "label": "b", "lable": 1}, "unknown key", "lable is not a known key (did you mean 'l"),
    ("sequence-classification", LABELS, {"text": "a", "label": "b"}, "label is no list", "label is 'b', expected an array as in the first"),
    ("sequence-classification", LABELS, {"text": "a", "label": ["b", "b"]}, "label twice", "label has a label twice: 'b', 'b'; remove one"),
    ("sequence-classification", LABELS, {"text": "a", "label": ["b", ""]}, "empty label", "label[1] is empty, expected a label"),
    ("token-classification", TAGS, {"tokens": ["a"]}, "no tags", "has no key 'tags': its keys are 'tokens', expected 'tokens' and 'tags'"),
    ("token-classification", TAGS, {"tokens": [], "tags": []}, "empty tokens", "tokens is empty, expected an array of words"),
    ("token-classification", TAGS, {"tokens": "a b", "tags": ["O"]}, "tokens is no array", "tokens is a string, expected an array of word"),
    ("token-classification", TAGS, {"tokens": ["a", " "], "tags": ["O", "O"]}, "empty token", "tokens[1] is only white space, expected a"),
    ("token-classification", TAGS, {"tokens": ["a", 1], "tags": ["O", "O"]}, "token is not text", "tokens[1] is 1, expected a string"),
    ("token-classification", TAGS, {"tokens": ["a"], "tags": ["O", "O"]}, "number of tags", "tags has 2 entries, and tokens has 1: expect"),
    ("token-classification", TAGS, tags("O", "I-PER"), "tag does not fit BIO", "tags[1] is 'I-PER' after 'O', expected 'B-PER', which beg"),
    ("token-classification", TAGS, tags("I-PER"), "tag does not fit BIO", "tags[0] is 'I-PER' at the beginning, expected 'B-PER'"),
    ("token-classification", TAGS, tags("B-ORG", "I-PER"), "tag does not fit BIO", "tags[1] is 'I-PER' after 'B-ORG', expected 'B-PER'"),
    ("token-classification", TAGS, tags("E-PER"), "tag does not fit BIO", "tags[0] is 'E-PER' at the beginning"),
    ("token-classification", TAGS, tags("PER"), "not a BIO tag", "tags[0] is 'PER', expected 'O', or 'B-' or 'I-' and the entity as in 'B"),
    ("token-classification", TAGS, tags("B-"), "not a BIO tag", "tags[0] is 'B-', expected 'O'"),
    ("token-classification", TAGS, tags("o"), "not a BIO tag", "tags[0] is 'o', expected 'O'"),
    ("token-classification", TAGS, tags("[PAD]"), "not a BIO tag", "as in 'B-PER'; -100 for a token of which nothing is learned"),
    ("token-classification", TAGS, tags(-100, "-100"), "nothing to learn", "every entry of tags is -100, which is ignored"),
    ("token-classification", TAGS, tags("B-PER", -100, "O", "I-PER"), "tag does not fit BIO", "tags[3] is 'I-PER' after 'O'"),
    ("token-classification", TAGS, tags(""), "empty tag", "tags[0] is empty, expected a tag: 'O' for a word of no entity"),
    ("token-classification", TAGS, tags(None), "wrong tag", "tags[0] is null, expected a tag"),
    ("token-classification", WORDS, {"tokens": ["a"], "tags": []}, "number of tags", "tags has 0 entries, and tokens has 1"),
]  # fmt: skip


@pytest.mark.parametrize("task, others, line, kind, words", LINES, ids=[f"{entry[0]}: {entry[3]} {n}" for n, entry in enumerate(LINES)])
def test_a_dirty_row_is_found(tmp_path: Path, task: TaskName, others: list[bytes], line: Any, kind: str, words: str) -> None:
    """A finding names the line, the field, the value and what is expected."""
    error = finding(tmp_path / "a", json.dumps(line).encode(), others, task)
    assert any(words in detail for detail in error.details), error.details
    assert f"(1 x {kind})" in error.message


RIGHT: list[tuple[TaskName, Any, Row]] = [
    ("completion", {"prompt": "a ", "completion": " b"}, Completion("a ", " b")),
    ("summarization", {"document": "a", "summary": "b"}, Summary("a", "b")),
    ("sequence-classification", {"text": "a", "label": "b"}, TextLabel("a", "b")),
    ("sequence-classification", {"text": "a", "label": 1}, TextLabel("a", "1")),
    ("sequence-classification", {"text": "a", "label": 2.0}, TextLabel("a", "2")),
    ("sequence-classification", {"text": "a", "label": False}, TextLabel("a", "false")),
    ("sequence-classification", {"text": "a", "text_pair": "b", "label": "c"}, TextLabel("a", "c", "b")),
    ("sequence-classification", {"text": "a", "text_pair": None, "label": "c"}, TextLabel("a", "c")),
    ("sequence-classification", {"text": "a", "label": ["z", "b", 1]}, TextLabel("a", ["1", "b", "z"])),
    ("token-classification", tags("B-PER", "I-PER", "O"), TokenTags(["w0", "w1", "w2"], ["B-PER", "I-PER", "O"])),
    ("token-classification", tags("B-X", "I-X", "E-X", "S-Y"), TokenTags(["w0", "w1", "w2", "w3"], ["B-X", "I-X", "E-X", "S-Y"])),
    ("token-classification", tags(3, 0), TokenTags(["w0", "w1"], ["3", "0"])),
    ("token-classification", tags("NOUN"), TokenTags(["w0"], ["NOUN"])),
    ("token-classification", tags(1, -100), TokenTags(["w0", "w1"], ["1", None])),
    ("token-classification", tags("B-PER", "-100", "I-PER"), TokenTags(["w0", "w1", "w2"], ["B-PER", None, "I-PER"])),
]  # fmt: skip


@pytest.mark.parametrize("task, line, expected", RIGHT, ids=[f"{entry[0]} {n}" for n, entry in enumerate(RIGHT)])
def test_a_right_row_has_one_form(tmp_path: Path, task: TaskName, line: Any, expected: Row) -> None:
    """Labels and tags are text from here on, those of a list sorted."""
    assert rows_of(tmp_path / "a", json.dumps(line).encode(), task) == [expected]


def test_a_file_of_dirt_is_counted_by_kinds(tmp_path: Path) -> None:
    """However many rows are wrong: the message counts each kind, and equal findings are one, with the first lines and a count."""
    dirty = lines(*[{"text": "", "label": "a"}] * 60, *[{"text": "a", "label": ""}] * 70)
    error = refusal(tmp_path / "a", b"\n".join([*LABEL, *dirty]), "sequence-classification")
    assert (
        "130 of 133 rows are invalid (70 x empty label, 60 x empty text). First: lines 4, 5, 6 and 57 more: text is empty" in error.message
    )
    assert [detail.partition(":")[0] for detail in error.details] == ["lines 4, 5, 6 and 57 more", "lines 64, 65, 66 and 67 more"]


def test_the_first_fifty_findings_are_told(tmp_path: Path) -> None:
    """A report has room for so many different ones."""
    dirty = lines(*({"text": "a", "label": f"a\0{number}"[: number + 2], f"k{number}": 1} for number in range(70)))
    assert len(refusal(tmp_path / "a", b"\n".join([*LABEL, *dirty]), "sequence-classification").details) == 50


@pytest.mark.parametrize(
    "labels", [[[0, 1], [1, 0]], [[0, 0, 1], [1, 0, 1]], [[1.0, 0.0], [0.0, 0.0]], [[True, False]], [["0", "1"]]], ids=str
)
def test_vectors_are_no_lists_of_labels(tmp_path: Path, labels: list[Any]) -> None:
    """The places of a one-hot vector are classes without names."""
    content = b"\n".join(lines(*({"text": f"a{n}", "label": label} for n, label in enumerate(labels * 6))))
    error = refusal(tmp_path / "a", content, "sequence-classification")
    assert "has vectors of 0 and 1 as 'label' ([" in error.message
    assert "Write the names of the classes that hold" in error.message
    assert error.param == "dataset.train.source"


@pytest.mark.parametrize("labels", [[[0], [1]], [[0, 1], [2, 0]], [["a", "b"], ["b"]], [[0, 1], [1]]], ids=str)
def test_lists_of_labels_are_no_vectors(tmp_path: Path, labels: list[Any]) -> None:
    """Numbers of classes may be 0 and 1."""
    content = b"\n".join(lines(*({"text": f"a{n}", "label": label} for n, label in enumerate(labels))))
    assert [row.label for row in rows_of(tmp_path / "a", content, "sequence-classification") if isinstance(row, TextLabel)] == [
        sorted(map(str, label)) for label in labels
    ]
