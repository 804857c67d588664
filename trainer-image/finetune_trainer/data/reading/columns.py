"""Arrow columns to Python's JSON types: str, int, float, bool, None, list, dict. Knows no file.

Nothing in a column is believed before it is checked: a damaged file's offsets point anywhere, and pyarrow would follow them.
What is checked is the part that is read, so that a small slice of a large column costs little.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kind

NOT_UTF8 = "holds text that is not UTF-8"


class NoJson(Exception):
    """A value, or a whole type, that JSON cannot say; the text goes on after the column's name."""


def json_values(column: pa.Array) -> list[Any]:
    """The values of a column. Times, decimals and bytes that are UTF-8 become text, NaN becomes None.

    A struct becomes a dict without the keys whose value is null. Raises NoJson, or pa.ArrowInvalid for a damaged column.
    """
    column.validate()  # the lengths of buffers and children, whatever the size
    return _values(column)


def _values(array: pa.Array) -> list[Any]:
    of = array.type
    if isinstance(array, pa.ExtensionArray):
        return _values(array.storage)
    if kind.is_struct(of):
        return _structs(array)
    if kind.is_map(of):
        return _in_ranges(array, _pairs)
    if kind.is_list(of) or kind.is_large_list(of):
        return _in_ranges(array, lambda array, first, last: _values(array.values.slice(first, last - first)))
    if kind.is_fixed_size_list(of):
        return _in_steps(array, of.list_size)
    if kind.is_nested(of):
        raise NoJson(f"is of type {of}, which JSON cannot represent")
    return _scalars(array)


def _scalars(array: pa.Array) -> list[Any]:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as exc:
        if "UTF8" in str(exc):
            raise NoJson(NOT_UTF8) from exc
        raise
    of = array.type
    if kind.is_dictionary(of):
        return _from_dictionary(array)
    if kind.is_run_end_encoded(of):
        return _values(pc.run_end_decode(array))
    values: list[Any] = (array if _in_json(of) else _as_text(array)).to_pylist()
    if kind.is_floating(of):
        return [value if value is None or math.isfinite(value) else None for value in values]
    return values


def _from_dictionary(array: pa.DictionaryArray) -> list[Any]:
    """Each value that occurs becomes one Python object, however often it does."""
    numbers = pc.unique(array.indices)
    values = dict(zip(numbers.to_pylist(), _values(array.dictionary.take(numbers)), strict=True))
    return [values[number] for number in array.indices.to_pylist()]


def _in_json(of: pa.DataType) -> bool:
    text = kind.is_string(of) or kind.is_large_string(of) or kind.is_string_view(of)
    return bool(text or kind.is_null(of) or kind.is_boolean(of) or kind.is_integer(of) or kind.is_floating(of))


def _as_text(array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.string())
    except pa.ArrowNotImplementedError as exc:
        raise NoJson(f"is of type {array.type}, which JSON cannot represent") from exc
    except pa.ArrowInvalid as exc:
        raise NoJson("holds bytes that are not UTF-8 text" if "UTF8" in str(exc) else f"cannot be converted to text ({exc})") from exc


def _structs(array: pa.Array) -> list[Any]:
    names = [field.name for field in array.type]
    if not names:
        return _with_nulls([{} for _ in range(len(array))], array)
    columns = [_values(child) for child in array.flatten()]
    rows = [{name: value for name, value in zip(names, values, strict=True) if value is not None} for values in zip(*columns, strict=True)]
    return _with_nulls(rows, array)


def _in_ranges(array: pa.Array, values_of: Callable[[Any, int, int], list[Any]]) -> list[Any]:
    """Lists of which each begins where the one before ends."""
    if not len(array):
        return []
    offsets = array.offsets.to_numpy()
    first, last = int(offsets[0]), int(offsets[-1])
    if first < 0 or last > len(array.values) or (np.diff(offsets) < 0).any():
        raise pa.ArrowInvalid("the offsets of a list are not in order")
    values, starts = values_of(array, first, last), (offsets - first).tolist()
    return _with_nulls([values[start:end] for start, end in pairwise(starts)], array, _dict_of(array))


def _pairs(array: pa.MapArray, first: int, last: int) -> list[Any]:
    keys, items = (_values(side.slice(first, last - first)) for side in (array.keys, array.items))
    return list(zip(keys, items, strict=True))


def _dict_of(array: pa.Array) -> Callable[[list[Any]], Any]:
    """How a range of a map is represented: as a dict whose keys are strings, as in JSON."""
    return (lambda pairs: {str(key): item for key, item in pairs}) if kind.is_map(array.type) else (lambda values: values)


def _in_steps(array: pa.Array, size: int) -> list[Any]:
    """Lists of one size."""
    values = _values(array.values.slice(array.offset * size, len(array) * size))
    return _with_nulls([values[index * size : (index + 1) * size] for index in range(len(array))], array)


def _with_nulls(rows: list[Any], array: pa.Array, convert: Callable[[Any], Any] = lambda row: row) -> list[Any]:
    if not array.null_count:
        return list(map(convert, rows))
    return [None if null else convert(row) for row, null in zip(rows, array.is_null().to_pylist(), strict=True)]
