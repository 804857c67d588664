"""Rows that say nearly the same."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_trainer.data.profile.near_duplicates import (
    NEAR,
    Pairs,
    Sketches,
    chosen,
    clusters,
    digest,
    near_pairs,
    sketch,
)
from finetune_trainer.data.profile.profile import Hashes
from finetune_trainer.tasks import TASKS
from finetune_trainer.tasks.completion import Completion
from finetune_trainer.tasks.conversation import Conversation, FunctionCall, Message, ToolCall
from finetune_trainer.tasks.rows import Row
from finetune_trainer.tasks.sequence_classification import TextLabel
from finetune_trainer.tasks.summarization import Summary
from finetune_trainer.tasks.token_classification import TokenTags

LONG = "The printer on the second floor stops after every page and shows that it has no paper, which is not true at all."
CALL = Message("assistant", tool_calls=[ToolCall(FunctionCall("weather", '{"city": "Bern"}'))])


def sketched(*texts: str) -> Sketches:
    """Sketches of rows with these texts."""
    rows = [(f"line {number}", TextLabel(text, "a")) for number, text in enumerate(texts, start=1)]
    return sketch(rows, np.ones(len(rows), np.bool_), TASKS["sequence-classification"].text)


def random_prints(count: int) -> Hashes:
    """Hashes of different rows."""
    return np.random.default_rng(0).integers(0, 2**64, count, np.uint64)


def pairs_of(*texts: str) -> list[list[int]]:
    """The near pairs among texts."""
    found: Pairs = near_pairs(sketched(*texts).digests, random_prints(len(texts)))
    return sorted(found.tolist())


@pytest.mark.parametrize(
    "text, other, near",
    [
        (LONG, LONG.upper(), True),
        (LONG, LONG.replace(" ", "  ") + "\n", True),
        (LONG, LONG.replace("second", "third"), True),
        (LONG, LONG + " Please help!", True),
        (LONG, LONG[: len(LONG) // 2], False),
        (LONG, "I cannot log in with the new password that you sent to me.", False),
        ("Question 17", "Question 18", False),
        ("What is the capital of France?", "What is the capital of Spain?", False),
        ("ok", "OK ", True),
        ("a", "b", False),
        ("东京的天气怎么样，今天下午会不会下雨，我要不要带伞", "东京的天气怎么样，今天下午会不会下雨，我要不要带伞？", True),
        ("", "", True),
    ],
)
def test_what_is_near(text: str, other: str, near: bool) -> None:
    """Case, white space and a word in a longer text make no difference; a word in a short one does."""
    assert pairs_of(text, other) == ([[0, 1]] if near else [])


def test_a_heap_of_near_rows_is_connected() -> None:
    """Without comparing each with each."""
    count = 500
    sketches = sketched(*(LONG + " " * number + "!" * (number % 3) for number in range(count)))
    pairs = near_pairs(sketches.digests, random_prints(count))
    assert len(pairs) < 20 * count
    assert set(clusters(count, pairs).tolist()) == {0}


def test_planted_pairs_are_found() -> None:
    """All of them, and nothing else."""
    random = Random(1)
    words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 8))) for _ in range(2000)]
    texts = [" ".join(random.choices(words, k=60)) for _ in range(400)]
    twins = [text.replace(text.split()[5], "other", 1) for text in texts[:50]]
    assert pairs_of(*texts, *twins) == [[number, 400 + number] for number in range(50)]


def test_the_digests_are_the_same_on_every_machine() -> None:
    """Numbers written down once: a change would move near rows between the sides of existing jobs."""
    assert digest([LONG.lower().encode()])[0, :3].tolist() == [177550688 % 256, 192066422 % 256, 309265989 % 256]


def test_digests_do_not_depend_on_what_is_sketched_together() -> None:
    """A text's digest is its own."""
    alone = [digest([text])[0] for text in (b"", b"abc", LONG.encode())]
    assert np.array_equal(digest([b"", b"abc", LONG.encode()]), np.stack(alone))


def test_only_the_wanted_rows_are_sketched() -> None:
    """Each with its number and its place."""
    rows = [(f"line {number}", TextLabel(str(number), "a")) for number in range(5)]
    found = sketch(rows, np.array([False, True, False, False, True]), TASKS["sequence-classification"].text)
    assert found.rows.tolist() == [1, 4]
    assert found.where == ["line 1", "line 4"]
    assert found.digests.shape[0] == 2


def test_of_a_large_file_a_draw_is_compared() -> None:
    """Which does not depend on the order, and takes wanted rows only."""
    hashes = np.array([9, 3, 7, 1, 5, 2], np.uint64)
    wanted = np.array([True, True, True, False, True, True])
    assert chosen(hashes, wanted, 5).tolist() == wanted.tolist()
    assert chosen(hashes, wanted, 2).tolist() == [False, True, False, False, False, True]


@given(pairs=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_clusters_are_what_pairs_connect(pairs: list[tuple[int, int]]) -> None:
    """By a chain of any length."""
    found = clusters(20, np.array(pairs, np.int64).reshape(-1, 2)).tolist()
    sets = [{number} for number in range(20)]
    for first, second in pairs:
        both = sets[first] | sets[second]
        for number in both:
            sets[number] = both
    assert [min(rows) for rows in sets] == found


@pytest.mark.parametrize(
    "task, row, text",
    [
        ("chat", Conversation([Message("system", "s"), Message("user", "q"), CALL, Message("tool", "9"), Message("assistant", "a")]),
         'q\n{"city": "Bern"}\n9\na'),
        ("completion", Completion("p", "c"), "p\nc"),
        ("summarization", Summary("d", "s"), "d\ns"),
        ("sequence-classification", TextLabel("t", "l"), "t"),
        ("sequence-classification", TextLabel("t", "l", "u"), "t\nu"),
        ("token-classification", TokenTags(["a", "b"], ["O", "O"]), "a b"),
    ],
)  # fmt: skip
def test_what_is_compared_of_a_row(task: str, row: Row, text: str) -> None:
    """What it says, without what many rows share and without its label."""
    assert TASKS[task].text(row) == text


def test_near_is_a_share_of_what_two_texts_have_together() -> None:
    """Jaccard."""
    assert 0.8 <= NEAR <= 0.9
