"""Weights & Biases: its own client, in offline mode and against a server that answers as the API does."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

from finetune_api.run_config import RunNetwork
from finetune_trainer.failure import StageFailure
from finetune_trainer.trackers import TRACKERS
from finetune_trainer.trackers.feed import Feeds
from finetune_trainer.trackers.tracker import Outcome, TrackedRun
from tests.trainer.train.conftest import LONG, run_here
from tests.trainer.train.runs import Run
from tests.trainer.train.test_resume import stop_at
from tests.trainer.train.wandb_server import WandbServer, wandb_server

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
CREDENTIALS = {"credentials": {"secretRef": {"name": "wandb"}}}
KEY = "local-" + "a" * 40
COLUMNS = {"train/loss": "loss", "train/grad_norm": "grad_norm", "eval/loss": "valid_loss"}
BLOCK, HEADER = 32768, 7


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    """One without runs."""
    with wandb_server() as started:
        yield started


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client reads settings and keys from the user's folders."""
    monkeypatch.setenv("HOME", str(tmp_path))


def records(file: Path) -> Iterator[Record]:
    """Of a transaction log: blocks of records in LevelDB's log format behind a header of 7 bytes."""
    data, at, part = file.read_bytes(), HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        part += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(part)
            part = b""


def test_all_attempts_are_one_run(server: WandbServer, new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the figures of metrics.csv, each step once although some were run twice; parameters, lineage and the end of each attempt."""
    monkeypatch.setenv("FINETUNE_WANDB_WANDB_BASE_URL", server.address)
    monkeypatch.setenv("FINETUNE_WANDB_WANDB_API_KEY", KEY)
    tracking = {"wandb": CREDENTIALS | {"project": "bots"}}
    run = new_run(hyper=LONG | {"validation_every": 5, "validation_examples": 7}, tracking=tracking)
    with pytest.raises(StageFailure, match="at step 7"):
        run_here(run, 1, stop_at(run, 7))
    (run.workspace.checkpoints / "attempt-1" / "checkpoint-7" / ".complete").unlink()
    (stored,) = server.runs.values()
    assert (stored.preemptions, stored.exit_codes) == (1, [1])
    run_here(run, 2)
    assert list(server.runs.values()) == [stored]
    assert (stored.project, stored.display_name, stored.exit_codes) == ("bots", "job", [1, 0])
    assert stored.config.items() >= {"learningRate": 0.001, "loraRank": 4, "dataset_digest": "d", "spec_digest": "spec-1"}.items()
    assert server.keys == {f"Basic {base64.b64encode(f'api:{KEY}'.encode()).decode()}"}
    for name, column in COLUMNS.items():
        wanted = [(step.step, getattr(step, column)) for step in run.metrics() if getattr(step, column) is not None]
        history = [(row["_step"], row[name]) for row in stored.history if name in row]
        assert [step for step, _ in history] == [step for step, _ in wanted]
        assert [value for _, value in history] == pytest.approx([value for _, value in wanted], rel=1e-6)
    assert run.result().train.warnings == []
    outcome = Outcome(12, {"base/loss": 3.0, "tuned/loss": 2.5}, {"model_digest": "sha256:abc", "gate": "passed"})
    TRACKERS["wandb"].report(TrackedRun(stored.name, run.config(), run.workspace, 0, 0, {}, {}), outcome)
    assert list(server.runs.values()) == [stored]
    assert stored.summary.items() >= outcome.figures.items()
    assert stored.config.items() >= {**outcome.tags, "loraRank": 4}.items()
    assert [row["_step"] for row in stored.history if "train/loss" in row] == list(range(1, 13))


def test_attempts_in_offline_mode(new_run: Callable[..., Run]) -> None:
    """Each leaves a log of the same run with the steps that follow the checkpoint, for `wandb sync`; the server is not asked."""
    run = new_run(hyper=LONG, tracking={"wandb": {"mode": "offline"}})
    with pytest.raises(StageFailure, match="at step 7"):
        run_here(run, 1, stop_at(run, 7))
    run_here(run, 2)
    logs = sorted(run.workspace.wandb.glob("offline-run-*/run-*.wandb"))
    assert len(logs) == 2
    found = [list(records(log)) for log in logs]
    assert len({record.run.run_id for log in found for record in log if record.HasField("run")}) == 1
    assert [next(record.run.project for record in log if record.HasField("run")) for log in found] == ["default", "default"]
    steps = [[record.history.step.num for record in log if record.HasField("history")] for log in found]
    assert steps == [list(range(1, 8)), list(range(8, 13))]
    assert [[record.exit.exit_code for record in log if record.HasField("exit")] for log in found] == [[1], [0]]
    assert run.result().train.warnings == []


@pytest.mark.parametrize(
    ("wandb", "secret", "words"),
    [
        ({"uri": "http://127.0.0.1:9"}, {}, "127.0.0.1 is a loopback address"),
        (CREDENTIALS, {}, "the Secret of tracking.wandb.credentials is missing, or does not have WANDB_API_KEY"),
        (CREDENTIALS, {"BASE_URL": "http://me:s3cret@127.0.0.1:9"}, "put the key into WANDB_API_KEY"),
        (CREDENTIALS, {"BASE_URL": "http://127.0.0.1:9", "API_KEY": KEY}, "wandb: "),
    ],
    ids=["private", "no key", "password", "down"],
)
def test_what_keeps_a_tracker_from_being_reached(
    wandb: dict[str, Any], secret: dict[str, str], words: str, new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a warning at the end, with the reason, and without what the Secret holds."""
    for name, value in secret.items():
        monkeypatch.setenv(f"FINETUNE_WANDB_WANDB_{name}", value)
    run = new_run(tracking={"wandb": wandb})
    config = run.config().model_copy(update={"network": RunNetwork()})
    feeds = Feeds([TRACKERS["wandb"]], TrackedRun("run", config, run.workspace, 1, 0, {}, {}))
    feeds.log(1, {"train/loss": 1.0})
    (warning,) = feeds.end("finished")
    print(warning.message)
    assert warning.code == "TrackerFailed"
    assert words in warning.message
    assert "s3cret" not in warning.message
    assert KEY not in warning.message
