"""The rules of plan_deployment."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.resources.finetuned_model import ArtifactStatus
from finetune_api.resources.model_deployment import ModelDeploymentStatus, Revision
from finetune_operator.names import DEPLOYMENT_LABEL, MODEL_LABEL, MODEL_UID_LABEL, REVISION_ANNOTATION
from finetune_operator.plan.conditions import find
from finetune_operator.plan.deployment import plan_deployment
from finetune_operator.plan.observed import ObservedDeployment
from finetune_operator.plan.plan import Plan
from finetune_operator.plan.serving import revision_digest
from finetune_operator.records import Pod, WarningEvent, Workload
from tests.unit.operator.samples import SETTINGS, T, claim, condition, deployment, meta, model

pytestmark = pytest.mark.unit


def observed(status: ModelDeploymentStatus | None = None, spec: dict[str, Any] | None = None, **more: Any) -> ObservedDeployment:
    there = {"model": model(), "model_claim": claim("bot-model")}
    return ObservedDeployment(deployment(status, **(spec or {})), SETTINGS, **{**there, **more})


def status_of(plan: Plan) -> ModelDeploymentStatus:
    assert isinstance(plan.status, ModelDeploymentStatus)
    return plan.status


def conditions(plan: Plan) -> dict[str, str]:
    return {c.type: c.status for c in status_of(plan).conditions}


def reason(plan: Plan) -> str:
    ready = find(status_of(plan).conditions, "Ready")
    assert ready is not None
    return ready.reason


def recorded(spec: dict[str, Any] | None = None) -> ModelDeploymentStatus:
    """The status after the first look: the revision is pinned."""
    return status_of(plan_deployment(observed(spec=spec), T))


def workload(status: ModelDeploymentStatus, **more: Any) -> Workload:
    """The Deployment of a recorded revision, rolled out."""
    assert status.revision is not None
    annotations = {REVISION_ANNOTATION: revision_digest(status.revision)}
    shape = {"observed_generation": 1, "replicas": 1, "updated": 1, "ready": 1, "available": 1, "spec_replicas": 1, **more}
    return Workload(meta("web", annotations=annotations, owners=frozenset({"uid-web"})), **shape)


def server_pod(uid: str = "uid-bot", name: str = "bot", **more: Any) -> Pod:
    labels = {DEPLOYMENT_LABEL: "web", MODEL_LABEL: name, MODEL_UID_LABEL: uid}
    return Pod(meta(f"web-{uid}", labels=labels), **{"phase": "Running", "node": "n1", "scheduled": True, "ready": True, **more})


def test_the_revision_and_what_is_served_are_written_first() -> None:
    """The delete guard knows of the model before a pod mounts it."""
    plan = plan_deployment(observed(), T)
    found = status_of(plan)
    assert plan.apply == ()
    assert found.revision is not None
    assert (found.revision.model_uid, found.revision.image) == ("uid-bot", "registry/server:1")
    assert [(s.model, s.uid) for s in found.serving] == [("bot", "uid-bot")]
    assert (found.url, found.selector, found.ready_text) == ("http://web.team.svc", "finetune.dev/deployment=web", "0/1")


def test_deployment_and_service_follow_the_recorded_revision() -> None:
    """Then they are left alone."""
    state = recorded()
    plan = plan_deployment(observed(state), T)
    assert [obj["kind"] for obj in plan.apply] == ["Deployment", "Service"]
    applied = plan_deployment(observed(state, workload=workload(state), service_exists=True, pods=(server_pod(),)), T)
    assert applied.apply == ()
    assert conditions(applied) == {"Ready": "True", "Reconciling": "False", "Stalled": "False", "Available": "True", "Progressing": "False"}
    assert (status_of(applied).ready_text, applied.requeue_after) == ("1/1", None)


UNGATED = replace(model(), status=model().status.model_copy(update={"gate_passed": False}))
SAFETENSORS = ArtifactStatus(format="safetensors", precision="fp32", path="model", size_bytes=1, sha256="a" * 64)
NO_ONNX = replace(model(), status=model().status.model_copy(update={"artifacts": [SAFETENSORS]}))
NOT_READY = replace(model(), status=model().status.model_copy(update={"conditions": [condition("Ready", "False", "Inspecting")]}))
BROKEN_CONDITIONS = [condition("Ready", "False", "Damaged"), condition("Stalled", "True", "Damaged")]
BROKEN = replace(model(), status=model().status.model_copy(update={"conditions": BROKEN_CONDITIONS}))


@pytest.mark.parametrize(
    ("change", "spec", "expected", "stalled", "words"),
    [
        ({"model": None}, {}, "ModelNotFound", "False", "there is no FineTunedModel bot"),
        ({"model": model(deleting=True)}, {}, "ModelTerminating", "False", "being deleted"),
        ({"model": NOT_READY}, {}, "ModelNotReady", "False", "Inspecting"),
        ({"model": BROKEN}, {}, "ModelNotReady", "True", "Damaged"),
        ({"model": NO_ONNX}, {}, "ArtifactMissing", "True", "train with export.onnx"),
        ({"model": UNGATED}, {}, "GateFailed", "True", "allowUngated"),
        ({"model": model(uid="made-again")}, {}, "ModelReplaced", "True", "deleted and made again"),
        ({"model_claim": None}, {}, "ClaimNotFound", "False", "PersistentVolumeClaim bot-model"),
        ({}, {"replicas": 2}, "VolumeNotShared", "True", "PersistentVolumeClaim bot-model is ReadWriteOnce"),
        ({"foreign": "Service/web"}, {}, "NameTaken", "False", "Service web"),
    ],
)
def test_what_may_not_be_served_leaves_the_running_deployment_alone(
    change: dict[str, Any], spec: dict[str, Any], expected: str, stalled: str, words: str
) -> None:
    """Ready=False with a reason, no apply; what runs goes on answering and is still guarded."""
    state = recorded()
    plan = plan_deployment(observed(state, spec, workload=workload(state), pods=(server_pod(),), **change), T)
    found = status_of(plan)
    assert (plan.apply, plan.delete) == ((), ())
    assert (reason(plan), conditions(plan)["Ready"], conditions(plan)["Stalled"], conditions(plan)["Available"]) == (
        expected, "False", stalled, "True",
    )  # fmt: skip
    assert found.message is not None
    assert words in found.message
    assert [(s.model, s.uid) for s in found.serving] == [("bot", "uid-bot")]
    assert found.revision == state.revision


@pytest.mark.parametrize(
    ("spec", "seen"),
    [({"allowUngated": True}, {"model": UNGATED}), ({"replicas": 3}, {"model_claim": claim("bot-model", "ReadWriteMany")})],
)
def test_what_may_be_served_is(spec: dict[str, Any], seen: dict[str, Any]) -> None:
    """An ungated model when that is asked for, several replicas on a shared volume."""
    state = status_of(plan_deployment(observed(spec=spec, **seen), T))
    plan = plan_deployment(observed(state, spec, **seen), T)
    assert [obj["kind"] for obj in plan.apply] == ["Deployment", "Service"]


def test_an_upgrade_of_the_operator_replaces_no_pod() -> None:
    """The image stays until the model or the spec changes; scaling is no such change."""
    state = recorded()
    newer = replace(SETTINGS, onnx_server_image="registry/server:2")
    seen = replace(observed(state, workload=workload(state), service_exists=True), settings=newer)
    assert status_of(plan_deployment(seen, T)).revision == state.revision
    scaled = plan_deployment(replace(seen, deployment=deployment(state, replicas=0)), T)
    assert (scaled.apply, [obj["spec"] for obj in scaled.patch]) == ((), [{"replicas": 0}])
    assert scaled.patch[0]["metadata"] == {"name": "web", "namespace": "team", "uid": "uid-web"}
    changed = plan_deployment(replace(seen, deployment=deployment(state, maxConcurrency=2)), T)
    revision = status_of(changed).revision
    assert revision is not None
    assert revision.image == "registry/server:2"


def test_another_model_is_a_new_revision() -> None:
    """Both are guarded until the old one's pods have gone."""
    state = recorded()
    other = {"model": model("next"), "model_claim": claim("next-model")}
    spec = {"model": {"name": "next"}}
    plan = plan_deployment(observed(state, spec, workload=workload(state), pods=(server_pod(),), **other), T)
    assert [(s.model, s.uid) for s in status_of(plan).serving] == [("bot", "uid-bot"), ("next", "uid-next")]
    assert plan.apply == ()
    after = plan_deployment(observed(status_of(plan), spec, workload=workload(state), service_exists=True, **other), T)
    assert [obj["kind"] for obj in after.apply] == ["Deployment"]


def test_only_the_operator_scales_the_deployment() -> None:
    """Replicas that somebody else wrote are put back."""
    state = recorded()
    plan = plan_deployment(observed(state, workload=workload(state, spec_replicas=5, replicas=5), service_exists=True), T)
    assert (plan.apply, [obj["spec"] for obj in plan.patch]) == ((), [{"replicas": 1}])


def test_scaled_to_zero_is_ready_but_not_available() -> None:
    """Flux and Argo CD take it for settled; nobody takes it for serving."""
    state = recorded({"replicas": 0})
    none = workload(state, replicas=0, updated=0, ready=0, available=0, spec_replicas=0)
    plan = plan_deployment(observed(state, {"replicas": 0}, workload=none, service_exists=True), T)
    assert (conditions(plan)["Ready"], conditions(plan)["Available"], reason(plan)) == ("True", "False", "ScaledToZero")


NEW = {"updated": 1, "ready": 0, "available": 0}


@pytest.mark.parametrize(
    ("pod", "expected", "object_"),
    [
        ({"phase": "Pending", "waiting_reason": "ImagePullBackOff", "waiting_message": 'image "a:1"'}, "ImagePullFailed", "Image a:1"),
        (
            {"phase": "Pending", "waiting_reason": "CreateContainerConfigError", "waiting_message": 'secret "keys" not found'},
            "SecretNotFound", "Secret keys",
        ),
        ({"waiting_reason": "CrashLoopBackOff", "exit_code": 1, "exit_message": "x\nno MANIFEST\n"}, "ServerCrashes", "Pod web-uid-bot"),
        ({"waiting_reason": "CrashLoopBackOff", "exit_code": 137, "exit_reason": "OOMKilled"}, "OutOfMemory", "Pod web-uid-bot"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_come_up_says_why(pod: dict[str, Any], expected: str, object_: str) -> None:
    """The pod's own reason and last words."""
    state = recorded()
    seen = observed(state, workload=workload(state, **NEW), service_exists=True, pods=(server_pod(ready=False, **pod),))
    plan = plan_deployment(seen, T)
    error = status_of(plan).error
    assert error is not None
    assert (reason(plan), error.object) == (expected, object_)
    assert conditions(plan)["Reconciling"] == "True"


def test_a_rollout_that_takes_too_long_is_stalled() -> None:
    """As the Deployment itself says."""
    state = recorded()
    late = workload(state, **NEW, progressing_reason="ProgressDeadlineExceeded", progressing_message="has timed out progressing")
    plan = plan_deployment(observed(state, workload=late, service_exists=True), T)
    assert (reason(plan), conditions(plan)["Stalled"]) == ("ProgressDeadlineExceeded", "True")
    unseen = replace(late, meta=replace(late.meta, generation=2))
    assert conditions(plan_deployment(observed(state, workload=unseen, service_exists=True), T))["Stalled"] == "False"


def test_pods_without_their_service_are_not_ready() -> None:
    """Its URL would lead nowhere."""
    state = recorded()
    event = WarningEvent("Service", "web", "Refused", "exceeded quota: services, requested: services=1", T)
    plan = plan_deployment(observed(state, workload=workload(state), pods=(server_pod(),), refusal=event), T)
    assert (reason(plan), conditions(plan)["Ready"], [obj["kind"] for obj in plan.apply]) == ("QuotaExceeded", "False", ["Service"])


def test_refused_pods_are_seen_in_the_replica_set_s_events() -> None:
    """No pod exists to say so."""
    state = recorded()
    event = WarningEvent("ReplicaSet", "web-5d8f", "FailedCreate", "exceeded quota: cpu, requested", T)
    plan = plan_deployment(observed(state, workload=workload(state, **NEW), service_exists=True, warnings=(event,)), T)
    assert reason(plan) == "QuotaExceeded"


def test_an_unreadable_spec_and_an_object_that_goes_are_left_alone() -> None:
    """Stalled, and nothing."""
    state = recorded()
    seen = observed(state, workload=workload(state), pods=(server_pod(),))
    plan = plan_deployment(replace(seen, deployment=replace(seen.deployment, spec=None, spec_error="spec.engine: 'tpu'")), T)
    assert (reason(plan), conditions(plan)["Stalled"], plan.apply) == ("InvalidSpec", "True", ())
    going = replace(seen.deployment, meta=meta("web", deleting=True))
    assert plan_deployment(replace(seen, deployment=going), T) == Plan()


def test_a_settled_deployment_costs_no_write() -> None:
    """Neither now nor later."""
    state = recorded()
    seen = observed(state, workload=workload(state), service_exists=True, pods=(server_pod(),))
    settled = replace(seen, deployment=deployment(status_of(plan_deployment(seen, T))))
    assert plan_deployment(settled, T + 100) == Plan()


def test_a_revision_has_its_own_digest() -> None:
    """The annotation on the Deployment tells two rollouts apart."""
    first = Revision(model="a", model_uid="1", image="i", spec_generation=1, spec_digest="d")
    assert revision_digest(first) != revision_digest(first.model_copy(update={"image": "j"}))
