"""Forms that people have besides the tasks' own: read where there is one way to read them, otherwise called by their name."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_api.resources.finetune_job import TaskName
from finetune_trainer.tasks.completion import Completion
from finetune_trainer.tasks.conversation import Conversation, Message
from tests.unit.data.rows.files import opened, refusal, rows_of
from tests.unit.data.rows.samples import WEATHER, assistant, call, calling, row, system, tool, user

CHAT = Conversation([Message("user", "Hi"), Message("assistant", "Hello")])
SYSTEM = Conversation([Message("system", "Be kind."), *CHAT.messages])
BEDROCK = {
    "schemaVersion": "bedrock-conversation-2024",
    "system": [{"text": "Be kind."}],
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}, {"role": "assistant", "content": [{"text": "Hello"}]}],
}
EARLIER = Conversation([Message("user", "Hi"), Message("assistant", "Hm", weight=0), *CHAT.messages])

# (task, a record, the format, the row)
READ: list[tuple[TaskName, Any, str, Any]] = [
    ("chat", {"prompt": [user()], "completion": [assistant()]}, "prompt and completion as messages", CHAT),
    ("chat", {"prompt": [system(), user()], "completion": [assistant()]}, "prompt and completion as messages", SYSTEM),
    ("chat", {"prompt": [user()], "completion": "Hello"}, "prompt and completion as messages", CHAT),
    (
        "chat",
        {"prompt": [user(), assistant("Hm"), user()], "completion": [assistant()]},
        "prompt and completion as messages",
        EARLIER,
    ),
    ("chat", BEDROCK, "OpenAI chat, system apart", SYSTEM),
    ("chat", {"system": "Be kind.", "messages": [user(), assistant()]}, "OpenAI chat, system apart", SYSTEM),
    ("chat", {"system": None, "messages": [user(), assistant()]}, "OpenAI chat, system apart", CHAT),
    ("chat", {"instruction": "Hi", "context": "", "response": "Hello", "category": "talk"}, "Dolly", CHAT),
    ("completion", {"text": "<s>Hi"}, "plain text", Completion("", "<s>Hi")),
    ("chat", {"messages": [user([{"type": "input_text", "text": "Hi"}]), assistant([{"text": "Hello"}])]}, "OpenAI chat", CHAT),
]


@pytest.mark.parametrize("task, record, words, expected", READ, ids=[f"{entry[2]} {n}" for n, entry in enumerate(READ)])
def test_what_has_one_meaning_is_read(tmp_path: Path, task: TaskName, record: Any, words: str, expected: Any) -> None:
    """Without columns or template."""
    content = json.dumps(record).encode()
    assert opened(tmp_path / "a", content, task).format == f"JSONL, {words}"
    assert rows_of(tmp_path / "a", content, task) == [expected]


SPANS = [{"start": 0, "end": 5, "label": "PER"}]
GOOD, BAD = [user(), assistant()], [user(), assistant("No")]
TOKENS = '{"tokens": ["Maria", "sleeps"], "tags": ["B-PER", "O"]}'
# (task, the records, words of the message)
NAMED: list[tuple[TaskName, list[Any], str]] = [
    ("chat", [{"chosen": GOOD, "rejected": BAD}], "set columns: {messages: chosen}"),
    ("chat", [{"prompt": "a", "chosen": "b", "rejected": "c"}], "set columns: {prompt: prompt, completion: chosen}"),
    ("completion", [{"prompt": "a", "chosen": "b", "rejected": "c"}], "set columns: {prompt: prompt, completion: chosen}"),
    ("chat", [{"prompt": [user()], "chosen": [assistant()], "rejected": [assistant("No")]}], "write it as the last message of each row"),
    ("chat", [{"conversations": [], "chosen": {"from": "gpt"}, "rejected": {"from": "gpt"}}], "preference data, DPO"),
    ("chat", [{"input": {"messages": [user()]}, "preferred_output": [assistant()], "non_preferred_output": []}], "preference data, DPO"),
    ("chat", [{"prompt": "a", "completion": "b", "label": True}], "(KTO): set method.objective: kto to learn from both"),
    ("completion", [{"prompt": [user()], "completion": [assistant()]}], "which is data for task chat: set task: chat"),
    (
        "token-classification",
        [{"text": "Maria sleeps", "entities": SPANS}],
        f"spans of the text in 'entities' (start, end, label): to tag tokens, write a list of words and one tag for each: {TOKENS}",
    ),
    (
        "token-classification",
        [{"text": "Maria sleeps", "label": [[0, 5, "PER"]]}],
        "holds spans of the text in 'label' (doccano: start, end, label)",
    ),
    ("sequence-classification", [{"text": "Maria sleeps", "label": [[0, 5, "PER"]]}], "holds spans of the text in 'label' (doccano"),
    ("token-classification", [{"data": "Maria", "spans": [{"start_offset": 0, "end_offset": 5}]}], "holds spans of the text in 'spans'"),
    (
        "token-classification",
        [{"Sentence #": "1", "Word": "Maria", "Tag": "B-per"}],
        "has one word per row ('Word', 'Tag'): a row is a whole sentence",
    ),
    ("chat", [{"query": "a", "tools": "[]", "answers": "[]"}], "holds tool calls as xLAM writes them (query, tools, answers)"),
    (
        "sequence-classification",
        [{"id": 1, "data": {"text": "a"}, "annotations": []}],
        "is an export of Label Studio with all its annotations",
    ),
    ("chat", [{"contents": [{"role": "user", "parts": [{"text": "a"}]}]}], "holds chats as Gemini writes them (contents, parts)"),
    ("chat", [{"segments": [{"label": True, "text": "a"}]}], "holds segments with labels (Axolotl"),
    ("completion", [{"input_ids": [1], "labels": [1]}], "holds token ids (input_ids)"),
    ("chat", [user(), assistant()], "has one message per row: a row is a whole conversation"),
    (
        "sequence-classification",
        [{"comment_text": "a", "toxic": 0, "insult": 1}] * 2,
        "has a column of 0 and 1 for each label ('toxic', 'insult'): write one field",
    ),
    ("chat", [{"dialog": [user(), assistant()]}], "name them with columns: {messages: dialog}"),
    ("chat", [{"chat": [{"from": "human", "value": "a"}]}], "rename 'chat' to 'conversations'"),
    ("chat", [{"question": "a", "answer": "b"}], "name them with columns: {prompt: question, completion: answer}; or build the texts"),
    ("completion", [{"id": 1, "problem": "a", "solution": "b"}], "name them with columns: {prompt: problem, completion: solution}"),
    ("completion", [{"id": 7, "score": 1}], "none of them holds a text and a text; or build the texts with template"),
    ("token-classification", [{"sentence": "a b", "labels": "O O"}], "none of them holds a list of words and a list of tags"),
    ("token-classification", [{"toks": ["a"], "ner": ["O"], "id": 1}], "name them with columns: {tokens: toks, tags: ner}"),
    ("sequence-classification", [{"id": 3, "review": "a b", "stars": 5}], "name them with columns: {text: review, label: stars}"),
]


@pytest.mark.parametrize("task, records, words", NAMED, ids=[f"{entry[0]} {n}" for n, entry in enumerate(NAMED)])
def test_other_forms_are_called_by_their_name(tmp_path: Path, task: TaskName, records: list[Any], words: str) -> None:
    """With a next step that leads on: columns are proposed by what they hold, never by where they stand."""
    error = refusal(tmp_path / "a", b"\n".join(json.dumps(record).encode() for record in records), task)
    assert words in error.message


HEADERLESS: list[tuple[TaskName, bytes, str]] = [
    ("sequence-classification", b"I like it very much indeed,1\nNo thanks,0\n", "('I like it very much indeed', '1') looks like a row"),
    ("sequence-classification", b"good,pos\nbad,neg\nnice,pos\n", "Put a line with the names of the columns before it (text,label)"),
    (
        "completion",
        b"What is this?\tA kettle.\nAnd that?\tA lamp.\n",
        "Put a line with the names of the columns before it (prompt,completion)",
    ),
]


@pytest.mark.parametrize("task, content, words", HEADERLESS)
def test_a_csv_without_a_header_line_is_seen(tmp_path: Path, task: TaskName, content: bytes, words: str) -> None:
    """Its first row is no list of names."""
    error = refusal(tmp_path / "a", content, task)
    assert "has no header line" in error.message
    assert words in error.message


SAID: list[tuple[bytes, str]] = [
    (
        row({"role": "x", "content": "a"}, assistant()).replace(b'"messages"', b'"system": "Be kind.", "messages"'),
        "messages[0].role is 'x'",
    ),
    (json.dumps({"system": " \x00", "messages": GOOD}).encode(), "system has a NUL character"),
    (json.dumps({"system": "a", "messages": [system(), *GOOD]}).encode(), "messages[0].role is 'system', expected at system only"),
    (json.dumps({"prompt": [user("")], "completion": [assistant()]}).encode(), "prompt[0].content is empty"),
    (
        json.dumps({"prompt": [user()], "completion": [calling(call("wether"))], "tools": [WEATHER]}).encode(),
        "completion[0].tool_calls[0].function.name is 'wether'",
    ),
    (json.dumps({"prompt": [user()], "completion": [assistant()], "lang": "de"}).encode(), "lang is not a known key"),
    (json.dumps({"instruction": "a", "context": 7, "response": "b"}).encode(), "context is the number 7, expected a string"),
    (
        json.dumps({"messages": json.dumps(GOOD)}).encode(),
        "messages is a string that holds the text of an array (jq -c '.messages |= fromjson' FILE",
    ),
    (
        json.dumps({"messages": GOOD, "tools": json.dumps([WEATHER])}).encode(),
        "tools is a string that holds the text of an array (jq -c '.tools |=",
    ),
    (b'{"messages": []}\n' + json.dumps(GOOD).encode(), 'is an array of messages without {"messages": ...} around it'),
    (b'{"messages": []}\n' + json.dumps(json.dumps({"messages": GOOD})).encode(), "the row was encoded twice"),
    (b'{"messages": []},\n{"messages": []},\n', "a comma follows the object, and JSONL has none between its lines: remove them"),
    (
        row(user(), assistant('<tool_call>\n{"name": "f"}\n</tool_call>'), tool(call=None), assistant()),
        "messages[2] answers a call that is written as text in messages[1]",
    ),
]


@pytest.mark.parametrize("content, words", SAID)
def test_findings_name_what_is_in_the_file(tmp_path: Path, content: bytes, words: str) -> None:
    """Paths and next steps of the row as it was written."""
    error = refusal(tmp_path / "a", content)
    assert any(words in detail for detail in error.details), error.details


def test_tables_with_a_system_column_are_read(tmp_path: Path) -> None:
    """Other columns of a table are left alone."""
    cells = json.dumps(GOOD).replace('"', '""')
    assert rows_of(tmp_path / "a", f'messages,system,id\n"{cells}",Be kind.,7\n'.encode()) == [SYSTEM]
