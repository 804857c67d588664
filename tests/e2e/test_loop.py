"""The loop as a user walks it: dataset -> model -> deployment -> guard, and what the objects say meanwhile."""

from typing import Any

import pytest
from kubectl import port_forward
from openai import OpenAI

from tests.e2e.kube import Kube, condition, phase_of
from tests.e2e.manifests import finetune_job, model_deployment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def finished(kube: Kube) -> dict[str, Any]:
    """A job that has made the model `first`, with an ONNX export; its deployment was applied at the same time."""
    kube.apply(finetune_job("first", export={"onnx": {"precisions": ["fp32"]}}), model_deployment("bot", "first"))
    return kube.phase("first", "Succeeded", seconds=420)


def test_a_finished_job_says_what_was_done(finished: dict[str, Any]) -> None:
    """Complete and Ready, every step trained, data counted, hyperparameters with reasons, base against tuned."""
    status = finished["status"]
    assert condition(finished, "Complete")["status"] == condition(finished, "Ready")["status"] == "True"
    assert status["observedGeneration"] == finished["metadata"]["generation"]
    assert (status["progress"]["step"], status["progress"]["totalSteps"]) == (6, 6)
    assert status["progressText"] == "100% (6/6)"
    assert status["dataset"]["trainExamples"] == 360 and status["dataset"]["validationExamples"] == 40
    resolved = {p["name"]: (p["value"], p["reason"]) for p in status["hyperparameters"]}
    assert resolved["batchSize"][0] == "4" and resolved["scheduler"][1]
    assert status["evaluation"]["tuned"]["loss"] != status["evaluation"]["base"]["loss"]
    assert [(a["stage"], a["state"]) for a in status["attempts"]] == [(s, "Succeeded") for s in ("prepare", "train", "publish")]


def test_the_model_says_where_it_comes_from(kube: Kube, finished: dict[str, Any]) -> None:
    """The inspect Job has verified the manifest; artifacts, scores and lineage are in the status."""
    model = kube.wait("finetunedmodel", "first", lambda o: condition(o, "InUse").get("status") == "True", seconds=60, what="InUse")
    status = model["status"]
    assert {(a["format"], a["precision"]) for a in status["artifacts"]} >= {("onnx", "fp32"), ("adapter", "fp32")}
    assert status["usedBy"] == ["ModelDeployment/bot"]
    assert status["lineage"]["specDigest"] == finished["status"]["specDigest"]
    assert condition(model, "Ready")["status"] == "True"


def test_the_deployment_answers_an_openai_client(kube: Kube, finished: dict[str, Any]) -> None:
    """Models, a chat completion and the same one streamed."""
    found = kube.wait("modeldeployment", "bot", lambda o: condition(o, "Ready").get("status") == "True", seconds=120, what="Ready")
    assert found["status"]["url"] == f"http://bot.{kube.namespace}.svc"
    with port_forward(kube.namespace, "service/bot", 80) as address:
        client = OpenAI(base_url=f"{address}/v1", api_key="unused")
        assert [m.id for m in client.models.list()] == ["bot"]
        ask: dict[str, Any] = {"model": "bot", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8, "temperature": 0}
        whole = client.chat.completions.create(**ask).choices[0].message.content
        pieces = [c.choices[0].delta.content or "" for c in client.chat.completions.create(**ask, stream=True) if c.choices]
    assert whole and "".join(pieces) == whole


def test_a_deployment_is_scaled_by_kubectl(kube: Kube, finished: dict[str, Any]) -> None:
    """To none and back, with the same pods' template."""

    def scaled_to(replicas: int) -> dict[str, Any]:
        kube.run("scale", "modeldeployment", "bot", f"--replicas={replicas}")
        return kube.wait("deployment", "bot", lambda o: o["spec"]["replicas"] == replicas, seconds=30, what=f"{replicas} replicas")

    before = kube.get("deployment", "bot")
    assert before is not None
    assert scaled_to(0)["spec"]["template"] == before["spec"]["template"]
    scaled_to(1)
    kube.wait("modeldeployment", "bot", lambda o: condition(o, "Ready").get("status") == "True", seconds=120, what="Ready")


def test_kubectl_get_shows_the_loop(kube: Kube, finished: dict[str, Any]) -> None:
    """One line an object, in the words of the documentation."""
    table = kube.run("get", "ftj,ftm,mdep").stdout
    for words in ("PHASE", "PROGRESS", "Succeeded", "100% (6/6)", "USED BY", "ModelDeployment/bot", "ENGINE", "onnx"):
        assert words in table, table


def test_a_second_job_for_the_same_model_does_nothing(kube: Kube, finished: dict[str, Any]) -> None:
    """The same spec is AlreadyTrained without a pod; another spec under the same model name is refused before any pod."""
    export = {"onnx": {"precisions": ["fp32"]}}
    kube.apply(
        finetune_job("again", output={"model": "first"}, export=export),
        finetune_job("other", output={"model": "first"}, export=export, hyperparameters={"maxSteps": 7}),
    )
    again = kube.phase("again", "Succeeded", seconds=30)
    other = kube.phase("other", "Failed", seconds=30)
    assert condition(again, "Complete")["reason"] == "AlreadyTrained"
    assert condition(other, "Failed")["reason"] == "OutputExists" and "first" in condition(other, "Failed")["message"]
    assert not kube.pods("finetune.dev/job in (again,other)")


def test_a_model_outlives_its_job_and_can_be_continued(kube: Kube, finished: dict[str, Any]) -> None:
    """The job is deleted, its model stays; a new job trains on from it, and meanwhile the model is protected."""
    assert kube.delete("finetunejob", "first").returncode == 0
    kube.apply(finetune_job("second", base={"source": None, "credentials": None, "fineTunedModel": {"name": "first"}}))
    kube.phase("second", "Validating", "Starting", "Training", seconds=60)
    refused = kube.delete("finetunedmodel", "first", "--dry-run=server")
    assert refused.returncode != 0 and "first" in refused.stderr
    second = kube.phase("second", "Succeeded", seconds=300)
    # It goes on from where the first one ended: the second's base is the first's result.
    assert second["status"]["evaluation"]["base"]["loss"] == pytest.approx(finished["status"]["evaluation"]["tuned"]["loss"], abs=0.05)


def test_the_model_is_guarded_while_deployed(kube: Kube, finished: dict[str, Any]) -> None:
    """The refusal names the deployment and the command; after the deployment and the derived model are gone it can be deleted."""
    refused = kube.delete("finetunedmodel", "first")
    assert refused.returncode != 0
    assert "deployed by ModelDeployment bot" in refused.stderr or "FineTunedModel second" in refused.stderr
    kube.delete("finetunedmodel", "second")
    refused = kube.delete("finetunedmodel", "first")
    assert f"kubectl -n {kube.namespace} delete mdep bot" in refused.stderr
    assert kube.delete("modeldeployment", "bot").returncode == 0
    kube.wait("namespace", kube.namespace, lambda _: kube.delete("finetunedmodel", "first").returncode == 0, seconds=30, what="deletable")
    kube.wait("namespace", kube.namespace, lambda _: kube.get("pvc", "first-model") is None, seconds=60, what="without the model's volume")


def test_what_a_cancelled_job_has_made_stays(kube: Kube) -> None:
    """cancel ends the job for good and its pods with it; the workspace stays until the job is deleted."""
    kube.apply(finetune_job("cancelled", hyperparameters={"maxSteps": 100000}))
    kube.phase("cancelled", "Training", seconds=180)
    kube.run("patch", "finetunejob", "cancelled", "--type=merge", "-p", '{"spec":{"cancel":true}}')
    found = kube.phase("cancelled", "Cancelled", seconds=90)
    assert condition(found, "Failed")["reason"] == "Cancelled" and phase_of(found) == "Cancelled"
    assert kube.get("pvc", "cancelled-workspace") is not None
    kube.delete("finetunejob", "cancelled")
