"""The slot batcher: its thread lets rows of different length decode together while new ones join and others leave.

Each turn of the loop prefills one chunk of the oldest unfinished prompt and then decodes one token of every other row, so
neither a long prompt nor a long answer delays the others. It knows no text and no HTTP.
"""

import heapq
import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from finetune_server.engines.batching.batcher import NOT_FINITE, Batcher, Request
from finetune_server.engines.interface import Finished, FinishReason, GenerationRequest, Listener, Token, TokenLogprobs
from finetune_server.engines.sampling import Logits, Sampler, log_softmax

PREFILL_CHUNK = 64
"""Tokens of a prompt in one run: other rows wait for it, and a graph may make logits for every position (vocabulary x 4 bytes each)."""


class Decoder(Protocol):
    """A loaded model with a key-value memory of fixed slots. Only the batcher's thread calls it."""

    @property
    def vocabulary_size(self) -> int:
        """Logits per token."""
        ...

    def prefill(self, slot: int, tokens: Sequence[int], start: int, /) -> Logits:
        """Appends a chunk of a prompt to a slot that holds `start` tokens; returns the logits after its last token."""
        ...

    def decode(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], /) -> NDArray[np.float32]:
        """One step of the first `len(tokens)` slots.

        tokens[i] becomes token number lengths[i] of slot i (lengths count it already). Returns logits, shape (slots, vocabulary).
        """
        ...


class Row(Request):
    """A request with its slot and position."""

    def __init__(self, request: GenerationRequest, listener: Listener) -> None:
        super().__init__(listener)
        self.request = request
        self.slot = -1
        self.prefilled = 0
        """Prompt tokens whose keys and values are in the slot."""
        self.last_token = -1
        """The newest generated token, the input of the next decode step."""
        self.generated = 0
        self._listener = listener
        self._sampler = Sampler(request.sampling)

    @property
    def decoding(self) -> bool:
        """True if the whole prompt is in the slot."""
        return self.prefilled == len(self.request.prompt)

    @property
    def length(self) -> int:
        """Number of tokens in the slot after its next step; at least one."""
        return self.prefilled + (self.generated if self.decoding else 1)

    def take(self, logits: Logits, end_tokens: frozenset[int]) -> bool:
        """Chooses the next token and sends it to the listener; True if it was the last one.

        Logits that are not finite fail this row only: the other rows of the batch do not depend on them.
        """
        if not np.isfinite(logits.max()):
            self.fail(NOT_FINITE)
            return True
        self.last_token = self._sampler.choose(logits)
        self.generated += 1
        if self.last_token in end_tokens:
            return self._finish("stop")
        self._listener(Token(self.last_token, self._logprobs(logits)))
        return self.generated == self.request.max_tokens and self._finish("length")

    def _finish(self, reason: FinishReason) -> bool:
        self._listener(Finished(reason, self.generated))
        return True

    def _logprobs(self, logits: Logits) -> TokenLogprobs | None:
        count = self.request.top_logprobs
        if count is None:
            return None
        logprobs = log_softmax(logits)
        top = np.argpartition(logprobs, -count)[-count:] if count else np.empty(0, dtype=np.int64)
        top = top[np.argsort(-logprobs[top], kind="stable")]
        return TokenLogprobs(float(logprobs[self.last_token]), tuple((int(i), float(logprobs[i])) for i in top))


class SlotBatcher(Batcher[Row]):
    """A `GenerationEngine` (finetune_server.engines.interface) over one decoder."""

    def __init__(self, decoder: Decoder, end_tokens: frozenset[int], *, slots: int, context_length: int, max_queue: int) -> None:
        super().__init__("slot-batcher", max_running=slots, max_queue=max_queue)
        self.context_length = context_length
        self.vocabulary_size = decoder.vocabulary_size
        self._decoder = decoder
        self._end_tokens = end_tokens
        self._free = list(range(slots))
        """A heap: the lowest free slot is taken first, so that the span of slots that a decode step runs over stays short."""
        self._thread.start()

    def submit(self, request: GenerationRequest, listener: Listener) -> Row:
        """Queues a request. Raises QueueFull or EngineStopped."""
        assert request.prompt, "a prompt holds at least one token"
        assert len(request.prompt) + request.max_tokens <= self.context_length, "the HTTP side checks the context limit"
        return self._queue(Row(request, listener))

    def _turn(self) -> None:
        self._prefill()
        self._decode()

    def _start_waiting(self) -> None:
        while self._free and self._waiting:
            row = self._waiting.popleft()
            row.slot = heapq.heappop(self._free)
            self._running.append(row)

    def _drop_running(self) -> None:
        if threading.current_thread() is self._thread:  # a slot may be reused only between two steps
            for row in [row for row in self._running if row.cancelled]:
                self._leave(row)

    def _leave(self, row: Row) -> None:
        self._running.remove(row)
        heapq.heappush(self._free, row.slot)

    def _prefill(self) -> None:
        row = next((row for row in self._running if not row.decoding), None)
        if row is None:
            return
        chunk = row.request.prompt[row.prefilled : row.prefilled + PREFILL_CHUNK]
        logits = self._decoder.prefill(row.slot, chunk, row.prefilled)
        row.prefilled += len(chunk)
        if row.decoding:
            self._advance(row, logits)

    def _decode(self) -> None:
        """One token for each decoding row. The other slots in the span take part with a token whose result is not used:
        its keys and values are at the position that the row's next chunk, or the slot's next row, overwrites first."""
        rows = [row for row in self._running if row.decoding]
        if not rows:
            return
        tokens = np.zeros(max(row.slot for row in rows) + 1, dtype=np.int64)
        lengths = np.ones_like(tokens)
        for row in self._running:
            if row.slot < len(tokens):
                lengths[row.slot] = row.length
                tokens[row.slot] = max(row.last_token, 0)
        logits = self._decoder.decode(tokens, lengths)
        for row in rows:
            self._advance(row, logits[row.slot])

    def _advance(self, row: Row, logits: Logits) -> None:
        if row.take(logits, self._end_tokens):
            with self._changed:
                self._leave(row)
