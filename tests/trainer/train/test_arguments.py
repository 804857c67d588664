"""The run's hyperparameters as Trainer takes them, on a GPU that this machine need not have."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer

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
    with pytest.raises(StageFailure, match=r"Tesla T4 does not support bf16.*hyperparameters\.precision: fp16 or fp32") as refused:
        training_arguments(HYPER, tmp_path, World(rank=0, size=1, device=torch.device("cuda", 0)))
    assert (refused.value.exit_code, refused.value.error.param) == (ExitCode.INVALID_INPUT, "hyperparameters.precision")


@pytest.mark.parametrize("warmup", [0, 10])
@pytest.mark.parametrize(
    ("scheduler", "share"),
    [
        ("linear", lambda step, warmup: (100 - step) / (100 - warmup)),
        ("cosine", lambda step, warmup: (1 + math.cos(math.pi * (step - warmup) / (100 - warmup))) / 2),
        ("constant", lambda step, warmup: 1),
        ("polynomial", lambda step, warmup: ((100 - step) / (100 - warmup)) ** 2),
        ("warmup-stable-decay", lambda step, warmup: min(1, (100 - step) / 20)),
        ("inverse-square-root", lambda step, warmup: math.sqrt(warmup / step) if warmup else 1 / math.sqrt(1 + step / 10_000)),
    ],
)
def test_the_learning_rate_follows_its_formula(scheduler: Any, share: Callable[[int, int], float], warmup: int, tmp_path: Path) -> None:
    """At every step of a run of 100, as Trainer makes the schedule of these arguments."""
    hyper = HYPER.model_copy(update={"scheduler": scheduler, "total_steps": 100, "warmup_steps": warmup, "precision": "fp32"})
    arguments = training_arguments(hyper, tmp_path, World(rank=0, size=1, device=torch.device("cpu")))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=arguments.learning_rate)
    schedule = Trainer(torch.nn.Linear(1, 1), arguments).create_scheduler(100, optimizer)
    rates = []
    for _ in range(100):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    wanted = [1e-3 * (step / warmup if step < warmup else share(step, warmup)) for step in range(100)]
    assert rates == pytest.approx(wanted)
