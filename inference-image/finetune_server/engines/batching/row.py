"""One request on its way through the batcher."""

import numpy as np

from finetune_server.engines.batching.batcher import NOT_FINITE, Request
from finetune_server.engines.interface import Finished, FinishReason, GenerationRequest, Listener, Token, TokenLogprobs
from finetune_server.engines.sampling import Logits, Sampler, log_softmax


class Row(Request):
    """A request with its slot and position."""

    def __init__(self, request: GenerationRequest, listener: Listener) -> None:
        super().__init__(listener)
        self.request = request
        self.slot = -1
        self.prefilled = 0
        """Prompt tokens whose keys and values are in the slot."""
        self.last_token = -1
        """The newest generated token, which the next decode step takes in."""
        self.generated = 0
        self._listener = listener
        self._sampler = Sampler(request.sampling)

    @property
    def decoding(self) -> bool:
        """True when the whole prompt is in the slot."""
        return self.prefilled == len(self.request.prompt)

    @property
    def length(self) -> int:
        """Tokens that the slot holds after the next step over it: the prompt's so far, the generated ones, at least one."""
        return self.prefilled + (self.generated if self.decoding else 1)

    def take(self, logits: Logits, end_tokens: frozenset[int]) -> bool:
        """Chooses the next token and tells the listener; True when it was the last one.

        Logits that are no numbers end this row alone: the others of the batch do not depend on them.
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
