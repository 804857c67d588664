"""Whatever is killed, and whenever: the job ends with the same model, and nothing is done twice."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.conftest import LOCAL_CLUSTER, run
from tests.e2e.kube import Kube, condition, phase_of
from tests.e2e.manifests import finetune_job

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

STEPS = {"hyperparameters": {"maxSteps": 100}, "checkpoints": {"everySteps": 5, "keep": 2}}


def weights(kube: Kube, model: str) -> str:
    """sha256 of a model's merged weights: equal to the last bit."""
    status = kube.wait("finetunedmodel", model, lambda o: condition(o, "Ready").get("status") == "True", seconds=60, what="Ready")["status"]
    return next(a["sha256"] for a in status["artifacts"] if a["format"] == "safetensors")


def succeeded(kube: Kube, job: str) -> dict[str, Any]:
    """The job, once it has succeeded; no attempt number may occur twice."""
    found = kube.phase(job, "Succeeded", seconds=420)
    numbers = [(a["stage"], a["number"]) for a in found["status"]["attempts"]]
    assert len(numbers) == len(set(numbers))
    return found


def train_undisturbed(kube: Kube) -> str:
    """The weights that the training of this module comes to."""
    kube.apply(finetune_job("undisturbed", **STEPS))
    succeeded(kube, "undisturbed")
    return weights(kube, "undisturbed")


def kill_a_rank(kube: Kube) -> str:
    """kill -9 of the trainer: an attempt more, and it counts."""
    kube.apply(finetune_job("killed", **STEPS))
    pod = kube.step("killed", 8)
    kube.run("exec", pod["metadata"]["name"], "--", "python", "-c", KILL_WORKER, check=False)  # the pod may end before kubectl does
    found = succeeded(kube, "killed")
    trains = [a for a in found["status"]["attempts"] if a["stage"] == "train"]
    assert [a["state"] for a in trains] == ["Failed", "Succeeded"] and found["status"]["restarts"] == 1
    return weights(kube, "killed")


KILL_WORKER = """
import os, signal
for pid in filter(str.isdigit, os.listdir('/proc')):
    if pid != '1' and b'finetune_trainer.train.worker' in open(f'/proc/{pid}/cmdline', 'rb').read():
        os.kill(int(pid), signal.SIGKILL)
"""


def pause(kube: Kube) -> str:
    """suspend takes the pods away; it does not count."""
    kube.apply(finetune_job("paused", **STEPS))
    kube.step("paused", 8)
    kube.run("patch", "finetunejob", "paused", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    paused = kube.phase("paused", "Paused", seconds=120)
    assert condition(paused, "Reconciling")["status"] == condition(paused, "Stalled")["status"] == "False"
    assert "Ready" not in {c["type"] for c in paused["status"]["conditions"]}, "kstatus takes it for current"
    kube.wait(
        "namespace",
        kube.namespace,
        lambda _: not kube.pods("finetune.dev/job=paused,finetune.dev/stage=train"),
        seconds=60,
        what="without pods",
    )
    kube.run("patch", "finetunejob", "paused", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    assert succeeded(kube, "paused")["status"].get("restarts", 0) == 0
    return weights(kube, "paused")


def lose_one_of_two_pods(kube: Kube) -> str:
    """nodes: 2 is two real pods over gloo; the loss of one ends the attempt of both, and the next attempt resumes. The loss at the end."""
    shared = {"storage": {"accessMode": "ReadWriteMany", "storageClassName": "shared"}}
    kube.apply(finetune_job("pair", training={"nodes": 2}, workspace=shared, **STEPS))
    kube.step("pair", 8)
    pods = kube.pods("finetune.dev/job=pair,finetune.dev/stage=train")
    assert len(pods) == 2
    victim = next(p for p in pods if p["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == "1")
    kube.run("delete", "pod", victim["metadata"]["name"], "--grace-period=0", "--force")
    status = succeeded(kube, "pair")["status"]
    trains = [a for a in status["attempts"] if a["stage"] == "train"]
    assert len(trains) == 2 and trains[1]["state"] == "Succeeded"
    return f"{status['evaluation']['tuned']['loss']}"


def delete_the_workspace(kube: Kube) -> str:
    """Somebody deletes the job's claim while it trains: the job begins again at prepare."""
    kube.apply(finetune_job("emptied", **STEPS))
    pod = kube.step("emptied", 6)
    kube.delete("persistentvolumeclaim", "emptied-workspace", "--wait=false")
    kube.run("delete", "pod", pod["metadata"]["name"], "--wait=false")  # a claim goes when no pod holds it any more
    found = succeeded(kube, "emptied")
    prepares = [(a["state"], a.get("reason")) for a in found["status"]["attempts"] if a["stage"] == "prepare"]
    assert prepares == [("Interrupted", "WorkspaceLost"), ("Succeeded", None)]
    return weights(kube, "emptied")


Story = Callable[[Kube], str]
Told = Callable[[Story], str]

STORIES: tuple[Story, ...] = (train_undisturbed, kill_a_rank, pause, lose_one_of_two_pods, delete_the_workspace)
"""What concerns one job alone; each tells what its job came to."""


@pytest.fixture(scope="module")
def told(kube: Kube) -> Iterator[Told]:
    """What a story came to. Two are told at a time, since a training of one core leaves the other to waiting."""
    with ThreadPoolExecutor(2) as threads:
        running = {story: threads.submit(story, kube) for story in STORIES}
        yield lambda story: running[story].result()


def test_a_killed_rank_resumes_from_the_last_checkpoint(told: Told) -> None:
    """Bit for bit the same weights."""
    assert told(kill_a_rank) == told(train_undisturbed)


def test_pause_and_resume_lose_nothing(told: Told) -> None:
    """suspend writes a checkpoint: the result is the same."""
    assert told(pause) == told(train_undisturbed)


def test_two_pods_train_the_same_model_as_one(kube: Kube, told: Told) -> None:
    """The same global batch gives the same losses, also when one of the pods is lost."""
    told(train_undisturbed)
    one = (kube.get("finetunejob", "undisturbed") or {})["status"]["evaluation"]["tuned"]["loss"]
    assert float(told(lose_one_of_two_pods)) == pytest.approx(one, abs=1e-4)


def test_a_deleted_workspace_is_made_again(told: Told) -> None:
    """The job comes to the same weights."""
    assert told(delete_the_workspace) == told(train_undisturbed)


def test_the_operator_may_die_in_every_phase(kube: Kube, told: Told) -> None:
    """Its pod is killed in each phase; the next one takes over and no stage runs twice."""
    kube.apply(finetune_job("orphan", **STEPS))
    for phase in ("Validating", "Training", "Evaluating"):
        kube.phase("orphan", phase, "Succeeded", seconds=180)
        kube.run("delete", "pod", "-n", "finetune-system", "-l", "app.kubernetes.io/name=finetune-operator", "--grace-period=0", "--force")
    found = succeeded(kube, "orphan")
    assert [a["stage"] for a in found["status"]["attempts"]] == ["prepare", "train", "publish"]
    assert weights(kube, "orphan") == told(train_undisturbed)


def test_the_kubelet_and_the_api_server_may_restart(kube: Kube, told: Told) -> None:
    """Both are killed while a training runs; it goes on."""
    kube.apply(finetune_job("shaken", **STEPS))
    kube.step("shaken", 3)
    run(LOCAL_CLUSTER / "cluster.sh", "restart", "kubelet")
    run(LOCAL_CLUSTER / "cluster.sh", "restart", "apiserver")
    succeeded(kube, "shaken")
    assert weights(kube, "shaken") == told(train_undisturbed)


def test_a_chart_upgrade_replaces_no_running_pod(kube: Kube, kubeconfig: str) -> None:
    """New images in the chart: the running attempt keeps its pod and the job its image."""
    kube.apply(finetune_job("pinned", hyperparameters={"maxSteps": 100000}))
    before = kube.step("pinned", 2)
    image = before["spec"]["containers"][0]["image"]
    run(LOCAL_CLUSTER / "install.sh", "--set", "images.trainer=127.0.0.1:5000/other-trainer:2", KUBECONFIG=kubeconfig)
    time.sleep(5)
    after = kube.get("pod", before["metadata"]["name"])
    assert after is not None and after["metadata"]["uid"] == before["metadata"]["uid"] and after["status"]["phase"] == "Running"
    job = kube.get("finetunejob", "pinned")
    assert job is not None and job["status"]["image"] == image and phase_of(job) == "Training"
    run(LOCAL_CLUSTER / "install.sh", KUBECONFIG=kubeconfig)
    kube.delete("finetunejob", "pinned")


def test_a_second_operator_takes_over_without_a_duplicate(kube: Kube, kubeconfig: str) -> None:
    """Two replicas, the leader is killed: the other continues, and every attempt exists once."""
    run(LOCAL_CLUSTER / "install.sh", "--set", "operator.replicas=2", KUBECONFIG=kubeconfig)
    kube.apply(finetune_job("handed-over"))
    kube.phase("handed-over", "Validating", "Starting", "Training")
    holder = json.loads(kube.run("get", "lease", "-n", "finetune-system", "finetune-operator", "-o", "json").stdout)["spec"][
        "holderIdentity"
    ]
    kube.run("delete", "pod", "-n", "finetune-system", holder.split("_")[0], "--grace-period=0", "--force")
    found = succeeded(kube, "handed-over")
    assert [(a["stage"], a["number"]) for a in found["status"]["attempts"]] == [("prepare", 1), ("train", 1), ("publish", 1)]
    run(LOCAL_CLUSTER / "install.sh", KUBECONFIG=kubeconfig)


def test_everything_goes_when_the_operator_is_gone_first(kubeconfig: str, kube: Kube) -> None:
    """Uninstalled before its objects: nothing hangs, the guard's policies went with the chart, the CRDs stay."""
    kube.apply(finetune_job("left-behind", hyperparameters={"maxSteps": 100000}))
    kube.phase("left-behind", "Validating", "Starting", "Training", seconds=120)
    run(LOCAL_CLUSTER / "install.sh", "uninstall", KUBECONFIG=kubeconfig)
    for kind in ("modeldeployment", "finetunejob", "finetunedmodel"):
        assert kube.run("delete", kind, "--all", "--timeout=60s").returncode == 0
    kube.wait(
        "namespace",
        kube.namespace,
        lambda _: not kube.pods("app.kubernetes.io/managed-by=finetune-operator"),
        seconds=150,
        what="without pods",
    )
    run(LOCAL_CLUSTER / "install.sh", KUBECONFIG=kubeconfig)
