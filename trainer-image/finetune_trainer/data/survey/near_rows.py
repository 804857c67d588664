"""Near duplicates in the files of a data set, with words about them. Knows no sides."""

from dataclasses import dataclass

import numpy as np

from finetune_trainer.data.survey.duplicates import Codes, Different, Rows, joined
from finetune_trainer.data.survey.near_duplicates import LIMIT, Pairs, Sketches, chosen, clusters, near_pairs, sketch
from finetune_trainer.data.survey.notes import counted, listed
from finetune_trainer.data.survey.row_file import RowFile
from finetune_trainer.data.survey.survey import Survey

TEMPLATE = 0.5
"""A heap of near rows that is more than this share of all is no heap of duplicates: the rows share a template."""
_EXAMPLES = 2


@dataclass(frozen=True)
class Surveyed:
    """A file and what its survey has found."""

    file: RowFile
    survey: Survey

    def sketch(self, wanted: Rows) -> Sketches:
        """Of the wanted rows."""
        return sketch(self.file.rows(self.survey.invalid), wanted)


@dataclass(frozen=True)
class NearRows:
    """The near duplicates within one file."""

    codes: Codes
    """For each row of the file; near rows have the same."""
    count: int
    notes: list[str]

    @classmethod
    def find(cls, train: Surveyed, wanted: Rows) -> "NearRows":
        """Among the wanted rows, or a draw of them."""
        prints = train.survey.prints
        drawn = chosen(prints, wanted)
        sketches = train.sketch(drawn)
        pairs = near_pairs(sketches.digests, prints[drawn])
        heaps = clusters(len(sketches.rows), pairs)
        codes = np.arange(len(wanted), dtype=np.int64)
        codes[sketches.rows] = sketches.rows[heaps]
        count = len(heaps) - len(np.unique(heaps))
        notes = left_out_of_comparison(len(heaps), int(wanted.sum()))
        if count:
            examples = [f"{sketches.where[b]} is nearly {sketches.where[a]}" for a, b in first_pairs(pairs)]
            notes.append(f"{counted(count, 'row')} of {train.file.name} nearly equal to another one ({listed(examples, _EXAMPLES)}): kept")
            notes += disagreeing(train.survey, sketches, pairs)
        return cls(codes, count, notes)

    def units(self, once: Rows, groups: Codes | None) -> tuple[Codes | None, list[str]]:
        """What may not be torn of the rows in `once`, and what had to be given up."""
        codes = self.codes[once]
        if not self.count:
            return groups, []
        units = codes if groups is None else joined(groups, codes)
        if largest(units) <= TEMPLATE * len(units) or (groups is not None and largest(groups) > TEMPLATE * len(groups)):
            return units, []
        return groups, [
            "most rows are nearly equal to each other, as if made from one template: near duplicates may be on both sides of the split"
        ]


def near_across(train: Surveyed, held: Surveyed, left: Different) -> tuple[int, list[str]]:
    """How many rows of two files are nearly equal to another one, and a note on those that are in both."""
    wanted = (
        chosen(train.survey.prints, left.train, max(LIMIT - int(left.validation.sum()), LIMIT // 2)),
        chosen(held.survey.prints, left.validation, LIMIT // 2),
    )
    mine, other = train.sketch(wanted[0]), held.sketch(wanted[1])
    prints = np.concatenate((train.survey.prints[wanted[0]], held.survey.prints[wanted[1]]))
    pairs = near_pairs(np.concatenate((mine.digests, other.digests)), prints)
    count = len(prints) - len(np.unique(clusters(len(prints), pairs)))
    notes = left_out_of_comparison(len(prints), int(left.train.sum() + left.validation.sum()))
    border = len(mine.rows)
    across = pairs[(pairs[:, 0] < border) & (pairs[:, 1] >= border)]
    if len(across):
        rows = len(np.unique(across[:, 0]))
        found = f"{counted(rows, 'row')} of {train.file.name} {'is' if rows == 1 else 'are'} nearly in {held.file.name}, too"
        examples = [f"{mine.where[a]} is nearly {other.where[b - border]} there" for a, b in across[:_EXAMPLES].tolist()]
        notes.append(f"{found} ({listed(examples, _EXAMPLES)}): kept, although it makes the validation loss look better than it is")
    return count, notes


def largest(codes: Codes) -> int:
    """Rows of the largest unit."""
    return int(np.unique(codes, return_counts=True)[1].max(initial=0))


def first_pairs(pairs: Pairs) -> list[tuple[int, int]]:
    """Some pairs as examples, by the rows' order."""
    return [(first, second) for first, second in pairs[:_EXAMPLES].tolist()]


def disagreeing(survey: Survey, sketches: Sketches, pairs: Pairs) -> list[str]:
    """A note on near rows that have different labels."""
    if not len(survey.label_ids) or not len(pairs):
        return []
    labels = survey.label_ids[sketches.rows]
    differ = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]
    if not len(differ):
        return []
    first, second = differ[0].tolist()
    names = [", ".join(survey.label_sets[labels[row]]) or "no label" for row in (first, second)]
    example = f"{sketches.where[first]} is {names[0]!r} and {sketches.where[second]} is {names[1]!r}"
    return [f"{counted(len(differ), 'pair')} of rows with nearly the same text and different labels: {example}"]


def left_out_of_comparison(compared: int, rows: int) -> list[str]:
    """A note where only a draw of the rows was compared."""
    return [f"near duplicates were looked for among {compared:,} of the {rows:,} rows"] if compared < rows else []
