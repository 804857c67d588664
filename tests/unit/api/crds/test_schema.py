"""From a pydantic model to a structural schema."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from finetune_api.crds.schema import structural, walk


class Inner(BaseModel):
    """What is inside."""

    size: Annotated[int, Field(ge=1)] = 3
    tags: Annotated[list[str], Field(max_length=2)] = []


class Empty(BaseModel):
    """Nothing that the API server could fill in."""

    note: Annotated[str, Field(max_length=5)] | None = None


TABLE: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("a bound", Annotated[int, Field(ge=1, le=9)], ..., {"type": "integer", "minimum": 1, "maximum": 9}),
    (
        "exclusive bounds become flags",
        Annotated[float, Field(gt=0, lt=1)],
        ...,
        {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1, "exclusiveMaximum": True},
    ),
    ("optional is not required", Annotated[str, Field(max_length=5)] | None, None, {"type": "string", "maxLength": 5}),
    ("several words", Literal["a", "b"], "a", {"type": "string", "enum": ["a", "b"], "default": "a"}),
    ("one word", Literal["a"], ..., {"type": "string", "enum": ["a"]}),
    ("a falsy default stays", bool, False, {"type": "boolean", "default": False}),
    (
        "an empty list is none",
        Annotated[list[int], Field(max_length=2)],
        [],
        {"type": "array", "x-kubernetes-list-type": "atomic", "maxItems": 2, "items": {"type": "integer"}},
    ),
    (
        "a list's default stays",
        list[int],
        [1],
        {"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "integer"}, "default": [1]},
    ),
    (
        "a map",
        Annotated[dict[str, int], Field(max_length=2)],
        {},
        {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "integer"}},
    ),
    (
        "an object's default makes those inside it apply",
        Inner,
        Inner(),
        {
            "description": "What is inside.",
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 1, "default": 3},
                "tags": {"type": "array", "x-kubernetes-list-type": "atomic", "maxItems": 2, "items": {"type": "string"}},
            },
            "default": {},
        },
    ),
    (
        "a default that differs from those inside it says only how",
        Inner,
        Inner(size=5),
        {
            "description": "What is inside.",
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 1, "default": 3},
                "tags": {"type": "array", "x-kubernetes-list-type": "atomic", "maxItems": 2, "items": {"type": "string"}},
            },
            "default": {"size": 5},
        },
    ),
    (
        "an object without defaults inside it has none",
        Empty,
        Empty(),
        {
            "description": "Nothing that the API server could fill in.",
            "type": "object",
            "properties": {"note": {"type": "string", "maxLength": 5}},
        },
    ),
]  # fmt: skip


def model_with(annotation: Any, default: Any) -> type[BaseModel]:
    """A model with one field."""
    return type("Model", (BaseModel,), {"__annotations__": {"field": annotation}, "__module__": __name__, "field": Field(default)})


@pytest.mark.parametrize(("annotation", "default", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_field(annotation: Any, default: Any, expected: dict[str, Any]) -> None:
    """What pydantic says is said in the words of the API server."""
    schema = structural(model_with(annotation, default))
    assert schema["properties"]["field"] == expected
    assert schema.get("required", []) == (["field"] if default is ... else [])


def test_a_status_has_no_defaults() -> None:
    """What the operator has not written is not there."""
    schema = structural(model_with(Inner, Inner()), defaults=False)
    assert [path for path, node in walk(schema) if "default" in node] == []


def test_a_union_of_types_is_an_error() -> None:
    """A structural schema has no place for it; better here than at the API server."""
    with pytest.raises(ValueError, match="union of types"):
        structural(model_with(int | str, ...))


def test_walk_names_every_node() -> None:
    """Paths tell lists and maps from objects."""
    schema = structural(model_with(dict[str, list[Inner]], {}))
    assert [path for path, _ in walk(schema)] == [
        "",
        ".field",
        ".field{}",
        ".field{}[]",
        ".field{}[].size",
        ".field{}[].tags",
        ".field{}[].tags[]",
    ]
