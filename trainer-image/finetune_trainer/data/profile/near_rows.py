"""Near duplicates in the files of a dataset, with words about them. Knows no sides."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from finetune_trainer.data.profile.dataset_file import ProfiledFile
from finetune_trainer.data.profile.duplicates import Codes, Different, RowMask, joined_codes
from finetune_trainer.data.profile.hold_out import ALONE
from finetune_trainer.data.profile.near_duplicates import LIMIT, Pairs, Sketches, chosen, clusters, near_pairs, sketch
from finetune_trainer.data.profile.notes import counted
from finetune_trainer.tasks.rows import Row

TEMPLATE = 0.5
"""Share of the rows from which on near ones are no longer duplicates: they are made from templates."""
KEPT = "kept, in the same split"
_EXAMPLES = 2
_STEP = 10_000


def sketches_of(file: ProfiledFile, wanted: RowMask) -> Sketches:
    """Of the wanted rows of a file."""
    return sketch(_shown(file), wanted, file.task.text)


def _shown(file: ProfiledFile) -> Iterator[tuple[str, Row]]:
    for number, row in enumerate(file.valid_rows()):
        if number % _STEP == 0:
            file.on_share(number / len(file.profile.hashes))
        yield row


@dataclass(frozen=True)
class NearRows:
    """The near duplicates within one file."""

    train: ProfiledFile
    sketches: Sketches
    pairs: Pairs
    clusters: Codes
    """For each sketched row; near rows have the same."""
    rows: int
    """Those that might have been compared."""

    @classmethod
    def find(cls, train: ProfiledFile, wanted: RowMask) -> "NearRows":
        """Among the wanted rows, or a draw of them."""
        hashes = train.profile.hashes
        drawn = chosen(hashes, wanted, LIMIT)
        sketches = sketches_of(train, drawn)
        pairs = near_pairs(sketches.digests, hashes[drawn])
        sketches = replace(sketches, digests=np.empty((0, 0), np.uint8))  # large, and of no more use
        return cls(train, sketches, pairs, clusters(len(sketches.rows), pairs), int(wanted.sum()))

    @property
    def count(self) -> int:
        """RowMask that are nearly equal to an earlier one."""
        return len(self.clusters) - len(np.unique(self.clusters))

    def groups(self, once: RowMask, given: Codes | None, fraction: float) -> tuple[Codes | None, str]:
        """RowMask in `once` that stay together, and what became of near rows.

        Clusters that are too large to be held out stay in training, unless they are most of the rows: then the rows are made from
        templates, and split row by row.
        """
        if not self.count:
            return given, ""
        in_file = np.full(len(once), ALONE, np.int32)
        in_file[self.sketches.rows] = np.where(np.bincount(self.clusters)[self.clusters] > 1, self.clusters, ALONE)
        codes = in_file[once]
        near = np.flatnonzero(codes != ALONE)
        large = near[np.bincount(codes[near])[codes[near]] > max(fraction * len(codes), 1)]
        made = len(large) > TEMPLATE * len(codes)
        if made:
            codes[large] = ALONE
        groups: Codes = codes
        if given is not None:
            groups = joined_codes(given, np.where(codes == ALONE, -1 - np.arange(len(codes)), codes))
            if largest(groups) > TEMPLATE * len(codes) >= largest(given):
                return given, "kept, possibly in both splits: they connect most groups, and groups come first"
        return groups, "kept and split row by row: most rows are near-duplicates" if made else KEPT

    def notes(self, kept: str) -> list[str]:
        """On what was compared and found; `kept` says what became of it."""
        return [*left_out_of_comparison(len(self.clusters), self.rows), *notes_within(self.train, self.sketches, self.pairs, kept)]


def near_across(train: ProfiledFile, held: ProfiledFile, left: Different) -> tuple[int, list[str]]:
    """How many rows of two files are nearly equal to another one, and notes on them."""
    wanted = (
        chosen(train.profile.hashes, left.train, max(LIMIT - int(left.validation.sum()), LIMIT // 2)),
        chosen(held.profile.hashes, left.validation, LIMIT // 2),
    )
    mine, other = sketches_of(train, wanted[0]), sketches_of(held, wanted[1])
    hashes = np.concatenate((train.profile.hashes[wanted[0]], held.profile.hashes[wanted[1]]))
    pairs = near_pairs(np.concatenate((mine.digests, other.digests)), hashes)
    count = len(hashes) - len(np.unique(clusters(len(hashes), pairs)))
    border = len(mine.rows)
    notes = left_out_of_comparison(len(hashes), int(left.train.sum() + left.validation.sum()))
    across = pairs[(pairs[:, 0] < border) & (pairs[:, 1] >= border)]
    if len(across):
        rows = len(np.unique(across[:, 0]))
        found = f"{counted(rows, 'row')} of {train.name} {'is' if rows == 1 else 'are'} nearly equal to rows of {held.name}"
        examples = [f"{mine.where[a]} is nearly {other.where[b - border]} there" for a, b in across[:_EXAMPLES].tolist()]
        notes.append(f"{found} ({'; '.join(examples)}): kept, although it makes the validation loss look better than it is")
    return count, notes + notes_within(train, mine, pairs[pairs[:, 1] < border], "kept")


def notes_within(source: ProfiledFile, sketches: Sketches, pairs: Pairs, kept: str) -> list[str]:
    """Notes on near rows of one file: how many there are, and those with different labels."""
    if not len(pairs):
        return []
    found = clusters(len(sketches.rows), pairs)
    count = len(found) - len(np.unique(found))
    examples = "; ".join(f"{sketches.where[b]} is nearly {sketches.where[a]}" for a, b in pairs[:_EXAMPLES].tolist())
    notes = [
        f"{counted(count, 'row')} of {source.name} {'is' if count == 1 else 'are'} nearly equal to an earlier one ({examples}): {kept}"
    ]
    labels = source.profile.label_ids[sketches.rows] if source.task.learner == "sequence" else np.zeros(len(found), np.int32)
    differ = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]
    if len(differ):
        rows = len(np.unique(differ))
        names = [
            (sketches.where[row], ", ".join(map(repr, source.profile.label_sets[labels[row]])) or "no label") for row in differ[0].tolist()
        ]
        example = " and ".join(f"{where} has {name}" for where, name in names)
        notes.append(f"{counted(rows, 'row')} of {source.name} with nearly the same text have different labels: {example}")
    return notes


def largest(codes: Codes) -> int:
    """RowMask of the largest group."""
    return int(np.unique(codes, return_counts=True)[1].max(initial=0))


def left_out_of_comparison(compared: int, rows: int) -> list[str]:
    """A note where only a draw of the rows was compared."""
    return [f"near duplicates were searched for among {compared:,} of the {rows:,} rows"] if compared < rows else []
