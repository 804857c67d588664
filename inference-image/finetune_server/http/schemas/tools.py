"""Tools, and calls of them, in the body of a chat completion."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from finetune_text.call_text import json_object

MAX_DEPTH = 32


def check_arguments(text: str) -> str:
    """OpenAI has a call's arguments as JSON text; a template needs what it says."""
    arguments = json_object(text)
    if arguments is None:
        raise ValueError('a call\'s arguments are the JSON text of an object, as in "{\\"town\\": \\"Rome\\"}"')
    check_depth(arguments)
    return text


class Part(BaseModel):
    """Any of these."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def check_depth(value: dict[str, Any] | None) -> dict[str, Any] | None:
    """Templates indent what is nested, which makes a long list at the bottom many times longer."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in children(parent)]
        if not level:
            return value
    raise ValueError(f"parameters and arguments are nested at most {MAX_DEPTH} deep")


def children(value: object) -> Iterable[object]:
    """What an object or a list holds."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


class Function(Part):
    """A function that the model may call; what is None is left out of the prompt."""

    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: Annotated[dict[str, Any] | None, AfterValidator(check_depth)] = None
    """JSON Schema."""
    strict: bool | None = None


class Tool(Part):
    """An entry of `tools`."""

    type: Literal["function"]
    function: Function

    def for_template(self) -> dict[str, Any]:
        """As chat templates know it: the trainer writes the same keys in the same order."""
        return {"type": self.type, "function": {name: value for name, value in self.function if value is not None}}


class CalledFunction(Part):
    """Which function, and with what."""

    name: Annotated[str, Field(min_length=1)]
    arguments: Annotated[str, AfterValidator(check_arguments)]


class Call(Part):
    """An entry of `tool_calls`."""

    id: Annotated[str, Field(min_length=1)]
    type: Literal["function"] = "function"
    function: CalledFunction

    def for_template(self) -> dict[str, Any]:
        """As chat templates know it, the arguments still JSON text."""
        return {"function": self.function.model_dump(), "id": self.id, "type": self.type}
