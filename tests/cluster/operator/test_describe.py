"""What `kubectl describe` prints of a finished job: the reason where tools look for it, nothing more often than that, nothing empty."""

import re

import pytest

from finetune_api.result import StageError, StageResult
from tests.cluster.operator.conftest import Start
from tests.cluster.operator.simulation import Space, simulated_job

pytestmark = pytest.mark.cluster

REASON = "2 of 40 rows are invalid"
REFUSED = StageResult(
    stage="prepare",
    error=StageError(code="InvalidDataset", message=REASON, param="dataset.train", details=["line 3: no messages", "line 9: no content"]),
)


def described(space: Space, phase: str, last_event: str) -> str:
    """Status and events of the job tune as `kubectl describe` prints them once it is in that phase and the Event was written."""

    def printed() -> str:
        text = space.kubectl("describe", "ftj", "tune").partition("\nStatus:\n")[2]
        return text if re.search(rf"\n +Phase: +{phase}\n", text) and last_event in text.partition("\nEvents:\n")[2] else ""

    return str(space.wait(f"{phase}, with an Event: {last_event}", printed))


def headings_without_content(text: str) -> list[str]:
    """Lines "Key:" with no value and nothing indented below; a condition's Message may be empty, as metav1.Condition requires it."""
    lines = [line for line in text.splitlines() if line.strip() not in ("Message:", "Events:")]
    pairs = zip(lines, [*lines[1:], ""], strict=True)
    return [line for line, below in pairs if re.fullmatch(r" *[A-Za-z ]+: *", line) and _indent(below) <= _indent(line)]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def test_a_succeeded_job(space: Space, start: Start) -> None:
    """No heading without content, and every Event once."""
    start()
    space.apply(simulated_job(space.name, "tune"))
    text = described(space, "Succeeded", "FineTunedModel tune is ready")
    assert headings_without_content(text) == []
    assert "loss 2.50 (base 4.00)" in text


def test_a_failed_job(space: Space, start: Start) -> None:
    """The reason stands in the conditions that tools read (Ready, Stalled, Failed and DatasetValid), in the attempt, in the error and in
    one Event; each detail stands there once."""
    start()
    job = simulated_job(space.name, "tune")
    job["spec"]["preparation"]["pod"]["annotations"] = {
        "kwok.finetune.dev/exit-code": "3", "kwok.finetune.dev/message": REFUSED.termination_message(),
    }  # fmt: skip
    space.apply(job)
    text = described(space, "Failed", REASON)
    status, _, events = text.partition("\nEvents:\n")
    assert headings_without_content(text) == []
    assert status.count(REASON) == 6
    assert events.count(REASON) == 1
    assert status.count("line 3: no messages") == 1


def test_a_job_without_restarts_left(space: Space, start: Start) -> None:
    """Each failed attempt has one Event, which says what comes next."""
    start()
    broken = {"kwok.finetune.dev/exit-code": "1", "kwok.finetune.dev/message": "Traceback\nValueError: no such key"}
    space.apply(simulated_job(space.name, "tune", train=broken, limits={"maxRestarts": 1}))
    status, _, events = described(space, "Failed", "limits.maxRestarts is 1").partition("\nEvents:\n")
    reported = [line.split("finetune-operator")[1].strip() for line in events.splitlines() if "Warning" in line]
    assert reported == [
        "train 1 ended: exit code 1: ValueError: no such key; train 2 starts in 10s",
        "exit code 1: ValueError: no such key (after 1 restarts; limits.maxRestarts is 1)",
    ]
    assert re.search(r"Message: +training did not finish\n(.*\n){2} +Status: +False\n +Type: +Trained", status)
