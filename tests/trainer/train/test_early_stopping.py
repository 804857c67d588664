"""The best weights and the end of a training by its validation loss."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from finetune_trainer.failure import StageFailure
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import FSDP, Run, prepare_workspace
from tests.trainer.train.test_resume import stop_at

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
MEMORIZED: dict[str, Any] = {
    "total_steps": 60, "learning_rate": 0.02, "scheduler": "constant", "validation_every": 2, "validation_examples": 9,
    "checkpoint_every": 50,
}  # fmt: skip
"""Random rows: whatever is learned of them makes the loss on others worse, from a certain step on."""
STOPPING: dict[str, Any] = MEMORIZED | {"early_stopping": {"patience": 3, "minimumImprovement": 0.01}, "load_best_model_at_end": True}


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Run:
    """From start to its early end, keeping one checkpoint beside the best one."""
    run = Run(prepare_workspace(tmp_path_factory.mktemp("stopped"), tiny, **STOPPING), keep=1)
    run_here(run)
    return run


def curve(run: Run) -> list[tuple[int, float]]:
    """Steps and validation losses of metrics.csv."""
    return [(step.step, step.valid_loss) for step in run.metrics() if step.valid_loss is not None]


def weights(folder: Path) -> dict[str, Any]:
    """Of an adapter, in a form that compares."""
    return {name: tensor.tolist() for name, tensor in load_file(folder / "adapter_model.safetensors").items()}


def test_it_ends_after_three_validations_without_improvement(stopped: Run) -> None:
    """As counted by hand from metrics.csv; the result says so, and training did not go on."""
    lowest, misses, ends = float("inf"), 0, 0
    for step, loss in curve(stopped):
        lowest, misses = (loss, 0) if loss < lowest - 0.01 else (lowest, misses + 1)
        ends = ends or (step if misses == 3 else 0)
    summary = stopped.result().train
    assert 0 < ends < 60
    assert (summary.steps, len(stopped.metrics())) == (ends, ends)
    assert summary.stopped_early.startswith("the validation loss has not improved by more than 0.01 in the last 3 validations; its lowest")


def test_the_best_weights_are_left(stopped: Run) -> None:
    """Those of the step with the lowest validation loss, whose checkpoint outlives the rotation and is named in the result."""
    step, loss = min(curve(stopped), key=lambda point: point[1])
    summary = stopped.result().train
    assert summary.published_step == step
    assert weights(stopped.workspace.trained / "adapter") == weights(stopped.workspace.checkpoints / f"attempt-1/checkpoint-{step}")
    (best,) = [checkpoint for checkpoint in summary.checkpoints if checkpoint.best]
    assert (best.step, best.validation_loss, best.loss) == (step, loss, stopped.metrics()[step - 1].loss)
    assert best.size_bytes


def test_overfitting_is_said(stopped: Run) -> None:
    """The validation loss rose while the training loss fell."""
    (warning,) = stopped.result().train.warnings
    assert warning.code == "Overfitting"
    assert "while the training loss fell from" in warning.message


@pytest.mark.parametrize("before_the_end", [0, 1, 3])
def test_a_resumed_run_ends_at_the_same_step(before_the_end: int, stopped: Run, new_run: Callable[..., Run]) -> None:
    """The count survives SIGTERM, also at the very step that would have ended it."""
    summary = stopped.result().train
    run = new_run(hyper=STOPPING, keep=1)
    with pytest.raises(StageFailure, match="stopped by SIGTERM"):
        run_here(run, 1, stop_at(run, summary.steps - before_the_end))
    run_here(run, 2)
    again = run.result().train
    assert (again.steps, again.published_step, again.stopped_early) == (summary.steps, summary.published_step, summary.stopped_early)


def test_a_lost_best_checkpoint_is_said(stopped: Run, new_run: Callable[..., Run]) -> None:
    """The next best weights are left."""
    run = new_run(hyper=STOPPING, keep=1)
    best: Any = stopped.result().train.published_step
    damaged = run.workspace.checkpoints / f"attempt-1/checkpoint-{best}/adapter_model.safetensors"

    def harm() -> bool:
        if damaged.exists() and run.metrics()[-1].step > best:
            damaged.write_bytes(bytes(damaged.stat().st_size))
        return False

    run_here(run, 1, harm)
    summary = run.result().train
    assert "BestCheckpointLost" in [warning.code for warning in summary.warnings]
    assert summary.published_step != best


def test_the_last_weights_are_left_unless_the_best_are_asked_for(new_run: Callable[..., Run]) -> None:
    """Without loadBestModelAtEnd no checkpoint is written for a validation."""
    run = new_run(hyper=MEMORIZED | {"total_steps": 8})
    run_here(run)
    assert (run.checkpoints(), run.result().train.published_step, run.result().train.steps) == ([], None, 8)


def test_the_best_weights_of_shards(new_run: Callable[..., Run]) -> None:
    """The same with fsdp: the model is loaded again from the best checkpoint, and published whole."""
    run = new_run(hyper=STOPPING, strategy=FSDP, keep=1)
    run_here(run)
    step = min(curve(run), key=lambda point: point[1])[0]
    summary = run.result().train
    assert (summary.published_step, summary.steps > step, summary.warnings[0].code) == (step, True, "Overfitting")
    assert weights(run.workspace.trained / "adapter")
