"""Texts without a prompt: all of their tokens are learnt, and a model is asked to go on with their beginning."""

from typing import Literal

import pytest

from finetune_trainer.data.tokens.encoded import Encoded
from finetune_trainer.data.tokens.language import OPENING, LanguageEncoder
from finetune_trainer.data.tokens.texts import TextRenderer
from finetune_trainer.tasks.completion import Completion, CompletionTask
from tests.unit.data.tokens.test_language import with_bos

TEXT = "The red kettle stood in the attic. " * 20


@pytest.mark.parametrize("loss_on", ["assistant", "all"])
@pytest.mark.parametrize("text", [TEXT, "a"])
def test_every_token_is_learnt(loss_on: Literal["assistant", "all"], text: str) -> None:
    """Whatever lossOn says; the very first token of the sequence is predicted by nothing."""
    encoder = LanguageEncoder(with_bos(), TextRenderer(CompletionTask().texts), loss_on, end=2)
    (example,) = encoder.encode([("line 1", Completion("", text))])
    assert isinstance(example, Encoded)
    assert example.loss_mask.tolist() == [False] + [True] * (len(example.input_ids) - 1)


@pytest.mark.parametrize("text", [TEXT, "a b", "a"])
def test_a_model_goes_on_with_a_texts_beginning(text: str) -> None:
    """The tokens that were trained, and not all of them."""
    encoder = LanguageEncoder(with_bos(), TextRenderer(CompletionTask().texts), "assistant", end=2)
    (example,) = encoder.encode([("line 1", Completion("", text))])
    prompt = encoder.prompt(Completion("", text))
    assert isinstance(example, Encoded)
    assert prompt
    assert prompt == example.input_ids[: len(prompt)].tolist()
    assert len(prompt) <= min(OPENING, max(1, len(example.input_ids) // 2))
