"""What a run's validations say: the best one, when it is time to stop, whether the model overfits."""

from itertools import zip_longest

import pytest

from finetune_api.resources.learning import EarlyStopping
from finetune_trainer.train.loop.curve import ValidationCurve, ValidationPoint

pytestmark = pytest.mark.unit


def curve(*losses: float, training: list[float] | None = None) -> ValidationCurve:
    """A validation after every tenth step."""
    pairs = zip_longest(losses, training or [])
    points = [ValidationPoint(step=10 * place, loss=loss, accuracy=0, training_loss=t) for place, (loss, t) in enumerate(pairs, start=1)]
    return ValidationCurve(points=tuple(points))


@pytest.mark.parametrize(
    ("losses", "patience", "minimum", "reason"),
    [
        ([], 1, 0, ""),
        ([3.0], 1, 0, ""),
        ([3.0, 2.0, 2.0], 1, 0, "the validation loss has not improved in the last validation; its lowest value was 2.000 at step 20"),
        ([3.0, 2.0, 2.5], 2, 0, ""),
        (
            [3.0, 2.0, 2.5, 2.0],
            2,
            0,
            "the validation loss has not improved in the last 2 validations; its lowest value was 2.000 at step 20",
        ),
        ([3.0, 2.0, 2.5, 1.9], 2, 0, ""),
        (
            [3.0, 2.0, 1.95, 1.9],
            2,
            0.1,
            "has not improved by more than 0.1 in the last 2 validations; its lowest value was 1.900 at step 40",
        ),
        ([3.0, 2.0, 1.95, 1.8], 2, 0.1, ""),  # 0.2 below the last one that counted
    ],
)
def test_patience(losses: list[float], patience: int, minimum: float, reason: str) -> None:
    """Validations are counted since the loss last fell by more than the minimum, below the lowest one that counted."""
    found = curve(*losses).exhausted(EarlyStopping(patience=patience, minimum_improvement=minimum))
    assert found.endswith(reason)
    assert bool(found) == bool(reason)


def test_the_first_of_equal_ones_is_the_best() -> None:
    """A tie is no improvement."""
    best = curve(3.0, 2.0, 2.0).best
    assert best is not None
    assert best.step == 20
    assert curve().best is None


@pytest.mark.parametrize(
    ("losses", "training", "overfits"),
    [
        ([3.0, 2.0, 2.2, 2.4], [3.0, 2.0, 1.5, 1.0], True),
        ([3.0, 2.0, 2.2], [3.0, 2.0, 1.0], False),  # one validation may be chance
        ([3.0, 2.0, 2.01, 2.02], [3.0, 2.0, 1.5, 1.0], False),  # by less than 2 %
        ([3.0, 2.0, 2.2, 2.4], [3.0, 2.0, 2.1, 2.2], False),  # the training loss rises as well
        ([3.0, 2.5, 2.2, 2.0], [3.0, 2.0, 1.5, 1.0], False),
        ([], [], False),
    ],
)
def test_overfitting(losses: list[float], training: list[float], overfits: bool) -> None:
    """The validation loss is above its lowest value, and the training loss below what it was then."""
    message = curve(*losses, training=training).overfitting()
    assert bool(message) == overfits
    if overfits:
        assert message.startswith(
            "the validation loss rose from 2.000 (step 20) to 2.400 (step 40), while the training loss fell from 2.000 to 1.000: "
        )
