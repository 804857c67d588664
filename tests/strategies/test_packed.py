"""tensor-parallel with weights that are several matrices in one: experts, and the feed-forward part of Phi-3."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import Phi3Config, Phi3ForCausalLM

from finetune_trainer.publish.checkpoints import whole_weights
from finetune_trainer.train.checkpoints import checkpoint_at
from finetune_trainer.workspace.prepared import Prepared
from tests.strategies.test_matrix import CLOSE, TENSOR, resumed, trained
from tests.trainer.train.conftest import VOCABULARY
from tests.trainer.train.runs import DDP, Run

pytestmark = [pytest.mark.strategies, pytest.mark.timeout(900)]


@pytest.fixture(scope="session")
def phi3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of two layers."""
    folder = tmp_path_factory.mktemp("phi3") / "tiny"
    torch.manual_seed(0)
    config = Phi3Config(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=128, original_max_position_embeddings=128, initializer_range=0.1, pad_token_id=0,
    )  # fmt: skip
    model: Any = Phi3ForCausalLM(config)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session", params=["experts", "phi3"])
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One process with ddp."""
    base: Path = request.getfixturevalue(request.param)
    return trained(tmp_path_factory.mktemp("alone") / "workspace", base, "full", DDP, 1, 1)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 4)])
def test_another_number_of_processes_resumes(before: int, after: int, tmp_path: Path, alone: Run) -> None:
    """Full fine-tuning: the losses and the weights of one process, at the end and in the checkpoint that was written by the others."""
    base = Path(Prepared.from_json(alone.workspace.prepared.read_bytes()).base_path)
    run = resumed(tmp_path / "workspace", base, "full", TENSOR, before, after)
    assert run.losses() == pytest.approx(alone.losses(), abs=CLOSE)
    halfway = [
        whole_weights(one.trained_run(), checkpoint_at(one.workspace.checkpoints, 1, 2).path, tmp_path / "whole") for one in (run, alone)
    ]
    for folders in (halfway, [one.workspace.trained / "model" for one in (run, alone)]):
        weights, wanted = (load_file(folder / "model.safetensors") for folder in folders)
        assert weights.keys() == wanted.keys()
        assert all(torch.allclose(weights[name], wanted[name], atol=CLOSE) for name in wanted)
