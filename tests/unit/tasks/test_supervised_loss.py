"""The settings of the supervised loss: what is refused for a task, and what a model's lineage says of them."""

from typing import Any

import pytest

from finetune_api.resources.learning import Sft
from finetune_api.run_config import RunMethod
from finetune_trainer.failure import StageFailure
from finetune_trainer.objectives.sft import SFT, check_classes
from finetune_trainer.tasks import TASKS

# (task, settings, several labels a row, the field, what is said of it)
REFUSED: list[tuple[str, dict[str, Any], bool, str, str]] = [
    ("chat", {"focalGamma": 2}, False, "focalGamma", "is for classifiers, and task chat trains a language model: remove it"),
    ("chat", {"balancedClasses": True}, False, "balancedClasses", "is for classifiers"),
    ("sequence-classification", {"classWeights": {"spma": 2}}, False, "classWeights", "'spma' (did you mean 'spam'?), which no row has"),
    ("token-classification", {"classWeights": {"LOC": 2}}, False, "classWeights", "the labels are 'ham', 'spam'"),
    (
        "sequence-classification",
        {"labelSmoothing": 0.1},
        True,
        "labelSmoothing",
        "these have lists of labels: remove it, or set focalGamma",
    ),
    ("sequence-classification", {"balancedClasses": True}, True, "balancedClasses", "set classWeights instead"),
]


@pytest.mark.parametrize("task, settings, several, field, says", REFUSED)
def test_what_does_not_fit_is_refused(task: str, settings: dict[str, Any], several: bool, field: str, says: str) -> None:
    """By the field, with what would work."""
    labels = () if task == "chat" else ("ham", "spam")
    with pytest.raises(StageFailure) as caught:
        check_classes(Sft.model_validate(settings), TASKS[task], labels, multi_label=several)
    assert caught.value.error.param == f"method.sft.{field}"
    assert says in caught.value.error.message


def test_what_fits_is_taken() -> None:
    """Smoothed labels for every task with one answer; weights for labels that there are."""
    check_classes(Sft(label_smoothing=0.1), TASKS["chat"], (), multi_label=False)
    check_classes(Sft(label_smoothing=0.1, class_weights={"spam": 2}), TASKS["sequence-classification"], ("ham", "spam"), multi_label=False)
    check_classes(Sft(focal_gamma=2, class_weights={"spam": 2}), TASKS["sequence-classification"], ("ham", "spam"), multi_label=True)


def test_the_lineage_has_what_differs_from_the_default() -> None:
    """As flat values."""
    method = RunMethod.model_validate({"sft": {"classWeights": {"spam": 2.5, "ham": 1}, "focalGamma": 2}})
    assert SFT.settings(method) == {"sft.classWeights": "spam: 2.5, ham: 1", "sft.focalGamma": 2}
    assert SFT.settings(RunMethod()) == {}
