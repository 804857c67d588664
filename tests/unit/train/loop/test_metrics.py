"""metrics.csv: one line a step, whatever number of attempts it took."""

import csv
from pathlib import Path

import pytest

from finetune_trainer.train.loop.curve import ValidationPoint
from finetune_trainer.train.loop.metrics import HEADER, MetricsFile, StepMetrics, read_metrics

pytestmark = pytest.mark.unit


def metrics(step: int, loss: float = 1 / 3) -> StepMetrics:
    """A step's figures."""
    return StepMetrics(step, step / 4, loss, 1e-05, 0.1 + 0.2, 100 * step, 512.5)


def write(path: Path, resumed: int, *steps: StepMetrics) -> None:
    """What an attempt appends."""
    file = MetricsFile(path, resumed)
    for step in steps:
        file.append(step)
    file.sync()


@pytest.mark.parametrize(("resumed", "kept"), [(0, []), (2, [1, 2]), (3, [1, 2, 3]), (9, [1, 2, 3])])
def test_steps_after_the_checkpoint_are_dropped(tmp_path: Path, resumed: int, kept: list[int]) -> None:
    """They are run again, so that no step is in the file twice."""
    path = tmp_path / "metrics.csv"
    write(path, 0, *map(metrics, (1, 2, 3)))
    write(path, resumed, metrics(resumed + 1, loss=9.0))
    assert [(step.step, step.loss) for step in read_metrics(path)] == [(step, 1 / 3) for step in kept] + [(resumed + 1, 9.0)]


def test_numbers_read_back_equal(tmp_path: Path) -> None:
    """The file loses no digit, and names its columns."""
    path = tmp_path / "metrics.csv"
    write(path, 0, metrics(1), metrics(2, loss=float("inf")))
    assert read_metrics(path) == [metrics(1), metrics(2, loss=float("inf"))]
    columns = "step,epoch,loss,learning_rate,grad_norm,tokens,tokens_per_second,train_loss,valid_loss,valid_mean_token_accuracy"
    assert (
        path.read_text().splitlines()[0]
        == f"{columns},reward_accuracy,reward_margin,kl,mfu,gpu_utilization,gpu_memory_bytes,host_memory_bytes"
    )


def test_a_validation_is_in_the_line_of_its_step(tmp_path: Path) -> None:
    """Under OpenAI's names, also if it was added after the line was written; other lines have empty cells there."""
    path, point = tmp_path / "metrics.csv", ValidationPoint(step=2, loss=2.5, accuracy=0.25)
    file = MetricsFile(path, 0)
    file.append(metrics(1))
    file.append(metrics(2))
    file.add_validation(point)
    file.append(metrics(3).validated(point))
    table = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["valid_loss"], row["valid_mean_token_accuracy"]) for row in table] == [("", ""), ("2.5", "0.25"), ("2.5", "0.25")]
    assert [row["train_loss"] for row in table] == [row["loss"] for row in table]
    assert [step.valid_loss for step in read_metrics(path)] == [None, 2.5, 2.5]


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """It has fewer columns; a run that a newer image resumes keeps its lines."""
    path = tmp_path / "metrics.csv"
    path.write_text("step,epoch,loss,learning_rate,grad_norm,tokens,tokens_per_second\n1,0.25,2.5,1e-05,0.5,100,512.5\n")
    write(path, 1, metrics(2))
    assert [step.step for step in read_metrics(path)] == [1, 2]


@pytest.mark.parametrize("torn", ["2,0.5", "2,0.5,1.0,1e-05,0.3,200,51", "2,0.5,1.0,x,0.3,200,512.5,1.0,,\n", "2,0.5,1.0\n", "\n"])
def test_a_torn_line_is_no_step(tmp_path: Path, torn: str) -> None:
    """What a lost process left of a line is passed over, even where it looks whole but for its end."""
    path = tmp_path / "metrics.csv"
    path.write_text(HEADER + metrics(1).line() + torn)
    assert read_metrics(path) == [metrics(1)]


def test_the_last_loss_outlives_the_file(tmp_path: Path) -> None:
    """It is that of the newest step, also of one before the resume, and a file that goes in the meantime takes nothing with it."""
    path = tmp_path / "metrics.csv"
    assert MetricsFile(path, 0).loss is None
    write(path, 0, metrics(1), metrics(2, loss=0.5), metrics(3, loss=0.25))
    file = MetricsFile(path, 2)
    path.unlink()
    assert file.loss == 0.5
    file.append(metrics(3, loss=0.125))
    assert file.loss == 0.125
