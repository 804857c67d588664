"""From pairs in OpenAI's form, or rated answers, to a published model: rewards in the evaluation, the gate and the model card."""

import json
from pathlib import Path

import pytest

from finetune_api.model_directory import MANIFEST_FILE, EvaluationReport, Manifest
from finetune_trainer.evaluation.gate import judge
from finetune_trainer.prepare.main import prepare
from finetune_trainer.publish.main import publish
from finetune_trainer.train.launch.exchange import Assignment
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.loop.metrics import read_metrics
from finetune_trainer.train.rank import Rank
from tests.unit.prepare.run import run_config

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]


def assert_compared_with_the_base(checkpoint: Path, model: EvaluationReport) -> None:
    """The rewards of a published checkpoint are relative to the base, as those of the model are, and not to its own answers."""
    report = Manifest.from_json((checkpoint / MANIFEST_FILE).read_bytes()).evaluation
    assert report is not None
    assert report.base == model.base
    assert report.tuned["loss"] not in (model.base["loss"], model.tuned["loss"])
    assert report.tuned["rewardMargin"] > 0
    assert [verdict.passed for verdict in report.gate] == [verdict.passed for verdict in model.gate]


def test_pairs_become_a_model_that_prefers_the_preferred(assets: Path, tmp_path: Path) -> None:
    """On rows that it has not seen; the base, which rewards are relative to, prefers neither."""
    lines = (assets / "preferences/train.jsonl").read_text().splitlines()[:40]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    config = run_config(
        tmp_path,
        base={"source": {"uri": str(assets / "smollm2-5m")}},
        dataset={"train": {"uri": str(tmp_path / "train.jsonl")}, "split": {"fraction": 0.2}},
        method={"objective": "dpo", "dpo": {"beta": 0.5}},
        hyperparameters={"maxSteps": 6, "batchSize": 8, "precision": "fp32", "learningRate": 2e-3},
        checkpoints={"everySteps": 4, "publish": True},
        evaluation={"gate": [{"metric": "rewardMargin", "betterThanBase": True}, {"metric": "rewardAccuracy", "minimum": 0.01}]},
    )
    prepared = prepare(config, 1).prepare
    assert prepared is not None
    assert prepared.dataset.format == "JSONL, OpenAI preference"
    Rank(Assignment(config=config, attempt=1), Heartbeat(tmp_path / "beat"), lambda: False).run()
    publish(config, 1)
    manifest = Manifest.from_json((tmp_path / "model" / MANIFEST_FILE).read_bytes())
    report = manifest.evaluation
    assert report is not None and manifest.lineage is not None and manifest.skew_check is not None
    assert (report.base["rewardAccuracy"], report.base["rewardMargin"]) == (0.5, 0.0)
    assert report.base["loss"] == pytest.approx(0.693147, abs=1e-5)
    assert report.tuned["rewardMargin"] > 0
    assert report.gate == judge(config.evaluation.gate, report.base, report.tuned)
    assert report.gate_passed
    assert_compared_with_the_base(tmp_path / "model/checkpoints/step-4", report)
    assert manifest.skew_check.equal == manifest.skew_check.prompts > 0
    settings = manifest.lineage.hyperparameters
    assert (manifest.task, settings["objective"], settings["dpo.beta"], "lossOn" in settings) == ("chat", "dpo", 0.5, False)
    card = (tmp_path / "model/README.md").read_text()
    assert "| model | loss | perplexity | rewardAccuracy | rewardMargin |" in card
    assert json.dumps(["finetune-operator", "chat", "dpo", "lora", "adapter", "safetensors"]) in card


def test_rated_answers_become_a_model_that_tells_them_apart(assets: Path, tmp_path: Path) -> None:
    """On rows that it has not seen, at a distance from its base that the gate limits."""
    lines = (assets / "feedback/train.jsonl").read_text().splitlines()[:60]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    config = run_config(
        tmp_path,
        base={"source": {"uri": str(assets / "smollm2-5m")}},
        dataset={"train": {"uri": str(tmp_path / "train.jsonl")}, "split": {"fraction": 0.2}},
        method={"objective": "kto", "kto": {"undesirableWeight": 2}},
        hyperparameters={"maxSteps": 8, "batchSize": 12, "precision": "fp32", "learningRate": 2e-3},
        checkpoints={"everySteps": 4, "publish": True},
        evaluation={
            "everySteps": 4,
            "gate": [{"metric": "rewardMargin", "betterThanBase": True}, {"metric": "kl", "maximum": 1000}],
        },
    )
    prepared = prepare(config, 1).prepare
    assert prepared is not None
    assert (prepared.dataset.format, set(prepared.dataset.labels)) == ("JSONL, messages/label", {"true", "false"})
    Rank(Assignment(config=config, attempt=1), Heartbeat(tmp_path / "beat"), lambda: False).run()
    publish(config, 1)
    manifest = Manifest.from_json((tmp_path / "model" / MANIFEST_FILE).read_bytes())
    report = manifest.evaluation
    assert report is not None and manifest.lineage is not None and manifest.skew_check is not None
    assert (report.base["rewardAccuracy"], report.base["rewardMargin"], report.base["kl"]) == (0.5, 0.0, 0.0)
    assert report.tuned["rewardMargin"] > 0
    assert report.tuned["kl"] >= 0
    assert report.gate == judge(config.evaluation.gate, report.base, report.tuned)
    assert report.gate_passed
    assert_compared_with_the_base(tmp_path / "model/checkpoints/step-4", report)
    assert manifest.skew_check.equal == manifest.skew_check.prompts > 0
    settings = manifest.lineage.hyperparameters
    assert (manifest.task, settings["objective"], settings["kto.undesirableWeight"]) == ("chat", "kto", 2)
    last = read_metrics(tmp_path / "workspace/metrics.csv")[-1]
    assert None not in (last.kl, last.reward_accuracy, last.valid_loss)
    card = (tmp_path / "model/README.md").read_text()
    assert "| model | loss | perplexity | rewardAccuracy | rewardMargin | kl |" in card
