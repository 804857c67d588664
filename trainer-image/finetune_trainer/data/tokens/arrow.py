"""The Arrow files that training reads, written and cut in record batches: memory does not grow with the rows but for their lengths."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from finetune_text.tags import IGNORED
from finetune_trainer.data.profile.findings import Places
from finetune_trainer.data.tokens.encoded import Example, ExampleKind
from finetune_trainer.workspace.files import put_in_place

ROWS_PER_BATCH = 1024
TOKENS_PER_BATCH = 1 << 20
"""Of a record batch without its last row: what is read again has room, too."""
_IDS = ("input_ids", pa.list_(pa.int32()))
_CLASSES = (("token_type_ids", pa.list_(pa.int8())), ("labels", pa.list_(pa.int32())))
TEXTS = ("input_ids", "positive_ids", "negative_ids")
"""Columns of token ids of texts that are laid side by side; the last one may be empty."""
_MASKED = (_IDS, ("loss_mask", pa.list_(pa.bool_())))
SCHEMAS: dict[ExampleKind, pa.Schema] = {
    "language": pa.schema(_MASKED),
    "pair": pa.schema([*_MASKED, ("rejected_ids", pa.list_(pa.int32())), ("rejected_mask", pa.list_(pa.bool_()))]),
    "rated": pa.schema([*_MASKED, ("label", pa.list_(pa.bool_()))]),
    "sequence": pa.schema([_IDS, *_CLASSES]),
    "token": pa.schema([_IDS, *_CLASSES]),
    "embedding": pa.schema([*((name, _IDS[1]) for name in TEXTS), ("scores", pa.list_(pa.float32()))]),
}
PROMPTS = pa.schema([_IDS])
TOKEN_IDS = (*TEXTS, "rejected_ids")
"""Columns of token ids: of a pair, one for each side."""
WHERE, SOURCE = "where", "source"
"""A column ("line 17") and an entry of the schema's metadata, the name of the dataset file."""
_SEGMENTS = {name: pa.field(name.replace("input_ids", "segments").replace("_ids", "_segments"), pa.list_(pa.int8())) for name in TEXTS}
"""Which text each token is of, by the column of the tokens."""
_WHERE = pa.field(WHERE, pa.string())

Ints = npt.NDArray[np.int64]


@dataclass
class Lost:
    """Examples that are left out."""

    places: Places = field(default_factory=Places)
    """Of their rows."""
    needed: int = 0
    """Tokens up to the first that could be learned, of the example that has most."""

    def add(self, where: str, needed: int) -> None:
        """Takes one in."""
        self.places.add(where)
        self.needed = max(self.needed, needed)


@dataclass(frozen=True)
class EncodeStats:
    """What a finished file of examples holds."""

    lengths: Ints
    """Tokens of each example; of a pair those of both answers, each with the prompt; of several texts those of all."""
    sizes: Ints
    """Tokens that each example takes in a micro-batch: of several texts, each is padded to the longest."""
    supervised: Ints
    """Of each example: tokens that the loss is computed on; 1 where a whole text is classified."""
    truncated: int
    """Examples that were cut, also those that are left out."""
    truncated_tokens: int
    """What the cuts took."""
    cut_off: Lost
    """Examples left out because the cut left nothing to learn."""
    nothing: Lost
    """Examples left out because nothing of them could be learned, whatever the cut: no token is of an answer, or of a word with a tag."""

    @property
    def without_target(self) -> int:
        """Examples left out."""
        return self.cut_off.places.count + self.nothing.places.count

    @property
    def examples(self) -> int:
        """How many there are."""
        return len(self.lengths)


def has_masks(kind: ExampleKind) -> bool:
    """True for examples of a language model, which are cut at their end."""
    return "loss_mask" in SCHEMAS[kind].names


def final_schema(kind: ExampleKind, source: str) -> pa.Schema:
    """Of what training reads: the examples, and the row of `source` that each one is of."""
    return SCHEMAS[kind].append(_WHERE).with_metadata({SOURCE: source})


def full_schema(kind: ExampleKind) -> pa.Schema:
    """Of examples that are not cut yet: those of encoders know which text each token is of."""
    schema = SCHEMAS[kind]
    if not has_masks(kind):
        for field in (_SEGMENTS[name] for name in TEXTS if name in schema.names):
            schema = schema.append(field)
    return schema.append(_WHERE)


class ExampleWriter:
    """Writes examples at full length as they come; complete or absent after `close`."""

    def __init__(self, path: Path, kind: ExampleKind) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._partial = path.with_name(f".{path.name}.part")
        self._schema = full_schema(kind)
        self._file = pa.ipc.new_file(str(self._partial), self._schema)
        self._rows: list[Example] = []
        self._tokens = 0
        self.lengths = array("I")
        """Tokens of each example; of a pair those of the longer side."""
        self.largest_id = 0

    def __enter__(self) -> "ExampleWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._flush()
        self._file.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)

    def add(self, example: Example) -> None:
        """Appends one example."""
        sides = [len(getattr(example, name)) for name in self._schema.names if name in TOKEN_IDS]
        self._rows.append(example)
        self.lengths.append(max(sides))
        self._tokens += sum(sides)
        if len(self._rows) == ROWS_PER_BATCH or self._tokens >= TOKENS_PER_BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns: list[pa.Array] = [lists([getattr(row, name) for row in self._rows]) for name in self._schema.names[:-1]]
            ids = (column.values for name, column in zip(self._schema.names, columns, strict=False) if name in TOKEN_IDS)
            self.largest_id = max(self.largest_id, *(pc.max(values).as_py() or 0 for values in ids))
            columns.append(pa.array([row.where for row in self._rows], pa.string()))
            self._file.write_batch(pa.record_batch(columns, self._schema))
            self._rows, self._tokens = [], 0


def lists(values: Sequence[npt.NDArray[Any]]) -> pa.ListArray:
    """A column of one list a row."""
    offsets = np.concatenate([[0], np.cumsum([len(value) for value in values])]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, np.concatenate(values))


def truncate(source: Path, target: Path, kind: ExampleKind, limit: int, name: str) -> EncodeStats:
    """Copies the examples of `source`, each cut to `limit` tokens, and leaves out those with nothing left to learn. `name` is the dataset
    file's.

    A language model's example loses its end; of a pair both sides do. A classifier's keeps its special tokens and loses the end of
    its text; of two texts the longer one, as tokenizers' own LongestFirst. Several texts are cut each by itself.
    """
    lengths, sizes, supervised = array("q"), array("q"), array("q")
    truncated, lost, cut_off, nothing = 0, 0, Lost(), Lost()
    partial = target.with_name(f".{target.name}.part")
    schema = final_schema(kind, name)
    with pa.memory_map(str(source)) as mapped, pa.ipc.open_file(mapped) as file, pa.ipc.new_file(str(partial), schema) as out:
        for number in range(file.num_record_batches):
            full = file.get_batch(number)
            batch = full.drop_columns(WHERE)
            batch = cut_end(batch, limit) if has_masks(kind) else cut_texts(batch, kind, limit)
            missing = token_counts(full) - token_counts(batch)
            truncated, lost = truncated + int((missing > 0).sum()), lost + int(missing.sum())
            targets = target_counts(batch, kind)
            batch = pa.record_batch([*batch.columns, full[WHERE]], schema)
            keep = targets > 0
            batch = batch.filter(pa.array(keep)) if not keep.all() else batch
            for into, values in ((lengths, token_counts(batch)), (sizes, sizes_of(batch)), (supervised, targets[keep])):
                into.frombytes(np.ascontiguousarray(values, np.int64).tobytes())
            for index in np.flatnonzero(~keep).tolist():
                needed = first_target(full, kind, index)
                (cut_off if needed else nothing).add(full[WHERE][index].as_py(), needed)
            if batch.num_rows:
                out.write_batch(batch)
    put_in_place(partial, target)
    of_each = [np.array(values, np.int64) for values in (lengths, sizes, supervised)]
    return EncodeStats(of_each[0], of_each[1], of_each[2], truncated, lost, cut_off, nothing)


def token_counts(batch: pa.RecordBatch) -> Ints:
    """Tokens of each example, of all its sides."""
    counts: Ints = sum((list_lengths(batch[name]) for name in TOKEN_IDS if name in batch.schema.names), np.zeros(batch.num_rows, np.int64))
    return counts


def sizes_of(batch: pa.RecordBatch) -> Ints:
    """Tokens that each example takes in a micro-batch."""
    return laid_out([list_lengths(batch[name]) for name in TOKEN_IDS if name in batch.schema.names], padded=TEXTS[1] in batch.schema.names)


def laid_out(sides: Sequence[Ints], *, padded: bool) -> Ints:
    """Tokens of examples of several sides in a micro-batch: one behind the other, or `padded` side by side."""
    each = np.stack(sides)
    tokens: Ints = (each > 0).sum(axis=0) * each.max(axis=0) if padded else each.sum(axis=0)
    return tokens


def first_target(batch: pa.RecordBatch, kind: ExampleKind, index: int) -> int:
    """Tokens of an example up to the first that could be learned, with it; 0 where there is none. Of a pair: up to where both sides have
    one, and differ."""
    if kind == "pair":
        chosen, rejected = (list_values(batch[name][index]) for name in ("input_ids", "rejected_ids"))
        firsts = [np.flatnonzero(list_values(batch[name][index])) for name in ("loss_mask", "rejected_mask")]
        if not all(map(len, firsts)) or np.array_equal(chosen, rejected):
            return 0
        shared = min(len(chosen), len(rejected))
        parted = np.flatnonzero(chosen[:shared] != rejected[:shared])
        return max(*(int(first[0]) + 1 for first in firsts), int(parted[0]) + 1 if len(parted) else shared + 1)
    values = list_values(batch["loss_mask" if has_masks(kind) else "labels"][index])
    found = np.flatnonzero(values if has_masks(kind) else values != IGNORED)
    return int(found[0]) + 1 if len(found) else 0


def cut_end(batch: pa.RecordBatch, limit: int) -> pa.RecordBatch:
    """Keeps the first `limit` tokens of each example, or side of one."""
    columns = [pc.list_slice(column, 0, limit, return_fixed_size_list=False) for column in batch.columns]
    return pa.record_batch(columns, batch.schema)


def cut_texts(batch: pa.RecordBatch, kind: ExampleKind, limit: int) -> pa.RecordBatch:
    """Cuts the texts of examples that are longer than `limit`, and forgets the segments."""
    rows = {name: [list_values(value) for value in batch[name]] for name in batch.schema.names}
    for ids in (name for name in TEXTS if name in rows):
        beside = () if kind == "embedding" else ("token_type_ids",) if kind == "sequence" else ("token_type_ids", "labels")
        for index, segments in enumerate(rows[_SEGMENTS[ids].name]):
            if len(segments) > limit:
                stays = kept_tokens(segments, limit)
                for name in (ids, *beside):
                    rows[name][index] = rows[name][index][stays]
    schema = SCHEMAS[kind]
    return pa.record_batch([lists(rows[field.name]).cast(field.type) for field in schema], schema)


def kept_tokens(segments: npt.NDArray[np.int8], limit: int) -> npt.NDArray[np.bool_]:
    """Which tokens stay when `limit` do: all special ones, and the beginnings of the texts, the longer one cut first."""
    first, second = int((segments == 0).sum()), int((segments == 1).sum())
    room = max(0, limit - int((segments < 0).sum()))
    keep = longest_first(first, second, room)
    stays = segments < 0
    for number, count in enumerate(keep):
        stays[np.flatnonzero(segments == number)[:count]] = True
    return stays


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each of two texts fit into `room`, where the longer one is cut first, as in tokenizers."""
    if first + second <= room:
        return first, second
    if first > second:
        return longest_first(second, first, room)[::-1]
    return (first, room - first) if first <= room // 2 else (room // 2, room - room // 2)


def target_counts(batch: pa.RecordBatch, kind: ExampleKind) -> Ints:
    """Of each example, what the loss is computed on; of a pair 0 unless both sides have some of it and differ."""
    if kind in ("sequence", "embedding"):
        return np.ones(batch.num_rows, np.int64)
    if kind == "pair":
        chosen, rejected = (true_counts(batch[name]) for name in ("loss_mask", "rejected_mask"))
        same = np.array([one == other for one, other in zip(batch["input_ids"], batch["rejected_ids"], strict=True)], np.bool_)
        return np.where((chosen > 0) & (rejected > 0) & ~same, chosen + rejected, 0)
    return true_counts(batch["loss_mask"]) if has_masks(kind) else true_counts(batch["labels"], IGNORED)


def true_counts(column: pa.ListArray, ignored: int | None = None) -> Ints:
    """Of each list, the values that are true; with `ignored`, those that are not this one."""
    values = column.flatten().to_numpy(zero_copy_only=False)
    before = np.concatenate([[0], np.cumsum(values if ignored is None else values != ignored, dtype=np.int64)])
    ends = np.cumsum(list_lengths(column))
    counts: Ints = before[ends] - before[ends - list_lengths(column)]
    return counts


def list_lengths(column: pa.ListArray) -> Ints:
    """Number of values in each list."""
    lengths: Ints = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def list_values(value: pa.ListScalar) -> npt.NDArray[Any]:
    """One list."""
    values: npt.NDArray[Any] = value.values.to_numpy(zero_copy_only=False)
    return values


def write_prompts(path: Path, prompts: Iterable[list[int]]) -> None:
    """Writes prompts.arrow."""
    partial = path.with_name(f".{path.name}.part")
    with pa.ipc.new_file(str(partial), PROMPTS) as out:
        rows = list(prompts)
        if rows:
            out.write_batch(pa.record_batch([pa.array(rows, pa.list_(pa.int32()))], PROMPTS))
    put_in_place(partial, path)
