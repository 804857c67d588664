"""From model to model and from setting to setting under traffic: no request is refused, and what is bad takes nothing away.

The tests stand on each other: one deployment goes through them, as it would through a year.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.kube import Kube, Object, condition
from tests.e2e.manifests import SMALL, model_deployment
from tests.e2e.traffic import Traffic
from tests.server.assets.onnx_model import ONNX_FOLDER, cached_model_directory, write_manifest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CLAIMS = {
    "bot-v1": ("local", "ReadWriteOnce"),
    "bot-v2": ("local", "ReadWriteOnce"),
    "broken": ("local", "ReadWriteOnce"),
    "shared": ("shared", "ReadWriteMany"),
    "single": ("local", "ReadWriteOncePod"),
}
"""Models by the storage class and the access mode of their claims."""
NO_IMAGE = {"image": "127.0.0.1:5000/no-such-server:1"}
BOUNDED = {**SMALL, "limits": {"cpu": "1"}}


def claim(name: str, storage_class: str, mode: str) -> Object:
    spec = {"storageClassName": storage_class, "accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def consumer(claims: list[str]) -> Object:
    """A pod that makes the volumes come into being."""
    security = {
        "runAsNonRoot": True, "runAsUser": 65532, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    container = {
        "name": "main", "image": "python:3.11-slim-bookworm", "command": ["true"], "securityContext": security,
        "volumeMounts": [{"name": name, "mountPath": f"/claims/{name}"} for name in claims],
    }  # fmt: skip
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "consumer"}, "spec": spec}


def imported(name: str) -> Object:
    spec = {"type": "full", "base": {"source": "s3://models/smollm2-5m"}, "source": {"claim": {"name": name}}}
    return {"apiVersion": "finetune.dev/v1alpha1", "kind": "FineTunedModel", "metadata": {"name": name}, "spec": spec}


def break_it(model: Path) -> None:
    """Whole, as its manifest says, and no engine loads it."""
    (model / ONNX_FOLDER / "genai_config.json").write_text('{"model": {}}')
    write_manifest(model)


@pytest.fixture(scope="module")
def models(kube: Kube, assets: Path) -> None:
    """The model directory of the server's tests on every claim, imported under the claim's name."""
    directory = cached_model_directory(assets / "smollm2-5m", assets.parent / "test-models")
    kube.apply(*(claim(name, *how) for name, how in CLAIMS.items()), consumer(list(CLAIMS)))
    kube.wait("pod", "consumer", lambda o: o["status"].get("phase") == "Succeeded", seconds=60, what="done")
    for name in CLAIMS:
        volume = (kube.get("pvc", name) or {})["spec"]["volumeName"]
        folder = Path((kube.get("pv", volume) or {})["spec"]["local"]["path"])
        shutil.copytree(directory, folder, dirs_exist_ok=True)
        if name == "broken":
            break_it(folder)
    kube.run("delete", "pod", "consumer")
    kube.apply(*map(imported, CLAIMS))
    for name in CLAIMS:
        kube.wait("finetunedmodel", name, lambda o: condition(o, "Ready").get("status") == "True", seconds=120, what="Ready")


class Rollouts:
    """The deployment `bot`, changed as a user does it, and what is seen of it."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube

    def apply(self, model: str, **spec: Any) -> None:
        """kubectl apply of the whole manifest."""
        self.kube.apply(model_deployment("bot", model, **{"resources": BOUNDED, **spec}))

    def reaches(self, what: str, holds: Callable[[Object], bool], seconds: float = 90) -> Object:
        """The deployment, as soon as its status is of the newest spec and `holds` says so."""

        def seen(o: Object) -> bool:
            return o.get("status", {}).get("observedGeneration") == o["metadata"]["generation"] and holds(o)

        return self.kube.wait("modeldeployment", "bot", seen, seconds=seconds, what=what)

    def settles(self, model: str) -> Object:
        """The deployment, once it is Ready and only that model answers."""

        def ready(o: Object) -> bool:
            return condition(o, "Ready")["status"] == "True" and o["status"].get("servingText") == model

        return self.reaches(f"serving {model}", ready)

    def row(self) -> list[str]:
        """What `kubectl get` prints of it, but for address and age."""
        return self.kube.run("get", "mdep", "bot", "--no-headers").stdout.split()[:6]

    def pods(self) -> list[Object]:
        """Those that are not to go."""
        found = self.kube.pods("finetune.dev/deployment=bot")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


@pytest.fixture(scope="module")
def bot(kube: Kube, models: None) -> Rollouts:
    """Serves bot-v1."""
    rollouts = Rollouts(kube)
    rollouts.apply("bot-v1")
    rollouts.settles("bot-v1")
    return rollouts


@pytest.fixture(scope="module")
def traffic(kube: Kube, bot: Rollouts) -> Iterator[Traffic]:
    """Asks all the time, through the Service."""
    address = (kube.get("service", "bot") or {})["spec"]["clusterIP"]
    with Traffic(f"http://{address}", "bot") as running:
        yield running


@pytest.fixture(autouse=True)
def no_request_fails(traffic: Traffic) -> Iterator[None]:
    """Whatever a test does to the deployment."""
    before = traffic.outcomes.total()
    yield
    assert traffic.failures == {}
    assert traffic.outcomes.total() - before > 20


def test_to_another_model(bot: Rollouts) -> None:
    """The two models lie on two ReadWriteOnce volumes; the first is guarded until its last pod has gone."""
    bot.apply("bot-v2")
    bot.settles("bot-v2")
    bot.reaches("without bot-v1", lambda o: [served["model"] for served in o["status"]["serving"]] == ["bot-v2"], seconds=30)


def test_to_another_setting_on_the_same_volume(bot: Rollouts) -> None:
    """Old and new pod mount a ReadWriteOnce claim on one node."""
    (before,) = bot.pods()
    bot.apply("bot-v2", maxConcurrency=4)
    bot.settles("bot-v2")
    (after,) = bot.pods()
    assert before["metadata"]["name"] != after["metadata"]["name"]


def test_more_replicas_and_fewer(bot: Rollouts) -> None:
    """Two share the node of a ReadWriteOnce volume; neither way replaces the pod that is there."""
    (first,) = bot.pods()
    bot.kube.run("scale", "modeldeployment", "bot", "--replicas=2")
    bot.reaches("2/2", lambda o: o["status"].get("readyText") == "2/2" and condition(o, "Ready")["status"] == "True")
    assert first["metadata"]["name"] in {pod["metadata"]["name"] for pod in bot.pods()}
    bot.kube.run("scale", "modeldeployment", "bot", "--replicas=1")
    bot.reaches("1/1", lambda o: o["status"].get("readyText") == "1/1" and condition(o, "Ready")["status"] == "True")


def test_a_wrong_image(bot: Rollouts) -> None:
    """It is said within the deadline and takes nothing away; the model of the pod that serves stays guarded; back is a change like any
    other, and takes up the pod that never went."""
    (before,) = bot.pods()
    bot.apply("bot-v1", maxConcurrency=4, pod=NO_IMAGE, progressDeadline="15s")
    found = bot.reaches("Stalled", lambda o: condition(o, "Stalled")["status"] == "True", seconds=60)
    assert condition(found, "Available")["status"] == "True"
    assert condition(found, "Progressing")["status"] == "False"
    assert "no-such-server" in condition(found, "Stalled")["message"]
    assert "bot-v2 keeps serving" in condition(found, "Stalled")["message"]
    assert "stage" not in condition(found, "Stalled")["message"]
    assert bot.row() == ["bot", "bot-v1", "bot-v2", "1/1", "ImagePullFailed", "onnx"]
    for model in ("bot-v1", "bot-v2"):
        assert "deployed by ModelDeployment bot" in bot.kube.delete("finetunedmodel", model).stderr
    bot.apply("bot-v2", maxConcurrency=4)
    bot.settles("bot-v2")
    assert [pod["metadata"]["uid"] for pod in bot.pods()] == [before["metadata"]["uid"]]


def test_a_model_that_does_not_load(bot: Rollouts) -> None:
    """The server's last words are in the status; forward from there, to a volume for many nodes."""
    bot.apply("broken", progressDeadline="15s")
    found = bot.reaches("Stalled", lambda o: condition(o, "Stalled")["status"] == "True", seconds=60)
    assert condition(found, "Stalled")["reason"] == "ServerCrashes"
    assert "genai_config.json" in condition(found, "Stalled")["message"]
    assert bot.row()[1:4] == ["broken", "bot-v2", "1/1"]
    bot.apply("shared")
    bot.settles("shared")


def test_a_missing_secret(bot: Rollouts) -> None:
    """Named in status.error while the revision before it answers."""
    bot.apply("shared", auth={"secretRef": {"name": "keys"}})
    found = bot.reaches("held up", lambda o: condition(o, "Ready")["reason"] == "SecretNotFound")
    assert found["status"]["error"]["object"] == "Secret keys"
    assert bot.row()[1:4] == ["shared", "shared", "1/1"]
    bot.apply("shared")
    bot.settles("shared")


def test_to_another_setting_on_a_shared_volume(bot: Rollouts) -> None:
    """Nothing but the settings differs."""
    bot.apply("shared", maxContext=512)
    bot.settles("shared")


def test_to_a_volume_for_one_pod(bot: Rollouts) -> None:
    """No other pod mounts it yet. Two replicas on it are refused with a message, and the one goes on."""
    bot.apply("single")
    bot.settles("single")
    bot.kube.run("scale", "modeldeployment", "bot", "--replicas=2")
    refused = bot.reaches("refused", lambda o: condition(o, "Ready")["reason"] == "VolumeNotShared", seconds=30)
    assert "PersistentVolumeClaim single is ReadWriteOncePod" in condition(refused, "Ready")["message"]
    assert bot.row()[1:4] == ["single", "single", "1/2"]
    bot.kube.run("scale", "modeldeployment", "bot", "--replicas=1")
    bot.settles("single")
