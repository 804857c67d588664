"""From a pydantic model to the structural OpenAPI v3 schema that a CustomResourceDefinition takes.

Knows JSON schema and what the API server allows of it; knows none of our kinds. What it changes: references are
inlined, Optional is simply not required, exclusive bounds become flags, and defaults are cut down to what the
API server does not fill in by itself. Items of lists get no defaults: tools that compare a manifest with the object field by field, as
Argo CD does, would always see a difference. Every list says how it is merged: as a whole, unless its model says otherwise.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_COPIED = (
    "format", "enum", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
    "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations",
)  # fmt: skip


def structural(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """The schema of a model, in camelCase. A status takes no defaults: what is not known is not there."""
    raw = model.model_json_schema(by_alias=True)
    return _Converter(raw.get("$defs", {}), defaults).convert(raw)


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every node of a structural schema with its path: `.spec.dataset`, `.spec.pod.env[]`, `.spec.pod.labels{}`."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from walk(schema["additionalProperties"], f"{path}{{}}")


def resolve(node: Schema, defs: Schema) -> Schema:
    """Follows a reference and takes `null` out of a union; what stands beside them wins over what they name."""
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return resolve({**defs[node["$ref"].rpartition("/")[2]], **rest}, defs)
    if "anyOf" in node and {"type": "null"} in node["anyOf"]:
        (kept,) = (option for option in node["anyOf"] if option != {"type": "null"})
        rest = {key: value for key, value in node.items() if key != "anyOf" and not (key == "default" and value is None)}
        return {**resolve(kept, defs), **rest}
    return node


class _Converter:
    """Holds the definitions of one model while its nodes are converted."""

    def __init__(self, defs: Schema, defaults: bool) -> None:
        self._defs = defs
        self._defaults = defaults

    def convert(self, node: Schema) -> Schema:
        raw = _in_openapi_words(resolve(node, self._defs))
        if "anyOf" in raw and not raw.get("x-kubernetes-int-or-string"):
            raise ValueError(f"a CRD cannot hold a union of types: {raw}")
        done: Schema = {}
        if "description" in raw:
            done["description"] = " ".join(raw["description"].split())
        if raw.get("x-kubernetes-int-or-string"):
            done |= {"anyOf": raw["anyOf"], "x-kubernetes-int-or-string": True}
        else:
            done["type"] = raw["type"]
        if raw.get("type") == "array":
            done["x-kubernetes-list-type"] = "atomic"
        done |= {key: raw[key] for key in _COPIED if key in raw}
        done |= self._children(raw)
        return done | self._default(raw, done)

    def _children(self, raw: Schema) -> Schema:
        done: Schema = {}
        if raw.get("required"):
            done["required"] = raw["required"]
        if "properties" in raw:
            done["properties"] = {name: self.convert(child) for name, child in raw["properties"].items()}
        if "items" in raw:
            done["items"] = _Converter(self._defs, defaults=False).convert(raw["items"])
        if isinstance(raw.get("additionalProperties"), dict):
            done["additionalProperties"] = self.convert(raw["additionalProperties"])
        return done

    def _default(self, raw: Schema, done: Schema) -> Schema:
        """An empty list, map or object is as good as none, so it is a default only where it makes others apply."""
        if not self._defaults or raw.get("default") is None:
            return {}
        value = self._minimal(raw["default"], raw)
        brings_more = any("default" in child for child in done.get("properties", {}).values())
        return {"default": value} if value not in ([], {}) or brings_more else {}

    def _minimal(self, value: Any, node: Schema) -> Any:
        """The value without what the defaults below it say anyway."""
        raw = resolve(node, self._defs)
        if not isinstance(value, dict) or "properties" not in raw:
            return value
        below = raw["properties"]
        return {
            key: self._minimal(item, below[key]) for key, item in value.items() if item is not None and item != below[key].get("default")
        }


def _in_openapi_words(raw: Schema) -> Schema:
    """OpenAPI v3.0 has no `const`, and its exclusive bounds are flags beside the bound."""
    done = dict(raw)
    if "const" in done:
        done["enum"] = [done.pop("const")]
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in done:
            done[bound], done[exclusive] = done[exclusive], True
    return done
