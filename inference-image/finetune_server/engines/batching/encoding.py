"""One request on its way through the encoder's batches."""

import bisect

import numpy as np
from numpy.typing import NDArray

from finetune_server.engines.batching.batcher import NOT_FINITE, Request
from finetune_server.engines.interface import Encoded, EncoderListener, EncodingRequest


class Encoding(Request):
    """A request with the rows that are left and the logits that are there."""

    def __init__(self, request: EncodingRequest, listener: EncoderListener) -> None:
        super().__init__(listener)
        self.request = request
        self._listener = listener
        self._left = sorted((len(row.ids), index) for index, row in enumerate(request.rows))
        """(tokens, index) of the rows that are in no batch yet, shortest first."""
        self._logits: list[NDArray[np.float32] | None] = [None] * len(request.rows)
        self._missing = len(request.rows)

    @property
    def longest(self) -> int | None:
        """Tokens of the longest row that is left; None when all are taken."""
        return self._left[-1][0] if self._left else None

    def take_rows(self, shortest: int, longest: int, count: int) -> list[int]:
        """Takes at most `count` rows of so many tokens, the longest ones first; returns their indexes."""
        end = bisect.bisect_right(self._left, (longest, len(self._logits)))
        start = max(bisect.bisect_left(self._left, (shortest, 0), hi=end), end - count)
        taken = self._left[start:end]
        del self._left[start:end]
        return [index for _, index in reversed(taken)]

    def take(self, index: int, logits: NDArray[np.float32]) -> bool:
        """Keeps a row's logits; True when they were the last ones."""
        self._logits[index] = logits
        self._missing -= 1
        return self._missing == 0

    def finish(self) -> None:
        """Tells the listener."""
        logits = tuple(row for row in self._logits if row is not None)
        if all(np.isfinite(row).all() for row in logits):
            self._listener(Encoded(logits))
        else:
            self.fail(NOT_FINITE)
