"""Whatever the bytes are: reading ends in records, StageFailure or Unreadable, and nothing else.

FINETUNE_FUZZ_SECONDS=600 pytest tests/unit/data/reading/test_fuzz.py looks for that long; without it a few seconds.
"""

import datetime
import decimal
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_trainer.data.reading.record import Limits, Record, Unreadable
from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.failure import StageFailure
from tests.unit.data.reading.damage import PIECES, mutated
from tests.unit.data.reading.files import COMPRESSORS, PARAM, WRITERS, arrow_file, arrow_stream, parquet, texts

SECONDS = float(os.environ.get("FINETUNE_FUZZ_SECONDS", "0"))
EXAMPLES = 150
FEW = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

MESSAGES = [
    {"messages": [{"role": "user", "content": f"Q{n}"}, {"role": "assistant", "content": "A", "weight": 1}], "n": n} for n in range(9)
]
SEEDS: list[bytes] = [
    COMPRESSORS[compression](WRITERS[writer](rows)) for writer in WRITERS for compression in COMPRESSORS for rows in (texts(9), MESSAGES)
]
TYPES = pa.table(
    {
        "category": pa.array(["a", "b", None] * 3).dictionary_encode(),
        "map": pa.array([[("a", 1)], None, []] * 3, pa.map_(pa.string(), pa.int8())),
        "pair": pa.array([[1, 2], None, [3, 4]] * 3, pa.list_(pa.int8(), 2)),
        "price": pa.array([decimal.Decimal("1.50"), None, None] * 3),
        "day": pa.array([datetime.datetime(2020, 2, 29)] * 9),
        "nested": pa.array([[{"a": [{"b": "x"}]}], None, []] * 3),
        "view": pa.array(["a", None, "a text longer than twelve bytes"] * 3, pa.string_view()),
    }
)
SEEDS += [compress(write(TYPES)) for compress in COMPRESSORS.values() for write in (arrow_file, arrow_stream, parquet)]
FORMATS = [None, None, None, "jsonl", "json", "csv", "parquet", "arrow"]
SMALL = Limits(block=100)
"""Borders of blocks fall into these small files, too."""
SLICES = [None, None, "10%:80%", "2:5", "7:"]


def read(folder: Path, data: bytes, fmt: Any = None, part: str | None = None) -> None:
    """Opens and reads a file of these bytes in every way; lets only an exception through that must not be."""
    path = folder / "fuzz"
    path.write_bytes(data)
    try:
        file = RecordFile.open(path, "pvc://data/fuzz", PARAM, format=fmt, slice=part, scratch=folder / "scratch", limits=SMALL)
    except StageFailure as exc:
        said(exc.error.message, "pvc://data/fuzz")
        return
    for pieces in (file.records(), file.blocks()):
        try:
            for piece in pieces or ():
                if isinstance(piece, Record) and isinstance(piece.content, dict):
                    json.dumps(piece.content, allow_nan=False).encode()
        except Unreadable as exc:
            said(str(exc))


def said(message: str, name: str = "") -> None:
    """An error has words, and the file's name where the caller does not add it."""
    assert message
    assert name in message


@FEW
@given(data=st.binary(max_size=300), fmt=st.sampled_from(FORMATS), part=st.sampled_from(SLICES))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes, fmt: Any, part: str | None) -> None:
    """No traceback for noise, whatever the user says it is."""
    for compress in COMPRESSORS.values():
        read(tmp_path, compress(data), fmt, part)


@FEW
@given(text=st.lists(st.sampled_from([*PIECES, b"a", b"1", b" ", b": ", b"{}", b'"a"', b'{"a": 1}', b",\n"]), max_size=40))
def test_any_signs_of_json_and_csv_are_read_or_refused(tmp_path: Path, text: list[bytes]) -> None:
    """What a parser trips over lies closer to its own signs than noise does."""
    for fmt in (None, "jsonl", "json", "csv"):
        read(tmp_path, b"".join(text), fmt)


@FEW
@given(seed=st.integers(0, 2**32))
def test_any_change_of_a_good_file_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    """Every format in every compression, damaged."""
    chance = random.Random(seed)
    read(tmp_path, mutated(chance.choice(SEEDS), chance), chance.choice(FORMATS), chance.choice(SLICES))


@pytest.mark.skipif(not SECONDS, reason="FINETUNE_FUZZ_SECONDS is not set")
@pytest.mark.timeout(SECONDS + 300)
def test_a_long_search_finds_nothing(tmp_path: Path) -> None:
    """The same changes for as long as one likes; a failure hashes the seed that repeats it."""
    end, seed = time.monotonic() + SECONDS, int(time.time() * 1000)
    while time.monotonic() < end:
        seed += 1
        chance = random.Random(seed)
        data = mutated(chance.choice(SEEDS), chance)
        started = time.monotonic()
        (tmp_path / "last").write_bytes(data)
        try:
            read(tmp_path, data, chance.choice(FORMATS), chance.choice(SLICES))
        except Exception as exc:
            raise AssertionError(f"seed {seed}, the file is {tmp_path / 'last'}") from exc
        assert time.monotonic() - started < 60, f"seed {seed} hangs, the file is {tmp_path / 'last'}"
