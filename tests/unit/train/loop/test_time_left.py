"""The time that is left, with simulated clocks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune_trainer import operations
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.train.loop.time_left import Course, TimeLeft
from finetune_trainer.workspace.prepared import ResolvedHyperparameters
from tests.unit.prepare.run import run_config

pytestmark = pytest.mark.unit


def even(step: int) -> int:
    """Tokens of a step; all have the same number."""
    return 1000


def longer(step: int) -> int:
    """A curriculum: the rows become longer."""
    return 200 + 10 * step


def varied(step: int) -> int:
    """Rows in random order."""
    return int(np.random.default_rng(step).integers(500, 1500))


@pytest.mark.parametrize(
    ("steps", "tokens", "first", "validation", "checkpoint", "resumed"),
    [
        pytest.param(1000, even, 0, (None, 0), (None, 0), 0, id="steps alone"),
        pytest.param(1000, varied, 0, (None, 0), (None, 0), 0, id="rows of any length"),
        pytest.param(1000, longer, 0, (None, 0), (None, 0), 0, id="a curriculum"),
        pytest.param(100, even, 60, (None, 0), (None, 0), 0, id="the first step compiles kernels"),
        pytest.param(200, varied, 30, (10, 15), (None, 0), 0, id="validations"),
        pytest.param(200, even, 5, (None, 0), (10, 25), 0, id="checkpoints"),
        pytest.param(200, even, 5, (None, 0), (100, 100), 0, id="checkpoints as long as estimated, the first one later"),
        pytest.param(1000, varied, 20, (50, 40), (25, 12), 0, id="all of them"),
        pytest.param(1000, varied, 20, (50, 40), (25, 12), 500, id="a resumed attempt"),
        pytest.param(1003, varied, 20, (50, 40), (30, 12), 0, id="a last validation that is not due by its step"),
    ],
)
def test_the_time_left_is_right_within_a_fifth_after_a_twentieth_of_the_run(
    steps: int,
    tokens: Callable[[int], int],
    first: float,
    validation: tuple[int | None, float],
    checkpoint: tuple[int | None, float],
    resumed: int,
) -> None:
    """Every estimate from then on, at the end of a step and before what follows it, against the clock of the whole run. A step takes 2 ms a
    token, give or take a fifth."""
    (validate_every, validating), (save_every, saving) = validation, checkpoint
    total = sum(map(tokens, range(1, steps + 1)))
    now, done, noise = 100.0, sum(map(tokens, range(1, resumed + 1))), np.random.default_rng(1)
    left = TimeLeft(Course(steps, total, validate_every, 500 * validating, save_every, saving), 0.0)
    left.begin(now)
    estimates: list[tuple[float, float]] = []
    for step in range(resumed + 1, steps + 1):
        now += tokens(step) / 500 * noise.uniform(0.8, 1.2) + (first if step == resumed + 1 else 0)
        done += tokens(step)
        left.step_ends(tokens(step), now)
        if step - resumed >= steps / 20:
            estimates.append((now, left.seconds(step, done)))
        if validate_every and (step % validate_every == 0 or step == steps):
            now += validating
            left.validation_ends(validating, now)
        if save_every and step % save_every == 0 and step < steps:
            now += saving
            left.checkpoint_ends(saving, now)
    assert all(abs(estimate - (now - at)) <= 0.2 * (now - at) + 5 for at, estimate in estimates)
    assert left.seconds(steps, total) == (validating if validate_every else 0)


@pytest.mark.parametrize(
    ("step", "validations", "checkpoints"), [(1, 4, 2), (4, 4, 2), (5, 3, 2), (6, 3, 2), (7, 3, 1), (12, 2, 1), (13, 1, 0), (14, 1, 0)]
)
def test_what_is_left_to_do(step: int, validations: int, checkpoints: int) -> None:
    """Of 14 steps with a validation every 4 (4, 8, 12, 14) and a checkpoint every 6 (6, 12), counted one by one."""
    course = Course(14, 1400, validation_every=4, checkpoint_every=6)
    assert course.validations(step) == validations == sum(due >= step for due in (4, 8, 12, 14))
    assert course.checkpoints(step) == checkpoints == sum(due >= step for due in (6, 12))


def test_an_exact_number_of_intervals_ends_with_one_validation() -> None:
    """The last step's is the same as that of its interval."""
    assert [Course(8, 800, validation_every=4).validations(step) for step in (1, 4, 5, 8)] == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("method", "recomputed", "share"),
    [
        ({"type": "lora"}, False, 2 / 4),
        ({"type": "full"}, False, 2 / 6),
        ({"type": "lora"}, True, 2 / 6),
        ({"type": "lora", "objective": "kto"}, False, 4 / 6),
        ({"type": "full", "objective": "kto"}, False, 4 / 8),
    ],
)
def test_the_first_validation_is_expected_by_its_operations(method: dict[str, Any], recomputed: bool, share: float) -> None:
    """Of a row's tokens in a validation, as a share of those in a step: 10 rows of 30 tokens, at 100 tokens a second."""
    hyper = ResolvedHyperparameters(
        total_steps=2, steps_per_epoch=2, batch_size=5, learning_rate=0.001, scheduler="constant", warmup_steps=0, weight_decay=0,
        max_grad_norm=1, max_sequence_length=64, precision="fp32", seed=7, checkpoint_every=5, micro_batch_tokens=64, validation_every=2,
        validation_examples=10,
    )  # fmt: skip
    plan = StepPlan(np.full(10, 30), np.full(10, 29), hyper.batch_size, hyper.micro_batch_tokens, hyper.seed)
    run = run_config(Path("/tmp"), method=method)
    validated = operations.validated(run) / operations.trained(run, recomputed=recomputed)
    left = TimeLeft(Course.of(hyper, plan, validated, 0), 0.0)
    left.begin(0.0)
    left.step_ends(100, 1.0)
    assert left.seconds(2, 300) == pytest.approx(10 * 30 / 100 * share)
