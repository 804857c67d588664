"""The data set's rows: fetched, validated, and dealt to the two sides."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from finetune_api.dataset_report import Side
from finetune_api.result import DatasetSummary
from finetune_api.run_config import RunConfig
from finetune_trainer.data.profile.duplicates import Different, Rows, different
from finetune_trainer.data.profile.labels import entity_notes, label_counts, label_strata
from finetune_trainer.data.profile.near_rows import Surveyed
from finetune_trainer.data.profile.notes import invalid_notes, remark_notes
from finetune_trainer.data.profile.row_file import RowFile
from finetune_trainer.data.profile.sides import Sides, own_sides, split_sides
from finetune_trainer.failure import invalid
from finetune_trainer.prepare.dataset.classes import Classes, Tagged, find_classes, ignored_note, most_frequent_first
from finetune_trainer.prepare.dataset.row_source import RowSource
from finetune_trainer.prepare.dataset.statistics import histogram, quantiles
from finetune_trainer.progress import ProgressPrinter
from finetune_trainer.tasks import AnyTask, find_task
from finetune_trainer.tasks.rows import Row
from finetune_trainer.workspace import Workspace

MIN_EXAMPLES = 10
"""As OpenAI's fine-tuning: fewer say nothing."""
_SHOWN_LABELS = 20
_REPORTED_LABELS = 1000

Rowed = Iterator[tuple[str, Row]]
"""Where each row is, and what it says."""


@dataclass(frozen=True)
class Dataset:
    """Valid rows, dealt but not yet tokenised."""

    task: AnyTask
    files: tuple[Surveyed, Surveyed]
    """Training rows and held-out rows; the same file twice, where its rows are split."""
    sides: Sides
    classes: Classes
    labels_of: tuple[dict[str, int], dict[str, int]] = ({}, {})
    """Rows of each label on each side, the most frequent first; for token-classification entities of each type."""
    notes: list[str] = field(default_factory=list)
    """What is worth a look, a sentence each."""

    @property
    def train(self) -> RowFile:
        """The file of the training rows."""
        return self.files[0].file

    @property
    def validation(self) -> RowFile:
        """The file of the held-out rows."""
        return self.files[1].file

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
        return [finding for source in self.sources for finding in source.survey.findings.first][:50]

    @property
    def finding_kinds(self) -> dict[str, int]:
        """How many there are of each kind."""
        kinds: dict[str, int] = {}
        for source in self.sources:
            for kind, count in source.survey.findings.kinds.most_common():
                kinds[kind] = kinds.get(kind, 0) + count
        return kinds

    @property
    def sources(self) -> tuple[Surveyed, ...]:
        """The files, each once."""
        return self.files if self.files[0] is not self.files[1] else self.files[:1]

    def train_rows(self) -> Rowed:
        """The rows to train on, in the file's order."""
        return taken(self.files[0], self.sides.train)

    def validation_rows(self) -> Rowed:
        """The held-out rows, in their file's order."""
        return taken(self.files[1], self.sides.validation)

    @property
    def train_side(self) -> Side:
        """What the survey says of the training rows."""
        return side(self.files[0], self.sides.train, self.labels_of[0])

    @property
    def validation_side(self) -> Side:
        """What the survey says of the held-out rows."""
        return side(self.files[1], self.sides.validation, self.labels_of[1])

    def summary(self) -> DatasetSummary:
        """The counts of rows; those of tokens and the digest are still to come."""
        turns, labels = self.files[0].survey.turns, self.labels_of[0]
        return DatasetSummary(
            train_examples=int(self.sides.train.sum()),
            validation_examples=int(self.sides.validation.sum()),
            train_tokens=0,
            supervised_tokens=0,
            invalid_rows=sum(len(source.survey.invalid) for source in self.sources),
            duplicates=self.sides.duplicates,
            near_duplicates=self.sides.near_duplicates,
            in_both=self.sides.in_both,
            digest="",
            format=self.train.format,
            turns=quantiles(turns[self.sides.train].astype(np.int64)) if len(turns) else None,
            labels=dict(list(labels.items())[:_SHOWN_LABELS]),
            label_count=len(labels),
            notes=self.notes,
        )


def taken(source: Surveyed, wanted: Rows) -> Rowed:
    """The wanted rows of a file."""
    return (row for row, take in zip(source.file.rows(source.survey.invalid), wanted, strict=False) if take)


def side(source: Surveyed, rows: Rows, labels: dict[str, int]) -> Side:
    """Counts of one side without tokens."""
    turns = source.survey.turns
    return Side(
        source=source.file.name,
        format=source.file.format,
        rows_read=source.survey.rows_read,
        invalid_rows=len(source.survey.invalid),
        examples=int(rows.sum()),
        turns=histogram(turns[rows].astype(np.int64)) if len(turns) else [],
        labels=dict(list(labels.items())[:_REPORTED_LABELS]),
    )


def open_dataset(config: RunConfig, workspace: Workspace, progress: ProgressPrinter) -> Dataset:
    """Fetches, validates and splits; raises StageFailure with the findings."""
    split, own = config.dataset.split, config.dataset.validation
    if (split is None) == (own is None):
        raise invalid("InvalidRunConfig", "dataset.validation: exactly one of split and source must be set", param="dataset.validation")
    task = find_task(config.task)
    source = RowSource(config, task, workspace, progress)
    train = source.open(config.dataset.train, "dataset.train.source", split)
    held = train if own is None else source.open(own, "dataset.validation.source")
    left = different(train.survey.prints, train.survey.prints[:0] if held is train else held.survey.prints)
    check_size(train, left)
    classes = find_classes(task, train, held, (config.dataset.train, own or config.dataset.train), left)
    progress.show("looking for near duplicates", force=True)
    if split is not None:
        sides = split_sides(train, left, split, None if task.learner == "language" else label_strata(train.survey, left.train))
    else:
        sides = own_sides(train, held, left)
    return described(Dataset(task, (train, held), sides, classes))


def check_size(train: Surveyed, left: Different) -> None:
    """Raises StageFailure when too few different rows are left."""
    file, count = train.file, int(left.train.sum())
    if count < MIN_EXAMPLES:
        dropped = {
            "are exact duplicates": len(left.train) - count - left.in_both,
            "are also in the validation file": left.in_both,
            "are invalid": len(train.survey.invalid),
        }
        why = "".join(f"; {number} more {what}" for what, number in dropped.items() if number)
        examples = "example" if count == 1 else "examples"
        text = f"{file.name} has {count} {examples} to train on, at least {MIN_EXAMPLES} are needed{why}"
        raise invalid("InvalidDataset", text, param=file.param)


def described(dataset: Dataset) -> Dataset:
    """With the labels of each side counted, and all notes."""
    train, validation = dataset.files
    task, tagged = dataset.task, dataset.task.learner == "token"
    ignored: list[str] = []
    if task.learner == "token":
        tags = Tagged.count(task, dataset.train_rows()), Tagged.count(task, dataset.validation_rows())
        counts, ignored = (tags[0].entities, tags[1].entities), ignored_note(tags)
    else:
        counts = label_counts(train.survey, dataset.sides.train), label_counts(validation.survey, dataset.sides.validation)
    notes = [note for source in dataset.sources for note in invalid_notes(source.survey, source.file.name)]
    notes += [note for source in dataset.sources for note in remark_notes(source.survey, source.file.name)]
    notes += [*dataset.classes.notes, *(entity_notes(counts[0]) if tagged else []), *ignored, *dataset.sides.notes]
    notes += [note for source in dataset.sources for note in source.file.notes]
    ordered = most_frequent_first(counts[0]), most_frequent_first(counts[1])
    return replace(dataset, labels_of=ordered, notes=list(dict.fromkeys(notes)))
