"""Rated answers: whether there are desirable and undesirable ones, and whether both kinds count about the same."""

from collections.abc import Mapping

import numpy as np

from finetune_api.resources.method import Kto
from finetune_api.run_config import RunConfig
from finetune_trainer.data.profile.dataset_file import ProfiledFile
from finetune_trainer.data.profile.duplicates import RowMask
from finetune_trainer.data.profile.labels import label_counts
from finetune_trainer.data.profile.notes import counted
from finetune_trainer.data.profile.splits import Splits
from finetune_trainer.failure import invalid
from finetune_trainer.tasks.rated import RatedTask

Counts = Mapping[str, int]
MOST = 4 / 3
"""Desirable answers count 1 to 4/3 times as much as undesirable ones: the advice of the paper (section 4) and of TRL."""
ABOUT = 0.05
"""A ratio that misses the range by less is worth no note."""
LARGEST_WEIGHT = 1000
"""Of the schema."""


def rating_notes(config: RunConfig, files: tuple[ProfiledFile, ProfiledFile], splits: Splits) -> list[str]:
    """What is worth a look in the labels of the training rows, and of the validation rows that are evaluated. Raises StageFailure where
    one kind of answer is missing."""
    train, held = files
    if not isinstance(train.task, RatedTask):
        return []
    learned = label_counts(train.profile, splits.train)
    if len(learned) < 2:
        label = next(iter(learned))
        raise invalid(
            "InvalidDataset",
            f"{train.name}: all {learned[label]:,} training rows have the label {label}, and objective kto learns from desirable and "
            f"undesirable answers: add rows with label {opposite(label)}, or set method.objective: sft to learn the answers as they are",
            param=train.param,
        )
    notes = balance_notes(config.method.kto or Kto(), learned["true"], learned["false"])
    return [*notes, *measuring_notes(config, held, splits.validation)]


def measuring_notes(config: RunConfig, held: ProfiledFile, rows: RowMask) -> list[str]:
    """A note where the validation rows that are evaluated have one label. Raises StageFailure where the gate needs the other one."""
    evaluated = rows & (np.cumsum(rows) <= config.evaluation.max_examples)
    measured = label_counts(held.profile, evaluated)
    if len(measured) > 1:
        return []
    label = next(iter(measured))
    which, advice = "all validation rows", f"add rows with label {opposite(label)}"
    others = rows & (held.profile.label_ids != held.profile.label_ids[evaluated][0])
    if others.any():
        which = f"the first {int(evaluated.sum()):,} validation rows, which are evaluated (evaluation.maxExamples),"
        enough = int(rows[: int(others.argmax()) + 1].sum())
        advice = f"shuffle the rows of the file, or raise evaluation.maxExamples to at least {enough:,}"
    missing = ["rewardMargin"] if label == "true" else ["rewardMargin", "perplexity"]  # the perplexity is that of desirable answers
    text = f"{held.name}: {which} have the label {label}, so {' and '.join(missing)} cannot be computed"
    if wanted := sorted({condition.metric for condition in config.evaluation.gate} & {*missing}):
        raise invalid("InvalidDataset", f"{text}, and evaluation.gate has the metric {wanted[0]}: {advice}", param=held.param)
    return [f"{text}: {advice}"]


def opposite(label: str) -> str:
    """The other label."""
    return "false" if label == "true" else "true"


def balance_notes(settings: Kto, desirable: int, undesirable: int) -> list[str]:
    """The weights that balance numbers of answers which are not balanced by those that are set."""
    ratio = settings.desirable_weight * desirable / (settings.undesirable_weight * undesirable)
    if 1 - ABOUT <= ratio <= MOST + ABOUT:
        return []
    ranges = {
        "desirableWeight": (settings.desirable_weight / ratio, settings.desirable_weight * MOST / ratio),
        "undesirableWeight": (settings.undesirable_weight * ratio / MOST, settings.undesirable_weight * ratio),
    }
    rarer, other = ("undesirableWeight", "desirableWeight") if ratio > 1 else ("desirableWeight", "undesirableWeight")
    name = rarer if ranges[rarer][1] <= LARGEST_WEIGHT else other
    low, high = map(number, ranges[name])
    return [
        f"{counted(desirable, 'desirable answer')} and {counted(undesirable, 'undesirable one')}: with their weights, desirable ones count "
        f"{number(ratio)} times as much as undesirable ones, where 1 to 1.33 times is advisable: set method.kto.{name} to a value from "
        f"{low} to {high}"
    ]


def number(value: float) -> str:
    """Two digits, or all before the point."""
    return f"{value:,.0f}" if value >= 10 else np.format_float_positional(value, precision=2, fractional=False, trim="-")
