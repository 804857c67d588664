"""Names of classes that the library datasets writes into a table's schema, beside columns of their numbers. Knows no file."""

import json
from typing import Any

import pyarrow as pa

Names = dict[str, tuple[str, ...]]


def class_names(schema: pa.Schema) -> Names:
    """Column -> the names of its classes 0, 1, ...; only columns that have them."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {name: names for name in schema.names if (names := _names(features.get(name)))}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return {}  # what another program wrote there is no matter of the rows


def _names(feature: Any) -> tuple[str, ...]:
    """Of a class, or of a list of classes."""
    if isinstance(feature, list) and len(feature) == 1:
        return _names(feature[0])
    if not isinstance(feature, dict):
        return ()
    names = feature.get("names")
    if feature.get("_type") != "ClassLabel":
        return _names(feature.get("feature"))
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        return ()
    return tuple(names) if len({*names}) == len(names) else ()


def named(value: Any, names: tuple[str, ...]) -> Any:
    """A number's class, or each of a list; None for -1, which says there that nobody knows it."""
    if isinstance(value, list):
        return [named(item, names) for item in value]
    if type(value) is not int or not -1 <= value < len(names):
        return value
    return None if value == -1 else names[value]
