"""What may be changed after creation, and the scale sub-resource."""

import json
from typing import Any

import pytest
import yaml

from tests.cluster.api import Api, Refused, wait_until
from tests.cluster.control_plane import ControlPlane, rendered
from tests.cluster.objects import deployment, job, model

IMMUTABLE_JOB_FIELDS: list[tuple[str, Any]] = [
    ("base", {"source": "s3://models/other"}),
    ("dataset", {"train": {"source": "pvc://data/other.jsonl"}}),
    ("dataset", {"validation": {"split": {"seed": 7}}}),
    ("method", {"type": "full"}),
    ("hyperparameters", {"learningRate": 0.1}),
    ("preparation", {"resources": {"requests": {"cpu": 1}}}),
    ("training", {"gpusPerNode": 1}),
    ("publishing", {"gpus": 1}),
    ("checkpoints", {"keep": 3}),
    ("evaluation", {"maxExamples": 1}),
    ("export", {"onnx": {}}),
    ("output", {"model": "other"}),
    ("workspace", {"claimName": "other"}),
    ("queueName", "other"),
]
IMMUTABLE_MODEL_FIELDS: list[tuple[str, Any]] = [
    ("type", "full"),
    ("base", {"source": "s3://models/other"}),
    ("source", {"claim": {"name": "other"}}),
    ("source", {"claim": {"path": "below"}}),
]
MUTABLE_DEPLOYMENT_FIELDS: list[tuple[str, Any]] = [
    ("model", {"name": "other"}),
    ("replicas", 3),
    ("resources", {"requests": {"cpu": 2}}),
    ("maxConcurrency", 2),
]


@pytest.mark.parametrize(("field", "value"), IMMUTABLE_JOB_FIELDS)
def test_a_jobs_work_cannot_be_changed(api: Api, namespace: str, field: str, value: Any) -> None:
    """What determines the training is fixed; the refusal names the field."""
    api.create(job(namespace, "tune"))
    with pytest.raises(Refused) as refused:
        api.patch("FineTuneJob", "tune", {"spec": {field: value}}, namespace)
    assert f"spec.{field}" in refused.value.fields
    assert "immutable" in refused.value.message or field == "queueName"


@pytest.mark.parametrize("field", ["hyperparameters", "export", "preparation"])
def test_what_was_set_cannot_be_taken_away(api: Api, namespace: str, field: str) -> None:
    """Leaving a field out later is a change, too."""
    values: dict[str, Any] = {"hyperparameters": {"seed": 1}, "export": {"onnx": {}}, "preparation": {"resources": {"limits": {"cpu": 1}}}}
    api.create(job(namespace, "tune", **{field: values[field]}))
    with pytest.raises(Refused) as refused:
        api.patch("FineTuneJob", "tune", {"spec": {field: None}}, namespace)
    assert f"spec.{field}" in refused.value.fields


def test_a_jobs_course_can_be_changed(api: Api, namespace: str) -> None:
    """Pause, resume, limits and cancel are what a person may do to a job that exists."""
    api.create(job(namespace, "tune"))
    for spec in ({"suspend": True}, {"suspend": False}, {"limits": {"deadline": "2h", "maxRestarts": 9}}, {"cancel": True}):
        changed = api.patch("FineTuneJob", "tune", {"spec": spec}, namespace)["spec"]
        assert {key: changed[key] for key in spec if key != "limits"} == {key: value for key, value in spec.items() if key != "limits"}


def test_a_job_that_an_earlier_version_accepted_can_be_ended(control_plane: ControlPlane, api: Api, namespace: str) -> None:
    """A rule that a later version adds is for new jobs: it neither keeps a job from being paused and cancelled, nor its status from being
    written."""
    old = job(namespace, "tune", task="text-embedding", method={"lossOn": "all"})
    definitions = list(yaml.safe_load_all(rendered("crds")))
    with pytest.raises(Refused, match="lossOn: all is available for chat"):
        api.create(old, dry_run=True)
    for definition in definitions:
        if definition["spec"]["names"]["kind"] == "FineTuneJob":
            spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            spec["x-kubernetes-validations"] = [rule for rule in spec["x-kubernetes-validations"] if "lossOn" not in rule["rule"]]
    control_plane.apply(yaml.safe_dump_all(definitions))
    wait_until("the earlier definition is in force", lambda: taken(api, old))
    api.create(old)
    control_plane.apply(rendered("crds"))
    wait_until(
        "the definition is in force", lambda: not taken(api, job(namespace, "other", task="text-embedding", method={"lossOn": "all"}))
    )
    for change in ({"suspend": True}, {"cancel": True}):
        assert api.patch("FineTuneJob", "tune", {"spec": change}, namespace)["spec"]["method"]["lossOn"] == "all"
    api.patch("FineTuneJob", "tune", {"status": {"phase": "Cancelled"}}, namespace, "status")


def taken(api: Api, obj: dict[str, Any]) -> bool:
    """Whether the object can be created."""
    try:
        api.create(obj, dry_run=True)
    except Refused:
        return False
    return True


def test_a_job_changes_its_queue_while_suspended(api: Api, namespace: str) -> None:
    """Kueue has taken notice of a job that runs: its queue is fixed then."""
    api.create(job(namespace, "tune", suspend=True, queueName="a"))
    assert api.patch("FineTuneJob", "tune", {"spec": {"queueName": "b"}}, namespace)["spec"]["queueName"] == "b"
    api.patch("FineTuneJob", "tune", {"spec": {"suspend": False}}, namespace)
    with pytest.raises(Refused, match="can be changed only while the job is suspended"):
        api.patch("FineTuneJob", "tune", {"spec": {"queueName": "c"}}, namespace)


def test_cancel_is_for_good(api: Api, namespace: str) -> None:
    """A cancelled job cannot be called back."""
    api.create(job(namespace, "tune", cancel=True))
    with pytest.raises(Refused, match="cancel cannot be changed back to false"):
        api.patch("FineTuneJob", "tune", {"spec": {"cancel": False}}, namespace)


@pytest.mark.parametrize(("field", "value"), IMMUTABLE_MODEL_FIELDS)
def test_a_model_cannot_be_changed(api: Api, namespace: str, field: str, value: Any) -> None:
    """Bytes are never overwritten: a new model is a new object."""
    api.create(model(namespace, "bot"))
    with pytest.raises(Refused, match="spec is immutable"):
        api.patch("FineTunedModel", "bot", {"spec": {field: value}}, namespace)


@pytest.mark.parametrize(("field", "value"), MUTABLE_DEPLOYMENT_FIELDS)
def test_a_deployment_rolls_over(api: Api, namespace: str, field: str, value: Any) -> None:
    """Everything about a deployment may change, its model too."""
    api.create(deployment(namespace, "bot", "first"))
    assert api.patch("ModelDeployment", "bot", {"spec": {field: value}}, namespace)["spec"][field] == value


def test_status_is_written_apart_from_spec(api: Api, namespace: str) -> None:
    """A status write changes no spec, a spec write no status, and a status holds only what was written."""
    api.create(job(namespace, "tune"))
    api.patch("FineTuneJob", "tune", {"status": {"phase": "Queued"}, "spec": {"suspend": True}}, namespace, "status")
    after = api.patch("FineTuneJob", "tune", {"status": {"phase": "Failed"}, "spec": {"limits": {"maxRestarts": 1}}}, namespace)
    assert after["status"] == {"phase": "Queued"}
    assert after["spec"]["suspend"] is False


def test_a_deployment_scales(api: Api, control_plane: ControlPlane, namespace: str) -> None:
    """The scale sub-resource reads and writes what an autoscaler needs."""
    api.create(deployment(namespace, "bot", "base"))
    api.patch("ModelDeployment", "bot", {"status": {"replicas": 1, "selector": "finetune.dev/deployment=bot"}}, namespace, "status")
    scale = api.get("ModelDeployment", "bot", namespace, "scale")
    assert (scale["spec"], scale["status"]) == ({"replicas": 1}, {"replicas": 1, "selector": "finetune.dev/deployment=bot"})
    assert control_plane.kubectl("-n", namespace, "scale", "mdep", "bot", "--replicas", "3").returncode == 0
    assert api.get("ModelDeployment", "bot", namespace)["spec"]["replicas"] == 3
    with pytest.raises(Refused, match=r"spec\.replicas"):
        api.patch("ModelDeployment", "bot", {"spec": {"replicas": 1001}}, namespace, "scale")


def test_two_appliers_of_one_list(control_plane: ControlPlane, api: Api, namespace: str) -> None:
    """Variables are distinguished by their names: each applier keeps its own, and what is applied is what is there."""
    variables = [("first", {"name": "A", "value": "1"}), ("second", {"name": "B"})]
    for manager, variable in variables:
        wanted = deployment(namespace, "bot", "base")
        wanted["spec"]["pod"] = {"env": [variable]}
        done = control_plane.kubectl("apply", "--server-side", f"--field-manager={manager}", "-f", "-", stdin=json.dumps(wanted))
        assert done.returncode == 0, done.stderr
    assert api.get("ModelDeployment", "bot", namespace)["spec"]["pod"]["env"] == [variable for _, variable in variables]
