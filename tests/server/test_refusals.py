"""What the server cannot do it refuses in OpenAI's shape, naming the parameter; nothing is ignored."""

import json
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.server.running_server import RunningServer

pytestmark = pytest.mark.server

USER = {"role": "user", "content": "Hello"}
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
CHAT: list[tuple[dict[str, Any], str, str]] = [
    ({"n": 2}, "n", "'n' = 2 is not supported"),
    ({"functions": [{}]}, "functions", "not supported"),
    ({"response_format": {"type": "json_object"}}, "response_format", "not supported"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format", "not supported"),
    ({"logit_bias": {"5": 1}}, "logit_bias", "not supported"),
    ({"modalities": ["text", "audio"]}, "modalities", "not supported"),
    ({"audio": {"voice": "x"}}, "audio", "not supported"),
    ({"reasoning_effort": "high"}, "reasoning_effort", "not supported"),
    ({"prediction": {}}, "prediction", "not supported"),
    ({"service_tier": "priority"}, "service_tier", "not supported"),
    ({"store": True}, "store", "not supported"),
    ({"top_k": 5}, "top_k", "Unrecognized request argument supplied: top_k"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "only allowed when 'stream' is enabled"),
    ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x", "Unrecognized request argument"),
    ({"top_logprobs": 2}, "top_logprobs", "'logprobs' must be true"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "less than or equal to 20"),
    ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens", "at the same time"),
    ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1, but got 0"),
    ({"max_tokens": "5"}, "max_tokens", "valid integer"),
    ({"temperature": 2.1}, "temperature", "less than or equal to 2, but got 2.1"),
    ({"top_p": -1}, "top_p", "greater than or equal to 0"),
    ({"presence_penalty": 3}, "presence_penalty", "less than or equal to 2"),
    ({"seed": 1.5}, "seed", "integer"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "at most 4"),
    ({"stop": ""}, "stop[0]", "at least 1 character"),
    ({"stop": "a" * 1025}, "stop[0]", "at most 1024 characters"),
    ({"messages": [USER] * 2049}, "messages", "at most 2048 items"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}] * 1025}]}, "messages[0].content", "at most 1024 parts"),
    ({"stream": "yes"}, "stream", "valid boolean"),
    ({"messages": []}, "messages", "at least 1 item"),
    ({"messages": "Hello"}, "messages", "valid array"),
    ({"messages": [{"role": "critic", "content": "x"}]}, "messages[0].role", "'assistant'"),
    ({"messages": ["Hello"]}, "messages[0]", "object"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "Missing required parameter"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "valid string"),
    ({"messages": [USER, {"role": "assistant", "content": "x", "audio": {"id": "a"}}]}, "messages[1].audio", "Unrecognized"),
    ({"messages": [IMAGE]}, "messages[0].content", "part 0 is 'image_url'; only content parts of type 'text' are supported"),
]
COMPLETIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"best_of": 2}, "best_of", "not supported"),
    ({"echo": True}, "echo", "not supported"),
    ({"suffix": "end"}, "suffix", "not supported"),
    ({"logprobs": 6}, "logprobs", "less than or equal to 5"),
    ({"messages": [USER]}, "messages", "Unrecognized request argument"),
    ({"prompt": []}, "prompt", "at least 1 item"),
    ({"prompt": ""}, "prompt", "at least one token"),
    ({"prompt": [[]]}, "prompt", "at least one token"),
    ({"prompt": [1, -1]}, "prompt", "token id -1"),
    ({"prompt": [49152]}, "prompt", "ids go from 0 to 49151"),
    ({"prompt": 5}, "prompt", "a text, a list of texts"),
    ({"prompt": [True]}, "prompt", "a text, a list of texts"),
    ({"prompt": ["a"] * 13}, "prompt", "takes at most 6 in one request"),
]


def check(response: httpx.Response, param: str, text: str) -> None:
    """A 400 that names the parameter."""
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert text in error["message"]


@pytest.mark.parametrize("parameters, param, text", CHAT, ids=[json.dumps(case[0])[:50] for case in CHAT])
def test_chat(server: RunningServer, parameters: dict[str, Any], param: str, text: str) -> None:
    """Each wrong or unsupported parameter of chat completions is refused by name."""
    body = {"model": "support-bot", "messages": [USER]} | parameters
    check(httpx.post(f"{server.url}/v1/chat/completions", json=body), param, text)


@pytest.mark.parametrize("parameters, param, text", COMPLETIONS, ids=[json.dumps(case[0])[:50] for case in COMPLETIONS])
def test_completions(server: RunningServer, parameters: dict[str, Any], param: str, text: str) -> None:
    """Each wrong or unsupported parameter of completions is refused by name."""
    body = {"model": "support-bot", "prompt": "Hello"} | parameters
    check(httpx.post(f"{server.url}/v1/completions", json=body), param, text)


@pytest.mark.parametrize(
    "content, text",
    [(b"{", "We could not parse the JSON body"), (b"", "We could not parse the JSON body"), (b"[]", "object"), (b"\xff", "parse the JSON")],
)
def test_a_body_that_is_no_object(server: RunningServer, content: bytes, text: str) -> None:
    """A body that is no JSON object is a 400 as well."""
    response = httpx.post(f"{server.url}/v1/chat/completions", content=content)
    assert response.status_code == 400
    assert text in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "method, path, status, code",
    [
        ("GET", "/v1/chat/completions", 405, None),
        ("POST", "/v1/images/generations", 404, "unknown_url"),
        ("GET", "/", 404, "unknown_url"),
        ("GET", "/docs", 404, "unknown_url"),
    ],
)
def test_other_urls(server: RunningServer, method: str, path: str, status: int, code: str | None) -> None:
    """Unknown URLs and methods have OpenAI's error shape too."""
    response = httpx.request(method, server.url + path)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert path in response.json()["error"]["message"]


def test_another_model(client: OpenAI) -> None:
    """A model that is not served is OpenAI's 404, and the message says which one is."""
    with pytest.raises(NotFoundError) as refused:
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "Hello"}])
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    assert "'gpt-4' does not exist. This server has 'support-bot'" in refused.value.message


@pytest.mark.parametrize(
    "words, max_tokens, text",
    [
        (600, None, "maximum context length is 512 tokens. However, your messages resulted in 6"),
        (400, 200, "tokens (4"),
        (1, 512, "512 in the completion). Please reduce the length of the messages or completion."),
    ],
)
def test_context_limit(client: OpenAI, words: int, max_tokens: int | None, text: str) -> None:
    """Prompt and answer that do not fit are refused in OpenAI's words."""
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(model="support-bot", messages=[{"role": "user", "content": "word " * words}], max_tokens=max_tokens)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")
    assert text in refused.value.message
