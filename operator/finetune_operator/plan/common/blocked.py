"""Why pods do not start, for the person who can fix it: from the pods, the Job and its Warning events.

A blocker fails the job at limits.startDeadline. Waiting for capacity is `queued` and limited only by limits.scheduleTimeout, since
autoscalers and queues take time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from finetune_operator.objects.records import BatchJob, Pod, WarningEvent

IMAGE_REASONS = frozenset(
    {
        "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)  # fmt: skip
CONTAINER_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError"})
VOLUME_REASONS = {
    "FailedMount": "VolumeMountFailed",
    "FailedAttachVolume": "VolumeAttachFailed",
    "FailedMapVolume": "VolumeMountFailed",
    "ProvisioningFailed": "VolumeProvisioningFailed",
    "FailedBinding": "VolumeProvisioningFailed",
    "FailedCreatePodSandBox": "SandboxFailed",
}
VOLUME_ELSEWHERE = "VolumeElsewhere"
"""A node has capacity for the pod but cannot mount its volume, which is bound to another zone or node."""
ELSEWHERE_MESSAGES = ("volume node affinity conflict", "didn't match PersistentVolume's node affinity", "had no available volume zone")
"""Of the scheduler up to Kubernetes 1.34, of later versions, and for volumes with their zone in a label. It checks capacity first."""
RELEVANT_REASONS = frozenset({*VOLUME_REASONS, "FailedCreate"})
"""Reasons of the Warning events that are used here."""
RECENT = 300.0
"""Seconds for which a Warning event counts as current: the kubelet repeats persistent ones every two minutes."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason why pods have not started."""

    reason: str
    message: str
    object: str = ""
    """The Kubernetes object to create or change: "Secret s3-credentials"."""
    queued: bool = False
    """It waits for capacity on the nodes, or in a queue."""
    pod: str = ""


def job_blocker(batch: BatchJob, pods: Sequence[Pod], warnings: Sequence[WarningEvent], now: float) -> Blocker | None:
    """Why the pods of a Job are not all running; None when nothing is known."""
    if batch.suspended:
        return Blocker("QueuedByKueue", f"Job {batch.meta.name} is suspended and waits in its queue", queued=True)
    recent = [warning for warning in warnings if warning.last_seen >= now - RECENT]
    for pod in pods:
        found = pod_blocker(pod, recent)
        if found:
            return found
    return None if pods else _creation_blocker(batch.meta.name, "Job", recent)


def workload_blocker(name: str, pods: Sequence[Pod], warnings: Sequence[WarningEvent], now: float) -> Blocker | None:
    """Why the pods of a Deployment are not running."""
    recent = [warning for warning in warnings if warning.last_seen >= now - RECENT]
    found = next((found for pod in pods if not pod.ready and (found := pod_blocker(pod, recent))), None)
    return found or _creation_blocker(name, "ReplicaSet", recent)


def refusal_blocker(refusal: WarningEvent | None) -> Blocker | None:
    """A child that the API server refused."""
    if refusal is None:
        return None
    if refusal.reason == "NotOurs":
        return Blocker("NameTaken", refusal.message, f"{refusal.kind} {refusal.name}")
    return _refused(refusal, f"{refusal.kind} {refusal.name}: ", f"{refusal.kind} {refusal.name}")


def pod_blocker(pod: Pod, warnings: Sequence[WarningEvent]) -> Blocker | None:
    """Why one pod does not run."""
    if pod.phase != "Pending" and not pod.waiting_reason:
        return None
    if not pod.scheduled and not pod.node:
        return _scheduling_blocker(pod, warnings)
    if pod.waiting_reason in IMAGE_REASONS:
        return Blocker("ImagePullFailed", pod.waiting_message or pod.waiting_reason, _image_of(pod.waiting_message), pod=pod.meta.name)
    if pod.waiting_reason in CONTAINER_REASONS:
        return _named(pod.waiting_reason, pod.waiting_message, pod.meta.name)
    return _volume_blocker(pod, warnings) if pod.phase == "Pending" else None


def same_but_shorter(old: str, new: str) -> bool:
    """True when a new message is less detailed than the old one: the kubelet alternates between cause and back-off."""
    return new.startswith("Back-off pulling image") and ":" not in new.rpartition('"')[2] and bool(old)


def _scheduling_blocker(pod: Pod, warnings: Sequence[WarningEvent]) -> Blocker | None:
    message = pod.scheduling_message
    if not message:
        return _claim_blocker(warnings)  # while a volume is being provisioned, the scheduler reports nothing
    claim = re.search(r'persistentvolumeclaim "([^"]+)"', message)
    named = f"PersistentVolumeClaim {claim[1]}" if claim else ""
    if claim and "not found" in message:
        return Blocker("VolumeClaimNotFound", f"{named} does not exist", named, pod=pod.meta.name)
    if claim and "being deleted" in message:
        return Blocker("VolumeClaimTerminating", message, named, pod=pod.meta.name)
    if claim and "bound to non-existent" in message:
        return Blocker("VolumeLost", message, named, pod=pod.meta.name)
    if "ReadWriteOncePod" in message:
        return Blocker("VolumeInUse", message, named, pod=pod.meta.name)
    if "didn't match pod affinity rules" in message:
        return Blocker("NodeOfVolumeFull", message, queued=True, pod=pod.meta.name)
    if any(words in message for words in ELSEWHERE_MESSAGES):
        return Blocker(VOLUME_ELSEWHERE, message, queued=True, pod=pod.meta.name)
    if "unbound immediate PersistentVolumeClaims" in message:
        return _claim_blocker(warnings) or Blocker("VolumeNotBound", message, pod=pod.meta.name)
    says = f"no node can run the pod; the scheduler reports: {message}"
    return _claim_blocker(warnings) or Blocker("Unschedulable", says, queued=True, pod=pod.meta.name)


def _claim_blocker(warnings: Sequence[WarningEvent]) -> Blocker | None:
    found = _newest(warnings, "PersistentVolumeClaim")
    if found is None:
        return None
    return Blocker(VOLUME_REASONS.get(found.reason, found.reason), found.message, f"PersistentVolumeClaim {found.name}")


def _volume_blocker(pod: Pod, warnings: Sequence[WarningEvent]) -> Blocker | None:
    mine = [w for w in warnings if w.kind == "Pod" and w.name == pod.meta.name and w.reason in VOLUME_REASONS]
    newest = max(mine, key=lambda warning: warning.last_seen, default=None)
    if newest is None:
        return None
    reason = VOLUME_REASONS[newest.reason]
    if "Multi-Attach" in newest.message or "already used by" in newest.message:
        reason = "VolumeInUse"
    return _named(reason, newest.message, pod.meta.name)


def _creation_blocker(name: str, kind: str, warnings: Sequence[WarningEvent]) -> Blocker | None:
    """Refused pods appear only in the events of their controller. A ReplicaSet is named after its Deployment."""
    mine = [w for w in warnings if w.kind == kind and w.reason == "FailedCreate" and (w.name == name or w.name.startswith(f"{name}-"))]
    newest = max(mine, key=lambda warning: warning.last_seen, default=None)
    if newest is None:
        return None
    return _refused(newest)


def _refused(warning: WarningEvent, prefix: str = "", object: str = "") -> Blocker:
    message = prefix + warning.message
    account = re.search(r'serviceaccount "([^"]+)" not found', message)
    if account:
        return Blocker("ServiceAccountNotFound", message, f"ServiceAccount {account[1]}")
    quota = re.search(r"exceeded quota: ([^,\s]+)", message)
    if quota:
        return Blocker("QuotaExceeded", message, f"ResourceQuota {quota[1]}")
    return Blocker("Refused", message, object)


def _newest(warnings: Sequence[WarningEvent], kind: str) -> WarningEvent | None:
    mine = [w for w in warnings if w.kind == kind and w.reason in VOLUME_REASONS]
    return max(mine, key=lambda warning: warning.last_seen, default=None)


def _named(reason: str, message: str, pod: str) -> Blocker:
    """Finds the missing Secret or ConfigMap in the message of the kubelet."""
    missing = re.search(r'(secret|configmap) "([^"]+)" not found', message, re.IGNORECASE)
    if missing:
        kind = "Secret" if missing[1].lower() == "secret" else "ConfigMap"
        return Blocker(f"{kind}NotFound", message, f"{kind} {missing[2]}", pod=pod)
    key = re.search(r"couldn't find key (\S+) in (Secret|ConfigMap) [^/\s]+/(\S+)", message)
    if key:
        return Blocker(f"{key[2]}KeyNotFound", message, f"{key[2]} {key[3]}", pod=pod)
    if "references non-existent config key" in message:
        return Blocker("ConfigMapKeyNotFound", message, pod=pod)
    return Blocker(reason, message, pod=pod)


def _image_of(message: str) -> str:
    found = re.search(r'image "([^"]+)"', message)
    return f"Image {found[1]}" if found else ""
