"""Greedy parity: what is compared, and how a difference is told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetune_api.run_config import RunConfig
from finetune_trainer.export.greedy import Continuation, Decoder, Logits, continue_greedily, follow
from finetune_trainer.export.onnx_decoder import OnnxModel, onnx_decoder
from finetune_trainer.export.parity import check_parity, expected_continuations, tokens_as_text
from finetune_trainer.export.torch_decoder import torch_decoder
from finetune_trainer.failure import StageFailure

pytestmark = pytest.mark.trainer
END = 9


def scripted(*choices: int, margin: float = 1.0) -> Decoder:
    """A decoder that prefers these tokens one after another, by `margin`."""
    remaining = list(choices)

    def decode(tokens: list[int]) -> Logits:
        logits = np.zeros(10, np.float32)
        logits[remaining.pop(0)] = margin
        return logits

    return decode


@pytest.mark.parametrize(
    ("decoder", "limit", "expected"),
    [
        (scripted(1, 2, 3, 4), 3, Continuation([1, 2, 3])),
        (scripted(1, END, 3), 3, Continuation([1, END])),
        (scripted(1, 2, margin=1e-4), 3, Continuation([], undecided=True)),
    ],
)
def test_continuation_ends(decoder: Decoder, limit: int, expected: Continuation) -> None:
    """An answer ends at the limit, after an end token, and before a token that rounding would decide."""
    assert continue_greedily(decoder, [5], limit, [END]) == expected


@pytest.mark.parametrize(
    ("choices", "difference"),
    [((1, 2, 3), None), ((1, 7, 3), (1, 7)), ((4, 2, 3), (0, 4)), ((1, 2, END), (2, END))],
)
def test_first_difference(choices: tuple[int, ...], difference: tuple[int, int] | None) -> None:
    """The first differing token and its place are found."""
    assert follow(scripted(*choices), [5], Continuation([1, 2, 3])) == difference


def test_another_models_answers_are_told_apart(published: RunConfig, tiny: Path, rows: list[tuple[list[int], list[bool]]]) -> None:
    """The export of the tuned model fails against the base's answers, naming prompt, token and both words."""
    from finetune_trainer.publish.weights import load_model

    base = load_model(tiny, "fp32", "cpu")
    exported = OnnxModel(Path(published.paths.model, "onnx/fp32"))
    prompts = [tokens[: supervised.index(True)] for tokens, supervised in rows]
    done: list[int] = []
    expected = expected_continuations(lambda: torch_decoder(base), prompts, [2], done.append)
    assert done == [1, 2, 3, 4]
    words: Callable[[int], str] = tokens_as_text(tiny / "tokenizer.json")
    with pytest.raises(StageFailure, match=r"prompt \d of 4: token \d+ of the answer is \d+ \('.*'\), PyTorch's is") as caught:
        check_parity("onnx/fp32", lambda: onnx_decoder(exported), prompts, expected, words, done.append)
    assert (caught.value.error.code, caught.value.error.param) == ("ParityFailed", "export.onnx")
