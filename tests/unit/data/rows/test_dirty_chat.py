"""Dirty rows of task chat and the finding that each must lead to: where, which field, in which words."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.rows.files import finding, refusal, rows_of
from tests.unit.data.rows.samples import assistant, good, row, system, user

OTHERS = [good(1), good(2), good(4)]

# (name, the third line of a file, the kind that is counted, the finding's words)
LINES: list[tuple[str, bytes, str, str]] = [
    ("truncated", row(user(), assistant())[:-4], "not JSON", "the object does not end on this line"),
    ("single quotes", b"{'messages': []}", "not JSON", "JSON requires double quotes"),
    ("trailing comma", b'{"messages": [],}', "not JSON", "is not valid JSON: there may be an extra comma"),
    ("keys without quotes", b"{messages: []}", "not JSON", "keys must be in double quotes"),
    ("joined files", b"\xef\xbb\xbf" + good(3), "not JSON", "it starts with a byte order mark, which only the first line of a file may"),
    ("old line ends", good(3) + b"\r" + good(4), "not JSON", "lines end with a carriage return alone; write line feeds (tr"),
    ("words", b"hello there", "not JSON", "the line starts with 'hello there'"),
    ("two objects", good(3) + b" " + good(4), "not JSON", "there is more text after the object; write one object per line"),
    ("bare tab", row(user("a\tb"), assistant()).replace(b"\\t", b"\t"), "not JSON", r"a tab or line end inside a string is written \t or"),
    ("NaN", b'{"messages": NaN}', "not JSON", "NaN is not a JSON number: write null, or leave the field out"),
    ("Infinity", row(user(), assistant(weight=1)).replace(b": 1}", b": -Infinity}"), "not JSON", "-Infinity is not a JSON number"),
    ("pretty-printed object", b"{", "not JSON", "JSONL has one object per line"),
    ("deep nesting", b'{"messages": ' + b"[" * 100_000, "not JSON", "is nested too deeply"),
    ("300 levels", b'{"messages": ' + b"[" * 300 + b"]" * 300 + b"}", "not JSON", "is nested too deeply: more than 200 levels"),
    ("a number of 5,000 digits", b'{"messages": ' + b"1" * 5000 + b"}", "not JSON", "is not valid JSON"),
    ("latin-1", row(user("caf"), assistant()).replace(b"caf", b"caf\xe9"), "not UTF-8", "byte 0xe9 at column 47 is not UTF-8"),
    ("NUL byte", good(3)[:-3] + b"\0", "NUL byte", "a NUL byte at column 101: this is not text"),
    ("escaped NUL", row(user("a\0b"), assistant()), "NUL byte", "messages[0].content has a NUL character at position 2: remove it"),
    ("half a surrogate", row(user("x"), assistant()).replace(b'"x"', rb'"\ud800"'), "not UTF-8", "content has half of a surrogate pair"),
    ("key twice", good(3).replace(b'"role": "user"', b'"role": "user", "role": "user"'), "key twice", "has the key 'role' more than once"),
    ("array", b"[1]", "not an object", "is an array, expected an object with 'messages'"),
    ("string", b'"hello"', "not an object", "is a string, expected an object"),
    ("null", b"null", "not an object", "is null, expected an object"),
    ("no messages", b'{"a": 1}', "no messages", "has no key 'messages': its keys are 'a', expected {\"messages\": [{\"role\""),
    ("no keys", b"{}", "no messages", "has no key 'messages': its keys are none"),
    ("misspelt messages", b'{"mesages": []}', "no messages", "has no key 'messages': its keys are 'mesages'"),
    ("extra key", row(user(), assistant(), id=7), "unknown key", "id is not a known key: a row has 'messages', 'tools', "),
    ("way out", row(user(), assistant(), id=7), "unknown key", "rename or remove it; where columns names a row's fields, other"),
    ("misspelt extra key", row(user(), assistant(), tool=7), "unknown key", "tool is not a known key (did you mean 'tools'?)"),
    ("functions", row(user(), assistant(), functions=[{"name": "f"}]), "functions", "functions is OpenAI's older form of tools: use tools"),
    ("function_call", row(user(), assistant(None, function_call={"name": "f"})), "functions", "older form of tool_calls: use tool_calls"),
    ("messages null", b'{"messages": null}', "no messages", "messages is null, expected an array of messages"),
    ("messages object", b'{"messages": {}}', "no messages", "messages is an object, expected an array of messages"),
    ("messages text", b'{"messages": "[]"}', "no messages", "messages is a string that holds the text of an array (jq"),
    ("messages empty", row(), "no messages", "messages is empty, expected at least a user's and an assistant's message"),
    ("message string", row("hi", assistant()), "message is not an object", "messages[0] is a string, expected an object with role and con"),
    ("no role", row({"content": "a"}, assistant()), "no role", "messages[0] has no role, expected one of 'system', 'developer', 'user', "),
    ("misspelt role", row(user(), {"role": "assitant", "content": "a"}), "unknown role", "'assitant' (did you mean 'assistant'?), expecte"),
    ("role in capitals", row({"role": "User", "content": "a"}, assistant()), "unknown role", "'User' (did you mean 'user'?), expected"),
    ("ShareGPT role", row({"role": "human", "content": "a"}, assistant()), "unknown role", "role is 'human' (did you mean 'user'?), expec"),
    ("function role", row(user(), {"role": "function", "content": "a"}, assistant()), "unknown role", "(did you mean 'tool'?)"),
    ("role null", row({"role": None, "content": "a"}, assistant()), "unknown role", "messages[0].role is null, expected one of"),
    ("role number", row({"role": 1, "content": "a"}, assistant()), "unknown role", "messages[0].role is 1, expected one of"),
    ("no content", row({"role": "user"}, assistant()), "no content", "messages[0] has no content, expected a string"),
    ("content null", row(user(None), assistant()), "content is not text", "messages[0].content is null, expected a string"),
    ("content number", row(user(7), assistant()), "content is not text", "messages[0].content is the number 7, expected a string"),
    ("content object", row(user({}), assistant()), "content is not text", "messages[0].content is an object, expected a string"),
    ("content empty", row(user(), assistant("")), "empty content", "messages[1].content is empty, expected text"),
    ("content blank", row(user(" \n\t"), assistant()), "empty content", "messages[0].content is only white space"),
    ("content without width", row(user("\u200b\ufeff "), assistant()), "empty content", "messages[0].content is only zero-width character"),
    ("content true", row(user(True), assistant()), "content is not text", "messages[0].content is true, expected a string"),
    ("content a no-break space", row(user("\u00a0"), assistant()), "empty content", "messages[0].content is only white space"),
    ("no parts", row(user([]), assistant()), "empty content", "messages[0].content is empty, expected text"),
    ("blank part", row(user([{"type": "text", "text": " "}]), assistant()), "empty content", "messages[0].content is only white space"),
    ("image", row(user([{"type": "image_url", "image_url": {}}]), assistant()), "content is not text", "messages[0].content[0] is of type"),
    ("part without text", row(user([{"type": "text"}]), assistant()), "content is not text", "messages[0].content[0].text is null, expect"),
    ("part of words", row(user(["a"]), assistant()), "content is not text", 'content[0] is a string, expected {"type": "text", "text": ..'),
    ("part with more", row(user([{"type": "text", "text": "a", "x": 1}]), assistant()), "unknown key", "messages[0].content[0].x is not a"),
    ("misspelt message key", row(user(), assistant(wieght=0)), "unknown key", "messages[1].wieght is not a known key (did you mean 'weigh"),
    ("empty name", row(user(name=""), assistant()), "wrong name", "messages[0].name is '', expected a name, or no such key"),
    ("weight 0.5", row(user(), assistant(weight=0.5)), "wrong weight", "messages[1].weight is 0.5, expected 0 or 1"),
    ("weight 2", row(user(), assistant(weight=2)), "wrong weight", "messages[1].weight is 2, expected 0 or 1"),
    ("weight text", row(user(), assistant(weight="1")), "wrong weight", "messages[1].weight is '1', expected 0 or 1"),
    ("weight true", row(user(), assistant(weight=True)), "wrong weight", "messages[1].weight is true, expected 0 or 1"),
    ("user's weight", row(user(weight=1), assistant()), "wrong weight", "messages[0].weight: only an assistant's message has a weight, th"),
    ("system's weight", row(system() | {"weight": 0}, user(), assistant()), "wrong weight", "messages[0].weight: only an assistant's"),
    ("all weights 0", row(user(), assistant(weight=0)), "nothing to learn", "every message of the assistant has weight 0"),
    ("no assistant", row(user(), user()), "no assistant message", "messages has no message of the assistant, so there is nothing to learn"),
    ("system alone", row(system()), "no assistant message", "messages has no message of the assistant"),
    ("user last", row(user(), assistant(), user()), "wrong order", "messages[2].role is 'user', expected 'assistant': the last message mu"),
    ("assistant first", row(assistant(), user(), assistant()), "wrong order", "messages[0].role is 'assistant', expected 'user'"),
    ("assistant after system", row(system(), assistant()), "wrong order", "messages[1].role is 'assistant', expected 'user'"),
    ("system in between", row(user(), system(), assistant()), "wrong order", "messages[1].role is 'system', expected at messages[0] only"),
    ("two system messages", row(system(), system(), user(), assistant()), "wrong order", "messages[1].role is 'system', expected at"),
]  # fmt: skip


@pytest.mark.parametrize("line, kind, words", [entry[1:] for entry in LINES], ids=[entry[0] for entry in LINES])
def test_a_dirty_row_is_found(tmp_path: Path, line: bytes, kind: str, words: str) -> None:
    """A finding names the line, the field, the value and what is expected; good lines around it are not reported."""
    error = finding(tmp_path / "a", line, OTHERS)
    assert words in error.details[0]
    assert f"(1 x {kind})" in error.message


def test_all_that_is_wrong_with_a_row_is_said_at_once(tmp_path: Path) -> None:
    """Nobody mends a file one message at a time."""
    bad = row({"role": "bot", "content": ""}, assistant(id=1))
    assert [detail.split(" ")[2] for detail in finding(tmp_path / "a", bad, OTHERS).details] == [
        "messages[0].role",
        "messages[0].content",
        "messages[1].id",
    ]


@pytest.mark.parametrize("dirty", [1, 31, 32, 33, 200])
def test_a_dirty_row_is_found_wherever_it_stands(tmp_path: Path, dirty: int) -> None:
    """Rows are read many at a time; a wrong one among them is reported with its own line, and no other."""
    lines = [good(number) for number in range(300)]
    lines[dirty - 1] = row(user())
    error = refusal(tmp_path / "a", b"\n".join(lines) + b"\n")
    assert error.details == [f"line {dirty}: messages has no message of the assistant, so there is nothing to learn"]
    assert "1 of 300 rows is invalid" in error.message


KEYS_OF_LOGS: list[dict[str, Any]] = [
    {"refusal": None},
    {"annotations": []},
    {"function_call": None},
    {"audio": None},
    {"weight": None},
    {"tool_calls": []},
]


@pytest.mark.parametrize("extra", KEYS_OF_LOGS, ids=str)
def test_keys_that_say_nothing_are_passed_over(tmp_path: Path, extra: dict[str, Any]) -> None:
    """OpenAI's own answers carry keys with null in them: nothing is lost without them."""
    found = rows_of(tmp_path / "a", b"\n".join([row(user(), assistant(**extra)), row(user(), assistant())]))
    assert found[0] == found[1]
