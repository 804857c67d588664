"""The interface between the HTTP side and an engine: token ids in, events or logits out.

It knows no text: tokenising, stop strings and detokenising belong to the HTTP side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from finetune_server.engines.sampling import SamplingParameters

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt to continue."""

    prompt: tuple[int, ...]
    max_tokens: int
    """At least 1; prompt and max_tokens together must fit into the engine's context."""
    sampling: SamplingParameters
    top_logprobs: int | None = None
    """Number of most likely tokens whose log-probabilities are wanted in addition to the chosen one's; None: none at all."""


@dataclass(frozen=True)
class TokenLogprobs:
    """Natural logarithms of the model's probabilities, before temperature, penalties and top_p."""

    chosen: float
    top: tuple[tuple[int, float], ...]
    """(token id, log-probability), most likely first."""


@dataclass(frozen=True)
class Token:
    """The next token of the answer."""

    id: int
    logprobs: TokenLogprobs | None = None


@dataclass(frozen=True)
class Finished:
    """The answer is complete; no event follows."""

    reason: FinishReason
    """stop: the model generated an end token, which is counted but not sent. length: max_tokens is reached."""
    tokens: int
    """Generated tokens, including the end token."""


@dataclass(frozen=True)
class Failed:
    """The request or the engine failed; no event follows."""

    message: str


Event = Token | Finished | Failed
Listener = Callable[[Event], object]
"""Called from the engine's own thread; must not block."""


@dataclass(frozen=True)
class EncoderRow:
    """One input of an encoder."""

    ids: tuple[int, ...]
    type_ids: tuple[int, ...]
    """Of the same length; 1 for the second text of a pair."""


@dataclass(frozen=True)
class EncodingRequest:
    """At least one input; none is longer than the engine's context."""

    rows: tuple[EncoderRow, ...]


@dataclass(frozen=True)
class Encoded:
    """All answers of a request, in the order of its rows; no event follows."""

    logits: tuple[NDArray[np.float32], ...]
    """Each of shape (labels,), (tokens of the row, labels) for token classification, or (dimensions,) for embeddings."""


EncoderListener = Callable[[Encoded | Failed], object]
"""Called once, from the engine's own thread; must not block."""


@dataclass(frozen=True)
class Load:
    """Number of requests in an engine."""

    running: int
    waiting: int


class QueueFull(Exception):
    """The queue is full: the client has to retry later."""


class EngineStopped(Exception):
    """The engine failed or was closed and accepts no more requests."""


class Ticket(Protocol):
    """A submitted request."""

    def cancel(self) -> None:
        """Frees its place before the engine's next step, after which no event follows. May be called at any time and repeatedly."""


class Engine(Protocol):
    """Processes many requests concurrently. Its methods are thread-safe and do not block."""

    @property
    def context_length(self) -> int:
        """Maximum tokens of prompt and answer together, or of one input of a classifier."""

    @property
    def vocabulary_size(self) -> int:
        """Token ids are below it; a tokenizer may know more tokens than the model has weights for."""

    @property
    def capacity(self) -> int:
        """Maximum number of requests that run or wait."""

    @property
    def failed(self) -> bool:
        """True if it failed and processes no more requests."""

    def load(self) -> Load:
        """Number of running and waiting requests."""

    def close(self) -> None:
        """Ends the engine's thread; remaining requests fail."""


class GenerationEngine(Engine, Protocol):
    """Continues prompts."""

    def submit(self, request: GenerationRequest, listener: Listener) -> Ticket:
        """Queues a request. Raises QueueFull or EngineStopped."""


@dataclass(frozen=True)
class BatchCounts:
    """Counters of an encoder engine since its start."""

    batches: int = 0
    rows: int = 0
    tokens: int = 0
    """Without padding."""
    padding: int = 0
    """Tokens computed only because rows of a batch differ in length."""


class EncoderEngine(Engine, Protocol):
    """Computes logits or vectors."""

    def submit(self, request: EncodingRequest, listener: EncoderListener) -> Ticket:
        """Queues a request. Raises QueueFull or EngineStopped."""

    def counts(self) -> BatchCounts:
        """Its counters."""
