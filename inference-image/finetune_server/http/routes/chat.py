"""POST /v1/chat/completions."""

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from finetune_server.engines.interface import GenerationRequest
from finetune_server.generation.generation import Generation, Part, ScoredToken
from finetune_server.generation.tokenizer import Tokenizer
from finetune_server.generation.tool_calls import ToolCall, ToolCallReader
from finetune_server.http.dependencies import LanguageModelDependency, MetricsDependency, admission_of, check_model_name
from finetune_server.http.errors import ApiError
from finetune_server.http.limits import check_text, check_tokens, room_for_answer
from finetune_server.http.schemas.body import body_of
from finetune_server.http.schemas.chat import ChatBody
from finetune_server.http.streaming import Generations, respond
from finetune_server.models.served_model import LanguageModel
from finetune_text.call_text import CLOSE, OPEN
from finetune_text.chat_template import ChatTemplate, TemplateRefusal

router = APIRouter()


@router.post("/v1/chat/completions")
async def create_chat_completion(
    request: Request, model: LanguageModelDependency, body: Annotated[ChatBody, Depends(body_of(ChatBody))], metrics: MetricsDependency
) -> Response:
    """The model's next message, at once or streamed."""
    check_model_name(body.model, model)
    prompt = await admission_of(request).in_pool(lambda: prompt_of(body, model))
    max_tokens = room_for_answer(model.engine.context_length, len(prompt), body.token_limit, param="messages")
    generation_request = GenerationRequest(tuple(prompt), max_tokens, body.sampling, body.scored)
    reader = ToolCallReader(one_call=body.parallel_tool_calls is False) if body.offered else None
    generation = Generation(model.engine, model.tokenizer, generation_request, body.stop or [], reader)
    return await respond(request, Generations([generation], metrics), ChatShape(model, body), stream=bool(body.stream))


def prompt_of(body: ChatBody, model: LanguageModel) -> list[int]:
    """The conversation as token ids. Raises ApiError if the model's template refuses it."""
    if model.prompts.template is None:
        message = f"The model '{model.name}' has no chat template. Use /v1/completions."
        raise ApiError(400, message, param="messages", code="unsupported_endpoint")
    check_tools(body, model.prompts.template)
    try:
        text = model.prompts.conversation(
            [message.for_template() for message in body.messages], [tool.for_template() for tool in body.offered]
        )
    except TemplateRefusal as error:
        raise refused(body, error) from error
    check_text(text, model, param="messages")
    tokens = model.prompts.tokens.chat(text)
    check_tokens(tokens, model.engine.vocabulary_size, param="messages")
    return tokens


def refused(body: ChatBody, refusal: TemplateRefusal) -> ApiError:
    """400 with the template's message and the roles of the messages."""
    roles = ", ".join(message.role for message in body.messages)
    message = f"Invalid value for 'messages': the model's chat template refuses these messages (roles: {roles}): {refusal}"
    return ApiError(400, message, param="messages", code="invalid_value")


def check_tools(body: ChatBody, template: ChatTemplate) -> None:
    """Raises ApiError for tools that the template leaves out of the prompt, or whose calls could not be distinguished from text."""
    param = "tools" if body.offered else "messages"
    if body.speaks_of_tools and template.tools.calls == "ignored":
        message = "This model's chat template does not support tools. Omit them, or publish the model with another template."
        raise ApiError(400, message, param=param, code="unsupported_parameter")
    if body.offered and template.tools.calls == "other":
        message = (
            f"The chat template of this model uses another tool call format than {OPEN}{{...}}{CLOSE}, which this server cannot parse."
        )
        raise ApiError(400, f"{message} Leave 'tools' out.", param=param, code="unsupported_parameter")


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

    def completion(self, answers: Sequence[Part], usage: dict[str, int]) -> dict[str, object]:
        """The only answer as one object."""
        (answer,) = answers
        calls = {"tool_calls": [{**call_object(call), "function": function_object(call)} for call in answer.calls]} if answer.calls else {}
        text = None if answer.calls and not answer.text else answer.text
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None, **calls},
            "logprobs": self._logprobs(answer.tokens),
            "finish_reason": answer.finish_reason,
        }
        return {**self._common, "object": "chat.completion", "choices": [choice], "usage": usage}

    async def events(self, generations: Generations) -> AsyncIterator[object]:
        """The answer as chunks: the role, texts and calls, the finish reason and, if asked for, the usage."""
        (generation,) = generations.all
        yield self._chunk({"role": "assistant", "content": None if self._body.offered else "", "refusal": None})
        calls = 0
        async for part in generation.parts():
            if part.text or part.tokens:
                yield self._chunk({"content": part.text}, tokens=part.tokens)
            for call in part.calls:
                yield self._chunk({"tool_calls": [{"index": calls, **call_object(call), "function": begun_function(call)}]})
                yield self._chunk({"tool_calls": [{"index": calls, "function": {"arguments": call.arguments}}]})
                calls += 1
            if part.finish_reason is not None:
                yield self._chunk({}, finish_reason=part.finish_reason)
        if self._body.include_usage:
            yield {**self._common, "object": "chat.completion.chunk", "choices": [], "usage": generations.usage()}

    def _chunk(self, delta: dict[str, object], tokens: Sequence[ScoredToken] = (), finish_reason: str | None = None) -> dict[str, object]:
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
    """A token's text, bytes and log-probability."""
    return {"token": tokenizer.token_text(token), "bytes": tokenizer.token_bytes(token), "logprob": logprob}


def call_object(call: ToolCall) -> dict[str, object]:
    """An entry of tool_calls without its function."""
    return {"id": call.id, "type": "function"}


def function_object(call: ToolCall) -> dict[str, str]:
    """The function of a complete call."""
    return {"name": call.name, "arguments": call.arguments}


def begun_function(call: ToolCall) -> dict[str, str]:
    """The function in a call's first chunk; its arguments follow in the next one."""
    return {"name": call.name, "arguments": ""}
