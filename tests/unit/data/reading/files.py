"""The same rows in every format and compression."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from finetune_trainer.data.reading.record import Record
from finetune_trainer.data.reading.record_file import RecordFile

PARAM = "dataset.train.source"


def texts(count: int) -> list[dict[str, Any]]:
    """Rows that every format can hold."""
    return [{"prompt": f'Question {n}, "quoted"\nline two ä😀', "completion": f"Answer {n}"} for n in range(count)]


def jsonl(rows: list[Any]) -> bytes:
    """An object a line."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def array(rows: list[Any]) -> bytes:
    """A JSON array over many lines."""
    return json.dumps(rows, indent=1).encode()


def sheet(rows: list[Any], delimiter: str = ",") -> bytes:
    """CSV as Python writes it."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def parquet(rows: list[Any] | pa.Table, **options: Any) -> bytes:
    """A Parquet file with small row groups."""
    sink = io.BytesIO()
    pq.write_table(_table(rows), sink, **({"row_group_size": 7} | options))
    return sink.getvalue()


def arrow_file(rows: list[Any] | pa.Table) -> bytes:
    """Arrow's file format, as Feather version 2 is."""
    sink = io.BytesIO()
    table = _table(rows)
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return sink.getvalue()


def arrow_stream(rows: list[Any] | pa.Table) -> bytes:
    """Arrow's stream format, as Hugging Face's datasets are on disk."""
    sink = io.BytesIO()
    table = _table(rows)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return sink.getvalue()


def feather(rows: list[Any]) -> bytes:
    """Feather with its own compression."""
    sink = io.BytesIO()
    pyarrow.feather.write_feather(_table(rows), sink, compression="lz4")
    return sink.getvalue()


def _table(rows: list[Any] | pa.Table) -> pa.Table:
    return rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)


WRITERS: dict[str, Callable[[list[Any]], bytes]] = {
    "jsonl": jsonl,
    "json": array,
    "csv": sheet,
    "tsv": lambda rows: sheet(rows, "\t"),
    "semicolons": lambda rows: sheet(rows, ";"),
    "parquet": parquet,
    "arrow": arrow_file,
    "arrow stream": arrow_stream,
    "feather": feather,
}
FORMATS = {"tsv": "csv", "semicolons": "csv", "arrow stream": "arrow", "feather": "arrow"}
"""Where the writer's name is not the format's."""


def zstd(data: bytes) -> bytes:
    """A zstd frame."""
    return pa.Codec("zstd").compress(data, asbytes=True)


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": lambda data: gzip.compress(data, 1), "zstd": zstd}


def opened(folder: Path, data: bytes, **options: Any) -> RecordFile:
    """A file with these bytes, opened. Its name says nothing."""
    path = folder / "rows"
    path.write_bytes(data)
    return RecordFile.open(path, "pvc://data/rows", PARAM, scratch=folder / "scratch", **options)


def contents(records: list[Record]) -> list[Any]:
    """What the records hold."""
    return [record.content if isinstance(record.content, dict) else json.loads(record.content) for record in records]
