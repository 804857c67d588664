"""Assigns the rows of a dataset to its two splits: no row in both, groups and near-duplicates in one. Knows no task."""

from dataclasses import dataclass, field

import numpy as np
from xxhash import xxh3_64_intdigest

from finetune_api.resources.dataset import Split
from finetune_trainer.data.profile.dataset_file import ProfiledFile
from finetune_trainer.data.profile.duplicates import Codes, Different, RowMask, copies_agree
from finetune_trainer.data.profile.hold_out import hold_out
from finetune_trainer.data.profile.near_rows import NearRows, near_across
from finetune_trainer.data.profile.notes import counted
from finetune_trainer.data.profile.profile import Profile
from finetune_trainer.failure import StageFailure, invalid

SPLIT = "dataset.validation.split"
EMPTY = (b"null", b'""')
"""Values as the profile hashes them."""


@dataclass(frozen=True)
class Splits:
    """A mask over the training file, and one over the file that the held-out rows come from (the same or their own)."""

    train: RowMask
    validation: RowMask
    duplicates: int
    """RowMask dropped because an equal one came before in their file."""
    in_both: int = 0
    """Training rows dropped because the validation file holds them, too."""
    near_duplicates: int = 0
    """RowMask that are nearly equal to another one, without one of each cluster."""
    notes: list[str] = field(default_factory=list)

    @property
    def masks(self) -> tuple[RowMask, RowMask]:
        """Of both splits."""
        return self.train, self.validation


def separate_splits(train: ProfiledFile, held: ProfiledFile, left: Different) -> Splits:
    """The validation file is held out; near rows are noted."""
    near, notes = near_across(train, held, left)
    return Splits(left.train, left.validation, left.duplicates, left.in_both, near, notes)


def split_rows(train: ProfiledFile, left: Different, split: Split, labels: Codes | None) -> Splits:
    """Holds out a share of the rows that are left; `labels` is what it is stratified by when the split names nothing.

    Raises StageFailure for columns that the rows cannot be held out by.
    """
    profile, once = train.profile, left.train
    near = NearRows.find(train, once)
    hashes, groups, strata = profile.hashes, None, labels
    if profile.groups is not None:
        groups = copies_agree(own_if_empty(profile, split.seed), hashes)
    if profile.strata is not None:
        strata = copies_agree(profile.strata, hashes)
    if not once.all():  # a large file is not copied without need
        hashes, groups, strata = hashes[once], groups if groups is None else groups[once], strata if strata is None else strata[once]
    check_columns(split, groups, strata)
    together, kept = near.groups(once, groups, split.fraction)
    drawn = hold_out(hashes, split.fraction, strata, together)
    if strata is not None and used_up(strata, drawn):
        if groups is not None:
            raise unusable("groupBy", torn_apart(split, len(used_up(strata, drawn))))
        drawn = hold_out(hashes, split.fraction, strata)
        kept = "kept, possibly in both splits: some labels have no other rows"
    held = np.zeros(len(once), np.bool_)
    held[once] = drawn
    notes = near.notes(kept) + share_notes(split, drawn, groups, strata, near.count)
    return Splits(once & ~held, held, left.duplicates, 0, near.count, notes)


def used_up(strata: Codes, held: RowMask) -> list[int]:
    """Strata of which no row is left to train on."""
    return sorted(set(np.unique(strata[held]).tolist()) - set(np.unique(strata[~held]).tolist()))


def torn_apart(split: Split, missing: int) -> str:
    """Words for groups by which strata cannot be split."""
    which = f"{strata_named(split, missing)} {have(missing)}"
    return f"rows with the same {split.group_by!r} stay together, and then {which} no row left to train on: name another column"


def own_if_empty(profile: Profile, seed: int) -> Codes:
    """The groups of rows, where a row without a value is one by itself: unknown customers are not one customer."""
    assert profile.groups is not None
    empty = np.isin(profile.groups, np.array([xxh3_64_intdigest(value, seed) for value in EMPTY], np.uint64).view(np.int64))
    return np.where(empty, profile.hashes.view(np.int64), profile.groups)


def check_columns(split: Split, groups: Codes | None, strata: Codes | None) -> None:
    """Raises StageFailure for columns by which no row can be held out."""
    group, stratum = split.group_by, split.stratify_by
    if groups is not None and len(groups) and len(np.unique(groups)) == 1:
        raise unusable("groupBy", f"all rows have the same {group!r}, so they cannot be split: use another column")
    if stratum is None or strata is None or not len(strata):
        return
    if np.unique(strata, return_counts=True)[1].max() == 1:
        raise unusable(
            "stratifyBy",
            f"every row has another {stratum!r}, so the split cannot be stratified by it: use a column with few values",
        )


def unusable(name: str, what: str) -> StageFailure:
    """A column by which the rows cannot be split."""
    return invalid("InvalidSplit", f"{SPLIT}.{name}: {what}, or give a validation file of its own", param=f"{SPLIT}.{name}")


def share_notes(split: Split, held: RowMask, groups: Codes | None, strata: Codes | None, near: int) -> list[str]:
    """What did not come out as it was asked for; `near` is how many rows are nearly equal to others."""
    notes, share = [], float(held.mean())
    if abs(share - split.fraction) > max(0.02, split.fraction / 5) and abs(int(held.sum()) - split.fraction * len(held)) > 1:
        why = "near duplicates stay together" if near else "each label keeps rows to train on"
        if groups is not None:
            why = f"rows with the same {split.group_by!r} stay together"
        elif not near and split.stratify_by:
            why = f"each value of {split.stratify_by!r} keeps rows to train on"
        notes.append(f"{share:.0%} of the rows are used for validation instead of {split.fraction:.0%}: {why}")
    if strata is not None:
        values, sizes = np.unique(strata, return_counts=True)
        missing = int((~np.isin(values[sizes > 1], strata[held])).sum())
        single = int((sizes == 1).sum())
        if missing:
            notes.append(f"{strata_named(split, missing)} {have(missing)} no validation row: nothing is measured on {pronoun(missing)}")
        if single and split.stratify_by:
            notes.append(f"{strata_named(split, single)} {have(single)} one row only, which is trained on")
    return notes


def strata_named(split: Split, count: int) -> str:
    """ "3 labels", "1 value of 'region'"."""
    return f"{counted(count, 'value')} of {split.stratify_by!r}" if split.stratify_by else counted(count, "label")


def have(count: int) -> str:
    """Of one, or of more."""
    return "has" if count == 1 else "have"


def pronoun(count: int) -> str:
    """For one, or for more."""
    return "it" if count == 1 else "them"
