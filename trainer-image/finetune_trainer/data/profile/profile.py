"""What one pass over a file has found. Knows neither how files are read nor who asks."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from finetune_trainer.data.profile.chunk_stats import ChunkStats
from finetune_trainer.data.profile.findings import Findings, Places
from finetune_trainer.tasks.learner import MULTI_LABEL, SCORED
from finetune_trainer.tasks.task import RowLayout

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Profile:
    """What one pass over a file has found. Arrays have an entry for each valid row, in the order of `DatasetFile.rows`."""

    rows_read: int
    """Valid and invalid ones."""
    hashes: Hashes
    """64 seeded bits of each row: equal rows have the same."""
    invalid: npt.NDArray[np.int64]
    """Numbers (from 0, among all records) of the rows that are left out, for `DatasetFile.rows`."""
    findings: Findings
    """What is wrong with those; empty when all rows are valid."""
    turns: npt.NDArray[np.uint16]
    """Messages of each conversation; empty for other tasks."""
    label_ids: npt.NDArray[np.int32]
    """For classification and rated answers, an index into label_sets; empty for other tasks."""
    label_sets: tuple[tuple[str, ...], ...]
    """Every combination of labels that a row has, sorted; for token-classification, of tags."""
    multi_label: bool
    """True for sequence-classification with lists of labels."""
    scored: bool = False
    """True for text-embedding with scores of similarity."""
    groups: npt.NDArray[np.int64] | None = None
    """A hash of each row's value of the field `group_by`."""
    strata: npt.NDArray[np.int64] | None = None
    """The same for `stratify_by`."""
    remarks: dict[str, Places] = field(default_factory=dict)
    """What is worth a note on valid rows, and where."""


def profile_of(whole: ChunkStats, findings: Findings, layout: RowLayout, group_by: str | None, stratify_by: str | None) -> Profile:
    """The profile of a file; `whole` has a column of values for each of the two fields that is named, in this order."""
    columns = iter(whole.values.T if whole.values.size else np.empty((2, len(whole.hashes)), np.int64))
    groups = next(columns) if group_by is not None else None
    return Profile(
        rows_read=whole.records,
        hashes=whole.hashes,
        invalid=whole.invalid,
        findings=findings,
        turns=whole.turns,
        label_ids=whole.label_ids,
        label_sets=tuple(whole.label_sets),
        multi_label=layout.variant == MULTI_LABEL,
        scored=layout.variant == SCORED,
        groups=groups,
        strata=next(columns) if stratify_by is not None else None,
        remarks=whole.remarks,
    )
