"""How an attempt ended, from its pods and its Job."""

import pytest

from finetune_operator.objects.records import BatchJob, Pod
from finetune_operator.plan.common.outcome import outcome_of
from tests.unit.operator.samples import batch, ended_pod, failure

pytestmark = pytest.mark.unit

JOB = "tune-train-1"


def pods(*ends: dict[str, object]) -> tuple[Pod, ...]:
    return tuple(ended_pod(f"{JOB}-{index}", JOB, **{"code": 0, **end}) for index, end in enumerate(ends))  # type: ignore[arg-type]


def failed(message: str = "", reason: str = "PodFailurePolicy") -> BatchJob:
    return batch(JOB, failure_reason=reason, failure_message=message, terminated=True)


INVALID = failure("train", "InvalidDataset", "line 3 is wrong", 3)


@pytest.mark.parametrize(
    ("ends", "message", "reason", "retryable", "counts"),
    [
        ([{"code": 3, "message": INVALID}], "", "InvalidDataset", False, True),
        ([{"code": 3, "message": "Traceback"}], "", "InvalidInput", False, True),
        ([{"code": 4}], "", "DoesNotFit", False, True),
        ([{"code": 28}], "", "StorageFull", False, True),
        ([{"code": 44}], "", "Diverged", False, True),
        ([{"code": 48}], "", "OutOfMemory", False, True),
        ([{"code": 1}], "", "InternalError", True, True),
        ([{"code": 42}], "", "Preempted", True, False),
        ([{"code": 43}], "", "Stalled", True, True),
        ([{"code": 45}], "", "PeerLost", True, True),
        ([{"code": 47}], "", "SourceUnavailable", True, True),
        ([{"code": 99}], "", "InternalError", True, True),
        ([{"code": 143}], "", "Terminated", True, False),
        ([{"code": 137}], "", "Killed", True, True),
        ([{"code": 137, "exit_reason": "OOMKilled"}], "", "OutOfMemory", False, False),
        ([{"code": 42, "disruption": "PreemptionByScheduler"}], "", "Preempted", True, False),
        ([{"code": 137, "disruption": "EvictionByEvictionAPI"}], "", "Evicted", True, False),
        ([{"code": 137, "disruption": "DeletionByTaintManager"}], "", "NodeLost", True, False),
        ([{"code": 137, "failure": "Evicted", "failure_message": "The node was low on resource: memory"}], "", "Evicted", True, False),
        (
            [{"code": 137, "failure": "Evicted", "failure_message": 'Usage of EmptyDir volume "tmp" exceeds the limit'}],
            "",
            "EphemeralStorageExceeded",
            True,
            True,
        ),
        ([], "Container trainer for pod a/b failed with exit code 42 matching FailJob rule at index 1", "Preempted", True, False),
        ([], "Container trainer for pod a/b failed with exit code 3 matching FailJob rule at index 1", "InvalidInput", False, True),
        ([], "Pod a/b has condition DisruptionTarget matching FailJob rule at index 0", "Disrupted", True, False),
        ([], "", "PodFailurePolicy", True, True),
    ],
)
def test_a_failure_has_a_reason_and_is_tried_again_or_not(
    ends: list[dict[str, object]], message: str, reason: str, retryable: bool, counts: bool
) -> None:
    """From the stage's own words, else the pod's state and exit code, else the Job's condition."""
    outcome = outcome_of("train", failed(message), pods(*ends))
    assert (outcome.reason, outcome.retryable, outcome.counts) == (reason, retryable, counts)


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        ([{"code": 45, "finished": 1.0}, {"code": 1, "finished": 2.0}], "InternalError"),
        ([{"code": 1, "finished": 5.0}, {"code": 43, "finished": 2.0}], "Stalled"),
        ([{"code": 1, "finished": 1.0}, {"code": 42, "finished": 2.0}], "InternalError"),
        ([{"code": 42, "finished": 1.0}, {"code": 1, "finished": 2.0}], "Preempted"),
        ([{"code": 1, "finished": 1.0}, {"code": 137, "disruption": "EvictionByEvictionAPI", "finished": 2.0}], "Evicted"),
        ([{"code": 45, "finished": 1.0}, {"code": 3, "message": INVALID, "finished": 9.0}], "InvalidDataset"),
        ([{"code": 0}, {"code": 45}], "PeerLost"),
    ],
)
def test_the_decisive_rank_speaks_for_the_gang(ends: list[dict[str, object]], reason: str) -> None:
    """No retry helps before disrupted before first to end before a rank that lost its peers."""
    assert outcome_of("train", failed(), pods(*ends)).reason == reason


def test_the_stage_s_own_error_is_kept() -> None:
    """The parameter to change and the details are the stage's."""
    message = failure("prepare", "InvalidDataset", "the dataset is wrong", 3, param="dataset.train.source")
    outcome = outcome_of("prepare", failed(), pods({"code": 3, "message": message}))
    assert outcome.message == "the dataset is wrong"
    assert outcome.error is not None
    assert outcome.error.param == "dataset.train.source"


@pytest.mark.parametrize(("stage", "field"), [("prepare", "preparation"), ("train", "training"), ("publish", "publishing")])
def test_out_of_memory_says_which_limit_to_raise(stage: str, field: str) -> None:
    """The limit is that of the stage."""
    outcome = outcome_of(stage, failed(), pods({"code": 137, "exit_reason": "OOMKilled"}))  # type: ignore[arg-type]
    assert f"in a new job raise {field}.resources.limits.memory" in outcome.message


@pytest.mark.parametrize(("stage", "again"), [("prepare", False), ("train", False), ("publish", True)])
def test_out_of_memory_is_the_end_of_a_stage_but_of_publish(stage: str, again: bool) -> None:
    """The same limit kills the next attempt, too; publish, killed in an export, goes without that export in the end."""
    outcome = outcome_of(stage, failed(), pods({"code": 137, "exit_reason": "OOMKilled"}))  # type: ignore[arg-type]
    assert (outcome.retryable, outcome.counts) == (again, again)


def test_a_full_volume_says_that_its_size_is_that_of_a_new_job() -> None:
    """The field is immutable."""
    assert "in a new job set a larger size" in outcome_of("train", failed(), pods({"code": 28})).message


def test_without_a_result_the_last_log_line_is_the_message() -> None:
    """FallbackToLogsOnError leaves the log's tail in the termination message."""
    ends = pods({"code": 1, "message": "Traceback (most recent call last):\n  ...\nOSError: no such device\n"})
    assert outcome_of("train", failed(), ends).message == "exit code 1: OSError: no such device"


def test_the_pod_is_named() -> None:
    """A failure without the stage's own words names its pod."""
    assert outcome_of("train", failed(), pods({"code": 43})).pod == f"{JOB}-0"
