"""Chat completions, through OpenAI's own client."""

from typing import Any

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

pytestmark = pytest.mark.server

HELLO = [{"role": "user", "content": "Tell me a story"}]


DEFAULTS: dict[str, Any] = {"model": "support-bot", "messages": HELLO, "temperature": 0, "max_tokens": 12}


def ask(client: OpenAI, **parameters: Any) -> ChatCompletion:
    """A greedy answer of 12 tokens unless the parameters say otherwise."""
    answer = client.chat.completions.create(**(DEFAULTS | parameters))
    assert isinstance(answer, ChatCompletion)
    return answer


def stream(client: OpenAI, **parameters: Any) -> list[ChatCompletionChunk]:
    """All chunks of the same answer."""
    return list(client.chat.completions.create(**(DEFAULTS | {"stream": True} | parameters)))


def text_of(answer: ChatCompletion) -> str:
    """The answer's text."""
    return answer.choices[0].message.content or ""


def streamed_text(chunks: list[ChatCompletionChunk]) -> str:
    """The texts of all chunks, joined."""
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_an_answer(client: OpenAI) -> None:
    """The answer has OpenAI's shape, and its usage adds up."""
    answer = ask(client)
    choice = answer.choices[0]
    assert (answer.object, answer.model, len(answer.choices)) == ("chat.completion", "support-bot", 1)
    assert answer.id.startswith("chatcmpl-")
    assert (answer.system_fingerprint or "").startswith("fp_")
    assert (choice.index, choice.message.role, choice.finish_reason, choice.logprobs) == (0, "assistant", "length", None)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12


def test_a_stream(client: OpenAI) -> None:
    """First the role, then texts, then the finish reason alone; together the same as unstreamed."""
    chunks = stream(client)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    assert streamed_text(chunks) == text_of(ask(client))
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["length"]
    assert chunks[-1].choices[0].delta.content is None
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.object == "chat.completion.chunk" and chunk.usage is None for chunk in chunks)


def test_a_stream_with_usage(client: OpenAI) -> None:
    """include_usage adds one last chunk without choices, with the same counts as unstreamed."""
    *others, last = stream(client, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage == ask(client).usage
    assert all(chunk.usage is None for chunk in others)


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_limits(client: OpenAI, limit: str) -> None:
    """Either name limits the answer; without one it goes on to its end or to the context's."""
    answer = client.chat.completions.create(model="support-bot", messages=HELLO, temperature=0, **{limit: 3})
    assert answer.usage.completion_tokens == 3


def test_all_that_fits(client: OpenAI) -> None:
    """Without a limit the answer may fill the context."""
    answer = ask(client, max_tokens=None, messages=[{"role": "user", "content": "a " * 440}])
    assert answer.usage is not None
    assert answer.choices[0].finish_reason == "stop" or answer.usage.total_tokens == 512


def test_stop_strings(client: OpenAI) -> None:
    """The answer ends before the first stop string, inside a token or across two, and a stream never shows a part of it."""
    whole = text_of(ask(client))
    for start in range(1, len(whole) - 4, 3):
        stop = whole[start : start + 4]
        expected = whole[: whole.index(stop)]
        answer = ask(client, stop=stop)
        assert (text_of(answer), answer.choices[0].finish_reason) == (expected, "stop")
        chunks = stream(client, stop=["never in it", stop])
        assert (streamed_text(chunks), chunks[-1].choices[0].finish_reason) == (expected, "stop")


def test_stop_string_ends_the_work(client: OpenAI) -> None:
    """Tokens after a stop string are neither generated on nor counted."""
    whole = text_of(ask(client))
    answer = ask(client, stop=whole[:2], max_tokens=400)
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 2


def test_logprobs(client: OpenAI) -> None:
    """Greedy tokens are the most likely ones; their bytes, joined, are the text; a stream carries the same."""
    answer = ask(client, logprobs=True, top_logprobs=3)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert len(logprobs.content) == 12
    assert bytes(byte for token in logprobs.content for byte in token.bytes or []).decode(errors="replace") == text_of(answer)
    for token in logprobs.content:
        assert (token.token, token.logprob) == (token.top_logprobs[0].token, token.top_logprobs[0].logprob)
        assert 0 >= token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob >= token.top_logprobs[2].logprob
    chunks = stream(client, logprobs=True, top_logprobs=3)
    streamed = [token for chunk in chunks if chunk.choices[0].logprobs for token in chunk.choices[0].logprobs.content or []]
    assert [token.bytes for token in streamed] == [token.bytes for token in logprobs.content]


def test_sampling(client: OpenAI) -> None:
    """A seed makes an answer repeatable; without one, answers differ."""

    def draw(**parameters: Any) -> str:
        return text_of(ask(client, temperature=1.5, **parameters))

    assert draw(seed=5) == draw(seed=5)
    assert len({draw(seed=6), draw(seed=7), draw(), draw()}) == 4


def test_penalty(client: OpenAI) -> None:
    """A strong presence penalty forbids repeating a token."""
    answer = ask(client, presence_penalty=2, frequency_penalty=2, logprobs=True, max_tokens=30)
    assert answer.choices[0].logprobs is not None
    tokens = [tuple(token.bytes or []) for token in answer.choices[0].logprobs.content or []]
    plain = ask(client, logprobs=True, max_tokens=30).choices[0].logprobs
    assert plain is not None
    assert len(set(tokens)) > len({tuple(token.bytes or []) for token in plain.content or []})


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text", "text": "Tell me a story"}]}],
        [{"role": "user", "content": "Tell me a story", "name": "ann"}],
    ],
    ids=["text parts", "name"],
)
def test_other_forms_of_a_message(client: OpenAI, messages: list[Any]) -> None:
    """Text parts and names are taken, and mean the same where the template ignores names."""
    assert text_of(ask(client, messages=messages)) == text_of(ask(client))


def test_an_answer_sent_back(client: OpenAI) -> None:
    """A message of the server, dumped by the client with all its empty fields, may be part of the next conversation."""
    message = ask(client).choices[0].message.model_dump()
    answer = ask(client, messages=[*HELLO, message, {"role": "user", "content": "Go on"}])
    assert answer.choices[0].finish_reason == "length"


def test_developer_is_system(client: OpenAI) -> None:
    """OpenAI's newer role `developer` reaches templates under its older name."""
    answers = [text_of(ask(client, messages=[{"role": role, "content": "Be rude."}, *HELLO])) for role in ("system", "developer")]
    assert answers[0] == answers[1] != text_of(ask(client))


def test_parameters_that_ask_for_nothing(client: OpenAI) -> None:
    """Values that only repeat OpenAI's defaults change nothing."""
    neutral = {"n": 1, "tools": [], "response_format": {"type": "text"}, "logit_bias": {}, "user": "ann", "store": False, "top_p": None}
    assert text_of(ask(client, **neutral)) == text_of(ask(client))
