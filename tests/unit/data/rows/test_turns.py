"""Turns as other programs write them: what becomes one message, what is honoured, what is refused and what is noted."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_trainer.data.profile.notes import remark_notes
from finetune_trainer.tasks.conversation import Conversation
from tests.unit.data.rows.files import opened, refusal, rows_of
from tests.unit.data.rows.samples import asked, assistant, call, calling, row, tool, user

TOOLS = json.dumps([{"name": "stock", "parameters": {"type": "object", "properties": {"item": {"type": "string"}}}}])
ASK = ("human", "How many?")


def turn(role: str, value: Any, **more: Any) -> dict[str, Any]:
    """A turn."""
    return {"from": role, "value": value, **more}


def stock(item: str = "kettle", role: str = "function_call", **more: Any) -> dict[str, Any]:
    """A turn that calls."""
    return turn(role, json.dumps({"name": "stock", "arguments": {"item": item}}), **more)


def share(*turns: Any, tools: Any = TOOLS, **more: Any) -> bytes:
    """A row of ShareGPT whose first turn asks."""
    return json.dumps({"conversations": [turn(*ASK), *turns], "tools": tools, **more}).encode()


LEFT, SAID = turn("observation", '{"left": 0}'), turn("gpt", "None.")


def form(found: Any) -> list[tuple[Any, ...]]:
    """Role, content, calls and weight of each message."""
    assert isinstance(found, Conversation)
    return [(message.role, message.content, len(message.tool_calls or []), message.weight) for message in found.messages]


USER = ("user", "How many?", 0, None)
RESULT, ANSWER = ("tool", '{"left": 0}', 0, None), ("assistant", "None.", 0, None)
# (name, a row, its messages)
READ: list[tuple[str, bytes, list[tuple[Any, ...]]]] = [
    ("text, then a call", share(turn("gpt", "I look."), stock(), LEFT, SAID), [USER, ("assistant", "I look.", 1, None), RESULT, ANSWER]),
    ("a call", share(stock(), LEFT, SAID), [USER, ("assistant", None, 1, None), RESULT, ANSWER]),
    ("two calls", share(stock(), stock("lamp"), LEFT, LEFT, SAID), [USER, ("assistant", None, 2, None), RESULT, RESULT, ANSWER]),
    (
        "text, then two calls",
        share(turn("gpt", "I look."), stock(), stock("lamp"), LEFT, LEFT, SAID),
        [USER, ("assistant", "I look.", 2, None), RESULT, RESULT, ANSWER],
    ),
    (
        "one call after the other",
        share(stock(), LEFT, stock("lamp"), LEFT, SAID),
        [USER, ("assistant", None, 1, None), RESULT, ("assistant", None, 1, None), RESULT, ANSWER],
    ),
    ("a call as the last message must be", share(turn("gpt", "I look."), stock()), [USER, ("assistant", "I look.", 1, None)]),
    ("two questions", share(turn("human", "Well?"), SAID), [USER, ("user", "Well?", 0, None), ANSWER]),
    (
        "other words",
        share(stock(role="tool_call"), turn("tool_response", "0"), SAID),
        [USER, ("assistant", None, 1, None), ("tool", "0", 0, None), ANSWER],
    ),
    (
        "train",
        share(turn("gpt", "Bad.", train=False), turn("human", "Well?"), SAID),
        [USER, ("assistant", "Bad.", 0, 0), ("user", "Well?", 0, None), ANSWER],
    ),
    (
        "loss",
        share(turn("gpt", "Bad.", loss=0), turn("human", "Well?", loss=0), SAID),
        [USER, ("assistant", "Bad.", 0, 0), ("user", "Well?", 0, None), ANSWER],
    ),
    ("weights of SlimOrca", share(turn("gpt", "None.", weight=1), tools=None), [USER, ("assistant", "None.", 0, 1)]),
    (
        "flags of a call",
        share(turn("gpt", "I look.", train=False), stock(train=False), LEFT, SAID),
        [USER, ("assistant", "I look.", 1, 0), RESULT, ANSWER],
    ),
    ("nulls", share(turn("gpt", "None.", reasoning_content=None, weight=None, refusal="", tool_calls=[])), [USER, ANSWER]),
    ("empty result", share(stock(), turn("observation", ""), SAID), [USER, ("assistant", None, 1, None), ("tool", "", 0, None), ANSWER]),
]


@pytest.mark.parametrize("line, messages", [entry[1:] for entry in READ], ids=[entry[0] for entry in READ])
def test_turns_become_messages(tmp_path: Path, line: bytes, messages: list[tuple[Any, ...]]) -> None:
    """A text and the calls behind it are what the server gives in one answer, so they are one message; flags are the weight."""
    assert form(rows_of(tmp_path / "a", line)[0]) == messages


# (name, a row, the words of the finding)
REFUSED: list[tuple[str, bytes, str]] = [
    (
        "misspelt",
        share(turn("gpt", "Bad.", wieght=0), turn("human", "?"), SAID),
        "conversations[1].wieght is not a known key (did you mean 'weight'?)",
    ),
    ("a flag nobody knows", share(turn("gpt", "Bad.", mask=True)), "conversations[1].mask is not a known key: a turn has 'from', 'value'"),
    ("a number that may be one", share(turn("gpt", "Bad.", loss_scale=0)), "conversations[1].loss_scale is not a known key"),
    (
        "thoughts",
        share(turn("gpt", "None.", reasoning_content="Hm.")),
        "conversations[1].reasoning_content cannot be learned: it is not learned apart",
    ),
    (
        "a refusal",
        share(turn("gpt", "None.", refusal="No.")),
        "conversations[1].refusal cannot be learned: the served model refuses in content",
    ),
    ("OpenAI's calls", share(turn("gpt", "None.", tool_calls=[{"name": "x"}])), "write each call as a turn from 'function_call'"),
    ("a flag of words", share(turn("gpt", "None.", train="no")), "conversations[1].train is 'no', expected true or false"),
    (
        "flags that differ",
        share(turn("gpt", "None.", train=True, weight=0)),
        "conversations[1] has weight 0 and train true, which contradict",
    ),
    ("a learned question", share(turn("human", "?", train=True), SAID), "conversations[1].train: only an assistant's message has a train"),
    (
        "half an answer",
        share(turn("gpt", "I look.", train=False), stock(), LEFT, SAID),
        "conversations[1] and conversations[2] are one answer of",
    ),
    (
        "a call, then text",
        share(stock(), SAID),
        "conversations[1].value is not answered before conversations[2]: expected a turn from 'observation'",
    ),
    ("a result first", json.dumps({"conversations": [LEFT, SAID]}).encode(), "conversations[0].from is 'observation', expected 'human'"),
    ("a result of nothing", share(LEFT, SAID), "conversations[1] does not answer a call: expected right after a turn from 'function_call'"),
    ("two results", share(stock(), LEFT, LEFT, SAID), "conversations[3] does not answer a call"),
    ("one result of two", share(stock(), stock("b"), LEFT, SAID), "conversations[2].value is not answered before conversations[4]"),
    (
        "unknown tool",
        share(turn("function_call", '{"name": "sotck", "arguments": {}}')),
        "conversations[1].value.name is 'sotck', which is not in tools (did",
    ),
    (
        "wrong argument",
        share(turn("function_call", '[{"name": "stock", "arguments": {"itme": 1}}, {"name": "stock", "arguments": {}}]')),
        "conversations[1].value[0].arguments has 'itme'",
    ),
    ("tool without a name", share(SAID, tools='[{"description": "x"}]'), "tools[0].name is null, expected the function's name"),
    (
        "call with more",
        share(turn("function_call", '{"name": "stock", "arguments": {}, "result": 1}')),
        "conversations[1].value.result is not a known key",
    ),
    ("no text", share(turn("gpt", None)), "conversations[1].value is null, expected a string"),
    ("a system that is none", share(SAID, system={"text": "Be kind."}), "system is an object, expected a string"),
    ("pictures", share(SAID, images=["a.png"]), "images is not empty: only text is supported"),
]


@pytest.mark.parametrize("line, words", [entry[1:] for entry in REFUSED], ids=[entry[0] for entry in REFUSED])
def test_what_cannot_be_honoured_is_refused_in_the_files_words(tmp_path: Path, line: bytes, words: str) -> None:
    """Nothing that changes what is learnt is dropped, and findings speak of the turns that are in the file."""
    error = refusal(tmp_path / "a", line)
    assert any(words in detail for detail in error.details), error.details
    assert not any("tool_calls[" in detail or "'tool'" in detail or "messages[" in detail for detail in error.details)


LOOK = assistant("I look.")
# (name, a row, the note)
NOTED: list[tuple[str, bytes, str]] = [
    ("keys that describe", share(turn("gpt", "None.", id="a7", model="m"), tools=None), "line 1: the key 'id' of turns is not used"),
    ("two answers", row(user(), assistant("A"), assistant("B")), "line 1: the assistant has two messages in a row: each is learned as an"),
    ("two answers of ShareGPT", share(turn("gpt", "A."), SAID), "line 1: the assistant has two messages in a row"),
    (
        "text, then a call",
        asked(LOOK, calling(call()), tool(), assistant()),
        "line 1: the assistant's text and the tool calls in the message",
    ),
]


@pytest.mark.parametrize("line, words", [entry[1:] for entry in NOTED], ids=[entry[0] for entry in NOTED])
def test_what_is_worth_a_look_is_noted(tmp_path: Path, line: bytes, words: str) -> None:
    """A note has the lines."""
    profile = opened(tmp_path / "a", line).profiled(1).profile
    assert len(profile.hashes) == 1
    assert any(words in note for note in remark_notes(profile, "rows.jsonl")), remark_notes(profile, "rows.jsonl")


def test_a_field_that_only_later_rows_have_is_noted(tmp_path: Path) -> None:
    """The first rows decide the layout, and what they do not have is reported with its lines."""
    rows = [share(turn("gpt", f"Answer {number}."), **({"lang": "de"} if number > 60 else {})) for number in range(64)]
    profile = opened(tmp_path / "a", b"\n".join(rows)).profiled(1).profile
    assert remark_notes(profile, "rows.jsonl") == ["rows.jsonl, lines 62, 63 and 64: field 'lang' is not used"]


def test_text_and_calls_of_two_messages_are_one_row(tmp_path: Path) -> None:
    """What the server gives in one answer is one message, however the file writes it."""
    apart = asked(LOOK, calling(call()), tool(), assistant())
    together = asked(calling(call(), content="I look."), tool(), assistant())
    first, second = rows_of(tmp_path / "a", apart + b"\n" + together)
    assert first == second


@pytest.mark.parametrize(
    "content", ["", "\n", " \t", None, [], [{"type": "text", "text": ""}], [{"type": "text", "text": "\n", "image_url": None}]]
)
def test_one_rule_of_emptiness(tmp_path: Path, content: Any) -> None:
    """A content that says nothing is none beside calls and an empty result of a tool, and a finding anywhere else, in every form."""
    (found,) = rows_of(tmp_path / "a", asked(calling(call(), content=content), tool(content), assistant()))
    assert isinstance(found, Conversation)
    assert found.messages[1].content is None
    assert (found.messages[2].content or "").strip() == ""
    assert found.messages[2].content is not None
    for wrong in (row(user(content), assistant()), row(user(), assistant(content))):
        assert "content is " in refusal(tmp_path / "a", wrong).details[0]
