"""Rated answers: whether there are desirable and undesirable ones, and whether both kinds count about the same."""

from collections.abc import Mapping

from finetune_api.resources.learning import Kto
from finetune_api.run_config import RunConfig
from finetune_trainer.data.profile.dataset_file import ProfiledFile
from finetune_trainer.failure import invalid
from finetune_trainer.tasks.rated import RatedTask

Counts = Mapping[str, int]
MOST = 4 / 3
"""Desirable answers count 1 to 4/3 times as much as undesirable ones: the advice of the paper (section 4) and of TRL."""
ABOUT = 0.05
"""A ratio that misses the range by less is worth no note."""


def rating_notes(config: RunConfig, files: tuple[ProfiledFile, ProfiledFile], counts: tuple[Counts, Counts]) -> list[str]:
    """What is worth a look in the labels of the training and the validation rows, of which `counts` are. Raises StageFailure where one
    kind of answer is missing."""
    (train, held), (learned, measured) = files, counts
    if not isinstance(train.task, RatedTask):
        return []
    if len(learned) < 2:
        label = next(iter(learned))
        raise invalid(
            "InvalidDataset",
            f"{train.name}: all {learned[label]:,} training rows have the label {label}, and objective kto learns from desirable and "
            f"undesirable answers: add rows with label {'false' if label == 'true' else 'true'}, or set method.objective: sft to learn the "
            "answers as they are",
            param=train.param,
        )
    notes = balance_notes(config.method.kto or Kto(), learned["true"], learned["false"])
    if len(measured) > 1:
        return notes
    lacks = f"{held.name}: all validation rows have the label {next(iter(measured))}"
    if any(condition.metric == "rewardMargin" for condition in config.evaluation.gate):
        raise invalid(
            "InvalidDataset",
            f"{lacks}, and evaluation.gate has the metric rewardMargin, which compares both labels: add rows with the other one",
            param=held.param,
        )
    return [*notes, f"{lacks}, so rewardMargin cannot be computed"]


def balance_notes(settings: Kto, desirable: int, undesirable: int) -> list[str]:
    """The weights that balance numbers of answers which are not balanced by those that are set."""
    ratio = settings.desirable_weight * desirable / (settings.undesirable_weight * undesirable)
    if 1 - ABOUT <= ratio <= MOST + ABOUT:
        return []
    name, value = ("undesirableWeight", settings.undesirable_weight) if ratio > 1 else ("desirableWeight", settings.desirable_weight)
    low, high = (value * ratio / MOST, value * ratio) if ratio > 1 else (value / ratio, value * MOST / ratio)
    return [
        f"{desirable:,} answers are desirable and {undesirable:,} are not: with their weights, desirable ones count {ratio:.2g} times as "
        f"much as undesirable ones, where 1 to 1.33 times is advisable: set method.kto.{name} to a value from {low:.2g} to {high:.2g}"
    ]
