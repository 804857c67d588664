"""What the endpoints of encoders do: tokenise, check lengths, wait for the logits, count tokens."""

import time
import uuid
from collections.abc import Sequence

import numpy as np
from fastapi import Request
from numpy.typing import NDArray

from finetune_server.classification.logits import logits_of
from finetune_server.classification.tokenizer import EncoderInput
from finetune_server.engines.interface import EncodingRequest
from finetune_server.http.dependencies import admission_of
from finetune_server.http.errors import ApiError
from finetune_server.http.limits import check_tokens
from finetune_server.http.streaming import unless_client_goes
from finetune_server.metrics import Metrics
from finetune_server.models.served_model import Embedder, Encoder
from finetune_server.settings import BYTES_PER_TOKEN, MIN_BODY
from finetune_text.encoder_tokenizer import Input


class Classifications:
    """The inputs of one HTTP request, tokenised."""

    def __init__(self, model: Encoder, inputs: Sequence[EncoderInput]) -> None:
        self.inputs = inputs
        self._model = model

    @classmethod
    async def of(
        cls, request: Request, model: Encoder, inputs: Sequence[Input | EncoderInput], *, truncate: bool, tokens: bool = False
    ) -> "Classifications":
        """Tokenises in a thread what is not tokenised yet. Raises ApiError for an input that is too long."""
        most = max_characters(model.engine.context_length)
        for index, text in enumerate(inputs):
            if not isinstance(text, EncoderInput):
                check_characters(text, most, index)
        encoded = await admission_of(request).in_pool(lambda: tokenised(model, inputs, truncate=truncate, tokens=tokens))
        for index, one in enumerate(encoded):
            check_length(len(one.row.ids), model, index)
            check_tokens(one.row.ids, model.engine.vocabulary_size, param="input")
        return cls(model, encoded)

    async def logits(self, request: Request, metrics: Metrics) -> Sequence[NDArray[np.float32]]:
        """The logits of each input. Raises QueueFull, EngineStopped or ClientGone."""
        rows = tuple(one.row for one in self.inputs)
        request.state.entry.leave()
        found = await unless_client_goes(request, logits_of(self._model.engine, EncodingRequest(rows)))
        request.state.usage = self.usage
        metrics.prompt_tokens.inc(self.usage["prompt_tokens"])
        return found

    @property
    def usage(self) -> dict[str, int]:
        """OpenAI's usage object; special tokens count, padding does not."""
        tokens = sum(len(one.row.ids) for one in self.inputs)
        return {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}

    def response(self, prefix: str, results: Sequence[dict[str, object]]) -> dict[str, object]:
        """The response with the results in order."""
        return {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": "list",
            "created": int(time.time()),
            "model": self._model.name,
            "data": [{"index": index, **result} for index, result in enumerate(results)],
            "usage": self.usage,
        }


def tokenised(model: Encoder, inputs: Sequence[Input | EncoderInput], *, truncate: bool, tokens: bool) -> list[EncoderInput]:
    """All inputs in order."""
    texts = [one for one in inputs if not isinstance(one, EncoderInput)]
    encoded = iter(model.tokenizer.encode(texts, truncate=truncate, tokens=tokens))
    return [one if isinstance(one, EncoderInput) else next(encoded) for one in inputs]


def max_characters(context_length: int) -> int:
    """Of one input. Tokenising takes a few hundred bytes of memory for each character, even of a text that is cut."""
    return max(MIN_BODY, BYTES_PER_TOKEN * context_length)


def check_characters(one: Input, most: int, index: int) -> None:
    """Raises ApiError for an input that is too long to be tokenised."""
    characters = len(one) if isinstance(one, str) else sum(len(text) + 1 for text in one)
    if characters > most:
        message = f"input[{index}] has {characters} characters; this server takes at most {most} in one input."
        raise ApiError(400, message, param="input", code="string_above_max_length")


def check_length(tokens: int, model: Encoder, index: int) -> None:
    """Raises ApiError, context_length_exceeded, with OpenAI's message."""
    context_length = model.engine.context_length
    if tokens > context_length:
        or_cut = "" if isinstance(model, Embedder) else ", or set 'truncate' to true"
        message = (
            f"This model's maximum context length is {context_length} tokens. However, input[{index}] resulted in {tokens} tokens. "
            f"Please reduce its length{or_cut}."
        )
        raise ApiError(400, message, param="input", code="context_length_exceeded")
