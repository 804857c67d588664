"""The rows of the dataset: fetched, validated, and assigned to the two splits."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from finetune_api.dataset_report import Side
from finetune_api.resources.method import Sft
from finetune_api.result import DatasetSummary
from finetune_api.run_config import RunConfig
from finetune_trainer.data.profile.dataset_file import DatasetFile, ProfiledFile
from finetune_trainer.data.profile.duplicates import Different, RowMask, different
from finetune_trainer.data.profile.labels import entity_notes, label_counts, label_strata
from finetune_trainer.data.profile.notes import invalid_notes, remark_notes
from finetune_trainer.data.profile.splits import Splits, separate_splits, split_rows
from finetune_trainer.failure import invalid
from finetune_trainer.objectives import task_of
from finetune_trainer.objectives.sft import check_classes
from finetune_trainer.prepare.dataset.classes import Classes, Tagged, find_classes, ignored_note, most_frequent_first
from finetune_trainer.prepare.dataset.gate import check_gate, check_interval_rows
from finetune_trainer.prepare.dataset.ratings import rating_notes
from finetune_trainer.prepare.dataset.row_source import RowSource
from finetune_trainer.prepare.dataset.scores import check_scores
from finetune_trainer.prepare.dataset.statistics import histogram, quantiles
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.tasks import AnyTask
from finetune_trainer.tasks.rows import Row
from finetune_trainer.workspace.workspace import Workspace

MIN_EXAMPLES = 10
"""As OpenAI's fine-tuning: fewer say nothing."""
_SHOWN_LABELS = 20
_REPORTED_LABELS = 1000

Rowed = Iterator[tuple[str, Row]]
"""Where each row is, and what it says."""


@dataclass(frozen=True)
class ProfiledDataset:
    """Valid rows in their splits, not yet tokenised."""

    task: AnyTask
    files: tuple[ProfiledFile, ProfiledFile]
    """Training rows and held-out rows; the same file twice, where its rows are split."""
    splits: Splits
    classes: Classes
    labels_of: tuple[dict[str, int], dict[str, int]] = ({}, {})
    """RowMask of each label on each side, the most frequent first; for token-classification entities of each type."""
    notes: list[str] = field(default_factory=list)
    """What is worth a look, a sentence each."""

    @property
    def train(self) -> DatasetFile:
        """The file of the training rows."""
        return self.files[0]

    @property
    def validation(self) -> DatasetFile:
        """The file of the held-out rows."""
        return self.files[1]

    @property
    def labels(self) -> tuple[str, ...]:
        """Of a classifier: sorted class names; for token-classification the tags."""
        return self.classes.names

    @property
    def multi_label(self) -> bool:
        """True when several labels may hold for one row."""
        return self.classes.multi_label

    @property
    def findings(self) -> list[str]:
        """What is wrong with rows that were left out, the first 50."""
        return [finding for source in self.sources for finding in source.profile.findings.first][:50]

    @property
    def finding_kinds(self) -> dict[str, int]:
        """How many there are of each kind."""
        kinds: dict[str, int] = {}
        for source in self.sources:
            for kind, count in source.profile.findings.kinds.most_common():
                kinds[kind] = kinds.get(kind, 0) + count
        return kinds

    @property
    def sources(self) -> tuple[ProfiledFile, ...]:
        """The files, each once."""
        return self.files if self.files[0] is not self.files[1] else self.files[:1]

    def train_rows(self) -> Rowed:
        """The rows to train on, in the file's order."""
        return taken(self.files[0], self.splits.train)

    def validation_rows(self) -> Rowed:
        """The held-out rows, in their file's order."""
        return taken(self.files[1], self.splits.validation)

    @property
    def train_side(self) -> Side:
        """What the profile says of the training rows."""
        return side(self.files[0], self.splits.train, self.labels_of[0])

    @property
    def validation_side(self) -> Side:
        """What the profile says of the held-out rows."""
        return side(self.files[1], self.splits.validation, self.labels_of[1])

    def summary(self) -> DatasetSummary:
        """The counts of rows; those of tokens and the digest are still to come."""
        turns, labels = self.files[0].profile.turns, self.labels_of[0]
        return DatasetSummary(
            train_examples=int(self.splits.train.sum()),
            validation_examples=int(self.splits.validation.sum()),
            train_tokens=0,
            supervised_tokens=0,
            invalid_rows=sum(len(source.profile.invalid) for source in self.sources),
            duplicates=self.splits.duplicates,
            near_duplicates=self.splits.near_duplicates,
            in_both=self.splits.in_both,
            digest="",
            format=self.train.format,
            turns=quantiles(turns[self.splits.train].astype(np.int64)) if len(turns) else None,
            labels=dict(list(labels.items())[:_SHOWN_LABELS]),
            label_count=len(labels),
            notes=self.notes,
        )


def taken(source: ProfiledFile, wanted: RowMask) -> Rowed:
    """The wanted rows of a file."""
    return (row for row, take in zip(source.valid_rows(), wanted, strict=False) if take)


def side(source: ProfiledFile, rows: RowMask, labels: dict[str, int]) -> Side:
    """Counts of one side without tokens."""
    turns = source.profile.turns
    return Side(
        source=source.name,
        format=source.format,
        rows_read=source.profile.rows_read,
        invalid_rows=len(source.profile.invalid),
        examples=int(rows.sum()),
        turns=histogram(turns[rows].astype(np.int64)) if len(turns) else [],
        labels=dict(list(labels.items())[:_REPORTED_LABELS]),
    )


def open_dataset(config: RunConfig, workspace: Workspace, progress: ProgressPrinter) -> ProfiledDataset:
    """Fetches, validates and splits; raises StageFailure with the findings."""
    split, own = config.dataset.split, config.dataset.validation
    if (split is None) == (own is None):
        raise invalid("InvalidRunConfig", "dataset.validation: exactly one of split and source must be set", param="dataset.validation")
    task = task_of(config)
    check_gate(config, task)
    source = RowSource(config, task, workspace, progress)
    train = source.open(config.dataset.train, "dataset.train.source", split)
    held = train if own is None else source.open(own, "dataset.validation.source")
    left = different(train.profile.hashes, train.profile.hashes[:0] if held is train else held.profile.hashes)
    check_size(train, left)
    classes = find_classes(task, train, held, left)
    check_classes(config.method.sft or Sft(), task, classes.names, multi_label=classes.multi_label)
    metrics: list[str] = [condition.metric for condition in config.evaluation.gate]
    check_scores(task, train, held, metrics, config.hyperparameters.batch_size)
    progress.show("looking for near duplicates", force=True)
    if split is not None:
        splits = split_rows(train, left, split, label_strata(train.profile, left.train) if train.profile.label_sets else None)
    else:
        splits = separate_splits(train, held, left)
    check_interval_rows(config, splits)
    dataset = described(ProfiledDataset(task, (train, held), splits, classes))
    return replace(dataset, notes=[*dataset.notes, *rating_notes(config, dataset.files, splits)])


def check_size(train: ProfiledFile, left: Different) -> None:
    """Raises StageFailure when too few different rows are left."""
    file, count = train, int(left.train.sum())
    if count < MIN_EXAMPLES:
        dropped = {
            "are exact duplicates": len(left.train) - count - left.in_both,
            "are also in the validation file": left.in_both,
            "are invalid": len(train.profile.invalid),
        }
        why = "".join(f"; {number} more {what}" for what, number in dropped.items() if number)
        examples = "example" if count == 1 else "examples"
        text = f"{file.name} has {count} {examples} to train on, at least {MIN_EXAMPLES} are needed{why}"
        raise invalid("InvalidDataset", text, param=file.param)


def described(dataset: ProfiledDataset) -> ProfiledDataset:
    """With the labels of each side counted, and all notes."""
    train, validation = dataset.files
    task, tagged = dataset.task, dataset.task.learner == "token"
    ignored: list[str] = []
    if task.learner == "token":
        tags = Tagged.count(task, dataset.train_rows()), Tagged.count(task, dataset.validation_rows())
        counts, ignored = (tags[0].entities, tags[1].entities), ignored_note(tags)
    else:
        counts = label_counts(train.profile, dataset.splits.train), label_counts(validation.profile, dataset.splits.validation)
    notes = [note for source in dataset.sources for note in invalid_notes(source.profile, source.name)]
    notes += [note for source in dataset.sources for note in remark_notes(source.profile, source.name)]
    notes += [*dataset.classes.notes, *(entity_notes(counts[0]) if tagged else []), *ignored, *dataset.splits.notes]
    notes += [note for source in dataset.sources for note in source.notes]
    ordered = most_frequent_first(counts[0]), most_frequent_first(counts[1])
    return replace(dataset, labels_of=ordered, notes=list(dict.fromkeys(notes)))
