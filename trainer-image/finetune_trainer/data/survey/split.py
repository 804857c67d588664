"""Which rows are trained on and which are held out. Knows fingerprints only, so every machine decides alike."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finetune_trainer.data.survey.survey import Fingerprints

Rows = npt.NDArray[np.bool_]
"""One entry for each row of a file: whether it is taken."""


@dataclass(frozen=True)
class Sides:
    """A mask over the training file, and one over the file that the held-out rows come from (the same or their own)."""

    train: Rows
    validation: Rows
    duplicates: int
    """Rows dropped because an equal one came before, in either file."""
    in_both: int = 0
    """Training rows dropped because the validation file holds them, too."""


def first_of_each(prints: Fingerprints) -> Rows:
    """True at the first row of each set of equal ones."""
    first = np.zeros(len(prints), np.bool_)
    first[np.unique(prints, return_index=True)[1]] = True
    return first


def hold_out(prints: Fingerprints, fraction: float) -> Sides:
    """Holds out the rows with the smallest fingerprints: a fair draw that does not depend on the rows' order.

    Needs two different rows; neither side is empty.
    """
    unique = first_of_each(prints)
    rows = np.flatnonzero(unique)
    count = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
    held = rows[np.argsort(prints[rows], kind="stable")[:count]]
    validation = np.zeros(len(prints), np.bool_)
    validation[held] = True
    return Sides(unique & ~validation, validation, int(len(prints) - len(rows)))


def own_validation(train: Fingerprints, validation: Fingerprints) -> Sides:
    """Keeps the validation file as it is and takes its rows out of the training file."""
    unique, held = first_of_each(train), first_of_each(validation)
    both = unique & np.isin(train, validation)
    duplicates = len(train) - int(unique.sum()) + len(validation) - int(held.sum())
    return Sides(unique & ~both, held, duplicates, int(both.sum()))
