"""Calls of tools are distinguished from text, whatever the pieces are."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_server.generation.tool_calls import ToolCall, ToolCallReader, parsed
from finetune_text.call_text import CLOSE, OPEN

pytestmark = pytest.mark.unit

WEATHER = '<tool_call>\n{"name": "weather", "arguments": {"town": "Rome"}}\n</tool_call>'
MAIL = '<tool_call>{"name":"mail","arguments":{}}</tool_call>'
ODD = '<tool_call>{"name": "mail", "arguments": {"text": "a \\"</tool_call>\\" b"}}</tool_call>'
ROME, EMPTY = ("weather", '{"town": "Rome"}'), ("mail", "{}")
Found = list[str | tuple[str, str]]

CASES: list[tuple[str, Found]] = [
    ("", []),
    ("Hello", ["Hello"]),
    (" \n", [" \n"]),
    (WEATHER, [ROME]),
    (f"\n{WEATHER}\n", [ROME]),
    (f"I look.\n\n{WEATHER}\n{MAIL}", ["I look.", ROME, EMPTY]),
    (f"{WEATHER}\n\nDone. \n", [ROME, "Done. \n"]),
    (f"{WEATHER} and {MAIL}", [ROME, "and", EMPTY]),
    (ODD, [("mail", '{"text": "a \\"</tool_call>\\" b"}')]),
    ("a <tool_cal b", ["a <tool_cal b"]),
    ("a < tool_call>", ["a < tool_call>"]),
    ("a </tool_call> b", ["a </tool_call> b"]),
    ("a <tool_call> b", ["a <tool_call> b"]),
    ("a <tool_call> b</tool_call> c", ["a <tool_call> b</tool_call> c"]),
    (f"a\n<tool_call>{{]</tool_call>\n{MAIL}", ["a\n<tool_call>{]</tool_call>", EMPTY]),
    ('<tool_call>{"name": "mail", "arguments": {}}', [EMPTY]),
    ('<tool_call>{"name": "mail", "arguments": {"a', ['<tool_call>{"name": "mail", "arguments": {"a']),
    ('<tool_call>{"name": "mail", "arguments": "{}"}</tool_call>', ['<tool_call>{"name": "mail", "arguments": "{}"}</tool_call>']),
    ('<tool_call>{"name": "mail"}</tool_call>', ['<tool_call>{"name": "mail"}</tool_call>']),
    ('<tool_call>{"name": 5, "arguments": {}}</tool_call>', ['<tool_call>{"name": 5, "arguments": {}}</tool_call>']),
    ("<tool_call>[]</tool_call>", ["<tool_call>[]</tool_call>"]),
    ('<tool_call>{"name": "m", "arguments": {"a": NaN}}</tool_call>', ['<tool_call>{"name": "m", "arguments": {"a": NaN}}</tool_call>']),
    (
        '<tool_call>{"name": "m", "arguments": {"a": "\\ud800"}}</tool_call>',
        ['<tool_call>{"name": "m", "arguments": {"a": "\\ud800"}}</tool_call>'],
    ),
    ('<tool_call>{"name": "m", "arguments": {"a": "\\ud83d\\ude00 ü"}}</tool_call>', [("m", '{"a": "😀 ü"}')]),
    ("<tool_call>" + "[" * 100_000, ["<tool_call>" + "[" * 100_000]),
]


def read(pieces: list[str], *, one_call: bool = False) -> Found:
    """All texts and calls, neighbouring texts as one."""
    reader = ToolCallReader(one_call=one_call)
    parts = [part for piece in pieces for part in reader.push(piece)] + reader.flush()
    found: Found = []
    for part in parts:
        if isinstance(part, ToolCall):
            json.loads(part.arguments)
            found.append((part.name, part.arguments))
        elif found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    assert reader.calls == sum(isinstance(part, ToolCall) for part in parts)
    return found


@pytest.mark.parametrize("text, expected", CASES, ids=[case[0][:40] for case in CASES])
def test_texts_and_calls(text: str, expected: Found) -> None:
    """Calls with a name and an object of arguments are calls; everything else is text, character by character."""
    assert read([text]) == expected


@given(st.data(), st.sampled_from([case for case in CASES if len(case[0]) < 1000]))
def test_the_pieces_do_not_matter(data: st.DataObject, case: tuple[str, Found]) -> None:
    """The same is found however the text was cut."""
    text, expected = case
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    assert read([text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]) == expected


def test_text_does_not_wait() -> None:
    """Text before a call is passed on as it comes, but for what may belong to a marker."""
    reader = ToolCallReader()
    said = [reader.push(piece) for piece in ("Let me", " look.", "\n", "<", "tool", "_call", ">{")]
    assert said == [["Let me"], [" look."], [], [], [], [], []]


def test_a_single_call() -> None:
    """With one_call nothing comes after the first call."""
    assert read([f"Hi {WEATHER}{MAIL} more"], one_call=True) == ["Hi", ROME]


def test_ids_differ() -> None:
    """Each call has an id of its own."""
    first, second = ToolCallReader().push(MAIL + MAIL)
    assert isinstance(first, ToolCall) and isinstance(second, ToolCall)
    assert first.id.startswith("call_") and first.id != second.id


def slowly(text: str) -> Found:
    """The rule, read as it is written: a call ends at the first end marker that is in no string of its JSON."""
    before, marker, rest = text.partition(OPEN)
    if not marker:
        return [text] if text else []
    ends = [
        found.start()
        for found in re.finditer(CLOSE, rest)
        if re.sub(r"\\.", "", rest[: found.start()], flags=re.DOTALL).count('"') % 2 == 0
    ]
    body, after = (rest[: ends[0]], rest[ends[0] + len(CLOSE) :]) if ends else (rest, "")
    call = parsed(body)
    if call is None:
        return joined([before + OPEN + body + (CLOSE if ends else ""), *slowly(after)])
    following = slowly(after.lstrip())
    return joined([*([before.rstrip()] if before.rstrip() else []), (call.name, call.arguments), *following])


def joined(parts: Found) -> Found:
    """Neighbouring texts as one."""
    found: Found = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    return found


WORDS = st.sampled_from([OPEN, CLOSE, '"', "\\", "{", "}", "x", " ", "<", "</tool", MAIL, '{"name":"m","arguments":{"a":"', '"}}'])


@given(st.lists(WORDS, max_size=14), st.lists(st.integers(0, 200), max_size=8))
def test_whatever_a_model_writes(words: list[str], places: list[int]) -> None:
    """Every text is read as the rule says, in any pieces."""
    text = "".join(words)
    cuts = sorted(min(place, len(text)) for place in places)
    assert read([text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]) == slowly(text)


def test_an_answer_of_end_markers() -> None:
    """Markers in a string that never ends are looked at once each, not again with every token."""
    reader = ToolCallReader()
    pieces = [OPEN, '{"name": "m", "arguments": {"a": "', *[CLOSE] * 20_000]
    assert [part for piece in pieces for part in reader.push(piece)] == []
    assert reader.flush() == ["".join(pieces)]
