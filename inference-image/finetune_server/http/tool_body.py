"""Tools, and calls of them, in the body of a chat completion."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from finetune_text.call_text import json_object


def check_arguments(text: str) -> str:
    """OpenAI has a call's arguments as JSON text; a template needs what it says."""
    if json_object(text) is None:
        raise ValueError('a call\'s arguments are the JSON text of an object, as in "{\\"town\\": \\"Rome\\"}"')
    return text


class Part(BaseModel):
    """Any of these."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Function(Part):
    """A function that the model may call; what is None is left out of the prompt."""

    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
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
