"""Copies of checkpoints in an object store: a training survives the loss of its workspace, and never the other way round."""

import json
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from finetune_api.exit_codes import ExitCode
from finetune_trainer.checkpoint_store import CheckpointCopies
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.main import prepare
from finetune_trainer.publish.main import copies_removed
from finetune_trainer.train import copier
from tests.trainer.train.conftest import LONG, VALIDATED, run_here
from tests.trainer.train.runs import FSDP, Run, prepare_workspace
from tests.trainer.train.test_resume import stop_at

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
HYPER: dict[str, Any] = VALIDATED | {"checkpoint_every": 2}
STORE = {"uri": "s3://safe/teams/a", "credentials": {"secretRef": {"name": "s3"}}}
FOLDER = "teams/a/default/job/1f/"
"""Of the job's copies in the bucket."""
PREFIX = "FINETUNE_CHECKPOINTS_"


class Bucket:
    """The bucket, as its owner sees it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        self.client: Any = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        self.client.create_bucket(Bucket="safe")

    def objects(self) -> list[str]:
        """All objects, below the job's folder."""
        found = self.client.list_objects_v2(Bucket="safe").get("Contents", [])
        return sorted(entry["Key"].removeprefix(FOLDER) for entry in found)

    def copies(self) -> list[str]:
        """Checkpoints whose copies are complete."""
        return [key.removesuffix("/.complete") for key in self.objects() if key.endswith("/.complete")]

    def read(self, key: str) -> bytes:
        """An object below the job's folder."""
        content: bytes = self.client.get_object(Bucket="safe", Key=FOLDER + key)["Body"].read()
        return content

    def secret(self) -> dict[str, str]:
        """What a pod has from the Secret."""
        return {f"{PREFIX}AWS_ACCESS_KEY_ID": "key", f"{PREFIX}AWS_SECRET_ACCESS_KEY": "secret", f"{PREFIX}AWS_ENDPOINT_URL": self.endpoint}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty one, whose Secret this process has."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", b"")).close()  # all servers share their objects
    bucket = Bucket(f"http://{host}:{port}")
    for name, value in bucket.secret().items():
        monkeypatch.setenv(name, value)
    yield bucket
    server.stop()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of an attempt waits for the store, however slow this machine is."""
    for state in ("finished", "stopped"):
        monkeypatch.setitem(copier.END, state, 120.0)


def lost(run: Run, base: Path) -> None:
    """The workspace is gone, and prepare has made a new one."""
    run.workspace.root.rename(run.workspace.root.with_name("lost"))  # not deleted: a rank that was killed may be dying still
    prepare_workspace(run.workspace.root, base, strategy=run.strategy, **HYPER)


def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv(f"{PREFIX}AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setattr("finetune_trainer.sources.s3.ATTEMPTS", 1)
    monkeypatch.setattr("finetune_trainer.sources.s3.ROUNDS", 1)


@pytest.mark.usefixtures("patient")
def test_a_training_whose_workspace_is_lost_goes_on_exactly(new_run: Callable[..., Run], bucket: Bucket, tiny: Path, alone: Run) -> None:
    """Equal losses, validations included, each step once in metrics.csv; then what the store has is what the workspace keeps."""
    run = new_run(hyper=HYPER, keep=2, store=STORE)
    with pytest.raises(StageFailure, match="at step 9, with a checkpoint"):
        run_here(run, 1, stop_at(run, 9))
    assert "attempt-1/checkpoint-9" in bucket.copies()
    lost(run, tiny)
    run_here(run, 2)
    assert run.losses() == alone.losses()
    assert [metrics.step for metrics in run.metrics()] == list(range(1, 13))
    assert run.validations() != []
    figures = [(step.step, step.valid_loss) for step in run.validations()]
    assert figures == [(step.step, step.valid_loss) for step in alone.validations()]
    assert bucket.copies() == run.checkpoints()
    assert {key.rpartition("/")[0] for key in bucket.objects()} >= set(run.checkpoints())
    summary = run.result().train
    assert summary is not None
    assert summary.checkpoints[0].uri == f"{STORE['uri']}/default/job/1f/attempt-2/checkpoint-10"
    assert [warning.code for warning in summary.warnings if warning.code.startswith("Checkpoint")] == []
    assert copies_removed(run.config()) == []
    assert bucket.objects() == [], "publish deletes them when the model is there"


@pytest.mark.usefixtures("patient")
def test_half_a_copy_is_none_and_a_damaged_one_is_passed_over(new_run: Callable[..., Run], bucket: Bucket, tiny: Path, alone: Run) -> None:
    """The newest copy that is whole is resumed from; a warning names the one that is damaged."""
    run = new_run(hyper=HYPER, store=STORE)
    with pytest.raises(StageFailure, match="at step 7, with a checkpoint"):
        run_here(run, 1, stop_at(run, 7))
    bucket.client.delete_object(Bucket="safe", Key=f"{FOLDER}attempt-1/checkpoint-7/.complete")
    file = next(name for name in json.loads(bucket.read("attempt-1/checkpoint-6/.complete"))["files"] if name.endswith("safetensors"))
    content = bytearray(bucket.read(f"attempt-1/checkpoint-6/{file}"))
    content[-1] ^= 1
    bucket.client.put_object(Bucket="safe", Key=f"{FOLDER}attempt-1/checkpoint-6/{file}", Body=bytes(content))
    lost(run, tiny)
    run_here(run, 2)
    assert run.losses() == alone.losses()
    summary = run.result().train
    assert summary is not None
    (warning,) = [warning.message for warning in summary.warnings if warning.code == "CheckpointDamaged"]
    assert "attempt-1/checkpoint-6 is damaged" in warning
    assert "attempt-1/checkpoint-4" in run.checkpoints()
    assert bucket.copies() == run.checkpoints(), "copies that no attempt can resume from are deleted"


def test_a_store_that_is_down_costs_copies_and_not_the_training(
    new_run: Callable[..., Run], bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], alone: Run
) -> None:
    """It is said once, and in the result; the next attempt on this workspace does not need the store."""
    closed(monkeypatch)
    run = new_run(hyper=HYPER, store=STORE)
    with pytest.raises(StageFailure, match="at step 3, with a checkpoint"):
        run_here(run, 1, stop_at(run, 3))
    run_here(run, 2)
    assert run.losses() == alone.losses()
    assert capsys.readouterr().out.count("no copy of the checkpoint") == 2, "once an attempt"
    summary = run.result().train
    assert summary is not None
    (warning,) = [warning.message for warning in summary.warnings if warning.code == "CheckpointNotCopied"]
    assert warning.startswith("checkpoints.store.uri: attempt-2/checkpoint-10 has no copy: s3://safe/teams/a cannot be reached")
    assert [found.uri for found in summary.checkpoints if found.uri] == []
    assert [warning.code for warning in copies_removed(run.config())] == ["CheckpointCopiesLeft"]
    with pytest.raises(StageFailure, match="cannot be reached") as refused:
        prepare(run.config(), 1)
    assert refused.value.error.param == "checkpoints.store.uri", "prepare finds it out before the training"


def test_a_lost_workspace_waits_for_its_store(new_run: Callable[..., Run], bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """To begin again would throw away what is there: the attempt ends with the code after which the operator tries again."""
    closed(monkeypatch)
    run = new_run(hyper=HYPER, store=STORE)
    with pytest.raises(StageFailure) as failed:
        run_here(run, 2)
    assert (failed.value.exit_code, failed.value.error.code) == (ExitCode.SOURCE_UNAVAILABLE, "SourceUnavailable")
    assert failed.value.error.param == "checkpoints.store.uri"


def test_a_workspace_that_is_not_lost_needs_no_store(new_run: Callable[..., Run], bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier attempt ended before its first checkpoint: there is nothing to bring back."""
    closed(monkeypatch)
    run = new_run(hyper=HYPER | {"total_steps": 1}, store=STORE)
    with pytest.raises(StageFailure, match="before its first step"):
        run_here(run, 1, lambda: True)
    run_here(run, 2)
    assert len(run.losses()) == 1


@pytest.mark.usefixtures("patient")
def test_an_interrupted_restore_is_continued(
    new_run: Callable[..., Run], bucket: Bucket, tiny: Path, alone: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest came back, the others did not: nothing is trained and no copy is deleted before they have."""
    run = new_run(hyper=HYPER, store=STORE)
    with pytest.raises(StageFailure, match="at step 7, with a checkpoint"):
        run_here(run, 1, stop_at(run, 7))
    copies = bucket.copies()
    assert len(copies) > 1
    lost(run, tiny)
    fetch = CheckpointCopies.fetch

    def interrupted(store: CheckpointCopies, name: str, *rest: Any) -> str:
        """The connection breaks after the newest."""
        if name != "attempt-1/checkpoint-7":
            raise store.store.subject.denied("the token has expired")
        return fetch(store, name, *rest)

    with monkeypatch.context() as patch, pytest.raises(StageFailure) as failed:
        patch.setattr(CheckpointCopies, "fetch", interrupted)
        run_here(run, 2)
    assert (failed.value.exit_code, failed.value.error.code) == (ExitCode.SOURCE_UNAVAILABLE, "AccessDenied"), "tried again"
    assert run.checkpoints() == ["attempt-1/checkpoint-7"]
    assert bucket.copies() == copies
    run_here(run, 3)
    assert run.losses() == alone.losses()
    assert set(copies) <= set(run.checkpoints())
    assert bucket.copies() == run.checkpoints()


@pytest.mark.usefixtures("patient")
def test_damaged_checkpoints_are_replaced_by_their_copies(
    new_run: Callable[..., Run], bucket: Bucket, alone: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is away ends the attempt, each time; what is said then is what happens."""
    run = new_run(hyper=HYPER, store=STORE)
    with pytest.raises(StageFailure, match="at step 3, with a checkpoint"):
        run_here(run, 1, stop_at(run, 3))
    for path in run.workspace.checkpoints.rglob("*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    for number in (2, 3):
        with monkeypatch.context() as patch, pytest.raises(StageFailure, match="cannot be reached"):
            closed(patch)
            run_here(run, number)
    run_here(run, 4)
    assert run.losses() == alone.losses()


@pytest.mark.usefixtures("patient")
def test_the_warning_of_a_damaged_checkpoint_says_which_one_is_resumed_from(new_run: Callable[..., Run], bucket: Bucket) -> None:
    """Also where that one is a copy."""
    run = new_run(hyper=HYPER, store=STORE)
    with pytest.raises(StageFailure, match="at step 3, with a checkpoint"):
        run_here(run, 1, stop_at(run, 3))
    for path in run.workspace.checkpoints.rglob("*.safetensors"):
        path.write_bytes(bytes(path.stat().st_size))
    run_here(run, 2)
    summary = run.result().train
    assert summary is not None
    said = [warning.message for warning in summary.warnings if warning.code == "CheckpointDamaged"]
    assert said != []
    assert all(message.endswith(": training resumes from attempt-1/checkpoint-3") for message in said)


def test_a_checkpoint_held_by_a_slow_copy_does_not_outlive_the_training(
    new_run: Callable[..., Run], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`keep` holds at the end, however slow the store."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        begun.set()
        go_on.wait(60)

    monkeypatch.setattr(CheckpointCopies, "copy", slow)
    monkeypatch.setitem(copier.END, "finished", 0.1)
    run = new_run(hyper=LONG | {"checkpoint_every": 2}, keep=2, store=STORE)

    def wait() -> bool:
        """Goes on when the first checkpoint is being copied."""
        if run.checkpoints():
            begun.wait(60)
        return False

    try:
        run_here(run, 1, wait)
    finally:
        go_on.set()
    assert sorted(run.checkpoints()) == ["attempt-1/checkpoint-10", "attempt-1/checkpoint-8"]


def test_kill_9_and_a_lost_workspace_with_two_ranks(tmp_path: Path, bucket: Bucket, tiny: Path, alone: Run) -> None:
    """Each rank has a part of the checkpoint; all parts come back."""
    run = Run(prepare_workspace(tmp_path / "workspace", tiny, strategy=FSDP, **HYPER), processes=2, store=STORE)
    launched = run.start(1)
    launched.wait_until(bucket.copies)
    launched.process.kill()
    launched.wait()
    kept = bucket.copies()
    lost(run, tiny)
    assert run.attempt(2) == ExitCode.OK, launched.log()
    assert "brought back from s3://safe/teams/a: attempt-1/checkpoint-" in (run.workspace.root / "log-2-0.txt").read_text()
    assert kept != []
    assert run.losses() == pytest.approx(alone.losses(), abs=1e-4)
    assert [metrics.step for metrics in run.metrics()] == list(range(1, 13))
