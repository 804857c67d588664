"""Why pods do not come up."""

import pytest

from finetune_operator.objects.records import Pod, WarningEvent
from finetune_operator.plan.common.advice import with_advice
from finetune_operator.plan.common.blocked import Blocker, job_blocker, pod_blocker, refusal_blocker, same_but_shorter
from tests.unit.operator.samples import T, batch, pod

pytestmark = pytest.mark.unit

JOB = "tune-prepare-1"
POD = "tune-prepare-1-0-x"


def pending(**more: object) -> Pod:
    return pod(POD, JOB, **{"phase": "Pending", "started": None, "waiting_reason": "ContainerCreating", **more})


def unscheduled(message: str = "") -> Pod:
    return pending(scheduled=False, node="", scheduled_at=None, waiting_reason="", scheduling_message=message)


def warning(kind: str, name: str, reason: str, message: str, at: float = T) -> WarningEvent:
    return WarningEvent(kind, name, reason, message, at)


@pytest.mark.parametrize(
    ("found", "warnings", "reason", "object_", "queued"),
    [
        (pending(waiting_reason="ErrImagePull", waiting_message='failed to pull image "x:1"'), [], "ImagePullFailed", "Image x:1", False),
        (pending(waiting_reason="ImagePullBackOff"), [], "ImagePullFailed", "", False),
        (pending(waiting_reason="InvalidImageName", waiting_message="bad"), [], "ImagePullFailed", "", False),
        (
            pending(waiting_reason="CreateContainerConfigError", waiting_message='secret "s3-credentials" not found'),
            [], "SecretNotFound", "Secret s3-credentials", False,
        ),
        (
            pending(waiting_reason="CreateContainerConfigError", waiting_message="couldn't find key api-key in Secret team/keys"),
            [], "SecretKeyNotFound", "Secret keys", False,
        ),
        (
            pending(waiting_reason="CreateContainerConfigError", waiting_message="container has runAsNonRoot and image will run as root"),
            [], "CreateContainerConfigError", "", False,
        ),
        (
            pending(),
            [warning("Pod", POD, "FailedMount", 'MountVolume.SetUp failed for volume "source-train" : configmap "rows" not found')],
            "ConfigMapNotFound", "ConfigMap rows", False,
        ),
        (
            pending(),
            [warning("Pod", POD, "FailedMount", 'MountVolume.SetUp failed for volume "v" : references non-existent config key: a.jsonl')],
            "ConfigMapKeyNotFound", "", False,
        ),
        (pending(), [warning("Pod", POD, "FailedMount", "timed out")], "VolumeMountFailed", "", False),
        (pending(), [warning("Pod", POD, "FailedAttachVolume", "Multi-Attach error for volume v")], "VolumeInUse", "", False),
        (pending(), [warning("Pod", POD, "FailedAttachVolume", "no such disk")], "VolumeAttachFailed", "", False),
        (
            unscheduled('0/1 nodes are available: persistentvolumeclaim "data" not found.'),
            [], "VolumeClaimNotFound", "PersistentVolumeClaim data", False,
        ),
        (
            unscheduled('0/1 nodes are available: persistentvolumeclaim "data" is being deleted.'),
            [], "VolumeClaimTerminating", "PersistentVolumeClaim data", False,
        ),
        (
            unscheduled("1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode."),
            [], "VolumeInUse", "", False,
        ),
        (unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."), [], "VolumeNotBound", "", False),
        (
            unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
            [warning("PersistentVolumeClaim", "tune-workspace", "ProvisioningFailed", 'storageclass "fast" not found')],
            "VolumeProvisioningFailed", "PersistentVolumeClaim tune-workspace", False,
        ),
        (
            unscheduled(),
            [warning("PersistentVolumeClaim", "tune-workspace", "ProvisioningFailed", "no space")],
            "VolumeProvisioningFailed", "PersistentVolumeClaim tune-workspace", False,
        ),
        (unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."), [], "Unschedulable", "", True),
        (
            unscheduled("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match pod affinity rules."), [],
            "NodeOfVolumeFull", "", True,
        ),
        (unscheduled("0/2 nodes are available: 1 node(s) had volume node affinity conflict."), [], "VolumeElsewhere", "", True),
        (unscheduled("0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity."), [], "VolumeElsewhere", "", True),
        (unscheduled("0/1 nodes are available: 1 node(s) had no available volume zone."), [], "VolumeElsewhere", "", True),
    ],
)  # fmt: skip
def test_a_pod_that_waits_says_why(found: Pod, warnings: list[WarningEvent], reason: str, object_: str, queued: bool) -> None:
    """The reason is one of few, the object is the one to create or change, and only room on the nodes is waited for."""
    blocker = job_blocker(batch(JOB), (found,), warnings, T + 30)
    assert blocker is not None
    assert (blocker.reason, blocker.object, blocker.queued) == (reason, object_, queued)


@pytest.mark.parametrize(
    "found",
    [pod(POD, JOB), pending(), unscheduled(), pod(POD, JOB, phase="Succeeded", exit_code=0)],
)
def test_a_running_pod_has_no_blocker(found: Pod) -> None:
    """Running, being created, not looked at yet, done."""
    assert pod_blocker(found, []) is None


@pytest.mark.parametrize(
    ("reason", "stage", "field"),
    [
        ("ImagePullFailed", "server", "and pod.imagePullSecrets"),
        ("ImagePullFailed", "publish", "and publishing.pod.imagePullSecrets"),
        ("ImagePullFailed", "inspect", "the chart's images.trainer"),
        ("OutOfMemory", "server", "raise resources.limits.memory, or lower maxConcurrency"),
        ("OutOfMemory", "prepare", "raise preparation.resources.limits.memory"),
        ("QuotaExceeded", "server", "lower resources"),
        ("ServiceAccountNotFound", "train", "correct training.pod.serviceAccountName"),
    ],
)
def test_advice_names_the_field_of_the_object_it_is_written_to(reason: str, stage: str, field: str) -> None:
    """A ModelDeployment has no stages, a job has three."""
    reported = with_advice("pulling failed.", reason, stage)
    assert reported.startswith("pulling failed: ")
    assert field in reported


def test_old_warnings_say_nothing_about_now() -> None:
    """An event of ten minutes ago may have mended itself, and a container that crashes has its volumes."""
    old = [warning("Pod", POD, "FailedMount", "timed out", T)]
    assert job_blocker(batch(JOB), (pending(),), old, T + 600) is None
    assert pod_blocker(pod(POD, JOB, waiting_reason="CrashLoopBackOff"), old) is None


@pytest.mark.parametrize(
    ("message", "reason", "object_"),
    [
        ('pods "x" is forbidden: exceeded quota: compute, requested: cpu=1', "QuotaExceeded", "ResourceQuota compute"),
        ('error looking up service account team/x: serviceaccount "x" not found', "ServiceAccountNotFound", "ServiceAccount x"),
        ('violates PodSecurity "restricted:latest"', "Refused", ""),
    ],
)
def test_a_job_without_pods_says_why(message: str, reason: str, object_: str) -> None:
    """Pods that the API server refuses are seen in the Job's events only."""
    blocker = job_blocker(batch(JOB), (), [warning("Job", JOB, "FailedCreate", message)], T)
    assert blocker is not None
    assert (blocker.reason, blocker.object, blocker.message) == (reason, object_, message)


def test_a_job_that_kueue_holds_back_is_queued() -> None:
    """A suspended Job waits for its turn."""
    blocker = job_blocker(batch(JOB, suspended=True), (), [], T)
    assert blocker is not None
    assert (blocker.reason, blocker.queued) == ("QueuedByKueue", True)


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("NotOurs", "belongs to another object", Blocker("NameTaken", "belongs to another object", "Job x")),
        ("Refused", "denied by policy", Blocker("Refused", "Job x: denied by policy", "Job x")),
    ],
)
def test_a_refused_child_is_named(reason: str, message: str, expected: Blocker) -> None:
    """What the API server would not take, with its words."""
    assert refusal_blocker(warning("Job", "x", reason, message)) == expected


@pytest.mark.parametrize(
    ("new", "expected"),
    [('Back-off pulling image "x:1"', True), ('Back-off pulling image "x:1": ErrImagePull: not found', False), ("not found", False)],
)
def test_a_back_off_message_does_not_hide_the_cause(new: str, expected: bool) -> None:
    """The kubelet alternates between the cause and "Back-off pulling image"; the cause stays."""
    assert same_but_shorter("pod p: not found", new) is expected
