"""Logits that are no numbers."""

import queue
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune_server.engines.batching.encoder_batcher import EncoderBatcher
from finetune_server.engines.batching.slot_batcher import SlotBatcher
from finetune_server.engines.interface import Encoded, EncoderRow, EncodingRequest, Event, Failed, Finished, GenerationRequest, Token
from finetune_server.engines.sampling import SamplingParameters

pytestmark = pytest.mark.unit

BAD = 7
"""A token that makes the model compute nonsense."""


class Decoder:
    """A graph whose next token is 1, but not behind the bad one."""

    vocabulary_size = 8

    def prefill(self, _slot: int, tokens: Sequence[int], _start: int, /) -> NDArray[np.float32]:
        """The logits after a chunk."""
        return logits_after(tokens[-1])

    def decode(self, tokens: NDArray[np.int64], _lengths: NDArray[np.int64], /) -> NDArray[np.float32]:
        """Those of a step."""
        return np.stack([logits_after(int(token)) for token in tokens])


def logits_after(token: int) -> NDArray[np.float32]:
    """Token 1 is certain, but behind the bad one."""
    logits = 100 * np.eye(Decoder.vocabulary_size, dtype=np.float32)[1]
    if token == BAD:
        logits[3] = np.nan
    return logits


@pytest.mark.parametrize("temperature", [0, 1])
def test_a_row_of_a_decoder(temperature: float) -> None:
    """The row ends with an error; those beside it and behind it in its slot are answered."""
    batcher = SlotBatcher(Decoder(), frozenset(), slots=2, context_length=64, max_queue=4)
    events: list[queue.SimpleQueue[Event]] = [queue.SimpleQueue() for _ in range(4)]
    for prompt, sink in zip((1, BAD, BAD, 1), events, strict=True):
        batcher.submit(GenerationRequest((prompt,), 3, SamplingParameters(temperature=temperature, seed=1)), sink.put)
    found = [[sink.get(timeout=30) for _ in range(count)] for sink, count in zip(events, (4, 1, 1, 4), strict=True)]
    batcher.close()
    for answered in (found[0], found[3]):
        assert [type(event) for event in answered] == [Token, Token, Token, Finished]
    for failed in (found[1], found[2]):
        assert isinstance(failed[0], Failed) and "not finite for this request" in failed[0].message
    assert not batcher.failed


class Encoder:
    """A network of two labels."""

    def run(self, rows: list[EncoderRow]) -> list[NDArray[np.float32]]:
        """Nonsense for rows that hold the bad token."""
        return [np.array([0, np.inf if BAD in row.ids else 1], dtype=np.float32) for row in rows]


def test_a_row_of_a_classifier() -> None:
    """Only the request that the row belongs to fails."""
    batcher = EncoderBatcher(Encoder(), context_length=8, vocabulary_size=8, max_running=2, max_queue=2)
    answers: list[queue.SimpleQueue[Encoded | Failed]] = [queue.SimpleQueue() for _ in range(2)]
    for ids, sink in zip(((1, 2), (1, BAD)), answers, strict=True):
        batcher.submit(EncodingRequest((EncoderRow((1,), (0,)), EncoderRow(ids, (0, 0)))), sink.put)
    good, bad = (sink.get(timeout=30) for sink in answers)
    batcher.close()
    assert isinstance(good, Encoded)
    assert isinstance(bad, Failed) and not batcher.failed
