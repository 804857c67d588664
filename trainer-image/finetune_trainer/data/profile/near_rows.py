"""Near duplicates in the files of a data set, with words about them. Knows no sides."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from finetune_trainer.data.profile.duplicates import Codes, Different, Rows, joined
from finetune_trainer.data.profile.near_duplicates import LIMIT, Pairs, Sketches, chosen, clusters, near_pairs, sketch
from finetune_trainer.data.profile.notes import counted
from finetune_trainer.data.profile.row_file import RowFile
from finetune_trainer.data.profile.split import ALONE
from finetune_trainer.data.profile.survey import Survey
from finetune_trainer.tasks.rows import Row

TEMPLATE = 0.5
"""Share of the rows from which on near ones are no longer duplicates: they are made from templates."""
KEPT = "kept, in the same split"
_EXAMPLES = 2
_STEP = 10_000


@dataclass(frozen=True)
class Surveyed:
    """A file and what its survey has found."""

    file: RowFile
    survey: Survey
    compared: Callable[[float], None] = lambda share: None
    """Hears how much of the file was read once more, to compare its rows."""

    def sketch(self, wanted: Rows) -> Sketches:
        """Of the wanted rows."""
        return sketch(self._rows(), wanted, self.file.task.text)

    def _rows(self) -> Iterator[tuple[str, Row]]:
        for number, row in enumerate(self.file.rows(self.survey.invalid)):
            if number % _STEP == 0:
                self.compared(number / len(self.survey.prints))
            yield row


@dataclass(frozen=True)
class NearRows:
    """The near duplicates within one file."""

    train: Surveyed
    sketches: Sketches
    pairs: Pairs
    heaps: Codes
    """For each sketched row; near rows have the same."""
    rows: int
    """Those that might have been compared."""

    @classmethod
    def find(cls, train: Surveyed, wanted: Rows) -> "NearRows":
        """Among the wanted rows, or a draw of them."""
        prints = train.survey.prints
        drawn = chosen(prints, wanted)
        sketches = train.sketch(drawn)
        pairs = near_pairs(sketches.digests, prints[drawn])
        sketches = replace(sketches, digests=np.empty((0, 0), np.uint8))  # large, and of no more use
        return cls(train, sketches, pairs, clusters(len(sketches.rows), pairs), int(wanted.sum()))

    @property
    def count(self) -> int:
        """Rows that are nearly equal to an earlier one."""
        return len(self.heaps) - len(np.unique(self.heaps))

    def units(self, once: Rows, groups: Codes | None, fraction: float) -> tuple[Codes | None, str]:
        """What may not be torn of the rows in `once`, and what became of near rows.

        Heaps that are too large to be held out stay in training, unless they are most of the rows: then the rows are made from
        templates, and dealt one by one.
        """
        if not self.count:
            return groups, ""
        in_file = np.full(len(once), ALONE, np.int32)
        in_file[self.sketches.rows] = np.where(np.bincount(self.heaps)[self.heaps] > 1, self.heaps, ALONE)
        codes = in_file[once]
        near = np.flatnonzero(codes != ALONE)
        large = near[np.bincount(codes[near])[codes[near]] > max(fraction * len(codes), 1)]
        made = len(large) > TEMPLATE * len(codes)
        if made:
            codes[large] = ALONE
        units: Codes = codes
        if groups is not None:
            units = joined(groups, np.where(codes == ALONE, -1 - np.arange(len(codes)), codes))
            if largest(units) > TEMPLATE * len(codes) >= largest(groups):
                return groups, "kept, possibly in both splits: they connect most groups, and groups come first"
        return units, "kept and split row by row: most rows are near-duplicates" if made else KEPT

    def notes(self, kept: str) -> list[str]:
        """On what was compared and found; `kept` says what became of it."""
        return [*left_out_of_comparison(len(self.heaps), self.rows), *within(self.train, self.sketches, self.pairs, kept)]


def near_across(train: Surveyed, held: Surveyed, left: Different) -> tuple[int, list[str]]:
    """How many rows of two files are nearly equal to another one, and notes on them."""
    wanted = (
        chosen(train.survey.prints, left.train, max(LIMIT - int(left.validation.sum()), LIMIT // 2)),
        chosen(held.survey.prints, left.validation, LIMIT // 2),
    )
    mine, other = train.sketch(wanted[0]), held.sketch(wanted[1])
    prints = np.concatenate((train.survey.prints[wanted[0]], held.survey.prints[wanted[1]]))
    pairs = near_pairs(np.concatenate((mine.digests, other.digests)), prints)
    count = len(prints) - len(np.unique(clusters(len(prints), pairs)))
    border = len(mine.rows)
    notes = left_out_of_comparison(len(prints), int(left.train.sum() + left.validation.sum()))
    across = pairs[(pairs[:, 0] < border) & (pairs[:, 1] >= border)]
    if len(across):
        rows = len(np.unique(across[:, 0]))
        found = f"{counted(rows, 'row')} of {train.file.name} {'is' if rows == 1 else 'are'} nearly equal to rows of {held.file.name}"
        examples = [f"{mine.where[a]} is nearly {other.where[b - border]} there" for a, b in across[:_EXAMPLES].tolist()]
        notes.append(f"{found} ({'; '.join(examples)}): kept, although it makes the validation loss look better than it is")
    return count, notes + within(train, mine, pairs[pairs[:, 1] < border], "kept")


def within(source: Surveyed, sketches: Sketches, pairs: Pairs, kept: str) -> list[str]:
    """Notes on near rows of one file: how many there are, and those with different labels."""
    if not len(pairs):
        return []
    heaps = clusters(len(sketches.rows), pairs)
    count = len(heaps) - len(np.unique(heaps))
    examples = "; ".join(f"{sketches.where[b]} is nearly {sketches.where[a]}" for a, b in pairs[:_EXAMPLES].tolist())
    notes = [
        f"{counted(count, 'row')} of {source.file.name} {'is' if count == 1 else 'are'} nearly equal to an earlier one ({examples}): {kept}"
    ]
    labels = source.survey.label_ids[sketches.rows] if source.file.task.learner == "sequence" else np.zeros(len(heaps), np.int32)
    differ = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]
    if len(differ):
        rows = len(np.unique(differ))
        names = [
            (sketches.where[row], ", ".join(map(repr, source.survey.label_sets[labels[row]])) or "no label") for row in differ[0].tolist()
        ]
        example = " and ".join(f"{where} has {name}" for where, name in names)
        notes.append(f"{counted(rows, 'row')} of {source.file.name} with nearly the same text have different labels: {example}")
    return notes


def largest(codes: Codes) -> int:
    """Rows of the largest unit."""
    return int(np.unique(codes, return_counts=True)[1].max(initial=0))


def left_out_of_comparison(compared: int, rows: int) -> list[str]:
    """A note where only a draw of the rows was compared."""
    return [f"near duplicates were searched for among {compared:,} of the {rows:,} rows"] if compared < rows else []
