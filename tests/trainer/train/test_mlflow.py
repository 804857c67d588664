"""MLflow, against its own server."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mlflow import MlflowClient

from finetune_api.run_config import RunNetwork
from finetune_trainer.distributed.network import free_port
from finetune_trainer.failure import StageFailure
from finetune_trainer.trackers import TRACKERS
from finetune_trainer.trackers.feed import Feeds
from finetune_trainer.trackers.tracker import Outcome, TrackedRun
from tests.trainer.train.conftest import LONG, run_here
from tests.trainer.train.runs import Run
from tests.trainer.train.test_resume import stop_at

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
FROM_SECRET: dict[str, Any] = {"mlflow": {"experiment": "bots", "credentials": {"secretRef": {"name": "mlflow"}}}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with an empty database."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/runs.db", "--artifacts-destination", str(folder)]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        while not answers(address):
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def answers(address: str) -> bool:
    """Whether the server is up."""
    try:
        return urllib.request.urlopen(f"{address}/health", timeout=5).status == 200
    except OSError:
        return False


def test_all_attempts_are_one_run(server: str, new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the figures of metrics.csv, each step once although some were run twice; parameters, lineage and the state at the end."""
    monkeypatch.setenv("FINETUNE_MLFLOW_MLFLOW_TRACKING_URI", server)
    run = new_run(hyper=LONG | {"validation_every": 5, "validation_examples": 7}, tracking=FROM_SECRET)
    with pytest.raises(StageFailure, match="at step 7"):
        run_here(run, 1, stop_at(run, 7))
    (run.workspace.checkpoints / "attempt-1" / "checkpoint-7" / ".complete").unlink()
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("bots").experiment_id
    assert [found.info.status for found in client.search_runs([experiment])] == ["KILLED"]
    run_here(run, 2)
    (found,) = client.search_runs([experiment])
    assert (found.info.status, found.info.run_name) == ("FINISHED", "job")
    assert found.data.tags.items() >= {"model": "model", "dataset_digest": "d", "base_digest": "b", "spec_digest": "spec-1"}.items()
    assert found.data.params.items() >= {"learningRate": "0.001", "batchSize": "6", "loraRank": "4", "method": "lora"}.items()
    for name, column in {"train/loss": "loss", "train/grad_norm": "grad_norm", "eval/loss": "valid_loss"}.items():
        history = sorted((point.step, point.value) for point in client.get_metric_history(found.info.run_id, name))
        wanted = [(step.step, getattr(step, column)) for step in run.metrics() if getattr(step, column) is not None]
        assert [step for step, _ in history] == [step for step, _ in wanted]
        assert [value for _, value in history] == pytest.approx([value for _, value in wanted], rel=1e-6)
    assert run.result().train.warnings == []
    tracked = TrackedRun(found.data.tags["finetune.run"], run.config(), run.workspace, 0, 0, {}, {})
    TRACKERS["mlflow"].report(tracked, Outcome(12, {"base/loss": 3.0, "tuned/loss": 2.5}, {"model_digest": "sha256:abc", "gate": "passed"}))
    (found,) = client.search_runs([experiment])
    assert found.info.status == "FINISHED"
    assert found.data.metrics.items() >= {"base/loss": 3.0, "tuned/loss": 2.5}.items()
    assert found.data.tags.items() >= {"model_digest": "sha256:abc", "gate": "passed", "model": "model"}.items()
    assert {point.step for point in client.get_metric_history(found.info.run_id, "tuned/loss")} == {12}


@pytest.mark.parametrize(
    ("mlflow", "allowed", "words"),
    [
        ({"uri": "http://127.0.0.1:9"}, [], "127.0.0.1 is a loopback address"),
        ({"uri": "http://169.254.169.254/mlflow"}, [], "is a cloud's metadata service"),
        ({"uri": "http://127.0.0.1:9"}, ["127.0.0.1"], "Connection refused"),
        (FROM_SECRET["mlflow"], [], "the Secret of tracking.mlflow.credentials must have MLFLOW_TRACKING_URI"),
        (FROM_SECRET["mlflow"] | {"uri": "http://127.0.0.1:9"}, ["127.0.0.1"], "the Secret of tracking.mlflow.credentials is missing, or"),
    ],
    ids=["private", "metadata", "down", "no address", "no secret"],
)
def test_what_keeps_a_tracker_from_being_reached(
    mlflow: dict[str, Any], allowed: list[str], words: str, new_run: Callable[..., Run]
) -> None:
    """It is a warning at the end, with the reason."""
    run = new_run(tracking={"mlflow": mlflow})
    config = run.config().model_copy(update={"network": RunNetwork(allowed_private=allowed)})
    feeds = Feeds([TRACKERS["mlflow"]], TrackedRun("run", config, run.workspace, 1, 0, {}, {}))
    feeds.log(1, {"train/loss": 1.0})
    (warning,) = feeds.end("finished")
    assert warning.code == "TrackerFailed"
    assert words in warning.message


def test_a_password_in_the_address_is_refused(new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's errors quote the address, and the warning ends in the status."""
    monkeypatch.setenv("FINETUNE_MLFLOW_MLFLOW_TRACKING_URI", "http://user:s3cret@127.0.0.1:9")
    run = new_run(tracking=FROM_SECRET)
    feeds = Feeds([TRACKERS["mlflow"]], TrackedRun("run", run.config(), run.workspace, 1, 0, {}, {}))
    (warning,) = feeds.end("finished")
    assert "put them into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in warning.message
    assert "s3cret" not in warning.message
