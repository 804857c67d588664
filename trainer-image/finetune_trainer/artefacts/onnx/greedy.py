"""Greedy decoding over anything that maps new tokens to the next token's logits. Knows no runtime."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]
Decoder = Callable[[list[int]], Logits]
"""Takes the tokens that follow those of the earlier calls; returns the logits (vocabulary,) after the last of them."""


def answer_greedily(decoder: Decoder, prompt: list[int], limit: int, end_tokens: list[int]) -> list[int]:
    """The most likely token after another, at most `limit` of them; an end token is the answer's last."""
    tokens = [int(decoder(prompt).argmax())]
    while len(tokens) < limit and tokens[-1] not in end_tokens:
        tokens.append(int(decoder(tokens[-1:]).argmax()))
    return tokens
