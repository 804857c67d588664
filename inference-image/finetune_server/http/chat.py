"""POST /v1/chat/completions."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from finetune_server.chat_template import TemplateRefused
from finetune_server.engines.interface import FinishReason, GenerationRequest
from finetune_server.generation import ScoredToken
from finetune_server.http.answers import Answer, EventStream, Generations, unless_client_goes
from finetune_server.http.chat_body import ChatBody
from finetune_server.http.dependencies import LanguageModelDependency, MetricsDependency, check_model_name
from finetune_server.http.errors import ApiError, json_response
from finetune_server.http.limits import check_tokens, room_for_answer
from finetune_server.http.request_body import body_of
from finetune_server.served_model import LanguageModel
from finetune_server.tokenizer import Tokenizer

router = APIRouter()


@router.post("/v1/chat/completions")
async def create_chat_completion(
    request: Request, model: LanguageModelDependency, body: Annotated[ChatBody, Depends(body_of(ChatBody))], metrics: MetricsDependency
) -> Response:
    """The model's next message, at once or streamed."""
    check_model_name(body.model, model)
    prompt = await asyncio.to_thread(prompt_of, body, model)
    max_tokens = room_for_answer(model.engine.context_length, len(prompt), body.token_limit, param="messages")
    generation = GenerationRequest(tuple(prompt), max_tokens, body.sampling, body.scored)
    generations = Generations(model, [generation], body.stop or [], metrics)
    shape = ChatShape(model, body)
    if body.stream:
        return EventStream(shape.events(generations), generations)
    try:
        (answer,) = await unless_client_goes(request, generations.answers())
        return json_response(shape.completion(answer, generations.usage()))
    finally:
        request.state.usage = generations.usage()
        generations.close()


def prompt_of(body: ChatBody, model: LanguageModel) -> list[int]:
    """The conversation as token ids. Raises ApiError when the model's template does not take it."""
    if model.template is None:
        message = f"The model '{model.name}' has no chat template. Use /v1/completions."
        raise ApiError(400, message, param="messages", code="unsupported_endpoint")
    try:
        text = model.template.render([message.for_template() for message in body.messages])
    except TemplateRefused as error:
        raise ApiError(400, f"Invalid value for 'messages': {error}", param="messages", code="invalid_value") from error
    tokens = model.tokenizer.encode(text, add_special_tokens=False)
    check_tokens(tokens, model.engine.vocabulary_size, param="messages")
    return tokens


class ChatShape:
    """OpenAI's objects for one chat completion."""

    def __init__(self, model: LanguageModel, body: ChatBody) -> None:
        self._tokenizer = model.tokenizer
        self._body = body
        self._common = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model.name,
            "system_fingerprint": model.fingerprint,
        }

    def completion(self, answer: Answer, usage: dict[str, int]) -> dict[str, object]:
        """The whole answer as one object."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer.text, "refusal": None},
            "logprobs": self._logprobs(answer.tokens),
            "finish_reason": answer.finish_reason,
        }
        return {**self._common, "object": "chat.completion", "choices": [choice], "usage": usage}

    async def events(self, generations: Generations) -> AsyncIterator[object]:
        """The answer as chunks: the role, the texts, the finish reason and, if asked for, the usage."""
        (generation,) = generations.all
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        async for piece in generation.pieces():
            if piece.text or piece.tokens:
                yield self._chunk({"content": piece.text}, tokens=piece.tokens)
            if piece.finish_reason is not None:
                yield self._chunk({}, finish_reason=piece.finish_reason)
        if self._body.include_usage:
            yield {**self._common, "object": "chat.completion.chunk", "choices": [], "usage": generations.usage()}

    def _chunk(
        self, delta: dict[str, str | None], tokens: Sequence[ScoredToken] = (), finish_reason: FinishReason | None = None
    ) -> dict[str, object]:
        logprobs = self._logprobs(tokens) if tokens else None
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        usage = {"usage": None} if self._body.include_usage else {}
        return {**self._common, "object": "chat.completion.chunk", "choices": [choice], **usage}

    def _logprobs(self, tokens: Sequence[ScoredToken]) -> dict[str, object] | None:
        if self._body.scored is None:
            return None
        return {"content": [scored_object(self._tokenizer, token) for token in tokens], "refusal": None}


def scored_object(tokenizer: Tokenizer, token: ScoredToken) -> dict[str, object]:
    """One entry of logprobs.content."""
    top = [logprob_object(tokenizer, other, logprob) for other, logprob in token.logprobs.top]
    return {**logprob_object(tokenizer, token.id, token.logprobs.chosen), "top_logprobs": top}


def logprob_object(tokenizer: Tokenizer, token: int, logprob: float) -> dict[str, object]:
    """A token as text and bytes with its log-probability."""
    return {"token": tokenizer.token_text(token), "bytes": tokenizer.token_bytes(token), "logprob": logprob}
