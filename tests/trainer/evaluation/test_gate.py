"""The gate's verdicts, as a table."""

import pytest

from finetune_api.model_directory import Interval, Intervals
from finetune_api.resources.evaluation import GateCondition
from finetune_trainer.evaluation.gate import judge

pytestmark = pytest.mark.trainer
BASE = {"loss": 4.03, "perplexity": 56.2609}


@pytest.mark.parametrize(
    ("condition", "tuned", "passed", "text"),
    [
        ({"metric": "loss", "betterThanBase": True}, 2.5, True, "loss 2.5000 is better than the base's 4.0300"),
        ({"metric": "loss", "betterThanBase": True}, 4.03, False, "loss 4.0300 is not better than the base's 4.0300"),
        ({"metric": "loss", "betterThanBase": True}, 5, False, "loss 5.0000 is not better than the base's 4.0300"),
        ({"metric": "loss", "maximum": 3}, 3.0, True, "loss 3.0000 is at most 3"),
        ({"metric": "loss", "maximum": 3}, 3.01, False, "loss 3.0100 is above the maximum of 3"),
        (
            {"metric": "loss", "betterThanBase": True, "maximum": 3}, 3.5, False,
            "loss 3.5000 is better than the base's 4.0300 and is above the maximum of 3",
        ),
        ({"metric": "loss", "betterThanBase": False, "maximum": 9}, 5, True, "loss 5.0000 is at most 9"),
        ({"metric": "perplexity", "betterThanBase": True}, 2.5, False, "perplexity 99.0000 is not better than the base's 56.2609"),
        ({"metric": "perplexity", "maximum": 99}, 2.5, True, "perplexity 99.0000 is at most 99"),
    ],
)  # fmt: skip
def test_verdict(condition: dict[str, object], tuned: float, passed: bool, text: str) -> None:
    """A condition holds when all of its parts do, and its text says why."""
    (verdict,) = judge([GateCondition.model_validate(condition)], BASE, {"loss": tuned, "perplexity": 99})
    assert (verdict.passed, verdict.text) == (passed, text)


@pytest.mark.parametrize(
    ("condition", "tuned", "passed", "text"),
    [
        ({"metric": "accuracy", "betterThanBase": True}, 0.9, True, "accuracy 0.9000 is better than the base's 0.5000"),
        ({"metric": "accuracy", "betterThanBase": True}, 0.5, False, "accuracy 0.5000 is not better than the base's 0.5000"),
        ({"metric": "accuracy", "minimum": 0.8}, 0.8, True, "accuracy 0.8000 is at least 0.8"),
        ({"metric": "accuracy", "minimum": 0.8}, 0.79, False, "accuracy 0.7900 is below the minimum of 0.8"),
        (
            {"metric": "perplexity", "maximum": 9},
            0.8,
            False,
            "perplexity is not available for this task and objective: remove it from evaluation.gate",
        ),
    ],
)
def test_verdict_on_a_classifier(condition: dict[str, object], tuned: float, passed: bool, text: str) -> None:
    """Of accuracy and f1 more is better; what the task does not measure cannot hold."""
    base = {"loss": 1, "accuracy": 0.5, "f1": 0.5}
    (verdict,) = judge([GateCondition.model_validate(condition)], base, {"loss": 1, "accuracy": tuned, "f1": 0.5})
    assert (verdict.passed, verdict.text) == (passed, text)


def test_every_condition_gets_a_verdict() -> None:
    """Verdicts come in the order of the conditions."""
    conditions = [GateCondition(metric="loss", maximum=1), GateCondition(metric="perplexity", maximum=100)]
    assert [verdict.passed for verdict in judge(conditions, BASE, BASE)] == [False, True]


SURE, UNSURE = Interval(low=-1.6, high=-1.2), Interval(low=-1.6, high=0.1)
UP = Interval(low=0.1, high=0.3)


@pytest.mark.parametrize(
    ("metric", "more", "tuned", "difference", "passed", "text"),
    [
        ("loss", {"margin": 1}, 3.03, None, True, "loss 3.0300 is better than the base's 4.0300 by at least 1"),
        ("loss", {"margin": 1.5}, 3.03, None, False, "loss 3.0300 is not better than the base's 4.0300 by at least 1.5"),
        (
            "loss", {"significant": True}, 2.63, SURE, True,
            "loss 2.6300 is better than the base's 4.0300, significantly (95 % interval of the difference: -1.6000 to -1.2000)",
        ),
        (
            "loss", {"significant": True}, 2.63, UNSURE, False,
            "loss 2.6300 is better than the base's 4.0300, but not significantly (95 % interval of the difference: -1.6000 to 0.1000)",
        ),
        (
            "loss", {"significant": True, "margin": 1.3}, 2.63, SURE, False,
            "loss 2.6300 is better than the base's 4.0300 by at least 1.3, but not significantly "
            "(95 % interval of the difference: -1.6000 to -1.2000)",
        ),
        (
            "loss", {"significant": True}, 2.63, None, False,
            "loss 2.6300 is better than the base's 4.0300, but has no confidence interval, which takes at least 10 validation rows",
        ),
        (
            "accuracy", {"significant": True}, 0.7, UP, True,
            "accuracy 0.7000 is better than the base's 0.5000, significantly (95 % interval of the difference: 0.1000 to 0.3000)",
        ),
        (
            "accuracy", {"significant": True}, 0.3, SURE, False,
            "accuracy 0.3000 is not better than the base's 0.5000, and not significantly "
            "(95 % interval of the difference: -1.6000 to -1.2000)",
        ),
    ],
)  # fmt: skip
def test_how_much_better(metric: str, more: dict[str, object], tuned: float, difference: Interval | None, passed: bool, text: str) -> None:
    """By a margin, and by more than the choice of the rows explains: at the end of the interval that speaks least for the model."""
    condition = GateCondition.model_validate({"metric": metric, "betterThanBase": True, **more})
    chance = Intervals(difference={metric: difference}) if difference else None
    (verdict,) = judge([condition], {"loss": 4.03, "accuracy": 0.5}, {"loss": 1, metric: tuned}, chance)
    assert (verdict.passed, verdict.text) == (passed, text)
