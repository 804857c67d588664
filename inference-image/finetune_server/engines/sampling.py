"""How the next token is chosen from the model's logits. Each request has its own random numbers."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]
"""Shape (vocabulary,)."""

NUCLEUS_CANDIDATES = 1024
"""top_p considers this many of the most likely tokens first, and sorts the whole vocabulary only if they do not suffice."""


@dataclass(frozen=True)
class SamplingParameters:
    """As in OpenAI's API. Temperature 0 is greedy: the most likely token, and the lowest id among equals."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    """The same seed and request give the same answer; None: a random seed."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0


class Sampler:
    """Chooses the tokens of one answer and counts them for the penalties."""

    def __init__(self, parameters: SamplingParameters) -> None:
        self._parameters = parameters
        self._random = np.random.default_rng(None if parameters.seed is None else parameters.seed % 2**64)
        self._chosen: Counter[int] = Counter()

    def choose(self, logits: Logits) -> int:
        """The next token's id. Does not change `logits`."""
        logits = self._penalised(logits)
        token = int(np.argmax(logits)) if self._parameters.temperature == 0 else self._sample(logits)
        self._chosen[token] += 1
        return token

    def _penalised(self, logits: Logits) -> Logits:
        presence, frequency = self._parameters.presence_penalty, self._parameters.frequency_penalty
        if not self._chosen or (presence == 0 and frequency == 0):
            return logits
        tokens = np.fromiter(self._chosen.keys(), dtype=np.int64)
        counts = np.fromiter(self._chosen.values(), dtype=np.float32)
        logits = logits.copy()
        logits[tokens] -= (presence + frequency * counts).astype(np.float32)
        return logits

    def _sample(self, logits: Logits) -> int:
        scaled = (logits - logits.max()).astype(np.float64) / self._parameters.temperature
        weights = np.exp(scaled)
        tokens = np.arange(len(weights))
        if self._parameters.top_p < 1:
            tokens = nucleus(weights, self._parameters.top_p)
            weights = weights[tokens]
        cumulated = np.cumsum(weights)
        drawn = self._random.random() * cumulated[-1]
        return int(tokens[np.searchsorted(cumulated, drawn, side="right")])


def nucleus(weights: NDArray[np.float64], top_p: float) -> NDArray[np.int64]:
    """The smallest set of most likely tokens with `top_p` of the sum of weights, most likely first; at least one."""
    wanted = top_p * weights.sum()
    count = min(NUCLEUS_CANDIDATES, len(weights))
    candidates = np.argpartition(weights, -count)[-count:]
    if weights[candidates].sum() < wanted:
        candidates = np.arange(len(weights))
    candidates = candidates[np.lexsort((candidates, -weights[candidates]))]
    kept = int(np.searchsorted(np.cumsum(weights[candidates]), wanted)) + 1
    return candidates[:kept]


def log_softmax(logits: Logits) -> NDArray[np.float64]:
    """Natural logarithms of the probabilities, shape (vocabulary,)."""
    shifted = (logits - logits.max()).astype(np.float64)
    logprobs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return logprobs
