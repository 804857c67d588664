"""Trackers: what they have of a run, however many attempts it took."""

from collections.abc import Callable

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from finetune_trainer.failure import StageFailure
from tests.trainer.train.conftest import LONG, run_here
from tests.trainer.train.runs import Run
from tests.trainer.train.test_resume import stop_at

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]


def events(run: Run) -> EventAccumulator:
    """What TensorBoard's own reader finds."""
    found = EventAccumulator(str(run.workspace.runs / run.config().output_model))
    found.Reload()
    return found


def curve(run: Run, name: str) -> list[tuple[int, float]]:
    """Step and value of a figure in TensorBoard."""
    return [(event.step, event.value) for event in events(run).Scalars(name)]


def test_tensorboard_has_the_figures_of_metrics_csv(alone: Run) -> None:
    """Every step once, to the precision of the event file's floats."""
    names = {"train/loss": "loss", "train/grad_norm": "grad_norm", "train/learning_rate": "learning_rate", "train/tokens": "tokens"}
    for name, column in names.items():
        steps, values = zip(*curve(alone, name), strict=True)
        assert steps == tuple(step.step for step in alone.metrics())
        assert values == pytest.approx([getattr(step, column) for step in alone.metrics()], rel=1e-6)


def test_a_validation_that_was_owed_is_in_the_curve(new_run: Callable[..., Run], alone: Run) -> None:
    """The first attempt was stopped between the step and its validation."""
    run = new_run(hyper=LONG | {"validation_every": 5, "validation_examples": 7})
    with pytest.raises(StageFailure, match="at step 5"):
        run_here(run, 1, stop_at(run, 5))
    assert run.validations() == []
    run_here(run, 2)
    steps, losses = zip(*curve(run, "eval/loss"), strict=True)
    assert steps == tuple(step.step for step in alone.validations())
    assert losses == pytest.approx([step.valid_loss for step in alone.validations()])


def test_a_result_that_cannot_be_written_leaves_the_curve_whole(new_run: Callable[..., Run]) -> None:
    """The run has failed after its trackers recorded it as finished."""
    run = new_run()
    run.workspace.result("train").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        run_here(run)
    assert [step for step, _ in curve(run, "train/loss")] == list(range(1, 7))


def test_a_resumed_attempt_continues_the_curve(alone: Run, new_run: Callable[..., Run]) -> None:
    """Steps after the checkpoint that were run again are there once."""
    run = new_run(hyper=LONG | {"validation_every": 5, "validation_examples": 7})
    with pytest.raises(StageFailure, match="at step 7"):
        run_here(run, 1, stop_at(run, 7))
    for path in (run.workspace.checkpoints / "attempt-1").glob("checkpoint-7"):
        (path / ".complete").unlink()
    run_here(run, 2)
    assert [step for step, _ in curve(run, "train/loss")] == list(range(1, 13))
    assert [loss for _, loss in curve(run, "train/loss")] == pytest.approx([loss for _, loss in curve(alone, "train/loss")])
    validated = [step for step in run.metrics() if step.valid_loss is not None]
    assert [step for step, _ in curve(run, "eval/loss")] == [step.step for step in validated] == [5, 10, 12]
    assert [loss for _, loss in curve(run, "eval/loss")] == pytest.approx([step.valid_loss for step in validated])
