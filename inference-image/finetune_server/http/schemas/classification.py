"""The bodies of POST /v1/classify and /v1/token-classify. Validation is strict, and unknown parameters are refused."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from finetune_server.http.schemas.body import RequestBody

MAX_INPUTS = 2048
PAIR = 2


def as_inputs(value: Any) -> Any:
    """A text, or a list of texts and of lists of texts; a single text becomes a list."""
    inputs = [value] if isinstance(value, str) else value
    if not isinstance(inputs, list) or not 0 < len(inputs) <= MAX_INPUTS:
        raise ValueError(f"expected a text, or a list of 1 to {MAX_INPUTS} inputs")
    for index, one in enumerate(inputs):
        texts = one if isinstance(one, list) else [one]
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise ValueError(f"entry {index} is neither a text nor a list of texts, or contains an empty one")
    return inputs


def check_pairs(inputs: list[str | list[str]]) -> list[str | list[str]]:
    """Raises ValueError unless inner lists are pairs."""
    for index, one in enumerate(inputs):
        if isinstance(one, list) and len(one) != PAIR:
            raise ValueError(f"entry {index} has {len(one)} texts; expected a text, or a pair of texts")
    return inputs


Inputs = Annotated[list[str | list[str]], BeforeValidator(as_inputs)]


class ClassificationBody(RequestBody):
    """The parameters of both endpoints."""

    truncate: bool = False
    """Cut inputs to the model's context; otherwise longer ones are refused."""
    user: str | None = None
    """Accepted for compatibility with OpenAI's API; not used."""


class ClassifyBody(ClassificationBody):
    """Texts, or pairs of texts."""

    input: Annotated[Inputs, AfterValidator(check_pairs)]


class TokenClassifyBody(ClassificationBody):
    """Texts, or lists of words."""

    input: Inputs
    aggregation_strategy: Literal["simple", "first"] = "first"
