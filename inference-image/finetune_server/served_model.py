"""A model that is ready to answer: its name, tokenizer, chat template and engine."""

import queue
import time
from dataclasses import dataclass

from finetune_server.chat_template import ChatTemplate, read_chat_template
from finetune_server.engines.interface import Engine, Event, Failed, GenerationRequest
from finetune_server.engines.onnx.engine import open_engine
from finetune_server.model_directory import UnusableModel, open_artifact
from finetune_server.sampling import SamplingParameters
from finetune_server.settings import Settings
from finetune_server.tokenizer import Tokenizer, read_tokenizer

SELF_TEST_TIMEOUT = 120.0
"""Seconds for one token."""


@dataclass(frozen=True)
class ServedModel:
    """Everything that the HTTP side needs of a model."""

    name: str
    created: int
    """Seconds since 1970."""
    fingerprint: str
    """The same for the same weights: OpenAI's system_fingerprint."""
    tokenizer: Tokenizer
    template: ChatTemplate | None
    engine: Engine


def load_model(settings: Settings) -> ServedModel:
    """Verifies, loads and tries the model. Raises UnusableModel."""
    artifact = open_artifact(settings.model_dir, settings.precision)
    tokenizer = read_tokenizer(artifact)
    template = read_chat_template(artifact, tokenizer)
    engine = open_engine(artifact, settings)
    self_test(engine, tokenizer)
    return ServedModel(settings.served_name, int(time.time()), f"fp_{artifact.sha256[:10]}", tokenizer, template, engine)


def self_test(engine: Engine, tokenizer: Tokenizer) -> None:
    """Asks for one token. Raises UnusableModel when the engine cannot give it."""
    prompt = tuple(tokenizer.encode("Hello", add_special_tokens=True))
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    engine.submit(GenerationRequest(prompt, 1, SamplingParameters(temperature=0)), events.put)
    try:
        event = events.get(timeout=SELF_TEST_TIMEOUT)
    except queue.Empty:
        raise UnusableModel(f"self-test: no token within {SELF_TEST_TIMEOUT:.0f} s; give the server more CPU or a smaller model") from None
    if isinstance(event, Failed):
        raise UnusableModel(f"self-test: {event.message}")
