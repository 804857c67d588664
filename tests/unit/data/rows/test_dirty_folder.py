"""A folder of whole files as people have them: dirty ones with the finding that each must give, and right ones."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finetune_api.resources.finetune_job import TaskName
from tests.unit.data.rows.files import refusal, rows_of
from tests.unit.data.rows.samples import assistant, good, row, system, user


def parquet(**columns: list[Any]) -> bytes:
    """A table."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def jsonl(*rows: Any) -> bytes:
    """Rows on lines."""
    return "\n".join(json.dumps(item) for item in rows).encode() + b"\n"


GOOD = [good(number) for number in range(60)]
SHAREGPT = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}

# (task, the file, words that the message or a finding must have)
DIRTY: list[tuple[str, TaskName, bytes, tuple[str, ...]]] = [
    ("nul-far-inside.jsonl", "chat", b"\n".join(GOOD) + b"\n" + good(60)[:-3] + b"\0", ("line 61: a NUL byte at column 103",)),
    (
        "latin1.jsonl",
        "chat",
        b"\n".join([*GOOD, row(user("caf\xe9"), assistant()).replace(b"\\u00e9", b"\xe9")]),
        ("line 61: byte 0xe9", "save the file as UTF-8"),
    ),
    (
        "one-bad-in-array.json",
        "chat",
        b"[\n" + good(1) + b",\n\n" + row(user()) + b"]",
        ("row 2 (line 4): messages has no message of the assistant",),
    ),
    ("array-cut.json", "chat", b"[" + good(1) + b", " + good(2)[:30], ("row 2 (line 1) is not closed",)),
    (
        "gpt-roles.jsonl",
        "chat",
        jsonl({"messages": [{"role": "human", "content": "a"}, {"role": "gpt", "content": "b"}]}),
        ("2 x unknown role", "did you mean 'user'?", "did you mean 'assistant'?"),
    ),
    (
        "preference.jsonl",
        "chat",
        jsonl({"prompt": "a", "chosen": "b", "rejected": "c"}),
        ("holds pairs of a better and a worse answer", "to learn 'chosen' alone, set columns: {prompt: prompt, completion: chosen}"),
    ),
    ("texts.jsonl", "chat", jsonl({"text": "a"}), ("has no rows of task chat, which have 'messages'", "task: completion")),
    ("empty-text.jsonl", "completion", jsonl({"text": "a"}, {"text": " "}), ("line 2: text is only white space, expected text",)),
    ("no-text.jsonl", "completion", jsonl({"text": "a"}, {"txt": "b"}), ("line 2: has no field 'text': its fields are 'txt'",)),
    (
        "some-prompts.jsonl",
        "completion",
        jsonl({"prompt": "a", "completion": "b"}, {"prompt": "", "completion": "b"}),
        ("line 2: prompt is empty, expected text",),
    ),
    ("chat-for-completion.jsonl", "completion", b"\n".join(GOOD), ("which is data for task chat, and the job's task is completion",)),
    ("sharegpt-empty.jsonl", "chat", jsonl(SHAREGPT, {"conversations": []}), ("line 2: conversations is empty",)),
    (
        "sharegpt-one-sided.jsonl",
        "chat",
        jsonl(SHAREGPT, {"conversations": SHAREGPT["conversations"][:1]}),
        ("line 2: conversations has no message of the assistant",),
    ),
    (
        "labels.csv",
        "sequence-classification",
        b"text,label\ngood,pos\n,neg\nbad,\n",
        ("2 of 3 rows are invalid", "row 2 (line 3): text is empty", "row 3 (line 4): label is empty"),
    ),
    ("cells.csv", "sequence-classification", b"text,label\ngood,pos\nnice, but late,neg\n", ("row 2 (line 3)", "3 cells")),
    (
        "header.csv",
        "sequence-classification",
        b"review,stars\ngood,5\n",
        ("their fields are 'review', 'stars': name them with columns: {text: review, label: stars}",),
    ),
    (
        "python-lists.csv",
        "token-classification",
        b"tokens,tags\n\"['a', 'b']\",\"['O', 'O']\"\n",
        ("row 1 (line 2): tokens is not valid JSON",),
    ),
    ("messages.csv", "chat", b"messages,id\nhello,1\n", ("row 1 (line 2): messages is not valid JSON",)),
    ("nulls.parquet", "completion", parquet(prompt=["a", None], completion=["b", "c"]), ("row 2: prompt is null, expected a string",)),
    ("scores.parquet", "sequence-classification", parquet(text=["a", "b"], label=[0.25, 1.0]), ("row 1: label is 0.25", "regression")),
    (
        "conll.jsonl",
        "token-classification",
        jsonl({"tokens": ["U.N.", "met"], "tags": ["I-ORG", "O"]}),
        ("line 1: tags[0] is 'I-ORG' at the beginning, expected 'B-ORG'", "IOB1"),
    ),
    ("packed.jsonl.gz", "chat", gzip.compress(b"\n".join([*GOOD, b"{"])), ("line 61: is not valid JSON",)),
    ("packed-cut.jsonl.gz", "chat", gzip.compress(b"\n".join(GOOD * 99))[:-20], ("train.jsonl", "the gzip data ends too early")),
    ("not-rows.jsonl", "chat", b"1\n2\n", ("pvc://data/train.jsonl",)),
]


@pytest.mark.parametrize("task, content, words", [entry[1:] for entry in DIRTY], ids=[entry[0] for entry in DIRTY])
def test_a_dirty_file_is_refused(tmp_path: Path, task: TaskName, content: bytes, words: tuple[str, ...]) -> None:
    """The error says what is wrong, where, and what was expected."""
    error = refusal(tmp_path / "a", content, task)
    reported = "\n".join([error.message, *error.details])
    assert [part for part in words if part not in reported] == [], reported


RIGHT: list[tuple[str, bytes, int]] = [
    ("no newline at the end", good(1) + b"\n" + good(2), 2),
    ("blank lines and Windows line ends", b"\r\n" + good(1) + b"\r\n\r\n" + good(2) + b"\r\n", 2),
    ("byte order mark", b"\xef\xbb\xbf" + good(1), 1),
    ("array over many lines", json.dumps([json.loads(good(n)) for n in range(3)], indent=2).encode(), 3),
    ("system message", row(system(), user(), assistant()), 1),
    ("many turns", row(user(), assistant(), user(), user(), assistant(), assistant()), 1),
    ("weights", row(user(), assistant(weight=0), user(), assistant(weight=1)), 1),
    ("names", row(user(name="ann"), assistant(name="bot")), 1),
    ("any language", row(user("どう"), assistant("Ça va 😀")), 1),
    ("quotes and backslashes", row(user('"\\'), assistant('\\"u0000')), 1),
    ("the word of a key", row(user("role"), assistant('"content"')), 1),
]


@pytest.mark.parametrize("content, count", [entry[1:] for entry in RIGHT], ids=[entry[0] for entry in RIGHT])
def test_right_files_pass(tmp_path: Path, content: bytes, count: int) -> None:
    """What OpenAI's format allows is read, row for row."""
    assert len(rows_of(tmp_path / "a", content)) == count
