"""Nulls of rows that were structs of Arrow, and numbers at the edge of what JSON says."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_trainer.data.profile.notes import remark_notes
from finetune_trainer.tasks.conversation import Conversation
from tests.unit.data.rows.files import opened, refusal, rows_of
from tests.unit.data.rows.samples import assistant, call, calling, row, tool, user

PRICE = {"type": "object", "properties": {"item": {"type": "string"}, "unit": {"type": ["string", "null"]}, "note": {}}}


def talk(arguments: Any, parameters: Any = PRICE, **more: Any) -> bytes:
    """A row with one call."""
    tools = [{"type": "function", "function": {"name": "price", "parameters": parameters}}]
    return row(user(), calling(call("price", arguments)), tool(), assistant(), tools=tools, **more)


def arguments_of(found: Any) -> Any:
    """What the call of a row has."""
    assert isinstance(found, Conversation)
    calls = found.messages[1].tool_calls
    assert calls
    return json.loads(calls[0].function.arguments)


def parameters_of(found: Any) -> Any:
    """The schema of a row's tool."""
    assert isinstance(found, Conversation)
    assert found.tools
    return found.tools[0].function.parameters


# (the arguments of a call, what is learnt)
ARGUMENTS: list[tuple[Any, Any]] = [
    ({"item": "a", "currency": None}, {"item": "a"}),
    ({"item": "a", "unit": None}, {"item": "a", "unit": None}),
    ({"item": "a", "note": None}, {"item": "a", "note": None}),
    ({"item": None, "unit": "kg"}, {"unit": "kg"}),
    ('{"item": "a", "unit": null}', {"item": "a", "unit": None}),
    ({"item": "a", "note": {"deep": [{"x": None}]}}, {"item": "a", "note": {"deep": [{"x": None}]}}),
]


@pytest.mark.parametrize("given, learnt", ARGUMENTS, ids=str)
def test_a_null_argument_is_kept_where_the_function_takes_null(tmp_path: Path, given: Any, learnt: Any) -> None:
    """Anywhere else it is a key of a struct that this row does not have."""
    assert arguments_of(rows_of(tmp_path / "a", talk(given))[0]) == learnt


# (a function's parameters, what is learnt)
SCHEMAS: list[tuple[Any, Any]] = [
    ({"type": "object", "properties": None, "required": None}, {"type": "object"}),
    (
        {"type": "object", "properties": {"item": {"type": "string", "enum": None}, "x": None}},
        {"type": "object", "properties": {"item": {"type": "string"}}},
    ),
    ({"properties": {"item": {"default": None}}}, {"properties": {"item": {"default": None}}}),
    ({"properties": {"item": {"default": None, "description": None}}}, {"properties": {"item": {}}}),
    ({"properties": {"item": {"enum": ["a", None]}}}, {"properties": {"item": {"enum": ["a", None]}}}),
    (None, None),
]


@pytest.mark.parametrize("given, learnt", SCHEMAS, ids=str)
def test_a_null_in_a_schema_is_a_key_that_is_not_there(tmp_path: Path, given: Any, learnt: Any) -> None:
    """JSON Schema has null as a value of few keywords."""
    tools = [{"type": "function", "function": {"name": "price", "description": None, "strict": None, "parameters": given}, "id": None}]
    assert parameters_of(rows_of(tmp_path / "a", row(user(), assistant(), tools=tools))[0]) == learnt


def test_keys_that_are_null_say_nothing(tmp_path: Path) -> None:
    """Wherever the format has a key as optional, and for keys that it does not have."""
    part = {"type": "text", "text": "Hi", "image_url": None, "cache_control": None}
    nothing = {"weight": None, "name": None, "tool_calls": None, "tool_call_id": None, "function_call": None, "lang": None}
    full = row(user([part], **nothing), assistant(**nothing), tools=None, functions=None, parallel_tool_calls=None, source=None)
    first, second = rows_of(tmp_path / "a", full + b"\n" + row(user(), assistant()))
    assert first == second
    call_of_nulls = {"id": "c1", "type": None, "index": None, "function": {"name": "price", "arguments": "{}", "x": None}}
    tools = [{"type": None, "function": {"name": "price"}}]
    rows_of(tmp_path / "a", row(user(), calling(call_of_nulls), tool(), assistant(), tools=tools))


def test_nulls_are_noted(tmp_path: Path) -> None:
    """Both those that are left out and those that are learnt."""
    rows = [talk({"item": "a", "x": None}), talk({"item": "a", "unit": None}), talk({"item": "b"})]
    profile = opened(tmp_path / "a", b"\n".join(rows)).profiled(1).profile
    notes = remark_notes(profile, "rows.jsonl")
    assert notes[0].startswith("rows.jsonl, line 1: nulls in tools, or in a call's arguments where")
    assert notes[1].startswith("rows.jsonl, line 2: null in a call's arguments is learned as it is")
    assert len(notes) == 2


NUMBERS = ["1", "1.10", "0.1e1", "1E5", "-0.0", "10000000000000000000.0", "9007199254740993", "12345678901234567890123", "1e308"]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("as_text", [True, False])
def test_numbers_keep_their_value(tmp_path: Path, number: str, as_text: bool) -> None:
    """In JSON text and in objects, also beyond 64 bits."""
    text = f'{{"note": {number}}}'
    line = talk(text) if as_text else talk("@").replace(b'"@"', text.encode())
    assert repr(arguments_of(rows_of(tmp_path / "a", line)[0])) == repr(json.loads(text))


@pytest.mark.parametrize("number", ["1e400", "-1e999", "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("as_text", [True, False])
def test_numbers_that_json_does_not_have_are_refused(tmp_path: Path, number: str, as_text: bool) -> None:
    """The value is judged, not its spelling."""
    text = f'{{"note": {number}}}'
    line = talk(text) if as_text else talk("@").replace(b'"@"', text.encode())
    assert number in refusal(tmp_path / "a", line).details[0]
