"""Nulls that stand for keys which are not there: rows that were structs of Arrow (datasets, pandas) have every key that any row has.

JSON Schema has null as a value in few places, and a function's own parameters say where its arguments may be null. Everywhere else
a null says nothing, and is left out.
"""

from typing import Any

from finetune_trainer.tasks.layouts.context import Context

_NULL_IS_A_VALUE = ("default", "const", "enum", "examples")
_NAMED_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
LEFT_OUT = "nulls in tools, or in a call's arguments where the function's parameters do not allow null, are read as keys that are not there"
KEPT = "null in a call's arguments is learned as it is: its function's parameters allow null, or do not say"
KEPT_DEFAULT = "null as the default or const of a parameter is learned as it is"


def without_nulls(row: dict[str, Any], context: Context) -> dict[str, Any]:
    """A conversation's row without the nulls in its tools and calls that say nothing. What is not as it should be is left as it is."""
    tools, messages = row.get("tools"), row.get("messages")
    if isinstance(tools, list):
        tools = _tools(tools, context)
        row = {**row, "tools": tools}
    if isinstance(messages, list) and any(isinstance(message, dict) and message.get("tool_calls") for message in messages):
        listed = tools if isinstance(tools, list) else ()
        schemas = {name: schema for tool in listed if (name := _name(tool)) and isinstance(schema := _schema(tool), dict)}
        row = {**row, "messages": [_message(message, schemas, context) for message in messages]}
    return row


def _tools(tools: list[Any], context: Context) -> list[Any]:
    found = [_tool(tool, False) for tool in tools]
    if found != tools:
        context.remark(LEFT_OUT)
        return [_tool(tool, True) for tool in tools]  # rows with one such null are structs, whose defaults are no nulls either
    if any(_has_null(_schema(tool)) for tool in tools):
        context.remark(KEPT_DEFAULT)
    return found


def _tool(tool: Any, everywhere: bool) -> Any:
    schema = _schema(tool)
    if not isinstance(schema, dict):
        return tool
    return {**tool, "function": {**tool["function"], "parameters": clean_schema(schema, everywhere)}}


def _schema(tool: Any) -> Any:
    return tool["function"].get("parameters") if isinstance(tool, dict) and isinstance(tool.get("function"), dict) else None


def _name(tool: Any) -> str:
    name = tool["function"].get("name") if isinstance(tool, dict) and isinstance(tool.get("function"), dict) else None
    return name if isinstance(name, str) else ""


def clean_schema(schema: Any, everywhere: bool) -> Any:
    """A JSON Schema without keywords and properties that are null; `everywhere`: also without those that may be."""
    if isinstance(schema, list):
        return [clean_schema(item, everywhere) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if value is None and (everywhere or key not in _NULL_IS_A_VALUE):
            continue
        if key in _NAMED_SCHEMAS and isinstance(value, dict):
            found[key] = {name: clean_schema(inner, everywhere) for name, inner in value.items() if inner is not None}
        else:
            found[key] = value if key in _NULL_IS_A_VALUE else clean_schema(value, everywhere)
    return found


def _message(message: Any, schemas: dict[str, Any], context: Context) -> Any:
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [_call(call, schemas, context) for call in calls]}


def _call(call: Any, schemas: dict[str, Any], context: Context) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(arguments, dict) or not _has_null(arguments):
        return call
    name = function.get("name")
    schema = schemas.get(name, {}) if isinstance(name, str) else {}
    clean = clean_value(arguments, schema)
    if clean != arguments:
        context.remark(LEFT_OUT)
    if _has_null(clean):
        context.remark(KEPT)
    return {**call, "function": {**function, "arguments": clean}}


def clean_value(value: Any, schema: Any) -> Any:
    """A value without the nulls that its schema does not allow."""
    schema = schema if isinstance(schema, dict) else {}
    if isinstance(value, list):
        return [clean_value(item, schema.get("items")) for item in value]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    closed = bool(known) or (schema.get("type") == "object" and not schema.get("additionalProperties"))
    found = {}
    for key, item in value.items():
        if item is None and not (allows_null(known[key]) if key in known else not closed):
            continue
        found[key] = clean_value(item, known.get(key))
    return found


def allows_null(schema: Any) -> bool:
    """True where null is a value by this schema, or where it does not say."""
    if not isinstance(schema, dict) or schema.get("nullable") is True:
        return True
    if any(allows_null(way) for key in ("anyOf", "oneOf") if isinstance(ways := schema.get(key), list) for way in ways):
        return True
    if isinstance(schema.get("enum"), list):
        return None in schema["enum"]
    of = schema.get("type")
    if of is None:
        return not schema.get("anyOf") and not schema.get("oneOf")
    return of == "null" or (isinstance(of, list) and "null" in of)


def _has_null(value: Any) -> bool:
    layer = [value]
    while layer:
        inner: list[Any] = []
        for outer in layer:
            if isinstance(outer, dict | list):
                inner += outer.values() if isinstance(outer, dict) else outer
        if any(item is None for item in inner):
            return True
        layer = inner
    return False
