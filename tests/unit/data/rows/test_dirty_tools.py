"""Dirty rows with tools and the finding that each must lead to; and those that are right."""

from pathlib import Path
from typing import Any

import pytest

from finetune_trainer.tasks.conversation import Conversation
from tests.unit.data.rows.files import finding, rows_of
from tests.unit.data.rows.samples import WEATHER, asked, assistant, call, calling, good, row, tool, user

OTHERS = [asked(calling(call()), tool(), assistant()), good(2), good(4)]
FUNCTION = WEATHER["function"]
SECOND = {"type": "function", "function": {"name": "time"}}


def changed(**function: Any) -> dict[str, Any]:
    """The weather's tool with something else in its function."""
    return {"type": "function", "function": FUNCTION | function}  # type: ignore[operator]


# (name, the third line of a file, the kind that is counted, the finding's words)
LINES: list[tuple[str, bytes, str, str]] = [
    ("tools object", asked(assistant(), tools={}), "wrong tools", "tools is an object, expected an array of"),
    ("tools number", asked(calling(call()), tool(), assistant(), tools=3), "wrong tools", "tools is the number 3, expected an array of"),
    ("tool text", asked(assistant(), tools=["weather"]), "wrong tools", "tools[0] is a string, expected"),
    ("bare function", asked(assistant(), tools=[FUNCTION]), "wrong tools", "tools[0] has no key 'function', expected"),
    ("tool's type", asked(assistant(), tools=[WEATHER | {"type": "code"}]), "wrong tools", "tools[0].type is 'code', expected 'function'"),
    ("tool's key", asked(assistant(), tools=[WEATHER | {"id": 1}]), "unknown key", "tools[0].id is not a known key"),
    ("no name", asked(assistant(), tools=[{"function": {}}]), "wrong tools", "tools[0].function.name is null, expected the function's nam"),
    ("function's key", asked(assistant(), tools=[changed(params={})]), "unknown key", "params is not a known key (did you mean 'parameter"),
    ("parameters text", asked(assistant(), tools=[changed(parameters="{}")]), "wrong tools", "parameters is a string, expected a JSON Sch"),
    ("properties", asked(assistant(), tools=[changed(parameters={"properties": []})]), "wrong tools", "properties is an array, expected a"),
    ("required", asked(assistant(), tools=[changed(parameters={"required": "a"})]), "wrong tools", "required is a string, expected an arr"),
    ("strict", asked(assistant(), tools=[changed(strict="yes")]), "wrong tools", "tools[0].function.strict is 'yes', expected true or fal"),
    ("description", asked(assistant(), tools=[changed(description=1)]), "wrong tools", "description is the number 1, expected a string"),
    ("half a surrogate", asked(assistant(), tools=[changed(description="\ud800")]), "not UTF-8", "half of a surrogate pair"),
    ("huge number", asked(assistant(), tools=[changed(parameters={"x": 10**30})]), "huge number", "whole number of more than 64 bits"),
    ("two of a name", asked(assistant(), tools=[WEATHER, WEATHER]), "wrong tools", "tools[1].function.name is 'weather', as another tool"),
    ("parallel text", asked(assistant(), parallel_tool_calls="no"), "wrong tools", "parallel_tool_calls is 'no', expected true or false"),
    ("no tools", row(user(), calling(call())), "unknown tool", "'weather', which is not in tools: the row has no tools: add its definitio"),
    ("unknown tool", asked(calling(call("wether"))), "unknown tool", "'wether', which is not in tools (did you mean 'weather'?): expected"),
    ("calls empty, no content", asked(calling()), "content is not text", "messages[1].content is null, expected a string"),
    ("empty arguments", asked(calling(call(arguments=""))), "arguments are not JSON", "arguments is empty: expected the JSON text of an"),
    ("bare key", asked(calling(call(arguments="{city: 1}"))), "arguments are not JSON", "keys must be in double quotes (Expect"),
    ("argument twice", asked(calling(call(arguments='{"a": 1, "a": 2}'))), "arguments are not JSON", "arguments has the key 'a' more th"),
    ("Python's text", asked(calling(call(arguments="{'city': 1}"))), "arguments are not JSON", "JSON requires double quotes (Expecting"),
    ("broken text", asked(calling(call(arguments="{"))), "arguments are not JSON", "the text starts with '{'): expected the JSON text"),
    ("calls object", asked({"role": "assistant", "tool_calls": {}}), "wrong tool call", "messages[1].tool_calls is an object, expected an"),
    ("call text", asked(calling("weather")), "wrong tool call", "messages[1].tool_calls[0] is a string, expected"),
    ("call without function", asked(calling({"id": "a"})), "wrong tool call", "tool_calls[0].function is null, expected"),
    ("call's type", asked(calling(call(type="code"))), "wrong tool call", "messages[1].tool_calls[0].type is 'code', expected 'function'"),
    ("call's key", asked(calling(call(name_="x"))), "unknown key", "messages[1].tool_calls[0].name_ is not a known key: a call has 'id',"),
    ("call's name", asked(calling(call(None))), "wrong tool call", "function.name is null, expected the name of a function in tools"),
    ("call's id", asked(calling(call(call_id=7))), "wrong tool call", "messages[1].tool_calls[0].id is 7, expected a string"),
    ("broken arguments", asked(calling(call(arguments='{"city": '))), "arguments are not JSON", "expected the JSON text of an object"),
    ("arguments array", asked(calling(call(arguments="[]"))), "arguments are not JSON", "arguments is an array, expected the JSON text of"),
    ("no arguments", asked(calling({"function": {"name": "weather"}})), "arguments are not JSON", "arguments is missing, expected the JSO"),
    ("required", asked(calling(call(arguments="{}"))), "wrong arguments", "arguments has no 'city', which function 'weather' requires"),
    ("unknown argument", asked(calling(call(arguments='{"city": "Oslo", "untis": 1}'))), "wrong arguments", "er' (did you mean 'unit'?):"),
    ("arguments for none", asked(calling(call("time", '{"a": 1}')), tools=[SECOND]), "wrong arguments", "function 'time': it takes n"),
    ("id twice", asked(calling(call(), call())), "id twice", "messages[1].tool_calls[1].id is 'c1', as of another call before it"),
    ("unanswered", asked(calling(call()), assistant()), "unanswered call", "is not answered before messages[2]: expected a message of rol"),
    ("one of two", asked(calling(call(), call(call_id="c2")), tool(), assistant()), "unanswered call", "with tool_call_id 'c2'"),
    ("answer to nobody", asked(tool(), assistant()), "answer without call", "messages[1] does not answer a call: expected right after"),
    ("a second answer", asked(calling(call()), tool(), tool(), assistant()), "answer without call", "messages[3] does not answer a call: "),
    ("wrong id", asked(calling(call()), tool(call="c9"), assistant()), "answer without call", "tool_call_id is 'c9', expected the id of a"),
    ("no id", asked(calling(call()), tool(call=None), assistant()), "answer without call", "messages[2] has no tool_call_id, expected the"),
    ("tool last", asked(calling(call()), tool()), "wrong order", "[2].role is 'tool', expected 'assistant': the last message must be"),
    ("user's calls", asked(user(tool_calls=[call()]), assistant()), "wrong role", "messages[1].tool_calls: only an assistant's message ha"),
    ("user's call id", asked(user(tool_call_id="c1"), assistant()), "wrong role", "tool_call_id: only a tool's message has a tool_call_id"),
    ("not parallel", asked(calling(call(), call(call_id="b")), parallel_tool_calls=False), "wrong tool call", "2 calls although the row's"),
]  # fmt: skip


@pytest.mark.parametrize("line, kind, words", [entry[1:] for entry in LINES], ids=[entry[0] for entry in LINES])
def test_a_dirty_row_is_found(tmp_path: Path, line: bytes, kind: str, words: str) -> None:
    """Tools, calls and answers fit each other, or the finding says which does not and what was expected."""
    error = finding(tmp_path / "a", line, OTHERS)
    assert any(words in detail for detail in error.details), error.details
    assert kind in error.message


RIGHT: list[tuple[str, bytes]] = [
    ("a call as the last message must be", asked(calling(call()))),
    ("text beside a call", asked(calling(call(), content="Let me look."), tool(), assistant())),
    ("parallel calls", asked(calling(call(), call(call_id="c2")), tool(), tool(call="c2"), assistant(), parallel_tool_calls=True)),
    ("answers in another order", asked(calling(call(), call(call_id="c2")), tool(call="c2"), tool(), assistant())),
    ("no ids", asked(calling(call(call_id=None)), tool(call=None), assistant())),
    ("arguments as an object", asked(calling(call(arguments={"city": "Oslo"})), tool(), assistant())),
    ("two rounds", asked(calling(call()), tool(), calling(call(call_id="c2")), tool(call="c2"), assistant(), user(), assistant())),
    (
        "further arguments",
        asked(calling(call(arguments='{"city": "", "x": 1}')), tools=[changed(parameters={"additionalProperties": True})]),
    ),
    ("arguments of another schema", asked(calling(call()), tools=[changed(parameters={"anyOf": [{"properties": {"city": {}}}]})])),
    ("empty content beside a call", asked(calling(call(), content=""), tool(), assistant())),
    ("a call that is not learned", asked(calling(call(), weight=0), tool(), assistant())),
    ("tools that nobody calls", asked(assistant())),
]


@pytest.mark.parametrize("line", [entry[1] for entry in RIGHT], ids=[entry[0] for entry in RIGHT])
def test_rows_with_tools_are_read(tmp_path: Path, line: bytes) -> None:
    """What OpenAI's format allows is a row."""
    (found,) = rows_of(tmp_path / "a", line)
    assert isinstance(found, Conversation)
    assert found.tools is not None


def test_a_row_has_one_form(tmp_path: Path) -> None:
    """Arguments are text, an empty content beside a call is none, ids are kept: however the file writes it."""
    lines = [asked(calling(call(arguments={"city": "Oslo"}), content="")), asked(calling(call(arguments='{"city":"Oslo"}')))]
    first, second = rows_of(tmp_path / "a", b"\n".join(lines))
    assert first == second
    assert isinstance(first, Conversation)
    message = first.messages[1]
    assert message.content is None
    assert message.tool_calls is not None
    assert (message.tool_calls[0].id, message.tool_calls[0].function.arguments) == ("c1", '{"city":"Oslo"}')
