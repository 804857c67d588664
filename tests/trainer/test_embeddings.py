"""From pairs of texts to a published embedding model: recall in evaluation, gate and card, sentence-transformers' files, ONNX."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModel

from finetune_api.model_directory import MANIFEST_FILE, Manifest
from finetune_api.run_config import RunConfig
from finetune_trainer.evaluation.gate import judge
from finetune_trainer.prepare.main import prepare
from finetune_trainer.publish.main import publish
from finetune_trainer.train.launch.exchange import Assignment
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.rank import Rank
from tests.unit.prepare.run import run_config

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
TOPICS = {
    "parcel": ("Where is my {}?", "Track the {} under My Account."),
    "refund": ("I want my money back for the {}", "Refunds for the {} take five days."),
    "invoice": ("Please send me the bill for the {}", "The invoice for the {} is in your documents."),
}
THINGS = ("lamp", "book", "phone", "shirt", "chair", "mug", "table", "clock", "pen", "bag", "coat", "sofa")


def config_of(assets: Path, folder: Path, method: str, rows: list[dict[str, Any]], metric: str) -> RunConfig:
    """A short run on all-MiniLM-L6-v2."""
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return run_config(
        folder,
        task="text-embedding",
        base={"source": {"uri": str(assets / "all-minilm-l6-v2")}},
        dataset={"train": {"uri": str(folder / "train.jsonl")}, "split": {"fraction": 0.3}},
        method={"type": method},
        hyperparameters={"maxSteps": 3, "batchSize": 8, "precision": "fp32"},
        evaluation={"gate": [{"metric": metric, "minimum": 0.01}]},
        export={"onnx": {"parityPrompts": 4}},
    )


def trained(config: RunConfig, folder: Path) -> Manifest:
    """All stages."""
    prepare(config, 1)
    Rank(Assignment(config=config, attempt=1), Heartbeat(folder / "beat"), lambda: False).run()
    publish(config, 1)
    return Manifest.from_json((folder / "model" / MANIFEST_FILE).read_bytes())


def test_pairs_become_an_embedding_model(assets: Path, tmp_path: Path) -> None:
    """The base may name its own pooling; the graph gives the vectors of the published weights with that pooling."""
    rows = [{"anchor": ask.format(thing), "positive": answer.format(thing)} for thing in THINGS for ask, answer in TOPICS.values()]
    config = config_of(assets, tmp_path, "lora", rows, "recallAt10")
    manifest = trained(config, tmp_path)
    report = manifest.evaluation
    assert report is not None and manifest.skew_check is not None and "recallAt10" in report.tuned
    assert report.gate_passed and report.gate == judge(config.evaluation.gate, report.base, report.tuned)
    assert report.tuned["loss"] < report.base["loss"]
    assert manifest.skew_check.equal == manifest.skew_check.prompts > 0
    assert [parity.equal for parity in report.parity] == [8], "two texts of each of four rows"
    assert (report.parity[0].min_cosine or 0) > 0.9999
    assert "| model | loss | recallAt1 | recallAt10 |" in (tmp_path / "model/README.md").read_text()
    folder = tmp_path / "model"
    modules = json.loads((folder / "model/modules.json").read_text())
    assert [module["type"].rpartition(".")[2] for module in modules] == ["Transformer", "Pooling", "Normalize"]
    assert json.loads((folder / "model/1_Pooling/config.json").read_text())["pooling_mode_mean_tokens"]
    check_graph(folder, rows[0]["anchor"])


def check_graph(folder: Path, text: str) -> None:
    """The mean over the tokens of the published weights, of length 1."""
    ids = Tokenizer.from_file(str(folder / "model/tokenizer.json")).encode(text)
    ids.truncate(len([id for id, mask in zip(ids.ids, ids.attention_mask, strict=True) if mask]))
    inputs = np.array([ids.ids])
    model: Any = AutoModel.from_pretrained(folder / "model", dtype=torch.float32)
    with torch.no_grad():
        mean = model(input_ids=torch.from_numpy(inputs)).last_hidden_state[0].mean(dim=0)
    session = onnxruntime.InferenceSession(str(folder / "onnx/fp32/model.onnx"))
    (found,) = session.run(None, {"input_ids": inputs, "attention_mask": np.ones_like(inputs)})
    assert found[0] == pytest.approx((mean / mean.norm()).numpy(), abs=1e-4)


def test_scored_pairs_are_judged_by_the_rank_of_their_similarities(assets: Path, tmp_path: Path) -> None:
    """Under the names of the public datasets of similar sentences, and as a model of its own."""
    rows = [
        {"sentence1": one[0].format(thing), "sentence2": other[1].format(thing), "score": 1.0 if one is other else 0.2}
        for thing in THINGS for one in TOPICS.values() for other in TOPICS.values()
    ]  # fmt: skip
    manifest = trained(config_of(assets, tmp_path, "full", rows[:60], "spearman"), tmp_path)
    report = manifest.evaluation
    assert report is not None and "spearman" in report.tuned and "spearman" in report.base
    assert report.tuned["loss"] < report.base["loss"]
    assert manifest.type == "full" and "recallAt1" not in report.tuned
    assert "| model | loss | spearman |" in (tmp_path / "model/README.md").read_text()
