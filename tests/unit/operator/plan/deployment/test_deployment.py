"""The rules of plan_deployment."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.engines import ENGINES, EngineFacts
from finetune_api.resources.finetuned_model import ArtifactStatus, MissingArtifactStatus, PublishedCheckpointStatus
from finetune_api.resources.model_deployment import ModelDeploymentStatus, Revision
from finetune_operator.objects.names import (
    CHECKPOINT_LABEL,
    CLAIM_UID_LABEL,
    DEPLOYMENT_LABEL,
    MODEL_LABEL,
    MODEL_UID_LABEL,
    REVISION_ANNOTATION,
)
from finetune_operator.objects.records import Pod, WarningEvent, Workload
from finetune_operator.plan.common.conditions import find
from finetune_operator.plan.common.observed import ObservedDeployment
from finetune_operator.plan.common.plan import Plan
from finetune_operator.plan.deployment.plan_deployment import plan_deployment
from finetune_operator.plan.deployment.serving import revision_digest
from tests.unit.operator.samples import SETTINGS, T, claim, condition, deployment, meta, model

pytestmark = pytest.mark.unit


def observed(status: ModelDeploymentStatus | None = None, spec: dict[str, Any] | None = None, **more: Any) -> ObservedDeployment:
    there = {"model": model(), "model_claim": claim("bot-model")}
    return ObservedDeployment(deployment(status, **(spec or {})), **{"settings": SETTINGS, **there, **more})


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
    shape: dict[str, Any] = {
        "observed_generation": 1,
        "replicas": 1,
        "updated": 1,
        "ready": 1,
        "available": 1,
        "spec_replicas": 1,
        "deadline": 900,
    }
    shape |= more
    return Workload(meta("web", annotations=annotations, owners=frozenset({"uid-web"})), **shape)


def server_pod(uid: str = "uid-bot", name: str = "bot", about: dict[str, Any] | None = None, **more: Any) -> Pod:
    labels = {DEPLOYMENT_LABEL: "web", MODEL_LABEL: name, MODEL_UID_LABEL: uid, CLAIM_UID_LABEL: f"uid-{name}-model"}
    return Pod(
        meta(f"web-{uid}", labels=labels, **(about or {})), **{"phase": "Running", "node": "n1", "scheduled": True, "ready": True, **more}
    )


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
    """After that they are not changed."""
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


NO_CHECKPOINT_2 = MissingArtifactStatus(
    format="safetensors", precision="", checkpoint=2, reason="CheckpointDamaged", message="a byte differs"
)
NO_ONNX_6 = MissingArtifactStatus(format="onnx", precision="fp32", checkpoint=6, reason="ParityFailed", message="train again")
CHECKPOINTS = replace(
    model(),
    status=model().status.model_copy(
        update={
            "step": 8,
            "missing_artifacts": [NO_CHECKPOINT_2, NO_ONNX_6],
            "checkpoints": [
                PublishedCheckpointStatus(
                    step=step,
                    path=f"checkpoints/step-{step}",
                    size_bytes=1,
                    gate_passed=step != 5,
                    lacking=["onnx fp32"] if step == 6 else None,
                )
                for step in (4, 5, 6)
            ],
        }
    ),
)
REASONS_CUT = replace(CHECKPOINTS, status=CHECKPOINTS.status.model_copy(update={"missing_artifacts": [NO_CHECKPOINT_2]}))
"""The list of what is missing has no room for the artifact of checkpoint 6."""
NONE_PUBLISHED = replace(REASONS_CUT, status=REASONS_CUT.status.model_copy(update={"checkpoints": []}))
"""Checkpoint 5 has failed the gate, 6 has no ONNX artifact."""


def of_step(step: int) -> dict[str, Any]:
    return {"model": {"name": "bot", "checkpoint": step}}


NO_OVERRIDES = replace(SETTINGS, overrides=frozenset())


@pytest.mark.parametrize(
    ("change", "spec", "expected", "stalled", "words"),
    [
        ({"model": None}, {}, "ModelNotFound", "False", "FineTunedModel bot does not exist"),
        ({"model": model(deleting=True)}, {}, "ModelTerminating", "False", "being deleted"),
        ({"model": NOT_READY}, {}, "ModelNotReady", "False", "Inspecting"),
        ({"model": BROKEN}, {}, "ModelNotReady", "True", "Damaged"),
        ({"model": NO_ONNX}, {}, "ArtifactMissing", "True", "train with export.onnx"),
        ({"model": UNGATED}, {}, "GateFailed", "True", "allowUngated"),
        (
            {}, of_step(4), "CheckpointNotFound", "True",
            "bot has no checkpoint of step 4: it was published without checkpoints; train with checkpoints.publish",
        ),
        (
            {"model": CHECKPOINTS}, of_step(7), "CheckpointNotFound", "True",
            "bot has no checkpoint of step 7: it has the steps 4, 5, 6, and the model itself is of step 8",
        ),
        ({"model": CHECKPOINTS}, of_step(2), "CheckpointNotFound", "True", "step 2: CheckpointDamaged: a byte differs"),
        ({"model": CHECKPOINTS}, of_step(5), "GateFailed", "True", "checkpoint 5 of FineTunedModel bot did not pass"),
        (
            {"model": CHECKPOINTS},
            of_step(6),
            "ArtifactMissing",
            "True",
            "checkpoint 6 of FineTunedModel bot has no onnx artifact of precision fp32: ParityFailed: train again",
        ),
        ({"model": REASONS_CUT}, of_step(6), "ArtifactMissing", "True", "of precision fp32: MANIFEST.json in checkpoints/step-6 says why"),
        ({"model": NONE_PUBLISHED}, of_step(5), "CheckpointNotFound", "True", "could not be published: CheckpointDamaged: a byte differs"),
        ({"model": model(uid="made-again")}, {}, "ModelReplaced", "True", "deleted and recreated"),
        ({"model_claim": None}, {}, "ClaimNotFound", "False", "PersistentVolumeClaim bot-model"),
        (
            {"model_claim": claim("bot-model", "ReadWriteOncePod")}, {"replicas": 2},
            "VolumeNotShared", "True", "PersistentVolumeClaim bot-model is ReadWriteOncePod",
        ),
        ({"foreign": "Service/web"}, {}, "NameTaken", "False", "Service web"),
        (
            {"settings": NO_OVERRIDES}, {"pod": {"image": "other:1"}},
            "OverrideForbidden", "True", "web sets pod.image, which the administrator has forbidden (chart value overrides.image is false)",
        ),
    ],
)  # fmt: skip
def test_what_may_not_be_served_leaves_the_running_deployment_alone(
    change: dict[str, Any], spec: dict[str, Any], expected: str, stalled: str, words: str
) -> None:
    """Ready=False with a reason, and no apply; running pods keep serving, stay guarded, and are named."""
    state = recorded()
    plan = plan_deployment(observed(state, spec, workload=workload(state), pods=(server_pod(),), **change), T)
    found = status_of(plan)
    assert (plan.apply, plan.delete) == ((), ())
    assert (reason(plan), conditions(plan)["Ready"], conditions(plan)["Stalled"], conditions(plan)["Available"]) == (
        expected, "False", stalled, "True",
    )  # fmt: skip
    assert found.message is not None
    assert words in found.message
    assert found.message.endswith("meanwhile bot keeps serving")
    assert found.serving_text == "bot"
    assert [(s.model, s.uid) for s in found.serving] == [("bot", "uid-bot")]
    assert found.revision == state.revision


@pytest.mark.parametrize(
    ("spec", "seen"),
    [
        ({"allowUngated": True}, {"model": UNGATED}),
        ({"replicas": 3}, {"model_claim": claim("bot-model", "ReadWriteMany")}),
        ({"replicas": 3}, {"model_claim": claim("bot-model", "ReadWriteOnce")}),
    ],
)
def test_what_may_be_served_is(spec: dict[str, Any], seen: dict[str, Any]) -> None:
    """An ungated model when that is asked for, several replicas on a shared volume, or on one node."""
    state = status_of(plan_deployment(observed(spec=spec, **seen), T))
    plan = plan_deployment(observed(state, spec, **seen), T)
    assert [obj["kind"] for obj in plan.apply] == ["Deployment", "Service"]


def test_an_upgrade_of_the_operator_replaces_no_pod() -> None:
    """The image changes only with the model or the spec; scaling does not count."""
    state = recorded()
    newer = replace(SETTINGS, server_images={"onnx": "registry/server:2"})
    seen = replace(observed(state, workload=workload(state), service_exists=True), settings=newer)
    assert status_of(plan_deployment(seen, T)).revision == state.revision
    scaled = plan_deployment(replace(seen, deployment=deployment(state, replicas=0)), T)
    assert (scaled.apply, [obj["spec"] for obj in scaled.patch]) == ((), [{"replicas": 0, "progressDeadlineSeconds": 900}])
    assert scaled.patch[0]["metadata"] == {"name": "web", "namespace": "team", "uid": "uid-web"}
    changed = plan_deployment(replace(seen, deployment=deployment(state, maxConcurrency=2)), T)
    revision = status_of(changed).revision
    assert revision is not None
    assert revision.image == "registry/server:2"


@pytest.mark.parametrize(
    ("spec", "digest"),
    [
        ({}, "1affa05ef3c5128d721d3689f69be94fb7709e257d3c69f87f41d51c7ec76ef5"),
        (
            {
                "replicas": 2, "resources": {"limits": {"memory": "2Gi"}}, "maxContext": 2048, "allowUngated": True,
                "pod": {"env": [{"name": "A", "value": "1"}]}, "progressDeadline": "2m",
            },
            "70fa176974257a6aef8c998cf76b5ff27f3345757b188ad26e773c17ed88a950",
        ),
    ],
)  # fmt: skip
def test_what_the_first_version_rolled_out_is_not_replaced(spec: dict[str, Any], digest: str) -> None:
    """Its digests were computed in another way; a change of the spec is a rollout all the same."""
    first = recorded(spec)
    assert first.revision is not None
    state = first.model_copy(update={"revision": first.revision.model_copy(update={"spec_digest": digest})})
    newer = replace(SETTINGS, server_images={"onnx": "registry/server:2"})
    seen = replace(observed(state, spec, workload=workload(state), service_exists=True), settings=newer)
    plan = plan_deployment(seen, T)
    assert plan.apply == ()
    assert status_of(plan).revision == state.revision
    changed = plan_deployment(replace(seen, deployment=deployment(state, **{**spec, "drainTimeout": "5m"})), T)
    revision = status_of(changed).revision
    assert revision is not None
    assert revision.image == "registry/server:2"


def test_the_engine_decides_image_and_artifact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each engine has its own image, and serves models that have its artifact."""
    monkeypatch.setitem(ENGINES, "toy", EngineFacts("toy", artifact="safetensors", needs="export.toy"))
    settings = replace(SETTINGS, server_images={"onnx": "onnx:1", "toy": "toy:1"})
    wanted = deployment().spec
    assert wanted is not None
    chosen = replace(deployment(), spec=wanted.model_copy(update={"engine": "toy"}))
    plan = plan_deployment(replace(observed(model=NO_ONNX), settings=settings, deployment=chosen), T)
    revision = status_of(plan).revision
    assert revision is not None and revision.image == "toy:1"
    only_onnx = [artifact for artifact in model().status.artifacts if artifact.format == "onnx"]
    without = replace(model(), status=model().status.model_copy(update={"artifacts": only_onnx}))
    refused = status_of(plan_deployment(replace(observed(model=without), settings=settings, deployment=chosen), T))
    assert refused.error is not None
    assert "has no safetensors artifact of precision fp32" in refused.error.message and "train with export.toy" in refused.error.message


def test_another_model_is_a_new_revision() -> None:
    """Both are guarded until the pods of the old one are gone."""
    state = recorded()
    other = {"model": model("next"), "model_claim": claim("next-model")}
    spec = {"model": {"name": "next"}}
    plan = plan_deployment(observed(state, spec, workload=workload(state), pods=(server_pod(),), **other), T)
    assert [(s.model, s.uid) for s in status_of(plan).serving] == [("bot", "uid-bot"), ("next", "uid-next")]
    assert plan.apply == ()
    after = plan_deployment(observed(status_of(plan), spec, workload=workload(state), service_exists=True, **other), T)
    assert [obj["kind"] for obj in after.apply] == ["Deployment"]


def test_only_the_operator_scales_the_deployment() -> None:
    """Replicas that another client wrote are reset."""
    state = recorded()
    plan = plan_deployment(observed(state, workload=workload(state, spec_replicas=5, replicas=5), service_exists=True), T)
    assert (plan.apply, [obj["spec"] for obj in plan.patch]) == ((), [{"replicas": 1, "progressDeadlineSeconds": 900}])


@pytest.mark.parametrize(
    ("spec", "changed"),
    [
        ({"progressDeadline": "2m"}, {"replicas": 1, "progressDeadlineSeconds": 120}),
        ({"replicas": 3, "progressDeadline": "15m"}, {"replicas": 3, "progressDeadlineSeconds": 900}),
        ({"allowUngated": True}, None),
    ],
)
def test_what_the_pods_do_not_depend_on_replaces_none(spec: dict[str, Any], changed: dict[str, Any] | None) -> None:
    """It goes to the Deployment beside its template, and takes up no new image."""
    state = recorded()
    newer = replace(SETTINGS, server_images={"onnx": "registry/server:2"})
    plan = plan_deployment(replace(observed(state, spec, workload=workload(state), service_exists=True), settings=newer), T)
    assert (plan.apply, [obj["spec"] for obj in plan.patch]) == ((), [changed] if changed else [])
    assert status_of(plan).revision == state.revision


def test_a_server_scales_while_its_next_model_is_not_there_yet() -> None:
    """An autoscaler does not wait for a training."""
    state = recorded()
    spec = {"model": {"name": "next"}, "replicas": 2}
    plan = plan_deployment(observed(state, spec, model=None, model_claim=None, workload=workload(state), pods=(server_pod(),)), T)
    assert reason(plan) == "ModelNotFound"
    assert (plan.apply, [obj["spec"]["replicas"] for obj in plan.patch]) == ((), [2])


@pytest.mark.parametrize(
    ("mode", "other_model", "labelled", "expected"),
    [
        ("ReadWriteOnce", False, True, "RollingUpdate"),
        ("ReadWriteOncePod", False, True, "Recreate"),
        ("ReadWriteOncePod", True, True, "RollingUpdate"),
        ("ReadWriteMany", False, True, "RollingUpdate"),
        ("ReadWriteOnce", False, False, "Recreate"),
        ("ReadWriteOncePod", False, False, "Recreate"),
        ("ReadWriteMany", False, False, "RollingUpdate"),
    ],
)
def test_a_claim_is_handed_over_with_a_gap_where_the_next_pod_cannot_mount_it(
    mode: str, other_model: bool, labelled: bool, expected: str
) -> None:
    """A claim for one pod that the next one mounts as well; and any but a shared one where the last pod has no label to be found by."""
    state, name = recorded(), "next" if other_model else "bot"
    spec: dict[str, Any] = {"model": {"name": name}, "maxConcurrency": 2}
    seen: dict[str, Any] = {"model": model(name), "model_claim": claim(f"{name}-model", mode)}
    pinned = status_of(plan_deployment(observed(state, spec, **seen), T))
    last = server_pod()
    if not labelled:
        last = replace(last, meta=replace(last.meta, labels={k: v for k, v in last.meta.labels.items() if k != CLAIM_UID_LABEL}))
    plan = plan_deployment(observed(pinned, spec, workload=workload(state), pods=(last,), service_exists=True, **seen), T)
    assert [obj["spec"]["strategy"]["type"] for obj in plan.apply] == [expected]


def test_scaled_to_zero_is_ready_but_not_available() -> None:
    """Flux and Argo CD consider it settled; Available is False."""
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
    assert "stage" not in error.message
    assert conditions(plan)["Reconciling"] == "True"


OLD_POD, NEW_POD = {"created": T - 900}, {"created": T - 60}
BAD_IMAGE: dict[str, Any] = {"phase": "Pending", "waiting_reason": "ImagePullBackOff", "waiting_message": 'image "a:1"', "ready": False}
CRASHES: dict[str, Any] = {"waiting_reason": "CrashLoopBackOff", "exit_code": 1, "exit_message": "x", "ready": False}


@pytest.mark.parametrize("late", [False, True])
def test_a_bad_revision_leaves_the_good_one_serving(late: bool) -> None:
    """Both models are guarded, the old one is served, and the deadline says Failed in kstatus' terms with the pod's own reason."""
    before = recorded()
    spec, other = {"model": {"name": "next"}}, {"model": model("next"), "model_claim": claim("next-model")}
    state = status_of(plan_deployment(observed(before, spec, workload=workload(before), pods=(server_pod(),), **other), T))
    pods = (server_pod(about=OLD_POD), server_pod("uid-next", "next", about=NEW_POD, **BAD_IMAGE))
    rolling = workload(state, replicas=2, ready=1, available=1, progressing_reason="ProgressDeadlineExceeded" if late else "")
    plan = plan_deployment(observed(state, spec, workload=rolling, pods=pods, service_exists=True, **other), T)
    found = status_of(plan)
    assert (found.ready_text, found.serving_text, [s.model for s in found.serving]) == ("1/1", "bot", ["bot", "next"])
    assert (reason(plan), plan.apply, plan.patch) == ("ImagePullFailed", (), ())
    assert conditions(plan) == {
        "Ready": "False", "Reconciling": str(not late), "Stalled": str(late), "Available": "True", "Progressing": str(not late),
    }  # fmt: skip
    assert found.message is not None
    assert "check the image's name and tag, and pod.imagePullSecrets; meanwhile bot keeps serving" in found.message


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ((server_pod(about=OLD_POD, **CRASHES), server_pod("uid-2", about=NEW_POD, **BAD_IMAGE)), "ImagePullFailed"),
        ((server_pod(about={**OLD_POD, "deleting": True}, **BAD_IMAGE), server_pod("uid-2", about=NEW_POD, ready=False)), "RollingOut"),
        ((server_pod(about={**OLD_POD, "deleting": True}, gone_by=T - 90), server_pod("uid-2", about=NEW_POD, ready=False)), "NodeLost"),
        ((server_pod(about={**OLD_POD, "deleting": True}, gone_by=T + 9), server_pod("uid-2", about=NEW_POD, ready=False)), "RollingOut"),
    ],
    ids=["the newest first", "not of one that goes", "but of one that cannot go", "that may still go"],
)
def test_which_pod_speaks(pods: tuple[Pod, ...], expected: str) -> None:
    """The reason is of the newest pod that has one."""
    state = recorded()
    assert reason(plan_deployment(observed(state, workload=workload(state, **NEW), pods=pods, service_exists=True), T)) == expected


def test_what_is_served_is_what_ready_pods_serve() -> None:
    """In the middle of a rollout both; nothing while no pod is ready."""
    state = recorded()
    pods = (server_pod(), server_pod("uid-next", "next"), server_pod("uid-old", "old", about={"deleting": True}))
    for those, text in ((pods, "bot, next"), ((), None), ((server_pod(ready=False),), None)):
        plan = plan_deployment(observed(state, workload=workload(state, **NEW), pods=those, service_exists=True), T)
        assert status_of(plan).serving_text == text


def test_going_back_to_the_model_before_is_a_rollout_like_any_other() -> None:
    """The same pods' template as at first, so that the pods of then are taken up again."""
    first = recorded()
    there = observed(first, workload=workload(first))
    bad = {"model": model("next"), "model_claim": claim("next-model")}
    second = status_of(plan_deployment(observed(first, {"model": {"name": "next"}}, workload=workload(first), **bad), T))
    third = status_of(plan_deployment(replace(there, deployment=deployment(second)), T))
    at_first, now = (plan_deployment(observed(state), T).apply[0]["spec"]["template"] for state in (first, third))
    assert at_first == now
    assert third.revision is not None
    assert third.revision.model == "bot"


def test_a_rollout_that_takes_too_long_is_stalled() -> None:
    """As the Deployment itself says."""
    state = recorded()
    late = workload(state, **NEW, progressing_reason="ProgressDeadlineExceeded")
    plan = plan_deployment(observed(state, workload=late, service_exists=True), T)
    assert (reason(plan), conditions(plan)["Stalled"]) == ("ProgressDeadlineExceeded", "True")
    assert "no progress within progressDeadline (15m)" in (status_of(plan).message or "")
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
    """The annotation on the Deployment identifies the rollout."""
    first = Revision(model="a", model_uid="1", image="i", spec_generation=1, spec_digest="d")
    assert revision_digest(first) != revision_digest(first.model_copy(update={"image": "j"}))


@pytest.mark.parametrize(
    ("spec", "path", "folder"),
    [
        (of_step(4), "", "/model/checkpoints/step-4"),
        (of_step(4), "team/bot", "/model/team/bot/checkpoints/step-4"),
        (of_step(5) | {"allowUngated": True}, "", "/model/checkpoints/step-5"),
        (of_step(8), "", "/model"),
        ({}, "", "/model"),
    ],
)
def test_a_checkpoint_is_served_from_its_own_folder(spec: dict[str, Any], path: str, folder: str) -> None:
    """Under the name of the deployment, like the model itself, which can be named by its step, too."""
    assert CHECKPOINTS.spec is not None
    source = CHECKPOINTS.spec.source.model_copy(update={"claim": CHECKPOINTS.spec.source.claim.model_copy(update={"path": path})})
    seen: dict[str, Any] = {"model": replace(CHECKPOINTS, spec=CHECKPOINTS.spec.model_copy(update={"source": source}))}
    state = status_of(plan_deployment(observed(spec=spec, **seen), T))
    workload_object = plan_deployment(observed(state, spec, **seen), T).apply[0]
    pod = workload_object["spec"]["template"]
    args = pod["spec"]["containers"][0]["args"]
    assert args[args.index("--model-dir") + 1] == folder
    assert args[args.index("--served-name") + 1] == "web"
    assert (CHECKPOINT_LABEL in pod["metadata"]["labels"]) == ("step" in folder)
    assert [(s.model, s.uid) for s in state.serving] == [("bot", "uid-bot")]


def test_another_checkpoint_is_another_revision() -> None:
    """It rolls out; SERVING names the checkpoint, and a model that is not better than its base says nothing about its checkpoints."""
    worse = condition("BetterThanBase", "False", "WorseThanBase")
    seen: dict[str, Any] = {
        "model": replace(CHECKPOINTS, status=CHECKPOINTS.status.model_copy(update={"conditions": [*CHECKPOINTS.status.conditions, worse]}))
    }
    first = status_of(plan_deployment(observed(spec=of_step(4), **seen), T))
    pod = server_pod()
    pod = replace(pod, meta=replace(pod.meta, labels={**pod.meta.labels, CHECKPOINT_LABEL: "4"}))
    serving = plan_deployment(observed(first, of_step(4), workload=workload(first), service_exists=True, pods=(pod,), **seen), T)
    assert (status_of(serving).serving_text, reason(serving)) == ("bot:step-4", "Serving")
    assert [note.reason for note in serving.events] == ["Serving"]
    whole = status_of(plan_deployment(observed(first, {}, workload=workload(first), pods=(pod,), **seen), T))
    assert whole.revision is not None and first.revision is not None
    assert revision_digest(whole.revision) != revision_digest(first.revision)
    assert whole.serving_text == "bot:step-4"
