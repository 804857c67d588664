"""Tools, and calls of them, in the body of a chat completion."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from finetune_text.call_text import json_object

MAX_DEPTH = 32


def check_arguments(text: str) -> str:
    """Raises ValueError unless a call's arguments are the JSON text of an object, as in OpenAI's API."""
    arguments = json_object(text)
    if arguments is None:
        raise ValueError('a call\'s arguments are the JSON text of an object, as in "{\\"town\\": \\"Rome\\"}"')
    check_depth(arguments)
    return text


class StrictModel(BaseModel):
    """Base of tools, calls and messages."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def check_depth(value: dict[str, Any] | None) -> dict[str, Any] | None:
    """Raises ValueError: templates indent nested values, which makes a deeply nested list many times longer."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in children(parent)]
        if not level:
            return value
    raise ValueError(f"parameters and arguments are nested at most {MAX_DEPTH} deep")


def children(value: object) -> Iterable[object]:
    """The values of an object or a list."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


class Function(StrictModel):
    """A function that the model may call; fields that are None are not in the prompt."""

    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: Annotated[dict[str, Any] | None, AfterValidator(check_depth)] = None
    """JSON Schema."""
    strict: bool | None = None


class Tool(StrictModel):
    """An entry of `tools`."""

    type: Literal["function"]
    function: Function

    def for_template(self) -> dict[str, Any]:
        """In the form of chat templates: the trainer writes the same keys in the same order."""
        return {"type": self.type, "function": {name: value for name, value in self.function if value is not None}}


class CalledFunction(StrictModel):
    """The called function and its arguments."""

    name: Annotated[str, Field(min_length=1)]
    arguments: Annotated[str, AfterValidator(check_arguments)]


class Call(StrictModel):
    """An entry of `tool_calls`."""

    id: Annotated[str, Field(min_length=1)]
    type: Literal["function"] = "function"
    function: CalledFunction

    def for_template(self) -> dict[str, Any]:
        """In the form of chat templates, with the arguments as JSON text."""
        return {"function": self.function.model_dump(), "id": self.id, "type": self.type}
