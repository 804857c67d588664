"""What files of other programs look like, and how they become rows."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finetune_api.resources.finetune_job import TaskName
from finetune_api.resources.source import RowTemplate
from finetune_trainer.tasks.completion import Completion
from finetune_trainer.tasks.conversation import Conversation, Function, FunctionCall, Message, Tool, ToolCall
from finetune_trainer.tasks.sequence_classification import TextLabel
from finetune_trainer.tasks.summarization import Summary
from finetune_trainer.tasks.token_classification import TokenTags
from tests.unit.data.rows.files import opened, refusal, rows_of
from tests.unit.data.rows.samples import WEATHER, assistant, user

CHAT = Conversation([Message("user", "Hi"), Message("assistant", "Hello")])
SYSTEM = Conversation([Message("system", "Be kind."), Message("user", "Hi"), Message("assistant", "Hello")])
INSTRUCTION = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\nAdd.\n\n### Response:"
)
INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that "
    "appropriately completes the request.\n\n### Instruction:\nAdd {x}.\n\n### Input:\n1 {instruction}\n\n### Response:"
)
CALLED = Conversation(
    [
        Message("user", "Hi"),
        Message("assistant", None, None, None, [ToolCall(FunctionCall("time", "{}"))]),
        Message("tool", "noon"),
        Message("assistant", "Noon."),
    ],
    [Tool(Function("time"))],
)
TURNS = [
    {"from": "human", "value": "Hi"},
    {"from": "function_call", "value": '{"name": "time", "arguments": {}}'},
    {"from": "observation", "value": "noon"},
    {"from": "gpt", "value": "Noon."},
]
TRANSLATE = RowTemplate(prompt="To French {{now}}: {en}", completion="{fr}")
HI, HELLO = {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}

# (task, settings, a record, the format's words, the row)
SHAPES: list[tuple[TaskName, dict[str, Any], Any, str, Any]] = [
    ("chat", {}, {"messages": [user(), assistant()]}, "JSONL, OpenAI chat", CHAT),
    ("chat", {}, {"messages": [{"role": "developer", "content": "Be kind."}, user(), assistant()]}, "JSONL, OpenAI chat", SYSTEM),
    ("chat", {}, {"messages": [user([{"type": "text", "text": "Hi"}]), assistant()]}, "JSONL, OpenAI chat", CHAT),
    ("chat", {}, {"conversations": [HI, HELLO], "id": 1}, "JSONL, ShareGPT", CHAT),
    ("chat", {}, {"conversations": [HI, HELLO], "system": "Be kind."}, "JSONL, ShareGPT", SYSTEM),
    ("chat", {}, {"conversations": [{"from": "system", "value": "Be kind."}, HI, HELLO]}, "JSONL, ShareGPT", SYSTEM),
    ("chat", {}, {"conversations": [HI | {"from": "user"}, HELLO | {"from": "GPT"}]}, "JSONL, ShareGPT", CHAT),
    ("chat", {}, {"conversations": TURNS, "tools": '[{"name": "time"}]'}, "JSONL, ShareGPT", CALLED),
    ("chat", {}, {"conversations": [user(), assistant()], "id": "x"}, "JSONL, OpenAI chat", CHAT),
    ("chat", {}, {"instruction": "Hi", "input": "", "output": "Hello"}, "JSONL, Alpaca", CHAT),
    ("chat", {}, {"instruction": "Hi", "output": "Hello", "system": "Be kind."}, "JSONL, Alpaca", SYSTEM),
    ("chat", {}, {"prompt": "Hi", "completion": "Hello"}, "JSONL, prompt/completion", CHAT),
    ("chat", {}, {"messages": [user(), assistant(tool_calls=[])], "tools": []}, "JSONL, OpenAI chat", CHAT),
    ("chat", {"columns": {"prompt": "q", "completion": "a"}}, {"q": "Hi", "a": "Hello", "n": 1}, "JSONL, q/a", CHAT),
    ("chat", {"columns": {"messages": "dialog"}}, {"dialog": [user(), assistant()]}, "JSONL, OpenAI chat", CHAT),
    ("completion", {}, {"instruction": "Add.", "input": "", "output": "3"}, "JSONL, Alpaca", Completion(INSTRUCTION, "3")),
    ("completion", {}, {"instruction": "Add {x}.", "input": "1 {instruction}", "output": "3"}, "JSONL, Alpaca", Completion(INPUT, "3")),
    ("completion", {}, {"text": "c", "url": "u"}, "JSONL, plain text", Completion("", "c")),
    ("completion", {"columns": {"text": "body"}}, {"body": "c", "label": "u"}, "JSONL, plain text", Completion("", "c")),
    ("completion", {}, {"prompt": "", "completion": "c"}, "JSONL, prompt/completion, plain text", Completion("", "c")),
    (
        "completion",
        {"template": RowTemplate(prompt="", completion="{fr}")},
        {"en": "yes", "fr": "oui"},
        "JSONL, template, plain text",
        Completion("", "oui"),
    ),
    ("completion", {"columns": {"completion": "a"}}, {"prompt": "p", "a": "c"}, "JSONL, prompt/a", Completion("p", "c")),
    ("completion", {"template": TRANSLATE}, {"en": "yes", "fr": "oui"}, "JSONL, template", Completion("To French {now}: yes", "oui")),
    (
        "completion",
        {"template": RowTemplate(prompt="{ a b }", completion="{c}")},
        {"a b": 1, "c": True},
        "JSONL, template",
        Completion("1", "true"),
    ),
    ("summarization", {"template": TRANSLATE}, {"en": "yes", "fr": "oui"}, "JSONL, template", Summary("To French {now}: yes", "oui")),
    ("summarization", {}, {"article": "a", "highlights": "b", "id": 3}, "JSONL, article/highlights", Summary("a", "b")),
    ("summarization", {}, {"dialogue": "a", "summary": "b"}, "JSONL, dialogue/summary", Summary("a", "b")),
    ("sequence-classification", {}, {"sentence": "a", "label": 1, "idx": 5}, "JSONL, sentence/label", TextLabel("a", "1")),
    (
        "sequence-classification",
        {},
        {"sentence1": "a", "sentence2": "b", "label": 1},
        "JSONL, sentence1/sentence2/label",
        TextLabel("a", "1", "b"),
    ),
    (
        "sequence-classification",
        {},
        {"question": "a", "sentence": "b", "label": 1, "idx": 0},
        "JSONL, question/sentence/label",
        TextLabel("a", "1", "b"),
    ),
    (
        "sequence-classification",
        {},
        {"question1": "a", "question2": "b", "label": 1},
        "JSONL, question1/question2/label",
        TextLabel("a", "1", "b"),
    ),
    (
        "sequence-classification",
        {},
        {"premise": "a", "hypothesis": "b", "label": 1},
        "JSONL, premise/hypothesis/label",
        TextLabel("a", "1", "b"),
    ),
    ("sequence-classification", {}, {"text": "a", "labels": ["x"]}, "JSONL, text/labels, multi-label", TextLabel("a", ["x"])),
    ("sequence-classification", {"columns": {"label": "k"}}, {"text": "a", "k": "x", "label": 2}, "JSONL, text/k", TextLabel("a", "x")),
    (
        "token-classification",
        {},
        {"tokens": ["a"], "ner_tags": ["O"], "pos_tags": [1]},
        "JSONL, tokens/ner_tags (BIO)",
        TokenTags(["a"], ["O"]),
    ),
    ("token-classification", {}, {"tokens": ["a"], "tags": ["NOUN"]}, "JSONL, tokens/tags", TokenTags(["a"], ["NOUN"])),
]


@pytest.mark.parametrize(
    "task, settings, record, words, expected", SHAPES, ids=[f"{entry[0]}: {entry[3]} {n}" for n, entry in enumerate(SHAPES)]
)
def test_a_layout_is_recognised(tmp_path: Path, task: TaskName, settings: dict[str, Any], record: Any, words: str, expected: Any) -> None:
    """Files of other programs are named and become rows of the task."""
    content = json.dumps(record).encode()
    assert opened(tmp_path / "a", content, task, **settings).format == words
    assert rows_of(tmp_path / "a", content, task, **settings) == [expected]


def table(columns: dict[str, list[Any]]) -> bytes:
    """A Parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def cells(*rows: list[str]) -> bytes:
    """A CSV file."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


LEARNT = Conversation([Message("user", "Hi"), Message("assistant", "Hello", 1)])
TOKENS = TokenTags(["a", "b"], ["B-X", "O"])
TABLES: list[tuple[TaskName, bytes, str, Any]] = [
    ("chat", cells(["messages", "id"], [json.dumps([user(), assistant()]), "1"]), "CSV, OpenAI chat", CHAT),
    ("chat", cells(["messages", "tools"], [json.dumps([user(), assistant()]), ""]), "CSV, OpenAI chat", CHAT),
    ("chat", cells(["messages"], [json.dumps([user(), assistant()])]), "CSV, OpenAI chat", CHAT),
    ("chat", cells(["instruction", "input", "output"], ["Hi", "", "Hello"]), "CSV, Alpaca", CHAT),
    ("completion", cells(["prompt", "completion", "n"], ["p", "c", "1"]), "CSV, prompt/completion", Completion("p", "c")),
    ("sequence-classification", cells(["text", "label"], ["a", "1"]), "CSV, text/label", TextLabel("a", "1")),
    ("sequence-classification", cells(["text", "label"], ["a", '["x"]']), "CSV, text/label, multi-label", TextLabel("a", ["x"])),
    ("sequence-classification", cells(["text", "text_pair", "label"], ["a", "", "b"]), "CSV, text/label", TextLabel("a", "b")),
    ("token-classification", cells(["tokens", "tags"], ['["a", "b"]', '["B-X", "O"]']), "CSV, tokens/tags (BIO)", TOKENS),
    ("chat", table({"messages": [[user(), assistant()]], "prompt": ["x"]}), "Parquet, OpenAI chat", CHAT),
    ("chat", table({"messages": [[user(), assistant(weight=1.0)]], "tools": [[]]}), "Parquet, OpenAI chat", LEARNT),
    ("chat", table({"messages": [[user(tool_calls=[]), assistant(tool_calls=[])]]}), "Parquet, OpenAI chat", CHAT),
    ("chat", table({"messages": [json.dumps([user(), assistant()])], "tools": [None]}), "Parquet, OpenAI chat", CHAT),
    ("sequence-classification", table({"text": ["a"], "label": [3], "idx": [0]}), "Parquet, text/label", TextLabel("a", "3")),
    (
        "sequence-classification",
        table({"text": ["a"], "label": [["y", "x"]]}),
        "Parquet, text/label, multi-label",
        TextLabel("a", ["x", "y"]),
    ),
    ("token-classification", table({"tokens": [["a", "b"]], "tags": [["B-X", "O"]]}), "Parquet, tokens/tags (BIO)", TOKENS),
]


@pytest.mark.parametrize("task, content, words, expected", TABLES, ids=[f"{entry[0]}: {entry[2]} {n}" for n, entry in enumerate(TABLES)])
def test_a_table_is_read(tmp_path: Path, task: TaskName, content: bytes, words: str, expected: Any) -> None:
    """Cells hold JSON texts where a table cannot hold lists; further columns are no mistake."""
    assert opened(tmp_path / "a", content, task).format == words
    assert rows_of(tmp_path / "a", content, task) == [expected]


PREFIX = "pvc://data/train.jsonl"
# (task, settings, a record, the message's words, the spec field)
UNFIT: list[tuple[TaskName, dict[str, Any], Any, str, str]] = [
    (
        "completion",
        {},
        {"messages": []},
        "holds chat rows (messages), which is data for task chat, and the job's task is completion: set task: chat",
        "task",
    ),
    ("summarization", {}, {"conversations": []}, "holds ShareGPT chat rows (conversations), which is data for task chat", "task"),
    ("chat", {}, {"text": "a", "label": 1}, "holds rows of text and label, which is data for task sequence-classification", "task"),
    ("chat", {}, {"tokens": [], "ner_tags": []}, "which is data for task token-classification", "task"),
    (
        "sequence-classification",
        {},
        {"prompt": "a", "completion": "b"},
        "holds rows of prompt and completion, which is data for task completion",
        "task",
    ),
    ("token-classification", {}, {"instruction": "a", "output": "b"}, "data for task chat or completion", "task"),
    (
        "completion",
        {},
        {"question": "a", "answer": "b"},
        "name them with columns: {prompt: question, completion: answer}; or build the texts",
        "dataset.train.columns",
    ),
    (
        "completion",
        {},
        {"prompt": "a", "reply": "b"},
        "their fields are 'prompt', 'reply': name them with columns: {completion: reply}",
        "dataset.train.columns",
    ),
    ("chat", {}, {"text": "a"}, "has no rows of task chat, which have 'messages'; their fields are 'text'", "dataset.train.columns"),
    (
        "sequence-classification",
        {},
        {"sentence_a": "a", "sentence_b": "b", "y": 1},
        "name them with columns: {text: ..., label: y}",
        "dataset.train.columns",
    ),
    (
        "completion",
        {"columns": {"prompt": "q", "completion": "a"}},
        {"q": "a", "b": "c"},
        "dataset.train.columns: the rows have no field 'a'; their fields are 'q', 'b'",
        "dataset.train.columns",
    ),
    (
        "completion",
        {"columns": {"promt": "q"}},
        {"q": "a"},
        "columns names 'promt', which a row of task completion does not have: its fields are 'prompt', 'completion'",
        "dataset.train.columns",
    ),
    (
        "completion",
        {"template": RowTemplate(prompt="{en}", completion="{fra}")},
        {"en": "a", "fr": "b"},
        "dataset.train.template.completion takes 'fra', and the rows have no such field: their fields are 'en', 'fr'",
        "dataset.train.template.completion",
    ),
    (
        "chat",
        {"template": RowTemplate(prompt="", completion="{fr}")},
        {"en": "a", "fr": "b"},
        "template.prompt is empty, and a row of task chat has one: plain text is learned with task completion",
        "dataset.train.template.prompt",
    ),
    (
        "completion",
        {"columns": {"text": "body"}},
        {"text": "a", "b": "c"},
        "dataset.train.columns: the rows have no field 'body'; their fields are 'text', 'b'",
        "dataset.train.columns",
    ),
    (
        "completion",
        {"template": RowTemplate(prompt="{en", completion="{fr}")},
        {"en": "a", "fr": "b"},
        "template.prompt has a single '{' at position 1: write '{{'",
        "dataset.train.template.prompt",
    ),
    (
        "completion",
        {"template": RowTemplate(prompt="{}", completion="{fr}")},
        {"en": "a", "fr": "b"},
        "template.prompt has empty braces at position 1",
        "dataset.train.template.prompt",
    ),
    (
        "completion",
        {"template": RowTemplate(prompt="{en.__class__}", completion="{fr}")},
        {"en": "a", "fr": "b"},
        "takes 'en.__class__', and the rows have no such field",
        "dataset.train.template.prompt",
    ),
    (
        "token-classification",
        {"template": TRANSLATE},
        {"en": "a", "fr": "b"},
        "template builds a prompt and a completion, which task token-classification does not have",
        "dataset.train.template",
    ),
]


@pytest.mark.parametrize("task, settings, record, words, param", UNFIT, ids=[f"{entry[0]} {n}" for n, entry in enumerate(UNFIT)])
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, task: TaskName, settings: dict[str, Any], record: Any, words: str, param: str
) -> None:
    """The message says what the file looks like and which part of the spec to change."""
    error = refusal(tmp_path / "a", json.dumps(record).encode(), task, **settings)
    assert error.message.startswith(PREFIX)
    assert words in error.message
    assert error.param == param


# (task, settings, good record, bad record, the finding)
FOREIGN: list[tuple[TaskName, dict[str, Any], Any, Any, str]] = [
    (
        "chat",
        {},
        {"conversations": [HI, HELLO]},
        {"conversations": [HI, HELLO | {"from": "gtp"}]},
        "conversations[1].from is 'gtp' (did you mean 'gpt'?)",
    ),
    (
        "chat",
        {},
        {"conversations": [HI, HELLO]},
        {"conversations": [HI, {"from": "gpt"}]},
        "conversations[1] has no value, expected a string",
    ),
    (
        "chat",
        {},
        {"conversations": [HI, HELLO]},
        {"conversations": [HI, HELLO | {"value": ""}]},
        "conversations[1].value is empty, expected text",
    ),
    (
        "chat",
        {},
        {"conversations": [HI, HELLO]},
        {"conversations": [HELLO], "system": "x"},
        "conversations[0].from is 'gpt', expected 'human': a conversation",
    ),
    (
        "chat",
        {},
        {"conversations": [HI, HELLO]},
        {"conversations": [HI, HELLO, HI | {"from": "User"}]},
        "conversations[2].from is 'User', expected 'gpt': the last message must be",
    ),
    (
        "chat",
        {},
        {"conversations": [HI, HELLO]},
        {"conversations": TURNS},
        "conversations[1].value.name is 'time', which is not in tools: the row has no tools",
    ),
    ("chat", {}, {"conversations": [HI, HELLO]}, {"conversations": "x"}, "conversations is a string, expected an array"),
    (
        "chat",
        {},
        {"instruction": "a", "output": "b"},
        {"instruction": " ", "output": "b"},
        "instruction is only white space, expected text",
    ),
    ("chat", {}, {"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": "a"}, "completion is the same text as prompt"),
    (
        "completion",
        {"columns": {"prompt": "q", "completion": "a"}},
        {"q": "x", "a": "y"},
        {"q": "x"},
        "has no field 'a': its fields are 'q'",
    ),
    ("completion", {"columns": {"prompt": "q", "completion": "a"}}, {"q": "x", "a": "y"}, {"q": "", "a": "y"}, "q is empty, expected text"),
    (
        "completion",
        {"template": TRANSLATE},
        {"en": "a", "fr": "b"},
        {"en": "a"},
        "has no field 'fr', expected a string or a number for the template's {fr}",
    ),
    (
        "completion",
        {"template": TRANSLATE},
        {"en": "a", "fr": "b"},
        {"en": [], "fr": "b"},
        "en is an array, expected a string or a number for",
    ),
    (
        "completion",
        {"template": TRANSLATE},
        {"en": "a", "fr": "b"},
        {"en": "a", "fr": " "},
        "the template's completion is only white space",
    ),
    ("sequence-classification", {}, {"sentence": "a", "label": 1}, {"sentence": "", "label": 1}, "sentence is empty, expected text"),
]


@pytest.mark.parametrize("task, settings, right, wrong, words", FOREIGN, ids=[f"{entry[0]} {n}" for n, entry in enumerate(FOREIGN)])
def test_findings_speak_the_language_of_the_file(
    tmp_path: Path, task: TaskName, settings: dict[str, Any], right: Any, wrong: Any, words: str
) -> None:
    """What is wrong is said with the names that the file uses."""
    error = refusal(tmp_path / "a", b"\n".join(json.dumps(item).encode() for item in (right, wrong)), task, **settings)
    assert error.details[0].startswith("line 2: ")
    assert words in error.details[0]


def test_fields_that_are_not_used_are_told(tmp_path: Path) -> None:
    """Nothing is left out without a word."""
    file = opened(tmp_path / "a", json.dumps({"conversations": [HI, HELLO], "id": 1, "source": "x"}).encode())
    assert file.notes == ("pvc://data/train.jsonl: fields that are not used: id, source",)
    assert opened(tmp_path / "a", json.dumps({"messages": [user(), assistant()], "tools": [WEATHER]}).encode()).notes == ()


def test_equal_rows_have_equal_fingerprints_in_any_layout(tmp_path: Path) -> None:
    """A held-out row is found in the training file although the two files are written in different ways."""
    layouts: list[Any] = [record for task, _, record, _, row in SHAPES if task == "chat" and row == CHAT]
    hashes = set()
    for number, record in enumerate(layouts):
        settings = next(entry[1] for entry in SHAPES if entry[2] is record)
        hashes |= set(opened(tmp_path / f"{number}", json.dumps(record).encode(), **settings).profiled(1).profile.hashes.tolist())
    assert len(layouts) > 5
    assert len(hashes) == 1
