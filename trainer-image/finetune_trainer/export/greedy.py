"""Greedy decoding over anything that maps new tokens to the next token's logits. Knows no runtime."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]
Decoder = Callable[[list[int]], Logits]
"""Takes the tokens that follow those of the earlier calls; returns the logits (vocabulary,) after the last of them."""

UNDECIDED = 1e-3
"""Two best logits closer than this: runtimes that differ by rounding alone may choose either token."""


@dataclass(frozen=True)
class Continuation:
    """A greedy answer; it ends with an end token, at the limit, or where the model is undecided."""

    tokens: list[int]
    undecided: bool = False
    """True when it was cut before a token that rounding decides."""


def continue_greedily(decoder: Decoder, prompt: list[int], limit: int, end_tokens: list[int]) -> Continuation:
    """The most likely token after another, at most `limit` of them; an end token is part of the answer."""
    tokens: list[int] = []
    logits = decoder(prompt)
    while len(tokens) < limit:
        second, best = np.partition(logits, -2)[-2:]
        if best - second < UNDECIDED:
            return Continuation(tokens, undecided=True)
        tokens.append(int(logits.argmax()))
        if tokens[-1] in end_tokens or len(tokens) == limit:
            break
        logits = decoder(tokens[-1:])
    return Continuation(tokens)


def follow(decoder: Decoder, prompt: list[int], expected: Continuation) -> tuple[int, int] | None:
    """Decodes greedily and compares; None when equal, else (index of the first differing token, the token chosen instead)."""
    given = prompt
    for i, token in enumerate(expected.tokens):
        chosen = int(decoder(given).argmax())
        if chosen != token:
            return i, chosen
        given = [token]
    return None
