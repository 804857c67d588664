"""Parquet and Arrow: their types in JSON's words, and what cannot be read."""

import base64
import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet.encryption as encryption
import pytest

from finetune_trainer.data.reading import table_file
from finetune_trainer.data.reading.record import Limits, Unreadable
from finetune_trainer.failure import StageFailure
from tests.unit.data.reading.files import arrow_file, arrow_stream, contents, opened, parquet, texts

MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello", "weight": 1}]

# (name, an Arrow column, its values)
VALUES: list[tuple[str, pa.Array, list[Any]]] = [
    ("text", pa.array(["a", None]), ["a", None]),
    ("large text", pa.array(["a"], pa.large_string()), ["a"]),
    ("integers", pa.array([1, None, -(2**63)]), [1, None, -(2**63)]),
    ("unsigned", pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
    ("floats", pa.array([1.5, float("nan"), float("inf"), None]), [1.5, None, None, None]),
    ("booleans", pa.array([True, None]), [True, None]),
    ("nothing", pa.nulls(2), [None, None]),
    ("bytes that are text", pa.array(["ä".encode()]), ["ä"]),
    ("decimals", pa.array([decimal.Decimal("1.50")]), ["1.50"]),
    ("day", pa.array([datetime.date(2020, 2, 29)]), ["2020-02-29"]),
    ("time", pa.array([datetime.datetime(2020, 2, 29, 1, 2, 3)], pa.timestamp("ms")), ["2020-02-29 01:02:03.000"]),
    ("nanoseconds", pa.array([1], pa.timestamp("ns")), ["1970-01-01 00:00:00.000000001"]),
    ("categories", pa.array(["a", "b", None, "a"]).dictionary_encode(), ["a", "b", None, "a"]),
    ("lists", pa.array([["a"], None, [], ["b", None]]), [["a"], None, [], ["b", None]]),
    ("lists of one size", pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)), [[1, 2], None, [3, 4]]),
    ("structs", pa.array([{"a": 1, "b": "x"}, None]), [{"a": 1, "b": "x"}, None]),
    ("empty struct", pa.array([{}, None], pa.struct([])), [{}, None]),
    ("messages", pa.array([MESSAGES, [], None]), [MESSAGES, [], None]),
    ("a map", pa.array([[("a", 1), ("b", None)], None], pa.map_(pa.string(), pa.int8())), [{"a": 1, "b": None}, None]),
    ("categories in lists", pa.array([["a"], ["b", "a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), [["a"], ["b", "a"]]),
]


@pytest.mark.parametrize("column, values", [entry[1:] for entry in VALUES], ids=[entry[0] for entry in VALUES])
@pytest.mark.parametrize("writer", [parquet, arrow_file, arrow_stream])
def test_a_column_has_jsons_types(tmp_path: Path, writer: Any, column: pa.Array, values: list[Any]) -> None:
    """What the formats know beyond JSON is read as text; a struct's null is a key that is not there."""
    if writer is parquet and pa.types.is_struct(column.type) and not column.type.num_fields:
        pytest.skip("Parquet has no empty structs")
    file = opened(tmp_path, writer(pa.table({"x": column, "n": pa.array(range(len(column)))})))
    assert [row["x"] for row in contents(list(file.records()))] == values
    assert (
        [row["x"] for row in contents(list(opened(tmp_path, writer(pa.table({"x": column})), slice="1:").records()))] == values[1:]
        if (len(values) > 1)
        else True
    )


@pytest.mark.parametrize(
    "column, why",
    [
        (pa.array([b"\xff\xd8", b"\x89"]), "it holds bytes that are not UTF-8 text"),
        (pa.array([{"bytes": b"\xff\xd8"}, None]), "it holds bytes that are not UTF-8 text"),
        (pa.array([pa.MonthDayNano([1, 2, 3]), None]), "it is of type month_day_nano_interval, which JSON cannot represent"),
    ],
)
def test_a_column_that_json_cannot_say_is_left_out(tmp_path: Path, column: pa.Array, why: str) -> None:
    """Images beside the text do not keep anybody from the text; the note says what is missing."""
    file = opened(tmp_path, arrow_stream(pa.table({"image": column, "text": ["a", "b"]})))
    assert file.columns == ("text",)
    assert file.notes == (f"pvc://data/rows: column 'image' is ignored: {why}",)
    assert contents(list(file.records())) == [{"text": "a"}, {"text": "b"}]
    with pytest.raises(StageFailure, match="has no column that can be read"):
        opened(tmp_path, arrow_stream(pa.table({"image": column})))


def of_datasets(table: pa.Table, **features: Any) -> pa.Table:
    """With what the library datasets writes into a schema."""
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


TAGS = {"names": ["O", "B-PER"], "_type": "ClassLabel"}


@pytest.mark.parametrize("feature", [{"feature": TAGS, "_type": "Sequence"}, {"feature": TAGS, "_type": "List"}, [TAGS]], ids=str)
@pytest.mark.parametrize("writer", [parquet, arrow_file, arrow_stream])
def test_class_ids_are_shown_by_their_names(tmp_path: Path, writer: Any, feature: Any) -> None:
    """As the file has them: the meaning of class 1 is unknown; -1 is no class there, and a number without a name stays one."""
    table = pa.table({"tags": [[0, 1], [], None], "label": [1, -1, 7], "n": [0, 1, 2]})
    file = opened(tmp_path, writer(of_datasets(table, tags=feature, label=TAGS, n={"dtype": "int64", "_type": "Value"})))
    assert [tuple(row.values()) for row in contents(list(file.records()))] == [(["O", "B-PER"], "B-PER", 0), ([], None, 1), (None, 7, 2)]
    assert [note.partition(";")[0] for note in file.notes] == [
        f"pvc://data/rows: column {name!r} holds class ids" for name in ("tags", "label")
    ]


@pytest.mark.parametrize(
    "metadata",
    [b"", b"{", b"[]", b"null", b'{"info": null}', b'{"info": {"features": []}}', b"[" * 10_000, b"\xff"]
    + [
        json.dumps({"info": {"features": {"a": {"_type": "ClassLabel", "names": names}}}}).encode() for names in (None, [], ["x", "x"], [1])
    ],
)
def test_metadata_of_other_programs_are_passed_over(tmp_path: Path, metadata: bytes) -> None:
    """They say nothing about the rows."""
    table = pa.table({"a": [0, 1]}).replace_schema_metadata({b"huggingface": metadata})
    file = opened(tmp_path, arrow_file(table))
    assert contents(list(file.records())) == [{"a": 0}, {"a": 1}]
    assert file.notes == ()


def test_a_text_that_is_not_utf8_is_the_fault_of_its_row(tmp_path: Path) -> None:
    """A table may hold any bytes as text; the rows around the bad one are read."""
    broken = pa.array([b"a", b"caf\xe9", b"c"]).view(pa.string())
    for writer in (parquet, arrow_file):
        records = list(opened(tmp_path, writer(pa.table({"text": broken, "n": [1, 2, 3]}))).records())
        assert contents(records) == [{"text": "a", "n": 1}, {}, {"text": "c", "n": 3}]
        assert [one.fault and one.fault.text for one in records] == [None, "column 'text' holds text that is not UTF-8", None]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Which of them is meant cannot be decided."""
    with pytest.raises(StageFailure, match="has two columns 'a': rename one"):
        opened(tmp_path, arrow_file(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])))


@pytest.mark.parametrize("writer, name", [(parquet, "a Parquet file"), (arrow_file, "an Arrow file"), (arrow_stream, "an Arrow file")])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_table_that_is_cut_off_is_said(tmp_path: Path, writer: Any, name: str, share: float) -> None:
    """In words, not in the library's."""
    data = writer(texts(200))
    with pytest.raises((StageFailure, Unreadable), match=f"{name} that is cut off or damaged"):
        list(opened(tmp_path, data[: int(len(data) * share)]).records())


def test_a_table_without_rows_has_none(tmp_path: Path) -> None:
    """That there are too few is for others to say."""
    for writer in (parquet, arrow_file, arrow_stream):
        assert list(opened(tmp_path, writer(pa.table({"a": pa.array([], pa.string())}))).records()) == []


@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_an_encrypted_table_is_said(tmp_path: Path, plaintext_footer: bool) -> None:
    """Whether its footer can be read or not."""
    factory = encryption.CryptoFactory(lambda config: OpenKeys())
    how = encryption.EncryptionConfiguration(
        footer_key="key", column_keys={"key": ["prompt"]}, plaintext_footer=plaintext_footer, data_key_length_bits=128
    )
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), how)
    with pytest.raises(StageFailure, match="is a Parquet file that is encrypted: write it without encryption"):
        opened(tmp_path, parquet(texts(3), encryption_properties=properties))


class OpenKeys(encryption.KmsClient):  # type: ignore[misc]
    """Keeps keys in the open: what is tested is that they are not requested."""

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        """The key as text."""
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        """The text as key."""
        return base64.b64decode(wrapped_key)


@pytest.mark.parametrize("nested", [False, True])
def test_a_long_text_that_is_written_once_is_there_once(tmp_path: Path, nested: bool) -> None:
    """A Parquet file of a few hundred bytes may have hundreds of rows with a text of megabytes."""
    text, rows = "x" * (1 << 20), 200
    column = pa.array([[{"content": text}]] * rows if nested else [text] * rows)
    data = parquet(pa.table({"said": column, "number": list(range(rows))}), row_group_size=rows, dictionary_pagesize_limit=8 << 20)
    assert len(data) < 1 << 18
    found = contents(list(opened(tmp_path, data).records()))
    said = [row["said"][0]["content"] if nested else row["said"] for row in found]
    assert [row["number"] for row in found] == list(range(rows))
    assert set(map(len, said)) == {1 << 20}
    assert len(set(map(id, said))) <= rows / 50


@pytest.mark.parametrize("writer", [parquet, arrow_file, arrow_stream])
def test_a_row_that_is_too_long_is_the_fault_of_the_row(tmp_path: Path, writer: Any) -> None:
    """As in JSON lines, where the file ends there."""
    limits = Limits(row=1 << 20)
    content = pa.table({"a": ["b", "x" * (1 << 20), "c"]})
    faults = [record.fault.text if record.fault else "" for record in opened(tmp_path, writer(content), limits=limits).records()]
    assert faults == ["", "is longer than 1 MiB: no model reads so much at once", ""]


def test_a_batch_that_is_larger_than_the_window_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may be opened anew within a batch, and no row is lost or doubled."""
    monkeypatch.setattr(table_file, "ROWS", 3)
    monkeypatch.setattr(table_file, "MAPPED", 100)
    for writer in (arrow_file, arrow_stream, parquet):
        assert contents(list(opened(tmp_path, writer(texts(50)), slice="5:45").records())) == texts(50)[5:45]
