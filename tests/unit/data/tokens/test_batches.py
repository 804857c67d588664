"""What is tokenised together, and that nothing else depends on it."""

import time

import pytest

from finetune_trainer.data.tokens import batches as room
from finetune_trainer.data.tokens import language
from finetune_trainer.data.tokens.batches import batches
from finetune_trainer.data.tokens.encoded import Encoded
from finetune_trainer.data.tokens.language import LanguageEncoder
from finetune_trainer.data.tokens.texts import TextRenderer
from finetune_trainer.tasks.completion import Completion, CompletionTask
from tests.unit.text.test_prompts import byte_level

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1, 1, 1, 1], [[1, 1, 1], [1]]),
        ([1, 1, 1], [[1, 1, 1]]),
        ([9, 1, 1], [[9, 1], [1]]),
        ([10, 10, 2], [[10], [10], [2]]),
        ([0, 0, 0, 0], [[0, 0, 0], [0]]),
    ],
)
def test_many_short_ones_or_few_long_ones(sizes: list[int], expected: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """At most three, and none more once ten characters are there."""
    monkeypatch.setattr(room, "CHARACTERS", 10)
    assert list(batches(sizes, 3, lambda size: size)) == expected


@pytest.mark.parametrize("limit", ["rows", "characters"])
def test_a_batch_does_not_know_the_others(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are tokenised at once, and however slowly they are written: long prompts are kept as long as they are needed."""
    rows = [(f"line {number}", Completion(f"{number} {'a' * 400}", " Ta")) for number in range(12)]

    def examples(pause: float) -> list[tuple[str, list[int], list[bool]]]:
        found = []
        for example in LanguageEncoder(byte_level(), TextRenderer(CompletionTask().texts), "assistant", 1).encode(rows):
            assert isinstance(example, Encoded)
            found.append((example.where, example.input_ids.tolist(), example.loss_mask.tolist()))
            time.sleep(pause)
        return found

    at_once = examples(0)
    monkeypatch.setattr(*((language, "BATCH", 2) if limit == "rows" else (room, "CHARACTERS", 900)))
    assert examples(0.05) == at_once
    assert len(at_once) == 12
