"""The body of POST /v1/embeddings."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from finetune_server.http.schemas.body import RequestBody
from finetune_server.http.schemas.classification import MAX_INPUTS
from finetune_server.http.schemas.completion import Prompt, is_token_ids


def as_inputs(value: object) -> object:
    """A single input, a text or token ids, becomes a list. OpenAI refuses empty inputs as well."""
    inputs = [value] if isinstance(value, str) or (value and is_token_ids(value)) else value
    if not isinstance(inputs, list) or not 0 < len(inputs) <= MAX_INPUTS:
        raise ValueError(f"expected a text, token ids, or a list of 1 to {MAX_INPUTS} of them")
    if not all(one and (isinstance(one, str) or is_token_ids(one)) for one in inputs):
        raise ValueError("expected texts or lists of token ids, none of them empty")
    return inputs


class EmbeddingBody(RequestBody):
    """The parameters of embeddings."""

    input: Annotated[list[Prompt], BeforeValidator(as_inputs)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None
    """Accepted for compatibility with OpenAI's API; not used."""
