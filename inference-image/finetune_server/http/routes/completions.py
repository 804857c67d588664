"""POST /v1/completions."""

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from finetune_server.engines.interface import GenerationEngine, GenerationRequest, QueueFull
from finetune_server.generation.generation import Generation, Part, ScoredToken
from finetune_server.http.dependencies import LanguageModelDependency, MetricsDependency, admission_of, check_model_name
from finetune_server.http.errors import ApiError, overloaded
from finetune_server.http.limits import check_text, check_tokens, room_for_answer
from finetune_server.http.schemas.body import body_of
from finetune_server.http.schemas.completion import CompletionBody, Prompt
from finetune_server.http.streaming import Generations, respond
from finetune_server.models.served_model import LanguageModel

router = APIRouter()


@router.post("/v1/completions")
async def create_completion(
    request: Request,
    model: LanguageModelDependency,
    body: Annotated[CompletionBody, Depends(body_of(CompletionBody))],
    metrics: MetricsDependency,
) -> Response:
    """The continuation of each prompt, at once or streamed. The prompts decode together."""
    check_model_name(body.model, model)
    check_count(len(body.prompt), model.engine)
    requests = await admission_of(request).in_pool(lambda: requests_of(body, model))
    generations = Generations((Generation(model.engine, model.tokenizer, one, body.stop or []) for one in requests), metrics)
    return await respond(request, generations, CompletionShape(model, body), stream=bool(body.stream))


def check_count(count: int, engine: GenerationEngine) -> None:
    """Each prompt takes a place, and a request may take half of the free ones. Raises ApiError."""
    most = max(engine.capacity // 2, 1)
    if count > most:
        message = f"'prompt' has {count} entries; this server takes at most {most} in one request. Send several requests."
        raise ApiError(400, message, param="prompt", code="invalid_value")
    load = engine.load()
    free = engine.capacity - load.running - load.waiting
    if count > max((free + 1) // 2, 1):
        raise overloaded(QueueFull(f"'prompt' has {count} entries, {free} slots are free, and one request may take half of them"))


def requests_of(body: CompletionBody, model: LanguageModel) -> list[GenerationRequest]:
    """One request for each prompt. Raises ApiError."""
    requests = []
    for prompt in body.prompt:
        tokens = tokens_of(prompt, model)
        max_tokens = room_for_answer(model.engine.context_length, len(tokens), body.token_limit, param="prompt")
        requests.append(GenerationRequest(tuple(tokens), max_tokens, body.sampling, body.logprobs))
    return requests


def tokens_of(prompt: Prompt, model: LanguageModel) -> list[int]:
    """A prompt's token ids. Raises ApiError for an empty prompt and for an id that the model does not have."""
    if isinstance(prompt, str):
        check_text(prompt, model, param="prompt")
    tokens = model.prompts.text(prompt) if isinstance(prompt, str) else prompt
    if not tokens:
        raise ApiError(400, "'prompt' is empty; it must hold at least one token.", param="prompt", code="invalid_value")
    check_tokens(tokens, model.engine.vocabulary_size, param="prompt")
    return tokens


class CompletionShape:
    """OpenAI's objects for one completion."""

    def __init__(self, model: LanguageModel, body: CompletionBody) -> None:
        self._tokenizer = model.tokenizer
        self._body = body
        self._common = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model.name,
            "system_fingerprint": model.fingerprint,
        }

    def completion(self, answers: Sequence[Part], usage: dict[str, int]) -> dict[str, object]:
        """All answers as one object."""
        return {**self._common, "choices": [self._choice(index, answer) for index, answer in enumerate(answers)], "usage": usage}

    async def events(self, generations: Generations) -> AsyncIterator[object]:
        """The answers as chunks, one prompt after the other, and, if asked for, the usage."""
        usage = {"usage": None} if self._body.include_usage else {}
        for index, generation in enumerate(generations.all):
            async for part in generation.parts():
                yield {**self._common, "choices": [self._choice(index, part)], **usage}
        if self._body.include_usage:
            yield {**self._common, "choices": [], "usage": generations.usage()}

    def _choice(self, index: int, part: Part) -> dict[str, object]:
        return {"index": index, "text": part.text, "logprobs": self._logprobs(part.tokens), "finish_reason": part.finish_reason}

    def _logprobs(self, tokens: Sequence[ScoredToken]) -> dict[str, object] | None:
        if self._body.logprobs is None:
            return None
        text = self._tokenizer.token_text
        return {
            "tokens": [text(token.id) for token in tokens],
            "token_logprobs": [token.logprobs.chosen for token in tokens],
            "top_logprobs": [{text(other): logprob for other, logprob in token.logprobs.top} for token in tokens],
            "text_offset": [token.offset for token in tokens],
        }
