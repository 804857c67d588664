"""The termination message: small enough for the kubelet, and still what the operator needs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_api.exit_codes import ExitCode
from finetune_api.model_directory import (
    Artifact,
    EvaluationReport,
    GateResult,
    Interval,
    Intervals,
    MissingArtifact,
    Parity,
    PublishedCheckpoint,
)
from finetune_api.progress import CheckpointFigures
from finetune_api.result import (
    TERMINATION_MESSAGE_LIMIT,
    DatasetSummary,
    Estimate,
    InspectSummary,
    PrepareSummary,
    PublishSummary,
    ResolvedParameter,
    StageError,
    StageResult,
    StageWarning,
    TrainSummary,
)


def failed(message: str, details: list[str]) -> StageResult:
    """A result of prepare that failed."""
    error = StageError(code="InvalidDataset", message=message, param="dataset.train.source", details=details)
    return StageResult(stage="prepare", exit_code=ExitCode.INVALID_INPUT, error=error)


def prepared(reason: str) -> StageResult:
    """A result of prepare with a reason for each of twelve hyperparameters."""
    resolved = {f"parameter{number}": ResolvedParameter(value=number, reason=reason) for number in range(12)}
    dataset = DatasetSummary(train_examples=1, validation_examples=1, train_tokens=1, supervised_tokens=1, digest="d" * 64)
    estimate = Estimate(model_bytes=1, workspace_bytes=1)
    summary = PrepareSummary(
        dataset=dataset, hyperparameters=resolved, total_steps=1, estimate=estimate, base_digest="b" * 64, base_parameters=1
    )
    return StageResult(stage="prepare", prepare=summary)


def published(text: str) -> StageResult:
    """A result of publish with eight conditions of the gate and eight parity proofs."""
    scores = {"loss": 1, "perplexity": 2}
    gate = [GateResult(metric="loss", passed=True, text=text)] * 8
    parity = [Parity(artifact="onnx/fp32", prompts=4, equal=4, tokens=32)] * 8
    report = EvaluationReport(examples=1, tokens=1, base=scores, tuned=scores, gate=gate, parity=parity)
    return StageResult(stage="publish", publish=PublishSummary(evaluation=report, size_bytes=1, manifest_sha256="m" * 64))


def test_a_training_always_fits() -> None:
    """Checkpoints go first, then the ends of what is said; steps, losses and codes stay."""
    checkpoints = [CheckpointFigures(step=step, loss=1 / 3, validation_loss=2 / 3, size_bytes=10**12) for step in range(100)]
    warnings = [StageWarning(code=f"Code{number}", message="x" * 1000) for number in range(5)]
    summary = TrainSummary(
        steps=5, loss=1, tokens=1, seconds=1, checkpoints=checkpoints, warnings=warnings, stopped_early="y" * 1000, published_step=3
    )
    text = StageResult(stage="train", train=summary).termination_message()
    assert len(text.encode()) <= TERMINATION_MESSAGE_LIMIT
    left = StageResult.from_json(text).train
    assert left is not None
    assert (left.steps, left.published_step, left.stopped_early[:1], [found.code[:4] for found in left.warnings]) == (
        5,
        3,
        "y",
        ["Code"] * 5,
    )


def inspected(checkpoints: int, missing: int) -> StageResult:
    """A result of inspect of a model with so many checkpoints, of which so many lack an artifact."""
    scores = {"loss": 1 / 3, "perplexity": 2 / 3}
    gate = [GateResult(metric="loss", passed=True, text="x" * 100)] * 8
    parity = [Parity(artifact="onnx/fp32", prompts=4, equal=4, tokens=32)]
    summary = InspectSummary(
        task="chat",
        type="adapter",
        base="s3://models/base",
        artifacts=[Artifact(format=name, precision="fp32", path=name, size_bytes=10**12, sha256="a" * 64) for name in ("model", "onnx")],
        missing_artifacts=[
            MissingArtifact(format="onnx", precision="fp32", checkpoint=100_000 + step, reason="ParityFailed", message="y" * 900)
            for step in range(missing)
        ],
        step=200_000,
        checkpoints=[
            PublishedCheckpoint(
                step=100_000 + step,
                loss=1 / 3,
                validation_loss=2 / 3,
                size_bytes=10**12,
                manifest_sha256="c" * 64,
                lacking=["onnx fp32"] if step < missing else None,
            )
            for step in range(checkpoints)
        ],
        size_bytes=10**14,
        evaluation=EvaluationReport(examples=1, tokens=1, base=scores, tuned=scores, gate=gate, parity=parity),
        manifest_sha256="m" * 64,
    )
    return StageResult(stage="inspect", inspect=summary)


@pytest.mark.parametrize(("checkpoints", "missing", "whole"), [(3, 0, True), (21, 0, False), (21, 21, False)])
def test_every_checkpoint_of_a_model_can_be_deployed(checkpoints: int, missing: int, whole: bool) -> None:
    """Their steps and sizes, and which artifacts they lack, always fit; checksums and losses as far as there is room."""
    result = inspected(checkpoints, missing)
    text = result.termination_message()
    assert len(text.encode()) <= TERMINATION_MESSAGE_LIMIT
    left = StageResult.from_json(text).inspect
    assert left is not None and result.inspect is not None
    expected = [(found.step, found.size_bytes, found.gate_passed, found.lacking) for found in result.inspect.checkpoints]
    assert [(found.step, found.size_bytes, found.gate_passed, found.lacking) for found in left.checkpoints] == expected
    assert all(found.manifest_sha256 is not None for found in left.checkpoints) == whole
    assert len(left.missing_artifacts) >= min(missing, 2)


@given(message=st.text(max_size=5000), details=st.lists(st.text(max_size=300), max_size=30))
def test_an_error_always_fits(message: str, details: list[str]) -> None:
    """In any script, with any number of findings; code, field and exit code are never lost."""
    text = failed(message, details).termination_message()
    assert len(text.encode()) <= TERMINATION_MESSAGE_LIMIT
    reported = StageResult.from_json(text)
    assert reported.error is not None
    assert (reported.exit_code, reported.error.code, reported.error.param) == (3, "InvalidDataset", "dataset.train.source")
    assert reported.error.details == details[: len(reported.error.details)]


def test_details_go_before_the_message() -> None:
    """First findings are kept as long as there is room."""
    reported = StageResult.from_json(failed("The dataset has 40 bad rows.", ["x" * 200] * 40).termination_message())
    assert reported.error is not None
    assert reported.error.message == "The dataset has 40 bad rows."
    assert 10 <= len(reported.error.details) < 40


@pytest.mark.parametrize("result", [failed("short", ["one"]), prepared("short"), published("short")], ids=lambda r: r.stage)
def test_what_fits_is_told_whole(result: StageResult) -> None:
    """Nothing is taken from a small result."""
    assert StageResult.from_json(result.termination_message()) == result


def test_a_success_loses_only_its_explanations() -> None:
    """Values and verdicts stay; reasons and single proofs are in result.json."""
    reported = StageResult.from_json(prepared("because " * 50).termination_message())
    assert reported.prepare is not None
    assert {name: found.value for name, found in reported.prepare.hyperparameters.items()} == {f"parameter{n}": n for n in range(12)}
    reported = StageResult.from_json(published("x" * 500).termination_message())
    assert reported.publish is not None
    assert reported.publish.evaluation.gate_passed


def test_intervals_go_before_the_words_of_the_gate() -> None:
    """Proofs go first, then intervals; the scores stay."""
    names = [f"metric{number}" for number in range(12)]
    chance = Intervals(**{side: {name: Interval(low=1 / 3, high=2 / 3) for name in names} for side in ("base", "tuned", "difference")})
    result = published("x" * 200)
    assert result.publish is not None and result.publish.evaluation is not None
    report = result.publish.evaluation.model_copy(update={"intervals": chance})
    whole = result.model_copy(update={"publish": result.publish.model_copy(update={"evaluation": report})})
    text = whole.termination_message()
    assert len(text.encode()) <= TERMINATION_MESSAGE_LIMIT
    left = StageResult.from_json(text).publish
    assert left is not None and left.evaluation is not None
    assert (left.evaluation.parity, left.evaluation.intervals, left.evaluation.gate) == ([], None, report.gate)
    assert left.evaluation.tuned == report.tuned


def test_missing_artifacts_are_always_named() -> None:
    """The reason stays; the end of a long message goes, after the proofs and the gate's words."""
    result = published("x" * 500)
    assert result.publish is not None
    missing = [MissingArtifact(format="onnx", precision=f"int{n}", reason="ParityFailed", message="y" * 2000) for n in range(8)]
    more = {"missing_artifacts": missing, "warnings": [StageWarning(code="TrackerFailed", message="z" * 500)] * 2}
    reported = StageResult.from_json(result.model_copy(update={"publish": result.publish.model_copy(update=more)}).termination_message())
    assert reported.publish is not None
    assert [(m.precision, m.reason, m.message.endswith("...")) for m in reported.publish.missing_artifacts] == [
        (f"int{n}", "ParityFailed", True) for n in range(8)
    ]


def test_what_can_never_fit_is_an_error_here() -> None:
    """Not a truncated document there."""
    with pytest.raises(ValueError, match="does not fit into 3072 bytes"):
        StageResult(stage="train", spec_digest="x" * 4000).termination_message()


@pytest.mark.parametrize(
    ("length", "labels", "notes", "reasons"), [(10, 20, 10, True), (100, 5, 5, True), (250, 3, 1, False), (900, 0, 0, False)]
)
def test_labels_and_notes_go_before_reasons(length: int, labels: int, notes: int, reasons: bool) -> None:
    """The most frequent labels and the first notes stay longest; report.json has them all."""
    result = prepared("usual")
    assert result.prepare is not None
    rows = result.prepare.dataset.model_copy(
        update={"labels": {f"{n:02}{'x' * length}": 1 for n in range(20)}, "notes": [f"{n}{'y' * length}" for n in range(10)]}
    )
    full = result.model_copy(update={"prepare": result.prepare.model_copy(update={"dataset": rows})})
    reported = StageResult.from_json(full.termination_message())
    assert reported.prepare is not None
    assert (len(reported.prepare.dataset.labels), len(reported.prepare.dataset.notes)) == (labels, notes)
    assert bool(reported.prepare.hyperparameters["parameter0"].reason) == reasons
    assert list(reported.prepare.dataset.labels) == list(rows.labels)[:labels]


@pytest.mark.parametrize(
    "value, text",
    [(False, "false"), (True, "true"), (1.0, "1"), (32.0, "32"), (32, "32"), (0.0002, "0.0002"), (1e-05, "1e-05"), ("cosine", "cosine")],
)
def test_a_hyperparameter_is_told_as_a_spec_says_it(value: Any, text: str) -> None:
    """In JSON, not in Python."""
    assert ResolvedParameter(value=value, reason="given").text == text
