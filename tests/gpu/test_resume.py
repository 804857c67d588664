"""Interrupted trainings on a GPU: killed, asked to stop, and gone on with on another number of GPUs."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure
from finetune_trainer.optimizers import OPTIMIZERS
from finetune_trainer.train.loop.metrics import read_metrics
from tests.gpu.runs import QLORA, new_run, trained, worst
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import FSDP, FULL, LORA

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]
DROPOUT: dict[str, Any] = {"type": "lora", "lora": LORA["lora"] | {"dropout": 0.1}}
METHODS = {"lora": DROPOUT, "qlora": QLORA, "full": FULL}
HYPER: dict[str, Any] = {"total_steps": 8, "learning_rate": 1e-4}


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Kernels that add in the same order every time, where torch has them."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.bf16
@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_training_has_equal_losses_and_weights(method: str, small: Path, tmp_path: Path, figures: Callable[..., None]) -> None:
    """In bf16, and with LoRA with dropout: stopped in step 4, the losses and the weights are those of the run that was not, bit by bit."""
    check_resumed(small, tmp_path, figures, METHODS[method])


@pytest.mark.bf16
@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("optimizer", sorted(set(OPTIMIZERS) - {"adamw"}))
def test_the_state_of_an_optimizer_is_resumed(optimizer: str, small: Path, tmp_path: Path, figures: Callable[..., None]) -> None:
    """The same, in full fine-tuning, with the kernels that each of them has for GPUs."""
    check_resumed(small, tmp_path, figures, FULL, optimizer=optimizer)


def check_resumed(base: Path, folder: Path, figures: Callable[..., None], method: dict[str, Any], **hyper: Any) -> None:
    """Stopped in step 4, a run has the losses and the weights of one that was not."""
    whole, run = (new_run(folder / name, base, method, precision="bf16", **HYPER, **hyper) for name in ("whole", "resumed"))
    run_here(whole)
    with pytest.raises(StageFailure, match="with a checkpoint"):
        run_here(run, 1, lambda: len(read_metrics(run.workspace.metrics)) >= 3)
    run_here(run, 2)
    figures(largest_difference=worst(run.losses(), whole.losses()))
    assert [step.loss for step in run.metrics()] == [step.loss for step in whole.metrics()]
    ours, theirs = (load_file(next(one.workspace.trained.glob("*/*.safetensors"))) for one in (run, whole))
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize("method", ["lora", "full"])
def test_killed(method: str, small: Path, tmp_path: Path, figures: Callable[..., None]) -> None:
    """kill -9 of the rank between two checkpoints: the next attempt goes on from the last one with the losses of the whole run."""
    hyper = HYPER | {"total_steps": 40}
    whole = trained(tmp_path / "whole", small, METHODS[method], **hyper)
    run = new_run(tmp_path / "killed", small, METHODS[method], **hyper | {"checkpoint_every": 10})
    run.keep = 2
    launched = run.start()
    launched.wait_for_step(12, run.workspace)
    os.kill(launched.workers()[0], signal.SIGKILL)
    assert launched.wait() == 128 + signal.SIGKILL
    assert run.attempt(2) == ExitCode.OK
    assert [step.step for step in run.metrics()] == list(range(1, 41))
    figures(largest_difference=worst(run.losses(), whole.losses()))
    assert worst(run.losses(), whole.losses()) <= 1e-3


@pytest.mark.gpus(2)
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_another_number_of_gpus_goes_on(
    before: int, after: int, method: str, small: Path, tmp_path: Path, figures: Callable[..., None]
) -> None:
    """Checkpoints of fsdp, written when SIGTERM came, fit any number of GPUs."""
    settings = {"lora": LORA, "full": FULL}[method]
    hyper = HYPER | {"total_steps": 30}
    whole = trained(tmp_path / "whole", small, settings, FSDP, **hyper)
    run = new_run(tmp_path / "workspace", small, settings, FSDP, before, **hyper)
    launched = run.start()
    launched.wait_for_step(3, run.workspace)
    launched.terminate()
    assert launched.wait() == ExitCode.PREEMPTED, launched.log()
    run.processes = after
    assert run.attempt(2) == ExitCode.OK
    figures(largest_difference=worst(run.losses(), whole.losses()))
    assert worst(run.losses(), whole.losses()) <= 1e-3
