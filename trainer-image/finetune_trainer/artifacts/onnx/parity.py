"""Proof that an exported model answers as the PyTorch model does: greedy answers, token for token.

An answer is PyTorch's own greedy answer exactly if PyTorch, shown the prompt and the answer, would have chosen each of its
tokens. So one forward pass per prompt replaces a decoding of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from finetune_api.model_directory import Parity
from finetune_trainer.artifacts.onnx.decoder import Logits
from finetune_trainer.failure import StageFailure, invalid

TOKENS = 32
"""Tokens of an answer that are compared."""
UNDECIDED = 1e-3
"""Two best logits closer than this: runtimes that differ by rounding alone may choose either token."""


@dataclass(frozen=True)
class Comparison:
    """One exported answer against PyTorch's choices."""

    compared: int
    """Tokens that were compared: all of the answer, or those before PyTorch was undecided or chose otherwise."""
    chosen: int | None = None
    """PyTorch's token in place of the first that differs; None: equal."""


@torch.inference_mode()
def choices(model: Any, prompt: list[int], answer: list[int]) -> Logits:
    """PyTorch's logits (answer's tokens x vocabulary) for each token of the answer, given all before it."""
    ids = torch.tensor([prompt + answer[:-1]])
    logits: Logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(answer)).logits[0].float().numpy()
    return logits


def compare(answer: Sequence[int], logits: Logits) -> Comparison:
    """Goes along the answer until PyTorch is undecided or would have chosen another token."""
    for i, (token, row) in enumerate(zip(answer, logits, strict=True)):
        second, best = np.partition(row, -2)[-2:]
        if best - second < UNDECIDED:
            return Comparison(i)
        if row.argmax() != token:
            return Comparison(i, int(row.argmax()))
    return Comparison(len(answer))


def prove_parity(
    artifact: str,
    prompts: Sequence[list[int]],
    answers: Sequence[list[int]],
    model: Any,
    text_of: Callable[[int], str],
    show: Callable[[int], None],
) -> Parity:
    """Compares an artifact's answers with `model`; raises StageFailure (ParityFailed) naming prompt and token that differ.

    `text_of` turns a token into text for the message, `show` is called with the number of prompts done.
    """
    differences: list[str] = []
    compared = 0
    for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        result = compare(answer, choices(model, prompt, answer))
        compared = max(compared, result.compared)
        if result.chosen is not None:
            differences.append(f"prompt {i + 1} of {len(prompts)}: {difference(answer, result.compared, result.chosen, text_of)}")
        show(i + 1)
    if differences:
        raise parity_failed(artifact, differences)
    return Parity(artifact=artifact, prompts=len(prompts), equal=len(prompts), tokens=compared)


def difference(answer: Sequence[int], at: int, chosen: int, text_of: Callable[[int], str]) -> str:
    """Where an answer leaves PyTorch's."""
    given = answer[at]
    return f"token {at + 1} of the answer is {given} ({text_of(given)!r}), PyTorch's is {chosen} ({text_of(chosen)!r})"


def parity_failed(artifact: str, differences: list[str]) -> StageFailure:
    """The export is not the model: a new attempt would compute the same."""
    return invalid(
        "ParityFailed",
        f"{artifact} differs from the PyTorch model: {differences[0]}",
        param="export.onnx",
        details=differences[1:],
    )
