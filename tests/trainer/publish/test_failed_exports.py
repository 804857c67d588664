"""An export that fails costs the artifact and never the model."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from finetune_api.model_directory import Manifest
from finetune_api.result import StageResult
from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts import ARTIFACTS
from finetune_trainer.failure import invalid
from finetune_trainer.inspect.main import inspect_model
from finetune_trainer.publish.draft import DRAFT, Draft, Identity
from finetune_trainer.publish.exports import missing
from finetune_trainer.publish.main import publish
from finetune_trainer.tokenizer import copy_tokenizer
from finetune_trainer.workspace.files import write_atomic
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.sealed import seal
from finetune_trainer.workspace.workspace import Workspace
from tests.trainer.conftest import lay_out, write_rows

pytestmark = pytest.mark.trainer
MakeConfig = Callable[..., RunConfig]
Rows = list[tuple[list[int], list[bool]]]


def without_prompts(config: RunConfig) -> None:
    """Nothing is left to prove the export with."""
    write_rows(Path(config.paths.workspace, "data/prompts.arrow"), {"input_ids": []})


def killed(times: int) -> Callable[[RunConfig], None]:
    """What earlier attempts leave that were killed in the middle of the export."""

    def change(config: RunConfig) -> None:
        draft = Draft(Path(config.paths.model), Identity("d1", "base-digest", "data-digest"))
        draft.root.mkdir(parents=True)
        for _ in range(times):
            draft.begin()
            write_atomic(draft.folder / "killed-onnx", str(draft.killed_exports("onnx") + 1))

    return change


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (without_prompts, "NoPrompts", "has no prompt to check the ONNX export with"),
        (killed(2), "ExportKilled", "2 attempts were killed during the export, most often because the pod ran out of memory"),
        (killed(1), "", ""),
    ],
)
def test_the_model_is_there_without_it(
    make_config: MakeConfig, folder: Path, change: Callable[[RunConfig], None], reason: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manifest names what is missing and why, the result and inspect repeat it, and nothing of the export is left."""
    config = make_config(folder, onnx=True)
    change(config)
    result = publish(config, 3)
    manifest = Manifest.from_json((folder / "model" / "MANIFEST.json").read_bytes())
    assert [a.format for a in manifest.artifacts] == ["safetensors", "adapter", *([] if reason else ["onnx"])]
    assert [(m.format, m.precision, m.reason) for m in manifest.missing_artifacts] == ([("onnx", "fp32", reason)] if reason else [])
    assert all(words in m.message and "can be served with PyTorch" in m.message for m in manifest.missing_artifacts)
    assert result.publish is not None
    assert result.publish.missing_artifacts == manifest.missing_artifacts
    assert (folder / "model" / "onnx").exists() == (not reason)
    assert not (folder / "model" / DRAFT).exists()
    assert ("Not written: onnx fp32" in (folder / "model" / "README.md").read_text()) == bool(reason)
    capsys.readouterr()
    assert inspect_model(config.paths.model) == 0
    inspected = StageResult.from_json(capsys.readouterr().out).inspect
    assert inspected is not None
    assert inspected.missing_artifacts == manifest.missing_artifacts


def test_a_model_that_onnx_runtime_cannot_run(make_config: MakeConfig, folder: Path, tiny: Path, rows: Rows) -> None:
    """Whatever goes wrong in builder or runtime, the model of the training is published."""
    config = make_config(folder, method="full", onnx=True)
    base, trained = folder / "base", Path(config.paths.workspace, "trained")
    torch.manual_seed(0)
    shape: Any = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=49152, head_dim=8, max_position_embeddings=512, eos_token_id=2, **shape))
    model.save_pretrained(base)
    copy_tokenizer(tiny, base)
    shutil.rmtree(trained)
    model.save_pretrained(trained / "model")
    lay_out(Workspace(config.paths.workspace), config, base, rows, "fp32", 1000)
    seal(trained, Prepared.from_json(Workspace(config.paths.workspace).prepared.read_bytes()).identity)
    publish(config, 1)
    manifest = Manifest.from_json((folder / "model" / "MANIFEST.json").read_bytes())
    assert [a.format for a in manifest.artifacts] == ["safetensors"]
    assert len(manifest.missing_artifacts) == 1


def test_the_weights_of_a_checkpoint_are_named_by_their_folder(tmp_path: Path) -> None:
    """Where an export of a checkpoint fails, what is left are the checkpoint's weights, not the model's."""
    draft = Draft(tmp_path, Identity("d1", "base-digest", "data-digest"))
    draft.begin()
    found = missing(ARTIFACTS["onnx"], invalid("ParityFailed", "it differs."), draft.of_checkpoint(40))
    assert found.message == "it differs; the weights in checkpoints/step-40/model/ are complete and can be served with PyTorch"
