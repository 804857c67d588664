"""Chats with tools, through OpenAI's own client, on a model that really calls them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion

from tests.server.generation.tool_chats import BROKEN, ODD, ONE, RESULTS, STRANGE, TOOLS, TWO, WRONG, again
from tests.server.running_server import NAME, RunningServer

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def client(tool_server: RunningServer) -> Iterator[OpenAI]:
    """For the model with tools."""
    with tool_server.client() as client:
        yield client


def parameters(chat: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Asks for the chat's last answer, which the model gives again."""
    return {"model": NAME, "messages": again(chat), "tools": TOOLS, "temperature": 0, "max_tokens": 80} | more


def ask(client: OpenAI, chat: list[dict[str, Any]], **more: Any) -> ChatCompletion:
    """Unstreamed."""
    answer = client.chat.completions.create(**parameters(chat, **more))
    assert isinstance(answer, ChatCompletion)
    return answer


def functions(message: Any) -> list[tuple[str, Any]]:
    """Names and arguments of a message's calls."""
    return [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]


ROME, PARIS = ("weather", {"town": "Rome"}), ("weather", {"town": "Paris"})
ANSWERS: list[tuple[list[dict[str, Any]], str | None, list[tuple[str, Any]], str]] = [
    (ONE, None, [ROME], "tool_calls"),
    (TWO, "I look.", [ROME, PARIS], "tool_calls"),
    (STRANGE, None, [("mail", json.loads(ODD["function"]["arguments"]))], "tool_calls"),
    (WRONG, BROKEN, [], "stop"),
    (RESULTS, "Rome.", [], "stop"),
]
IDS = ["one call", "text and two calls", "an end marker in an argument", "broken JSON", "after the results"]


@pytest.mark.parametrize("chat, content, calls, reason", ANSWERS, ids=IDS)
def test_answers(client: OpenAI, chat: list[dict[str, Any]], content: str | None, calls: list[tuple[str, Any]], reason: str) -> None:
    """Calls are tool_calls, text is content, and a call that is no JSON is content with its markers, although they are special tokens."""
    choice = ask(client, chat).choices[0]
    assert (choice.message.content, functions(choice.message), choice.finish_reason) == (content, calls, reason)
    ids = [call.id for call in choice.message.tool_calls or []]
    assert len(set(ids)) == len(calls) and all(id.startswith("call_") for id in ids)


@pytest.mark.parametrize("chat, content, calls, reason", ANSWERS, ids=IDS)
def test_streams(client: OpenAI, chat: list[dict[str, Any]], content: str | None, calls: list[tuple[str, Any]], reason: str) -> None:
    """OpenAI's client puts the deltas together to the same answer."""
    with client.chat.completions.stream(**parameters(chat), stream_options={"include_usage": True}) as stream:
        choice = stream.get_final_completion().choices[0]
    assert (choice.message.content, functions(choice.message), choice.finish_reason) == (content, calls, reason)


def test_deltas(client: OpenAI) -> None:
    """Text comes first, then each call: index, id and name in one chunk and the arguments in the next; the reason comes alone."""
    chunks = list(client.chat.completions.create(**parameters(TWO, stream=True)))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    calls = [delta.tool_calls[0] for delta in deltas if delta.tool_calls]
    texts = [delta.content for delta in deltas if delta.content]
    assert (deltas[0].role, deltas[0].content, "".join(texts)) == ("assistant", None, "I look.")
    assert len(texts) > 1
    assert [(call.index, call.type, call.function.name, call.function.arguments) for call in calls] == [
        (0, "function", "weather", ""),
        (0, None, None, '{"town": "Rome"}'),
        (1, "function", "weather", ""),
        (1, None, None, '{"town": "Paris"}'),
    ]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["tool_calls"]


def test_no_parallel_calls(client: OpenAI) -> None:
    """parallel_tool_calls false ends the answer after its first call, and no further token is computed."""
    whole, single = (ask(client, TWO, parallel_tool_calls=parallel) for parallel in (True, False))
    assert functions(single.choices[0].message) == [ROME]
    assert single.choices[0].finish_reason == "tool_calls"
    assert whole.usage and single.usage and single.usage.completion_tokens < whole.usage.completion_tokens
    streamed = list(client.chat.completions.create(**parameters(TWO, parallel_tool_calls=False, stream=True)))
    assert {call.index for chunk in streamed for call in chunk.choices[0].delta.tool_calls or []} == {0}
    assert streamed[-1].choices[0].finish_reason == "tool_calls"


def test_no_calls(client: OpenAI) -> None:
    """With tool_choice none the prompt does not contain the tools, and its answer is text, whatever is in it."""
    none, without = ask(client, ONE, tool_choice="none"), ask(client, ONE, tools=[])
    assert none.usage and none.usage == without.usage
    assert none.choices[0].message.tool_calls is None
    assert none.choices[0].message.content == without.choices[0].message.content
    assert none.usage.prompt_tokens < (ask(client, ONE, max_tokens=1).usage or none.usage).prompt_tokens


def test_a_call_that_is_cut_off(client: OpenAI) -> None:
    """Half a call is text, and the reason is the limit."""
    choice = ask(client, ONE, max_tokens=8).choices[0]
    assert (choice.finish_reason, choice.message.tool_calls) == ("length", None)
    assert (choice.message.content or "").startswith('<tool_call>\n{"name"')


def test_a_whole_conversation(client: OpenAI) -> None:
    """The client's own message with the calls goes back as it is, followed by the results."""
    message = ask(client, TWO).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": text}
        for call, text in zip(message.tool_calls or [], ("sun", "snow"), strict=True)
    ]
    messages = [*again(RESULTS)[:-3], message.model_dump(), *results]
    assert ask(client, RESULTS, messages=messages).choices[0].message.content == "Rome."


CALLS = {"role": "assistant", "content": None, "tool_calls": TWO[-1]["tool_calls"]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "sun"}
USER = {"role": "user", "content": "Hi"}


def with_call(**function: object) -> list[dict[str, Any]]:
    """A conversation with one call."""
    return [USER, {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f"} | function}]}]


@pytest.mark.parametrize(
    "more, param, text",
    [
        ({"tool_choice": "required"}, "tool_choice", "A 'tool_choice' other than 'auto' and 'none'"),
        ({"tool_choice": {"type": "function", "function": {"name": "mail"}}}, "tool_choice", "other than 'auto' and 'none'"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "'function'"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "Missing required parameter"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name", "at least 1 character"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
            "tools[0].function.strict",
            "Enforcing the schema of the arguments",
        ),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]}, "tools[0].function.parameters", "object"),
        ({"tools": TOOLS + TOOLS[:1]}, "tools", "2 have the name 'weather'"),
        ({"tools": TOOLS * 65}, "tools", "at most 128 items"),
        ({"logprobs": True}, "logprobs", "'logprobs' and 'tools' at the same time"),
        ({"functions": [{}]}, "functions", "not supported"),
        ({"messages": [USER, RESULT]}, "messages[1].tool_call_id", "'call_1' matches no unanswered tool call"),
        ({"messages": [USER, CALLS, RESULT, RESULT]}, "messages[3].tool_call_id", "'call_1' matches no unanswered tool call"),
        ({"messages": [USER, CALLS, RESULT]}, "messages[2]", "call 'call_2' has no answer"),
        ({"messages": [USER, CALLS, USER]}, "messages[1]", "call 'call_1' has no answer"),
        ({"messages": [USER, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id", "Missing required parameter"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "messages[1].content", "may be without content"),
        ({"messages": [{"role": "user", "content": "Hi", "tool_calls": [{}]}]}, "messages[0].tool_calls", "Unrecognized"),
        ({"messages": with_call(arguments="{")}, "messages[1].tool_calls[0].function.arguments", "the JSON text of an object"),
        ({"messages": with_call(arguments="[]")}, "messages[1].tool_calls[0].function.arguments", "the JSON text of an object"),
        ({"messages": with_call(arguments='"\\ud800"')}, "messages[1].tool_calls[0].function.arguments", "the JSON text of an object"),
        ({"messages": with_call()}, "messages[1].tool_calls[0].function.arguments", "Missing required parameter"),
    ],
)
def test_refusals(tool_server: RunningServer, more: dict[str, Any], param: str, text: str) -> None:
    """What is wrong about tools, or cannot be done with them, is refused by name."""
    response = tool_server.post("/v1/chat/completions", **({"messages": [USER], "tools": TOOLS} | more))
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert text in error["message"]


@pytest.mark.parametrize("more", [{"tools": TOOLS}, {"messages": [USER, CALLS, RESULT, RESULT | {"tool_call_id": "call_2"}]}])
def test_a_template_that_ignores_tools(server: RunningServer, more: dict[str, Any]) -> None:
    """A model whose template has no tools refuses them, and calls in the conversation as well; tool_choice none asks for nothing."""
    response = server.post("/v1/chat/completions", **({"messages": [USER], "max_tokens": 1} | more))
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, next(iter(more)), "unsupported_parameter")
    assert "chat template does not support tools" in error["message"]
    allowed = server.post("/v1/chat/completions", messages=[USER], max_tokens=1, tools=TOOLS, tool_choice="none")
    assert allowed.status_code == 200
