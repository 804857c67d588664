"""RowMask that are there twice, in one file or in both. Knows fingerprints only."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finetune_trainer.data.profile.profile import Hashes

RowMask = npt.NDArray[np.bool_]
"""One entry for each row of a file: whether it is taken."""
Codes = npt.NDArray[np.int64] | npt.NDArray[np.int32]
"""One entry for each row: rows with the same number have something in common. The numbers themselves say nothing."""


@dataclass(frozen=True)
class Different:
    """Which rows are left of a training file and of the validation file, if there is one."""

    train: RowMask
    validation: RowMask
    duplicates: int
    """RowMask dropped because an equal one came before in their file."""
    in_both: int
    """Training rows dropped because the validation file holds them, too."""


def different(train: Hashes, validation: Hashes) -> Different:
    """Every row once. The validation file keeps what both hold: what is measured on is never trained on."""
    unique, held = first_of_each(train), first_of_each(validation)
    both = unique & np.isin(train, validation)
    duplicates = len(train) - int(unique.sum()) + len(validation) - int(held.sum())
    return Different(unique & ~both, held, duplicates, int(both.sum()))


def first_of_each(hashes: Hashes) -> RowMask:
    """True at the first row of each set of equal ones."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    first = np.ones(len(hashes), np.bool_)
    first[order[1:][ordered[1:] == ordered[:-1]]] = False
    return first


def copies_agree(values: Codes, hashes: Hashes) -> Codes:
    """Each row's value, and for equal rows with different values one of them: the same one wherever the rows stand.

    `values` are hashes, not numbers by appearance.
    """
    order = np.lexsort((values, hashes))
    starts = np.flatnonzero(np.diff(hashes[order], prepend=hashes[order][:1] ^ np.uint64(1)))
    agreed = np.empty_like(values)
    agreed[order] = np.repeat(values[order][starts], np.diff(starts, append=len(order)))
    return agreed


def joined_codes(first: Codes, second: Codes) -> Codes:
    """Numbers that rows share when a chain of equal numbers, of either kind, leads from one to the other."""
    _, mine = np.unique(first, return_inverse=True)
    _, other = np.unique(second, return_inverse=True)
    found = mine.astype(np.int64)
    while True:
        before = found
        for codes in (other, mine):
            least = np.full(codes.max(initial=-1) + 1, len(found), np.int64)
            np.minimum.at(least, codes, found)
            found = least[codes]
        if np.array_equal(found, before):
            return found
