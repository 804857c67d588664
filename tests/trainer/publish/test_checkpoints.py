"""Checkpoints that are published with the model: each is a model directory of its own, with the weights of its step."""

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from finetune_api.model_directory import Manifest, checkpoint_folder
from finetune_api.progress import CheckpointFigures
from finetune_api.resources.learning import Checkpoints
from finetune_api.result import StageResult, TrainSummary
from finetune_api.run_config import RunConfig
from finetune_trainer.inspect.main import inspect_model
from finetune_trainer.publish.draft import Draft, Identity
from finetune_trainer.publish.main import publish
from finetune_trainer.train.checkpoints import checkpoint_at
from finetune_trainer.workspace.files import write_atomic
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.sealed import seal
from finetune_trainer.workspace.workspace import Workspace
from tests.trainer.publish.programs import command, end_at

pytestmark = pytest.mark.trainer
MakeConfig = Callable[..., RunConfig]


def lay_out_checkpoint(config: RunConfig, weights: Path, attempt: int, step: int) -> Path:
    """The trained weights, each multiplied by a number of its own, beside a file of the optimizer; sealed."""
    workspace = Workspace(config.paths.workspace)
    folder = checkpoint_at(workspace.checkpoints, attempt, step).path
    shutil.copytree(weights, folder)
    for file in folder.glob("*.safetensors"):
        tensors = {name: tensor * (1 + step / 100 + attempt / 1000) for name, tensor in load_file(file).items()}
        save_file(tensors, file, {"format": "pt"})
    torch.save({"state": {}}, folder / "optimizer.pt")
    seal(folder, Prepared.from_json(workspace.prepared.read_bytes()).identity)
    return folder


def with_checkpoints(config: RunConfig, weights: Path) -> tuple[RunConfig, dict[int, Path]]:
    """Checkpoints of two attempts; step 3 was written twice and 4 is published. The kept ones by step."""
    workspace = Workspace(config.paths.workspace)
    written = {(attempt, step): lay_out_checkpoint(config, weights, attempt, step) for attempt, step in ((1, 2), (1, 3), (2, 3), (2, 4))}
    figures = [CheckpointFigures(step=step, loss=step / 10) for step in (2, 3, 4)]
    summary = TrainSummary(steps=5, published_step=4, loss=1, tokens=9, seconds=1, checkpoints=figures)
    write_atomic(workspace.result("train"), StageResult(stage="train", train=summary).to_json())
    asking = config.model_copy(update={"checkpoints": Checkpoints(publish=True)})
    return asking, {2: written[1, 2], 3: written[2, 3]}


def manifest_at(folder: Path) -> Manifest:
    """What a model directory says."""
    return Manifest.from_json((folder / "MANIFEST.json").read_bytes())


def load(folder: Path) -> Any:
    """A model in fp32."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


@pytest.mark.parametrize("method", ["lora", "full"])
def test_each_has_the_weights_of_its_step(make_config: MakeConfig, folder: Path, trained: Path, tiny: Path, method: str) -> None:
    """Merged as the model's own; with scores, proof of the export and a card. The directory as a whole passes the inspection."""
    config, kept = with_checkpoints(
        make_config(folder, method=method, onnx=method == "lora"), trained / {"lora": "adapter", "full": "model"}[method]
    )
    result = publish(config, 1)
    root = Path(config.paths.model)
    whole = manifest_at(root)
    assert whole.step == 4 and [checkpoint.step for checkpoint in whole.checkpoints] == [2, 3]
    assert [checkpoint.loss for checkpoint in whole.checkpoints] == [0.2, 0.3]
    for checkpoint in whole.checkpoints:
        directory = root / checkpoint_folder(checkpoint.step)
        found, source = manifest_at(directory), kept[checkpoint.step]
        assert found.evaluation is not None and whole.evaluation is not None
        assert (found.step, found.evaluation.tuned["loss"]) == (checkpoint.step, checkpoint.validation_loss)
        assert found.evaluation.base == whole.evaluation.base
        assert [artifact.path for artifact in found.artifacts] == [artifact.path for artifact in whole.artifacts]
        assert [parity.artifact for parity in found.evaluation.parity] == (["onnx/fp32"] if method == "lora" else [])
        assert f"step {checkpoint.step}" in (directory / "README.md").read_text()
        ids = torch.tensor([[11, 12, 13, 14]])
        expected = load(source) if method == "full" else PeftModel.from_pretrained(load(tiny), str(source))
        with torch.no_grad():
            torch.testing.assert_close(load(directory / "model")(ids).logits, expected(ids).logits, atol=1e-3, rtol=1e-4)
    assert len({checkpoint.validation_loss for checkpoint in whole.checkpoints}) == 2
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    manifests = sum(path.stat().st_size for path in root.rglob("MANIFEST.json"))
    assert result.publish is not None
    assert result.publish.size_bytes == whole.size_bytes == size - manifests
    assert not (root / ".publishing").exists()
    assert "checkpoints/step-2/" in (root / "README.md").read_text()


def test_inspection_reads_every_byte_of_them(
    make_config: MakeConfig, folder: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It reports the checkpoints, and a file of one that has changed is named."""
    config, _ = with_checkpoints(make_config(folder, method="full"), trained / "model")
    publish(config, 1)
    root = Path(config.paths.model)
    capsys.readouterr()
    assert inspect_model(str(root)) == 0
    found = StageResult.from_json(capsys.readouterr().out).inspect
    assert found is not None
    assert (found.step, found.checkpoints, found.size_bytes) == (4, manifest_at(root).checkpoints, manifest_at(root).size_bytes)
    changed = root / "checkpoints/step-3/model/config.json"
    changed.write_bytes(changed.read_bytes()[:-1] + b" ")
    assert inspect_model(str(root)) == 3
    assert "checkpoints/step-3: model/config.json has sha256" in capsys.readouterr().out
    (root / "checkpoints/step-3/MANIFEST.json").write_text("{}")
    assert inspect_model(str(root)) == 3
    assert "checkpoints/step-3/MANIFEST.json is not the one that MANIFEST.json lists" in capsys.readouterr().out


def test_a_damaged_one_costs_itself_only(make_config: MakeConfig, folder: Path, trained: Path) -> None:
    """The manifest names it with the reason; the model and the other checkpoint are published."""
    config, kept = with_checkpoints(make_config(folder), trained / "adapter")
    weights = kept[3] / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    result = publish(config, 1)
    whole = manifest_at(Path(config.paths.model))
    assert [checkpoint.step for checkpoint in whole.checkpoints] == [2]
    assert [(m.format, m.checkpoint, m.reason) for m in whole.missing_artifacts] == [("safetensors", 3, "CheckpointDamaged")]
    assert result.publish is not None and result.publish.missing_artifacts == whole.missing_artifacts
    assert not (Path(config.paths.model) / "checkpoints/step-3").exists()
    assert inspect_model(config.paths.model) == 0


@pytest.mark.timeout(600)
def test_checkpoints_that_kill_the_pod_do_not_cost_the_model(make_config: MakeConfig, folder: Path, trained: Path) -> None:
    """After two attempts were killed at them, the next one publishes the model without them and says why."""
    config, _ = with_checkpoints(make_config(folder), trained / "adapter")
    program = command(config, folder)
    for step in (2, 3):
        assert end_at(f'"activity":"checkpoint {step}: reading the weights"', program, signal.SIGKILL) == -signal.SIGKILL
    subprocess.run(program, check=True, capture_output=True)
    whole = manifest_at(Path(config.paths.model))
    assert (whole.step, whole.checkpoints) == (4, [])
    assert [(m.format, m.checkpoint, m.reason) for m in whole.missing_artifacts] == [
        ("safetensors", step, "ExportKilled") for step in (2, 3)
    ]
    assert all("2 attempts were killed while they read" in missing.message for missing in whole.missing_artifacts)
    assert inspect_model(config.paths.model) == 0


def test_one_without_an_export_says_so(make_config: MakeConfig, folder: Path, trained: Path) -> None:
    """Exports that killed two attempts are left out of the checkpoints; the model has its own."""
    config, _ = with_checkpoints(make_config(folder, onnx=True), trained / "adapter")
    draft = Draft(Path(config.paths.model), Identity("d1", "base-digest", "data-digest"))
    draft.root.mkdir(parents=True)
    draft.begin()
    for _ in range(2):
        write_atomic(draft.folder / "killed-checkpoint-onnx", str(draft.of_checkpoint(2).killed_exports("onnx") + 1))
        draft.begin()
    publish(config, 3)
    whole = manifest_at(draft.root)
    assert [artifact.format for artifact in whole.artifacts] == ["safetensors", "adapter", "onnx"]
    assert [(checkpoint.step, checkpoint.lacking) for checkpoint in whole.checkpoints] == [(2, ["onnx fp32"]), (3, ["onnx fp32"])]
    assert [(m.checkpoint, m.reason) for m in whole.missing_artifacts] == [(2, "ExportKilled"), (3, "ExportKilled")]
    assert "the weights in checkpoints/step-3/model/ are complete" in whole.missing_artifacts[1].message


def test_none_are_published_unless_the_job_asks(make_config: MakeConfig, folder: Path, trained: Path) -> None:
    """They stay in the workspace."""
    config, _ = with_checkpoints(make_config(folder), trained / "adapter")
    publish(config.model_copy(update={"checkpoints": Checkpoints()}), 1)
    assert manifest_at(Path(config.paths.model)).checkpoints == []
    assert not (Path(config.paths.model) / "checkpoints").exists()
