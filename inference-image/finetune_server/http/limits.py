"""Whether the model can take a prompt and generate the requested tokens."""

from collections.abc import Sequence

from finetune_server.http.errors import ApiError
from finetune_server.models.served_model import LanguageModel


def check_text(text: str, model: LanguageModel, *, param: str) -> None:
    """Raises ApiError for a text that must have more tokens than the context, before it is tokenised."""
    context_length = model.engine.context_length
    if len(text) > context_length * model.tokenizer.longest_token:
        raise context_exceeded(context_length, f"your {param} resulted in more than {context_length} tokens", param, param)


def check_tokens(tokens: Sequence[int], vocabulary_size: int, *, param: str) -> None:
    """Raises ApiError for a token id that the model does not have. `param` is the request's parameter."""
    wrong = next((token for token in tokens if not 0 <= token < vocabulary_size), None)
    if wrong is not None:
        message = f"'{param}' holds token id {wrong}; the model's ids go from 0 to {vocabulary_size - 1}."
        raise ApiError(400, message, param=param, code="invalid_value")


def room_for_answer(context_length: int, prompt_tokens: int, max_tokens: int | None, *, param: str) -> int:
    """Maximum tokens of the answer. Raises ApiError, context_length_exceeded, with OpenAI's message.

    `param` is "messages" or "prompt"; max_tokens None means the rest of the context.
    """
    room = context_length - prompt_tokens
    wanted = 1 if max_tokens is None else max_tokens
    if wanted <= room:
        return room if max_tokens is None else max_tokens
    if max_tokens is None:
        raise context_exceeded(context_length, f"your {param} resulted in {prompt_tokens} tokens", param, param)
    found = f"you requested {prompt_tokens + max_tokens} tokens ({prompt_tokens} in the {param}, {max_tokens} in the completion)"
    raise context_exceeded(context_length, found, f"{param} or completion", param)


def context_exceeded(context_length: int, found: str, reduce: str, param: str) -> ApiError:
    """400 with OpenAI's message."""
    message = f"This model's maximum context length is {context_length} tokens. However, {found}. Please reduce the length of the {reduce}."
    return ApiError(400, message, param=param, code="context_length_exceeded")
