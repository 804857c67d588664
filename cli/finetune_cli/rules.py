"""The CEL rules of FineTuneJob's definition, evaluated without an API server.

Rules that compare with the object before a change (oldSelf) are left out: here is no such object.
"""

import datetime
from collections.abc import Iterator
from typing import Any

import cel

from finetune_api.crds.schema import Schema, structural
from finetune_api.quantity import quantity
from finetune_api.resources.common import AT_CREATION
from finetune_api.resources.finetune_job import FineTuneJobSpec

Where = tuple[str | int, ...]


def broken_rules(spec: FineTuneJobSpec) -> Iterator[tuple[Where, str]]:
    """Field and message of every rule that does not hold."""
    yield from check(structural(FineTuneJobSpec), spec.model_dump(mode="json", by_alias=True, exclude_none=True), ())


def words_of_pattern(where: Where) -> str:
    """What a field's definition says in place of its pattern; empty where it says nothing."""
    rules = node_of(where).get("x-kubernetes-validations", ())
    return next((rule["message"] for rule in rules if ".matches(" in rule["rule"]), "")


def fields_of(where: Where) -> tuple[str, ...]:
    """Names of the fields below a place."""
    return tuple(node_of(where).get("properties", {}))


def node_of(where: Where) -> Schema:
    """The definition of a place; empty where there is none."""
    node = structural(FineTuneJobSpec)
    for part in where:
        field = node.get("properties", {}).get(part) or node.get("additionalProperties")
        node = (node.get("items") if isinstance(part, int) else field) or {}
    return node


def check(schema: Schema, value: Any, where: Where) -> Iterator[tuple[Where, str]]:
    """The rules of a node, then those of what is below it."""
    for rule in schema.get("x-kubernetes-validations", ()):
        expression = rule["rule"].removeprefix(AT_CREATION)
        if "oldSelf" not in expression and not holds(expression, value):
            field = tuple(part for part in rule.get("fieldPath", "").split(".") if part)
            yield (*where, *field), rule["message"]
    if isinstance(value, dict):
        for name, below in value.items():
            child = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if isinstance(child, dict):
                yield from check(child, below, (*where, name))
    elif isinstance(value, list) and "items" in schema:
        for place, below in enumerate(value):
            yield from check(schema["items"], below, (*where, place))


def holds(rule: str, value: Any) -> bool:
    """True when the rule holds of `self`."""
    context = cel.Context()
    context.add_variable("self", value)
    context.add_function("split", lambda text, separator: text.split(separator))
    context.add_function("isQuantity", lambda text: quantity(text) is not None)
    context.add_function("quantity", lambda text: quantity(text) or 0.0)
    context.add_function("compareTo", lambda one, other: (one > other) - (one < other))
    context.add_function("duration", duration)
    return bool(cel.evaluate(rule, context))


def duration(text: str) -> datetime.timedelta:
    """Hours, minutes and seconds."""
    from finetune_api.resources.common import seconds

    return datetime.timedelta(seconds=seconds(text))
