"""The run's hyperparameters as Trainer takes them, on a GPU that this machine need not have."""

from pathlib import Path

import pytest
import torch

from finetune_api.exit_codes import ExitCode
from finetune_trainer.distributed.world import World
from finetune_trainer.failure import StageFailure
from finetune_trainer.train.loop.arguments import training_arguments
from finetune_trainer.workspace.prepared import ResolvedHyperparameters

HYPER = ResolvedHyperparameters(
    total_steps=6,
    steps_per_epoch=4,
    batch_size=6,
    learning_rate=1e-3,
    scheduler="linear",
    warmup_steps=1,
    weight_decay=0.01,
    max_grad_norm=1.0,
    max_sequence_length=64,
    precision="bf16",
    seed=7,
    checkpoint_every=2,
    micro_batch_tokens=60,
)


def test_a_gpu_that_only_emulates_bf16_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch creates bf16 tensors on a T4 as well, and computes with them many times slower; the message names the field."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(StageFailure, match=r"Tesla T4 does not support bf16.*hyperparameters\.precision: fp32") as refused:
        training_arguments(HYPER, tmp_path, World(rank=0, size=1, device=torch.device("cuda", 0)))
    assert (refused.value.exit_code, refused.value.error.param) == (ExitCode.INVALID_INPUT, "hyperparameters.precision")
