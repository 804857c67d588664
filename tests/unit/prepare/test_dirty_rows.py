"""Dirty data and the finding that it must lead to: where, which field, in which words."""

import json
from pathlib import Path

import pytest

from finetune_trainer.data.survey.findings import KEPT
from finetune_trainer.data.survey.survey import RowFile
from finetune_trainer.failure import StageFailure
from tests.unit.prepare.rows import assistant, good, row, system, user

# (name, the third line of a file, the kind that is counted, the finding's words)
DIRTY_LINES: list[tuple[str, bytes, str, str]] = [
    ("truncated", row(user(), assistant())[:-4], "not JSON", "the object does not end on this line"),
    ("single quotes", b"{'messages': []}", "not JSON", "JSON takes double quotes"),
    ("trailing comma", b'{"messages": [],}', "not JSON", "is not valid JSON"),
    ("words", b"hello there", "not JSON", "the line starts with 'hello there'"),
    ("NaN", b'{"messages": NaN}', "no messages", "messages is a number, expected an array"),
    ("pretty-printed object", b"{", "not JSON", "JSONL has one object a line"),
    ("deep nesting", b'{"messages": ' + b"[" * 100_000, "not JSON", "is nested too deeply"),
    ("latin-1", row(user("caf"), assistant()).replace(b"caf", b"caf\xe9"), "not UTF-8", "byte 0xe9 at column 47 is not UTF-8"),
    ("escaped NUL", row(user("a\0b"), assistant()), "NUL byte", "messages[0].content has a NUL character at position 2"),
    ("half a surrogate", rb'{"messages": [{"role": "user", "content": "\ud800"}]}', "not UTF-8", "content has half of a surrogate"),
    ("array", b"[1]", "not an object", "is an array, expected an object"),
    ("string", b'"hello"', "not an object", "is a string, expected an object"),
    ("no messages", b'{"a": 1}', "no messages", "has no key 'messages': its keys are 'a'"),
    ("ShareGPT", b'{"conversations": []}', "no messages", "this looks like ShareGPT's format"),
    ("prompt-completion", b'{"prompt": "a", "completion": "b"}', "no messages", "this looks like the prompt-completion format"),
    ("Alpaca", b'{"instruction": "a", "output": "b"}', "no messages", "this looks like Alpaca's format"),
    ("extra key", row(user(), assistant(), id=7), "unknown key", "id is not a known key"),
    ("tools", row(user(), assistant(), tools=[]), "tools", "tools: rows with tools cannot be trained on"),
    ("messages null", b'{"messages": null}', "no messages", "messages is null, expected an array of messages"),
    ("messages object", b'{"messages": {}}', "no messages", "messages is an object, expected an array of messages"),
    ("messages empty", row(), "no messages", "messages is empty"),
    ("message string", row("hi", assistant()), "message is not an object", "messages[0] is a string, expected an object"),
    ("no role", row({"content": "a"}, assistant()), "no role", "messages[0] has no role, expected one of 'system', 'user', 'assistant'"),
    ("misspelt role", row(user(), {"role": "assitant", "content": "a"}), "unknown role", "messages[1].role is 'assitant', expected"),
    ("ShareGPT role", row({"role": "human", "content": "a"}, assistant()), "unknown role", "messages[0].role is 'human'"),
    ("tool role", row(user(), {"role": "tool", "content": "a"}, assistant()), "unknown role", "messages[1].role is 'tool'"),
    ("role null", row({"role": None, "content": "a"}, assistant()), "unknown role", "messages[0].role is None"),
    ("no content", row({"role": "user"}, assistant()), "no content", "messages[0] has no content, expected a string"),
    ("content null", row(user(None), assistant()), "content is not text", "messages[0].content is null, expected a string"),
    ("content number", row(user(7), assistant()), "content is not text", "messages[0].content is a number, expected a string"),
    ("content parts", row(user([{"type": "text"}]), assistant()), "content is not text", "messages[0].content is an array of parts"),
    ("content empty", row(user(), assistant("")), "empty content", "messages[1].content is empty, expected text"),
    ("content blank", row(user(" \n\t"), assistant()), "empty content", "messages[0].content is only white space"),
    ("name", row(user(name="bob"), assistant()), "unknown key", "messages[0].name is not a known key"),
    ("tool calls", row(user(), assistant(tool_calls=[])), "tools", "messages[1].tool_calls: rows with tools cannot be trained on"),
    ("weight 0.5", row(user(), assistant(weight=0.5)), "wrong weight", "messages[1].weight is 0.5, expected 0 or 1"),
    ("weight true", row(user(), assistant(weight=True)), "wrong weight", "messages[1].weight is True, expected 0 or 1"),
    ("user's weight", row(user(weight=1), assistant()), "wrong weight", "messages[0].weight: only an assistant's message has a weight"),
    ("system's weight", row(system() | {"weight": 0}, user(), assistant()), "wrong weight", "messages[0].weight: only an assistant's"),
    ("all weights 0", row(user(), assistant(weight=0)), "nothing to learn", "every message of the assistant has weight 0"),
    ("no assistant", row(user(), user()), "no assistant message", "messages has no message of the assistant"),
    ("system alone", row(system()), "no assistant message", "messages has no message of the assistant"),
    ("user last", row(user(), assistant(), user()), "wrong order", "messages[2].role is 'user', expected 'assistant': the last word"),
    ("assistant first", row(assistant(), user(), assistant()), "wrong order", "messages[0].role is 'assistant', expected 'user'"),
    ("assistant after system", row(system(), assistant()), "wrong order", "messages[1].role is 'assistant', expected 'user'"),
    ("system in between", row(user(), system(), assistant()), "wrong order", "messages[1].role is 'system', expected at messages[0] only"),
]  # fmt: skip

# (name, the whole file, the message's words)
DIRTY_FILES: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "is empty"),
    ("blank", b" \n\n", "is empty"),
    ("only a byte order mark", b"\xef\xbb\xbf", "is empty"),
    ("HTML", b"\n<!DOCTYPE html><html>", "is an HTML or XML page, probably an error or a log-in page"),
    ("S3 error", b'<?xml version="1.0"?><Error>', "is an HTML or XML page"),
    ("UTF-16 with mark", '{"messages": []}'.encode("utf-16"), "is UTF-16 text: save it as UTF-8"),
    ("UTF-16 without mark", ('{"messages": []}' * 20).encode("utf-16-le"), "is UTF-16 text: save it as UTF-8"),
    ("gzip", b"\x1f\x8b\x08rest", "is a gzip file: unpack it"),
    ("spreadsheet", b"PK\x03\x04rest", "is a zip archive (or a spreadsheet)"),
    ("Parquet", b"PAR1rest", "is a Parquet file"),
    ("binary", b"\x7fELF\0\0\1\2", "is a binary file"),
    ("NUL byte far inside", b"\n".join(map(good, range(60))) + b"\n" + good(60)[:-3] + b"\0", "line 61: a NUL byte at column 103"),
    ("CSV", b"prompt,completion\na,b\n", "line 1: is not valid JSON"),
    ("pretty-printed object", json.dumps({"messages": []}, indent=1).encode(), "line 1: is not valid JSON"),
    ("array that ends within a row", b"[" + good(1) + b", {", "row 2 (line 1) is not closed: the file ends within it"),
    ("array with more after it", b"[" + good(1) + b"]\n{}", "there is more after the array's closing bracket"),
    ("array with a comma too many", b"[" + good(1) + b",\n]", "row 2 (line 2): is empty: there is a comma too many"),
    ("array with a brace too many", b"[" + good(1) + b"}}]", "a closing brace without an opening one"),
    ("array with a bad row", b"[\n" + good(1) + b",\n\n" + row(user()) + b"]", "row 2 (line 4): messages has no message of the assistant"),
]  # fmt: skip


def survey(path: Path, content: bytes) -> StageFailure:
    """The failure that a file's content leads to."""
    path.write_bytes(content)
    with pytest.raises(StageFailure) as caught:
        RowFile.open(path, "pvc://data/train.jsonl", "dataset.train.source").survey(seed=1)
    error = caught.value.error
    assert (error.code, error.param) == ("InvalidDataset", "dataset.train.source")
    assert "pvc://data/train.jsonl" in error.message
    return caught.value


@pytest.mark.parametrize("line, kind, words", [entry[1:] for entry in DIRTY_LINES], ids=[entry[0] for entry in DIRTY_LINES])
def test_a_dirty_line_is_found(tmp_path: Path, line: bytes, kind: str, words: str) -> None:
    """A finding names the line, the field, the value and what is expected; good lines around it are not reported."""
    error = survey(tmp_path / "train.jsonl", b"\n".join([good(1), good(2), line, good(4)])).error
    assert error.details == [error.details[0]]
    assert error.details[0].startswith("line 3: ")
    assert words in error.details[0]
    assert f"1 of 4 rows is invalid (1 x {kind})" in error.message


@pytest.mark.parametrize("content, words", [entry[1:] for entry in DIRTY_FILES], ids=[entry[0] for entry in DIRTY_FILES])
def test_a_dirty_file_is_recognised(tmp_path: Path, content: bytes, words: str) -> None:
    """What was mistaken for rows is called by its name."""
    assert words in survey(tmp_path / "train.jsonl", content).error.message


def test_findings_are_counted_and_the_first_are_kept(tmp_path: Path) -> None:
    """However many rows are wrong: the message counts each kind, and the details hold the first ones."""
    lines = [row(user(7), assistant())] * 60 + [b"{"] * 70 + [good(1)]
    error = survey(tmp_path / "train.jsonl", b"\n".join(lines)).error
    assert "130 of 131 rows are invalid (70 x not JSON, 60 x content is not text). First: line 1: " in error.message
    assert len(error.details) == KEPT


def test_all_that_is_wrong_with_a_row_is_said_at_once(tmp_path: Path) -> None:
    """Nobody mends a file one message at a time."""
    bad = row({"role": "bot", "content": ""}, assistant(id=1))
    assert [detail.split(" ")[2] for detail in survey(tmp_path / "a", bad).error.details] == [
        "messages[0].role",
        "messages[0].content",
        "messages[1].id",
    ]


GOOD_FILES: list[tuple[str, bytes, int]] = [
    ("JSONL", good(1) + b"\n" + good(2) + b"\n", 2),
    ("no newline at the end", good(1) + b"\n" + good(2), 2),
    ("blank lines and Windows line ends", b"\r\n" + good(1) + b"\r\n\r\n" + good(2) + b"\r\n", 2),
    ("byte order mark", b"\xef\xbb\xbf" + good(1), 1),
    ("array", b"[" + good(1) + b"," + good(2) + b"]", 2),
    ("array with byte order mark", b"\xef\xbb\xbf\n[" + good(1) + b"]\n", 1),
    ("array over many lines", json.dumps([json.loads(good(n)) for n in range(3)], indent=2).encode(), 3),
    ("system message", row(system(), user(), assistant()), 1),
    ("many turns", row(user(), assistant(), user(), user(), assistant(), assistant()), 1),
    ("weights", row(user(), assistant(weight=0), user(), assistant(weight=1)), 1),
    ("any language", row(user("どう"), assistant("Ça va 😀")), 1),
]


@pytest.mark.parametrize("content, rows", [entry[1:] for entry in GOOD_FILES], ids=[entry[0] for entry in GOOD_FILES])
def test_good_files_pass(tmp_path: Path, content: bytes, rows: int) -> None:
    """What OpenAI's format allows is read, row for row."""
    (tmp_path / "a").write_bytes(content)
    file = RowFile.open(tmp_path / "a", "a", "p")
    assert len(file.survey(seed=1)) == rows
    assert len(list(file.conversations())) == rows


def test_a_file_that_changes_between_the_passes_is_refused(tmp_path: Path) -> None:
    """Rows that nobody has checked are never trained on."""
    path = tmp_path / "a"
    path.write_bytes(good(1))
    file = RowFile.open(path, "a", "p")
    file.survey(seed=1)
    path.write_bytes(b'{"messages": 1}')
    with pytest.raises(StageFailure, match="a changed while it was read"):
        list(file.conversations())
