"""The base class of every document that crosses a process boundary: camelCase outside, snake_case inside, frozen."""

from typing import Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """A contract's document. Unknown keys are refused, so that a typing error is an error and not a silent default."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, use_attribute_docstrings=True)

    def to_json(self, *, indent: int | None = None) -> str:
        """JSON text in camelCase, without fields that are None."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=indent)

    def to_dict(self) -> dict[str, object]:
        """A JSON-ready dict in camelCase, without fields that are None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parses and validates; raises pydantic.ValidationError, which names the field and the value."""
        return cls.model_validate_json(text)


class LenientDocument(Document):
    """A document read back from a place that newer versions write too (a status, a log line): unknown keys are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_attribute_docstrings=True)
