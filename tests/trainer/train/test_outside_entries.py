"""A method and a strategy from installed packages, those of docs/extending.md, through the train stage as a program."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunStrategy
from finetune_trainer.methods import METHODS
from finetune_trainer.preference.rows import AnswerRows, ComparedRows
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.strategies import STRATEGIES
from tests.outside_package import documented_example, install
from tests.trainer.conftest import AS_IN_IMAGE
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import HYPER, LORA, ZERO, Run, prepare_workspace

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
NORMS = {"type": "norms"}


def test_a_method_from_outside(tmp_path: Path, tiny: Path) -> None:
    """Trains what it says and nothing else, through a checkpoint, and leaves a whole model."""
    install(tmp_path, "norm_tuning", documented_example("A method"), group="finetune.methods", name="norms")
    workspace = prepare_workspace(tmp_path / "workspace", tiny, method=NORMS)
    run = Run(workspace, NORMS, environment={"PYTHONPATH": f"{tmp_path}:{AS_IN_IMAGE}"})
    assert run.attempt() == ExitCode.OK
    losses = run.losses()
    assert len(losses) == 6
    assert losses[-1] != losses[0]
    trained, base = (load_file(folder / "model.safetensors") for folder in (workspace.trained / "model", tiny))
    assert {name for name in base if not torch.equal(trained[name], base[name])} == {name for name in base if "norm" in name}


def test_an_objective_from_outside(tmp_path: Path, new_pairs: Callable[..., Run]) -> None:
    """Its loss is computed of the answers that dpo compares, without a pass over the base: at the first step it is that of the base."""
    dpo = new_pairs(hyper={"total_steps": 1})
    run_here(dpo)
    base = np.load(dpo.workspace.reference / "train/log-probs.npy")
    rows = ComparedRows(AnswerRows(dpo.workspace.train_rows))
    first = StepPlan(rows.lengths, rows.supervised, HYPER["batch_size"], HYPER["micro_batch_tokens"], HYPER["seed"]).examples(0, 0)
    install(tmp_path, "slic", documented_example("An objective"), group="finetune.objectives", name="slic")
    run = new_pairs(method=LORA | {"objective": "slic"}, environment={"PYTHONPATH": f"{tmp_path}:{AS_IN_IMAGE}"})
    assert run.attempt() == ExitCode.OK
    assert run.losses()[0] == pytest.approx(np.maximum(0, 1 - (base[first, 0] - base[first, 1])).mean(), abs=1e-4)
    assert not run.workspace.reference.exists()


def test_an_optimizer_from_outside(tmp_path: Path, tiny: Path, alone: Run) -> None:
    """Without momentum in the first step, the weights move against the gradient: the second loss is not AdamW's."""
    install(tmp_path, "sgd", documented_example("An optimizer"), group="finetune.optimizers", name="sgd")
    workspace = prepare_workspace(tmp_path / "workspace", tiny, optimizer="sgd", total_steps=4, learning_rate=0.1)
    run = Run(workspace, hyperparameters={"optimizer": "sgd"}, environment={"PYTHONPATH": f"{tmp_path}:{AS_IN_IMAGE}"})
    assert run.attempt() == ExitCode.OK
    losses = run.losses()
    assert losses[:2] == alone.losses()[:2]  # the first step warms up, its rate is 0
    assert losses[2] != alone.losses()[2]


@pytest.mark.parametrize(("stage", "processes"), [(2, 1), (3, 2)])  # DeepSpeed has one optimizer class for stages 1 and 2
def test_an_optimizer_from_outside_with_deepspeed(stage: int, processes: int, tmp_path: Path, tiny: Path) -> None:
    """Its state has no number of steps, other than AdamW's; resumed from a checkpoint, it gives the same losses."""
    install(tmp_path, "sgd", documented_example("An optimizer"), group="finetune.optimizers", name="sgd")
    hyper: dict[str, Any] = {"optimizer": "sgd", "total_steps": 4, "learning_rate": 0.1, "checkpoint_every": 2}
    workspace = prepare_workspace(tmp_path / "workspace", tiny, strategy=ZERO[stage], **hyper)
    run = Run(workspace, processes=processes, hyperparameters={"optimizer": "sgd"}, environment={"PYTHONPATH": f"{tmp_path}:{AS_IN_IMAGE}"})
    assert run.attempt() == ExitCode.OK
    losses = run.losses()
    workspace.result("train").unlink()
    shutil.rmtree(workspace.trained)
    assert run.attempt(2) == ExitCode.OK
    assert run.losses() == losses
    assert run.checkpoints() == ["attempt-1/checkpoint-2"], "resumed there, not run again from the base"


def test_a_strategy_from_outside(tmp_path: Path, tiny: Path, alone: Run) -> None:
    """Two ranks compute what one process does, however their gradients meet."""
    install(tmp_path, "all_reduce", documented_example("A strategy"), group="finetune.strategies", name="all-reduce")
    strategy = RunStrategy(type="all-reduce")
    workspace = prepare_workspace(tmp_path / "workspace", tiny, strategy=strategy, total_steps=12, checkpoint_every=5)
    run = Run(workspace, processes=2)
    run.environment = {"PYTHONPATH": f"{tmp_path}:{AS_IN_IMAGE}"}
    assert run.attempt() == ExitCode.OK
    assert run.losses() == pytest.approx(alone.losses(), abs=1e-4)
    assert run.checkpoints() == ["attempt-1/checkpoint-10", "attempt-1/checkpoint-5"]


@pytest.mark.parametrize(("method", "strategy", "known"), [("adapter", "ddp", METHODS), ("lora", "zero-9", STRATEGIES)])
def test_an_unknown_name_is_refused_with_the_known_ones(
    method: str, strategy: str, known: Iterable[str], tmp_path: Path, tiny: Path
) -> None:
    """Before any rank starts."""
    run = Run(prepare_workspace(tmp_path / "workspace", tiny, strategy=RunStrategy(type=strategy)), {"type": method})
    assert run.attempt() == ExitCode.INVALID_INPUT
    error = run.result().error
    assert error is not None
    assert error.code == "InvalidSpec"
    assert error.message.endswith(f"known: {', '.join(known)}")
