"""The settings of the objectives: what is refused, for a task or by itself, and what a model's lineage says of the supervised loss."""

from pathlib import Path
from typing import Any

import pytest

from finetune_api.resources.method import Sft
from finetune_api.run_config import RunMethod, RunSft
from finetune_trainer.failure import StageFailure
from finetune_trainer.objectives import task_of
from finetune_trainer.objectives.settings import check_settings
from finetune_trainer.objectives.sft import SFT, check_classes
from finetune_trainer.tasks import TASKS
from tests.unit.prepare.run import run_config

# (task, settings, several labels a row, the field, what is said of it)
REFUSED: list[tuple[str, dict[str, Any], bool, str, str]] = [
    ("chat", {"focalGamma": 2}, False, "focalGamma", "is for classifiers, and task chat trains a language model: remove it"),
    ("chat", {"balancedClasses": True}, False, "balancedClasses", "is for classifiers"),
    ("text-embedding", {"customLoss": {"uri": "loss.py"}}, False, "customLoss", "task text-embedding learns neither: remove it"),
    ("text-embedding", {"labelSmoothing": 0.1}, False, "labelSmoothing", "task text-embedding learns neither: remove it"),
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
    labels = () if task in ("chat", "text-embedding") else ("ham", "spam")
    with pytest.raises(StageFailure) as caught:
        check_classes(RunSft.model_validate(settings), TASKS[task], labels, multi_label=several)
    assert caught.value.error.param == f"method.sft.{field}"
    assert says in caught.value.error.message


def test_what_fits_is_taken() -> None:
    """Smoothed labels for every task with one answer; weights for labels that there are."""
    check_classes(Sft(label_smoothing=0.1), TASKS["chat"], (), multi_label=False)
    check_classes(Sft(label_smoothing=0.1, class_weights={"spam": 2}), TASKS["sequence-classification"], ("ham", "spam"), multi_label=False)
    check_classes(Sft(focal_gamma=2, class_weights={"spam": 2}), TASKS["sequence-classification"], ("ham", "spam"), multi_label=True)


@pytest.mark.parametrize(
    ("method", "field", "says"),
    [
        ({"sft": {"balancedClasses": True, "classWeights": {"spam": 2}}}, "sft.balancedClasses", "together with classWeights"),
        ({"sft": {"focalGamma": 2, "customLoss": {"uri": "loss.py"}}}, "sft.focalGamma", "that sft.customLoss takes the place of"),
        ({"sft": {"focalGamma": 2, "labelSmoothing": 0.1}}, "sft.focalGamma", "together with labelSmoothing"),
        (
            {"objective": "dpo", "dpo": {"loss": "ipo", "labelSmoothing": 0.2}},
            "dpo.labelSmoothing",
            "for loss sigmoid, and the loss is ipo",
        ),
        ({"objective": "dpo", "sft": {"focalGamma": 2}}, "sft", "for objective sft, and the objective is dpo: remove it"),
        ({"objective": "orpo", "dpo": {}}, "dpo", "for objective dpo, and the objective is orpo"),
        ({"orpo": {"beta": 0.2}}, "orpo", "for objective orpo, and the objective is sft"),
        ({"objective": "dpo", "kto": {}}, "kto", "for objective kto, and the objective is dpo"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(method: dict[str, Any], field: str, says: str) -> None:
    """By the stage program too, which reads run configs that no schema has checked."""
    run = run_config(Path("/tmp"), task="chat", method=method)
    with pytest.raises(StageFailure) as caught:
        task_of(run)
    assert (caught.value.error.code, caught.value.error.param) == ("InvalidSpec", f"method.{field}")
    assert says in caught.value.error.message


@pytest.mark.parametrize(
    "method",
    [
        {},
        {"sft": {"focalGamma": 2, "classWeights": {"spam": 2}}},
        {"sft": {"customLoss": {"uri": "loss.py"}}},
        {"objective": "dpo", "dpo": {"labelSmoothing": 0.2}},
        {"objective": "dpo", "dpo": {"loss": "ipo"}},
        {"objective": "orpo", "orpo": {}},
    ],
)
def test_settings_that_fit_each_other_are_taken(method: dict[str, Any]) -> None:
    """With the objective that reads them."""
    check_settings(RunMethod.model_validate(method))


def test_the_lineage_has_what_differs_from_the_default() -> None:
    """As flat values."""
    method = RunMethod.model_validate({"sft": {"classWeights": {"spam": 2.5, "ham": 1}, "focalGamma": 2}})
    assert SFT.settings(method) == {"sft.classWeights": "spam: 2.5, ham: 1", "sft.focalGamma": 2}
    assert SFT.settings(RunMethod()) == {}
