"""The data set's rows: fetched, validated, and dealt to the two sides."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from finetune_api.run_config import RunConfig, RunNetwork, RunSource
from finetune_trainer.data.rows.conversation import Conversation
from finetune_trainer.data.survey.duplicates import Different, Rows, different
from finetune_trainer.data.survey.split import hold_out
from finetune_trainer.data.survey.survey import Fingerprints, RowFile
from finetune_trainer.failure import invalid
from finetune_trainer.files import free_bytes
from finetune_trainer.prepare.estimate import check_space
from finetune_trainer.progress import ProgressPrinter
from finetune_trainer.sources.open import fetch_file
from finetune_trainer.sources.subject import Subject
from finetune_trainer.workspace import Workspace

MIN_EXAMPLES = 10
"""As OpenAI's fine-tuning: fewer say nothing."""

Rowed = Iterator[tuple[str, Conversation]]
"""Where each row is, and what it says."""


@dataclass(frozen=True)
class Dataset:
    """Valid rows, dealt but not yet tokenised."""

    train: RowFile
    validation: RowFile
    """The training file again, where its rows are split."""
    sides: Different

    def train_rows(self) -> Rowed:
        """The rows to train on, in the file's order."""
        return taken(self.train, self.sides.train)

    def validation_rows(self) -> Rowed:
        """The held-out rows, in their file's order."""
        return taken(self.validation, self.sides.validation)


def taken(file: RowFile, wanted: Rows) -> Rowed:
    """The wanted rows of a file."""
    return (row for row, take in zip(file.conversations(), wanted, strict=False) if take)


def open_dataset(config: RunConfig, workspace: Workspace, progress: ProgressPrinter) -> Dataset:
    """Fetches, validates and splits; raises StageFailure with the findings."""
    split, own = config.dataset.split, config.dataset.validation
    if (split is None) == (own is None):
        raise invalid("InvalidRunConfig", "dataset.validation: exactly one of split and source must be set", param="dataset.validation")
    train = open_rows(config.dataset.train, "dataset.train.source", "train", config.network, workspace, progress)
    seed = split.seed if split is not None else 0
    prints = survey(train, seed, progress)
    if own is not None:
        validation = open_rows(own, "dataset.validation.source", "validation", config.network, workspace, progress)
        sides = different(prints, survey(validation, seed, progress))
        check_size(train, int(sides.train.sum()), prints, sides.in_both)
        return Dataset(train, validation, sides)
    assert split is not None
    once = different(prints, prints[:0])
    check_size(train, int(once.train.sum()), prints, 0)
    held = np.zeros(len(prints), np.bool_)
    held[once.train] = hold_out(prints[once.train], split.fraction)
    return Dataset(train, train, Different(once.train & ~held, held, once.duplicates, 0))


def open_rows(source: RunSource, param: str, side: str, network: RunNetwork, workspace: Workspace, progress: ProgressPrinter) -> RowFile:
    """A file of rows on this machine, fetched into the workspace's downloads when it lies elsewhere."""
    path = fetch_file(
        source,
        Subject(source.name, param, "DataNotFound"),
        workspace.downloads / side,
        # the rows as text, and as much again for their token ids
        lambda size: check_space(2 * size, free_bytes(workspace.root), f"{source.name} needs"),
        download_progress(source.name, progress),
        network,
    )
    return RowFile.open(path, source.name, param)


def download_progress(name: str, progress: ProgressPrinter) -> Callable[[int], None]:
    """Counts the bytes that arrive and shows them."""
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        progress.show(f"downloading {name}: {done / 1e6:,.1f} MB")

    return on_bytes


def survey(file: RowFile, seed: int, progress: ProgressPrinter) -> Fingerprints:
    """Validates one file and shows how far it has come."""

    def on_row(rows: int) -> None:
        if rows % 10_000 == 0:
            progress.show(f"checking {file.name}: {rows:,} rows")

    progress.show(f"checking {file.name}", force=True)
    return file.survey(seed, on_row)


def check_size(file: RowFile, left: int, prints: Fingerprints, in_both: int) -> None:
    """Raises StageFailure when too few different rows are left."""
    if left < MIN_EXAMPLES:
        dropped = len(prints) - left - in_both
        why = f"; {dropped} more are exact duplicates" if dropped else ""
        why += f"; {in_both} more are in the validation file, too" if in_both else ""
        examples = "example" if left == 1 else "examples"
        raise invalid(
            "InvalidDataset", f"{file.name} has {left} {examples} to train on, at least {MIN_EXAMPLES} are needed{why}", param=file.param
        )
