"""The delete guard, with no operator running: what is in use stays, says why, and goes when its user has gone."""

from functools import partial
from typing import Any

import pytest

from tests.cluster.api import Api, Refused, wait_until
from tests.cluster.control_plane import POLICIES, ControlPlane, rendered
from tests.cluster.objects import Object, claim, deployment, job, model

FINISHED = [{"type": "Complete", "status": "True"}, {"type": "Failed", "status": "True"}]
UNFINISHED = [{"type": "Complete", "status": "False"}, {"type": "Reconciling", "status": "True"}]

# user of the model "base" in namespace NS -> what the API server says
USERS: dict[str, tuple[Object, str]] = {
    "deployment": (
        deployment("NS", "bot", "base"),
        "model base is deployed by ModelDeployment bot: delete the deployment first (kubectl -n NS delete mdep bot)",
    ),
    "job": (
        job("NS", "again", base_model="base"),
        "model base is the base of FineTuneJob again, which has not finished: wait for it or delete the job first "
        "(kubectl -n NS delete ftj again)",
    ),
    "model": (
        model("NS", "next", base_model="base"),
        "model base is the base of FineTunedModel next: delete that model first (kubectl -n NS delete ftm next)",
    ),
}
WAYS: dict[str, dict[str, Any]] = {
    "background": {"propagationPolicy": "Background"},
    "foreground": {"propagationPolicy": "Foreground"},
    "orphan": {"propagationPolicy": "Orphan"},
    "dry-run": {"dryRun": ["All"]},
    "no grace": {"gracePeriodSeconds": 0},
}


def create(api: Api, namespace: str, obj: Object) -> Object:
    """Creates a copy of the object in the namespace."""
    return api.create({**obj, "metadata": {**obj["metadata"], "namespace": namespace}})


def refusal(api: Api, kind: str, name: str, namespace: str, **options: Any) -> str:
    """What the guard says to a deletion, which must be refused."""
    with pytest.raises(Refused) as refused:
        api.delete(kind, name, namespace, **options)
    assert refused.value.code == 403
    return refused.value.reason


def refused_soon(api: Api, kind: str, name: str, namespace: str, words: str) -> None:
    """A trial deletion is refused with these words, as soon as the API server has seen what was made just before."""

    def refused() -> bool:
        try:
            api.delete(kind, name, namespace, dryRun=["All"])
        except Refused as error:
            return words in error.reason
        return False

    wait_until(f"deletion of {kind} {name} is refused: {words}", refused, 10)


def gone(api: Api, kind: str, name: str, namespace: str) -> None:
    """Waits until the object is not there any more."""
    wait_until(f"{kind} {name} is gone", lambda: not api.exists(kind, name, namespace), 30)


def deletes(api: Api, kind: str, name: str, namespace: str, **options: Any) -> None:
    """The deletion is taken and comes to its end. The guard may still see, for a moment, a user that has gone."""

    def taken() -> bool:
        try:
            api.delete(kind, name, namespace, **options)
        except Refused as refused:
            if refused.code == 403:
                return False
            raise
        return True

    wait_until(f"deletion of {kind} {name} is allowed", taken, 10)
    gone(api, kind, name, namespace)


def set_conditions(api: Api, namespace: str, name: str, conditions: list[dict[str, str]]) -> None:
    """Writes a job's conditions, as the operator does."""
    complete = [{"reason": "Test", "lastTransitionTime": "2026-01-01T00:00:00Z", **condition} for condition in conditions]
    api.patch("FineTuneJob", name, {"status": {"conditions": complete}}, namespace, "status")


@pytest.mark.parametrize("user", USERS)
def test_a_used_model_stays_until_its_user_is_gone(api: Api, namespace: str, user: str) -> None:
    """Every edge refuses with the user and the command that frees the model; after that command it goes."""
    obj, words = USERS[user]
    create(api, namespace, model("NS", "base"))
    create(api, namespace, obj)
    assert refusal(api, "FineTunedModel", "base", namespace) == words.replace("NS", namespace)
    api.delete(obj["kind"], obj["metadata"]["name"], namespace)
    deletes(api, "FineTunedModel", "base", namespace)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("user", USERS)
def test_no_way_of_deleting_gets_around(api: Api, namespace: str, user: str, way: str) -> None:
    """The guard answers the same to every propagation policy, grace period and to a dry run."""
    obj, words = USERS[user]
    create(api, namespace, model("NS", "base"))
    create(api, namespace, obj)
    assert refusal(api, "FineTunedModel", "base", namespace, **WAYS[way]) == words.replace("NS", namespace)
    assert "deletionTimestamp" not in api.get("FineTunedModel", "base", namespace)["metadata"]


def test_deleting_all_stops_at_the_used_one(api: Api, namespace: str) -> None:
    """A collection is deleted object by object, each asked about."""
    create(api, namespace, model("NS", "base"))
    create(api, namespace, deployment("NS", "bot", "base"))
    with pytest.raises(Refused) as refused:
        api.delete_all("FineTunedModel", namespace)
    assert "model base is deployed by ModelDeployment bot" in refused.value.message
    assert api.exists("FineTunedModel", "base", namespace)


def test_what_a_person_sees(api: Api, control_plane: ControlPlane, namespace: str) -> None:
    """kubectl prints the policy's sentence and fails; `--all` deletes the others."""
    for name in ("base", "unused"):
        create(api, namespace, model("NS", name))
    create(api, namespace, deployment("NS", "bot", "base"))
    done = control_plane.kubectl("-n", namespace, "delete", "ftm", "--all")
    assert done.returncode == 1
    assert f"delete the deployment first (kubectl -n {namespace} delete mdep bot)" in done.stderr
    assert "unused" in done.stdout
    assert not api.exists("FineTunedModel", "unused", namespace)


def test_what_live_pods_mount_counts(api: Api, namespace: str) -> None:
    """A model that the spec no longer names, but status.serving does, is in use until the roll-out is over."""
    for name in ("old", "new"):
        create(api, namespace, model("NS", name))
    create(api, namespace, deployment("NS", "bot", "new"))
    api.patch("ModelDeployment", "bot", {"status": {"serving": [{"model": "old", "uid": "1"}]}}, namespace, "status")
    wait_until("the guard has seen it", lambda: _is_refused(api, "old", namespace), 10)
    assert refusal(api, "FineTunedModel", "old", namespace).startswith("model old is deployed by ModelDeployment bot")
    assert refusal(api, "FineTunedModel", "new", namespace).startswith("model new is deployed by ModelDeployment bot")
    api.patch("ModelDeployment", "bot", {"status": {"serving": [{"model": "new", "uid": "2"}]}}, namespace, "status")
    deletes(api, "FineTunedModel", "old", namespace)


def _is_refused(api: Api, name: str, namespace: str) -> bool:
    try:
        api.delete("FineTunedModel", name, namespace, dryRun=["All"])
    except Refused as refused:
        return refused.code == 403
    return False


@pytest.mark.parametrize("conditions", [[], UNFINISHED], ids=["no conditions", "running"])
def test_an_unfinished_job_blocks(api: Api, namespace: str, conditions: list[dict[str, str]]) -> None:
    """Finished is only what says Complete or Failed."""
    create(api, namespace, model("NS", "base"))
    create(api, namespace, job("NS", "again", base_model="base"))
    set_conditions(api, namespace, "again", conditions)
    assert "FineTuneJob again, which has not finished" in refusal(api, "FineTunedModel", "base", namespace)


@pytest.mark.parametrize("condition", FINISHED, ids=lambda condition: condition["type"])
def test_a_finished_job_does_not_block(api: Api, namespace: str, condition: dict[str, str]) -> None:
    """A job keeps its spec for ever, so only its conditions can free the base."""
    create(api, namespace, model("NS", "base"))
    create(api, namespace, job("NS", "again", base_model="base"))
    set_conditions(api, namespace, "again", [*UNFINISHED[1:], condition])
    deletes(api, "FineTunedModel", "base", namespace)


@pytest.mark.parametrize(
    ("path", "base", "used"),
    [
        ("", "pvc://files", True),
        ("", "pvc://files/base", True),
        ("a", "pvc://files/a", True),
        ("/a/", "pvc://files/a/merged", True),
        ("a", "pvc://files/b", False),
        ("a", "pvc://files/ab", False),
        ("", "pvc://files-of-others/base", False),
        ("", "s3://files/base", False),
    ],
)
def test_an_address_on_a_model_s_claim_is_the_model(api: Api, namespace: str, path: str, base: str, used: bool) -> None:
    """A job and a model whose base is named so are users as those that name the model."""
    kept = model(namespace, "base")
    kept["spec"]["source"] = {"claim": {"name": "files", "path": path}}
    api.create(kept)
    user, derived = job(namespace, "again"), model(namespace, "next")
    for obj in (user, derived):
        obj["spec"]["base"] = {"source": base}
        api.create(obj)
        if used:
            refused_soon(api, "FineTunedModel", "base", namespace, f"model base is the base of {obj['kind']} {obj['metadata']['name']}")
        api.delete(obj["kind"], obj["metadata"]["name"], namespace)
    deletes(api, "FineTunedModel", "base", namespace)


def test_a_model_that_names_itself_can_go(api: Api, namespace: str) -> None:
    """A self-reference is no use."""
    create(api, namespace, model("NS", "loop", base_model="loop"))
    deletes(api, "FineTunedModel", "loop", namespace)


def test_users_of_other_models_and_namespaces_do_not_block(api: Api, namespace: str) -> None:
    """References are by name within one namespace."""
    create(api, namespace, model("NS", "base"))
    create(api, namespace, deployment("NS", "bot", "other"))
    create(api, "default", deployment("NS", "elsewhere", "base"))
    deletes(api, "FineTunedModel", "base", namespace)
    api.delete("ModelDeployment", "elsewhere", "default")


def test_force_delete_needs_the_own_uid(api: Api, namespace: str) -> None:
    """Neither "true" nor another object's uid forces anything; the object's own does, at once."""
    made = create(api, namespace, model("NS", "base"))
    user = create(api, namespace, deployment("NS", "bot", "base"))
    for value in ("true", "", user["metadata"]["uid"]):
        api.patch("FineTunedModel", "base", {"metadata": {"annotations": {"finetune.dev/force-delete": value}}}, namespace)
        assert refusal(api, "FineTunedModel", "base", namespace)
    api.patch("FineTunedModel", "base", {"metadata": {"annotations": {"finetune.dev/force-delete": made["metadata"]["uid"]}}}, namespace)
    api.delete("FineTunedModel", "base", namespace)
    gone(api, "FineTunedModel", "base", namespace)


@pytest.mark.parametrize("owned", [True, False], ids=["made by the operator", "labelled by hand"])
def test_the_files_of_a_living_model_stay(api: Api, namespace: str, owned: bool) -> None:
    """A labelled claim is refused while its model lives and goes with or after it."""
    living = create(api, namespace, model("NS", "base"))
    api.create(claim(namespace, "base-model", "base", living if owned else None))
    assert refusal(api, "PersistentVolumeClaim", "base-model", namespace) == (
        f"claim base-model holds the files of FineTunedModel base: delete the model first (kubectl -n {namespace} delete ftm base)"
    )
    api.delete("FineTunedModel", "base", namespace)
    if owned:
        gone(api, "PersistentVolumeClaim", "base-model", namespace)
    else:
        deletes(api, "PersistentVolumeClaim", "base-model", namespace)


def test_the_label_that_protects_a_claim_stays(api: Api, namespace: str) -> None:
    """Nobody takes it off or gives it another model while the model lives; all else of the claim may be changed."""
    api.create(model(namespace, "kept"))
    api.create(claim(namespace, "kept-model", "kept"))
    refused_soon(api, "PersistentVolumeClaim", "kept-model", namespace, "holds the files of FineTunedModel kept")
    api.patch("PersistentVolumeClaim", "kept-model", {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}}, namespace)
    for label in (None, "other"):
        with pytest.raises(Refused) as refused:
            api.patch("PersistentVolumeClaim", "kept-model", {"metadata": {"labels": {"finetune.dev/model": label}}}, namespace)
        assert (
            "claim kept-model holds the files of FineTunedModel kept, and the label finetune.dev/model protects them"
            in refused.value.reason
        )
    deletes(api, "FineTunedModel", "kept", namespace)
    deletes(api, "PersistentVolumeClaim", "kept-model", namespace)


def test_a_claim_can_get_its_label_later(api: Api, namespace: str) -> None:
    """By the administrator who imports a model."""
    api.create(model(namespace, "kept"))
    unlabelled = claim(namespace, "files", "kept")
    del unlabelled["metadata"]["labels"]
    api.create(unlabelled)
    api.patch("PersistentVolumeClaim", "files", {"metadata": {"labels": {"finetune.dev/model": "kept"}}}, namespace)
    refused_soon(api, "PersistentVolumeClaim", "files", namespace, "holds the files of FineTunedModel kept")


def test_a_claim_can_be_forced_with_its_own_uid(api: Api, namespace: str) -> None:
    """The annotation works on claims as it does on models."""
    create(api, namespace, model("NS", "base"))
    made = api.create(claim(namespace, "base-model", "base"))
    force = {"metadata": {"annotations": {"finetune.dev/force-delete": made["metadata"]["uid"]}}}
    api.patch("PersistentVolumeClaim", "base-model", force, namespace)
    deletes(api, "PersistentVolumeClaim", "base-model", namespace)


def test_a_model_deleted_in_the_foreground_takes_its_claim_along(api: Api, namespace: str) -> None:
    """While the garbage collector works, the model is still there, with a deletionTimestamp: that must not block it."""
    living = create(api, namespace, model("NS", "base"))
    owned = claim(namespace, "base-model", "base", living)
    owned["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = True
    api.create(owned)
    deletes(api, "FineTunedModel", "base", namespace, propagationPolicy="Foreground")
    assert not api.exists("PersistentVolumeClaim", "base-model", namespace)


def test_the_claim_of_an_earlier_model_of_that_name_can_go(api: Api, namespace: str) -> None:
    """A model made again at once does not keep the garbage collector from the claim of the one before."""
    first = create(api, namespace, model("NS", "base"))
    deletes(api, "FineTunedModel", "base", namespace)
    create(api, namespace, model("NS", "base"))
    api.create(claim(namespace, "base-model", "base", first))
    gone(api, "PersistentVolumeClaim", "base-model", namespace)
    assert api.exists("FineTunedModel", "base", namespace)


def test_the_claim_of_a_job_that_could_not_register_its_model_goes_with_the_job(api: Api, namespace: str) -> None:
    """Another model has the name in its label, and other files; a claim that the model names stays, whoever owns it."""
    living = create(api, namespace, model("NS", "base"))
    failed = create(api, namespace, job("NS", "failed"))
    api.create(claim(namespace, "base-model-of-failed", "base", failed))
    api.create(claim(namespace, living["spec"]["source"]["claim"]["name"], "base", failed))
    refused_soon(api, "PersistentVolumeClaim", "base-model", namespace, "claim base-model holds the files of FineTunedModel base")
    api.delete("FineTuneJob", "failed", namespace)
    gone(api, "PersistentVolumeClaim", "base-model-of-failed", namespace)
    assert api.exists("PersistentVolumeClaim", "base-model", namespace)


def test_other_claims_are_nobodys_business(api: Api, namespace: str) -> None:
    """A claim without the label, or with the name of a model that does not exist, is not guarded."""
    create(api, namespace, model("NS", "base"))
    for name, label in (("workspace", None), ("left-over", "no-such-model")):
        obj = claim(namespace, name, label or "")
        if label is None:
            del obj["metadata"]["labels"]
        api.create(obj)
        deletes(api, "PersistentVolumeClaim", name, namespace)


def _is_checked(api: Api, policy: str) -> bool:
    return "typeChecking" in api.get("ValidatingAdmissionPolicy", policy).get("status", {})


def test_the_expressions_are_right(api: Api, control_plane: ControlPlane) -> None:
    """The API server checks their types once it knows the parameters' definition; it must find nothing."""
    copies = rendered(*(f"guard/{policy}" for policy in POLICIES)).replace("name: finetune-", "name: copy-of-finetune-")
    control_plane.apply(copies.replace("policyName: finetune-", "policyName: copy-of-finetune-"))
    try:
        for policy in POLICIES:
            name = f"copy-of-finetune-{policy}"
            wait_until(f"{name} is checked", partial(_is_checked, api, name))
            assert api.get("ValidatingAdmissionPolicy", name)["status"]["typeChecking"] == {}
    finally:
        for policy in POLICIES:
            api.delete("ValidatingAdmissionPolicyBinding", f"copy-of-finetune-{policy}")
            api.delete("ValidatingAdmissionPolicy", f"copy-of-finetune-{policy}")
