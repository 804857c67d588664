"""Validation while training: the same figures for every world size, and a training that does not notice it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from finetune_trainer.failure import StageFailure
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.step_plan import validation_sample
from tests.trainer.train.conftest import LONG, VALIDATED, run_here
from tests.trainer.train.runs import FULL, Run, prepare_workspace
from tests.trainer.train.test_resume import DROPOUT, ROUNDING, stop_at

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="session")
def validated(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Run:
    """LoRA with dropout and validations, from start to end, on one process."""
    run = Run(prepare_workspace(tmp_path_factory.mktemp("validated"), tiny, method=DROPOUT, **VALIDATED), method=DROPOUT)
    run_here(run)
    return run


def points(run: Run) -> list[tuple[int, float | None, float | None]]:
    """Step, loss and accuracy of the validations in metrics.csv."""
    return [(point.step, point.valid_loss, point.valid_mean_token_accuracy) for point in run.validations()]


def trained(run: Run) -> list[tuple[float, ...]]:
    """What the training steps left."""
    return [(step.step, step.loss, step.grad_norm, step.learning_rate, step.tokens) for step in run.metrics()]


def test_training_does_not_notice_it(validated: Run, new_run: Callable[..., Run]) -> None:
    """With dropout: the same losses, gradient norms and learning rates with and without validations."""
    run = new_run(method=DROPOUT, hyper=LONG)
    run_here(run)
    assert points(run) == []
    assert trained(run) == [pytest.approx(step, rel=ROUNDING) for step in trained(validated)]


def test_it_is_what_a_plain_loop_computes(new_run: Callable[..., Run]) -> None:
    """At the last step: loss and accuracy of the trained weights on the sample, each row by itself."""
    run = new_run(method=FULL, hyper=VALIDATED | {"total_steps": 3, "checkpoint_every": 100})
    run_here(run)
    model: Any = AutoModelForCausalLM.from_pretrained(run.workspace.trained / "model")
    rows, losses, right = Rows(run.workspace.validation_rows), [], []
    for row in validation_sample(len(rows), 7, seed=7):
        ids, mask = map(torch.from_numpy, rows[row])
        with torch.no_grad():
            logits = model(input_ids=ids[None]).logits[0, :-1][mask[1:]]
        losses.append(F.cross_entropy(logits, ids[1:][mask[1:]], reduction="none"))
        right.append(logits.argmax(-1) == ids[1:][mask[1:]])
    summary = run.result().train.validation
    assert (summary.step, summary.examples) == (3, 7)
    assert summary.loss == pytest.approx(torch.cat(losses).mean().item(), abs=1e-5)
    assert summary.accuracy == pytest.approx(torch.cat(right).float().mean().item())


def test_a_validation_that_is_not_finite_ends_the_training(new_run: Callable[..., Run]) -> None:
    """Its step is in metrics.csv, without the figures of a validation."""
    run = new_run(hyper=VALIDATED | {"validation_every": 1, "warmup_steps": 0, "learning_rate": 1e30})
    with pytest.raises(StageFailure, match="the validation loss is not finite after step 1"):
        run_here(run)
    assert [(step.step, step.valid_loss) for step in run.metrics()] == [(1, None)]


def test_where_it_is_said(validated: Run) -> None:
    """After every fifth step and after the last one, in metrics.csv, in the result and beside the training loss in progress."""
    assert [step for step, _, _ in points(validated)] == [5, 10, 12]
    summary = validated.result().train.validation
    assert (summary.step, summary.loss, summary.accuracy) == points(validated)[-1]
    assert summary.best_loss == min(loss for _, loss, _ in points(validated) if loss is not None)


@pytest.mark.parametrize("step", [4, 5, 6])
def test_a_resumed_run_has_the_same_validations(step: int, validated: Run, new_run: Callable[..., Run]) -> None:
    """SIGTERM before a validation, at its step, where it is left to the next attempt, and after it."""
    run = new_run(method=DROPOUT, hyper=VALIDATED)
    with pytest.raises(StageFailure, match=f"at step {step}"):
        run_here(run, 1, stop_at(run, step))
    run_here(run, 2)
    assert [s for s, _, _ in points(run)] == [5, 10, 12]
    assert [loss for _, loss, _ in points(run)] == pytest.approx([loss for _, loss, _ in points(validated)], rel=ROUNDING)
    assert run.result().train.validation.best_step == validated.result().train.validation.best_step


def test_sigterm_during_a_validation(validated: Run, new_run: Callable[..., Run]) -> None:
    """It ends at once, with a checkpoint of the step; the next attempt begins with the validation."""
    run = new_run(method=DROPOUT, hyper=VALIDATED)
    beat = run.workspace.root / "beat"
    with pytest.raises(StageFailure, match="at step 5, with a checkpoint"):
        run_here(run, 1, lambda: beat.read_text().startswith("validating"))
    assert points(run) == []
    run_here(run, 2)
    assert [loss for _, loss, _ in points(run)] == pytest.approx([loss for _, loss, _ in points(validated)], rel=ROUNDING)
