"""Files of examples: written, cut, counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from finetune_text.tags import IGNORED
from finetune_trainer.data.tokens import arrow
from finetune_trainer.data.tokens.arrow import ROWS_PER_BATCH, EncodeStats, ExampleWriter, final_schema, kept_tokens, truncate
from finetune_trainer.data.tokens.encoded import Classified, Encoded, Example, ExampleKind, Paired, Rated


def written(folder: Path, kind: ExampleKind, limit: int, *examples: Example) -> tuple[EncodeStats, list[dict[str, Any]]]:
    """What is left of examples after the cut."""
    with ExampleWriter(folder / "full", kind) as writer:
        for example in examples:
            writer.add(example)
    kept = truncate(folder / "full", folder / "cut", kind, limit, "rows.jsonl")
    with pa.ipc.open_file(str(folder / "cut")) as file:
        assert file.schema.equals(final_schema(kind, "rows.jsonl"), check_metadata=True)
        return kept, file.read_all().to_pylist()


def said(length: int, first: int) -> Encoded:
    """An example that is supervised from `first` on."""
    return Encoded(np.arange(length, dtype=np.int32), np.arange(length) >= first, f"line {length}{first}")


def pair(chosen: list[int], rejected: list[int], prompt: int) -> Paired:
    """A prompt of so many tokens with two answers."""
    sides = [(np.array([0] * prompt + ids, np.int32), np.arange(prompt + len(ids)) >= prompt) for ids in (chosen, rejected)]
    return Paired(*sides[0], "line 1", rejected_ids=sides[1][0], rejected_mask=sides[1][1])


def classified(segments: list[int], labels: list[int]) -> Classified:
    """An example of a classifier."""
    ids = np.arange(len(segments), dtype=np.int32)
    return Classified(ids, np.maximum(segments, 0).astype(np.int8), np.array(labels, np.int32), np.array(segments, np.int8), "line 1")


def test_a_language_model_s_example_loses_its_end(tmp_path: Path) -> None:
    """What has nothing to learn left is dropped; both are counted, and where the dropped ones are and what they need is known."""
    kept, rows = written(tmp_path, "language", 4, said(3, 1), said(6, 2), said(6, 5))
    assert [row["input_ids"] for row in rows] == [[0, 1, 2], [0, 1, 2, 3]]
    assert [row["loss_mask"] for row in rows] == [[False, True, True], [False, False, True, True]]
    assert (kept.lengths.tolist(), kept.supervised.tolist()) == ([3, 4], [2, 2])
    assert (kept.examples, kept.truncated, kept.truncated_tokens, kept.without_target) == (2, 2, 4, 1)
    assert [row["where"] for row in rows] == ["line 31", "line 62"]
    assert (str(kept.cut_off.places), kept.cut_off.needed, kept.nothing.places.count) == ("line 65", 6, 0)


def test_both_sides_of_a_pair_lose_their_ends(tmp_path: Path) -> None:
    """Left out is what has no token of an answer left, or twice the same; both sides are counted, and the longer one needs the room."""
    kept, rows = written(
        tmp_path, "pair", 4, pair([1, 2], [3, 4, 5], 2), pair([1, 2, 3], [1, 2, 4], 2), pair([1], [2], 4), pair([1], [1], 2)
    )
    assert [(row["input_ids"], row["rejected_ids"]) for row in rows] == [([0, 0, 1, 2], [0, 0, 3, 4])]
    assert rows[0]["rejected_mask"] == [False, False, True, True]
    assert (kept.lengths.tolist(), kept.supervised.tolist()) == ([8], [4])
    assert (kept.truncated, kept.truncated_tokens) == (3, 1 + 2 + 2)
    assert (kept.cut_off.places.count, kept.cut_off.needed, kept.nothing.places.count) == (2, 5, 1)


def test_a_rated_answer_keeps_its_label(tmp_path: Path) -> None:
    """It is cut as one that is learned."""
    examples = [Rated(said(size, 2).input_ids, said(size, 2).loss_mask, "line 1", label=np.array([size > 3])) for size in (3, 6)]
    kept, rows = written(tmp_path, "rated", 4, *examples)
    assert [(row["input_ids"], row["label"]) for row in rows] == [([0, 1, 2], [False]), ([0, 1, 2, 3], [True])]
    assert (kept.lengths.tolist(), kept.supervised.tolist(), kept.truncated) == ([3, 4], [1, 2], 1)


def test_what_cannot_be_learnt_at_any_length_is_no_matter_of_the_cut(tmp_path: Path) -> None:
    """It is dropped, and counted separately."""
    kept, rows = written(tmp_path, "language", 4, said(3, 1), said(6, 9), said(2, 7))
    assert len(rows) == 1
    assert (str(kept.nothing.places), kept.cut_off.places.count, kept.without_target) == ("lines 69 and 27", 0, 2)


def test_a_classifier_s_example_keeps_its_special_tokens(tmp_path: Path) -> None:
    """The labels are those of the whole text, and an example without a label is one, too: of several, none may hold."""
    kept, rows = written(tmp_path, "sequence", 5, classified([-1, 0, 0, 0, -1, 1, -1], [2, 3]), classified([-1, 0, -1], []))
    assert rows == [
        {"input_ids": [0, 1, 4, 5, 6], "token_type_ids": [0, 0, 0, 1, 0], "labels": [2, 3], "where": "line 1"},
        {"input_ids": [0, 1, 2], "token_type_ids": [0, 0, 0], "labels": [], "where": "line 1"},
    ]
    assert (kept.supervised.tolist(), kept.truncated, kept.truncated_tokens) == ([1, 1], 1, 2)


def test_tags_are_cut_with_their_tokens(tmp_path: Path) -> None:
    """An example whose tagged words are all cut off teaches nothing."""
    none = IGNORED
    first = classified([-1, 0, 0, 0, -1], [none, 1, none, 2, none])
    second = classified([-1, 0, 0, -1], [none, none, 1, none])
    kept, rows = written(tmp_path, "token", 3, first, second)
    assert [(row["input_ids"], row["labels"]) for row in rows] == [([0, 1, 4], [none, 1, none])]
    assert (kept.supervised.tolist(), kept.without_target) == ([1], 1)


def test_many_examples_make_several_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost between them, and few long ones make one, too."""
    for size in (ROWS_PER_BATCH, 3):
        monkeypatch.setattr(arrow, "TOKENS_PER_BATCH", 4 * size)
        with ExampleWriter(tmp_path / "full", "language") as writer:
            for _ in range(2 * size):
                writer.add(said(4, 1))
        with pa.ipc.open_file(str(tmp_path / "full")) as file:
            assert [file.get_batch(number).num_rows for number in range(file.num_record_batches)] == [size, size]
    kept, rows = written(tmp_path, "language", 100, *[said(2 + number % 5, 1) for number in range(3000)])
    assert [len(row["input_ids"]) for row in rows] == kept.lengths.tolist() == [2 + number % 5 for number in range(3000)]


def test_a_file_that_could_not_be_finished_is_absent(tmp_path: Path) -> None:
    """A later attempt finds nothing half-written."""
    with pytest.raises(KeyError), ExampleWriter(tmp_path / "full", "language") as writer:
        writer.add(said(3, 1))
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def pair_tokenizer() -> Tokenizer:
    """Words are tokens; [0] A [0] B [0]."""
    tokenizer = Tokenizer(WordLevel({"<s>": 0, "a": 1, "b": 2}, unk_token="<s>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="<s> $A <s>", pair="<s> $A <s> $B:1 <s>:1", special_tokens=[("<s>", 0)])
    return tokenizer


@given(first=st.integers(0, 12), second=st.integers(0, 12) | st.none(), limit=st.integers(5, 24))
def test_the_cut_is_tokenizers_own(first: int, second: int | None, limit: int) -> None:
    """LongestFirst, for one text and for two."""
    tokenizer = pair_tokenizer()
    texts = ("a " * first, None if second is None else "b " * second)
    whole = tokenizer.encode(*texts)
    segments = np.array([-1 if number is None else number for number in whole.sequence_ids], np.int8)
    tokenizer.enable_truncation(limit)
    ours = np.array(whole.ids)[kept_tokens(segments, limit)].tolist() if len(whole.ids) > limit else whole.ids
    assert ours == tokenizer.encode(*texts).ids
