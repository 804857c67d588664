"""The train stage on one node: repeat a finished result, or launch this node's ranks and tell how they ended.

The node of rank 0 writes the stage's result; the others end with the same exit code and leave no result.
"""

from finetune_api.exit_codes import ExitCode
from finetune_api.result import StageResult
from finetune_api.run_config import RunConfig
from finetune_trainer.distributed.network import split_endpoint
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.methods import method_of
from finetune_trainer.optimizers import optimizer_of
from finetune_trainer.stage.stage import failed_result, finished_result, report, run_stage
from finetune_trainer.strategies import strategy_of
from finetune_trainer.train.launch.exchange import Assignment
from finetune_trainer.train.launch.launcher import Launcher
from finetune_trainer.workspace.handover import damaged, read_prepared, trained_damage
from finetune_trainer.workspace.workspace import Workspace


def train(assignment: Assignment, node_rank: int, master: str) -> int:
    """Runs this node's part of the stage; `master` is HOST:PORT of rank 0's node. Returns the exit code."""
    config, attempt = assignment.config, assignment.attempt
    workspace = Workspace(config.paths.workspace)
    if node_rank == 0:
        return run_stage("train", config, attempt, lambda: lead(assignment, master), lambda: trained_damage(config, workspace))
    if earlier_result(config) is not None and not trained_damage(config, workspace):
        print("train has already succeeded; nothing to do on this node", flush=True)
        return ExitCode.OK
    try:
        follow(assignment, node_rank, master)
        return ExitCode.OK
    except BaseException as exc:
        return report(failed_result("train", config, attempt, exc))


def lead(assignment: Assignment, master: str) -> StageResult:
    """The node of rank 0. The result that rank 0 wrote is the truth: a rank that breaks down after it changes nothing."""
    launch(assignment, 0, master)
    if (result := earlier_result(assignment.config)) is None:
        raise StageFailure(ExitCode.INTERNAL_ERROR, "ResultMissing", "all ranks ended well, but rank 0 left no result")
    return result


def follow(assignment: Assignment, node_rank: int, master: str) -> None:
    """Any other node: its ranks' success is enough, as a shared volume may show rank 0's result late."""
    try:
        launch(assignment, node_rank, master)
    except BaseException:
        if earlier_result(assignment.config) is None:
            raise


def earlier_result(config: RunConfig) -> StageResult | None:
    """The success in the workspace, or None."""
    return finished_result(Workspace(config.paths.workspace).result("train"), config)


def launch(assignment: Assignment, node_rank: int, master: str) -> None:
    """Checks what the ranks start from, and runs this node's."""
    config = assignment.config
    check_prepared(config, Workspace(config.paths.workspace))
    if not 0 <= node_rank < config.world.nodes:
        raise invalid("InvalidNodeRank", f"--node-rank {node_rank} is not below the run config's world.nodes {config.world.nodes}")
    try:
        host, port = split_endpoint(master)
    except ValueError as exc:
        raise invalid("InvalidMaster", str(exc)) from exc
    Launcher(assignment, node_rank, host, port).run()


def check_prepared(config: RunConfig, workspace: Workspace) -> None:
    """Refuses to start on what prepare did not leave, or left for another spec."""
    prepared = read_prepared(config, workspace)
    strategy_of(prepared.strategy)
    optimizer_of(prepared.hyperparameters.optimizer)
    if prepared.method.type != method_of(config).name:
        raise damaged(f"{workspace.prepared} is for method {prepared.method.type}, method.type is {config.method.type}", "prepare")
