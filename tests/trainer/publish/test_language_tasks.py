"""Every task of a language model from its own data to a model and a card, in this process, on two layers."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_api.model_directory import Manifest
from finetune_api.run_config import RunConfig
from finetune_trainer.prepare.main import prepare
from finetune_trainer.publish.calls import Prompting, calling
from finetune_trainer.publish.main import publish
from finetune_trainer.train.launch.exchange import Assignment
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.rank import Rank
from finetune_trainer.workspace.prepared import Prepared

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
TASKS: dict[str, tuple[str, dict[str, Any], str]] = {
    "completion": (
        "completion",
        {"uri": "quiz/train.csv", "template": {"prompt": "Question: {question}\nAnswer:", "completion": " {answer}"}, "slice": "0:60"},
        'curl $URL/v1/completions -H \'Content-Type: application/json\' -d \'{"model": "m", "prompt": "Question: {question}\\nAnswer:"',
    ),
    "summarization": (
        "summarization",
        {"uri": "package-summaries/train.parquet", "columns": {"document": "description"}, "slice": "0:40"},
        '"messages": [{"role": "user", "content": "Summarize the following text.\\n\\n<the text>"}]',
    ),
    "tools": ("chat", {"uri": "order-desk/train.jsonl.gz", "slice": "0:40"}, "curl $URL/v1/chat/completions"),
}


@pytest.mark.parametrize("name", TASKS)
def test_from_its_data_to_its_card(name: str, assets: Path, tmp_path: Path) -> None:
    """The loss falls below the base's, and the card says how the model is asked; a template of ours is published with it."""
    task, rows, call = TASKS[name]
    config = RunConfig.model_validate(
        {
            "job": {"name": "job", "specDigest": "digest"},
            "task": task,
            "base": {"source": {"uri": str(assets / "smollm2-5m")}},
            "dataset": {"train": rows | {"uri": str(assets / rows["uri"])}, "split": {"fraction": 0.2}},
            "hyperparameters": {"maxSteps": 3, "batchSize": 4, "precision": "fp32", "maxSequenceLength": 512},
            "evaluation": {"maxExamples": 4, "gate": [{"metric": "perplexity", "betterThanBase": True}]},
            "outputModel": "m",
            "paths": {"workspace": str(tmp_path / "workspace"), "model": str(tmp_path / "model")},
        }
    )
    prepare(config, 1)
    Rank(Assignment(config=config, attempt=1), Heartbeat(tmp_path / "beat"), lambda: False).run()
    publish(config, 1)
    manifest = Manifest.from_json((tmp_path / "model" / "MANIFEST.json").read_bytes())
    assert manifest.task == task
    assert manifest.evaluation is not None
    assert manifest.evaluation.gate_passed
    assert call in (tmp_path / "model" / "README.md").read_text()
    prepared = Prepared.from_json((tmp_path / "workspace" / "prepared.json").read_bytes())
    template = (tmp_path / "model" / "model" / "chat_template.jinja").read_text()
    assert (prepared.chat_template is not None) == (name == "tools")
    assert template == (prepared.chat_template or (assets / "smollm2-5m" / "chat_template.jinja").read_text())
    assert "chat_template" not in json.loads((tmp_path / "model" / "model" / "tokenizer_config.json").read_bytes())


@pytest.mark.parametrize(
    ("task", "prompting", "words"),
    [
        ("chat", Prompting(True), '/v1/chat/completions -H \'Content-Type: application/json\' -d \'{"model": "m", "messages": '),
        ("summarization", Prompting(False), '"prompt": "<the text>\\n\\nSummary:"'),
        ("summarization", Prompting(True, "Shorten: {text}"), '"content": "Shorten: {text}"'),
        ("completion", Prompting(True), '"prompt": "<the prompt>"'),
        ("chat", Prompting(True, "It's {it}"), "It'\\''s {it}"),
        ("sequence-classification", Prompting(False), "$URL/v1/classify"),
        ("token-classification", Prompting(False), "$URL/v1/token-classify"),
    ],
)
def test_calls(task: str, prompting: Prompting, words: str) -> None:
    """Each task has an endpoint and a prompt as in training."""
    manifest = Manifest(model="m", created_at="", task=task, type="full", artifacts=[])
    assert words in calling(manifest, prompting)
