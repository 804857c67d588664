"""RowMask dealt to two sides, from files."""

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from finetune_api.resources.dataset import Split
from finetune_trainer.data.profile.dataset_file import ProfiledFile
from finetune_trainer.data.profile.duplicates import RowMask, different
from finetune_trainer.data.profile.labels import label_strata
from finetune_trainer.data.profile.splits import Splits, separate_splits, split_rows
from finetune_trainer.failure import StageFailure
from finetune_trainer.tasks.sequence_classification import TextLabel
from tests.unit.data.profile.files import labelled, profiled, text, write_rows


def dealt(file: ProfiledFile, **split: Any) -> Splits:
    """The sides of a file that is split."""
    hashes = file.profile.hashes
    left = different(hashes, hashes[:0])
    return split_rows(file, left, Split.model_validate(split), label_strata(file.profile, left.train))


def of_rows(folder: Path, rows: list[dict[str, Any]], **split: Any) -> Splits:
    """The sides of rows."""
    path = write_rows(folder / "train.jsonl", rows)
    return dealt(profiled(path, group_by=split.get("groupBy"), stratify_by=split.get("stratifyBy"), seed=split.get("seed", 42)), **split)


def texts(file: ProfiledFile, side: RowMask) -> set[str]:
    """What one side says."""
    rows = [row for _, row in file.rows()]
    return {row.text for row, taken in zip(rows, side, strict=True) if taken and isinstance(row, TextLabel)}


def labels_of(rows: list[dict[str, Any]], side: RowMask) -> Counter[str]:
    """Labels of one side."""
    return Counter(row["label"] for row, taken in zip(rows, side, strict=True) if taken)


def test_labels_have_the_same_share_on_both_sides(tmp_path: Path) -> None:
    """Without being asked; a label with one row is trained on."""
    rows = [labelled(number, "ham" if number < 80 else "spam") for number in range(100)] + [labelled(100, "rare")]
    sides = of_rows(tmp_path, rows)
    assert labels_of(rows, sides.validation) == {"ham": 8, "spam": 2}
    assert labels_of(rows, sides.train) == {"ham": 72, "spam": 18, "rare": 1}
    assert sides.notes == []


def test_any_field_can_be_stratified_by(tmp_path: Path) -> None:
    """Then its values have the same shares, not the labels."""
    rows = [labelled(number, region="north" if number < 30 else "south") for number in range(100)] + [labelled(100, region="west")]
    sides = of_rows(tmp_path, rows, stratifyBy="region", fraction=0.2)
    held = Counter(row["region"] for row, taken in zip(rows, sides.validation, strict=True) if taken)
    assert held == {"north": 6, "south": 14}
    assert sides.notes == ["1 value of 'region' has one row only, which is trained on"]


def test_groups_are_not_torn(tmp_path: Path) -> None:
    """The labels' shares are kept as well as that allows; a row without a value is a group of its own."""
    rows = [labelled(number, customer=f"c{number % 25}") for number in range(100)] + [
        labelled(number, customer=None) for number in range(100, 140)
    ]
    sides = of_rows(tmp_path, rows, groupBy="customer", fraction=0.2, seed=3)
    held = {row["customer"] for row, taken in zip(rows, sides.validation, strict=True) if taken}
    trained = {row["customer"] for row, taken in zip(rows, sides.train, strict=True) if taken}
    assert held & trained == {None}
    assert abs(int(sides.validation.sum()) - 28) <= 1
    assert min(labels_of(rows, sides.validation).values()) >= 12


def test_near_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    """And are counted, with examples."""
    rows = [labelled(number) for number in range(60)] + [
        labelled(0) | {"text": text(number) + "!"} | {"label": "ab"[number % 2]} for number in range(30)
    ]
    sides = of_rows(tmp_path, rows, fraction=0.3)
    assert all(sides.train[number] == sides.train[60 + number] for number in range(30))
    assert sides.near_duplicates == 30
    assert abs(int(sides.validation.sum()) - 27) <= 1
    first = "line 61 is nearly line 1; line 62 is nearly line 2"
    assert sides.notes == [f"30 rows of train.jsonl are nearly equal to an earlier one ({first}): kept, in the same split"]


def test_near_duplicates_of_a_group_go_with_it(tmp_path: Path) -> None:
    """A chain of customers and near rows is one unit."""
    rows = [labelled(number, customer=f"c{number // 2}") for number in range(60)]
    rows += [labelled(number, customer=f"d{number}") | {"text": text(number) + "!"} for number in range(60)]
    sides = of_rows(tmp_path, rows, groupBy="customer", fraction=0.3)
    for number in range(0, 60, 2):
        assert len({bool(sides.train[row]) for row in (number, number + 1, 60 + number, 61 + number)}) == 1


def test_near_duplicates_with_different_labels_are_told(tmp_path: Path) -> None:
    """One of the two labels is wrong."""
    rows = [labelled(number) for number in range(40)] + [labelled(3, "a") | {"text": text(3).upper()}]
    notes = of_rows(tmp_path, rows).notes
    assert "2 rows of train.jsonl with nearly the same text have different labels: line 4 has 'b' and line 41 has 'a'" in notes


def test_rows_made_from_templates_are_dealt_one_by_one(tmp_path: Path) -> None:
    """Two heaps of near rows that make up the whole file are no duplicates: each would be a side."""
    rows = [{"text": f"{text(number % 2, 60)} {number}", "label": "ab"[number % 4 // 2]} for number in range(80)]
    sides = of_rows(tmp_path, rows)
    assert sides.validation.sum() == 8
    assert sides.notes[0].endswith("kept and split row by row: most rows are near-duplicates")


def test_a_heap_too_large_to_be_held_out_is_trained_on(tmp_path: Path) -> None:
    """While there are enough other rows."""
    rows = [labelled(number) for number in range(70)] + [{"text": f"{text(0, 60)} {number}", "label": "a"} for number in range(30)]
    sides = of_rows(tmp_path, rows)
    assert not sides.validation[70:].any()
    assert sides.validation.sum() == 10


@pytest.mark.parametrize("chunk", [1, 7, 500])
def test_the_order_of_rows_does_not_matter(tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With labels, groups, duplicates and near duplicates, however many rows are read at once."""
    monkeypatch.setattr("finetune_trainer.data.profile.near_duplicates.BATCH", chunk * 100)
    rows = [labelled(number, customer=f"c{number % 13}") for number in range(80)]
    rows += [labelled(number, customer=f"c{number % 5}") | {"text": text(number) + "?"} for number in range(20)]
    rows += [labelled(number, customer="c99") for number in range(10)]
    shuffled = list(rows)
    Random(1).shuffle(shuffled)
    found = []
    for name, order in (("one", rows), ("other", shuffled)):
        file = profiled(write_rows(tmp_path / name, order), group_by="customer")
        sides = dealt(file, groupBy="customer", fraction=0.2)
        found.append((texts(file, sides.train), texts(file, sides.validation)))
        assert sides.duplicates == 10
    assert found[0] == found[1]
    assert not found[0][0] & found[0][1]


def test_the_seed_decides(tmp_path: Path) -> None:
    """Another seed, other rows."""
    path = write_rows(tmp_path / "train.jsonl", map(labelled, range(100)))
    one, again, other = (dealt(profiled(path, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.validation, again.validation)
    assert not np.array_equal(one.validation, other.validation)


@pytest.mark.parametrize(
    "split, field, words",
    [
        ({"groupBy": "everyone"}, "groupBy", "all rows have the same 'everyone', so they cannot be split"),
        ({"stratifyBy": "text"}, "stratifyBy", "every row has another 'text', so the split cannot be stratified by it"),
        ({"groupBy": "label"}, "groupBy", "rows with the same 'label' stay together, and then 1 label has no row left to train on"),
        ({"groupBy": "city", "stratifyBy": "land"}, "groupBy", "and then 1 value of 'land' has no row left to train on"),
    ],
)
def test_columns_that_rows_cannot_be_split_by(tmp_path: Path, split: dict[str, Any], field: str, words: str) -> None:
    """They are refused with the field of the spec, and with what to do."""
    rows = [labelled(number, everyone=1, city=f"c{number % 4}", land=f"l{number % 2}") for number in range(40)]
    rows = [row | {"land": row["city"]} for row in rows]
    with pytest.raises(StageFailure) as caught:
        of_rows(tmp_path, [{key: row[key] for key in ("text", "label", *split.values())} for row in rows], **split)
    error = caught.value.error
    assert (error.code, error.param) == ("InvalidSplit", f"dataset.validation.split.{field}")
    assert words in error.message
    assert error.message.endswith(", or give a validation file of its own")


def test_a_share_that_groups_do_not_allow_is_told(tmp_path: Path) -> None:
    """It is near enough otherwise."""
    rows = [labelled(number, customer=number % 3) for number in range(60)]
    assert of_rows(tmp_path, rows, groupBy="customer").notes == [
        "33% of the rows are used for validation instead of 10%: rows with the same 'customer' stay together"
    ]


@pytest.mark.parametrize(
    "split, why", [({}, "each label keeps rows to train on"), ({"stratifyBy": "label"}, "each value of 'label' keeps rows to train on")]
)
def test_a_share_that_labels_do_not_allow_is_told(tmp_path: Path, split: dict[str, Any], why: str) -> None:
    """What is not trained on cannot be learnt, so it is not measured either."""
    rows = [labelled(number) | {"label": f"l{number % 3}"} for number in range(12)]
    assert of_rows(tmp_path, rows, fraction=0.95, **split).notes == [f"75% of the rows are used for validation instead of 95%: {why}"]


def test_near_rows_of_two_files_are_told(tmp_path: Path) -> None:
    """With lines of both; equal ones are taken out of the training file."""
    train = profiled(write_rows(tmp_path / "train.jsonl", map(labelled, range(40))))
    other = [labelled(3), labelled(100), labelled(7) | {"text": text(7).upper()}]
    held = profiled(write_rows(tmp_path / "held.jsonl", other))
    sides = separate_splits(train, held, different(train.profile.hashes, held.profile.hashes))
    assert (sides.train.sum(), sides.validation.sum(), sides.in_both, sides.near_duplicates) == (39, 3, 1, 1)
    assert sides.notes == [
        "1 row of train.jsonl is nearly equal to rows of held.jsonl (line 8 is nearly line 3 there): kept, although it makes the "
        "validation loss look better than it is"
    ]


def test_a_draw_of_a_large_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not compared may hold near duplicates."""
    monkeypatch.setattr("finetune_trainer.data.profile.near_rows.LIMIT", 30)
    assert of_rows(tmp_path, list(map(labelled, range(50)))).notes == ["near duplicates were searched for among 30 of the 50 rows"]


def test_near_duplicates_that_connect_most_groups_come_second(tmp_path: Path) -> None:
    """A split by groups is what was asked for."""
    rows = [labelled(number, customer=f"c{number}") for number in range(40)]
    rows += [labelled(number, customer=f"c{(number + 1) % 40}") | {"text": text(number) + "!"} for number in range(40)]
    sides = of_rows(tmp_path, rows, groupBy="customer")
    assert sides.validation.sum() == 8
    held = {row["customer"] for row, taken in zip(rows, sides.validation, strict=True) if taken}
    assert not held & {row["customer"] for row, taken in zip(rows, sides.train, strict=True) if taken}
    assert sides.notes[0].endswith("kept, possibly in both splits: they connect most groups, and groups come first")


def test_labels_whose_rows_are_all_near_are_measured_all_the_same(tmp_path: Path) -> None:
    """Otherwise a label would have no row to be trained on."""
    rows = [{"text": text(number // 3) + "!" * (number % 3), "label": f"l{number // 3}"} for number in range(60)]
    sides = of_rows(tmp_path, rows)
    assert sides.validation.sum() == 6
    assert len(labels_of(rows, sides.train)) == 20
    assert sides.notes[0].endswith("kept, possibly in both splits: some labels have no other rows")
