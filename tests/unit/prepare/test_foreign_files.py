"""Files as other tools write them, for `kubectl finetune validate` and prepare: read as they are meant, or refused with the cause."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel

from finetune_api.resources.finetune_job import TaskName
from finetune_cli.main import main
from finetune_trainer.prepare.main import prepare
from tests.unit.prepare.base_folder import change_json, make_base
from tests.unit.prepare.run import run_config

pytestmark = pytest.mark.unit

ROWS = 20
STOCK = {"type": "function", "function": {"name": "stock_of", "parameters": {"type": "object", "properties": {"item": {"type": "string"}}}}}
VARIATION_SELECTOR, ZERO_WIDTH_SPACE = "\ufe0f", "\u200b"


def part(text: str) -> list[dict[str, str]]:
    """Content as a playground exports it."""
    return [{"type": "text", "text": text}]


def call(arguments: Any, number: int) -> dict[str, Any]:
    """A call of stock_of; `arguments` are JSON text, or an object as Arrow holds it."""
    return {"id": f"c{number}", "type": "function", "function": {"name": "stock_of", "arguments": arguments}}


def asked(number: int, *, content: Any, arguments: Any = '{"item": "lamp"}', answer: Any = '{"left": 0}') -> dict[str, Any]:
    """A question, a call beside `content`, its result and an answer."""
    messages = [
        {"role": "user", "content": part(f"How many lamps of kind {number} are left?")},
        {"role": "assistant", "content": content, "tool_calls": [call(arguments, number)]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": answer},
        {"role": "assistant", "content": part(f"{number} lamps are left.")},
    ]
    return {"messages": messages, "tools": [STOCK], "parallel_tool_calls": False}


def turns(number: int, *answers: dict[str, Any]) -> dict[str, Any]:
    """ShareGPT: a question before each answer."""
    found = [turn for answer in answers for turn in ({"from": "human", "value": f"Question {number}?"}, {"from": "gpt", **answer})]
    return {"conversations": found}


def talk_and_call(number: int) -> dict[str, Any]:
    """ShareGPT with words and a call of one turn, as LLaMA-Factory writes it."""
    turns = [
        ("human", f"How many of {number}?"),
        ("gpt", "Let me look."),
        ("function_call", json.dumps({"name": "stock_of", "arguments": {}})),
    ]
    turns += [("observation", '{"left": 0}'), ("gpt", f"None of {number}.")]
    return {"conversations": [{"from": role, "value": value} for role, value in turns], "tools": json.dumps([STOCK["function"]])}


def one_hot(number: int) -> dict[str, Any]:
    """A label as a vector."""
    return {"text": f"text number {number}", "label": [number % 2, 1 - number % 2]}


def ignored_tag(number: int) -> dict[str, Any]:
    """-100 as PyTorch's loss ignores it."""
    return {"tokens": ["In", f"Town{number}", "."], "ner_tags": [0, 3, -100]}


# (case, task, the row of a number, exit code, what is printed)
VALIDATED: list[tuple[str, TaskName, Any, int, str]] = [
    ("playground export", "chat", lambda n: asked(n, content=part("")), 0, "OpenAI chat): 18 of 20 rows"),
    ("an empty part as a tool's result", "chat", lambda n: asked(n, content=None, answer=part("")), 0, "OpenAI chat): 18 of 20 rows"),
    ("words and a call in two turns", "chat", talk_and_call, 0, "ShareGPT): 18 of 20 rows"),
    ("nulls of Arrow", "chat", lambda n: asked(n, content=None, arguments={"item": None}), 0, "are read as keys that are not there"),
    (
        "reasoning beside a value",
        "chat",
        lambda n: turns(n, {"value": "a", "reasoning_content": "b"}),
        3,
        "write it there as the base's chat",
    ),
    ("a flag of a turn", "chat", lambda n: turns(n, {"value": "a", "train": False}, {"value": "b"}), 0, "ShareGPT): 18 of 20 rows"),
    ("a flag that is misspelt", "chat", lambda n: turns(n, {"value": "a", "wieght": 0}, {"value": "b"}), 3, "(did you mean 'weight'?)"),
    ("one-hot labels", "sequence-classification", one_hot, 3, "Write the names of the classes that hold instead"),
    ("tags that are ignored", "token-classification", ignored_tag, 0, "20 tokens in 20 rows have the tag -100: nothing is learned there"),
    (
        "a number beyond doubles",
        "chat",
        lambda n: asked(n, content=None, arguments='{"item": 1e400}'),
        3,
        "1e400 is too large for a number",
    ),
]


@pytest.mark.parametrize("_case, task, row, code, says", VALIDATED, ids=[case for case, *_ in VALIDATED])
def test_on_a_laptop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], _case: str, task: TaskName, row: Any, code: int, says: str
) -> None:
    """0 where the meaning is clear, with a note where something was decided; 3 with the cause and what to write instead."""
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row(number)) + "\n" for number in range(ROWS)))
    assert main(["validate", str(tmp_path / "train.jsonl"), "--task", task]) == code
    assert says in "".join(capsys.readouterr())


def notes(folder: Path, task: TaskName, tokenizer: Tokenizer, row: Any) -> list[str]:
    """What prepare says of rows with that base tokenizer."""
    make_base(folder / "base")
    if task == "token-classification":
        encoder = {"architectures": ["BertModel"], "model_type": "bert", "num_hidden_layers": 1, "num_attention_heads": 2}
        change_json(folder / "base" / "config.json", **encoder, hidden_size=8, intermediate_size=16)
    (folder / "base" / "tokenizer.json").write_text(tokenizer.to_str())
    (folder / "train.jsonl").write_text("".join(json.dumps(row(number)) + "\n" for number in range(ROWS)))
    result = prepare(run_config(folder, task=task), 1)
    assert result.prepare, result.error
    return result.prepare.dataset.notes


def test_words_without_tokens(tmp_path: Path) -> None:
    """A word that the base's tokenizer drops is named with its line and place, above all where it carries the B- of an entity."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, "[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()

    def row(number: int) -> dict[str, Any]:
        if number % 2:
            return {"tokens": [ZERO_WIDTH_SPACE, "lamp", f"Anna{number}"], "tags": ["O", "O", "B-PER"]}
        return {"tokens": ["of", VARIATION_SELECTOR, f"Otto{number}"], "tags": ["O", "B-PER", "I-PER"]}

    (note,) = [note for note in notes(tmp_path, "token-classification", tokenizer, row) if "no tokens" in note]
    assert note.startswith(rf"{ROWS} words in {ROWS} rows have no tokens (first: line 1, word 2 '\ufe0f')")
    assert r"10 entities that have such words are cut to the others (first: line 1, word 2 '\ufe0f')" in note


def test_a_prompt_that_ends_with_a_space(tmp_path: Path) -> None:
    """The answer is learnt after the tokens that a server makes of the prompt alone, and a note gives the reason for the difference."""
    letters = {letter: index for index, letter in enumerate(["<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet())])}
    tokenizer = Tokenizer(BPE(letters | {"ĠT": len(letters)}, [("Ġ", "T")]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    (note,) = [
        note
        for note in notes(tmp_path, "completion", tokenizer, lambda n: {"prompt": f"Question {n}\nAnswer: ", "completion": "Take it."})
        if "white space" in note
    ]
    assert "the prompt ends with white space" in note
