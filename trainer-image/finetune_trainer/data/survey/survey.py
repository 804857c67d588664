"""The pass that reads a whole file once: every row is valid and has a fingerprint, or the file is refused."""

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from finetune_trainer.data.reading.json_rows import Unreadable, read_rows
from finetune_trainer.data.reading.sniff import Format, sniff
from finetune_trainer.data.rows.conversation import Conversation, canonical, decode, in_order
from finetune_trainer.data.rows.explain import Problem, explain
from finetune_trainer.data.rows.types import Row
from finetune_trainer.data.survey.findings import Findings
from finetune_trainer.failure import invalid

Fingerprints = npt.NDArray[np.uint64]
Measure = Callable[[Sequence[Row]], npt.NDArray[Any]]
"""Something that is wanted of every row besides: an array with an entry for each of the rows."""


@dataclass(frozen=True)
class Survey:
    """What one pass over a file has found. Arrays have an entry for each valid row, in the order of `RowFile.rows`."""

    rows_read: int
    """Valid and invalid ones."""
    prints: Fingerprints
    """64 seeded bits of each row: equal rows have the same."""
    invalid: npt.NDArray[np.int64]
    """Numbers (from 0, among all records) of the rows that are left out, for `RowFile.rows`."""
    findings: Findings
    """What is wrong with those; empty when all rows are valid."""
    turns: npt.NDArray[np.uint16]
    """Messages of each conversation; empty for other tasks."""
    label_ids: npt.NDArray[np.int32]
    """For classification, an index into label_sets; empty for other tasks."""
    label_sets: tuple[tuple[str, ...], ...]
    """Every combination of labels that a row has, sorted; for token-classification, of tags."""
    multi_label: bool
    """True for sequence-classification with lists of labels."""
    groups: npt.NDArray[np.int64] | None
    """A hash of each row's value of the field `group_by`."""
    strata: npt.NDArray[np.int64] | None
    """The same for `stratify_by`."""
    measured: npt.NDArray[Any] | None
    """What `measure` returned, joined."""


@dataclass(frozen=True)
class RowFile:
    """A file of rows that can be read again and again."""

    path: Path
    name: str
    """As the user wrote it."""
    param: str
    format: Format

    @classmethod
    def open(cls, path: Path, name: str, param: str) -> "RowFile":
        """Judges the format; raises StageFailure for what cannot hold rows."""
        return cls(path, name, param, sniff(path, name, param))

    def survey(self, seed: int, on_row: Callable[[int], None] = lambda rows: None) -> Fingerprints:
        """The rows' fingerprints in order. Raises StageFailure InvalidDataset with the findings when any row is wrong."""
        findings, prints, total = Findings(self.name, self.param), array("Q"), 0
        try:
            for raw in read_rows(self.path, self.format):
                total += 1
                on_row(total)
                try:
                    conversation = decode(raw.data)
                    says = "" if in_order(conversation) else "the order of its messages"
                except msgspec.DecodeError as exc:
                    says = str(exc)
                except UnicodeDecodeError as exc:
                    says = exc.reason
                if says:
                    findings.add(raw.where, explain(raw.data, says))
                else:
                    prints.append(fingerprint(canonical(conversation), seed))
        except Unreadable as exc:
            total += 1
            findings.add("the file ends here", [Problem("not JSON", str(exc))])
        if findings.rows:
            raise findings.failure(total)
        return np.frombuffer(prints, dtype=np.uint64) if prints else np.empty(0, np.uint64)

    def conversations(self) -> Iterator[tuple[str, Conversation]]:
        """Where each row is and what it says, in order, after `survey`."""
        try:
            for raw in read_rows(self.path, self.format):
                yield raw.where, decode(raw.data)
        except (msgspec.DecodeError, Unreadable) as exc:
            raise invalid(
                "DataChanged", f"{self.name} changed while it was read: start a new job when nobody writes to it", param=self.param
            ) from exc


def fingerprint(row: bytes, seed: int) -> int:
    """64 bits of a canonical row: equal rows have the same, and their order is random but fixed by the seed.

    Two of ten million different rows share one with a chance of 3 in a million; one of them is then dropped.
    """
    return int.from_bytes(hashlib.blake2b(row, digest_size=8, key=seed.to_bytes(8, "big")).digest(), "big")
