"""Rows of two answers: the forms that are read as one row, and what is found in those that are wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_trainer.data.profile.dataset_file import DatasetFile
from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.failure import StageFailure
from finetune_trainer.tasks import TASKS
from finetune_trainer.tasks.conversation import Message
from finetune_trainer.tasks.preference import PAIRS, ChatPair, TextPair
from tests.unit.data.rows.samples import WEATHER, assistant, call, calling, system, tool, user

NAME = "pvc://data/train.jsonl"
PAIR = ChatPair([Message("user", "Hi")], [Message("assistant", "Hello")], [Message("assistant", "No")])
SYSTEM = ChatPair([Message("system", "Be kind."), *PAIR.prompt], PAIR.chosen, PAIR.rejected)
LATER = ChatPair([*PAIR.prompt, Message("assistant", "Hm", weight=0), Message("user", "Hi")], PAIR.chosen, PAIR.rejected)
OPENAI = {"input": {"messages": [user()]}, "preferred_output": [assistant()], "non_preferred_output": [assistant("No")]}
TRL = {"prompt": [user()], "chosen": [assistant()], "rejected": [assistant("No")]}
TEXTS = {"prompt": "Hi", "chosen": "Hello", "rejected": "No"}


def opened(path: Path, rows: list[Any], task: str, **settings: Any) -> DatasetFile:
    """A file of these rows, for objective dpo."""
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return DatasetFile.open(RecordFile.open(path, NAME, "dataset.train.source", scratch=path.parent), PAIRS[task], **settings)


# (task, a record, the format, the row)
READ: list[tuple[str, Any, str, Any]] = [
    ("chat", OPENAI, "OpenAI preference", PAIR),
    ("chat", TRL, "prompt/chosen/rejected", PAIR),
    ("chat", TEXTS, "prompt/chosen/rejected", PAIR),
    ("chat", {**TRL, "chosen": "Hello", "rejected": "No"}, "prompt/chosen/rejected", PAIR),
    ("chat", {"chosen": [user(), assistant()], "rejected": [user(), assistant("No")]}, "prompt/chosen/rejected", PAIR),
    ("chat", {"prompt": "Hi", "chosen": [user(), assistant()], "rejected": [user(), assistant("No")]}, "prompt/chosen/rejected", PAIR),
    ("chat", {"prompt": [system(), user()], **{key: TRL[key] for key in ("chosen", "rejected")}}, "prompt/chosen/rejected", SYSTEM),
    ("chat", {"system": "Be kind.", "question": "Hi", "chosen": "Hello", "rejected": "No"}, "question/chosen/rejected", SYSTEM),
    (
        "chat",
        {side: [user(), assistant("Hm"), user(), assistant(text)] for side, text in (("chosen", "Hello"), ("rejected", "No"))},
        "prompt/chosen/rejected",
        LATER,
    ),
    ("completion", TEXTS, "prompt/chosen/rejected", TextPair("Hi", "Hello", "No")),
]


@pytest.mark.parametrize("task, record, words, expected", READ, ids=[f"{entry[0]} {n}" for n, entry in enumerate(READ)])
def test_what_has_one_meaning_is_one_row(tmp_path: Path, task: str, record: Any, words: str, expected: Any) -> None:
    """Whoever wrote it."""
    file = opened(tmp_path / "a", [record], task)
    assert file.format == f"JSONL, {words}"
    assert [row for _, row in file.rows(file.profiled(1).profile.invalid)] == [expected]


def test_a_pair_with_tools(tmp_path: Path) -> None:
    """The prompt ends with a tool's answer; one side calls again."""
    again = [calling(call(call_id="c2")), tool(call="c2"), assistant()]
    record = {"prompt": [user(), calling(call()), tool()], "chosen": [assistant()], "rejected": again}
    file = opened(tmp_path / "a", [{**record, "tools": [WEATHER]}], "chat")
    ((_, row),) = file.rows(file.profiled(1).profile.invalid)
    assert isinstance(row, ChatPair)
    assert [message.role for message in row.rejected] == ["assistant", "tool", "assistant"]
    assert [message.weight for message in row.prompt] == [None, 0, None]
    assert row.tools


# (task, a record, what is said of it)
WRONG: list[tuple[str, Any, str]] = [
    ("chat", {**TRL, "chosen": [{"role": "assitant", "content": "x"}]}, "chosen[0].role is 'assitant' (did you mean 'assistant'?)"),
    ("chat", {**TRL, "rejected": [assistant("")]}, "rejected[0].content is empty"),
    ("chat", {**TRL, "prompt": [user(""), user()]}, "prompt[0].content is empty"),
    ("chat", {**TRL, "prompt": [user(), assistant()]}, "prompt[1].role is 'assistant', expected 'user' or 'tool'"),
    ("chat", {**TRL, "chosen": [user(), assistant()]}, "chosen[0].role is 'user', expected 'assistant'"),
    ("chat", {**TRL, "chosen": [assistant(), user()]}, "chosen[1].role is 'user', expected 'assistant'"),
    ("chat", {**TRL, "chosen": [assistant("Hello", weight=0)]}, "every message of the assistant has weight 0"),
    (
        "chat",
        {**TRL, "prompt": [user(), assistant("Hm"), user()], "chosen": [assistant("Hello", weight=0)]},
        "every message of the assistant in chosen has weight 0",
    ),
    ("chat", {**TRL, "rejected": [assistant()]}, "chosen and rejected are the same answer"),
    ("chat", {**TRL, "rating": 3}, "rating is not a known key"),
    ("chat", {**TRL, "chosen": 3}, "chosen is the number 3, expected a text or an array of messages"),
    ("chat", {"chosen": "a", "rejected": "b"}, "has no prompt: chosen is an answer alone"),
    ("chat", {"chosen": [user("a"), assistant()], "rejected": [user("b"), assistant()]}, "begin with different messages"),
    ("completion", {**TEXTS, "chosen": " "}, "chosen is only white space"),
    ("completion", {**TEXTS, "rejected": "Hello "}, "chosen and rejected are the same answer"),
    ("completion", {"prompt": "a", "chosen": "b", "rejected": None}, "rejected is null, expected a string"),
]
WRONG_OPENAI: list[tuple[Any, str]] = [
    ({"input": {"messages": [user(), assistant()]}}, "input.messages[1].role is 'assistant', expected 'user' or 'tool'"),
    ({"input": {"message": [user()]}}, "input has no key 'messages': its keys are 'message'"),
    ({"input": {"messages": [user()], "tool": []}}, "input.tool is not a known key (did you mean 'tools'?)"),
    ({"input": {"messages": [user()], "tools": [{**WEATHER, "type": "x"}]}}, ".type is 'x', expected 'function'"),
    ({"preferred_output": assistant()}, "preferred_output is an object, expected a text or an array of messages"),
    ({"preferred_output": [assistant("")]}, "preferred_output[0].content is empty"),
    ({"weight": 2}, "weight is not a known key: a row has 'input', 'preferred_output', 'non_preferred_output'"),
]


@pytest.mark.parametrize(
    "task, right, wrong, says",
    [
        *((task, TRL if task == "chat" else TEXTS, wrong, says) for task, wrong, says in WRONG),
        *(("chat", OPENAI, OPENAI | wrong, says) for wrong, says in WRONG_OPENAI),
    ],
)
def test_what_is_wrong_is_found_by_line_field_and_value(tmp_path: Path, task: str, right: Any, wrong: Any, says: str) -> None:
    """In the words of the file; the other rows are right."""
    with pytest.raises(StageFailure) as caught:
        opened(tmp_path / "a", [right, right, wrong, right], task).profiled(1)
    assert caught.value.error.param == "dataset.train.source"
    assert all(detail.startswith("line 3: ") for detail in caught.value.error.details)
    assert any(says in detail for detail in caught.value.error.details), caught.value.error.details


# (task, a record, the field to change, words of the refusal)
UNFIT: list[tuple[str, Any, str, str]] = [
    ("chat", {"messages": [user(), assistant()]}, "method.objective", "or set method.objective: sft"),
    ("completion", {"prompt": "a", "completion": "b"}, "method.objective", "this objective learns from pairs"),
    ("completion", TRL, "task", "pairs of answers as messages, which is data for task chat"),
    ("chat", {"prompt": "a", "choosen": "b", "rejected": "c"}, "dataset.train.columns", "columns: {chosen: choosen}"),
]


@pytest.mark.parametrize("task, record, param, says", UNFIT)
def test_a_file_of_other_rows_is_refused_with_what_would_work(tmp_path: Path, task: str, record: Any, param: str, says: str) -> None:
    """Before any row is judged."""
    with pytest.raises(StageFailure) as caught:
        opened(tmp_path / "a", [record], task)
    assert caught.value.error.param == param
    assert says in caught.value.error.message


def test_columns_name_the_fields(tmp_path: Path) -> None:
    """Other fields are then left alone, and findings speak of the columns."""
    columns = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    record = {"q": "Hi", "good": "Hello", "bad": "No", "score": 3}
    file = opened(tmp_path / "a", [record], "chat", columns=columns)
    assert [row for _, row in file.rows(file.profiled(1).profile.invalid)] == [PAIR]
    with pytest.raises(StageFailure, match="bad is empty"):
        opened(tmp_path / "b", [record, {**record, "bad": ""}], "chat", columns=columns).profiled(1)


@pytest.mark.parametrize("task", PAIRS)
def test_the_example_is_a_row_of_a_task(task: str, tmp_path: Path) -> None:
    """And its sides are rows that the task itself could have."""
    file = opened(tmp_path / "a", [PAIRS[task].example], task)
    ((_, row),) = file.rows(file.profiled(1).profile.invalid)
    assert all(TASKS[task].text(side) for side in PAIRS[task].sides(row))
    assert PAIRS[task].text(row)
