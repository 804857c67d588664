"""What is said of a model that was made and has something against it."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.model_directory import EvaluationReport, Interval, Intervals, MissingArtifact, SkewCheck
from finetune_api.resources.common import Condition
from finetune_api.resources.finetuned_model import FineTunedModelStatus
from finetune_api.resources.model_deployment import ModelDeploymentStatus
from finetune_api.result import PublishSummary, StageWarning, TrainSummary
from finetune_operator.objects.names import REVISION_ANNOTATION
from finetune_operator.objects.records import Workload
from finetune_operator.plan.common.conditions import find
from finetune_operator.plan.common.observed import ObservedDeployment
from finetune_operator.plan.deployment.plan_deployment import plan_deployment
from finetune_operator.plan.deployment.serving import NotServable, revision_digest, servable
from finetune_operator.plan.model.inspection import with_summary
from tests.unit.operator.samples import INSPECTED, REPORT, SETTINGS, T, claim, condition, deployment, meta, model, result
from tests.unit.operator.world import World

pytestmark = pytest.mark.unit

PARITY = "onnx/fp32 differs from the PyTorch model: prompt 1 of 4: ...; the weights in model/ are complete"
MISSING = [MissingArtifact(format="onnx", precision="fp32", reason="ParityFailed", message=PARITY)]
WORSE = REPORT.model_copy(update={"base": {"loss": 22.0}, "tuned": {"loss": 377.0}, "gate": []})
EQUAL = WORSE.model_copy(update={"tuned": {"loss": 22.0}})
ROSE = StageWarning(code="LossIncreased", message="the training loss rose from 22.000 (first step) to 377.000 (last step): lower ...")


def finished(
    report: EvaluationReport = REPORT,
    missing: list[MissingArtifact] | None = None,
    warnings: Any = (),
    skew: Any = None,
    untracked: Any = (),
) -> World:
    """A job that is complete, with these results of its stages and of the inspection."""
    world = World()
    world.do()
    world.do(result("train", train=TrainSummary(steps=3, loss=377.0, tokens=9, seconds=1, warnings=list(warnings))))
    found = {"evaluation": report, "missing_artifacts": missing or []}
    published = PublishSummary(size_bytes=9, manifest_sha256="e" * 64, skew_check=skew, warnings=list(untracked), **found)
    world.do(result("publish", publish=published))
    artifacts = [] if missing else INSPECTED.artifacts
    world.do(result("inspect", inspect=INSPECTED.model_copy(update={**found, "artifacts": artifacts})))
    assert world.job.status.phase == "Succeeded"
    assert world.model is not None
    return world


def reported(conditions: list[Condition], type_: str) -> tuple[str, str, str]:
    """Status, reason and message."""
    found = find(conditions, type_)
    assert found is not None
    return found.status, found.reason, found.message


@pytest.mark.parametrize(
    ("report", "status", "reason", "figures", "score"),
    [
        (REPORT, "True", "Better", "loss 2.5000 is better than the base's 4.0300", "loss 2.50 (base 4.03)"),
        (WORSE, "False", "WorseThanBase", "loss 377.0000 is worse than the base's 22.0000", "loss 377.00 (base 22.00), worse than base"),
        (EQUAL, "False", "NotBetter", "loss 22.0000 is equal to the base's 22.0000", "loss 22.00 (base 22.00), equal to base"),
    ],
)
def test_every_model_is_compared_with_its_base(report: EvaluationReport, status: str, reason: str, figures: str, score: str) -> None:
    """Condition and scores on job and model, the column, and a Warning on both if it is not better; nothing fails."""
    world = finished(report)
    assert world.model is not None
    assert reported(world.job.status.conditions, "BetterThanBase") == (status, reason, figures)
    assert reported(world.model.status.conditions, "BetterThanBase") == (status, reason, figures)
    assert world.model.status.score_text == score
    assert [(n.type, n.message) for n in world.events if n.reason == reason] == ([("Warning", figures)] * 2 if status == "False" else [])


def test_the_interval_of_the_difference_is_said_with_the_scores() -> None:
    """On job and model, in the condition and in the status."""
    chance = Intervals(base={"loss": Interval(low=3.9, high=4.2)}, difference={"loss": Interval(low=-1.7, high=-1.25)})
    world = finished(REPORT.model_copy(update={"intervals": chance}))
    assert world.model is not None
    for status in (world.job.status, world.model.status):
        assert reported(status.conditions, "BetterThanBase") == (
            "True",
            "Better",
            "loss 2.5000 is better than the base's 4.0300 (95 % interval of the difference: -1.7000 to -1.2500)",
        )
        assert status.evaluation is not None and status.evaluation.intervals is not None
        assert status.evaluation.intervals.model_dump() == chance.model_dump()


@pytest.mark.parametrize(
    ("check", "status", "reason", "message"),
    [
        (SkewCheck(prompts=9, equal=9), "True", "TokensEqual", "9 of 9 validation requests have the same tokens as in training"),
        (SkewCheck(prompts=9, equal=8, difference="row 3"), "False", "TokensDiffer", "8 of 9 validation requests ... training; row 3"),
        (
            SkewCheck(prompts=9, equal=9, difference="too long"),
            "False",
            "TokensDiffer",
            "9 of 9 validation requests ... training; too long",
        ),
        (SkewCheck(prompts=0, equal=0), "Unknown", "NotChecked", "publish had no validation requests to check"),
        (None, "Unknown", "NotChecked", "publish had no validation requests to check"),
    ],
)
def test_a_model_that_is_asked_otherwise_than_it_was_trained(check: SkewCheck | None, status: str, reason: str, message: str) -> None:
    """The job has a condition, and a Warning where the tokens differ."""
    world = finished(skew=check)
    expected = message.replace("...", "have the same tokens as in")
    assert reported(world.job.status.conditions, "ServedAsTrained") == (status, reason, expected)
    assert [n.message for n in world.events if n.reason == "TokensDiffer"] == ([expected] if status == "False" else [])


def test_a_model_without_scores_cannot_be_compared() -> None:
    """An import whose manifest holds no evaluation: Unknown, and no Warning."""
    world = World()
    for message in ("", "", "", result("inspect", inspect=INSPECTED.model_copy(update={"evaluation": None}))):
        world.do(message)
    assert world.model is not None
    assert reported(world.model.status.conditions, "BetterThanBase")[:2] == ("Unknown", "NotEvaluated")
    assert not [note for note in world.events if note.type == "Warning"]


@pytest.mark.parametrize("missing", [[], MISSING])
def test_an_artifact_that_could_not_be_made_is_named(missing: list[MissingArtifact]) -> None:
    """The job succeeds, the model is ready; both say what is missing and why, each with one Warning."""
    world = finished(missing=missing)
    assert world.model is not None
    for conditions in (world.job.status.conditions, world.model.status.conditions):
        status, reason, message = reported(conditions, "Exported")
        assert (status, reason) == (("False", "ParityFailed") if missing else ("True", "Exported"))
        assert (f"no onnx artifact of precision fp32: {PARITY}" in message) == bool(missing)
    assert len([note for note in world.events if note.reason == "ParityFailed"]) == 2 * len(missing)
    assert [m.reason for m in world.model.status.missing_artifacts] == [m.reason for m in missing]
    assert reported(world.model.status.conditions, "Ready")[0] == "True"


def test_a_deployment_that_needs_it_is_refused_by_name() -> None:
    """With the reason and the next step; nothing is rolled out."""
    inspected = INSPECTED.model_copy(update={"artifacts": [], "missing_artifacts": MISSING})
    status = with_summary(FineTunedModelStatus(conditions=[condition("Ready", "True")]), inspected)
    web = deployment()
    assert web.spec is not None
    refused = servable(ObservedDeployment(web, SETTINGS, model(status=status), claim("bot-model")), web.spec)
    assert isinstance(refused, NotServable)
    assert refused.reason == "ArtifactMissing"
    assert refused.message.endswith(
        f"no onnx artifact of precision fp32 (it has nothing), because its export failed: ParityFailed: {PARITY}"
    )


@pytest.mark.parametrize("warnings", [(), (ROSE,)])
def test_a_loss_that_rose_is_said_when_training_ends(warnings: tuple[StageWarning, ...]) -> None:
    """Trained stays True; its reason, its message and a Warning say what happened."""
    world = finished(warnings=warnings)
    status, reason, message = reported(world.job.status.conditions, "Trained")
    assert (status, reason) == ("True", "LossIncreased" if warnings else "Finished")
    assert message == "3 steps, training loss 377.000" + (f"; {ROSE.message}" if warnings else "")
    assert len([note for note in world.events if note.reason == "LossIncreased"]) == len(warnings)


@pytest.mark.parametrize(("status", "warned"), [("False", True), ("True", False), ("Unknown", False)])
def test_a_deployment_of_a_model_that_is_no_gain_says_so(status: str, warned: bool) -> None:
    """It is allowed; a Warning with its roll-out and the message of Ready have the figures."""
    words = "FineTunedModel bot is not better than its base: loss 377.0000 is worse than the base's 22.0000"
    found = condition("BetterThanBase", status, "Any", words.partition(": ")[2])
    there = model(status=model().status.model_copy(update={"conditions": [condition("Ready", "True"), found]}))
    seen = ObservedDeployment(deployment(replicas=0), SETTINGS, there, claim("bot-model"), service_exists=True)
    plan = plan_deployment(seen, T)
    assert [note.message for note in plan.events if note.reason == "NotBetterThanBase"] == ([words] if warned else [])
    assert isinstance(plan.status, ModelDeploymentStatus)
    state = plan.status
    assert state.revision is not None
    workload = Workload(meta("web", annotations={REVISION_ANNOTATION: revision_digest(state.revision)}), 1, deadline=1800)
    settled = plan_deployment(replace(seen, deployment=deployment(state, replicas=0), workload=workload), T)
    assert isinstance(settled.status, ModelDeploymentStatus)
    assert reported(settled.status.conditions, "Ready") == (
        "True",
        "ScaledToZero",
        f"replicas is 0; {words}" if warned else "replicas is 0",
    )
    assert "NotBetterThanBase" not in {note.reason for note in settled.events}


def test_a_tracker_that_has_not_got_the_scores_is_named() -> None:
    """In the condition about what publish wrote, whose reason stays."""
    said = "mlflow: 503; the scores of the model are missing there"
    world = finished(untracked=[StageWarning(code="TrackerFailed", message=said)])
    status, reason, message = reported(world.job.status.conditions, "Exported")
    assert (status, reason) == ("True", "Exported") and message.endswith(f"; {said}")
