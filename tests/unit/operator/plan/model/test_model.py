"""The rules of plan_model."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.model_directory import MissingArtifact, PublishedCheckpoint
from finetune_api.resources.finetuned_model import FineTunedModelStatus
from finetune_operator.objects.records import Pod, WarningEvent
from finetune_operator.plan.common.conditions import find
from finetune_operator.plan.common.models import exported_condition
from finetune_operator.plan.common.observed import ObservedModel
from finetune_operator.plan.common.plan import Plan
from finetune_operator.plan.model.inspection import size_text, with_summary
from finetune_operator.plan.model.plan_model import plan_model, used_by_text
from tests.unit.operator.samples import (
    INSPECTED,
    SETTINGS,
    T,
    batch,
    condition,
    deployment,
    ended_pod,
    failure,
    job,
    meta,
    model,
    pod,
    result,
)

pytestmark = pytest.mark.unit

JOB = "bot-inspect-1"


def observed(status: FineTunedModelStatus, **more: Any) -> ObservedModel:
    return ObservedModel(model(status=status), SETTINGS, **more)


def looking(batch_: dict[str, Any], pods: tuple[Pod, ...] = (), number: int = 1, now: float = T + 30, **more: Any) -> Plan:
    name = f"bot-inspect-{number}"
    seen = observed(FineTunedModelStatus(inspect_attempt=number), jobs={name: batch(name, "uid-bot", **batch_)}, pods=pods, **more)
    return plan_model(seen, now)


def status_of(plan: Plan) -> FineTunedModelStatus:
    assert isinstance(plan.status, FineTunedModelStatus)
    return plan.status


def verdict(plan: Plan) -> tuple[str, str, str]:
    """Status of Ready, of Stalled, and the reason."""
    ready, stalled = find(status_of(plan).conditions, "Ready"), find(status_of(plan).conditions, "Stalled")
    assert ready is not None
    assert stalled is not None
    return ready.status, stalled.status, ready.reason


def test_the_number_is_written_before_the_job_is_created() -> None:
    """First the status, then the Job of that number."""
    first = plan_model(observed(FineTunedModelStatus()), T)
    assert (status_of(first).inspect_attempt, first.create) == (1, ())
    second = plan_model(observed(status_of(first)), T)
    assert [obj["metadata"]["name"] for obj in second.create] == [JOB]
    assert verdict(first) == ("False", "False", "Inspecting")


def test_the_inspection_fills_the_status() -> None:
    """Artifacts, size, scores, gate and lineage, as the directory has them."""
    done = looking({"complete": True, "terminated": True}, (ended_pod("p", JOB, 0, result("inspect")),))
    found = status_of(done)
    assert verdict(done) == ("True", "False", "Verified")
    assert (found.size_text, found.score_text, found.gate_passed) == ("815 MiB", "loss 2.50 (base 4.03)", True)
    assert found.artifacts[0].path == INSPECTED.artifacts[0].path
    assert found.lineage is not None
    assert found.lineage.spec_digest == "c" * 64
    assert [note.reason for note in done.events] == ["Verified"]


def test_checkpoints_are_listed_with_their_folders() -> None:
    """What was published with the model; the column has the steps."""
    checkpoints = [
        PublishedCheckpoint(step=step, loss=2.5, validation_loss=3.5, size_bytes=7, manifest_sha256="f" * 64, lacking=lacks)
        for step, lacks in ((4, None), (12, ["onnx fp32"]))
    ]
    lacking = MissingArtifact(format="onnx", precision="fp32", checkpoint=12, reason="ParityFailed", message="train again")
    summary = INSPECTED.model_copy(update={"step": 20, "checkpoints": checkpoints, "missing_artifacts": [lacking]})
    found = with_summary(FineTunedModelStatus(), summary)
    assert (found.step, found.checkpoints_text) == (20, "4, 12")
    assert [(one.step, one.path, one.loss, one.validation_loss, one.lacking) for one in found.checkpoints] == [
        (4, "checkpoints/step-4", 2.5, 3.5, None),
        (12, "checkpoints/step-12", 2.5, 3.5, ["onnx fp32"]),
    ]
    assert found.missing_artifacts[0].checkpoint == 12
    assert exported_condition(found.missing_artifacts).message == "no onnx artifact of precision fp32 of checkpoint 12: train again"


def test_a_namesake_s_inspection_says_nothing_about_this_model() -> None:
    """Its pod may outlive its Job for a moment."""
    old = ended_pod("a", JOB, 3, failure("inspect", "ChecksumMismatch", "damaged", 3))
    own = ended_pod("b", JOB, 0, result("inspect"))
    pods = (replace(old, meta=replace(old.meta, owners=frozenset({"uid-of-then"}))), own)
    assert verdict(looking({"complete": True, "terminated": True}, pods)) == ("True", "False", "Verified")
    assert verdict(looking({"failure_reason": "x", "terminated": True}, pods[:1]))[1] == "False"


def test_the_job_of_a_verified_model_is_deleted() -> None:
    """Nothing is left to be looked at."""
    plan = plan_model(replace(observed(FineTunedModelStatus(size_bytes=7)), jobs={JOB: batch(JOB, "uid-bot")}), T)
    assert [ref.name for ref in plan.delete] == [JOB]


def test_a_wrong_directory_is_not_looked_at_again() -> None:
    """A checksum that differs today differs tomorrow: Stalled, with the inspection's words."""
    said = failure("inspect", "ChecksumMismatch", "model/model.safetensors is damaged", 3)
    plan = looking({"failure_reason": "PodFailurePolicy", "terminated": True}, (ended_pod("p", JOB, 3, said),))
    assert verdict(plan) == ("False", "True", "ChecksumMismatch")
    error = status_of(plan).error
    assert error is not None
    assert error.message == "model/model.safetensors is damaged"
    later = plan_model(observed(status_of(plan)), T + 5000)
    assert (later.status, later.create) == (None, ())


@pytest.mark.parametrize(("number", "wait"), [(1, 10), (3, 40), (9, 300)])
def test_another_failure_is_tried_again_later(number: int, wait: int) -> None:
    """A new number, after a back-off that doubles."""
    over = {"failure_reason": "PodFailurePolicy", "terminated": True, "finished": T}
    pods = (ended_pod("p", f"bot-inspect-{number}", 1),)
    early = looking(over, pods, number, now=T + wait - 2)
    assert (status_of(early).inspect_attempt, early.requeue_after) == (number, 2.0)
    late = looking(over, pods, number, now=T + wait)
    assert (status_of(late).inspect_attempt, [ref.name for ref in late.delete]) == (number + 1, [f"bot-inspect-{number}"])


def test_what_holds_the_inspection_up_is_shown() -> None:
    """A claim that is not there, an image that cannot be pulled."""
    message = 'persistentvolumeclaim "bot-model" not found'
    waits = pod("p", JOB, phase="Pending", scheduled=False, node="", scheduling_message=message)
    assert verdict(looking({}, (waits,))) == ("False", "False", "VolumeClaimNotFound")


def test_a_model_without_its_claim_is_not_ready() -> None:
    """Also one that was verified before: another claim of that name may hold anything, so it is inspected when it is there."""
    plan = plan_model(observed(FineTunedModelStatus(), claim_absent=True), T)
    assert (verdict(plan), plan.create) == (("False", "False", "ClaimNotFound"), ())
    verified = plan_model(observed(FineTunedModelStatus(size_bytes=7), claim_absent=True), T)
    assert verdict(verified) == ("False", "False", "ClaimNotFound")
    back = plan_model(observed(status_of(verified)), T)
    assert (verdict(back), [obj["metadata"]["name"] for obj in back.create]) == (("False", "False", "Inspecting"), [JOB])


def test_an_inspection_goes_where_publish_has_written() -> None:
    """A volume on a tainted GPU node can be mounted there only; what else the user gave the publish pod stays with it."""
    training = {"pod": {"nodeSelector": {"pool": "gpu"}, "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}}
    publishing = {"pod": {"image": "own/trainer:2", "imagePullSecrets": [{"name": "registry"}], "env": [{"name": "A", "value": "b"}]}}
    seen = observed(FineTunedModelStatus(inspect_attempt=1), maker=job(training=training, publishing=publishing))
    (made,) = plan_model(seen, T).create
    found = made["spec"]["template"]["spec"]
    assert (found["nodeSelector"], found["imagePullSecrets"]) == ({"pool": "gpu"}, [{"name": "registry"}])
    assert found["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    (container,) = found["containers"]
    assert container["image"] == SETTINGS.trainer_image
    assert "A" not in {variable["name"] for variable in container["env"]}


def test_a_refused_inspection_is_shown_and_tried_again() -> None:
    """Quota and policies speak at creation."""
    refusal = WarningEvent("Job", JOB, "Refused", "exceeded quota: jobs, requested", T)
    plan = plan_model(observed(FineTunedModelStatus(inspect_attempt=1), refusal=refusal), T)
    assert (verdict(plan)[2], len(plan.create)) == ("QuotaExceeded", 1)


def test_users_are_listed() -> None:
    """Deployments, unfinished jobs, derived models; not the model itself."""
    users = {"deployments": (deployment(),), "tuning": (job(),), "derived": (model("child"), model("bot"))}
    found = status_of(plan_model(observed(FineTunedModelStatus(size_bytes=7), **users), T))
    assert found.used_by == ["FineTuneJob/tune", "FineTunedModel/child", "ModelDeployment/web"]
    in_use = find(found.conditions, "InUse")
    assert in_use is not None
    assert (in_use.status, in_use.reason) == ("True", "Used")


@pytest.mark.parametrize(
    ("users", "text"), [([], None), (["a"], "a"), (["a", "b", "c"], "a, b, c"), (["a", "b", "c", "d", "e"], "a, b, c and 2 more")]
)
def test_the_column_names_three_users(users: list[str], text: str | None) -> None:
    """And counts the rest."""
    assert used_by_text(users) == text


@pytest.mark.parametrize(("installed", "status"), [(True, "True"), (False, "False")])
def test_a_missing_guard_is_shown(installed: bool, status: str) -> None:
    """A used model can be deleted then."""
    seen = replace(observed(FineTunedModelStatus(size_bytes=7)), settings=replace(SETTINGS, guard_installed=installed))
    guarded = find(status_of(plan_model(seen, T)).conditions, "Guarded")
    assert guarded is not None
    assert guarded.status == status


def test_a_model_without_work_is_left_alone() -> None:
    """An unused verified model costs no write; for one that is being deleted, nothing is done."""
    seen = observed(FineTunedModelStatus(size_bytes=7))
    settled = replace(seen, model=replace(seen.model, status=status_of(plan_model(seen, T))))
    assert plan_model(settled, T + 60) == Plan()
    going = replace(seen.model, meta=meta("bot", deleting=True))
    assert plan_model(replace(seen, model=going), T) == Plan()


def test_a_spec_that_cannot_be_read_is_stalled_until_it_can() -> None:
    """The operator may be older than the object."""
    seen = observed(FineTunedModelStatus())
    broken = plan_model(replace(seen, model=replace(seen.model, spec=None, spec_error="spec.type: 'moe'")), T)
    assert verdict(broken) == ("False", "True", "InvalidSpec")
    mended = plan_model(observed(status_of(broken)), T)
    assert verdict(mended) == ("False", "False", "Inspecting")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (900, "900 B"), (854_589_440, "815 MiB"), (3 * 1024**3, "3.0 GiB"), (12 * 1024**3, "12 GiB")]
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    """Binary units, one decimal below ten."""
    assert size_text(size) == text


def test_conditions_keep_their_time_while_their_status_lasts() -> None:
    """A new reason or message is not a transition."""
    status = FineTunedModelStatus(size_bytes=7, conditions=[condition("Ready", "True", "Old", at=T - 500)])
    ready = find(status_of(plan_model(observed(status), T)).conditions, "Ready")
    assert ready == condition("Ready", "True", "Verified", "the model directory matches its MANIFEST.json", at=T - 500).model_copy(
        update={"observed_generation": 1}
    )
