"""Arrow columns to Python's JSON types: str, int, float, bool, None, list, dict. Knows no file."""

import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kind

_MAX_DEPTH = 64


class NoJson(Exception):
    """A value, or a whole type, that JSON cannot say; the text says which."""


def plain(array: pa.Array, depth: int = 0) -> list[Any]:
    """The values of a column. Times, decimals and bytes that are UTF-8 become text, NaN becomes None.

    A struct becomes a dict without the keys whose value is null. Raises NoJson.
    """
    of = array.type
    if depth > _MAX_DEPTH:
        raise NoJson("is nested too deeply")
    if isinstance(array, pa.ExtensionArray):
        return plain(array.storage, depth)
    if kind.is_dictionary(of):
        return plain(array.dictionary_decode(), depth)
    if kind.is_run_end_encoded(of):
        return plain(pc.run_end_decode(array), depth)
    if kind.is_map(of):
        return _maps(array, depth)
    if kind.is_nested(of):
        return _structs(array, depth) if kind.is_struct(of) else _lists(array, depth)
    if kind.is_floating(of):
        return [value if value is None or math.isfinite(value) else None for value in array.to_pylist()]
    return _scalars(array)


def _scalars(array: pa.Array) -> list[Any]:
    of = array.type
    try:
        if not (kind.is_null(of) or kind.is_boolean(of) or kind.is_integer(of) or _is_text(of)):
            array = array.cast(pa.string())
        values: list[Any] = array.to_pylist()
    except pa.ArrowNotImplementedError as exc:
        raise NoJson(f"is of type {of}, which JSON does not know") from exc
    except pa.ArrowInvalid as exc:
        raise NoJson("holds bytes that are not UTF-8 text" if "UTF8" in str(exc) else f"is not readable as text ({exc})") from exc
    return values


def _is_text(of: pa.DataType) -> bool:
    return bool(kind.is_string(of) or kind.is_large_string(of) or kind.is_string_view(of))


def _structs(array: pa.Array, depth: int) -> list[Any]:
    names = [field.name for field in array.type]
    columns = [plain(child, depth + 1) for child in array.flatten()]
    rows: list[Any] = [
        {name: value for name, value in zip(names, values, strict=True) if value is not None} for values in zip(*columns, strict=True)
    ] or [{} for _ in range(len(array))]
    return _with_nulls(rows, array)


def _lists(array: pa.Array, depth: int) -> list[Any]:
    try:
        lengths, values = pc.list_value_length(array).to_pylist(), array.flatten()
    except (pa.ArrowNotImplementedError, AttributeError) as exc:
        raise NoJson(f"is of type {array.type}, which JSON does not know") from exc
    items, rows, position = plain(values, depth + 1), [], 0
    for length in lengths:
        rows.append(None if length is None else items[position : position + length])
        position += length or 0
    return rows


def _maps(array: pa.Array, depth: int) -> list[Any]:
    of = array.type
    pairs = array.cast(pa.list_(pa.struct([pa.field("key", of.key_type), pa.field("value", of.item_type)])))
    rows = _lists(pairs, depth)
    return [None if row is None else {str(pair["key"]): pair.get("value") for pair in row} for row in rows]


def _with_nulls(rows: list[Any], array: pa.Array) -> list[Any]:
    if array.null_count:
        for index, null in enumerate(array.is_null().to_pylist()):
            if null:
                rows[index] = None
    return rows
