"""Greedy answers equal PyTorch's, token by token, alone and in mixed batches."""

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from finetune_server.engines.interface import Event, Failed, Finished, GenerationEngine, GenerationRequest, Token
from finetune_server.engines.onnx.engine import OnnxEngine
from finetune_server.engines.sampling import SamplingParameters
from finetune_server.model_directory import open_model_directory
from finetune_server.settings import parse_settings

pytestmark = pytest.mark.server

NEW_TOKENS = 24
CONVERSATIONS = [[{"role": "user", "content": "word " * length + "?"}] for length in (1, 90, 3, 40, 7, 150, 15, 64)]
"""Prompts of 8 different lengths: shorter than a chunk of prefill, longer, and in between."""


@dataclass(frozen=True)
class Expected:
    """What PyTorch answers to one conversation."""

    prompt: tuple[int, ...]
    answer: list[int]
    text: str


@pytest.fixture(scope="module")
def expected(hf_model: Path) -> list[Expected]:
    """Transformers' greedy generate in fp32, one conversation at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(hf_model)
    network: Any = AutoModelForCausalLM.from_pretrained(hf_model, dtype=torch.float32)
    found = []
    for conversation in CONVERSATIONS:
        prompt = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            output = network.generate(**prompt, max_new_tokens=NEW_TOKENS, do_sample=False)
        ids = prompt["input_ids"][0].tolist()
        answer = output[0, len(ids) :].tolist()
        found.append(Expected(tuple(ids), answer, tokenizer.decode(answer, skip_special_tokens=True)))
    return found


@pytest.fixture(params=[8, 3], ids=["8 slots", "3 slots"])
def engine(request: pytest.FixtureRequest, model: Path) -> Iterator[GenerationEngine]:
    """The engine in this process: all eight rows together, and rows that join while others decode."""
    slots = str(request.param)
    settings = parse_settings(["--model-dir", str(model), "--served-name", "x", "--max-concurrency", slots, "--max-context", "512"], {})
    engine = OnnxEngine().open_decoder(open_model_directory(model, "onnx", "fp32"), settings)
    yield engine
    engine.close()


def test_tokens_of_the_engine(engine: GenerationEngine, expected: list[Expected]) -> None:
    """Rows of different length that decode together, join and leave give exactly the tokens that PyTorch gives one by one."""
    queues: list[queue.SimpleQueue[Event]] = [queue.SimpleQueue() for _ in expected]
    for row, events in zip(expected, queues, strict=True):
        engine.submit(GenerationRequest(row.prompt, NEW_TOKENS, SamplingParameters(temperature=0)), events.put)
    assert [all_tokens(events) for events in queues] == [[token for token in row.answer if token != 2] for row in expected]


def test_text_over_http(client: OpenAI, expected: list[Expected]) -> None:
    """Eight conversations asked at once are answered with PyTorch's texts, and the prompts have the same lengths."""

    def ask(conversation: list[dict[str, str]]) -> tuple[int, str]:
        answer = client.chat.completions.create(
            model="support-bot",
            messages=conversation,  # type: ignore[arg-type]
            temperature=0,
            max_tokens=NEW_TOKENS,
        )
        assert answer.usage is not None
        return answer.usage.prompt_tokens, answer.choices[0].message.content or ""

    with ThreadPoolExecutor(len(CONVERSATIONS)) as pool:
        found = list(pool.map(ask, CONVERSATIONS))
    assert found == [(len(row.prompt), row.text) for row in expected]


def all_tokens(events: queue.SimpleQueue[Event]) -> list[int]:
    """A row's tokens until it is finished."""
    tokens = []
    while True:
        match events.get(timeout=60):
            case Token(id=token):
                tokens.append(token)
            case Finished():
                return tokens
            case Failed(message=message):
                raise AssertionError(message)
