"""Greedy parity: what is compared, and how a difference is reported."""

from pathlib import Path

import numpy as np
import pytest

from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts.onnx.decoder import Decoder, Logits, answer_greedily
from finetune_trainer.artifacts.onnx.language_model import onnx_answers, tokens_as_text
from finetune_trainer.artifacts.onnx.parity import TOKENS, Comparison, choices, compare, prove_parity
from finetune_trainer.failure import StageFailure
from finetune_trainer.language_model.model import load_model

pytestmark = pytest.mark.trainer
END = 9
Rows = list[tuple[list[int], list[bool]]]


def preferring(token: int, margin: float = 1.0) -> Logits:
    """Logits of ten tokens with one favourite."""
    logits = np.zeros(10, np.float32)
    logits[token] = margin
    return logits


def scripted(*tokens: int) -> Decoder:
    """A decoder that prefers these tokens one after another."""
    remaining = list(tokens)
    return lambda _: preferring(remaining.pop(0))


@pytest.mark.parametrize(
    ("decoder", "limit", "answer"),
    [(scripted(1, 2, 3, 4), 3, [1, 2, 3]), (scripted(1, END, 3), 3, [1, END]), (scripted(END), 3, [END]), (scripted(1), 1, [1])],
)
def test_an_answer_ends(decoder: Decoder, limit: int, answer: list[int]) -> None:
    """An answer ends at the limit or with an end token."""
    assert answer_greedily(decoder, [5], limit, [END]) == answer


@pytest.mark.parametrize(
    ("answer", "logits", "expected"),
    [
        ([1, 2], [preferring(1), preferring(2)], Comparison(2)),
        ([1, 7], [preferring(1), preferring(2)], Comparison(1, chosen=2)),
        ([4, 2], [preferring(1), preferring(2)], Comparison(0, chosen=1)),
        ([1, END], [preferring(1), preferring(3)], Comparison(1, chosen=3)),
        ([1, 7], [preferring(1), preferring(2, margin=1e-4)], Comparison(1)),
        ([1, 2], [preferring(1), preferring(2, margin=1e-4)], Comparison(1)),
    ],
)
def test_comparison(answer: list[int], logits: list[Logits], expected: Comparison) -> None:
    """Tokens are compared one by one, up to the first that differs or that rounding alone would decide."""
    assert compare(answer, np.stack(logits)) == expected


def test_choices_are_those_of_decoding(tiny: Path, rows: Rows) -> None:
    """PyTorch's own greedy answer agrees with itself: one pass over it finds every token chosen."""
    import torch

    model = load_model(tiny, "fp32", "cpu")
    prompt = rows[0][0][:12]
    generated = model.generate(torch.tensor([prompt]), max_new_tokens=16, do_sample=False)[0].tolist()[12:]
    assert choices(model, prompt, generated).argmax(axis=1).tolist() == generated


def test_another_models_answers_are_told_apart(published: RunConfig, tiny: Path, rows: Rows) -> None:
    """The export of the tuned model fails against the base, naming prompt, token and both words."""
    prompts = [tokens[: supervised.index(True)] for tokens, supervised in rows]
    done: list[int] = []
    answers = onnx_answers(Path(published.paths.model, "onnx/fp32"), prompts, [2], done.append)
    assert done == [1, 2, 3, 4]
    tuned, base = (load_model(folder, "fp32", "cpu") for folder in (Path(published.paths.model, "model"), tiny))
    words = tokens_as_text(tiny / "tokenizer.json")
    parity = prove_parity("onnx/fp32", prompts, answers, tuned, words, done.append)
    assert (parity.prompts, parity.equal, parity.tokens) == (4, 4, TOKENS)
    with pytest.raises(StageFailure, match=r"prompt \d of 4: token \d+ of the answer is \d+ \('.*'\), PyTorch's is") as caught:
        prove_parity("onnx/fp32", prompts, answers, base, words, done.append)
    assert (caught.value.error.code, caught.value.error.param) == ("ParityFailed", "export.onnx")
