"""The Arrow files that training reads, written and cut in record batches: memory does not grow with the rows."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from finetune_trainer.data.tokens.encode import Encoded

ROWS_PER_BATCH = 1024
EXAMPLES = pa.schema([("input_ids", pa.list_(pa.int32())), ("loss_mask", pa.list_(pa.bool_()))])
PROMPTS = pa.schema([("input_ids", pa.list_(pa.int32()))])


@dataclass(frozen=True)
class Counts:
    """What a finished file of examples holds."""

    examples: int
    tokens: int
    supervised: int
    truncated: int
    """Examples that were cut."""
    without_target: int
    """Examples left out because the cut left nothing to learn."""


class ExampleWriter:
    """Writes examples as they come; complete or absent after `close`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._partial = path.with_name(f".{path.name}.part")
        self._file = pa.ipc.new_file(str(self._partial), EXAMPLES)
        self._rows: list[Encoded] = []
        self.lengths = array("I")
        """Tokens of each example."""
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

    def add(self, example: Encoded) -> None:
        """Appends one example."""
        self._rows.append(example)
        self.lengths.append(len(example.input_ids))
        if len(self._rows) == ROWS_PER_BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            offsets = np.concatenate([[0], np.cumsum([len(row.input_ids) for row in self._rows])]).astype(np.int32)
            columns = [np.concatenate([row.input_ids for row in self._rows]), np.concatenate([row.loss_mask for row in self._rows])]
            self.largest_id = max(self.largest_id, int(columns[0].max(initial=0)))
            self._file.write_batch(pa.record_batch([pa.ListArray.from_arrays(offsets, column) for column in columns], EXAMPLES))
            self._rows = []


def cut(source: Path, target: Path, limit: int) -> Counts:
    """Copies the examples of `source`, each cut after `limit` tokens, and leaves out those with nothing left to learn."""
    totals = np.zeros(5, np.int64)
    partial = target.with_name(f".{target.name}.part")
    with pa.memory_map(str(source)) as mapped, pa.ipc.open_file(mapped) as file, pa.ipc.new_file(str(partial), EXAMPLES) as out:
        for number in range(file.num_record_batches):
            batch, counts = cut_batch(file.get_batch(number), limit)
            totals += counts
            if batch.num_rows:
                out.write_batch(batch)
    partial.replace(target)
    return Counts(*map(int, totals))


def cut_batch(batch: pa.RecordBatch, limit: int) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
    """One batch cut, and its Counts as an array."""
    longer = pc.greater(pc.list_value_length(batch["input_ids"]), limit)
    columns = [pc.list_slice(column, 0, limit, return_fixed_size_list=False) for column in batch.columns]
    lengths = pc.list_value_length(columns[0]).to_numpy()
    supervised = np.concatenate([[0], np.cumsum(columns[1].flatten().to_numpy(zero_copy_only=False))])
    ends = np.cumsum(lengths)
    targets = supervised[ends] - supervised[ends - lengths]
    keep = targets > 0
    result = pa.record_batch(columns, EXAMPLES).filter(pa.array(keep))
    kept_longer = int(np.sum(longer.to_numpy(zero_copy_only=False) & keep))
    return result, np.array([keep.sum(), lengths[keep].sum(), targets.sum(), kept_longer, (~keep).sum()], np.int64)


def write_prompts(path: Path, prompts: Iterable[list[int]]) -> None:
    """Writes prompts.arrow."""
    partial = path.with_name(f".{path.name}.part")
    with pa.ipc.new_file(str(partial), PROMPTS) as out:
        rows = list(prompts)
        if rows:
            out.write_batch(pa.record_batch([pa.array(rows, pa.list_(pa.int32()))], PROMPTS))
    partial.replace(path)
