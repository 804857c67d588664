"""The statistics of one chunk of a file: small arrays that travel between processes and are joined in the file's order."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from finetune_trainer.data.profile.findings import KEPT, Errors, Places, add_to, join_into
from finetune_trainer.data.reading.byte_range import ByteRange
from finetune_trainer.data.reading.record import Block, Record
from finetune_trainer.data.rows.read import ReadRows, RowReader
from finetune_trainer.tasks import AnyTask, SequenceTask, TokenTask
from finetune_trainer.tasks.rated import RatedTask

MOST_TURNS = 65_535


@dataclass
class ChunkStats:
    """Numbers of the valid rows of one chunk, and what is wrong with the others."""

    records: int
    hashes: npt.NDArray[np.uint64]
    turns: npt.NDArray[np.uint16]
    label_ids: npt.NDArray[np.int32]
    label_sets: list[tuple[str, ...]]
    """Those of this chunk."""
    values: npt.NDArray[np.int64]
    """A column of hashes for each field that was asked for."""
    invalid: npt.NDArray[np.int64]
    """Numbers of the records that are no rows."""
    errors: Errors
    remarks: dict[str, Places] = field(default_factory=dict)
    """What is worth a note on valid rows, and where."""


def chunk_stats(reader: RowReader, seed: int, chunk: ByteRange | Block | Sequence[Record]) -> ChunkStats:
    """Reads a chunk of a file."""
    if isinstance(chunk, ByteRange):
        return join_stats([chunk_stats(reader, seed, block) for block in chunk.blocks()])
    with collector_off():
        return stats_of(reader.read(chunk), seed, reader.shape.task)


@contextmanager
def collector_off() -> Iterator[None]:
    """Rows hold no cycles, and looking for some again and again costs a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def stats_of(read: ReadRows, seed: int, task: AnyTask) -> ChunkStats:
    """The numbers of some rows."""
    errors, remarks = Errors(), dict[str, Places]()
    for _, where, problems in read.wrong:
        errors.add(where, problems)
    for where, sentence in read.remarks:
        add_to(remarks, sentence, where, KEPT)
    hashes = np.fromiter(map(xxh3_64_intdigest, read.identities, repeat(seed)), np.uint64, len(read.identities))
    values = [[xxh3_64_intdigest(value, seed) for value in row] for row in read.values]
    known = [] if read.turns is not None else list(read.rows)
    ids, sets = label_numbers(known, task)
    return ChunkStats(
        records=read.records,
        hashes=hashes,
        turns=turns(known, task) if read.turns is None else small(read.turns),
        label_ids=ids,
        label_sets=sets,
        values=np.array(values, np.uint64).view(np.int64) if values else np.empty((0, 0), np.int64),
        invalid=np.array([number for number, _, _ in read.wrong], np.int64),
        errors=errors,
        remarks=remarks,
    )


def turns(rows: Sequence[Any], task: AnyTask) -> npt.NDArray[np.uint16]:
    """Messages of each conversation; empty for other rows."""
    if not rows or task.turns(rows[0]) is None:
        return np.empty(0, np.uint16)
    return small(np.fromiter(map(task.turns, rows), np.int64, len(rows)))


def small(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    """In two bytes each."""
    return np.minimum(sizes, MOST_TURNS).astype(np.uint16)


def label_numbers(rows: Sequence[Any], task: AnyTask) -> tuple[npt.NDArray[np.int32], list[tuple[str, ...]]]:
    """For classified and rated rows a number for each, and the labels that the numbers stand for."""
    if not rows or not isinstance(task, SequenceTask | TokenTask | RatedTask):
        return np.empty(0, np.int32), []
    numbers: dict[tuple[str, ...], int] = {}
    ids = np.fromiter((numbers.setdefault(task.labels(row), len(numbers)) for row in rows), np.int32, len(rows))
    return ids, list(numbers)


def join_stats(parts: Sequence[ChunkStats]) -> ChunkStats:
    """Chunks that follow each other as one."""
    numbers: dict[tuple[str, ...], int] = {}
    ids, invalid, records, errors = [], [], 0, Errors()
    remarks: dict[str, Places] = {}
    for part in parts:
        places = np.array([numbers.setdefault(labels, len(numbers)) for labels in part.label_sets], np.int32)
        ids.append(places[part.label_ids] if len(places) else part.label_ids)
        invalid.append(records + part.invalid)
        records += part.records
        errors.join(part.errors)
        join_into(remarks, part.remarks, KEPT)
    valued = [part.values for part in parts if len(part.values)]
    return ChunkStats(
        records=records,
        hashes=np.concatenate([part.hashes for part in parts]) if parts else np.empty(0, np.uint64),
        turns=np.concatenate([part.turns for part in parts]) if parts else np.empty(0, np.uint16),
        label_ids=np.concatenate(ids) if ids else np.empty(0, np.int32),
        label_sets=list(numbers),
        values=np.concatenate(valued) if valued else np.empty((0, 0), np.int64),
        invalid=np.concatenate(invalid) if invalid else np.empty(0, np.int64),
        errors=errors,
        remarks=remarks,
    )
