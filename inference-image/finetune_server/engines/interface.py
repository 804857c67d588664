"""The interface between the HTTP side and an engine: token ids in, events or logits out.

Text is not known here: tokenising, stop strings and detokenising belong to the HTTP side.
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
    """At least 1; prompt and max_tokens together fit into the engine's context."""
    sampling: SamplingParameters
    top_logprobs: int | None = None
    """None: no log-probabilities. n: those of the chosen token and of the n most likely ones."""


@dataclass(frozen=True)
class TokenLogprobs:
    """Natural logarithms of the model's own probabilities, before temperature, penalties and top_p."""

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
    """stop: the model said so with an end token, which is counted but not sent. length: max_tokens is reached."""
    tokens: int
    """Tokens that were generated, the end token included."""


@dataclass(frozen=True)
class Failed:
    """The engine broke; no event follows."""

    message: str


Event = Token | Finished | Failed
Listener = Callable[[Event], object]
"""Called from the engine's own thread; must not block."""


@dataclass(frozen=True)
class EncoderRow:
    """One input of a classifier."""

    ids: tuple[int, ...]
    type_ids: tuple[int, ...]
    """Of the same length: 1 for the second text of a pair."""


@dataclass(frozen=True)
class EncodingRequest:
    """Inputs whose logits are wanted together; at least one, none longer than the engine's context."""

    rows: tuple[EncoderRow, ...]


@dataclass(frozen=True)
class Encoded:
    """All logits of a request, in the order of its rows; no event follows."""

    logits: tuple[NDArray[np.float32], ...]
    """Each of shape (labels,), or (tokens of the row, labels) when every token is judged."""


EncoderListener = Callable[[Encoded | Failed], object]
"""Called once, from the engine's own thread; must not block."""


@dataclass(frozen=True)
class Load:
    """How busy an engine is, in requests."""

    running: int
    waiting: int


class QueueFull(Exception):
    """As many requests wait as may wait: the client has to come back later."""


class EngineStopped(Exception):
    """The engine broke or was closed and takes no request any more."""


class Ticket(Protocol):
    """A submitted request."""

    def cancel(self) -> None:
        """Frees its place before the engine's next step; no event follows for long. May be called at any time, and again."""


class Engine(Protocol):
    """Answers many requests at once. Its methods may be called from any thread and return at once."""

    @property
    def context_length(self) -> int:
        """Prompt and answer together, or one input of a classifier, in tokens."""

    @property
    def vocabulary_size(self) -> int:
        """Prompts hold token ids below this; a tokenizer may know more than the model has weights for."""

    @property
    def capacity(self) -> int:
        """Requests that can run and wait together."""

    @property
    def failed(self) -> bool:
        """True when it broke and answers no more."""

    def load(self) -> Load:
        """The number of requests that run and that wait."""

    def close(self) -> None:
        """Ends the engine's thread; requests that still run fail."""


class GenerationEngine(Engine, Protocol):
    """Continues prompts."""

    def submit(self, request: GenerationRequest, listener: Listener) -> Ticket:
        """Queues a request. Raises QueueFull or EngineStopped."""


@dataclass(frozen=True)
class BatchCounts:
    """What an encoder engine has computed since its start."""

    batches: int = 0
    rows: int = 0
    tokens: int = 0
    """Of the rows themselves."""
    padding: int = 0
    """Tokens that were computed only because rows of a batch differ in length."""


class EncoderEngine(Engine, Protocol):
    """Gives logits."""

    def submit(self, request: EncodingRequest, listener: EncoderListener) -> Ticket:
        """Queues a request. Raises QueueFull or EngineStopped."""

    def counts(self) -> BatchCounts:
        """What it has computed so far."""
