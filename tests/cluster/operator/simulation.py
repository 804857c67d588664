"""FineTuneJobs whose stage pods run on simulated nodes and end with the results that a real run would leave."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finetune_api.model_directory import EvaluationReport
from finetune_api.result import (
    DatasetSummary,
    Estimate,
    PrepareSummary,
    PublishSummary,
    StageResult,
    TrainSummary,
)
from tests.cluster.control_plane import WITH_TOOLS, ControlPlane
from tests.cluster.objects import API_VERSION

Object = dict[str, Any]
FINAL = ("Succeeded", "Failed", "Cancelled")

_SCORES = EvaluationReport(
    examples=4, tokens=400, base={"loss": 4.0, "perplexity": 54.6}, tuned={"loss": 2.5, "perplexity": 12.2}, gate=[], gate_passed=True
)
RESULTS = {
    "preparation": StageResult(
        stage="prepare",
        prepare=PrepareSummary(
            dataset=DatasetSummary(train_examples=36, validation_examples=4, train_tokens=900, supervised_tokens=400, digest="d"),
            hyperparameters={}, total_steps=10, base_digest="b", base_parameters=7,
            estimate=Estimate(model_bytes=1000, workspace_bytes=1000),
        ),
    ),
    "training": StageResult(stage="train", train=TrainSummary(steps=10, loss=2.5, tokens=900, seconds=1.0)),
    "publishing": StageResult(stage="publish", publish=PublishSummary(evaluation=_SCORES, size_bytes=1000, manifest_sha256="m")),
}  # fmt: skip


def simulated_job(namespace: str, name: str, *, train: dict[str, str] | None = None, **spec: Any) -> Object:
    """A FineTuneJob whose pods succeed at once; `train` are more annotations of the train pods."""
    stages = {
        field: {"pod": {"annotations": {"kwok.finetune.dev/message": result.termination_message()}}} for field, result in RESULTS.items()
    }
    stages["training"]["pod"]["annotations"] |= train or {}
    return {
        "apiVersion": API_VERSION,
        "kind": "FineTuneJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "base": {"source": "s3://models/smollm2"},
            "dataset": {"train": {"source": "configmap://rows/train.jsonl"}},
            **stages,
            **spec,
        },
    }


def volumes(prefix: str, count: int) -> str:
    """Volumes for claims without a storage class: nothing is ever written to them."""
    items = [
        {
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{prefix}-{number}"},
            "spec": {
                "capacity": {"storage": "100Gi"}, "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
                "hostPath": {"path": "/nowhere"}, "persistentVolumeReclaimPolicy": "Retain",
            },
        }
        for number in range(count)
    ]  # fmt: skip
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


class Space:
    """One namespace, seen with kubectl."""

    def __init__(self, plane: ControlPlane, name: str) -> None:
        self.plane = plane
        self.name = name

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """Standard output; a failure shows what kubectl said."""
        done = self.plane.kubectl("-n", self.name, *arguments, stdin=stdin)
        assert not check or done.returncode == 0, f"kubectl {arguments}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: Object) -> None:
        """All at once."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def get(self, kind: str, name: str) -> Object | None:
        """None when it is not there."""
        text = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found", check=False)
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, selector: str = "") -> list[Object]:
        """All of a kind with these labels."""
        items: list[Object] = json.loads(self.kubectl("get", kind, "-l", selector, "-o", "json"))["items"]
        return items

    def phases(self) -> Counter[str]:
        """FineTuneJobs by phase."""
        return Counter((job.get("status") or {}).get("phase", "") for job in self.list("finetunejobs"))

    def wait(self, what: str, true: Callable[[], Any], seconds: float = 40) -> Any:
        """Polls until it is so and returns what `true` returned; shows the jobs' status when it takes too long."""
        deadline = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < deadline, f"after {seconds} s still not: {what}\n{self._shown()}"
            time.sleep(0.2)
        return found

    def _shown(self) -> str:
        return self.kubectl("get", "finetunejobs,jobs,pods,pvc,events", "-o", "wide", check=False)[-8000:]


@contextmanager
def seen_jobs(space: Space, file: Path) -> Iterator[Callable[[], set[tuple[str, str]]]]:
    """Watches the batch Jobs from outside: yields a function for the (name, uid) pairs that there ever were."""
    command: list[str | Path] = [
        "kubectl", "--kubeconfig", space.plane.kubeconfig, "-n", space.name, "get", "jobs", "--watch", "--no-headers",
        "-o", "custom-columns=NAME:.metadata.name,UID:.metadata.uid",
    ]  # fmt: skip
    with file.open("w") as out:
        watch = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, env=WITH_TOOLS)
    try:
        yield lambda: {(line.split()[0], line.split()[1]) for line in file.read_text().splitlines() if len(line.split()) == 2}
    finally:
        watch.kill()
        watch.wait()


def twice(pairs: set[tuple[str, str]]) -> list[str]:
    """Names under which more than one Job was made: an attempt that ran twice."""
    return [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
