"""Labels: what cannot be learnt, and what is odd."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune_trainer.data.profile.dataset_file import ProfiledFile
from finetune_trainer.data.profile.findings import Findings
from finetune_trainer.data.profile.labels import (
    check_labels,
    check_unseen,
    entity_counts,
    entity_notes,
    label_counts,
    label_notes,
    label_strata,
)
from finetune_trainer.data.profile.profile import Profile
from finetune_trainer.data.reading.jsonl import Jsonl
from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.data.rows.shape import Shape
from finetune_trainer.failure import StageFailure
from finetune_trainer.tasks import TASKS, LearnerName
from finetune_trainer.tasks.task import RowLayout

TRAIN = "pvc://data/train.jsonl"
TOO_FEW = "one example is too few to learn from, and none is left to measure with"


def profiled(*rows: tuple[str, ...], multi_label: bool = False) -> Profile:
    """A profile of rows with these labels."""
    sets = tuple(sorted(set(rows)))
    none: Any = np.empty(0)
    return Profile(
        rows_read=len(rows),
        hashes=np.arange(len(rows), dtype=np.uint64),
        invalid=none,
        findings=Findings(TRAIN, "dataset.train.source"),
        turns=none,
        label_ids=np.array([sets.index(row) for row in rows], np.int32),
        label_sets=sets,
        multi_label=multi_label,
    )


def labelled(learner: str = "sequence", profile: Profile | None = None, name: str = TRAIN, side: str = "train") -> ProfiledFile:
    """A file for messages."""
    task = next(task for task in TASKS.values() if task.learner == learner)
    records = RecordFile(Path("rows"), name, f"dataset.{side}.source", "jsonl", "", Jsonl(Path("rows"), ""))
    return ProfiledFile(records, Shape(task.title, task, RowLayout()), profile or profiled())


def every(profile: Profile) -> Any:
    """All rows."""
    return np.ones(len(profile.hashes), np.bool_)


def said(check: Callable[..., None], *arguments: Any) -> tuple[str | None, str]:
    """The field and the words of a refusal, both empty where there is none."""
    try:
        check(*arguments)
    except StageFailure as failure:
        return failure.error.param, failure.error.message
    return "", ""


def test_labels_are_counted_on_one_side() -> None:
    """A row of several labels counts for each."""
    profile = profiled(("a",), ("a", "b"), (), ("b",))
    assert label_counts(profile, np.array([True, True, True, False])) == {"a": 2, "b": 1}


def test_rows_of_several_labels_are_dealt_by_their_rarest() -> None:
    """So that it is on both sides; rows without a label are a kind of their own."""
    profile = profiled(("a",), ("a", "b"), (), ("a",), ("b",), ())
    strata = label_strata(profile, np.ones(6, np.bool_)).tolist()
    assert strata == [0, 1, 2, 0, 1, 2]


TEXTS = {f"Where is parcel {number}? I ordered it three weeks ago": 1 for number in range(60)}


@pytest.mark.parametrize(
    "counts, words",
    [
        ({"ham": 50, "spam": 50}, ""),
        ({"ham": 4, "spam": 4, "eggs": 2}, ""),
        ({"spam": 50}, f"{TRAIN}: all 50 rows have the label 'spam', and a classifier needs at least two different ones"),
        ({}, f"{TRAIN}: no row has a label: 'label' is an empty list everywhere"),
        (
            TEXTS,
            f"{TRAIN}: 60 different labels in 60 rows ('Where is parcel 0? I ordered it three...', 'Where is parcel 1? I ordered it "
            "three...' and 58 more): is 'label' the right column? A label is a name that many rows share; dataset.train.columns.label "
            "says which column has it",
        ),
        (
            {f"{number / 100:.2f}": 1 for number in range(30)},
            f"{TRAIN}: 30 different labels in 30 rows ('0.00', '0.01' and 28 more): these are numbers, but classes are expected: a "
            "score cannot be learned; convert it into a few named classes",
        ),
    ],
)
def test_labels_that_cannot_be_learnt(counts: dict[str, int], words: str) -> None:
    """One alone, none, or as many as rows."""
    profile = profiled(*[(name,) for name, count in counts.items() for _ in range(count)])
    assert said(check_labels, labelled(profile=profile), counts, every(profile)) == ("dataset.train.source" if words else "", words)


@pytest.mark.parametrize(
    "rows, words",
    [
        ([("a",), ()], ""),
        ([("a", "b"), ("a",)], ""),
        ([("a",), ("a",)], "all 2 rows have the label 'a', and a classifier needs at least two different ones"),
        ([("a", "b"), ("a", "b")], "all 2 rows have the labels 'a', 'b', and a classifier needs"),
    ],
)
def test_lists_of_labels_that_are_all_the_same_cannot_be_learnt(rows: list[tuple[str, ...]], words: str) -> None:
    """As single labels; with several labels a row, none is an answer, too."""
    profile = profiled(*rows, multi_label=True)
    _, message = said(check_labels, labelled(profile=profile), label_counts(profile, every(profile)), every(profile))
    assert words in message
    assert bool(words) == bool(message)


@pytest.mark.parametrize(
    "counts, words",
    [
        ({"B-PER": 3, "O": 9}, ""),
        ({"O": 9}, "every tag is 'O', so there is nothing to classify"),
        ({str(number): 1 for number in range(1001)}, "1,001 different tags ('0', '1', '2' and 998 more), at most 1,000 are taken"),
    ],
)
def test_tags_that_cannot_be_learnt(counts: dict[str, int], words: str) -> None:
    """No entity at all, or words in place of tags."""
    _, message = said(check_labels, labelled("token"), counts, every(profiled()))
    assert words in message
    assert bool(words) == bool(message)


@pytest.mark.parametrize(
    "learner, train, held, words",
    [
        ("sequence", {"ham": 9, "spam": 9}, {"ham": 2}, ""),
        (
            "sequence",
            {"ham": 9, "spam": 9},
            {"spamm": 2, "ham": 1, "Ham": 1},
            f"held.jsonl has 2 labels that no row of {TRAIN} has: 'spamm' (2 rows), 'Ham' (1 row). Labels without training rows cannot be "
            f"learned: add rows to {TRAIN}, or correct them ({TRAIN} has 'ham', 'spam')",
        ),
        ("token", {"B-PER": 9, "O": 9}, {"I-PER": 2, "O": 2}, ""),
        ("token", {"B-PER": 9, "O": 9}, {"B-LOC": 2, "I-LOC": 1}, "held.jsonl has 1 entity type that no row of"),
        ("token", {"B-PER": 9}, {"O": 2}, ""),
    ],
)
def test_labels_of_the_validation_file_alone(learner: LearnerName, train: dict[str, int], held: dict[str, int], words: str) -> None:
    """They are refused with their names, for they are mistakes more often than not; a tag of a known entity is not."""
    param, message = said(check_unseen, labelled(learner), labelled(learner, name="held.jsonl", side="validation"), train, held)
    assert param == ("dataset.validation.source" if words else "")
    assert words in message
    assert bool(words) == bool(message)


@pytest.mark.parametrize(
    "counts, notes",
    [
        ({"ham": 50, "spam": 5}, []),
        (
            {"ham": 4827, "spam": 47},
            [
                "labels are not balanced: 'ham' has 4,827 rows, 'spam' 47 (102 to 1); prefer f1 to accuracy in evaluation.gate",
            ],
        ),
        (
            {"ham": 5, "spam": 5, "eggs": 1},
            [f"1 label occurs in one row only: 'eggs'; {TOO_FEW}"],
        ),
        (
            {"spam": 5, "Spam": 2, " spam ": 2},
            [
                "labels that differ only in case or white space are treated as different labels: "
                "' spam ' (2 rows) and 'Spam' (2 rows) and 'spam' (5 rows)"
            ],
        ),
        ({"-1": 5, "1": 5}, []),
        (
            {"0": 5, "1": 5, "-1": 2},
            ["-1 is treated as a class (2 rows); if it means that the label is unknown, as in SNLI, remove these rows"],
        ),
        ({"x" * 70: 5, "y": 5}, [f"1 label of more than 64 characters ('{'x' * 37}...'): is this the right column?"]),
    ],
)
def test_what_is_odd_in_labels(counts: dict[str, int], notes: list[str]) -> None:
    """It trains, with a note."""
    assert label_notes("sequence", counts, multi_label=False) == notes


def test_an_imbalance_is_no_matter_with_several_labels_a_row() -> None:
    """There each label is a question of its own."""
    assert label_notes("sequence", {"ham": 100, "spam": 2}, multi_label=True) == []


@pytest.mark.parametrize(
    "tags, counts",
    [
        ("B-PER I-PER O B-PER", {"PER": 2}),
        ("B-PER B-PER", {"PER": 2}),
        ("B-PER I-PER B-LOC I-LOC I-LOC", {"PER": 1, "LOC": 1}),
        ("I-PER I-PER O I-LOC", {"PER": 1, "LOC": 1}),
        ("B-PER E-PER S-PER O", {"PER": 2}),
        ("B-PER L-PER U-LOC O", {"PER": 1, "LOC": 1}),
        ("PER PER O PER LOC", {"PER": 2, "LOC": 1}),
        ("x-ray x-ray O", {"x-ray": 1}),
        ("O O", {}),
        ("", {}),
    ],
)
def test_entities_in_a_row(tags: str, counts: dict[str, int]) -> None:
    """In BIO, BIOES and BILOU, and in tags without a prefix, where equal neighbours are one."""
    assert entity_counts(tags.split()) == Counter(counts)


def test_entities_seen_once() -> None:
    """Are reported."""
    assert entity_notes({"PER": 5, "LOC": 2}) == []
    assert entity_notes({"PER": 5, "LOC": 1, "ORG": 1}) == [f"2 entity types occur once only: 'LOC', 'ORG'; {TOO_FEW}"]
