"""Rated answers: the forms that are read as one row, and what is found in those that are wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_trainer.data.profile.dataset_file import DatasetFile
from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.failure import StageFailure
from finetune_trainer.tasks.conversation import Message
from finetune_trainer.tasks.preference import PAIRS
from finetune_trainer.tasks.rated import RATED, RatedChat, RatedText
from tests.unit.data.rows.samples import WEATHER, assistant, call, calling, system, tool, user

NAME = "pvc://data/train.jsonl"
GOOD = RatedChat([Message("user", "Hi")], [Message("assistant", "Hello")], True)
BAD = RatedChat(GOOD.prompt, GOOD.completion, False)
SYSTEM = RatedChat([Message("system", "Be kind."), *GOOD.prompt], GOOD.completion, True)
LATER = RatedChat([*GOOD.prompt, Message("assistant", "Hm", weight=0), Message("user", "Hi")], GOOD.completion, True)
TRL = {"prompt": [user()], "completion": [assistant()], "label": True}
CHAT = {"messages": [user(), assistant()], "label": True}
TEXTS = {"prompt": "Hi", "completion": "Hello", "label": True}
TITLE = "prompt/completion/label"


def opened(path: Path, rows: list[Any], task: str, **settings: Any) -> DatasetFile:
    """A file of these rows, for objective kto."""
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return DatasetFile.open(RecordFile.open(path, NAME, "dataset.train.source", scratch=path.parent), RATED[task], **settings)


def rows_of(file: DatasetFile) -> list[Any]:
    """All of them."""
    return [row for _, row in file.rows(file.profiled(1).profile.invalid)]


# (task, a record, the format, the row)
READ: list[tuple[str, Any, str, Any]] = [
    ("chat", TRL, TITLE, GOOD),
    ("chat", TEXTS, TITLE, GOOD),
    ("chat", {**TRL, "completion": "Hello", "label": False}, TITLE, BAD),
    ("chat", {**TRL, "prompt": [system(), user()]}, TITLE, SYSTEM),
    ("chat", {**TRL, "prompt": [user(), assistant("Hm"), user()]}, TITLE, LATER),
    ("chat", CHAT, "messages/label", GOOD),
    ("chat", {**CHAT, "label": 0}, "messages/label", BAD),
    ("chat", {**CHAT, "messages": [user(), assistant("Hm"), user(), assistant()]}, "messages/label", LATER),
    ("chat", {"conversations": CHAT["messages"], "label": True}, "conversations/label", GOOD),
    ("completion", TEXTS, TITLE, RatedText("Hi", "Hello", True)),
    ("completion", {**TEXTS, "label": "False"}, TITLE, RatedText("Hi", "Hello", False)),
    ("completion", {**TEXTS, "label": 1}, TITLE, RatedText("Hi", "Hello", True)),
]


@pytest.mark.parametrize("task, record, words, expected", READ, ids=[f"{entry[0]} {n}" for n, entry in enumerate(READ)])
def test_what_has_one_meaning_is_one_row(tmp_path: Path, task: str, record: Any, words: str, expected: Any) -> None:
    """Whoever wrote it."""
    file = opened(tmp_path / "a", [record], task)
    assert file.format == f"JSONL, {words}"
    assert rows_of(file) == [expected]


@pytest.mark.parametrize("whole", [False, True])
def test_an_answer_with_calls_is_rated_as_a_whole(whole: bool, tmp_path: Path) -> None:
    """It goes from the user's last message to the end, or is the completion; the prompt keeps its own calls."""
    prompt, completion = [user(), calling(call()), tool(), assistant(), user()], [calling(call(call_id="c2")), tool(call="c2"), assistant()]
    record = {"messages": [*prompt, *completion]} if whole else {"prompt": prompt, "completion": completion}
    (row,) = rows_of(opened(tmp_path / "a", [{**record, "label": True, "tools": [WEATHER]}], "chat"))
    assert [(message.role, message.weight) for message in row.completion] == [("assistant", None), ("tool", None), ("assistant", None)]
    assert [message.weight for message in row.prompt] == [None, 0, None, 0, None]
    assert row.tools


# (task, a right record, what is wrong with another one, what is said of it)
WRONG: list[tuple[str, Any, Any, str]] = [
    ("chat", TRL, {"label": "good"}, "label is 'good', expected true for a desirable answer, false for an undesirable one"),
    ("chat", TRL, {"label": None}, "label is null, expected true"),
    ("chat", TRL, {"label": 2}, "label is 2, expected true"),
    ("chat", TRL, {"label": [True]}, "label is an array, expected true"),
    ("chat", TRL, {"completion": [assistant("")]}, "completion[0].content is empty"),
    ("chat", TRL, {"completion": [user(), assistant()]}, "completion[0].role is 'user', expected 'assistant'"),
    ("chat", TRL, {"prompt": [user(), assistant()]}, "prompt[1].role is 'assistant', expected 'user' or 'tool'"),
    ("chat", TRL, {"completion": [assistant(weight=0)]}, "every message of the assistant has weight 0"),
    ("chat", TRL, {"completion": 3}, "completion is the number 3, expected a text or an array of messages"),
    ("chat", TRL, {"rating": 3}, "rating is not a known key"),
    ("chat", CHAT, {"messages": [user(), assistant(), user()]}, "messages ends with a message of the user, expected an answer"),
    ("chat", CHAT, {"messages": [user("a"), assistant("b"), user(), assistant("")]}, "messages[3].content is empty"),
    ("chat", CHAT, {"messages": "Hi"}, "messages is a string, expected an array of messages"),
    ("chat", CHAT, {"rating": 3}, "rating is not a known key: a row has 'messages', 'label'"),
    ("completion", TEXTS, {"label": "yes"}, "label is 'yes', expected true"),
    ("completion", TEXTS, {"completion": " "}, "completion is only white space"),
    ("completion", TEXTS, {"rating": 3}, "rating is not a known key: a row has 'prompt', 'completion', 'label'"),
]


@pytest.mark.parametrize("task, right, wrong, says", WRONG)
def test_what_is_wrong_is_found_by_line_field_and_value(tmp_path: Path, task: str, right: Any, wrong: Any, says: str) -> None:
    """In the words of the file; the other rows are right."""
    with pytest.raises(StageFailure) as caught:
        opened(tmp_path / "a", [right, right, right | wrong, right], task).profiled(1)
    assert caught.value.error.param == "dataset.train.source"
    assert all(detail.startswith("line 3: ") for detail in caught.value.error.details)
    assert any(says in detail for detail in caught.value.error.details), caught.value.error.details


@pytest.mark.parametrize("task, right", [("chat", TRL), ("chat", CHAT), ("completion", TEXTS)])
def test_a_row_without_a_label_is_found(tmp_path: Path, task: str, right: dict[str, Any]) -> None:
    """Among rows that have one."""
    lacking = {key: value for key, value in right.items() if key != "label"}
    with pytest.raises(StageFailure) as caught:
        opened(tmp_path / "a", [right, lacking], task).profiled(1)
    assert "line 2: has no key 'label'" in caught.value.error.details[0]


# (task, a record, the field to change, words of the refusal)
UNFIT: list[tuple[str, Any, str, str]] = [
    ("chat", {"messages": [user(), assistant()]}, "method.objective", "without a label ('messages')"),
    ("chat", {"messages": [user(), assistant()], "good": True}, "method.objective", "with columns: {label: ...}"),
    ("chat", {"conversations": [user(), assistant()]}, "method.objective", "with columns: {messages: conversations, label: ...}"),
    ("completion", {"prompt": "a", "completion": "b"}, "method.objective", "add 'label' to each row"),
    ("completion", {"prompt": "a", "output": "b"}, "method.objective", "with columns: {completion: output, label: ...}"),
    ("chat", {"prompt": "a", "chosen": "b", "rejected": "c"}, "method.objective", "set method.objective: dpo (or orpo)"),
    ("completion", TRL, "task", "set task: chat"),
    ("completion", CHAT, "task", "set task: chat"),
    ("completion", {"conversations": CHAT["messages"], "label": True}, "task", "set task: chat"),
]


@pytest.mark.parametrize("task, record, param, says", UNFIT)
def test_a_file_of_other_rows_is_refused_with_what_would_work(tmp_path: Path, task: str, record: Any, param: str, says: str) -> None:
    """Before any row is judged."""
    with pytest.raises(StageFailure) as caught:
        opened(tmp_path / "a", [record], task)
    assert caught.value.error.param == param
    assert says in caught.value.error.message


@pytest.mark.parametrize("task", RATED)
def test_rated_answers_are_refused_for_pairs_with_the_objective_that_takes_them(task: str, tmp_path: Path) -> None:
    """As they are for single answers."""
    (tmp_path / "a").write_text(json.dumps(TEXTS))
    with pytest.raises(StageFailure, match=r"set method\.objective: kto") as caught:
        DatasetFile.open(RecordFile.open(tmp_path / "a", NAME, "dataset.train.source", scratch=tmp_path), PAIRS[task])
    assert caught.value.error.param == "method.objective"


@pytest.mark.parametrize("task", RATED)
def test_columns_name_the_fields(task: str, tmp_path: Path) -> None:
    """Other fields are then left alone, and findings speak of the columns."""
    columns, record = {"prompt": "q", "completion": "said", "label": "up"}, {"q": "Hi", "said": "Hello", "up": True, "score": 3}
    file = opened(tmp_path / "a", [record], task, columns=columns)
    assert rows_of(file) == [GOOD if task == "chat" else RatedText("Hi", "Hello", True)]
    with pytest.raises(StageFailure, match="up is 'maybe'"):
        opened(tmp_path / "b", [record, {**record, "up": "maybe"}], task, columns=columns).profiled(1)


# (the columns, a record, the format)
CONVERSATIONS: list[tuple[dict[str, str], dict[str, Any], str]] = [
    ({"label": "up"}, {"messages": CHAT["messages"], "up": True}, "messages/up"),
    ({"messages": "dialog"}, {"dialog": CHAT["messages"], "label": True}, "dialog/label"),
    ({"messages": "dialog", "label": "up"}, {"dialog": CHAT["messages"], "up": 1, "completion": "another field"}, "dialog/up"),
]


@pytest.mark.parametrize("columns, record, words", CONVERSATIONS, ids=[words for _, _, words in CONVERSATIONS])
def test_columns_name_a_conversation_and_its_label(columns: dict[str, str], record: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Findings speak of the columns, and of the place in the conversation."""
    file = opened(tmp_path / "a", [record], "chat", columns=columns)
    assert (file.format, rows_of(file)) == (f"JSONL, {words}", [GOOD])
    messages, label = words.split("/")
    for field, value, says in (
        (messages, [user()], f"{messages} ends with a message of the user"),
        (messages, [user(), assistant("")], f"{messages}[1].content is empty"),
        (messages, "Hi", f"{messages} is a string, expected an array of messages"),
        (label, "maybe", f"{label} is 'maybe'"),
    ):
        with pytest.raises(StageFailure) as caught:
            opened(tmp_path / "b", [record, record | {field: value}], "chat", columns=columns).profiled(1)
        assert says in caught.value.error.message


def test_columns_that_a_file_of_conversations_does_not_have_are_refused(tmp_path: Path) -> None:
    """Before any row is judged."""
    for columns, says in (
        ({"messages": "dialog"}, "no field 'dialog'"),
        ({"label": "up"}, "no field 'up'"),
        ({"text": "a"}, "or 'messages'"),
    ):
        with pytest.raises(StageFailure, match=says):
            opened(tmp_path / "a", [CHAT], "chat", columns=columns)


@pytest.mark.parametrize("task", RATED)
@pytest.mark.parametrize("value, label", [("1", True), ("0", False), ("TRUE", True), ("false", False)])
def test_csv_has_labels_as_texts(task: str, value: str, label: bool, tmp_path: Path) -> None:
    """Numbers and words."""
    (tmp_path / "a").write_text(f"prompt,completion,label\nHi,Hello,{value}\n")
    file = DatasetFile.open(RecordFile.open(tmp_path / "a", NAME, "dataset.train.source", scratch=tmp_path), RATED[task])
    assert [row.label for row in rows_of(file)] == [label]


@pytest.mark.parametrize("task", RATED)
def test_the_example_is_a_row_of_a_task(task: str, tmp_path: Path) -> None:
    """With a label, as classifiers' rows have theirs."""
    (row,) = rows_of(opened(tmp_path / "a", [RATED[task].example], task))
    assert RATED[task].labels(row) == ("true",)
    assert RATED[task].text(row)
