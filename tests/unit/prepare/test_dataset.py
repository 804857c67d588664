"""The dataset as prepare opens it: files in, two sides, labels and notes out."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.dataset.dataset import ProfiledDataset, open_dataset
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.workspace.workspace import Workspace
from tests.unit.data.profile.files import labelled, text, write_rows
from tests.unit.prepare.run import run_config


def opened(
    folder: Path,
    task: str,
    rows: list[dict[str, Any]],
    held: list[dict[str, Any]] | None = None,
    evaluation: Any = None,
    method: Any = None,
    hyperparameters: Any = None,
    **settings: Any,
) -> ProfiledDataset:
    """A dataset out of rows."""
    source = {"uri": str(write_rows(folder / "train.jsonl", rows)), "shownAs": "pvc://data/train.jsonl"}
    dataset: dict[str, Any] = {"train": source | settings.pop("read", {}), **settings}
    if held is not None:
        dataset["validation"] = {"uri": str(write_rows(folder / "held.jsonl", held)), "shownAs": "pvc://data/held.jsonl"}
    elif "split" not in dataset:
        dataset["split"] = {}
    chosen = {"evaluation": evaluation or {}, "method": method or {}, "hyperparameters": hyperparameters or {}}
    config = run_config(folder, task=task, dataset=dataset, **chosen)
    return open_dataset(config, Workspace(folder / "workspace"), ProgressPrinter("prepare"))


def refusal(*arguments: Any, **settings: Any) -> StageFailure:
    """Why a dataset is refused."""
    with pytest.raises(StageFailure) as caught:
        opened(*arguments, **settings)
    return caught.value


def chat(number: int, turns: int = 1) -> dict[str, Any]:
    """A conversation."""
    messages = [{"role": "user", "content": text(number)}, {"role": "assistant", "content": text(1000 + number)}]
    return {"messages": messages * turns}


def tagged(number: int, kind: str = "PER") -> dict[str, Any]:
    """A tagged row."""
    return {"tokens": [*text(number).split(), "Maria", "Keller"], "tags": ["O"] * 14 + [f"B-{kind}", f"I-{kind}"]}


def test_a_classifier_knows_its_labels(tmp_path: Path) -> None:
    """Sorted by name; the counts are those of each side, the most frequent first."""
    data = opened(tmp_path, "sequence-classification", [labelled(number, "spam" if number % 4 else "ham") for number in range(80)])
    assert data.labels == ("ham", "spam")
    assert not data.multi_label
    assert data.train_side.labels == {"spam": 54, "ham": 18}
    assert list(data.train_side.labels) == ["spam", "ham"]
    assert data.validation_side.labels == {"spam": 6, "ham": 2}
    summary = data.summary()
    assert (summary.labels, summary.label_count, summary.format) == (data.train_side.labels, 2, "JSONL, text/label")


def test_several_labels_a_row(tmp_path: Path) -> None:
    """Each is counted; a row may have none."""
    data = opened(tmp_path, "sequence-classification", [labelled(number, [["a", "b"], ["b"], []][number % 3]) for number in range(60)])
    assert (data.labels, data.multi_label) == (("a", "b"), True)
    assert data.train_side.labels == {"b": 36, "a": 18}


def test_tags_are_the_labels_and_entities_are_counted(tmp_path: Path) -> None:
    """An entity of several tokens is one."""
    rows = [tagged(number, "PER" if number % 3 else "LOC") for number in range(30)]
    data = opened(tmp_path, "token-classification", rows)
    assert data.labels == ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")
    sides = data.train_side.labels, data.validation_side.labels
    assert {kind: sides[0][kind] + sides[1].get(kind, 0) for kind in sides[0]} == {"PER": 20, "LOC": 10}
    assert data.summary().label_count == 2


def test_tags_of_the_validation_file_are_labels_too(tmp_path: Path) -> None:
    """A tag of a known entity that training has not seen has a class all the same."""
    held = [{"tokens": ["Anna", "Maria", "Keller"], "tags": ["B-PER", "I-PER", "I-PER"]}]
    rows = [{"tokens": text(number).split(), "tags": ["B-PER"] + ["O"] * 13} for number in range(20)]
    assert opened(tmp_path, "token-classification", rows, held).labels == ("B-PER", "I-PER", "O")


def test_turns_are_counted(tmp_path: Path) -> None:
    """Messages of the training conversations; a language model has no labels."""
    data = opened(tmp_path, "chat", [chat(number, 1 + number % 3) for number in range(60)])
    summary = data.summary()
    assert summary.turns is not None
    assert (summary.turns.p50, summary.turns.max) == (4, 6)
    assert sum(bar.count for bar in data.train_side.turns) == 54
    assert (data.labels, data.train_side.labels) == ((), {})


def test_rows_come_in_the_order_of_their_file(tmp_path: Path) -> None:
    """Each on one side, with its line."""
    data = opened(tmp_path, "chat", [chat(number) for number in range(40)])
    train, held = ([int(where.removeprefix("line ")) for where, _ in rows] for rows in (data.train_rows(), data.validation_rows()))
    assert train == sorted(train)
    assert sorted(train + held) == list(range(1, 41))
    assert len(held) == 4


@pytest.mark.parametrize("own", [False, True])
def test_invalid_rows_within_the_limit_are_left_out(tmp_path: Path, own: bool) -> None:
    """They are counted, reported, and not trained on; rows keep their lines."""
    rows: list[dict[str, Any]] = [labelled(number) for number in range(40)]
    rows[3:3] = [{"text": "", "label": "a"}, {"label": "b"}]
    held = [labelled(100), {"text": "x"}] if own else None
    data = opened(tmp_path, "sequence-classification", rows, held, limits={"maxInvalidFraction": 0.5})
    assert data.summary().invalid_rows == (3 if own else 2)
    assert (data.train_side.rows_read, data.train_side.invalid_rows) == (42, 2)
    reported = "2 of 42 rows of pvc://data/train.jsonl are invalid and dropped ("
    assert data.notes[0].startswith(reported)
    assert data.notes[0].endswith("), as dataset.limits.maxInvalidFraction allows")
    assert data.findings[0].startswith("line 4: ")
    assert sum(data.finding_kinds.values()) == (3 if own else 2)
    lines = sorted(int(where.removeprefix("line ")) for where, _ in [*data.train_rows(), *(() if own else data.validation_rows())])
    assert lines == [1, 2, 3, *range(6, 43)]


@pytest.mark.parametrize(
    "rows, held, words",
    [
        (range(9), None, "has 9 examples to train on, at least 10 are needed"),
        ([*range(9), 0, 0], None, "has 9 examples to train on, at least 10 are needed; 2 more are exact duplicates"),
        (range(12), range(5), "has 7 examples to train on, at least 10 are needed; 5 more are also in the validation file"),
    ],
)
def test_too_few_rows(tmp_path: Path, rows: Any, held: Any, words: str) -> None:
    """After everything that is dropped."""
    error = refusal(tmp_path, "chat", [chat(number) for number in rows], held and [chat(number) for number in held]).error
    assert (error.code, error.param) == ("InvalidDataset", "dataset.train.source")
    assert error.message == f"pvc://data/train.jsonl {words}"


@pytest.mark.parametrize(
    "split, words",
    [
        (
            {"groupBy": "costumer"},
            "groupBy: the rows of pvc://data/train.jsonl have no field 'costumer' (did you mean 'customer'?); they have",
        ),
        (
            {"stratifyBy": "region"},
            "stratifyBy: the rows of pvc://data/train.jsonl have no field 'region'; they have text, label, customer",
        ),
    ],
)
def test_a_field_that_rows_do_not_have(tmp_path: Path, split: dict[str, str], words: str) -> None:
    """It is named with those that they have."""
    error = refusal(tmp_path, "sequence-classification", [labelled(number, customer=1) for number in range(40)], split=split).error
    assert (error.code, error.param) == ("InvalidSplit", f"dataset.validation.split.{next(iter(split))}")
    assert words in error.message


def test_labels_by_another_name(tmp_path: Path) -> None:
    """A message names the column as the file does."""
    rows = [{"body": text(number), "queue": text(500 + number)} for number in range(40)]
    error = refusal(tmp_path, "sequence-classification", rows, read={"columns": {"text": "body", "label": "queue"}}).error
    assert "is 'queue' the right column?" in error.message


def test_a_label_of_the_validation_file_alone(tmp_path: Path) -> None:
    """It is refused on that file's account."""
    error = refusal(tmp_path, "sequence-classification", [labelled(number) for number in range(40)], [labelled(99, "c")]).error
    assert error.param == "dataset.validation.source"
    assert "pvc://data/held.jsonl has 1 label that no row of pvc://data/train.jsonl has: 'c' (1 row)" in error.message


def test_the_same_side_in_any_format(tmp_path: Path) -> None:
    """A JSON array of the same rows has the same split."""
    rows = [labelled(number) for number in range(40)]
    lines = {repr(row) for _, row in opened(tmp_path, "sequence-classification", rows).validation_rows()}
    (tmp_path / "array").write_text(json.dumps(rows, indent=1))
    config = run_config(tmp_path, task="sequence-classification", dataset={"train": {"uri": str(tmp_path / "array")}, "split": {}})
    array = open_dataset(config, Workspace(tmp_path / "workspace"), ProgressPrinter("prepare"))
    assert {repr(row) for _, row in array.validation_rows()} == lines


def test_an_entity_type_in_one_row_is_trained_on(tmp_path: Path) -> None:
    """A split takes care of rare tags as it does of rare labels."""
    rows = [tagged(number) for number in range(40)] + [tagged(40, "LOC")]
    for seed in range(5):
        data = opened(tmp_path, "token-classification", rows, split={"fraction": 0.5, "seed": seed})
        assert data.train_side.labels["LOC"] == 1
    assert any(note.startswith("1 entity type occurs once only: 'LOC'") for note in data.notes)


def test_rows_without_the_field_to_split_by_are_invalid(tmp_path: Path) -> None:
    """They can be left out, and the others keep their places."""
    rows = [labelled(number, **({"customer": number // 2} if number % 7 else {})) for number in range(60)]
    data = opened(tmp_path, "sequence-classification", rows, split={"groupBy": "customer"}, limits={"maxInvalidFraction": 0.2})
    lines = sorted(int(where.removeprefix("line ")) for where, _ in [*data.train_rows(), *data.validation_rows()])
    assert lines == [number + 1 for number in range(60) if number % 7]


def pair(number: int, score: float | None = None) -> dict[str, Any]:
    """Two texts that belong together, or are as similar as the score says."""
    return {"anchor": text(number), "positive": text(1000 + number)} | ({} if score is None else {"score": score})


def test_both_files_have_scores_or_none_has(tmp_path: Path) -> None:
    """A loss on the one says nothing of the other."""
    scored, pairs = [pair(number, 0.5) for number in range(40)], [pair(number) for number in range(100, 110)]
    for train, held, words in ((scored, pairs, "train.jsonl have a score"), (pairs, scored, "held.jsonl have a score")):
        error = refusal(tmp_path, "text-embedding", train, held).error
        assert (error.code, error.param) == ("InvalidDataset", "dataset.validation.source")
        assert words in error.message


@pytest.mark.parametrize(
    "score, metric, instead",
    [(0.5, "recallAt1", "spearman"), (0.5, "recallAt10", "spearman"), (None, "spearman", "recallAt1 or recallAt10")],
)
def test_a_gate_asks_for_what_the_rows_can_tell(score: float | None, metric: str, instead: str, tmp_path: Path) -> None:
    """Else the model would be refused after its training."""
    rows = [pair(number, score) for number in range(40)]
    evaluation = {"gate": [{"metric": metric, "minimum": 0.5}, {"metric": "loss", "maximum": 1}]}
    error = refusal(tmp_path, "text-embedding", rows, evaluation=evaluation).error
    assert (error.code, error.param) == ("InvalidSpec", "evaluation.gate")
    assert instead in error.message
    for fits in instead.split(" or "):
        opened(tmp_path, "text-embedding", rows, evaluation={"gate": [{"metric": fits, "minimum": 0.5}]})


@pytest.mark.parametrize(("score", "batch", "works"), [(None, 1, False), (None, 2, True), (None, None, True), (0.5, 1, True)])
def test_a_positive_is_told_from_other_texts_of_its_step(score: float | None, batch: int | None, works: bool, tmp_path: Path) -> None:
    """Of one row, nothing would be learned; a score is learned without other rows."""
    rows, given = [pair(number, score) for number in range(40)], {"batchSize": batch}
    if works:
        opened(tmp_path, "text-embedding", rows, hyperparameters=given)
        return
    error = refusal(tmp_path, "text-embedding", rows, hyperparameters=given).error
    assert (error.code, error.param) == ("InvalidHyperparameter", "hyperparameters.batchSize")


def rated(number: int, label: Any) -> dict[str, Any]:
    """A rated answer."""
    return {**chat(number), "label": label}


KTO = {"objective": "kto"}


def test_rated_answers_are_split_by_their_labels(tmp_path: Path) -> None:
    """Each side has both, and they are counted."""
    data = opened(tmp_path, "chat", [rated(number, bool(number % 4)) for number in range(80)], method=KTO)
    assert (data.train_side.labels, data.validation_side.labels) == ({"true": 54, "false": 18}, {"true": 6, "false": 2})
    assert data.labels == (), "they are no classes"


# (desirable rows, undesirable rows, kto, words of the note)
BALANCE: list[tuple[int, int, dict[str, float], str]] = [
    (20, 20, {}, ""),
    (24, 20, {}, ""),
    (40, 20, {}, "count 2 times as much as undesirable ones, where 1 to 1.33 times is advisable: set method.kto.undesirableWeight to a "
     "value from 1.5 to 2"),
    (40, 20, {"undesirableWeight": 2}, ""),
    (20, 40, {}, "count 0.5 times as much as undesirable ones, where 1 to 1.33 times is advisable: set method.kto.desirableWeight to a "
     "value from 2 to 2.7"),
    (40, 20, {"desirableWeight": 2, "undesirableWeight": 2}, "set method.kto.undesirableWeight to a value from 3 to 4"),
    (21, 21, {"desirableWeight": 200}, "count 200 times as much as undesirable ones, where 1 to 1.33 times is advisable: set "
     "method.kto.undesirableWeight to a value from 150 to 200"),
    (60, 30, {"desirableWeight": 700}, "count 1,400 times as much as undesirable ones, where 1 to 1.33 times is advisable: set "
     "method.kto.desirableWeight to a value from 0.5 to 0.67"),
    (1, 20, {"undesirableWeight": 1000}, "count 0.00005 times as much as undesirable ones, where 1 to 1.33 times is advisable: set "
     "method.kto.undesirableWeight to a value from 0.038 to 0.05"),
    (1, 20, {}, "1 desirable answer and 20 undesirable ones: with their weights"),
]  # fmt: skip


@pytest.mark.parametrize("desirable, undesirable, kto, words", BALANCE)
def test_weights_are_proposed_where_one_kind_of_answer_is_rarer(
    desirable: int, undesirable: int, kto: dict[str, float], words: str, tmp_path: Path
) -> None:
    """So that both count about the same; nothing is said where they do."""
    rows = [rated(number, number < desirable) for number in range(desirable + undesirable)]
    held = [rated(number, number % 2 == 0) for number in range(100, 112)]
    data = opened(tmp_path, "chat", rows, held, method=KTO | {"kto": kto})
    found = [note for note in data.notes if "method.kto" in note]
    assert [words in note for note in found] == ([True] if words else [])


def test_one_label_alone_is_refused(tmp_path: Path) -> None:
    """Of the training rows; of the validation rows where the gate compares both."""
    same, both = [rated(number, True) for number in range(30)], [rated(number, number % 2 == 0) for number in range(40)]
    failure = refusal(tmp_path, "chat", same, method=KTO)
    assert failure.error.message == (
        "pvc://data/train.jsonl: all 27 training rows have the label true, and objective kto learns from desirable and undesirable "
        "answers: add rows with label false, or set method.objective: sft to learn the answers as they are"
    )
    held = [rated(number, False) for number in range(100, 112)]
    note = (
        "pvc://data/held.jsonl: all validation rows have the label false, so rewardMargin and perplexity cannot be computed: add rows with "
        "label true"
    )
    assert note in opened(tmp_path, "chat", both, held, method=KTO).notes


RIGHT, WRONG = [True], [False]


@pytest.mark.parametrize(
    "labels, most, metric, says",
    [
        (WRONG * 12, 500, "rewardMargin", "all validation rows have the label false"),
        (WRONG * 12, 500, "perplexity", "and evaluation.gate has the metric perplexity: add rows with label true"),
        (WRONG * 12, 500, "kl", ""),
        (RIGHT * 12, 500, "rewardMargin", "so rewardMargin cannot be computed, and evaluation.gate has the metric rewardMargin: add rows"),
        (RIGHT * 12, 500, "perplexity", ""),
        (RIGHT * 12, 10, "rewardMargin", "all validation rows have the label true"),
        (RIGHT * 12 + WRONG, 500, "rewardMargin", ""),
        (RIGHT * 12 + WRONG, 12, "rewardMargin", "the first 12 validation rows, which are evaluated (evaluation.maxExamples), have the "
         "label true"),
        (RIGHT * 12 + WRONG, 12, "rewardMargin", "shuffle the rows of the file, or raise evaluation.maxExamples to at least 13"),
        (RIGHT * 12 + WRONG, 13, "rewardMargin", ""),
        (WRONG * 3 + RIGHT, 3, "perplexity", "evaluation.gate has the metric perplexity: shuffle the rows"),
        (WRONG * 3 + RIGHT, 4, "perplexity", ""),
    ],
)  # fmt: skip
def test_a_gate_that_the_evaluated_rows_cannot_answer_is_refused(
    labels: list[bool], most: int, metric: str, says: str, tmp_path: Path
) -> None:
    """rewardMargin needs both labels, perplexity a desirable answer; only the first rows of the file are evaluated."""
    rows = [rated(number, number % 2 == 0) for number in range(40)]
    held = [rated(number, label) for number, label in enumerate(labels, 100)]
    evaluation = {"maxExamples": most, "gate": [{"metric": metric, "maximum": 5}]}
    if not says:
        opened(tmp_path, "chat", rows, held, evaluation, KTO)
        return
    error = refusal(tmp_path, "chat", rows, held, evaluation, KTO).error
    assert (error.code, error.param) == ("InvalidDataset", "dataset.validation.source")
    assert says in error.message


def test_the_evaluated_rows_are_those_that_the_split_holds_out(tmp_path: Path) -> None:
    """In the order of the file, desirable ones first."""
    rows = [rated(number, number < 60) for number in range(100)]
    split = {"fraction": 0.2}
    assert not any("rewardMargin" in note for note in opened(tmp_path, "chat", rows, method=KTO, split=split).notes)
    notes = opened(tmp_path, "chat", rows, evaluation={"maxExamples": 12}, method=KTO, split=split).notes
    assert any("the first 12 validation rows, which" in note and "maxExamples to at least 13" in note for note in notes), notes


@pytest.mark.parametrize(
    "method, metric, says",
    [
        ({}, "perplexity", ""),
        (
            {},
            "perplexty",
            "perplexty is not measured for task chat with objective sft (did you mean 'perplexity'?): use loss or perplexity",
        ),
        ({}, "accuracy", "use loss or perplexity"),
        ({}, "rewardMargin", "rewardMargin is not measured for task chat with objective sft"),
        (KTO, "kl", ""),
        (KTO, "bleu", "with objective kto: use loss, perplexity, rewardAccuracy, rewardMargin or kl"),
    ],
)
def test_a_gate_names_what_is_measured(method: dict[str, Any], metric: str, says: str, tmp_path: Path) -> None:
    """Of the task and the objective; before the rows are read."""
    rows = [rated(number, number % 2 == 0) for number in range(40)] if method else [chat(number) for number in range(40)]
    evaluation = {"gate": [{"metric": "loss", "maximum": 9}, {"metric": metric, "maximum": 5}]}
    if not says:
        opened(tmp_path, "chat", rows, None, evaluation, method)
        return
    error = refusal(tmp_path, "chat", rows, None, evaluation, method).error
    assert (error.code, error.param) == ("InvalidSpec", "evaluation.gate[1].metric")
    assert says in error.message


@pytest.mark.parametrize(("held", "most", "says"), [(10, 500, ""), (9, 500, "and 9 are evaluated"), (30, 5, "and 5 are evaluated")])
def test_an_interval_takes_validation_rows(held: int, most: int, says: str, tmp_path: Path) -> None:
    """At least ten that are evaluated."""
    rows, others = [chat(number) for number in range(40)], [chat(number) for number in range(100, 100 + held)]
    evaluation = {"maxExamples": most, "gate": [{"metric": "loss", "betterThanBase": True, "significant": True}]}
    if not says:
        opened(tmp_path, "chat", rows, others, evaluation)
        return
    error = refusal(tmp_path, "chat", rows, others, evaluation).error
    assert (error.code, error.param) == ("InvalidSpec", "evaluation.gate[0].significant")
    assert says in error.message
