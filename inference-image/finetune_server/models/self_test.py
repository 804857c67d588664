"""Sends a test request to a model: a model that cannot answer it is not ready."""

import queue

import numpy as np

from finetune_server.classification.classes import Classes
from finetune_server.classification.tokenizer import RequestTokenizer
from finetune_server.engines.interface import (
    Encoded,
    EncoderEngine,
    EncodingRequest,
    Event,
    Failed,
    GenerationEngine,
    GenerationRequest,
)
from finetune_server.engines.sampling import SamplingParameters
from finetune_server.model_directory import UnusableModel
from finetune_text.prompts import Prompts

TIMEOUT = 120.0
"""Seconds for one token or one input of a classifier."""


def ask_for_a_token(engine: GenerationEngine, prompts: Prompts) -> None:
    """Generates one token. Raises UnusableModel if the engine cannot."""
    prompt = tuple(prompts.text("Hello"))
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    engine.submit(GenerationRequest(prompt, 1, SamplingParameters(temperature=0)), events.put)
    first_of(events)


def ask_for_classes(engine: EncoderEngine, tokenizer: RequestTokenizer, classes: Classes) -> None:
    """Classifies one text. Raises UnusableModel unless there is one logit per class."""
    (greeting,) = tokenizer.encode(["Hello"], truncate=True)
    events: queue.SimpleQueue[Event | Encoded] = queue.SimpleQueue()
    engine.submit(EncodingRequest((greeting.row,)), events.put)
    event = first_of(events)
    found = event.logits[0].shape[-1] if isinstance(event, Encoded) else 0
    if found != len(classes.names):
        wanted = len(classes.names)
        raise UnusableModel(f"self-test: the engine returns {found} logits, and the model has {wanted} labels; publish the model again")


def ask_for_a_vector(engine: EncoderEngine, tokenizer: RequestTokenizer, dimensions: int) -> None:
    """Embeds one text. Raises UnusableModel unless the answer is a vector of length 1."""
    (greeting,) = tokenizer.encode(["Hello"], truncate=True)
    events: queue.SimpleQueue[Event | Encoded] = queue.SimpleQueue()
    engine.submit(EncodingRequest((greeting.row,)), events.put)
    event = first_of(events)
    found = event.logits[0] if isinstance(event, Encoded) else np.zeros(0)
    if found.shape != (dimensions,) or not np.isclose(np.linalg.norm(found), 1, atol=1e-3):
        raise UnusableModel(
            f"self-test: the engine returns a vector of {found.shape[-1]} numbers and length {np.linalg.norm(found):.3f}, expected one of "
            f"{dimensions} numbers and length 1; publish the model again"
        )


def first_of(events: "queue.SimpleQueue[Event] | queue.SimpleQueue[Event | Encoded]") -> Event | Encoded:
    """The engine's first event. Raises UnusableModel if it is a failure or does not arrive within `TIMEOUT`."""
    try:
        event = events.get(timeout=TIMEOUT)
    except queue.Empty:
        raise UnusableModel(f"self-test: no answer within {TIMEOUT:.0f} s; give the server more CPU or a smaller model") from None
    if isinstance(event, Failed):
        raise UnusableModel(f"self-test: {event.message}")
    return event
