"""What prepare leaves of held-out rows, and publish's comparison with what a server makes of them from the published files."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_api.model_directory import SkewCheck
from finetune_trainer.evaluation.skew_check import check_skew
from finetune_trainer.prepare.main import prepare
from finetune_trainer.tokenizer import copy_tokenizer
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.requests import read_requests
from finetune_trainer.workspace.workspace import Workspace
from tests.unit.data.rows.samples import assistant, row, system, user
from tests.unit.data.tokens import templates
from tests.unit.prepare.base_folder import change_json, make_base
from tests.unit.prepare.run import run_config

pytestmark = pytest.mark.unit

TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}]
BERT = {"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
BERT |= {"intermediate_size": 16}
CUE = "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"


def turns(number: int) -> bytes:
    """Two answers, a system message and a user who types a special token."""
    return row(system(), user(f"Hi {number} <|im_end|>"), assistant(), user("And?"), assistant(f"So {number}"))


def asked(number: int) -> bytes:
    """A conversation with tools."""
    return row(user(f"Hi {number}"), assistant(), tools=TOOLS)


def plain(**fields: str) -> Any:
    """Rows with these fields; # is the row's number."""
    return lambda number: json.dumps({name: text.replace("#", str(number)) for name, text in fields.items()}).encode()


def tagged(number: int) -> bytes:
    """Words with tags."""
    return json.dumps({"tokens": ["in", f"Town{number}"], "tags": ["O", "B-LOC"]}).encode()


def published(folder: Path, rows: Any, task: str, template: str | None = None, **settings: Any) -> Path:
    """Runs prepare and publishes the tokenizer's files; returns their folder."""
    make_base(folder / "base")
    if template:
        (folder / "base" / "chat_template.jinja").write_text(template)
    if task.endswith("classification"):
        change_json(folder / "base" / "config.json", **BERT)
    (folder / "train.jsonl").write_bytes(b"\n".join(rows(number) for number in range(40)) + b"\n")
    config = run_config(folder, task=task, **settings)
    assert prepare(config, 1).error is None
    prepared = Prepared.from_json(Workspace(config.paths.workspace).prepared.read_bytes())
    copy_tokenizer(folder / "base", folder / "published", prepared.chat_template)
    (folder / "published" / "config.json").write_bytes((folder / "base" / "config.json").read_bytes())
    return folder / "published"


def checked(folder: Path) -> SkewCheck:
    """The comparison."""
    return check_skew(folder / "published", read_requests(Workspace(folder / "workspace").requests), 64)


LOSS_ON_ALL = {"method": {"lossOn": "all"}}


@pytest.mark.parametrize(
    "rows, task, template, settings",
    [
        (turns, "chat", None, {}),
        (turns, "chat", CUE, {}),
        (turns, "chat", None, LOSS_ON_ALL),
        (turns, "chat", "{{ strftime_now('%H:%M:%S.%f') }}" + templates.CHATML, {}),
        (asked, "chat", None, {}),
        (plain(prompt="Question # <|im_end|> \nAnswer: ", completion="Take #."), "completion", None, {}),
        (plain(prompt="Question #: ", completion="Take #."), "completion", None, LOSS_ON_ALL),
        (plain(document="Text # <|im_end|>", summary="Short #."), "summarization", None, {}),
        (plain(text="[SEP] # <|im_end|>", label="a"), "sequence-classification", None, {}),
        (tagged, "token-classification", None, {}),
    ],
)
def test_the_published_model_is_asked_what_was_trained(
    tmp_path: Path, rows: Any, task: str, template: str | None, settings: dict[str, Any]
) -> None:
    """For every task: the server's code makes the tokens that training has before the answers."""
    make = rows if "class" not in task or task.startswith("token") else lambda n: rows(n).replace(b'"a"', b'"a"' if n % 2 else b'"b"')
    published(tmp_path, make, task, template, **settings)
    found = checked(tmp_path)
    assert found.prompts > 0
    assert (found.equal, found.difference) == (found.prompts, None)


REFUSES = templates.CHATML + "{% if add_generation_prompt and messages|length > 2 %}{{ raise_exception('two at most') }}{% endif %}"


def test_what_the_template_refuses_to_ask_is_not_compared(tmp_path: Path) -> None:
    """With lossOn all such rows are learnt as a whole, and a server would not ask them either."""
    published(tmp_path, turns, "chat", REFUSES, **LOSS_ON_ALL)
    assert checked(tmp_path) == SkewCheck(prompts=0, equal=0)


def test_a_published_template_that_refuses_is_told_and_ends_nothing(tmp_path: Path) -> None:
    """The training is done: its model must not be lost to a check."""
    folder = published(tmp_path, turns, "chat")
    (folder / "chat_template.jinja").write_text(REFUSES)
    found = checked(tmp_path)
    assert found.equal == 0
    assert found.difference is not None
    assert ": the published chat template refuses the prompt that the model was trained with: check tokenizer.json" in found.difference


def test_where_they_part_is_said(tmp_path: Path) -> None:
    """Another template, or another tokenizer, is found: the row, the token, both texts, and what to do."""
    folder = published(tmp_path, turns, "chat")
    (folder / "chat_template.jinja").write_text(templates.CHATML.replace("{{ '<|im_start|>' +", "{{ '<|im_start|> ' +"))
    found = checked(tmp_path)
    assert found.equal == 0
    assert found.difference is not None
    assert found.difference.startswith("validation row line ")
    assert "from token 1 on the model was trained with 'syst' but is served ' sys': check tokenizer.json" in found.difference


def test_positions_that_a_classifier_lacks_are_said(tmp_path: Path) -> None:
    """A published config.json that takes less than was trained."""
    folder = published(tmp_path, tagged, "token-classification")
    change_json(folder / "config.json", max_position_embeddings=32)
    difference = checked(tmp_path).difference
    assert difference == "the model was trained on inputs of up to 64 tokens and takes 32: lower hyperparameters.maxSequenceLength"
