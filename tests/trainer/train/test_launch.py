"""The stage as programs: several ranks on one node and on two, each kind of loss, and the exit codes that tell them apart.

Starting a rank takes seconds, so what one workspace lives through is a story: an attempt goes on where the last one was stopped.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_trainer.train.checkpoints import complete_checkpoints
from tests.trainer.train.conftest import VALIDATED
from tests.trainer.train.runs import FULL, OWNER, Launched, Run, prepare_workspace

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(600)]
CLOSE = 1e-4


@dataclass
class Story:
    """What happened to a run, attempt by attempt."""

    run: Run
    codes: dict[str, list[int]] = field(default_factory=dict)
    """Exit codes of the nodes, by what was done to them."""
    checkpoints: dict[str, list[int]] = field(default_factory=dict)
    """Steps of the complete checkpoints after it."""
    logs: dict[str, str] = field(default_factory=dict)
    """Node 0's log."""

    def tell(self, chapter: str, attempt: int, act: Callable[[list[Launched]], None]) -> None:
        """Starts all nodes, does something to them, and notes how they end."""
        nodes = [self.run.start(attempt, node) for node in range(self.run.nodes)]
        act(nodes)
        self.codes[chapter] = [node.wait() for node in nodes]
        self.checkpoints[chapter] = [checkpoint.step for checkpoint in complete_checkpoints(self.run.workspace.checkpoints, OWNER)]
        self.logs[chapter] = nodes[0].log()


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Story:
    """LoRA on two nodes: node 1's launcher is killed, node 1 is drained, node 1 is frozen, then it runs to its end."""
    story = Story(Run(prepare_workspace(tmp_path_factory.mktemp("two-nodes"), tiny, **VALIDATED), nodes=2))
    workspace = story.run.workspace

    def kill_node_1(nodes: list[Launched]) -> None:
        nodes[0].wait_for_step(3, workspace)
        nodes[1].process.kill()

    def drain_node_1(nodes: list[Launched]) -> None:
        nodes[0].wait_for_step(5, workspace)
        nodes[1].terminate()

    def freeze_node_1(nodes: list[Launched]) -> None:
        nodes[0].wait_until(lambda: "loading the model" in nodes[0].log())  # the ranks have met, and the launchers long before
        frozen = [nodes[1].process.pid, *nodes[1].workers().values()]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        nodes[0].wait()
        for pid in frozen:
            os.kill(pid, signal.SIGKILL)

    story.tell("killed", 1, kill_node_1)
    story.tell("drained", 2, drain_node_1)
    story.tell("frozen", 3, freeze_node_1)
    story.tell("finished", 4, lambda _: None)
    story.tell("again", 5, lambda _: None)
    return story


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Story:
    """LoRA on two ranks of a node: rank 1 is killed, rank 1 is frozen, then it runs until its result is there."""
    limits = {"startDeadline": 300.0, "stallTimeout": 20.0}
    story = Story(Run(prepare_workspace(tmp_path_factory.mktemp("two-ranks"), tiny, **VALIDATED), processes=2, limits=limits))
    workspace = story.run.workspace

    def signal_rank_1(number: int, step: int) -> Callable[[list[Launched]], None]:
        def act(nodes: list[Launched]) -> None:
            nodes[0].wait_for_step(step, workspace)
            os.kill(nodes[0].workers()[1], number)

        return act

    def kill_after_result(nodes: list[Launched]) -> None:
        workers = nodes[0].wait_until(nodes[0].workers)
        nodes[0].wait_until(lambda: complete(workspace.result("train")))
        for pid in workers.values():
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)

    story.tell("killed", 1, signal_rank_1(signal.SIGKILL, 3))
    story.tell("frozen", 2, signal_rank_1(signal.SIGSTOP, 5))
    story.tell("finished", 3, kill_after_result)
    return story


def complete(result: Path) -> bool:
    """True for a result that says success."""
    return result.exists() and "error" not in json.loads(result.read_text())


def test_two_nodes_compute_what_one_process_does(two_nodes: Story, alone: Run) -> None:
    """The same losses for the same global batch, through a lost node, a drained one, and two resumes."""
    assert two_nodes.codes["finished"] == [ExitCode.OK, ExitCode.OK]
    assert two_nodes.run.losses() == pytest.approx(alone.losses(), abs=CLOSE)
    assert [step.step for step in two_nodes.run.metrics()] == list(range(1, 13))


def test_two_nodes_find_the_validation_losses_of_one_process(two_nodes: Story, alone: Run) -> None:
    """Each computes a share of the sample, one of them with a filler; what happened to the nodes leaves no trace."""
    assert [(point.step, point.valid_mean_token_accuracy) for point in two_nodes.run.validations()] == [
        (point.step, point.valid_mean_token_accuracy) for point in alone.validations()
    ]
    assert [point.valid_loss for point in two_nodes.run.validations()] == [
        pytest.approx(point.valid_loss, abs=CLOSE) for point in alone.validations()
    ]


def test_a_lost_node(two_nodes: Story) -> None:
    """The node that is left ends with PEER_LOST at once, and what was complete stays."""
    assert two_nodes.codes["killed"] == [ExitCode.PEER_LOST, -signal.SIGKILL]
    assert two_nodes.checkpoints["killed"][-1] == 2
    assert "lost the connection to another rank" in two_nodes.logs["killed"]


def test_a_frozen_node(two_nodes: Story) -> None:
    """No connection breaks, and the ranks that are left wait for its ranks: the launchers' link ends them, long before stallTimeout."""
    assert two_nodes.codes["frozen"][0] == ExitCode.PEER_LOST
    assert "lost the connection to the node at 127.0.0.1" in two_nodes.logs["frozen"]


def test_a_drained_node(two_nodes: Story) -> None:
    """SIGTERM to one node is heard by all: they write a checkpoint of the step and end with PREEMPTED."""
    assert two_nodes.codes["drained"] == [ExitCode.PREEMPTED, ExitCode.PREEMPTED]
    assert two_nodes.checkpoints["drained"][0] >= 6
    assert f"at step {two_nodes.checkpoints['drained'][0]}, with a checkpoint" in two_nodes.logs["drained"]


def test_a_finished_stage_repeats_its_result_on_every_node(two_nodes: Story) -> None:
    """Without starting a rank: node 0 repeats the result, the other has nothing to do."""
    assert two_nodes.codes["again"] == [ExitCode.OK, ExitCode.OK]
    assert "repeating its result" in two_nodes.logs["again"]
    assert two_nodes.run.result().attempt == 4


def test_a_killed_rank(two_ranks: Story) -> None:
    """137 as from a shell, with words about memory; its peer's failure is not taken for the cause."""
    assert two_ranks.codes["killed"] == [128 + signal.SIGKILL]
    assert "rank 1 was killed (SIGKILL)" in two_ranks.logs["killed"]


def test_a_frozen_rank(two_ranks: Story) -> None:
    """No rank gets on, because all wait for the frozen one: the launcher ends them with STALLED."""
    assert two_ranks.codes["frozen"] == [ExitCode.STALLED]
    assert "limits.stallTimeout" in two_ranks.logs["frozen"]


def test_a_rank_that_dies_behind_the_result_changes_nothing(two_ranks: Story, alone: Run) -> None:
    """The result in the workspace is the truth; and the losses are those of one process."""
    assert two_ranks.codes["finished"] == [ExitCode.OK]
    assert two_ranks.run.losses() == pytest.approx(alone.losses(), abs=CLOSE)


def test_progress(two_ranks: Story) -> None:
    """The operator can read where it stands, from the model's loading on."""
    log = two_ranks.logs["finished"]
    activities = [json.loads(line)["finetuneProgress"]["activity"] for line in log.splitlines() if line.startswith('{"finetune')]
    assert activities[0] == "waiting for all 2 ranks"
    assert activities[1:3] == ["looking for a checkpoint", "loading the model"]
    assert {"writing a checkpoint", "training", "writing the trained weights"} <= set(activities)


def test_full_fine_tuning_on_two_ranks(tmp_path: Path, tiny: Path, alone_full: Run) -> None:
    """The same losses as on one process."""
    run = Run(prepare_workspace(tmp_path / "workspace", tiny, method=FULL, checkpoint_every=100), method=FULL, processes=2)
    assert run.attempt() == ExitCode.OK
    assert run.losses() == pytest.approx(alone_full.losses(), abs=CLOSE)


def test_divergence_is_agreed(tmp_path: Path, tiny: Path) -> None:
    """All ranks end with DIVERGED, and the result names the field to change; the logs of stage and ranks outlive the pod."""
    run = Run(prepare_workspace(tmp_path / "workspace", tiny, learning_rate=1e30, warmup_steps=0), processes=2)
    assert run.attempt() == ExitCode.DIVERGED
    result = run.result()
    assert result.exit_code == ExitCode.DIVERGED
    assert result.error is not None
    assert (result.error.code, result.error.param) == ("Diverged", "hyperparameters.learningRate")
    assert result.error.message.startswith("the loss of rows.jsonl, lines "), "of whatever rank"
    logs = {path.name: path.read_text() for path in (tmp_path / "workspace" / "logs").iterdir()}
    assert sorted(logs) == ["train-1-rank-0.log", "train-1-rank-1.log", "train-1.log"]
    assert f"train failed: {result.error.message}" in logs["train-1.log"]
    assert "train: on " in logs["train-1-rank-0.log"]
    assert "finetuneProgress" not in "".join(logs.values())


def test_a_peer_that_goes_before_the_ranks_have_met(tmp_path: Path, tiny: Path) -> None:
    """The node that waits for it ends with PEER_LOST: when the link between the launchers breaks, or else at the start deadline, and
    says where it waited."""
    run = Run(prepare_workspace(tmp_path / "workspace", tiny), nodes=2, limits={"startDeadline": 20.0, "stallTimeout": 600.0})
    first, second = run.start(1, 0), run.start(1, 1)
    second.wait_until(second.workers)
    second.process.kill()
    second.wait()
    assert first.wait(300) == ExitCode.PEER_LOST, "before limits.stallTimeout"
    error = run.result().error
    assert error is not None
    assert error.code in ("PeersNotFound", "PeerLost")  # the link may not have been there yet
    assert (f"127.0.0.1:{run.port}" if error.code == "PeersNotFound" else "the node at 127.0.0.1") in error.message


def test_sigterm_before_the_ranks_have_met(tmp_path: Path, tiny: Path) -> None:
    """There is nothing to save: PREEMPTED at once, and no rank is left behind."""
    run = Run(prepare_workspace(tmp_path / "workspace", tiny), nodes=2)
    first = run.start(1, 0)
    workers = first.wait_until(first.workers)
    first.terminate()
    assert first.wait(60) == ExitCode.PREEMPTED, "before limits.startDeadline"
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers.values())


def test_ranks_die_with_their_launcher(tmp_path: Path, tiny: Path) -> None:
    """However the launcher goes, also while a rank still imports."""
    run = Run(prepare_workspace(tmp_path / "workspace", tiny))
    first = run.start()
    (worker,) = first.wait_until(first.workers).values()
    first.wait_until(lambda: Path(f"/proc/{worker}/status").read_text().count("SigCgt:\t0000000000004"))
    first.process.kill()
    first.wait()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


@pytest.mark.parametrize(
    ("break_it", "exit_code", "code"),
    [
        (lambda run: run.workspace.prepared.unlink(), ExitCode.WORKSPACE_DAMAGED, "WorkspaceDamaged"),
        (lambda run: run.workspace.prepared.write_text("{}"), ExitCode.WORKSPACE_DAMAGED, "WorkspaceDamaged"),
        (lambda run: run.workspace.train_rows.write_bytes(b"\0" * 10), ExitCode.WORKSPACE_DAMAGED, "WorkspaceDamaged"),
        (lambda run: setattr(run, "method", FULL), ExitCode.WORKSPACE_DAMAGED, "WorkspaceDamaged"),
        (
            lambda run: edit(run.workspace.prepared, '"specDigest":"spec-1"', '"specDigest":"spec-0"'),
            ExitCode.INVALID_INPUT,
            "WorkspaceOfAnotherJob",
        ),
        (
            lambda run: edit(run.workspace.prepared, '"basePath":"', '"basePath":"/nowhere'),
            ExitCode.INVALID_INPUT,
            "BaseModelNotFound",
        ),
    ],
    ids=["absent", "not ours", "rows of zeroes", "another method", "another spec", "no base"],
)
def test_nothing_starts_on_a_wrong_workspace(
    break_it: Callable[[Run], None], exit_code: ExitCode, code: str, tmp_path: Path, tiny: Path
) -> None:
    """The launcher itself refuses what prepare did not leave, with a result and without a rank."""
    run = Run(prepare_workspace(tmp_path / "workspace", tiny))
    break_it(run)
    assert run.attempt() == exit_code
    error = run.result().error
    assert error is not None
    assert error.code == code


def edit(path: Path, old: str, new: str) -> None:
    """Replaces text in a file."""
    path.write_text(path.read_text().replace(old, new))
