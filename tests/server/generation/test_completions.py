"""Completions and models, through OpenAI's own client."""

from pathlib import Path
from typing import Any

import pytest
from openai import NotFoundError, OpenAI
from openai.types import Completion
from tokenizers import Tokenizer

pytestmark = pytest.mark.server

PROMPT = "Once upon a time"


def complete(client: OpenAI, **parameters: Any) -> Completion:
    """A greedy continuation."""
    defaults: dict[str, Any] = {"model": "support-bot", "prompt": PROMPT, "temperature": 0}
    answer = client.completions.create(**(defaults | parameters))
    assert isinstance(answer, Completion)
    return answer


def test_a_completion(client: OpenAI) -> None:
    """OpenAI's shape, and OpenAI's default of 16 tokens."""
    answer = complete(client)
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == ("text_completion", "support-bot", "length")
    assert answer.id.startswith("cmpl-")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16


def test_forms_of_a_prompt(client: OpenAI, hf_model: Path) -> None:
    """A text, its token ids, and lists of either give the same continuation, each with its index, and the usage adds up."""
    ids = Tokenizer.from_file(str(hf_model / "tokenizer.json")).encode(PROMPT).ids
    text = complete(client).choices[0].text
    for prompt in (ids, [PROMPT, PROMPT, PROMPT], [ids, ids], [PROMPT, ids]):
        answer = complete(client, prompt=prompt)
        count = 1 if prompt is ids else len(prompt)
        assert [(choice.index, choice.text) for choice in answer.choices] == [(index, text) for index in range(count)]
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (count * len(ids), count * 16)


def test_a_stream(client: OpenAI) -> None:
    """Chunks of two prompts, distinguished by their index, are together the same as unstreamed."""
    chunks = list(
        client.completions.create(
            model="support-bot", prompt=[PROMPT, "Hello"], temperature=0, stream=True, stream_options={"include_usage": True}
        )
    )
    whole = complete(client, prompt=[PROMPT, "Hello"])
    for choice in whole.choices:
        parts = [part for chunk in chunks for part in chunk.choices if part.index == choice.index]
        assert "".join(part.text for part in parts) == choice.text
        assert [part.finish_reason for part in parts] == [None] * (len(parts) - 1) + ["length"]
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)


def test_logprobs(client: OpenAI) -> None:
    """Tokens with their places in the text; the most likely ones beside them; 0 asks for the chosen one alone."""
    choice = complete(client, logprobs=2).choices[0]
    logprobs = choice.logprobs
    assert logprobs is not None
    assert len(logprobs.tokens or []) == len(logprobs.token_logprobs or []) == 16
    assert all(len(top) <= 2 for top in logprobs.top_logprobs or [])
    for token, offset in zip(logprobs.tokens or [], logprobs.text_offset or [], strict=True):
        assert "\ufffd" in token or choice.text[offset : offset + len(token)] == token
    alone = complete(client, logprobs=0).choices[0].logprobs
    assert alone is not None
    assert alone.token_logprobs == pytest.approx(logprobs.token_logprobs, abs=1e-4)


def test_models(client: OpenAI) -> None:
    """The served model, in the list and alone; another name is OpenAI's 404."""
    (listed,) = client.models.list().data
    assert listed == client.models.retrieve("support-bot")
    assert (listed.id, listed.object) == ("support-bot", "model")
    with pytest.raises(NotFoundError) as refused:
        client.models.retrieve("gpt-4")
    assert refused.value.code == "model_not_found"
